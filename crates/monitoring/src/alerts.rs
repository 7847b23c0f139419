//! Alerts: advertisers whose postbacks stopped, or are rejected much more often than before. Found every few minutes in the
//! rollups and the rejected postbacks, shown on the dashboard, and mailed once to the members who can act.

mod activity;
mod notify;
mod rules;

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use schema::clock::in_words;
use schema::{AdvertiserId, AlertId, NetworkConn, advertisers, alerts, text_enum};
use serde_json::{Value, json};
use tenancy::audit::{self, Change};
use tenancy::{Author, Scope};

pub use notify::{keep_watch, watch};
pub use rules::Finding;

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
    /// Name of the user who acknowledged it.
    pub seen_by: Option<String>,
    finding: Value,
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
                "No postbacks, although there were {clicks} clicks: comparable periods had {expected} conversions."
            ),
            Some(Finding::Rejections {
                rejected,
                calls,
                percent_before,
                reason,
                rejected_for_top_reason,
            }) => format!(
                "{rejected} of {calls} postbacks were rejected within 24 hours, {rejected_for_top_reason} of them as {reason}; \
                 in the week before it was {percent_before} %."
            ),
            None => "The integration seems to have failed.".to_owned(),
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
fn of_advertiser() -> _ {
    advertisers::network_id
        .eq(alerts::network_id)
        .and(advertisers::id.eq(alerts::advertiser_id))
}

/// Alerts with the names of their advertisers, newest first: at most `limit`.
///
/// # Errors
/// When the database fails.
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
        .inner_join(advertisers::table.on(of_advertiser()))
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
/// When the database fails.
pub async fn find(conn: &mut NetworkConn, id: AlertId) -> QueryResult<Option<(Alert, String)>> {
    let network_id = conn.network_id();
    alerts::table
        .inner_join(advertisers::table.on(of_advertiser()))
        .filter(alerts::network_id.eq(network_id).and(alerts::id.eq(id)))
        .select((Alert::as_select(), advertisers::name))
        .first(&mut **conn)
        .await
        .optional()
}

/// Acknowledges an alert for the network; it stays open until it is over. Returns false if it does not exist.
///
/// # Errors
/// When the database fails.
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

/// Checks every advertiser of a network: opens alerts, updates the figures of open ones, and closes those that are over.
/// Any number of nodes may do so at once.
///
/// # Errors
/// When the database fails.
async fn check(conn: &mut NetworkConn, now: DateTime<Utc>) -> QueryResult<()> {
    let network_id = conn.network_id();
    let activities = activity::of_network(conn, now).await?;
    let open: Vec<Alert> = Alert::query()
        .filter(alerts::network_id.eq(network_id).and(alerts::closed_at.is_null()))
        .order(alerts::id)
        .for_update()
        .load(&mut **conn)
        .await?;
    let open: HashMap<_, _> = open
        .into_iter()
        .map(|alert| ((alert.advertiser_id, alert.kind), alert))
        .collect();
    for (advertiser_id, activity) in &activities {
        for &kind in AlertKind::ALL {
            let known = open.get(&(*advertiser_id, kind));
            let found = match (kind, known) {
                // The figures stay those that it opened with.
                (AlertKind::Silent, Some(known)) if activity.is_silent_since(known.since, now) => continue,
                (AlertKind::Silent, Some(_)) => None,
                (AlertKind::Silent, None) => activity.silence(now),
                (AlertKind::Rejections, known) => activity.rejections(known.is_some(), now),
            };
            match (known, found) {
                (None, Some((since, finding))) => {
                    open_one(conn, *advertiser_id, kind, since, &finding, now).await?
                }
                (Some(known), Some((_, finding))) => {
                    diesel::update(alerts::table.find((network_id, known.id)))
                        .set(alerts::finding.eq(stored(&finding)))
                        .execute(&mut **conn)
                        .await?;
                }
                (Some(known), None) => close(conn, known.id, now).await?,
                (None, None) => {}
            }
        }
    }
    Ok(())
}

async fn open_one(
    conn: &mut NetworkConn,
    advertiser_id: AdvertiserId,
    kind: AlertKind,
    since: DateTime<Utc>,
    finding: &Finding,
    now: DateTime<Utc>,
) -> QueryResult<()> {
    let network_id = conn.network_id();
    diesel::insert_into(alerts::table)
        .values((
            alerts::network_id.eq(network_id),
            alerts::id.eq(AlertId::fresh(now)),
            alerts::advertiser_id.eq(advertiser_id),
            alerts::kind.eq(kind),
            alerts::since.eq(since),
            alerts::opened_at.eq(now),
            alerts::finding.eq(stored(finding)),
            alerts::tell_after.eq(now),
        ))
        // Another node may have opened it.
        .on_conflict_do_nothing()
        .execute(&mut **conn)
        .await?;
    Ok(())
}

async fn close(conn: &mut NetworkConn, id: AlertId, now: DateTime<Utc>) -> QueryResult<()> {
    let network_id = conn.network_id();
    diesel::update(alerts::table.find((network_id, id)))
        .set((alerts::closed_at.eq(now), alerts::tell_after.eq(now)))
        .execute(&mut **conn)
        .await?;
    Ok(())
}

fn stored(finding: &Finding) -> Value {
    #[expect(clippy::expect_used, reason = "numbers and words always serialize")]
    serde_json::to_value(finding).expect("numbers and words serialize")
}
