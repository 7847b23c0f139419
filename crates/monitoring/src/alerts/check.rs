//! Check of all advertisers of a network: opens, updates and closes alerts.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use schema::{AdvertiserId, AlertId, NetworkConn, alerts};
use serde_json::Value;

use super::activity;
use super::alert::{Alert, AlertKind};
use super::rules::Finding;

/// Checks every advertiser of a network: opens alerts, updates the figures of open ones, and closes those that are
/// over. Any number of nodes may do so at once.
///
/// # Errors
/// Returns an error if the database fails.
pub(super) async fn check(conn: &mut NetworkConn, now: DateTime<Utc>) -> QueryResult<()> {
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
                // An open alert of silence keeps the figures with which it opened.
                (AlertKind::Silent, Some(known)) if activity.is_silent_since(known.since, now) => continue,
                (AlertKind::Silent, Some(_)) => None,
                (AlertKind::Silent, None) => activity.silence(now),
                (AlertKind::Rejections, known) => activity.rejections(known.is_some(), now),
            };
            match (known, found) {
                (None, Some((since, finding))) => {
                    open_alert(conn, *advertiser_id, kind, since, &finding, now).await?
                }
                (Some(known), Some((_, finding))) => {
                    diesel::update(alerts::table.find((network_id, known.id)))
                        .set(alerts::finding.eq(to_json(&finding)))
                        .execute(&mut **conn)
                        .await?;
                }
                (Some(known), None) => close_alert(conn, known.id, now).await?,
                (None, None) => {}
            }
        }
    }
    Ok(())
}

async fn open_alert(
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
            alerts::finding.eq(to_json(finding)),
            alerts::notify_after.eq(now),
        ))
        // Another node may have opened the same alert.
        .on_conflict_do_nothing()
        .execute(&mut **conn)
        .await?;
    Ok(())
}

async fn close_alert(conn: &mut NetworkConn, id: AlertId, now: DateTime<Utc>) -> QueryResult<()> {
    let network_id = conn.network_id();
    diesel::update(alerts::table.find((network_id, id)))
        .set((alerts::closed_at.eq(now), alerts::notify_after.eq(now)))
        .execute(&mut **conn)
        .await?;
    Ok(())
}

fn to_json(finding: &Finding) -> Value {
    #[expect(clippy::expect_used, reason = "numbers and strings always serialize")]
    serde_json::to_value(finding).expect("numbers and strings serialize")
}
