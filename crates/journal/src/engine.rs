//! Writer thread: takes the buffered records of all workers, commits them in one batch, and wakes the workers.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Mutex, OnceLock};
use std::thread::{self, Thread};
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::watch;

use crate::disk::RealDisk;
use crate::folder::JournalFolder;
use crate::format::Frame;
use crate::pending_batch::PendingBatch;
use crate::settings::Refused;
use crate::stats::Counters;
use crate::window::Window;
use crate::worker::{Unloaded, Worker};
use crate::writer::{Moment, Writer};
use crate::{Seq, locked};

/// Interval of the helper's maintenance.
const MAINTENANCE_INTERVAL: Duration = Duration::from_secs(1);

/// Requested next number, and the channel for the reply.
type Skip = (Seq, SyncSender<Result<Seq, Refused>>);

/// State of the journal.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Progress {
    pub(crate) next: Seq,
    pub(crate) closing: bool,
}

/// State shared by the handles, readers and threads of a journal.
pub(crate) struct Shared {
    pub(crate) folder: Arc<JournalFolder<RealDisk>>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) progress: watch::Sender<Progress>,
    workers: Mutex<Vec<Arc<Worker>>>,
    skip: Mutex<Option<Skip>>,
    pending: AtomicBool,
    closed: AtomicBool,
    thread: OnceLock<Thread>,
}

impl Shared {
    pub(crate) fn new(folder: Arc<JournalFolder<RealDisk>>, counters: Arc<Counters>, next: Seq) -> Self {
        Shared {
            folder,
            counters,
            progress: watch::Sender::new(Progress { next, closing: false }),
            workers: Mutex::default(),
            skip: Mutex::default(),
            pending: AtomicBool::new(false),
            closed: AtomicBool::new(false),
            thread: OnceLock::new(),
        }
    }

    pub(crate) fn next(&self) -> Seq {
        self.progress.borrow().next
    }

    pub(crate) fn set_thread(&self, thread: Thread) {
        self.thread.get_or_init(|| thread);
    }

    /// Wakes the writer.
    pub(crate) fn wake_writer(&self) {
        self.pending.store(true, Ordering::Release);
        if let Some(thread) = self.thread.get() {
            thread.unpark();
        }
    }

    pub(crate) fn register(&self, worker: Arc<Worker>) {
        let mut workers = locked(&self.workers);
        if self.closed.load(Ordering::Acquire) {
            worker.close();
            worker.end();
        } else {
            workers.push(worker);
        }
    }

    /// Requests the writer to skip numbers, and waits for the reply.
    pub(crate) fn skip_to(&self, to: Seq) -> Result<Seq, Refused> {
        let (sender, receiver) = std::sync::mpsc::sync_channel(1);
        {
            let mut skip = locked(&self.skip);
            if self.closed.load(Ordering::Acquire) {
                return Err(Refused::Closed);
            }
            *skip = Some((to, sender));
        }
        self.wake_writer();
        // The sender is dropped unused if another skip replaced this one or the journal closed.
        receiver.recv().unwrap_or(Err(Refused::Closed))
    }

    pub(crate) fn close(&self) {
        self.progress.send_modify(|progress| progress.closing = true);
        self.wake_writer();
    }

    fn publish(&self, next: Seq) {
        self.progress.send_modify(|progress| progress.next = next);
    }
}

/// Reads both clocks.
fn moment(start: Instant) -> Moment {
    Moment {
        wall_ms: wall_ms(),
        steady: start.elapsed(),
    }
}

pub(crate) fn wall_ms() -> u64 {
    let since = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// Helper thread: spare segments and retention, off the writer thread.
pub(crate) fn run_helper(folder: &JournalFolder<RealDisk>) {
    let mut was_fine = true;
    while !folder.is_closing() {
        let outcome = folder.maintain(wall_ms());
        if let Err(error) = &outcome
            && was_fine
            && !folder.is_closing()
        {
            tracing::warn!(?error, "the journal has no spare segment");
        }
        was_fine = outcome.is_ok();
        thread::park_timeout(MAINTENANCE_INTERVAL);
    }
}

/// State of the writer thread.
pub(crate) struct Engine {
    shared: Arc<Shared>,
    writer: Writer<RealDisk>,
    window: Window,
    start: Instant,
    last_sync: Instant,
    frame: Frame,
    /// Swapped with a worker's full buffer, so that no buffer is allocated.
    taken: Vec<u8>,
    batches: Vec<(Arc<Worker>, Arc<PendingBatch>)>,
    /// Worker to serve first if not all records fit into one batch.
    turn: usize,
}

impl Engine {
    pub(crate) fn new(shared: Arc<Shared>, writer: Writer<RealDisk>) -> Self {
        let window = Window::new(shared.folder.settings.longest_window);
        let start = Instant::now();
        Engine {
            shared,
            writer,
            window,
            start,
            last_sync: start,
            frame: Frame::default(),
            taken: Vec::new(),
            batches: Vec::new(),
            turn: 0,
        }
    }

    /// Runs until the journal closes.
    pub(crate) fn run(mut self) {
        loop {
            let closing = self.shared.progress.borrow().closing;
            if !self.shared.pending.swap(false, Ordering::AcqRel) && !closing {
                thread::park();
                continue;
            }
            self.skip_if_asked();
            let delay = self.window.delay(self.last_sync.elapsed());
            if !delay.is_zero() && !closing {
                thread::sleep(delay);
            }
            while self.gather() {
                self.window.observe(self.frame.count(), self.last_sync.elapsed());
                self.commit();
            }
            if closing {
                return;
            }
        }
    }

    /// Fills the frame with buffered records; false if all buffers are empty.
    fn gather(&mut self) -> bool {
        self.frame.clear();
        let limit = self.shared.folder.settings.payload_limit();
        let mut workers = locked(&self.shared.workers);
        let count = workers.len();
        for step in 0..count {
            let place = (self.turn + step) % count;
            let Some(worker) = workers.get(place) else {
                continue;
            };
            match worker.unload(&mut self.taken, limit - self.frame.payload_bytes()) {
                Unloaded::Nothing => {}
                Unloaded::TooLarge => {
                    self.turn = place;
                    break;
                }
                Unloaded::Batch(batch, records) => {
                    self.frame.extend(&self.taken, records);
                    self.taken.clear();
                    self.batches.push((Arc::clone(worker), batch));
                }
            }
        }
        workers.retain(|worker| {
            let is_done = worker.is_done()
                && !self
                    .batches
                    .iter()
                    .any(|(pending, _)| Arc::ptr_eq(pending, worker));
            if is_done {
                worker.end();
            }
            !is_done
        });
        !self.batches.is_empty()
    }

    fn commit(&mut self) {
        let now = moment(self.start);
        let outcome = self.writer.commit(&mut self.frame, now);
        self.last_sync = Instant::now();
        let counters = &self.shared.counters;
        let records = u64::from(self.frame.count());
        match outcome {
            Ok(next) => {
                counters.appended_records.fetch_add(records, Ordering::Relaxed);
                counters
                    .appended_bytes
                    .fetch_add(self.frame.payload_bytes() - 4 * records, Ordering::Relaxed);
                locked(&counters.marks).push(next - records, now.wall_ms);
                self.shared.publish(next);
            }
            Err(_) => counters.refused(records),
        }
        counters.failing.store(outcome.is_err(), Ordering::Relaxed);
        for (worker, batch) in self.batches.drain(..) {
            worker.settle(batch, outcome.map(|_| ()));
        }
    }

    fn skip_if_asked(&mut self) {
        let Some((to, answer)) = locked(&self.shared.skip).take() else {
            return;
        };
        let outcome = self.writer.skip_to(to, moment(self.start));
        if let Ok(next) = outcome {
            self.shared.publish(next);
        }
        // Fails only if the requester is gone.
        let _ = answer.send(outcome);
    }
}

impl Drop for Engine {
    /// Settles all appends, also after a panic, so that no task waits for ever.
    fn drop(&mut self) {
        let workers = {
            let workers = locked(&self.shared.workers);
            self.shared.closed.store(true, Ordering::Release);
            workers.iter().for_each(|worker| worker.close());
            workers.clone()
        };
        if !thread::panicking() {
            // Records may have arrived between the last gathering and the closing of the buffers.
            while self.gather() {
                self.commit();
            }
        }
        for (worker, batch) in self.batches.drain(..) {
            worker.settle(batch, Err(Refused::Closed));
        }
        for worker in workers {
            if let Unloaded::Batch(batch, _) = worker.unload(&mut Vec::new(), u64::MAX) {
                worker.settle(batch, Err(Refused::Closed));
            }
            worker.end();
        }
        self.shared
            .progress
            .send_modify(|progress| progress.closing = true);
        locked(&self.shared.skip).take();
    }
}
