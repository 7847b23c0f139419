//! The sums of conversions that reports read, kept in the transaction that stores the events, so that they are exact
//! and instant. (Those of clicks are kept in [`crate::ingest`].)

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Integer, Text, Timestamptz};
use diesel_async::RunQueryDsl;
use schema::NetworkConn;

use crate::click_record::hour;
use crate::conversions::Conversion;

/// Adds to the sums: one upsert, however many rows.
pub(crate) const ADD_CONVERSIONS: &str =
    "INSERT INTO conversion_rollups (network_id, hour, campaign_id, affiliate_id, link_id, goal_id, currency, status,
         conversions, amount_micros, commission_micros, revenue_micros)
     SELECT * FROM unnest($1::int[], $2::timestamptz[], $3::int[], $4::int[], $5::int[], $6::int[], $7::text[], $8::text[],
         $9::bigint[], $10::bigint[], $11::bigint[], $12::bigint[])
     ON CONFLICT (network_id, hour, campaign_id, affiliate_id, link_id, goal_id, currency, status) DO UPDATE
     SET conversions = conversion_rollups.conversions + EXCLUDED.conversions,
         amount_micros = conversion_rollups.amount_micros + EXCLUDED.amount_micros,
         commission_micros = conversion_rollups.commission_micros + EXCLUDED.commission_micros,
         revenue_micros = conversion_rollups.revenue_micros + EXCLUDED.revenue_micros";

/// Network, hour, campaign, affiliate, link, goal, currency, status.
type Key = (i32, DateTime<Utc>, i32, i32, i32, i32, &'static str, &'static str);

/// What is to be added, by the keys of the sums. Sorted, so that two nodes lock the rows in the same order and cannot
/// deadlock.
#[derive(Debug, Default)]
pub(crate) struct ConversionSums {
    /// Conversions, amount, commission, revenue.
    sums: BTreeMap<Key, [i64; 4]>,
}

/// The same, by columns.
pub(crate) struct Columns {
    pub(crate) networks: Vec<i32>,
    pub(crate) hours: Vec<DateTime<Utc>>,
    pub(crate) campaigns: Vec<i32>,
    pub(crate) affiliates: Vec<i32>,
    pub(crate) links: Vec<i32>,
    pub(crate) goals: Vec<i32>,
    pub(crate) currencies: Vec<&'static str>,
    pub(crate) statuses: Vec<&'static str>,
    pub(crate) conversions: Vec<i64>,
    pub(crate) amounts: Vec<i64>,
    pub(crate) commissions: Vec<i64>,
    pub(crate) revenues: Vec<i64>,
}

impl ConversionSums {
    /// Adds a conversion as it is, or takes it away (`sign` −1).
    pub(crate) fn add(&mut self, network_id: i32, time_zone: Tz, conversion: &Conversion, sign: i64) {
        let key = (
            network_id,
            hour(conversion.converted_at, time_zone),
            conversion.campaign_id.0,
            conversion.affiliate_id.0,
            conversion.link_id.0,
            conversion.goal_id.0,
            conversion.currency.code(),
            conversion.status.as_str(),
        );
        let [conversions, amount, commission, revenue] = self.sums.entry(key).or_default();
        *conversions += sign;
        *amount += sign * conversion.amount_micros.unwrap_or(0);
        *commission += sign * conversion.commission_micros;
        *revenue += sign * conversion.revenue_micros;
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.sums.is_empty()
    }

    pub(crate) fn columns(&self) -> Columns {
        fn keys<T>(sums: &BTreeMap<Key, [i64; 4]>, value: impl Fn(&Key) -> T) -> Vec<T> {
            sums.keys().map(value).collect()
        }
        let figures = |value: fn(&[i64; 4]) -> i64| self.sums.values().map(value).collect();
        Columns {
            networks: keys(&self.sums, |key| key.0),
            hours: keys(&self.sums, |key| key.1),
            campaigns: keys(&self.sums, |key| key.2),
            affiliates: keys(&self.sums, |key| key.3),
            links: keys(&self.sums, |key| key.4),
            goals: keys(&self.sums, |key| key.5),
            currencies: keys(&self.sums, |key| key.6),
            statuses: keys(&self.sums, |key| key.7),
            conversions: figures(|[conversions, ..]| *conversions),
            amounts: figures(|[_, amount, ..]| *amount),
            commissions: figures(|[_, _, commission, _]| *commission),
            revenues: figures(|[.., revenue]| *revenue),
        }
    }
}

/// Moves a conversion's sums from what it was to what it is.
pub(crate) async fn move_conversion(
    conn: &mut NetworkConn,
    time_zone: Tz,
    before: &Conversion,
    conversion: &Conversion,
) -> QueryResult<()> {
    let mut sums = ConversionSums::default();
    let network_id = conn.network_id().0;
    sums.add(network_id, time_zone, before, -1);
    sums.add(network_id, time_zone, conversion, 1);
    let columns = sums.columns();
    diesel::sql_query(ADD_CONVERSIONS)
        .bind::<Array<Integer>, _>(columns.networks)
        .bind::<Array<Timestamptz>, _>(columns.hours)
        .bind::<Array<Integer>, _>(columns.campaigns)
        .bind::<Array<Integer>, _>(columns.affiliates)
        .bind::<Array<Integer>, _>(columns.links)
        .bind::<Array<Integer>, _>(columns.goals)
        .bind::<Array<Text>, _>(columns.currencies)
        .bind::<Array<Text>, _>(columns.statuses)
        .bind::<Array<BigInt>, _>(columns.conversions)
        .bind::<Array<BigInt>, _>(columns.amounts)
        .bind::<Array<BigInt>, _>(columns.commissions)
        .bind::<Array<BigInt>, _>(columns.revenues)
        .execute(&mut **conn)
        .await?;
    Ok(())
}
