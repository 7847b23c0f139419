//! Alerts: advertisers whose postbacks stopped, or are rejected much more often than before. Noticed every few minutes
//! from the sums and the rejected calls, shown on the dashboard, and mailed once to those who can do something.

mod finding;
mod heard;
mod telling;

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use schema::{AdvertiserId, AlertId, NetworkConn, advertisers, alerts, text_enum};
use serde_json::{Value, json};
use tenancy::audit::{self, Change};
use tenancy::{Author, Scope};

use crate::decide::in_words;

pub use finding::Finding;
pub use telling::{keep_watch, watch};

text_enum! {
    /// What seems to have failed.
    pub enum AlertKind {
        /// Nothing comes although visitors do.
        Silent = "silent",
        /// Much more is rejected than before.
        Rejections = "rejections",
    }
}

/// An alert as stored.
#[derive(Debug, Clone, HasQuery)]
#[diesel(table_name = alerts)]
pub struct Alert {
    /// The alert.
    pub id: AlertId,
    /// Whose postbacks they are.
    pub advertiser_id: AdvertiserId,
    /// What seems to have failed.
    pub kind: AlertKind,
    /// When the last postback came, or the first of the rejected ones that are counted.
    pub since: DateTime<Utc>,
    /// When it was noticed.
    pub opened_at: DateTime<Utc>,
    /// When it was over.
    pub closed_at: Option<DateTime<Utc>>,
    /// Who of the network knows, in words.
    pub seen_by: Option<String>,
    finding: Value,
}

impl Alert {
    /// The figures it was last seen with; none if a former version wrote them differently.
    #[must_use]
    pub fn finding(&self) -> Option<Finding> {
        serde_json::from_value(self.finding.clone()).ok()
    }

    /// How long it lasted, in words, once it is over.
    #[must_use]
    pub fn lasted(&self) -> Option<String> {
        Some(in_words(self.closed_at? - self.since))
    }

    /// What made us think so, in a sentence or two.
    #[must_use]
    pub fn sentence(&self) -> String {
        match self.finding() {
            Some(Finding::Silent { clicks, expected }) => format!(
                "No postback has come, although there were {clicks} clicks: as many brought {expected} conversions before."
            ),
            Some(Finding::Rejections {
                rejected,
                calls,
                percent_before,
                reason,
                for_it,
            }) => format!(
                "{rejected} of {calls} calls were rejected within 24 hours, {for_it} of them as {reason}; in the week \
                 before it was {percent_before} in a hundred."
            ),
            None => "The integration seems to have failed.".to_owned(),
        }
    }
}

/// Which alerts.
#[derive(Debug, Clone, Copy, Default)]
pub struct AlertFilter {
    /// Whose. Affiliates see none.
    pub scope: Scope,
    /// Only those that are not over.
    pub open: bool,
    /// Only older than this one: the last of the page before.
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

/// The alert with this id, and the name of its advertiser.
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

/// Notes that somebody of the network knows of an alert; it stays open until it is over. Returns whether there is one.
///
/// # Errors
/// When the database fails.
pub async fn see(
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

/// Looks at every advertiser of a network: opens alerts, brings the figures of open ones up to date, and closes those
/// that are over. Any number of nodes may do so at once.
///
/// # Errors
/// When the database fails.
async fn look(conn: &mut NetworkConn, now: DateTime<Utc>) -> QueryResult<()> {
    let network_id = conn.network_id();
    let heard = heard::of_network(conn, now).await?;
    let open: Vec<Alert> = Alert::query()
        .filter(alerts::network_id.eq(network_id).and(alerts::closed_at.is_null()))
        .order(alerts::id)
        .for_update()
        .load(&mut **conn)
        .await?;
    let open: HashMap<_, _> = open
        .into_iter()
        .map(|it| ((it.advertiser_id, it.kind), it))
        .collect();
    for (advertiser_id, heard) in &heard {
        for &kind in AlertKind::ALL {
            let known = open.get(&(*advertiser_id, kind));
            let found = match (kind, known) {
                // The figures stay those it was noticed with.
                (AlertKind::Silent, Some(known)) if heard.is_silent_since(known.since, now) => continue,
                (AlertKind::Silent, Some(_)) => None,
                (AlertKind::Silent, None) => heard.silence(now),
                (AlertKind::Rejections, known) => heard.rejections(known.is_some(), now),
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
        // Another node was quicker.
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
    serde_json::to_value(finding).unwrap_or_default()
}
