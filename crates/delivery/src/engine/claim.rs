//! Claiming: the deliveries that are due, a few of each destination, so that none delays another.

use std::collections::HashMap;
use std::sync::LazyLock;

use schema::batch::{BatchError, ReadRow, Row as _, Tx};
use schema::{DestinationId, NetworkId};

use crate::facts::Facts;
use crate::message::Target;

/// Most calls of a node to one destination at once.
const MAX_PER_DESTINATION: usize = 8;
/// Number of failures in a row after which a destination gets one call at a time.
const FAILING_AFTER: usize = 3;
/// Time for which a claim holds, in seconds: longer than a call takes.
const LEASE_SECONDS: u32 = 30;
/// Longest wait for the row of a click that was redirected and is not stored yet, in seconds.
const CLICK_WAIT_SECONDS: u32 = 60;

/// A claimed delivery.
#[derive(Debug, Clone)]
pub(super) struct Job {
    pub(super) destination_id: DestinationId,
    /// Number of the attempt, from 1.
    pub(super) number: i32,
    /// Number of failed attempts so far.
    pub(super) failures: i32,
    pub(super) target: Target,
    pub(super) facts: Facts,
}

impl Job {
    pub(super) fn destination(&self) -> (NetworkId, DestinationId) {
        (self.target.network_id, self.destination_id)
    }
}

schema::row! {
    struct Head(read) { destination_id: DestinationId, number: i32, failures: i32 }
}

/// The lanes are the destinations that have waiting deliveries, found by jumps along the index. From each lane come the
/// deliveries that are due and have no earlier event of their conversion in front of them. A delivery whose click is not
/// stored yet is looked at again after a second.
static CLAIM: LazyLock<String> = LazyLock::new(|| {
    format!(
        "WITH RECURSIVE lanes AS (
            (SELECT network_id, destination_id FROM deliveries WHERE state = 'waiting'
             ORDER BY network_id, destination_id LIMIT 1)
            UNION ALL
            SELECT n.network_id, n.destination_id FROM lanes l CROSS JOIN LATERAL (
                SELECT d.network_id, d.destination_id FROM deliveries d
                WHERE d.state = 'waiting' AND (d.network_id, d.destination_id) > (l.network_id, l.destination_id)
                ORDER BY d.network_id, d.destination_id LIMIT 1) n
         ), open_lanes AS (
            SELECT l.network_id, l.destination_id,
                   CASE WHEN s.failures >= {FAILING_AFTER} THEN 1 ELSE {MAX_PER_DESTINATION} END
                       - coalesce(b.busy, 0) AS free
            FROM lanes l
            JOIN destinations s ON s.network_id = l.network_id AND s.id = l.destination_id
                AND s.state = 'active' AND (s.quiet_until IS NULL OR s.quiet_until <= now())
            JOIN networks n ON n.id = l.network_id AND n.status = 'active'
            LEFT JOIN unnest($1::int4[], $2::int4[], $3::int8[]) AS b (network_id, destination_id, busy)
                ON b.network_id = l.network_id AND b.destination_id = l.destination_id
         ), due AS (
            SELECT w.network_id, w.id FROM open_lanes l CROSS JOIN LATERAL (
                SELECT d.network_id, d.id FROM deliveries d
                WHERE d.network_id = l.network_id AND d.destination_id = l.destination_id AND d.state = 'waiting'
                  AND d.is_retry = $4 AND d.next_at <= now()
                  AND NOT EXISTS (SELECT FROM deliveries e
                      WHERE e.network_id = d.network_id AND e.destination_id = d.destination_id
                        AND e.conversion_id = d.conversion_id AND e.version < d.version AND e.state = 'waiting')
                ORDER BY d.next_at LIMIT greatest(l.free, 0) FOR UPDATE OF d SKIP LOCKED) w
            LIMIT $5
         ), claimed AS (
            UPDATE deliveries d SET next_at = now() + interval '{LEASE_SECONDS} s'
            FROM due WHERE d.network_id = due.network_id AND d.id = due.id
            RETURNING d.network_id, d.id, d.destination_id, d.conversion_id, d.version, d.attempts, d.failures,
                      d.queued_at
         )
         SELECT d.destination_id, d.attempts + 1, d.failures,
                d.network_id, s.kind, s.method, s.url, s.sealed_url, s.value_maps, s.sends_order_ids, s.secret,
                s.former_secret, s.former_secret_until,
                d.id, d.network_id, e.kind, e.at, e.conversion_id, e.version, c.converted_at, e.status,
                c.advertiser_id, e.affiliate_id, e.campaign_id, m.name, e.goal_id, g.code, e.link_id, e.click_id,
                n.click_key_number::int4, n.click_key_since, c.order_id, c.coupon,
                coalesce(c.country, k.country, c.visit[6]), e.amount_micros, e.commission_micros, e.revenue_micros,
                e.currency, coalesce(k.sub1, c.visit[1]), coalesce(k.sub2, c.visit[2]), coalesce(k.sub3, c.visit[3]),
                coalesce(k.sub4, c.visit[4]), coalesce(k.sub5, c.visit[5]),
                e.click_id IS NOT NULL AND k.id IS NULL AND c.visit IS NULL
                    AND d.queued_at > now() - interval '{CLICK_WAIT_SECONDS} s'
         FROM claimed d
         JOIN destinations s ON s.network_id = d.network_id AND s.id = d.destination_id
         JOIN conversion_events e ON e.network_id = d.network_id AND e.conversion_id = d.conversion_id
             AND e.version = d.version
         JOIN conversions c ON c.network_id = d.network_id AND c.id = d.conversion_id
         JOIN campaigns m ON m.network_id = e.network_id AND m.id = e.campaign_id
         JOIN goals g ON g.network_id = e.network_id AND g.id = e.goal_id
         JOIN networks n ON n.id = d.network_id
         LEFT JOIN clicks k ON k.network_id = e.network_id AND k.id = e.click_id"
    )
});
static POSTPONE: &str = "UPDATE deliveries d SET next_at = now() + interval '1 s'
     FROM unnest($1::int4[], $2::uuid[]) AS k (network_id, id)
     WHERE d.network_id = k.network_id AND d.id = k.id";

/// Statement that claims, so that a test can check its plan.
#[must_use]
pub fn claim_statement() -> &'static str {
    &CLAIM
}

/// Claims at most `limit` deliveries that are due: first attempts, or retries.
pub(super) async fn claim(
    tx: Tx<'_>,
    is_retry: bool,
    limit: usize,
    in_flight: &HashMap<(NetworkId, DestinationId), usize>,
) -> Result<Vec<Job>, BatchError> {
    let networks: Vec<i32> = in_flight.keys().map(|(network, _)| network.0).collect();
    let destinations: Vec<i32> = in_flight.keys().map(|(_, destination)| destination.0).collect();
    let busy: Vec<i64> = in_flight.values().map(|count| number(*count)).collect();
    let parameters: [&(dyn tokio_postgres::types::ToSql + Sync); 5] =
        [&networks, &destinations, &busy, &is_retry, &number(limit)];
    let rows = tx.query(&CLAIM, &parameters).await?;
    let jobs = rows.iter().map(read).collect::<Result<Vec<Job>, BatchError>>()?;
    let waiting: Vec<&Job> = jobs.iter().filter(|job| job.facts.lacks_click).collect();
    if !waiting.is_empty() {
        let networks: Vec<i32> = waiting.iter().map(|job| job.target.network_id.0).collect();
        let ids: Vec<uuid::Uuid> = waiting.iter().map(|job| job.facts.delivery_id.0).collect();
        tx.query(POSTPONE, &[&networks, &ids]).await?;
    }
    Ok(jobs)
}

fn number(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

fn read(row: &tokio_postgres::Row) -> Result<Job, BatchError> {
    let head = Head::read(row)?;
    let target = Target::read_from(row, Head::COLUMNS.len())?;
    let facts = Facts::read_from(row, Head::COLUMNS.len() + Target::COLUMNS.len())?;
    Ok(Job {
        destination_id: head.destination_id,
        number: head.number,
        failures: head.failures,
        target,
        facts,
    })
}
