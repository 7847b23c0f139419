//! Alerts of failing integrations: the list, and the notices above home and integration pages.

use actix_web::web;
use askama::Template;
use monitoring::alerts::{self, Alert, AlertFilter, AlertKind};
use schema::AlertId;
use serde::Deserialize;
use tenancy::{Permission, Scope, needs};

use crate::error::PageError;
use crate::listing::{self, Tab};
use crate::page::{Frame, Page, Submitted};
use crate::pages::id;
use crate::shell::{PageResult, Shell, TimeCell, done, html};
use crate::urls;

/// Filters of the list, from the query string.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Filters {
    #[serde(default)]
    open: String,
    #[serde(default)]
    before: String,
}

/// `GET /alerts`
pub(super) async fn list(mut page: Page<needs::SeePostbacks>, filters: web::Query<Filters>) -> PageResult {
    let filter = AlertFilter {
        scope: page.actor.scope(),
        open: filters.open == "yes",
        before: listing::id(&filters.before)?,
    };
    let found = alerts::list(&mut page.conn, &filter, listing::QUERIED).await?;
    let frame = page.commit().await?;
    let kept = [("open", filters.open.as_str())];
    let (found, older) = listing::cut(found, "/alerts", &kept, |(alert, _)| alert.id);
    html(&List {
        shell: frame.shell("Postbacks", "Alerts"),
        tabs: vec![
            ("All".to_owned(), "/alerts".to_owned(), !filter.open),
            ("Open".to_owned(), "/alerts?open=yes".to_owned(), filter.open),
        ],
        notices: Notice::list(found, &frame),
        older,
    })
}

/// `POST /alerts/{id}/seen`: acknowledges an alert.
pub(super) async fn acknowledge(
    Submitted(mut page, _): Submitted<needs::Configure>,
    path: web::Path<String>,
) -> PageResult {
    let alert_id: AlertId = id(&path)?;
    if !alerts::acknowledge(&mut page.conn, &page.actor.author(), alert_id, page.now).await? {
        return Err(PageError::NotFound);
    }
    page.commit().await?;
    done("/alerts?open=yes", "The alert was acknowledged.")
}

/// Alert as shown in lists and above other pages.
pub(crate) struct Notice {
    pub(crate) advertiser: String,
    pub(crate) headline: &'static str,
    pub(crate) sentence: String,
    pub(crate) since: TimeCell,
    /// End and duration of the alert. None while it is open.
    pub(crate) over: Option<(TimeCell, String)>,
    /// Name of the user who acknowledged the alert.
    pub(crate) seen_by: Option<String>,
    /// URL of the advertiser's postbacks.
    pub(crate) postbacks: String,
    pub(crate) integration: String,
    /// URL that acknowledges the alert. None if the actor may not, or it is closed or already acknowledged.
    pub(crate) see: Option<String>,
}

impl Notice {
    fn new<P>(alert: Alert, advertiser: String, frame: &Frame<P>) -> Self {
        let may_acknowledge =
            frame.actor.may(Permission::Configure) && alert.closed_at.is_none() && alert.seen_by.is_none();
        Self {
            headline: match alert.kind {
                AlertKind::Silent => "Postbacks have stopped",
                AlertKind::Rejections => "Many postbacks are rejected",
            },
            sentence: alert.sentence(),
            since: frame.time(alert.since),
            over: alert.closed_at.map(|at| frame.time(at)).zip(alert.lasted()),
            postbacks: match alert.kind {
                AlertKind::Silent => "/postbacks".to_owned(),
                AlertKind::Rejections => "/postbacks?status=rejected".to_owned(),
            },
            integration: urls::integration(alert.advertiser_id),
            see: may_acknowledge.then(|| urls::see_alert(alert.id)),
            seen_by: alert.seen_by,
            advertiser,
        }
    }

    /// Notices of these alerts.
    pub(crate) fn list<P>(alerts: Vec<(Alert, String)>, frame: &Frame<P>) -> Vec<Self> {
        let notice = |(alert, advertiser)| Self::new(alert, advertiser, frame);
        alerts.into_iter().map(notice).collect()
    }
}

/// Open alerts that no user of the network has acknowledged, with their advertisers' names. Empty if the actor may not see
/// postbacks.
pub(crate) async fn unacknowledged<P>(
    page: &mut Page<P>,
    scope: Scope,
) -> Result<Vec<(Alert, String)>, PageError> {
    if !page.actor.may(Permission::SeePostbacks) {
        return Ok(Vec::new());
    }
    let filter = AlertFilter {
        scope,
        open: true,
        before: None,
    };
    let mut open = alerts::list(&mut page.conn, &filter, listing::QUERIED).await?;
    open.retain(|(alert, _)| alert.seen_by.is_none());
    Ok(open)
}

#[derive(Template)]
#[template(path = "postbacks/alerts/list.html")]
struct List {
    shell: Shell,
    tabs: Vec<Tab>,
    notices: Vec<Notice>,
    older: Option<String>,
}
