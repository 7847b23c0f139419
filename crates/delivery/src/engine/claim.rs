//! Claiming: the deliveries that are due, a few of each destination, so that none delays another.

use std::collections::HashMap;
use std::sync::LazyLock;
use std::time::Duration;

use schema::batch::{BatchError, IngestClient, ReadRow, Row as _, Tx};
use schema::{DestinationId, NetworkId};

use crate::facts::{COLUMNS, Facts, JOINS};
use crate::message::Target;

/// Most calls of a node to one destination at once.
const MAX_PER_DESTINATION: usize = 8;
/// Number of failures in a row after which a destination gets one call at a time.
const FAILING_AFTER: usize = 3;
/// Time for which a claim holds, in seconds: longer than a call takes.
const LEASE_SECONDS: u32 = 30;

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

/// The lanes are the destinations that have waiting deliveries, found by jumps along the index.
const LANES: &str = "WITH RECURSIVE lanes AS (
    (SELECT network_id, destination_id FROM deliveries WHERE state = 'waiting'
     ORDER BY network_id, destination_id LIMIT 1)
    UNION ALL
    SELECT n.network_id, n.destination_id FROM lanes l CROSS JOIN LATERAL (
        SELECT d.network_id, d.destination_id FROM deliveries d
        WHERE d.state = 'waiting' AND (d.network_id, d.destination_id) > (l.network_id, l.destination_id)
        ORDER BY d.network_id, d.destination_id LIMIT 1) n
 )";
/// From each lane come the deliveries that are due and have no earlier event of their conversion in front of them. A delivery whose click is not
/// stored yet is looked at again after a second.
static CLAIM: LazyLock<String> = LazyLock::new(|| {
    format!(
        "{LANES}, open_lanes AS (
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
            RETURNING d.network_id, d.id, d.destination_id, d.conversion_id, d.version, d.attempts, d.failures
         )
         SELECT d.destination_id, d.attempts + 1, d.failures,
                d.network_id, s.kind, s.method, s.url, s.sealed_url, s.value_maps, s.sends_order_ids, s.secret,
                s.former_secret, s.former_secret_until,
                d.id, {COLUMNS}
         FROM claimed d
         JOIN destinations s ON s.network_id = d.network_id AND s.id = d.destination_id
         JOIN conversion_events e ON e.network_id = d.network_id AND e.conversion_id = d.conversion_id
             AND e.version = d.version
         {JOINS}"
    )
});
/// Time until the next delivery that only time holds back. A delivery that waits for a call in flight, or for the events in
/// front of it, follows from a result.
static UNTIL_DUE: LazyLock<String> = LazyLock::new(|| {
    format!(
        "{LANES}
         SELECT min(extract(epoch FROM w.due - now()))::float8 FROM lanes l
         JOIN destinations s ON s.network_id = l.network_id AND s.id = l.destination_id AND s.state = 'active'
         JOIN networks n ON n.id = l.network_id AND n.status = 'active'
         CROSS JOIN (VALUES (false), (true)) AS k (is_retry)
         CROSS JOIN LATERAL (
             SELECT greatest(d.next_at, s.quiet_until) AS due FROM deliveries d
             WHERE d.network_id = l.network_id AND d.destination_id = l.destination_id AND d.state = 'waiting'
               AND d.is_retry = k.is_retry AND (d.next_at > now() OR s.quiet_until > now())
             ORDER BY d.next_at LIMIT 1) w"
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

/// Time until a delivery becomes due; a day without one.
pub(super) async fn until_due(client: &mut IngestClient) -> Result<Duration, BatchError> {
    let transaction = client.begin().await?;
    let found = transaction.tx().query(&UNTIL_DUE, &[]).await?;
    transaction.commit().await?;
    let seconds: Option<f64> = match found.first() {
        Some(row) => schema::batch::read(row, 0)?,
        None => None,
    };
    let pause = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds.max(0.0)).ok());
    Ok(pause.unwrap_or(Duration::from_secs(24 * 3600)))
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
