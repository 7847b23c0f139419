//! Integrations that seem to have failed: the list, and the notices that home and integration page show.

use actix_web::{HttpRequest, web};
use askama::Template;
use chrono::{DateTime, Utc};
use schema::{AlertId, clock};
use serde::Deserialize;
use tenancy::networks::Network;
use tenancy::{Actor, Permission, needs, networks};
use tracking::alerts::{self, Alert, AlertFilter, AlertKind};

use crate::auth::Allowed;
use crate::error::PageError;
use crate::listing::{self, Tab};
use crate::pages::id;
use crate::shell::{PageResult, Shell, TimeCell, page, see_other};
use crate::{Dashboard, urls};

/// The filters of the list, as its URL has them.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Filters {
    #[serde(default)]
    open: String,
    #[serde(default)]
    before: String,
}

/// `GET /alerts`
pub(super) async fn list(
    request: HttpRequest,
    dashboard: web::Data<Dashboard>,
    actor: Allowed<needs::SeePostbacks>,
    filters: web::Query<Filters>,
) -> PageResult {
    let filter = AlertFilter {
        scope: actor.role.scope(),
        open: filters.open == "yes",
        before: listing::id(&filters.before)?,
    };
    let mut conn = actor.network(&dashboard.db).await?;
    let network = networks::current(&mut conn).await?;
    let found = alerts::list(&mut conn, &filter, listing::ASK).await?;
    conn.commit().await?;
    let kept = [("open", filters.open.as_str())];
    let (found, older) = listing::cut(found, "/alerts", &kept, |(alert, _)| alert.id);
    let now = clock::now();
    page(&List {
        shell: Shell::new(&dashboard, &request, &actor, &network, "Postbacks", "Alerts"),
        tabs: vec![
            ("All".to_owned(), "/alerts".to_owned(), !filter.open),
            ("Open".to_owned(), "/alerts?open=yes".to_owned(), filter.open),
        ],
        notices: found
            .into_iter()
            .map(|found| Notice::new(found, &actor, &network, now))
            .collect(),
        older,
    })
}

/// `POST /alerts/{id}/seen`: somebody of the network knows. Back to the list of those that are open.
pub(super) async fn see(
    dashboard: web::Data<Dashboard>,
    actor: Allowed<needs::Configure>,
    path: web::Path<String>,
) -> PageResult {
    let alert_id: AlertId = id(&path)?;
    let mut conn = actor.network(&dashboard.db).await?;
    if !alerts::see(&mut conn, &actor.author(), alert_id, clock::now()).await? {
        return Err(PageError::NotFound);
    }
    conn.commit().await?;
    see_other("/alerts?open=yes")
}

/// An alert as people read it.
pub(crate) struct Notice {
    pub(crate) advertiser: String,
    pub(crate) headline: &'static str,
    pub(crate) sentence: String,
    pub(crate) since: TimeCell,
    /// When it was over, and how long it lasted.
    pub(crate) over: Option<(TimeCell, String)>,
    pub(crate) seen_by: Option<String>,
    /// Where to see what came.
    pub(crate) postbacks: String,
    pub(crate) integration: String,
    /// Where somebody says that they know.
    pub(crate) see: Option<String>,
}

impl Notice {
    pub(crate) fn new(
        (alert, advertiser): (Alert, String),
        actor: &Actor,
        network: &Network,
        now: DateTime<Utc>,
    ) -> Self {
        let may_see =
            actor.may(Permission::Configure) && alert.closed_at.is_none() && alert.seen_by.is_none();
        Self {
            headline: match alert.kind {
                AlertKind::Silent => "Postbacks have stopped",
                AlertKind::Rejections => "Many postbacks are rejected",
            },
            sentence: alert.sentence(),
            since: TimeCell::new(alert.since, now, network),
            over: alert
                .closed_at
                .map(|at| TimeCell::new(at, now, network))
                .zip(alert.lasted()),
            postbacks: match alert.kind {
                AlertKind::Silent => "/postbacks".to_owned(),
                AlertKind::Rejections => "/postbacks?status=rejected".to_owned(),
            },
            integration: urls::integration(alert.advertiser_id),
            see: may_see.then(|| urls::see_alert(alert.id)),
            seen_by: alert.seen_by,
            advertiser,
        }
    }
}

/// What is open and nobody of the network has seen yet, for the pages that everybody opens.
pub(crate) async fn unseen(
    conn: &mut schema::NetworkConn,
    actor: &Actor,
    scope: tenancy::Scope,
    network: &Network,
    now: DateTime<Utc>,
) -> Result<Vec<Notice>, PageError> {
    if !actor.may(Permission::SeePostbacks) {
        return Ok(Vec::new());
    }
    let filter = AlertFilter {
        scope,
        open: true,
        before: None,
    };
    let open = alerts::list(conn, &filter, listing::ASK).await?;
    let unseen = open.into_iter().filter(|(alert, _)| alert.seen_by.is_none());
    Ok(unseen
        .map(|found| Notice::new(found, actor, network, now))
        .collect())
}

#[derive(Template)]
#[template(path = "postbacks/alerts/list.html")]
struct List {
    shell: Shell,
    tabs: Vec<Tab>,
    notices: Vec<Notice>,
    older: Option<String>,
}
