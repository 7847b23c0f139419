//! Callers who wait for the verdict on their postback.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use schema::PostbackId;
use tokio::sync::oneshot;

use postbacks::Reply;

/// Waiting callers by receipt. Cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct Waiting {
    callers: Arc<Mutex<HashMap<PostbackId, oneshot::Sender<Reply>>>>,
}

impl Waiting {
    /// Registers a caller for the verdict on this postback.
    pub(crate) fn wait_for(&self, id: PostbackId) -> Turn {
        let (caller, verdict) = oneshot::channel();
        self.callers
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(id, caller);
        Turn {
            id,
            waiting: self.clone(),
            verdict,
        }
    }

    /// True if a caller waits for the verdict on this postback.
    pub(crate) fn has(&self, id: PostbackId) -> bool {
        let callers = self.callers.lock().unwrap_or_else(PoisonError::into_inner);
        callers.contains_key(&id)
    }

    /// Replies to the callers who wait.
    pub(crate) fn reply(&self, replies: impl Iterator<Item = (PostbackId, Reply)>) {
        let mut callers = self.callers.lock().unwrap_or_else(PoisonError::into_inner);
        for (id, reply) in replies {
            // A caller who disconnected meanwhile finds the verdict in the list of postbacks.
            let _disconnected = callers.remove(&id).map(|caller| caller.send(reply));
        }
    }
}

/// Registration of a caller; removed when dropped.
pub(crate) struct Turn {
    id: PostbackId,
    waiting: Waiting,
    /// Reply, once the postback is decided.
    pub(crate) verdict: oneshot::Receiver<Reply>,
}

impl Drop for Turn {
    fn drop(&mut self) {
        let callers = &self.waiting.callers;
        callers
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&self.id);
    }
}
