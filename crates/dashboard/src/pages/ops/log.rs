//! Operator log: changes by operators, over all networks.

use actix_web::web;
use askama::Template;
use serde::Deserialize;
use tenancy::operators;

use crate::auth::SignedIn;
use crate::format;
use crate::listing;
use crate::shell::{PageResult, Shell, html};

/// Filters of the list, from the query string.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Filters {
    #[serde(default)]
    before: String,
}

/// `GET /ops/log`
pub(super) async fn list(user: SignedIn, filters: web::Query<Filters>) -> PageResult {
    let mut conn = user.request.dashboard.db.unscoped().await?;
    let found = operators::log(&mut conn, listing::id(&filters.before)?, listing::QUERIED).await?;
    drop(conn);
    let (found, older) = listing::cut(found, "/ops/log", &[], |entry| entry.id);
    html(&List {
        shell: user.operator_shell("Audit log", "Operator audit log"),
        rows: found
            .into_iter()
            .map(|entry| LogRow {
                at: format::minute(entry.at),
                author: entry.author,
                address: entry
                    .remote_ip
                    .map_or_else(String::new, |ip| ip.addr().to_string()),
                action: entry.action,
                about: entry.about_network,
                detail: entry.detail,
            })
            .collect(),
        older,
    })
}

struct LogRow {
    at: String,
    author: String,
    address: String,
    action: String,
    about: String,
    detail: String,
}

#[derive(Template)]
#[template(path = "ops/log/list.html")]
struct List {
    shell: Shell,
    rows: Vec<LogRow>,
    older: Option<String>,
}
