//! Counters, and their snapshot.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, SystemTime};

use crate::{Seq, locked};

/// Number of syncs in the percentiles.
const RECENT: usize = 1024;
/// Maximum number of marks of batch times.
const MARKS: usize = 4096;
/// Minimum time between two marks, in milliseconds.
const SPACING_MS: u64 = 10;

/// Statistics of a journal at one moment.
#[derive(Debug, Clone)]
pub struct Stats {
    /// Number of the next record; all records before it are on disk.
    pub next: Seq,
    /// Number of the oldest stored record.
    pub first: Seq,
    /// Number before which all records are released.
    pub released: Seq,
    /// Total length of all files in bytes, spares included.
    pub bytes_on_disk: u64,
    /// Maximum total length of all files in bytes.
    pub quota_bytes: u64,
    /// Share of the quota not used by unreleased records, limited by the file system's free space: 0 to 1.
    pub free: f64,
    /// Records written since the journal was opened.
    pub appended_records: u64,
    /// Bytes of these records.
    pub appended_bytes: u64,
    /// Batches synced since the journal was opened.
    pub syncs: u64,
    /// Median duration of the last 1,024 syncs.
    pub sync_p50: Duration,
    /// 99th percentile of the last 1,024 syncs.
    pub sync_p99: Duration,
    /// Failed or short writes, new segments included.
    pub write_failures: u64,
    /// Failed syncs.
    pub sync_failures: u64,
    /// Appends refused for any reason.
    pub refused: u64,
    /// True if the last batch was refused.
    pub failing: bool,
    /// Write time of the oldest unreleased batch, exact to 1/2000 of its age or 10 ms; `None` if all are released.
    pub oldest_unreleased_at: Option<SystemTime>,
    /// Damaged places found by this journal's readers.
    pub damaged: u64,
}

/// Counters behind [`Stats`].
#[derive(Default)]
pub(crate) struct Counters {
    pub(crate) appended_records: AtomicU64,
    pub(crate) appended_bytes: AtomicU64,
    syncs: AtomicU64,
    write_failures: AtomicU64,
    sync_failures: AtomicU64,
    refused: AtomicU64,
    pub(crate) failing: AtomicBool,
    pub(crate) damaged: AtomicU64,
    recent: Mutex<VecDeque<Duration>>,
    pub(crate) marks: Mutex<Marks>,
}

impl Counters {
    pub(crate) fn synced(&self, took: Duration) {
        self.syncs.fetch_add(1, Relaxed);
        let mut recent = locked(&self.recent);
        if recent.len() == RECENT {
            recent.pop_front();
        }
        recent.push_back(took);
    }

    pub(crate) fn write_failed(&self) {
        self.write_failures.fetch_add(1, Relaxed);
    }

    pub(crate) fn sync_failed(&self) {
        self.sync_failures.fetch_add(1, Relaxed);
    }

    pub(crate) fn refused(&self, records: u64) {
        self.refused.fetch_add(records, Relaxed);
    }

    /// Returns a snapshot; the caller fills in the fields of the folder.
    pub(crate) fn snapshot(&self, next: Seq, released: Seq) -> Stats {
        let mut recent: Vec<_> = locked(&self.recent).iter().copied().collect();
        recent.sort_unstable();
        let share = |percent: usize| {
            recent
                .get(recent.len() * percent / 100)
                .copied()
                .unwrap_or_default()
        };
        let oldest_ms = locked(&self.marks).oldest(released, next);
        Stats {
            next,
            first: 0,
            released,
            bytes_on_disk: 0,
            quota_bytes: 0,
            free: 0.0,
            appended_records: self.appended_records.load(Relaxed),
            appended_bytes: self.appended_bytes.load(Relaxed),
            syncs: self.syncs.load(Relaxed),
            sync_p50: share(50),
            sync_p99: share(99),
            write_failures: self.write_failures.load(Relaxed),
            sync_failures: self.sync_failures.load(Relaxed),
            refused: self.refused.load(Relaxed),
            failing: self.failing.load(Relaxed),
            oldest_unreleased_at: oldest_ms.map(|ms| SystemTime::UNIX_EPOCH + Duration::from_millis(ms)),
            damaged: self.damaged.load(Relaxed),
        }
    }
}

/// Write times of batches, thinned out as they increase, so that days of backlog fit into 64 KiB.
pub(crate) struct Marks {
    spacing_ms: u64,
    entries: VecDeque<(Seq, u64)>,
}

impl Default for Marks {
    fn default() -> Self {
        Marks {
            spacing_ms: SPACING_MS,
            entries: VecDeque::new(),
        }
    }
}

impl Marks {
    /// Records that a batch beginning with `first` was written at `ms`.
    pub(crate) fn push(&mut self, first: Seq, ms: u64) {
        let is_close = |(_, last): &(Seq, u64)| ms.abs_diff(*last) < self.spacing_ms;
        if self.entries.back().is_some_and(is_close) {
            return;
        }
        if self.entries.len() == MARKS {
            let mut keep = false;
            self.entries.retain(|_| {
                keep = !keep;
                keep
            });
            self.spacing_ms *= 2;
        }
        self.entries.push_back((first, ms));
    }

    /// Write time of the batch with record `released`, if before `next`. Drops earlier marks.
    fn oldest(&mut self, released: Seq, next: Seq) -> Option<u64> {
        while self.entries.get(1).is_some_and(|(first, _)| *first <= released) {
            self.entries.pop_front();
        }
        // The last mark stays, because a batch too close to it has no mark.
        if self.entries.len() <= 1 {
            self.spacing_ms = SPACING_MS;
        }
        self.entries
            .front()
            .filter(|_| released < next)
            .map(|(_, ms)| *ms)
    }
}
