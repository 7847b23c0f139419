//! The writer's thread: takes what all workers have, commits it in one batch, and tells everybody.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Mutex, OnceLock};
use std::thread::{self, Thread};
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::watch;

use crate::disk::RealDisk;
use crate::flight::Flight;
use crate::format::Frame;
use crate::keeper::Keeper;
use crate::settings::Refused;
use crate::stats::Figures;
use crate::window::Window;
use crate::worker::{Load, Worker};
use crate::writer::{Moment, Writer};
use crate::{Seq, locked};

/// How often the helper looks whether segments are past their retention.
const ROUND: Duration = Duration::from_secs(1);

/// A wish to leave numbers out, and where the answer goes.
type Skip = (Seq, SyncSender<Result<Seq, Refused>>);

/// How far the journal is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Progress {
    pub(crate) next: Seq,
    pub(crate) closing: bool,
}

/// What the handles, the readers and the threads of a journal share.
pub(crate) struct Shared {
    pub(crate) keeper: Arc<Keeper<RealDisk>>,
    pub(crate) figures: Arc<Figures>,
    pub(crate) progress: watch::Sender<Progress>,
    workers: Mutex<Vec<Arc<Worker>>>,
    skip: Mutex<Option<Skip>>,
    pending: AtomicBool,
    closed: AtomicBool,
    thread: OnceLock<Thread>,
}

impl Shared {
    pub(crate) fn new(keeper: Arc<Keeper<RealDisk>>, figures: Arc<Figures>, next: Seq) -> Self {
        Shared {
            keeper,
            figures,
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
        let _ = self.thread.set(thread);
    }

    /// Something waits for the writer.
    pub(crate) fn nudge(&self) {
        self.pending.store(true, Ordering::Release);
        if let Some(thread) = self.thread.get() {
            thread.unpark();
        }
    }

    pub(crate) fn enlist(&self, worker: Arc<Worker>) {
        let mut workers = locked(&self.workers);
        if self.closed.load(Ordering::Acquire) {
            worker.close();
            worker.end();
        } else {
            workers.push(worker);
        }
    }

    /// Asks the writer to leave numbers out, and waits for it.
    pub(crate) fn skip_to(&self, to: Seq) -> Result<Seq, Refused> {
        let (sender, receiver) = std::sync::mpsc::sync_channel(1);
        {
            let mut skip = locked(&self.skip);
            if self.closed.load(Ordering::Acquire) {
                return Err(Refused::Closed);
            }
            *skip = Some((to, sender));
        }
        self.nudge();
        // The sender is dropped unused when another skip took its place, or the journal closed.
        receiver.recv().unwrap_or(Err(Refused::Closed))
    }

    pub(crate) fn close(&self) {
        self.progress.send_modify(|progress| progress.closing = true);
        self.nudge();
    }

    fn publish(&self, next: Seq) {
        self.progress.send_modify(|progress| progress.next = next);
    }
}

/// The two clocks, now.
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

/// The helper's thread: spares and retention, away from the writer.
pub(crate) fn help(keeper: &Keeper<RealDisk>) {
    let mut was_fine = true;
    while !keeper.is_closing() {
        let outcome = keeper.tend(wall_ms());
        if let Err(trouble) = &outcome
            && was_fine
            && !keeper.is_closing()
        {
            tracing::warn!(
                ?trouble,
                "the journal has no segment to go on in when this one is full"
            );
        }
        was_fine = outcome.is_ok();
        thread::park_timeout(ROUND);
    }
}

/// The writer's thread.
pub(crate) struct Engine {
    shared: Arc<Shared>,
    writer: Writer<RealDisk>,
    window: Window,
    start: Instant,
    last_sync: Instant,
    frame: Frame,
    /// Changes places with a worker's full buffer, so that none is allocated.
    taken: Vec<u8>,
    flights: Vec<(Arc<Worker>, Arc<Flight>)>,
    /// The worker whose turn it is to be first, when not all fits into one batch.
    turn: usize,
}

impl Engine {
    pub(crate) fn new(shared: Arc<Shared>, writer: Writer<RealDisk>) -> Self {
        let window = Window::new(shared.keeper.settings.longest_window);
        let start = Instant::now();
        Engine {
            shared,
            writer,
            window,
            start,
            last_sync: start,
            frame: Frame::default(),
            taken: Vec::new(),
            flights: Vec::new(),
            turn: 0,
        }
    }

    /// Works until the journal closes.
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

    /// Fills the frame with what the workers have; false when they have nothing.
    fn gather(&mut self) -> bool {
        self.frame.clear();
        let limit = self.shared.keeper.settings.payload_limit();
        let mut workers = locked(&self.shared.workers);
        let count = workers.len();
        for step in 0..count {
            let place = (self.turn + step) % count;
            let Some(worker) = workers.get(place) else {
                continue;
            };
            match worker.unload(&mut self.taken, limit - self.frame.payload_bytes()) {
                Load::Nothing => {}
                Load::TooMuch => {
                    self.turn = place;
                    break;
                }
                Load::Batch(flight, records) => {
                    self.frame.extend(&self.taken, records);
                    self.taken.clear();
                    self.flights.push((Arc::clone(worker), flight));
                }
            }
        }
        workers.retain(|worker| {
            let is_done =
                worker.is_done() && !self.flights.iter().any(|(flying, _)| Arc::ptr_eq(flying, worker));
            if is_done {
                worker.end();
            }
            !is_done
        });
        !self.flights.is_empty()
    }

    fn commit(&mut self) {
        let now = moment(self.start);
        let outcome = self.writer.commit(&mut self.frame, now);
        self.last_sync = Instant::now();
        let figures = &self.shared.figures;
        let records = u64::from(self.frame.count());
        match outcome {
            Ok(next) => {
                figures.appended_records.fetch_add(records, Ordering::Relaxed);
                figures
                    .appended_bytes
                    .fetch_add(self.frame.payload_bytes() - 4 * records, Ordering::Relaxed);
                locked(&figures.marks).push(next - records, now.wall_ms);
                self.shared.publish(next);
            }
            Err(_) => figures.refused(records),
        }
        figures.failing.store(outcome.is_err(), Ordering::Relaxed);
        for (worker, flight) in self.flights.drain(..) {
            worker.land(flight, outcome.map(|_| ()));
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
        let _ = answer.send(outcome);
    }
}

impl Drop for Engine {
    /// However the thread ends, by closing or by a panic: nobody waits for ever.
    fn drop(&mut self) {
        let workers = {
            let workers = locked(&self.shared.workers);
            self.shared.closed.store(true, Ordering::Release);
            workers.iter().for_each(|worker| worker.close());
            workers.clone()
        };
        if !thread::panicking() {
            // Between the last gathering and the closing of the buffers something may have come in.
            while self.gather() {
                self.commit();
            }
        }
        for (worker, flight) in self.flights.drain(..) {
            worker.land(flight, Err(Refused::Closed));
        }
        for worker in workers {
            if let Load::Batch(flight, _) = worker.unload(&mut Vec::new(), u64::MAX) {
                worker.land(flight, Err(Refused::Closed));
            }
            worker.end();
        }
        self.shared
            .progress
            .send_modify(|progress| progress.closing = true);
        locked(&self.shared.skip).take();
    }
}
