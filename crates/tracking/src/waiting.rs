//! Callers who wait for the verdict on their postback.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use schema::PostbackId;
use tokio::sync::oneshot;

use crate::verdict::Told;

/// Who waits for what. Cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct Waiting {
    callers: Arc<Mutex<HashMap<PostbackId, oneshot::Sender<Told>>>>,
}

impl Waiting {
    /// Waits for the verdict on this postback, from now on.
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

    /// Tells verdicts to those who wait for them.
    pub(crate) fn tell(&self, verdicts: Vec<(PostbackId, Told)>) {
        let mut callers = self.callers.lock().unwrap_or_else(PoisonError::into_inner);
        for (id, verdict) in verdicts {
            if let Some(caller) = callers.remove(&id) {
                // A caller who went away meanwhile finds the verdict in the list.
                drop(caller.send(verdict));
            }
        }
    }
}

/// A caller's place among those who wait; given up when dropped.
pub(crate) struct Turn {
    id: PostbackId,
    waiting: Waiting,
    /// The verdict, when there is one.
    pub(crate) verdict: oneshot::Receiver<Told>,
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
