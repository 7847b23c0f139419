//! A batch that is not yet on disk, and the future of its records.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use crate::locked;
use crate::settings::Refused;

const UNDER_WAY: u8 = 0;
const ON_DISK: u8 = 1;
const FULL: u8 = 2;
const FAILING: u8 = 3;
const CLOSED: u8 = 4;

/// State shared by the records of one worker in one batch.
#[derive(Default)]
pub(crate) struct PendingBatch {
    outcome: AtomicU8,
    waiters: Mutex<Vec<Waker>>,
}

impl PendingBatch {
    pub(crate) fn with_capacity(waiters: usize) -> Arc<Self> {
        Arc::new(PendingBatch {
            outcome: AtomicU8::new(UNDER_WAY),
            waiters: Mutex::new(Vec::with_capacity(waiters)),
        })
    }

    fn outcome(&self) -> Option<Result<(), Refused>> {
        match self.outcome.load(Ordering::Acquire) {
            UNDER_WAY => None,
            ON_DISK => Some(Ok(())),
            FULL => Some(Err(Refused::Full)),
            FAILING => Some(Err(Refused::Failing)),
            _ => Some(Err(Refused::Closed)),
        }
    }

    /// Stores the outcome without waking the waiters.
    pub(crate) fn settle(&self, outcome: Result<(), Refused>) {
        let code = match outcome {
            Ok(()) => ON_DISK,
            Err(Refused::Full) => FULL,
            Err(Refused::Failing) => FAILING,
            Err(Refused::Closed | Refused::TooLarge) => CLOSED,
        };
        self.outcome.store(code, Ordering::Release);
    }

    pub(crate) fn wake(&self) {
        // Taken out first, because a waiter may poll at once on this thread.
        let waiters = std::mem::take(&mut *locked(&self.waiters));
        waiters.into_iter().for_each(Waker::wake);
    }
}

/// Future of a record: ready when its batch is on disk or refused. Dropping it does not cancel the record.
#[must_use = "the record is on disk only once this is ready"]
pub struct Append {
    state: State,
}

enum State {
    Settled(Result<(), Refused>),
    Waiting {
        batch: Arc<PendingBatch>,
        slot: Option<usize>,
    },
}

impl Append {
    pub(crate) fn refused(reason: Refused) -> Self {
        Append {
            state: State::Settled(Err(reason)),
        }
    }

    /// Sabotage: claims that the record is on disk, whatever the outcome.
    pub(crate) fn acknowledged() -> Self {
        Append {
            state: State::Settled(Ok(())),
        }
    }

    pub(crate) fn on(batch: Arc<PendingBatch>) -> Self {
        Append {
            state: State::Waiting { batch, slot: None },
        }
    }
}

impl Future for Append {
    type Output = Result<(), Refused>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let (batch, slot) = match &mut self.state {
            State::Settled(outcome) => return Poll::Ready(*outcome),
            State::Waiting { batch, slot } => (batch, slot),
        };
        if let Some(outcome) = batch.outcome() {
            return Poll::Ready(outcome);
        }
        let mut waiters = locked(&batch.waiters);
        // Checked again under the lock: waiters are woken under the lock, after the outcome is stored.
        if let Some(outcome) = batch.outcome() {
            return Poll::Ready(outcome);
        }
        match slot.and_then(|slot| waiters.get_mut(slot)) {
            Some(waiter) => waiter.clone_from(context.waker()),
            None => {
                *slot = Some(waiters.len());
                waiters.push(context.waker().clone());
            }
        }
        Poll::Pending
    }
}
