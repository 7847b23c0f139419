//! The documentation of postbacks: how to call, and what every answer means.

use actix_web::{HttpRequest, web};
use askama::Template;
use tracking::Reason;

use crate::Dashboard;
use crate::shell::{PageResult, page, theme};
use crate::urls;

/// `GET /docs/postback`: for everyone, because the developer who gets an answer may have no sign-in.
pub(super) async fn postback(request: HttpRequest, dashboard: web::Data<Dashboard>) -> PageResult {
    page(&Postback {
        theme: theme(&request),
        example: urls::postback_template(&dashboard.tracking_url, "sale", None),
        reasons: Reason::ALL
            .into_iter()
            .map(|reason| ReasonRow {
                code: reason.code(),
                status: reason.status().to_string(),
                http_status: reason.http_status(),
                meaning: reason.meaning(),
                fix: reason.fix(),
            })
            .collect(),
    })
}

struct ReasonRow {
    code: &'static str,
    status: String,
    http_status: u16,
    meaning: &'static str,
    fix: &'static str,
}

#[derive(Template)]
#[template(path = "docs/postback.html")]
struct Postback {
    theme: &'static str,
    example: String,
    reasons: Vec<ReasonRow>,
}
