//! The batch a record travels in, and the wait for its landing.

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

/// What the records of one worker in one batch share.
#[derive(Default)]
pub(crate) struct Flight {
    outcome: AtomicU8,
    waiters: Mutex<Vec<Waker>>,
}

impl Flight {
    pub(crate) fn with_room(waiters: usize) -> Arc<Self> {
        Arc::new(Flight {
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

    /// Settles the outcome. Nobody is woken yet.
    pub(crate) fn land(&self, outcome: Result<(), Refused>) {
        let code = match outcome {
            Ok(()) => ON_DISK,
            Err(Refused::Full) => FULL,
            Err(Refused::Failing) => FAILING,
            Err(Refused::Closed | Refused::TooLarge) => CLOSED,
        };
        self.outcome.store(code, Ordering::Release);
    }

    pub(crate) fn wake(&self) {
        // Taken out first: a waiter may poll at once, on this very thread.
        let waiters = std::mem::take(&mut *locked(&self.waiters));
        waiters.into_iter().for_each(Waker::wake);
    }
}

/// Ready when the record's batch is on disk, or refused. Dropping it does not take the record back.
#[must_use = "the record is on disk only when this is ready"]
pub struct Append {
    state: State,
}

enum State {
    Settled(Result<(), Refused>),
    Waiting {
        flight: Arc<Flight>,
        slot: Option<usize>,
    },
}

impl Append {
    pub(crate) fn refused(why: Refused) -> Self {
        Append {
            state: State::Settled(Err(why)),
        }
    }

    /// Sabotage: says that it is on disk, whatever becomes of it.
    pub(crate) fn acknowledged() -> Self {
        Append {
            state: State::Settled(Ok(())),
        }
    }

    pub(crate) fn on(flight: Arc<Flight>) -> Self {
        Append {
            state: State::Waiting { flight, slot: None },
        }
    }
}

impl Future for Append {
    type Output = Result<(), Refused>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let (flight, slot) = match &mut self.state {
            State::Settled(outcome) => return Poll::Ready(*outcome),
            State::Waiting { flight, slot } => (flight, slot),
        };
        if let Some(outcome) = flight.outcome() {
            return Poll::Ready(outcome);
        }
        let mut waiters = locked(&flight.waiters);
        // Once more, under the lock: whoever wakes takes the lock after the outcome was settled.
        if let Some(outcome) = flight.outcome() {
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
