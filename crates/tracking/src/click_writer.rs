//! Group commit for clicks: everyone who arrives while one transaction is being committed shares the next one.
//!
//! Each network has a task of its own, so that a lock or a burst in one network keeps no visitor of another waiting.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use schema::{Db, DbError, NetworkId};
use tenancy::networks::Network;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};

use crate::clicks::{self, NewClick};

/// Most clicks in one transaction.
const BATCH: usize = 1024;
/// Clicks of one network that may wait; one more is told at once that we are too busy.
const QUEUE: usize = 16 * 1024;
/// How long one transaction may take before the next batch is tried on another connection.
const PATIENCE: Duration = Duration::from_secs(3);

/// A click could not be stored, so it must not be acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the click could not be stored")]
pub(crate) struct NotStored;

struct Waiting {
    click: NewClick,
    stored: oneshot::Sender<()>,
}

/// Hands clicks to the tasks that store them. Cheap to clone.
#[derive(Clone)]
pub(crate) struct ClickWriter {
    db: Db,
    runtime: Handle,
    queues: Arc<Mutex<HashMap<NetworkId, mpsc::Sender<Waiting>>>>,
}

impl ClickWriter {
    /// Prepares the writer; its tasks run on the current runtime and end when the last clone is dropped.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub(crate) fn new(db: Db) -> Self {
        Self {
            db,
            runtime: Handle::current(),
            queues: Arc::default(),
        }
    }

    /// Stores a click. When this returns `Ok`, the click is committed and on disk.
    ///
    /// # Errors
    /// [`NotStored`] when too many wait or the database fails. A caller who stops waiting may have it stored all the
    /// same: an unacknowledged extra click harms nobody.
    pub(crate) async fn store(&self, network: &Network, click: NewClick) -> Result<(), NotStored> {
        let (stored, confirmation) = oneshot::channel();
        self.queue(network)
            .try_send(Waiting { click, stored })
            .map_err(|_| NotStored)?;
        confirmation.await.map_err(|_| NotStored)
    }

    /// The queue of a network; its task is started on the first click, and again should it ever have died.
    fn queue(&self, network: &Network) -> mpsc::Sender<Waiting> {
        let mut queues = self.queues.lock().unwrap_or_else(PoisonError::into_inner);
        match queues.get(&network.id) {
            Some(queue) if !queue.is_closed() => queue.clone(),
            _ => {
                let (queue, waiting) = mpsc::channel(QUEUE);
                self.runtime
                    .spawn(store_all(self.db.clone(), network.clone(), waiting));
                queues.insert(network.id, queue.clone());
                queue
            }
        }
    }
}

async fn store_all(db: Db, network: Network, mut waiting: mpsc::Receiver<Waiting>) {
    let mut batch = Vec::with_capacity(BATCH);
    while waiting.recv_many(&mut batch, BATCH).await > 0 {
        let (clicks, confirmations): (Vec<_>, Vec<_>) = batch
            .drain(..)
            .map(|Waiting { click, stored }| (click, stored))
            .unzip();
        match tokio::time::timeout(PATIENCE, store(&db, &network, &clicks)).await {
            Ok(Ok(())) => {
                for stored in confirmations {
                    // A receiver that is gone is a visitor who went away; the click counts all the same.
                    let _ = stored.send(());
                }
            }
            // Dropping the senders tells every waiting visitor.
            Ok(Err(error)) => {
                tracing::error!(%error, network = %network.id, clicks = clicks.len(), "clicks not stored");
            }
            Err(_) => {
                tracing::error!(network = %network.id, clicks = clicks.len(), "clicks not stored within 3 s");
            }
        }
    }
}

async fn store(db: &Db, network: &Network, batch: &[NewClick]) -> Result<(), DbError> {
    let mut conn = db.network(network.id).await?;
    clicks::store(&mut conn, network.time_zone(), batch).await?;
    conn.commit().await
}
