//! Alerts of a network: list, look-up and acknowledgement.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use schema::clock::in_words;
use schema::{AdvertiserId, AlertId, NetworkConn, advertisers, alerts, text_enum};
use serde_json::{Value, json};
use tenancy::audit::{self, Change};
use tenancy::{Author, Scope};

use super::rules::Finding;

text_enum! {
    /// Kind of an alert.
    pub enum AlertKind {
        /// Postbacks stopped although visitors come.
        Silent = "silent",
        /// Many more postbacks are rejected than before.
        Rejections = "rejections",
    }
}

/// Alert as stored.
#[derive(Debug, Clone, HasQuery)]
#[diesel(table_name = alerts)]
pub struct Alert {
    /// Identifier.
    pub id: AlertId,
    /// Advertiser.
    pub advertiser_id: AdvertiserId,
    /// Kind.
    pub kind: AlertKind,
    /// Arrival of the last postback, or of the first of the counted rejected ones.
    pub since: DateTime<Utc>,
    /// Time at which the alert opened.
    pub opened_at: DateTime<Utc>,
    /// Time at which it closed; `None` while it is open.
    pub closed_at: Option<DateTime<Utc>>,
    /// Name of the user who acknowledged it; `None` if none has.
    pub seen_by: Option<String>,
    pub(super) finding: Value,
}

impl Alert {
    /// Figures of the last check; `None` if another version wrote them.
    #[must_use]
    pub fn finding(&self) -> Option<Finding> {
        serde_json::from_value(self.finding.clone()).ok()
    }

    /// Duration in words, once it is closed.
    #[must_use]
    pub fn lasted(&self) -> Option<String> {
        Some(in_words(self.closed_at? - self.since))
    }

    /// Reason, in a sentence or two.
    #[must_use]
    pub fn sentence(&self) -> String {
        match self.finding() {
            Some(Finding::Silent { clicks, expected }) => format!(
                "No postbacks despite {clicks} clicks; comparable periods had at least {expected} conversions."
            ),
            Some(Finding::Rejections {
                rejected,
                calls,
                percent_before,
                reason,
                rejected_for_top_reason,
            }) => format!(
                "{rejected} of {calls} postbacks were rejected within 24 hours, {rejected_for_top_reason} of them as \
                 {reason}; in the week before, {percent_before} % were rejected."
            ),
            None => "The integration seems to fail.".to_owned(),
        }
    }
}

/// Filter of a list.
#[derive(Debug, Clone, Copy, Default)]
pub struct AlertFilter {
    /// Advertiser whose alerts are visible. Affiliates see none.
    pub scope: Scope,
    /// True for open alerts only.
    pub open: bool,
    /// Last alert of the previous page: only older ones are listed.
    pub before: Option<AlertId>,
}

#[diesel::dsl::auto_type(no_type_alias)]
fn advertiser_of_alert() -> _ {
    advertisers::network_id
        .eq(alerts::network_id)
        .and(advertisers::id.eq(alerts::advertiser_id))
}

/// Alerts with the names of their advertisers, newest first: at most `limit`.
///
/// # Errors
/// Returns an error if the database fails.
pub async fn list(
    conn: &mut NetworkConn,
    filter: &AlertFilter,
    limit: i64,
) -> QueryResult<Vec<(Alert, String)>> {
    if filter.scope.affiliate.is_some() {
        return Ok(Vec::new());
    }
    let network_id = conn.network_id();
    let mut query = alerts::table
        .inner_join(advertisers::table.on(advertiser_of_alert()))
        .filter(alerts::network_id.eq(network_id))
        .order(alerts::id.desc())
        .limit(limit)
        .select((Alert::as_select(), advertisers::name))
        .into_boxed();
    if let Some(id) = filter.scope.advertiser {
        query = query.filter(alerts::advertiser_id.eq(id));
    }
    if filter.open {
        query = query.filter(alerts::closed_at.is_null());
    }
    if let Some(before) = filter.before {
        query = query.filter(alerts::id.lt(before));
    }
    query.load(&mut **conn).await
}

/// Alert with this id, and the name of its advertiser.
///
/// # Errors
/// Returns an error if the database fails.
pub async fn find(conn: &mut NetworkConn, id: AlertId) -> QueryResult<Option<(Alert, String)>> {
    let network_id = conn.network_id();
    alerts::table
        .inner_join(advertisers::table.on(advertiser_of_alert()))
        .filter(alerts::network_id.eq(network_id).and(alerts::id.eq(id)))
        .select((Alert::as_select(), advertisers::name))
        .first(&mut **conn)
        .await
        .optional()
}

/// Acknowledges an alert for the network; the alert stays open until the problem is over. Returns false if it does not
/// exist.
///
/// # Errors
/// Returns an error if the database fails.
pub async fn acknowledge(
    conn: &mut NetworkConn,
    author: &Author,
    id: AlertId,
    now: DateTime<Utc>,
) -> QueryResult<bool> {
    let network_id = conn.network_id();
    let found = Alert::query()
        .filter(alerts::network_id.eq(network_id).and(alerts::id.eq(id)))
        .for_update()
        .first(&mut **conn)
        .await
        .optional()?;
    let Some(alert) = found else { return Ok(false) };
    if alert.seen_by.is_some() {
        return Ok(true);
    }
    diesel::update(alerts::table.find((network_id, id)))
        .set((alerts::seen_at.eq(now), alerts::seen_by.eq(&author.name)))
        .execute(&mut **conn)
        .await?;
    let after = json!({ "advertiser": alert.advertiser_id.to_string(), "seen_by": author.name });
    let change = Change::created("alert.see", id, alert.kind.as_str(), after);
    audit::record(conn, author, change, now).await?;
    Ok(true)
}
