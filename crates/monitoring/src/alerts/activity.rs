//! Activity of the advertisers of a network, from the rollups and the rejected postbacks.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Integer, Nullable, Text, Timestamptz};
use diesel_async::RunQueryDsl;
use schema::{AdvertiserId, NetworkConn};

use super::rules::{Activity, Hour, LOOK_BACK, Rejected};

/// Last postback of each advertiser, test postbacks left out: one index look-up each.
const LAST_POSTBACKS: &str = "SELECT a.id, p.received_at AS last FROM advertisers a
     LEFT JOIN LATERAL (
         SELECT received_at FROM postbacks
         WHERE network_id = a.network_id AND advertiser_id = a.id AND NOT is_test ORDER BY id DESC LIMIT 1) p ON true
     WHERE a.network_id = $1";
/// Valid clicks and conversions by advertiser and hour.
const HOURS: &str = "SELECT c.advertiser_id, date_trunc('hour', r.at, 'UTC') AS hour, sum(r.clicks)::bigint AS clicks, sum(r.conversions)::bigint AS conversions
     FROM (SELECT quarter_hour AS at, campaign_id, clicks - invalid_clicks AS clicks, 0 AS conversions FROM click_rollups
           WHERE network_id = $1 AND quarter_hour >= $2
           UNION ALL
           SELECT quarter_hour, campaign_id, 0, conversions FROM conversion_rollups
           WHERE network_id = $1 AND quarter_hour >= $2) r
     JOIN campaigns c ON c.network_id = $1 AND c.id = r.campaign_id
     GROUP BY 1, 2";
/// Rejected postbacks by advertiser and reason: of the last 24 hours, and of the seven days before.
const REJECTED: &str = "SELECT advertiser_id, reason, count(*) FILTER (WHERE received_at >= $3) AS lately,
         count(*) FILTER (WHERE received_at < $3) AS before, min(received_at) FILTER (WHERE received_at >= $3) AS since
     FROM postbacks
     WHERE network_id = $1 AND received_at >= $2 AND status = 'rejected' AND advertiser_id IS NOT NULL AND NOT is_test
     GROUP BY advertiser_id, reason";

#[derive(QueryableByName)]
struct LastRow {
    #[diesel(sql_type = Integer)]
    id: AdvertiserId,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    last: Option<DateTime<Utc>>,
}

#[derive(QueryableByName)]
struct HourRow {
    #[diesel(sql_type = Integer)]
    advertiser_id: AdvertiserId,
    #[diesel(sql_type = Timestamptz)]
    hour: DateTime<Utc>,
    #[diesel(sql_type = BigInt)]
    clicks: i64,
    #[diesel(sql_type = BigInt)]
    conversions: i64,
}

#[derive(QueryableByName)]
struct RejectedRow {
    #[diesel(sql_type = Integer)]
    advertiser_id: AdvertiserId,
    #[diesel(sql_type = Text)]
    reason: String,
    #[diesel(sql_type = BigInt)]
    lately: i64,
    #[diesel(sql_type = BigInt)]
    before: i64,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    since: Option<DateTime<Utc>>,
}

/// Activity of every advertiser, including archived ones, whose campaigns continue.
pub(super) async fn of_network(
    conn: &mut NetworkConn,
    now: DateTime<Utc>,
) -> QueryResult<BTreeMap<AdvertiserId, Activity>> {
    let network_id = conn.network_id().0;
    let rows: Vec<LastRow> = diesel::sql_query(LAST_POSTBACKS)
        .bind::<Integer, _>(network_id)
        .load(&mut **conn)
        .await?;
    let mut activities: BTreeMap<AdvertiserId, Activity> = rows
        .into_iter()
        .map(|row| {
            let activity = Activity {
                last: row.last,
                ..Activity::default()
            };
            (row.id, activity)
        })
        .collect();
    let rows: Vec<HourRow> = diesel::sql_query(HOURS)
        .bind::<Integer, _>(network_id)
        .bind::<Timestamptz, _>(now - LOOK_BACK)
        .load(&mut **conn)
        .await?;
    for row in rows {
        let hour = Hour {
            clicks: row.clicks,
            conversions: row.conversions,
        };
        if let Some(activity) = activities.get_mut(&row.advertiser_id) {
            activity.hours.insert(row.hour, hour);
        }
    }
    let day_ago = now - TimeDelta::days(1);
    let rows: Vec<RejectedRow> = diesel::sql_query(REJECTED)
        .bind::<Integer, _>(network_id)
        .bind::<Timestamptz, _>(day_ago - TimeDelta::days(7))
        .bind::<Timestamptz, _>(day_ago)
        .load(&mut **conn)
        .await?;
    for row in rows {
        if let Some(activity) = activities.get_mut(&row.advertiser_id) {
            activity.rejected.push(Rejected {
                reason: row.reason,
                lately: row.lately,
                before: row.before,
                since: row.since,
            });
        }
    }
    Ok(activities)
}
