//! The sums that reports read, kept in the transaction that stores the events, so that they are exact and instant.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Timelike, Utc};
use chrono_tz::Tz;
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Integer, Timestamptz};
use diesel_async::RunQueryDsl;
use schema::{NetworkConn, conversion_rollups};

use crate::clicks::NewClick;
use crate::conversions::{Conversion, ConversionStatus};

/// Start of the hour on the network's clock: in Kolkata hours begin at half past on ours, and its days are exact.
fn hour(at: DateTime<Utc>, time_zone: Tz) -> DateTime<Utc> {
    let local = at.with_timezone(&time_zone);
    let into_hour = TimeDelta::minutes(local.minute().into())
        + TimeDelta::seconds(local.second().into())
        + TimeDelta::nanoseconds(local.nanosecond().into());
    at - into_hour
}

/// Adds clicks that were just stored: one upsert, however many.
pub(crate) async fn add_clicks(
    conn: &mut NetworkConn,
    time_zone: Tz,
    clicks: &[NewClick],
) -> QueryResult<()> {
    // Sorted, so that two nodes lock the rows in the same order and cannot deadlock.
    let mut sums = BTreeMap::new();
    for click in clicks {
        let key = (
            hour(click.clicked_at, time_zone),
            click.campaign_id,
            click.affiliate_id,
            click.link_id,
        );
        *sums.entry(key).or_insert(0_i64) += 1;
    }
    let network_id = conn.network_id();
    diesel::sql_query(
        "INSERT INTO click_rollups (network_id, hour, campaign_id, affiliate_id, link_id, clicks) \
         SELECT $1, * FROM unnest($2, $3, $4, $5, $6) \
         ON CONFLICT (network_id, hour, campaign_id, affiliate_id, link_id) \
         DO UPDATE SET clicks = click_rollups.clicks + EXCLUDED.clicks",
    )
    .bind::<Integer, _>(network_id)
    .bind::<Array<Timestamptz>, _>(sums.keys().map(|key| key.0).collect::<Vec<_>>())
    .bind::<Array<Integer>, _>(sums.keys().map(|key| key.1).collect::<Vec<_>>())
    .bind::<Array<Integer>, _>(sums.keys().map(|key| key.2).collect::<Vec<_>>())
    .bind::<Array<Integer>, _>(sums.keys().map(|key| key.3).collect::<Vec<_>>())
    .bind::<Array<BigInt>, _>(sums.values().copied().collect::<Vec<_>>())
    .execute(&mut **conn)
    .await?;
    Ok(())
}

/// Adds a conversion that was just stored.
pub(crate) async fn add_conversion(
    conn: &mut NetworkConn,
    time_zone: Tz,
    conversion: &Conversion,
) -> QueryResult<()> {
    add(conn, time_zone, conversion, conversion.status, 1).await
}

/// Moves a conversion's sums from the status it had to the one it has now.
pub(crate) async fn move_conversion(
    conn: &mut NetworkConn,
    time_zone: Tz,
    conversion: &Conversion,
    from: ConversionStatus,
) -> QueryResult<()> {
    add(conn, time_zone, conversion, from, -1).await?;
    add(conn, time_zone, conversion, conversion.status, 1).await
}

async fn add(
    conn: &mut NetworkConn,
    time_zone: Tz,
    conversion: &Conversion,
    status: ConversionStatus,
    sign: i64,
) -> QueryResult<()> {
    use conversion_rollups as r;
    use diesel::upsert::excluded;
    let network_id = conn.network_id();
    diesel::insert_into(r::table)
        .values((
            r::network_id.eq(network_id),
            r::hour.eq(hour(conversion.converted_at, time_zone)),
            r::campaign_id.eq(conversion.campaign_id),
            r::affiliate_id.eq(conversion.affiliate_id),
            r::link_id.eq(conversion.link_id),
            r::goal_id.eq(conversion.goal_id),
            r::currency.eq(conversion.currency),
            r::status.eq(status),
            r::conversions.eq(sign),
            r::amount_micros.eq(sign * conversion.amount_micros.unwrap_or(0)),
            r::commission_micros.eq(sign * conversion.commission_micros),
            r::revenue_micros.eq(sign * conversion.revenue_micros),
        ))
        .on_conflict((
            r::network_id,
            r::hour,
            r::campaign_id,
            r::affiliate_id,
            r::link_id,
            r::goal_id,
            r::currency,
            r::status,
        ))
        .do_update()
        .set((
            r::conversions.eq(r::conversions + excluded(r::conversions)),
            r::amount_micros.eq(r::amount_micros + excluded(r::amount_micros)),
            r::commission_micros.eq(r::commission_micros + excluded(r::commission_micros)),
            r::revenue_micros.eq(r::revenue_micros + excluded(r::revenue_micros)),
        ))
        .execute(&mut **conn)
        .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_hour_starts_where_the_networks_clock_says() {
        let at: DateTime<Utc> = "2026-11-21T18:45:12.5Z".parse().unwrap();
        let start = |zone: Tz| hour(at, zone).to_rfc3339();
        assert_eq!(start(Tz::UTC), "2026-11-21T18:00:00+00:00");
        assert_eq!(start(Tz::Asia__Kolkata), "2026-11-21T18:30:00+00:00");
        assert_eq!(start(Tz::Asia__Kathmandu), "2026-11-21T18:15:00+00:00");
    }
}
