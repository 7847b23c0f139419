//! Execution of a report: one statement over the rollups, folded into rows.

use std::collections::BTreeMap;

use chrono::NaiveDate;
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Bool, Date, Integer, Nullable, Text, Timestamptz};
use diesel_async::RunQueryDsl;
use schema::{AffiliateId, CampaignId, Currency, NetworkConn};
use tenancy::Scope;
use tenancy::networks::Network;

use crate::{Dimension, Figures, ReportQuery, Sums};

/// Key of a row in one dimension. Sorts days newest first, names alphabetically.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Key {
    /// Day in the network's time zone.
    Day(std::cmp::Reverse<NaiveDate>),
    /// Campaign, by name.
    Campaign(String, CampaignId),
    /// Affiliate, by name.
    Affiliate(String, AffiliateId),
}

/// Row of a report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Keys of the row: one per dimension of the query, in its order.
    pub keys: Vec<Key>,
    /// Metrics of the row.
    pub figures: Figures,
}

/// Result of a [`ReportQuery`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Sums over all rows.
    pub total: Figures,
    /// Rows, sorted by their keys.
    pub rows: Vec<Row>,
}

#[derive(QueryableByName)]
struct Sum {
    #[diesel(sql_type = Nullable<Date>)]
    day: Option<NaiveDate>,
    #[diesel(sql_type = Nullable<Integer>)]
    campaign_id: Option<CampaignId>,
    #[diesel(sql_type = Nullable<Text>)]
    campaign: Option<String>,
    #[diesel(sql_type = Nullable<Integer>)]
    affiliate_id: Option<AffiliateId>,
    #[diesel(sql_type = Nullable<Text>)]
    affiliate: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    currency: Option<Currency>,
    #[diesel(sql_type = Nullable<Text>)]
    status: Option<String>,
    #[diesel(sql_type = BigInt)]
    clicks: i64,
    #[diesel(sql_type = BigInt)]
    unique_clicks: i64,
    #[diesel(sql_type = BigInt)]
    invalid_clicks: i64,
    #[diesel(sql_type = BigInt)]
    conversions: i64,
    #[diesel(sql_type = BigInt)]
    commission_micros: i64,
    #[diesel(sql_type = BigInt)]
    revenue_micros: i64,
}

/// Fixed statement for every report: dimensions outside of the grouping are NULL, absent filters are not compared.
/// The outer join fetches names for the few rows that remain after grouping.
const SUMS: &str = "
    WITH sums AS (
        SELECT CASE WHEN 'day' = ANY ($5) THEN (hour AT TIME ZONE $4)::date END AS day,
               CASE WHEN 'campaign' = ANY ($5) THEN campaign_id END AS campaign_id,
               CASE WHEN 'affiliate' = ANY ($5) THEN affiliate_id END AS affiliate_id,
               currency, status,
               sum(clicks)::bigint AS clicks, sum(unique_clicks)::bigint AS unique_clicks,
               sum(invalid_clicks)::bigint AS invalid_clicks, sum(conversions)::bigint AS conversions,
               least(sum(commission_micros), 9223372036854775807)::bigint AS commission_micros,
               least(sum(revenue_micros), 9223372036854775807)::bigint AS revenue_micros
        FROM (
            SELECT hour, campaign_id, affiliate_id, NULL AS currency, NULL AS status,
                   clicks, unique_clicks, invalid_clicks, 0 AS conversions, 0 AS commission_micros, 0 AS revenue_micros
            FROM click_rollups WHERE network_id = $1 AND hour >= $2 AND hour < $3
            UNION ALL
            SELECT hour, campaign_id, affiliate_id, currency, status,
                   0, 0, 0, conversions, commission_micros, revenue_micros
            FROM conversion_rollups WHERE network_id = $1 AND hour >= $2 AND hour < $3
        ) events
        WHERE ($6 IS NULL OR campaign_id = $6)
          AND ($7 IS NULL OR affiliate_id = $7)
          AND (NOT $8 OR campaign_id IN (SELECT id FROM campaigns WHERE network_id = $1 AND advertiser_id = $9))
        GROUP BY 1, 2, 3, currency, status
    )
    SELECT sums.*, campaigns.name AS campaign, affiliates.name AS affiliate
    FROM sums
    LEFT JOIN campaigns ON campaigns.network_id = $1 AND campaigns.id = sums.campaign_id
    LEFT JOIN affiliates ON affiliates.network_id = $1 AND affiliates.id = sums.affiliate_id";

/// Runs a report over the rows in `scope`. A filter outside of the scope finds nothing.
///
/// # Errors
/// Returns an error if the database fails.
pub async fn run(
    conn: &mut NetworkConn,
    network: &Network,
    scope: Scope,
    query: &ReportQuery,
) -> QueryResult<Report> {
    if let (Some(own), Some(filter)) = (scope.affiliate, query.affiliate)
        && own != filter
    {
        return Ok(Report {
            total: Figures::default(),
            rows: Vec::new(),
        });
    }
    let network_id = conn.network_id();
    let (from, to) = query.bounds(network.time_zone());
    let group: Vec<_> = query.group.iter().map(|dimension| dimension.as_str()).collect();
    let sums: Vec<Sum> = diesel::sql_query(SUMS)
        .bind::<Integer, _>(network_id)
        .bind::<Timestamptz, _>(from)
        .bind::<Timestamptz, _>(to)
        .bind::<Text, _>(network.time_zone().name())
        .bind::<Array<Text>, _>(group)
        .bind::<Nullable<Integer>, _>(query.campaign)
        .bind::<Nullable<Integer>, _>(scope.affiliate.or(query.affiliate))
        .bind::<Bool, _>(scope.advertiser.is_some())
        .bind::<Nullable<Integer>, _>(scope.advertiser)
        .load(&mut **conn)
        .await?;
    Ok(fold(&query.group, sums))
}

/// Sums the rows of the same keys: the statement returns a row per currency and status.
fn fold(group: &[Dimension], sums: Vec<Sum>) -> Report {
    let mut rows = BTreeMap::<Vec<Key>, Figures>::new();
    let mut total = Figures::default();
    for sum in sums {
        let figures = figures(&sum);
        total += &figures;
        *rows.entry(keys(group, sum)).or_default() += &figures;
    }
    let rows = rows
        .into_iter()
        .map(|(keys, figures)| Row { keys, figures })
        .collect();
    Report { total, rows }
}

fn figures(sum: &Sum) -> Figures {
    let mut figures = Figures {
        clicks: sum.clicks,
        unique_clicks: sum.unique_clicks,
        invalid_clicks: sum.invalid_clicks,
        ..Figures::default()
    };
    match sum.status.as_deref() {
        Some("pending") => figures.pending = sum.conversions,
        Some("approved") => figures.approved = sum.conversions,
        Some("rejected" | "reversed") => figures.rejected = sum.conversions,
        _ => {}
    }
    if let (Some(currency), Some("pending" | "approved")) = (sum.currency, sum.status.as_deref()) {
        let sums = Sums {
            commission_micros: sum.commission_micros,
            revenue_micros: sum.revenue_micros,
        };
        figures.money.insert(currency, sums);
    }
    figures
}

fn keys(group: &[Dimension], sum: Sum) -> Vec<Key> {
    let Sum {
        day,
        campaign_id,
        campaign,
        affiliate_id,
        affiliate,
        ..
    } = sum;
    let (mut campaign, mut affiliate) = (campaign.unwrap_or_default(), affiliate.unwrap_or_default());
    group
        .iter()
        .filter_map(|dimension| match dimension {
            Dimension::Day => day.map(|day| Key::Day(std::cmp::Reverse(day))),
            Dimension::Campaign => campaign_id.map(|id| Key::Campaign(std::mem::take(&mut campaign), id)),
            Dimension::Affiliate => affiliate_id.map(|id| Key::Affiliate(std::mem::take(&mut affiliate), id)),
        })
        .collect()
}
