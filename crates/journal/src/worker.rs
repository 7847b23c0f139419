//! One worker thread's way into the journal: its buffer, and the wake-ups that come back.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use crate::bugs::{self, Bug};
use crate::engine::Shared;
use crate::flight::{Append, Flight};
use crate::locked;
use crate::settings::{LARGEST_RECORD, Refused};

/// No more records wait in one buffer than this.
const MOST_WAITERS: u32 = 1 << 16;

/// What a worker shares with the writer.
#[derive(Default)]
pub(crate) struct Worker {
    buffer: Mutex<Buffer>,
    landing: Mutex<Landing>,
    /// Its appender is gone.
    retired: AtomicBool,
}

#[derive(Default)]
struct Buffer {
    /// `(length · bytes)*`, as in a frame.
    payload: Vec<u8>,
    /// One record is encoded here first, so that a closure that panics or misbehaves harms no other record.
    draft: Vec<u8>,
    count: u32,
    flight: Arc<Flight>,
    closed: bool,
}

#[derive(Default)]
struct Landing {
    flights: Vec<Arc<Flight>>,
    waker: Option<Waker>,
    /// Nobody polls the wake-ups any more.
    abandoned: bool,
    ended: bool,
}

/// What the writer finds in a worker's buffer.
pub(crate) enum Load {
    Nothing,
    /// More than fits this time.
    TooMuch,
    Batch(Arc<Flight>, u32),
}

impl Worker {
    /// Swaps the filled buffer for `empty`, if it is no larger than `room`.
    pub(crate) fn unload(&self, empty: &mut Vec<u8>, room: u64) -> Load {
        let mut buffer = locked(&self.buffer);
        if buffer.count == 0 {
            return Load::Nothing;
        }
        if buffer.payload.len() as u64 > room {
            return Load::TooMuch;
        }
        std::mem::swap(&mut buffer.payload, empty);
        let count = std::mem::take(&mut buffer.count);
        let flight = std::mem::replace(&mut buffer.flight, Flight::with_room(count as usize));
        Load::Batch(flight, count)
    }

    /// Whether nothing will come from it any more.
    pub(crate) fn is_done(&self) -> bool {
        self.retired.load(Ordering::Acquire) && locked(&self.buffer).count == 0
    }

    /// From now on every append is refused.
    pub(crate) fn close(&self) {
        locked(&self.buffer).closed = true;
    }

    /// Hands a landed flight to the worker's own thread, with one wake-up.
    pub(crate) fn land(&self, flight: Arc<Flight>, outcome: Result<(), Refused>) {
        flight.land(outcome);
        let mut landing = locked(&self.landing);
        if landing.abandoned {
            drop(landing);
            flight.wake();
            return;
        }
        landing.flights.push(flight);
        let waker = landing.waker.take();
        drop(landing);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Lets the wake-ups end once they have delivered what landed.
    pub(crate) fn end(&self) {
        let mut landing = locked(&self.landing);
        landing.ended = true;
        let waker = landing.waker.take();
        drop(landing);
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

/// Takes records of one worker. Shared by the tasks of its runtime; nobody else contends for it.
pub struct Appender {
    shared: Arc<Shared>,
    worker: Arc<Worker>,
    limit: usize,
}

impl Appender {
    pub(crate) fn new(shared: Arc<Shared>) -> (Appender, Wakeups) {
        let worker = Arc::new(Worker::default());
        let limit = usize::try_from(shared.keeper.settings.buffer_limit()).unwrap_or(usize::MAX);
        shared.enlist(Arc::clone(&worker));
        (
            Appender {
                shared,
                worker: Arc::clone(&worker),
                limit,
            },
            Wakeups { worker },
        )
    }

    /// Takes the record that `write` encodes. It keeps its place among this worker's records whether or not the
    /// answer is awaited.
    pub fn append(&self, write: impl FnOnce(&mut Vec<u8>)) -> Append {
        match self.put(write) {
            Ok(append) => append,
            Err(why) => {
                self.shared.figures.refused(1);
                Append::refused(why)
            }
        }
    }

    fn put(&self, write: impl FnOnce(&mut Vec<u8>)) -> Result<Append, Refused> {
        let mut guard = locked(&self.worker.buffer);
        let buffer = &mut *guard;
        if buffer.closed {
            return Err(Refused::Closed);
        }
        buffer.draft.clear();
        write(&mut buffer.draft);
        let length = buffer.draft.len();
        if length as u64 > LARGEST_RECORD || length + 4 > self.limit {
            // One giant must not keep its memory for ever.
            buffer.draft = Vec::new();
            return Err(Refused::TooLarge);
        }
        if buffer.count == MOST_WAITERS || buffer.payload.len() + 4 + length > self.limit {
            return Err(Refused::Full);
        }
        buffer.payload.extend_from_slice(&(length as u32).to_le_bytes());
        buffer.payload.extend_from_slice(&buffer.draft);
        buffer.count += 1;
        let is_first = buffer.count == 1;
        let flight = Arc::clone(&buffer.flight);
        drop(guard);
        if is_first {
            self.shared.nudge();
        }
        if bugs::on(Bug::EarlyAck) {
            return Ok(Append::acknowledged());
        }
        Ok(Append::on(flight))
    }
}

impl Drop for Appender {
    fn drop(&mut self) {
        self.worker.retired.store(true, Ordering::Release);
        self.shared.nudge();
    }
}

/// Wakes the tasks whose records landed, on their own runtime: spawn it there. One wake-up crosses threads per batch,
/// however many records were in it. Ends when the journal closes or its appender is gone.
#[must_use = "spawn it on the runtime whose tasks append"]
pub struct Wakeups {
    worker: Arc<Worker>,
}

impl Future for Wakeups {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let mut landing = locked(&self.worker.landing);
        let flights = std::mem::take(&mut landing.flights);
        let ended = landing.ended;
        landing.waker = Some(context.waker().clone());
        drop(landing);
        flights.iter().for_each(|flight| flight.wake());
        if ended { Poll::Ready(()) } else { Poll::Pending }
    }
}

impl Drop for Wakeups {
    fn drop(&mut self) {
        let mut landing = locked(&self.worker.landing);
        landing.abandoned = true;
        let flights = std::mem::take(&mut landing.flights);
        drop(landing);
        flights.iter().for_each(|flight| flight.wake());
    }
}
