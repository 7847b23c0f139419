//! Events of a network that are about no conversion, for its webhooks and its event stream. They are stored by the
//! transaction that causes them.

use std::sync::LazyLock;

use chrono::{DateTime, Utc};
use diesel::QueryResult;
use diesel::sql_types::{Integer, Jsonb, Text, Timestamptz, Uuid as SqlUuid};
use diesel_async::RunQueryDsl;
use schema::batch::{BatchError, ReadRow as _, Row as _, Tx};
use schema::{NetworkConn, NetworkEventId, NetworkId, changes, text_enum};
use serde_json::Value;

text_enum! {
    /// Kind of an event of a network.
    pub enum NetworkEventKind {
        /// A prospective affiliate applied.
        AffiliateApplied = "affiliate.applied",
        /// An alert about the integration of an advertiser opened.
        IntegrationFailing = "integration.failing",
        /// An alert is over.
        IntegrationRecovered = "integration.recovered",
    }
}

schema::row! {
    /// Event that was stored, without its content.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct StoredNetworkEvent(read) {
        /// Tenant.
        pub network_id: NetworkId,
        /// Event.
        pub id: NetworkEventId,
        /// Kind.
        pub kind: NetworkEventKind,
        /// Time of the event.
        pub at: DateTime<Utc>,
    }
}

/// Stores nothing for networks without destinations and event consumers.
static INSERT: LazyLock<String> = LazyLock::new(|| {
    format!(
        "WITH stored AS (
             INSERT INTO network_events (network_id, id, kind, at, data) SELECT $1, $2, $3, $4, $5
             WHERE EXISTS (SELECT FROM destinations d WHERE d.network_id = $1)
                 OR EXISTS (SELECT FROM event_consumers r WHERE r.network_id = $1)
             RETURNING network_id)
         SELECT pg_notify('{}', network_id::text) FROM stored",
        changes::EVENTS_CHANNEL
    )
});
/// Gives each event its position in the stream of its network.
static TAKE_NEW: LazyLock<String> = LazyLock::new(|| {
    format!(
        "WITH taken AS (
             SELECT network_id, id FROM network_events WHERE NOT is_queued ORDER BY at, id LIMIT $1 FOR UPDATE SKIP LOCKED
         ), streams AS (
             INSERT INTO event_streams AS s (network_id, position)
             SELECT network_id, count(*) FROM taken GROUP BY network_id
             ON CONFLICT (network_id) DO UPDATE SET position = s.position + excluded.position
             RETURNING s.network_id, s.position
         ), placed AS (
             SELECT t.network_id, t.id, s.position - count(*) OVER (PARTITION BY t.network_id)
                 + row_number() OVER (PARTITION BY t.network_id ORDER BY t.id) AS position
             FROM taken t JOIN streams s ON s.network_id = t.network_id
         )
         UPDATE network_events e SET is_queued = true, position = p.position, queued_at = now() FROM placed p
         WHERE e.network_id = p.network_id AND e.id = p.id RETURNING {}",
        StoredNetworkEvent::columns_of("e")
    )
});
/// An event stays as long as a delivery needs it.
const REMOVE_OLD: &str = "
    WITH removed AS (
        DELETE FROM network_events e WHERE e.network_id = $1 AND e.id IN (
            SELECT o.id FROM network_events o
            WHERE o.network_id = $1 AND o.is_queued AND o.at < $2 AND o.queued_at < $2
                AND NOT EXISTS (SELECT FROM destinations s JOIN deliveries d
                    ON d.network_id = s.network_id AND d.destination_id = s.id
                    WHERE s.network_id = $1 AND d.event_id = o.id)
            ORDER BY o.at LIMIT 5000)
        RETURNING e.position
    )
    UPDATE event_streams s SET removed = r.position FROM (SELECT max(position) AS position FROM removed) r
    WHERE s.network_id = $1 AND s.removed < r.position";

/// Stores an event with its content in the current transaction, if a system of the network may want it.
///
/// # Errors
/// Database errors.
pub async fn store(
    conn: &mut NetworkConn,
    kind: NetworkEventKind,
    data: Value,
    at: DateTime<Utc>,
) -> QueryResult<()> {
    let network_id = conn.network_id();
    diesel::sql_query(&*INSERT)
        .bind::<Integer, _>(network_id)
        .bind::<SqlUuid, _>(NetworkEventId::fresh(at))
        .bind::<Text, _>(kind)
        .bind::<Timestamptz, _>(at)
        .bind::<Jsonb, _>(data)
        .execute(&mut **conn)
        .await?;
    Ok(())
}

/// Takes stored events of all networks that were not taken before, at most `limit`, and gives them their positions in the
/// streams. One transaction at a time may take events.
///
/// # Errors
/// Returns an error if the database fails.
pub async fn take_new(tx: Tx<'_>, limit: i64) -> Result<Vec<StoredNetworkEvent>, BatchError> {
    let rows = tx.query(&TAKE_NEW, &[&limit]).await?;
    Ok(rows
        .iter()
        .map(StoredNetworkEvent::read)
        .collect::<Result<_, _>>()?)
}

/// Removes events of the network that happened before a time, a few thousand at once.
///
/// # Errors
/// Database errors.
pub async fn remove_old(conn: &mut NetworkConn, before: DateTime<Utc>) -> QueryResult<()> {
    let network_id = conn.network_id();
    diesel::sql_query(REMOVE_OLD)
        .bind::<Integer, _>(network_id)
        .bind::<Timestamptz, _>(before)
        .execute(&mut **conn)
        .await?;
    Ok(())
}
