//! Check of all advertisers of a network: opens, updates and closes alerts.

use std::collections::HashMap;

use chrono::{DateTime, SecondsFormat, Utc};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use schema::{AdvertiserId, AlertId, NetworkConn, advertisers, alerts};
use serde_json::{Value, json};
use tenancy::network_events::{self, NetworkEventKind};

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
                (Some(known), None) => close_alert(conn, known, now).await?,
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
    let alert = Alert {
        id: AlertId::fresh(now),
        advertiser_id,
        kind,
        since,
        opened_at: now,
        closed_at: None,
        seen_by: None,
        finding: to_json(finding),
    };
    let opened = diesel::insert_into(alerts::table)
        .values((
            alerts::network_id.eq(network_id),
            alerts::id.eq(alert.id),
            alerts::advertiser_id.eq(advertiser_id),
            alerts::kind.eq(kind),
            alerts::since.eq(since),
            alerts::opened_at.eq(now),
            alerts::finding.eq(&alert.finding),
            alerts::notify_after.eq(now),
        ))
        // Another node may have opened the same alert.
        .on_conflict_do_nothing()
        .execute(&mut **conn)
        .await?;
    if opened > 0 {
        store_event(conn, NetworkEventKind::IntegrationFailing, &alert, now).await?;
    }
    Ok(())
}

async fn close_alert(conn: &mut NetworkConn, alert: &Alert, now: DateTime<Utc>) -> QueryResult<()> {
    let network_id = conn.network_id();
    diesel::update(alerts::table.find((network_id, alert.id)))
        .set((alerts::closed_at.eq(now), alerts::notify_after.eq(now)))
        .execute(&mut **conn)
        .await?;
    store_event(conn, NetworkEventKind::IntegrationRecovered, alert, now).await
}

/// Stores the event of an alert that opened or is over.
async fn store_event(
    conn: &mut NetworkConn,
    kind: NetworkEventKind,
    alert: &Alert,
    now: DateTime<Utc>,
) -> QueryResult<()> {
    let network_id = conn.network_id();
    let name: String = advertisers::table
        .find((network_id, alert.advertiser_id))
        .select(advertisers::name)
        .first(&mut **conn)
        .await?;
    let content = json!({
        "alert": alert.id,
        "advertiser": alert.advertiser_id,
        "advertiser_name": name,
        "kind": alert.kind,
        "since": alert.since.to_rfc3339_opts(SecondsFormat::Secs, true),
        "message": alert.sentence(),
    });
    network_events::store(conn, kind, content, now).await
}

fn to_json(finding: &Finding) -> Value {
    #[expect(clippy::expect_used, reason = "numbers and strings always serialize")]
    serde_json::to_value(finding).expect("numbers and strings serialize")
}
