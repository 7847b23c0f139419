//! Appending side of one worker thread: its buffer, and the wake-ups of its tasks.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use crate::bugs::{self, Bug};
use crate::engine::Shared;
use crate::locked;
use crate::pending_batch::{Append, PendingBatch};
use crate::settings::{LARGEST_RECORD, Refused};

/// Maximum number of records in a buffer.
const MAX_WAITERS: u32 = 1 << 16;

/// State shared by a worker and the writer.
#[derive(Default)]
pub(crate) struct Worker {
    buffer: Mutex<Buffer>,
    deliveries: Mutex<Deliveries>,
    /// True if the appender was dropped.
    retired: AtomicBool,
}

#[derive(Default)]
struct Buffer {
    /// `(length · bytes)*`, as in a frame.
    payload: Vec<u8>,
    /// A record is encoded here first, so that a closure that panics or misbehaves cannot corrupt other records.
    draft: Vec<u8>,
    count: u32,
    batch: Arc<PendingBatch>,
    closed: bool,
}

#[derive(Default)]
struct Deliveries {
    batches: Vec<Arc<PendingBatch>>,
    /// Waker of the wake-ups; none before they run, and while they are due to run.
    waker: Option<Waker>,
    /// True if the wake-ups run: they wake the writer.
    running: bool,
    /// True if the writer is to be woken for new records.
    unwritten: bool,
    /// True if the wake-ups were dropped.
    abandoned: bool,
    ended: bool,
}

/// Contents of a worker's buffer, as taken by the writer.
pub(crate) enum Unloaded {
    Nothing,
    /// The records do not fit into this batch.
    TooLarge,
    Batch(Arc<PendingBatch>, u32),
}

impl Worker {
    /// Swaps the filled buffer for `empty`, unless it exceeds `room`.
    pub(crate) fn unload(&self, empty: &mut Vec<u8>, room: u64) -> Unloaded {
        let mut buffer = locked(&self.buffer);
        if buffer.count == 0 {
            return Unloaded::Nothing;
        }
        if buffer.payload.len() as u64 > room {
            return Unloaded::TooLarge;
        }
        std::mem::swap(&mut buffer.payload, empty);
        let count = std::mem::take(&mut buffer.count);
        let batch = std::mem::replace(&mut buffer.batch, PendingBatch::with_capacity(count as usize));
        Unloaded::Batch(batch, count)
    }

    /// True if no more records will come from this worker.
    pub(crate) fn is_done(&self) -> bool {
        self.retired.load(Ordering::Acquire) && locked(&self.buffer).count == 0
    }

    /// Refuses every append from now on.
    pub(crate) fn close(&self) {
        locked(&self.buffer).closed = true;
    }

    /// Hands a settled batch to the worker's own thread, with one wake-up.
    pub(crate) fn settle(&self, batch: Arc<PendingBatch>, outcome: Result<(), Refused>) {
        batch.settle(outcome);
        let mut deliveries = locked(&self.deliveries);
        if deliveries.abandoned {
            drop(deliveries);
            batch.wake();
            return;
        }
        deliveries.batches.push(batch);
        let waker = deliveries.waker.take();
        drop(deliveries);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Has the writer woken at the end of the worker's turn, so that all records of the turn are in one batch. Returns false
    /// if the caller has to wake it, because no wake-ups run.
    fn write_after_turn(&self) -> bool {
        let mut deliveries = locked(&self.deliveries);
        if !deliveries.running {
            return false;
        }
        deliveries.unwritten = true;
        let waker = deliveries.waker.take();
        drop(deliveries);
        if let Some(waker) = waker {
            waker.wake();
        }
        true
    }

    /// Ends the wake-ups once they have delivered all settled batches.
    pub(crate) fn end(&self) {
        let mut deliveries = locked(&self.deliveries);
        deliveries.ended = true;
        let waker = deliveries.waker.take();
        drop(deliveries);
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

/// Appender of one worker. Shared by the tasks of its runtime, so that its lock is uncontended.
pub struct Appender {
    shared: Arc<Shared>,
    worker: Arc<Worker>,
    limit: usize,
}

impl Appender {
    pub(crate) fn new(shared: Arc<Shared>) -> (Appender, Wakeups) {
        let worker = Arc::new(Worker::default());
        let limit = usize::try_from(shared.folder.settings.buffer_limit()).unwrap_or(usize::MAX);
        shared.register(Arc::clone(&worker));
        let wakeups = Arc::clone(&shared);
        (
            Appender {
                shared,
                worker: Arc::clone(&worker),
                limit,
            },
            Wakeups {
                shared: wakeups,
                worker,
            },
        )
    }

    /// Appends the record that `write` encodes. The record stays in place among this worker's records even if the
    /// future is dropped.
    pub fn append(&self, write: impl FnOnce(&mut Vec<u8>)) -> Append {
        match self.put(write) {
            Ok(append) => append,
            Err(reason) => {
                self.shared.counters.refused(1);
                Append::refused(reason)
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
            // Frees the memory of an oversized record.
            buffer.draft = Vec::new();
            return Err(Refused::TooLarge);
        }
        if buffer.count == MAX_WAITERS || buffer.payload.len() + 4 + length > self.limit {
            return Err(Refused::Full);
        }
        buffer.payload.extend_from_slice(&(length as u32).to_le_bytes());
        buffer.payload.extend_from_slice(&buffer.draft);
        buffer.count += 1;
        let is_first = buffer.count == 1;
        let batch = Arc::clone(&buffer.batch);
        drop(guard);
        if is_first && !self.worker.write_after_turn() {
            self.shared.wake_writer();
        }
        if bugs::on(Bug::EarlyAck) {
            return Ok(Append::acknowledged());
        }
        Ok(Append::on(batch))
    }
}

impl Drop for Appender {
    fn drop(&mut self) {
        self.worker.retired.store(true, Ordering::Release);
        self.shared.wake_writer();
    }
}

/// Wakes the writer when the worker's ready tasks have appended their records, and these tasks when the records are on disk.
/// Must be spawned on their runtime, behind whose ready tasks it runs. Crosses threads once per batch, however many records
/// the batch has. Ends when the journal closes or its appender is dropped.
#[must_use = "spawn it on the runtime whose tasks append"]
pub struct Wakeups {
    shared: Arc<Shared>,
    worker: Arc<Worker>,
}

impl Future for Wakeups {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let mut deliveries = locked(&self.worker.deliveries);
        let batches = std::mem::take(&mut deliveries.batches);
        let ended = deliveries.ended;
        let unwritten = std::mem::take(&mut deliveries.unwritten);
        deliveries.running = !ended;
        deliveries.waker = Some(context.waker().clone());
        drop(deliveries);
        if unwritten {
            self.shared.wake_writer();
        }
        batches.iter().for_each(|batch| batch.wake());
        if ended { Poll::Ready(()) } else { Poll::Pending }
    }
}

impl Drop for Wakeups {
    fn drop(&mut self) {
        let mut deliveries = locked(&self.worker.deliveries);
        deliveries.abandoned = true;
        deliveries.running = false;
        let batches = std::mem::take(&mut deliveries.batches);
        let unwritten = std::mem::take(&mut deliveries.unwritten);
        drop(deliveries);
        if unwritten {
            self.shared.wake_writer();
        }
        batches.iter().for_each(|batch| batch.wake());
    }
}
