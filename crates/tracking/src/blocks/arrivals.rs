//! Arrivals: the clicks that an applier is about to store, of which some may belong to a closed span.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use chrono::{DateTime, Utc};
use schema::NetworkId;
use schema::batch::{BatchError, Row, Tx};

use super::LOCKS;

schema::row! {
    struct Sharer() {
        network_id: NetworkId,
    }
}

schema::row! {
    struct Arrival() {
        network_id: NetworkId,
        minute: DateTime<Utc>,
    }
}

static SHARE_LOCKS: LazyLock<String> = LazyLock::new(|| {
    format!(
        "SELECT pg_advisory_xact_lock_shared({LOCKS} + k.network_id) FROM {}",
        Sharer::unnest()
    )
});

/// Marks the blocks that contain part of a minute in which clicks arrive. Spans end at full minutes.
static MARK: LazyLock<String> = LazyLock::new(|| {
    format!(
        "UPDATE click_blocks b SET late = late + 1
         FROM (SELECT DISTINCT b.network_id, b.from_at FROM {} JOIN click_blocks b
               ON b.network_id = k.network_id AND b.until_at > k.minute AND b.from_at <= k.minute
               WHERE NOT b.is_sealed) late
         WHERE b.network_id = late.network_id AND b.from_at = late.from_at",
        Arrival::unnest()
    )
});

/// Networks and minutes of the clicks of a transaction.
#[derive(Debug, Default)]
pub(crate) struct Arrivals(BTreeSet<(NetworkId, i64)>);

impl Arrivals {
    /// Adds a click.
    pub(crate) fn add(&mut self, network_id: NetworkId, at: DateTime<Utc>) {
        self.0.insert((network_id, at.timestamp().div_euclid(60)));
    }

    /// Shares the locks of the networks until the end of the transaction, and marks the blocks that the clicks belong to.
    pub(crate) async fn announce(&self, tx: Tx<'_>) -> Result<(), BatchError> {
        let mut sharers: Vec<Sharer> = Vec::new();
        let mut arrivals = Vec::with_capacity(self.0.len());
        for (network_id, minute) in &self.0 {
            if sharers.last().is_none_or(|last| last.network_id != *network_id) {
                sharers.push(Sharer {
                    network_id: *network_id,
                });
            }
            arrivals.push(Arrival {
                network_id: *network_id,
                minute: DateTime::from_timestamp(minute * 60, 0)
                    .ok_or_else(|| BatchError::Invalid("a click in an impossible minute".to_owned()))?,
            });
        }
        // A statement before the other, so that the second sees every block that was closed before the lock.
        tx.query_batch(&SHARE_LOCKS, &sharers).await?;
        tx.execute_batch(&MARK, &arrivals).await?;
        Ok(())
    }
}
