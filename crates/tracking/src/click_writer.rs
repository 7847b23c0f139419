//! Group commit for clicks: everyone who arrives while one transaction is being committed shares the next one.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono_tz::Tz;
use schema::{Db, DbError, NetworkId};
use tokio::sync::{mpsc, oneshot};

use crate::clicks::{self, NewClick};

/// Most clicks in one transaction.
const BATCH: usize = 1024;
/// Clicks that may wait; one more is told at once that we are too busy.
const QUEUE: usize = 16 * 1024;
/// How long a visitor is made to wait for the disk before being told to come back.
const PATIENCE: Duration = Duration::from_secs(3);

/// A click could not be stored, so it must not be acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the click could not be stored")]
pub(crate) struct NotStored;

struct Waiting {
    network_id: NetworkId,
    time_zone: Tz,
    click: NewClick,
    stored: oneshot::Sender<()>,
}

/// Hands clicks to the task that stores them. Cheap to clone.
#[derive(Clone)]
pub(crate) struct ClickWriter {
    queue: mpsc::Sender<Waiting>,
}

impl ClickWriter {
    /// Starts the task that stores clicks; it ends when the last clone is dropped.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub(crate) fn start(db: Db) -> Self {
        let (queue, waiting) = mpsc::channel(QUEUE);
        tokio::spawn(store_all(db, waiting));
        Self { queue }
    }

    /// Stores a click. When this returns `Ok`, the click is committed and on disk.
    ///
    /// # Errors
    /// [`NotStored`] when too many wait, the database fails, or it does not answer within 3 s (in which case the
    /// click may be stored all the same; an unacknowledged extra click harms nobody).
    pub(crate) async fn store(
        &self,
        network_id: NetworkId,
        time_zone: Tz,
        click: NewClick,
    ) -> Result<(), NotStored> {
        let (stored, confirmation) = oneshot::channel();
        self.queue
            .try_send(Waiting {
                network_id,
                time_zone,
                click,
                stored,
            })
            .map_err(|_| NotStored)?;
        match tokio::time::timeout(PATIENCE, confirmation).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(NotStored),
        }
    }
}

async fn store_all(db: Db, mut waiting: mpsc::Receiver<Waiting>) {
    let mut batch = Vec::with_capacity(BATCH);
    while waiting.recv_many(&mut batch, BATCH).await > 0 {
        let mut by_network = BTreeMap::<NetworkId, (Tz, Vec<NewClick>, Vec<oneshot::Sender<()>>)>::new();
        for Waiting {
            network_id,
            time_zone,
            click,
            stored,
        } in batch.drain(..)
        {
            let (_, clicks, confirmations) = by_network
                .entry(network_id)
                .or_insert_with(|| (time_zone, Vec::new(), Vec::new()));
            clicks.push(click);
            confirmations.push(stored);
        }
        for (network_id, (time_zone, clicks, confirmations)) in by_network {
            match store(&db, network_id, time_zone, &clicks).await {
                // A receiver that is gone is a visitor who went away; the click counts all the same.
                Ok(()) => {
                    for stored in confirmations {
                        let _ = stored.send(());
                    }
                }
                // Dropping the senders tells every waiting visitor.
                Err(error) => {
                    tracing::error!(%error, %network_id, clicks = clicks.len(), "clicks not stored")
                }
            }
        }
    }
}

async fn store(db: &Db, network_id: NetworkId, time_zone: Tz, batch: &[NewClick]) -> Result<(), DbError> {
    let mut conn = db.network(network_id).await?;
    clicks::store(&mut conn, time_zone, batch).await?;
    conn.commit().await
}
