//! Report of thirty days by affiliate and day for one network, from the rollups, beside the same from the raw rows.

use std::time::Instant;

use tokio_postgres::{Client, Row};

use super::Effort;
use super::figures::{Line, median, percentile};
use super::testbed::Testbed;
use crate::Outcome;

/// Runs of the report in a round.
const RUNS_PER_ROUND: usize = 20;

/// Statement of the crate `reports`, except for its bounds.
const FROM_ROLLUPS: &str = "
    SELECT hour AS at, campaign_id, affiliate_id, NULL AS currency, NULL AS status,
           clicks, 0 AS conversions, 0 AS commission_micros, 0 AS revenue_micros
    FROM click_rollups WHERE network_id = $1 AND hour >= {from} AND hour < {to}
    UNION ALL
    SELECT hour, campaign_id, affiliate_id, currency, status,
           0, conversions, commission_micros, revenue_micros
    FROM conversion_rollups WHERE network_id = $1 AND hour >= {from} AND hour < {to}";

const FROM_ROWS: &str = "
    SELECT clicked_at AS at, campaign_id, affiliate_id, NULL AS currency, NULL AS status,
           1 AS clicks, 0 AS conversions, 0 AS commission_micros, 0 AS revenue_micros
    FROM clicks WHERE network_id = $1 AND id >= click_key_floor({from} AT TIME ZONE 'UTC')
                  AND id < click_key_floor({to} AT TIME ZONE 'UTC')
    UNION ALL
    SELECT converted_at, campaign_id, affiliate_id, currency, status, 0, 1, commission_micros, revenue_micros
    FROM conversions WHERE network_id = $1 AND converted_at >= {from} AND converted_at < {to}";

const REPORT: &str = "
    WITH sums AS (
        SELECT CASE WHEN 'day' = ANY ($3) THEN (at AT TIME ZONE $2)::date END AS day,
               CASE WHEN 'campaign' = ANY ($3) THEN campaign_id END AS campaign_id,
               CASE WHEN 'affiliate' = ANY ($3) THEN affiliate_id END AS affiliate_id,
               currency, status,
               sum(clicks)::bigint AS clicks, sum(conversions)::bigint AS conversions,
               least(sum(commission_micros), 9223372036854775807)::bigint AS commission_micros,
               least(sum(revenue_micros), 9223372036854775807)::bigint AS revenue_micros
        FROM ({events}) events
        GROUP BY 1, 2, 3, currency, status
    )
    SELECT day::text, sums.affiliate_id, clicks, campaigns.name AS campaign, affiliates.name AS affiliate
    FROM sums
    LEFT JOIN campaigns ON campaigns.network_id = $1 AND campaigns.id = sums.campaign_id
    LEFT JOIN affiliates ON affiliates.network_id = $1 AND affiliates.id = sums.affiliate_id
    ORDER BY 1, 2";

/// Measures the report both ways, under row-level security.
pub(super) async fn both(testbed: &mut Testbed, effort: Effort) -> Outcome<Vec<Line>> {
    let network = testbed.preloaded.links.first().ok_or("no links")?.network;
    let client = testbed.cluster.client().await?;
    client
        .batch_execute(&format!(
            "SET ROLE clickledger_web; SET clickledger.network_id = '{network}'"
        ))
        .await?;
    let [rollups, rows] = [FROM_ROLLUPS, FROM_ROWS].map(|events| statement(testbed, events));
    let (mut fast, mut slow, mut all) = (vec![], vec![], vec![]);
    for _ in 0..effort.rounds {
        let (took, by_rows) = run(&client, &rows, network).await?;
        slow.push(took);
        let mut times = vec![];
        for _ in 0..RUNS_PER_ROUND {
            let (took, by_rollups) = run(&client, &rollups, network).await?;
            times.push(took);
            if by_rollups != by_rows {
                return Err("the rollups and the rows differ".into());
            }
        }
        fast.push(median(&times));
        all.extend(times);
    }
    let clicks = testbed.preloaded.count / 10;
    Ok(vec![
        Line::of(
            format!("30 days by affiliate and day, {clicks} clicks"),
            "ms",
            fast,
        )
        .against("from raw rows", &slow)
        .at_most(0.1),
        Line::of("that report, p95 of all", "ms", vec![percentile(&all, 95.0)]).at_most(100.0),
    ])
}

/// Returns the statement over the whole hours of the preloaded clicks.
fn statement(testbed: &Testbed, events: &str) -> String {
    let hour = |ms: u64| format!("date_trunc('hour', to_timestamp({ms} / 1000.0))");
    let (from, to) = (
        testbed.preloaded.from_ms,
        testbed.preloaded.from_ms + testbed.preloaded.span_ms,
    );
    REPORT
        .replace("{events}", events)
        .replace("{from}", &format!("({} + interval '1 hour')", hour(from)))
        .replace("{to}", &hour(to))
}

/// Line of the report: day, affiliate, clicks.
type ReportLine = (String, i32, i64);

/// Returns the milliseconds until the whole result has arrived, and the result.
async fn run(client: &Client, statement: &str, network: i32) -> Outcome<(f64, Vec<ReportLine>)> {
    let statement = client.prepare(statement).await?;
    let group = ["affiliate", "day"].as_slice();
    let began = Instant::now();
    let rows = client
        .query(&statement, &[&network, &"Europe/Warsaw", &group])
        .await?;
    let took = began.elapsed().as_secs_f64() * 1e3;
    let line = |row: &Row| (row.get(0), row.get(1), row.get(2));
    let lines: Vec<ReportLine> = rows.iter().map(line).collect();
    if lines.is_empty() {
        Err("the report is empty".into())
    } else {
        Ok((took, lines))
    }
}
