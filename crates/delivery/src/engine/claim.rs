//! Claiming: the deliveries that are due, a few of each destination, so that none delays another.

use std::collections::HashMap;
use std::sync::LazyLock;
use std::time::Duration;

use schema::batch::{BatchError, IngestClient, ReadRow, Row as _, Tx};
use schema::{DestinationId, NetworkId};

use crate::content::{Content, NetworkFacts};
use crate::facts::{COLUMNS, Facts, JOINS};
use crate::message::Target;

/// Most calls of a node to one destination at once.
const MAX_PER_DESTINATION: usize = 8;
/// Number of failures in a row after which a destination gets one call at a time.
pub(super) const FAILING_AFTER: usize = 3;
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
    pub(super) content: Content,
}

impl Job {
    pub(super) fn destination(&self) -> (NetworkId, DestinationId) {
        (self.target.network_id, self.destination_id)
    }
}

schema::row! {
    struct Head(read) { destination_id: DestinationId, number: i32, failures: i32 }
}

/// Turn of a round of claims.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    /// Events of networks.
    Network,
    /// First attempts of events of conversions.
    First,
    /// Retries of them.
    Retries,
}

/// Lanes: the destinations that have waiting deliveries, found by jumps along the index.
pub(super) fn lanes(condition: &str) -> String {
    format!(
        "WITH RECURSIVE lanes AS (
            (SELECT network_id, destination_id FROM deliveries d WHERE d.state = 'waiting' {condition}
             ORDER BY network_id, destination_id LIMIT 1)
            UNION ALL
            SELECT n.network_id, n.destination_id FROM lanes l CROSS JOIN LATERAL (
                SELECT d.network_id, d.destination_id FROM deliveries d
                WHERE d.state = 'waiting' AND (d.network_id, d.destination_id) > (l.network_id, l.destination_id) {condition}
                ORDER BY d.network_id, d.destination_id LIMIT 1) n
         )"
    )
}

/// From each lane come the deliveries that are due, as many as it has free calls.
fn statement(lane: &str, due: &str, columns: &str, joins: &str) -> String {
    let lanes = lanes(lane);
    format!(
        "{lanes}, open_lanes AS (
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
                  AND d.next_at <= now() {due}
                ORDER BY d.next_at LIMIT greatest(l.free, 0) FOR UPDATE OF d SKIP LOCKED) w
            LIMIT $4
         ), claimed AS (
            UPDATE deliveries d SET next_at = now() + interval '{LEASE_SECONDS} s'
            FROM due WHERE d.network_id = due.network_id AND d.id = due.id
            RETURNING d.network_id, d.id, d.destination_id, d.conversion_id, d.version, d.event_id, d.attempts, d.failures
         )
         SELECT d.destination_id, d.attempts + 1, d.failures,
                d.network_id, s.kind, s.method, s.format, s.url, s.sealed_url, s.value_maps, s.sends_order_ids, s.secret,
                s.former_secret, s.former_secret_until,
                d.id, {columns}
         FROM claimed d
         JOIN destinations s ON s.network_id = d.network_id AND s.id = d.destination_id
         {joins}"
    )
}

/// An event of a conversion waits for the earlier ones of its conversion. A delivery whose click is not stored yet is looked
/// at again after a second.
fn conversion_statement(is_retry: bool) -> String {
    let due = format!(
        "AND d.is_retry = {is_retry} AND d.event_id IS NULL AND NOT EXISTS (SELECT FROM deliveries e
            WHERE e.network_id = d.network_id AND e.destination_id = d.destination_id
              AND e.conversion_id = d.conversion_id AND e.version < d.version AND e.state = 'waiting')"
    );
    let joins = format!(
        "JOIN conversion_events e ON e.network_id = d.network_id AND e.conversion_id = d.conversion_id
             AND e.version = d.version
         {JOINS}"
    );
    statement("", &due, COLUMNS, &joins)
}

static CLAIM_FIRST: LazyLock<String> = LazyLock::new(|| conversion_statement(false));
static CLAIM_RETRIES: LazyLock<String> = LazyLock::new(|| conversion_statement(true));
/// The few events of networks have an index by themselves, and no order.
static CLAIM_NETWORK: LazyLock<String> = LazyLock::new(|| {
    let of_network = "AND d.event_id IS NOT NULL";
    let joins = "JOIN network_events e ON e.network_id = d.network_id AND e.id = d.event_id";
    statement(of_network, of_network, "e.kind, e.at, e.data", joins)
});
/// Time until the next delivery that only time holds back. A delivery that waits for a call in flight, or for the events in
/// front of it, follows from a result.
static UNTIL_DUE: LazyLock<String> = LazyLock::new(|| {
    format!(
        "{}
         SELECT min(extract(epoch FROM w.due - now()))::float8 FROM lanes l
         JOIN destinations s ON s.network_id = l.network_id AND s.id = l.destination_id AND s.state = 'active'
         JOIN networks n ON n.id = l.network_id AND n.status = 'active'
         CROSS JOIN (VALUES (false), (true)) AS k (is_retry)
         CROSS JOIN LATERAL (
             SELECT greatest(d.next_at, s.quiet_until) AS due FROM deliveries d
             WHERE d.network_id = l.network_id AND d.destination_id = l.destination_id AND d.state = 'waiting'
               AND d.is_retry = k.is_retry AND (d.next_at > now() OR s.quiet_until > now())
             ORDER BY d.next_at LIMIT 1) w",
        lanes("")
    )
});
static POSTPONE: &str = "UPDATE deliveries d SET next_at = now() + interval '1 s'
     FROM unnest($1::int4[], $2::uuid[]) AS k (network_id, id)
     WHERE d.network_id = k.network_id AND d.id = k.id";

/// Claims at most `limit` deliveries that are due.
pub(super) async fn claim(
    tx: Tx<'_>,
    turn: Turn,
    limit: usize,
    in_flight: &HashMap<(NetworkId, DestinationId), usize>,
) -> Result<Vec<Job>, BatchError> {
    let networks: Vec<i32> = in_flight.keys().map(|(network, _)| network.0).collect();
    let destinations: Vec<i32> = in_flight.keys().map(|(_, destination)| destination.0).collect();
    let busy: Vec<i64> = in_flight.values().map(|count| number(*count)).collect();
    let parameters: [&(dyn tokio_postgres::types::ToSql + Sync); 4] =
        [&networks, &destinations, &busy, &number(limit)];
    let statement: &'static str = match turn {
        Turn::Network => &CLAIM_NETWORK,
        Turn::First => &CLAIM_FIRST,
        Turn::Retries => &CLAIM_RETRIES,
    };
    let rows = tx.query(statement, &parameters).await?;
    let jobs = rows
        .iter()
        .map(|row| read(row, turn))
        .collect::<Result<Vec<Job>, BatchError>>()?;
    let waiting: Vec<&Job> = jobs.iter().filter(|job| job.content.lacks_click()).collect();
    if !waiting.is_empty() {
        let networks: Vec<i32> = waiting.iter().map(|job| job.target.network_id.0).collect();
        let ids: Vec<uuid::Uuid> = waiting.iter().map(|job| job.content.delivery_id().0).collect();
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

fn read(row: &tokio_postgres::Row, turn: Turn) -> Result<Job, BatchError> {
    let head = Head::read(row)?;
    let target = Target::read_from(row, Head::COLUMNS.len())?;
    let first = Head::COLUMNS.len() + Target::COLUMNS.len();
    let content = match turn {
        Turn::Network => Content::Network(NetworkFacts::read_from(row, first)?),
        Turn::First | Turn::Retries => Content::Conversion(Box::new(Facts::read_from(row, first)?)),
    };
    Ok(Job {
        destination_id: head.destination_id,
        number: head.number,
        failures: head.failures,
        target,
        content,
    })
}
