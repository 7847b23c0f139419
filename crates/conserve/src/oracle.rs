//! Oracle: gives out events, remembers them, and writes every acknowledgement to a synced file before it counts. No
//! fault ever kills it.

use std::collections::{HashSet, VecDeque};
use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

use rand::{Rng, RngExt};

use crate::Outcome;
use crate::events::{FIRST_PROBE, Order, Run};

/// Most acknowledged clicks remembered for postbacks to name.
const MAX_REMEMBERED_CLICKS: usize = 50_000;
/// Time until an advertiser's server sends a call again.
const RETRY_INTERVAL: Duration = Duration::from_millis(500);
/// Time over which acknowledgements gather before they are synced together.
const SYNC_INTERVAL: Duration = Duration::from_millis(20);

/// Acknowledged click.
#[derive(Debug, Clone)]
pub(crate) struct AckedClick {
    /// Number of the event.
    pub(crate) n: u64,
    /// Click id as the advertiser receives it.
    pub(crate) id: String,
    /// Key of the click's row.
    pub(crate) key: u128,
}

/// Verdict in the response to an acknowledged postback.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// 200 for a new conversion.
    Accepted,
    /// 200 for an existing conversion.
    Duplicate,
    /// 202, the verdict follows.
    Queued,
}

/// Acknowledged postback.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AckedCall {
    /// Number of the call.
    pub(crate) call: u64,
    /// Key of the postback's row.
    pub(crate) receipt: u128,
    /// Verdict in the response.
    pub(crate) verdict: Verdict,
}

/// Call of an advertiser's server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Call {
    /// Number of the order that the call reports.
    pub(crate) order: u64,
    /// Content.
    pub(crate) says: Says,
}

/// Content of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Says {
    /// The order.
    Order,
    /// The order with the conflicting amount.
    Conflict,
    /// Change with this number.
    Change(u64),
}

impl Call {
    /// Returns the number of the change that the call reports.
    pub(crate) fn change(self) -> Option<u64> {
        match self.says {
            Says::Change(n) => Some(n),
            Says::Order | Says::Conflict => None,
        }
    }

    /// Returns the amount with which the call reports its order, in micro-units.
    pub(crate) fn reported(self, order: &Order) -> Option<i64> {
        match self.says {
            Says::Order => Some(order.amount),
            Says::Conflict => Some(order.other_amount),
            Says::Change(_) => None,
        }
    }
}

/// Every event given out and acknowledged, for the comparison.
#[derive(Debug, Clone)]
pub(crate) struct Testimony {
    /// Run of the events.
    pub(crate) run: Run,
    /// Number of ordinary clicks given out.
    pub(crate) clicks: u64,
    /// Probes given out: numbers from [`FIRST_PROBE`] to below this.
    pub(crate) probes: u64,
    /// Click of each order, by the order's number.
    pub(crate) orders: Vec<AckedClick>,
    /// Calls given out, by number.
    pub(crate) calls: Vec<Call>,
    /// Acknowledged clicks: number and key.
    pub(crate) acked_clicks: Vec<(u64, u128)>,
    /// Acknowledged postbacks.
    pub(crate) acked_calls: Vec<AckedCall>,
    /// Responses that rejected genuine postbacks.
    pub(crate) rejected: Vec<String>,
}

impl Testimony {
    /// Returns true if a click with this number was given out.
    pub(crate) fn issued(&self, n: u64) -> bool {
        n < self.clicks || (FIRST_PROBE..self.probes).contains(&n)
    }
}

enum Note {
    Click(SystemTime, AckedClick),
    Call(SystemTime, AckedCall),
    /// Answered when all earlier notes are on disk.
    Flush(mpsc::Sender<()>),
}

#[derive(Default)]
struct Memory {
    recent: VecDeque<AckedClick>,
    orders: Vec<AckedClick>,
    /// Orders whose report is acknowledged: they can be changed.
    reported: Vec<u64>,
    changes: u64,
    calls: Vec<Call>,
    retries: VecDeque<(Instant, Call)>,
    rejected: Vec<String>,
}

/// Acknowledgements that are on disk, each with the time at which it was received.
#[derive(Default)]
struct Written {
    clicks: Vec<(SystemTime, (u64, u128))>,
    calls: Vec<(SystemTime, AckedCall)>,
}

/// Source of events and record of acknowledgements.
pub(crate) struct Oracle {
    /// Run that defines the events.
    pub(crate) run: Run,
    clicks: AtomicU64,
    probes: AtomicU64,
    received: AtomicU64,
    memory: Mutex<Memory>,
    written: Arc<Mutex<Written>>,
    notes: mpsc::Sender<Note>,
    writer: Option<JoinHandle<()>>,
}

impl Oracle {
    /// Creates an oracle with this file of acknowledgements.
    pub(crate) fn new(run: Run, file: &Path) -> Outcome<Self> {
        let file = File::create_new(file)?;
        let (notes, incoming) = mpsc::channel();
        let written = Arc::new(Mutex::default());
        let writer = std::thread::spawn({
            let written = Arc::clone(&written);
            move || {
                if let Err(error) = write_down(file, &incoming, &written) {
                    // Without the file the oracle has no record, and the run must not yield a verdict.
                    eprintln!("conserve: acknowledgements cannot be written: {error}");
                    std::process::exit(2);
                }
            }
        });
        Ok(Self {
            run,
            clicks: AtomicU64::new(0),
            probes: AtomicU64::new(FIRST_PROBE),
            received: AtomicU64::new(0),
            memory: Mutex::default(),
            written,
            notes,
            writer: Some(writer),
        })
    }

    /// Gives out a click.
    pub(crate) fn next_click(&self) -> u64 {
        self.clicks.fetch_add(1, Ordering::Relaxed)
    }

    /// Gives out a click through the probes' link.
    pub(crate) fn next_probe(&self) -> u64 {
        self.probes.fetch_add(1, Ordering::Relaxed)
    }

    /// Gives out the next calls, to be sent concurrently: mostly one for a new order, else a repeated call, a
    /// conflicting one, a change of a reported order, or three equal ones. Empty while no click is acknowledged.
    pub(crate) fn next_calls(&self, dice: &mut impl Rng) -> Vec<u64> {
        let mut memory = lock(&self.memory);
        if let Some(call) = memory.due_retry() {
            return vec![memory.give_out(call)];
        }
        let kind = dice.random_range(0..100);
        let known = memory.orders.len() as u64;
        if kind < 20 && known > 0 {
            let order = dice.random_range(0..known);
            let says = if kind < 8 { Says::Conflict } else { Says::Order };
            return vec![memory.give_out(Call { order, says })];
        }
        if kind < 50
            && let Some(call) = memory.next_change(dice)
        {
            let times = if kind < 24 { 3 } else { 1 };
            return (0..times).map(|_| memory.give_out(call)).collect();
        }
        // Half of the orders follow their click at once, before it can be applied; the others come late and in random
        // order.
        let newest = memory.recent.len().saturating_sub(1);
        let index = if dice.random_bool(0.5) {
            newest
        } else {
            dice.random_range(0..=newest)
        };
        let Some(click) = memory.recent.get(index).cloned() else {
            return Vec::new();
        };
        let order = memory.open_order(click);
        let times = if kind < 55 { 3 } else { 1 };
        (0..times)
            .map(|_| {
                memory.give_out(Call {
                    order,
                    says: Says::Order,
                })
            })
            .collect()
    }

    /// Gives out a call for a new order of this click.
    pub(crate) fn call_about(&self, click: AckedClick) -> u64 {
        let mut memory = lock(&self.memory);
        let order = memory.open_order(click);
        memory.give_out(Call {
            order,
            says: Says::Order,
        })
    }

    /// Returns a call by number, and the click of its order.
    pub(crate) fn call(&self, number: u64) -> Option<(Call, AckedClick)> {
        let memory = lock(&self.memory);
        let call = *memory.calls.get(usize::try_from(number).ok()?)?;
        Some((
            call,
            memory.orders.get(usize::try_from(call.order).ok()?)?.clone(),
        ))
    }

    /// Records the acknowledgement of a click.
    pub(crate) fn acked_click(&self, click: AckedClick) {
        self.received.fetch_add(1, Ordering::SeqCst);
        lock(&self.memory).remember(click.clone());
        self.note(Note::Click(SystemTime::now(), click));
    }

    /// Records a click that was redirected but not recorded. Its id is genuine, so postbacks may name it.
    pub(crate) fn unrecorded_click(&self, click: AckedClick) {
        lock(&self.memory).remember(click);
    }

    /// Returns the time of the newest click by the server's clock, in milliseconds since 1970.
    pub(crate) fn newest_click_ms(&self) -> Option<u128> {
        // A key begins with 48 bits of time.
        lock(&self.memory).recent.back().map(|click| click.key >> 80)
    }

    /// Records the acknowledgement of a postback.
    pub(crate) fn acked_call(&self, ack: AckedCall) {
        self.received.fetch_add(1, Ordering::SeqCst);
        lock(&self.memory).acknowledged(ack.call);
        self.note(Note::Call(SystemTime::now(), ack));
    }

    /// Schedules a retry of a postback that was refused for now or not answered.
    pub(crate) fn unanswered(&self, number: u64) {
        let mut memory = lock(&self.memory);
        let call = usize::try_from(number)
            .ok()
            .and_then(|number| memory.calls.get(number))
            .copied();
        memory
            .retries
            .extend(call.map(|call| (Instant::now() + RETRY_INTERVAL, call)));
    }

    /// Records the rejection of a genuine postback.
    pub(crate) fn rejected(&self, answer: String) {
        lock(&self.memory).rejected.push(answer);
    }

    /// Returns the number of acknowledgements received, synced or not.
    pub(crate) fn received(&self) -> u64 {
        self.received.load(Ordering::SeqCst)
    }

    /// Returns the numbers of acknowledged clicks and postbacks that are on disk.
    pub(crate) fn counted(&self) -> (u64, u64) {
        let written = lock(&self.written);
        (written.clicks.len() as u64, written.calls.len() as u64)
    }

    /// Returns everything so far. Must be called when the load has stopped.
    pub(crate) fn testimony(&self) -> Testimony {
        self.flush();
        let (memory, written) = (lock(&self.memory), lock(&self.written));
        Testimony {
            run: self.run.clone(),
            clicks: self.clicks.load(Ordering::SeqCst),
            probes: self.probes.load(Ordering::SeqCst),
            orders: memory.orders.clone(),
            calls: memory.calls.clone(),
            acked_clicks: written.clicks.iter().map(|(_, click)| *click).collect(),
            acked_calls: written.calls.iter().map(|(_, ack)| *ack).collect(),
            rejected: memory.rejected.clone(),
        }
    }

    /// Withdraws the acknowledgements received at this time or later, which a restore may lack, and returns their number.
    /// Orders that only these report are not changed any more. Must be called when the load has stopped.
    pub(crate) fn withdraw_since(&self, time: SystemTime) -> usize {
        self.flush();
        let (mut memory, mut written) = (lock(&self.memory), lock(&self.written));
        let before = written.clicks.len() + written.calls.len();
        written.clicks.retain(|(at, _)| *at < time);
        written.calls.retain(|(at, _)| *at < time);
        memory.keep_reports(written.calls.iter().map(|(_, ack)| ack.call));
        before - written.clicks.len() - written.calls.len()
    }

    /// Waits until all acknowledgements so far are on disk.
    fn flush(&self) {
        let (done, flushed) = mpsc::channel();
        self.note(Note::Flush(done));
        // An error means that the writer has failed, and the writer then ends the process.
        let _ = flushed.recv();
    }

    fn note(&self, note: Note) {
        // The writer ends the process when it fails, so the channel is open.
        let _ = self.notes.send(note);
    }
}

impl Drop for Oracle {
    fn drop(&mut self) {
        // A closed channel ends the writer.
        self.notes = mpsc::channel().0;
        if let Some(writer) = self.writer.take() {
            let _ = writer.join();
        }
    }
}

impl Memory {
    /// Remembers an ordinary click for postbacks to name; probes have their own.
    fn remember(&mut self, click: AckedClick) {
        if click.n < FIRST_PROBE {
            self.recent.push_back(click);
        }
        if self.recent.len() > MAX_REMEMBERED_CLICKS {
            self.recent.pop_front();
        }
    }

    fn due_retry(&mut self) -> Option<Call> {
        let due = self.retries.front().is_some_and(|(at, _)| *at <= Instant::now());
        due.then(|| self.retries.pop_front())
            .flatten()
            .map(|(_, call)| call)
    }

    /// Remembers that the order of this call can be changed.
    fn acknowledged(&mut self, call: u64) {
        let call = usize::try_from(call).ok().and_then(|call| self.calls.get(call));
        if let Some(call) = call.filter(|call| call.change().is_none()) {
            self.reported.push(call.order);
        }
    }

    /// Keeps only the orders that these calls report among those that can be changed.
    fn keep_reports(&mut self, calls: impl Iterator<Item = u64>) {
        let calls = calls.filter_map(|call| self.calls.get(usize::try_from(call).ok()?));
        let reported: HashSet<_> = calls
            .filter(|call| call.change().is_none())
            .map(|call| call.order)
            .collect();
        self.reported.retain(|order| reported.contains(order));
        self.retries
            .retain(|(_, call)| call.change().is_none() || reported.contains(&call.order));
    }

    /// Returns a change of a reported order. Half of them meet on few orders, so that an order has several.
    fn next_change(&mut self, dice: &mut impl Rng) -> Option<Call> {
        let newest = self.reported.len().checked_sub(1)?;
        let index = if dice.random_bool(0.5) {
            newest.saturating_sub(dice.random_range(0..8))
        } else {
            dice.random_range(0..=newest)
        };
        let order = *self.reported.get(index)?;
        self.changes += 1;
        Some(Call {
            order,
            says: Says::Change(self.changes),
        })
    }

    fn open_order(&mut self, click: AckedClick) -> u64 {
        self.orders.push(click);
        self.orders.len() as u64 - 1
    }

    fn give_out(&mut self, call: Call) -> u64 {
        self.calls.push(call);
        self.calls.len() as u64 - 1
    }
}

/// Writes notes until all senders are dropped: gathers, writes, syncs, and only then counts.
fn write_down(file: File, incoming: &mpsc::Receiver<Note>, written: &Mutex<Written>) -> std::io::Result<()> {
    let mut file = BufWriter::new(file);
    while let Ok(first) = incoming.recv() {
        std::thread::sleep(SYNC_INTERVAL);
        let notes: Vec<_> = std::iter::once(first).chain(incoming.try_iter()).collect();
        for note in &notes {
            match note {
                Note::Click(_, click) => writeln!(file, "click {} {:032x}", click.n, click.key)?,
                Note::Call(_, ack) => writeln!(
                    file,
                    "postback {} {:032x} {:?}",
                    ack.call, ack.receipt, ack.verdict
                )?,
                Note::Flush(_) => {}
            }
        }
        file.flush()?;
        file.get_ref().sync_data()?;
        let mut counted = lock(written);
        for note in notes {
            match note {
                Note::Click(at, click) => counted.clicks.push((at, (click.n, click.key))),
                Note::Call(at, ack) => counted.calls.push((at, ack)),
                // The receiver may have been dropped.
                Note::Flush(done) => drop(done.send(())),
            }
        }
    }
    Ok(())
}

/// Locks a mutex; a panic elsewhere ends the run anyway.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;

    fn oracle(name: &str) -> (Oracle, std::path::PathBuf) {
        let file = std::env::temp_dir().join(format!("conserve-{name}-{}", std::process::id()));
        let _ = std::fs::remove_file(&file);
        (Oracle::new(Run { seed: 1, links: 1 }, &file).unwrap(), file)
    }

    fn click(n: u64) -> AckedClick {
        AckedClick {
            n,
            id: "x".into(),
            key: u128::from(n),
        }
    }

    #[test]
    fn counted_acknowledgements_are_in_the_file() {
        let (oracle, file) = oracle("file");
        oracle.acked_click(click(3));
        oracle.acked_call(AckedCall {
            call: 0,
            receipt: 9,
            verdict: Verdict::Queued,
        });
        let testimony = oracle.testimony();
        let text = std::fs::read_to_string(&file).unwrap();
        std::fs::remove_file(&file).unwrap();
        assert_eq!(testimony.acked_clicks, [(3, 3)]);
        assert_eq!(
            text,
            format!("click 3 {:032x}\npostback 0 {:032x} Queued\n", 3, 9)
        );
        assert_eq!(oracle.counted(), (1, 1));
    }

    #[test]
    fn a_refused_call_is_sent_again_with_the_same_order() {
        let (oracle, file) = oracle("retry");
        std::fs::remove_file(file).unwrap();
        let mut dice = StdRng::seed_from_u64(1);
        assert_eq!(
            oracle.next_calls(&mut dice),
            [0; 0],
            "no click is acknowledged yet"
        );
        oracle.acked_click(click(0));
        let number = oracle.call_about(click(0));
        oracle.unanswered(number);
        std::thread::sleep(RETRY_INTERVAL);
        let again = oracle.next_calls(&mut dice);
        assert_ne!(again, [number]);
        assert_eq!(oracle.call(again[0]).unwrap().0, oracle.call(number).unwrap().0);
    }

    #[test]
    fn withdrawn_acknowledgements_no_longer_count_nor_do_their_orders_change() {
        let (oracle, file) = oracle("withdrawn");
        std::fs::remove_file(file).unwrap();
        let ack = |call| AckedCall {
            call,
            receipt: 9,
            verdict: Verdict::Accepted,
        };
        oracle.acked_click(click(0));
        let kept = oracle.call_about(click(0));
        oracle.acked_call(ack(kept));
        std::thread::sleep(Duration::from_millis(2));
        let since = SystemTime::now();
        oracle.acked_click(click(1));
        let withdrawn = oracle.call_about(click(1));
        oracle.acked_call(ack(withdrawn));
        assert_eq!(oracle.withdraw_since(since), 2);
        let testimony = oracle.testimony();
        assert_eq!(testimony.acked_clicks, [(0, 0)]);
        assert_eq!(testimony.acked_calls.len(), 1);
        assert_eq!(testimony.calls.len(), 2, "both were given out");
        assert_eq!(
            lock(&oracle.memory).reported,
            [0],
            "the order of the click that is kept"
        );
    }
}
