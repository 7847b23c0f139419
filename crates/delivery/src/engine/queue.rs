//! Queueing: the deliveries that follow from new events.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use conversions::StoredEvent;
use schema::batch::{BatchError, IngestClient, Row};
use schema::{ConversionId, NetworkEventId, NetworkId, changes};
use tenancy::network_events::{self, StoredNetworkEvent};

/// Most events taken in one transaction.
const BATCH: i64 = 1000;
/// Lock that lets one node at a time queue, so that the events of a conversion are queued in their order.
const LOCK: &str = "SELECT pg_try_advisory_xact_lock(hashtext('queue deliveries')) AS is_ours";

schema::row! {
    struct QueuedEvent() {
        network_id: NetworkId,
        conversion_id: ConversionId,
        version: i32,
        kind: String,
        affiliate_id: schema::AffiliateId,
        campaign_id: schema::CampaignId,
        goal_id: schema::GoalId,
        at: chrono::DateTime<chrono::Utc>,
    }
}

/// An event waits behind an earlier one of its conversion that is retried later.
static QUEUE: LazyLock<String> = LazyLock::new(|| {
    format!(
        "INSERT INTO deliveries (network_id, destination_id, conversion_id, version, event, next_at)
         SELECT k.network_id, s.id, k.conversion_id, k.version, k.kind, greatest(now(), (
             SELECT max(w.next_at) FROM deliveries w
             WHERE w.network_id = k.network_id AND w.destination_id = s.id AND w.conversion_id = k.conversion_id
               AND w.state = 'waiting'))
         FROM {} JOIN destinations s ON s.network_id = k.network_id AND s.created_at <= k.at
             AND k.kind = ANY(string_to_array(s.events, ','))
             AND (s.affiliate_id IS NULL OR s.affiliate_id = k.affiliate_id)
             AND (s.campaign_id IS NULL OR s.campaign_id = k.campaign_id)
             AND (s.goal_id IS NULL OR s.goal_id = k.goal_id)
         ON CONFLICT (network_id, destination_id, conversion_id, version) DO NOTHING",
        QueuedEvent::unnest()
    )
});

schema::row! {
    struct QueuedNetworkEvent() {
        network_id: NetworkId,
        id: NetworkEventId,
        kind: String,
        at: chrono::DateTime<chrono::Utc>,
    }
}

static QUEUE_OF_NETWORK: LazyLock<String> = LazyLock::new(|| {
    format!(
        "INSERT INTO deliveries (network_id, destination_id, version, event, event_id)
         SELECT k.network_id, s.id, 0, k.kind, k.id
         FROM {} JOIN destinations s ON s.network_id = k.network_id AND s.created_at <= k.at
             AND k.kind = ANY(string_to_array(s.events, ','))
         ON CONFLICT DO NOTHING",
        QueuedNetworkEvent::unnest()
    )
});

/// Wakes programs that wait for events, and the engines of other nodes.
static SIGNAL: LazyLock<String> = LazyLock::new(|| {
    format!(
        "SELECT pg_notify('{}', n::text) FROM unnest($1::int4[]) n",
        changes::EVENTS_CHANNEL
    )
});

/// Queues the deliveries of new events; returns the number of events.
pub(super) async fn queue_new(client: &mut IngestClient) -> Result<usize, BatchError> {
    let transaction = client.begin().await?;
    let tx = transaction.tx();
    let locked = tx.query(LOCK, &[]).await?;
    let is_ours: bool = match locked.first() {
        Some(row) => schema::batch::read(row, 0)?,
        None => false,
    };
    if !is_ours {
        transaction.rollback().await?;
        return Ok(0);
    }
    let events = conversions::take_new(tx, BATCH).await?;
    let rows: Vec<QueuedEvent> = events.iter().map(QueuedEvent::from).collect();
    tx.execute_batch(&QUEUE, &rows).await?;
    let of_networks = network_events::take_new(tx, BATCH).await?;
    let network_rows: Vec<QueuedNetworkEvent> = of_networks.iter().map(QueuedNetworkEvent::from).collect();
    tx.execute_batch(&QUEUE_OF_NETWORK, &network_rows).await?;
    let networks: BTreeSet<i32> = rows
        .iter()
        .map(|row| row.network_id.0)
        .chain(network_rows.iter().map(|row| row.network_id.0))
        .collect();
    if !networks.is_empty() {
        let networks: Vec<i32> = networks.into_iter().collect();
        tx.query(&SIGNAL, &[&networks]).await?;
    }
    transaction.commit().await?;
    Ok(events.len() + of_networks.len())
}

impl From<&StoredNetworkEvent> for QueuedNetworkEvent {
    fn from(event: &StoredNetworkEvent) -> Self {
        Self {
            network_id: event.network_id,
            id: event.id,
            kind: event.kind.to_string(),
            at: event.at,
        }
    }
}

impl From<&StoredEvent> for QueuedEvent {
    fn from(event: &StoredEvent) -> Self {
        Self {
            network_id: event.network_id,
            conversion_id: event.conversion_id,
            version: event.version,
            kind: event.kind.to_string(),
            affiliate_id: event.affiliate_id,
            campaign_id: event.campaign_id,
            goal_id: event.goal_id,
            at: event.at,
        }
    }
}
