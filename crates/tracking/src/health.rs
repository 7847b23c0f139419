//! How this node fares: what there is to know of its journals, and what somebody should look at.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use journal::Stats;
use schema::clock;
use serde::Serialize;

use crate::journals::Journals;

/// The names of all alarms.
pub const ALARMS: [&str; 6] = [
    "journal_failing",
    "journal_late",
    "journal_filling",
    "disk_slow",
    "journal_damaged",
    "clock_step",
];

/// What is applied this late is worth a look.
const LATE: Duration = Duration::from_secs(30);
/// So is a disk that takes this long.
const SLOW_DISK: Duration = Duration::from_millis(50);
/// And a journal that has less than this share left.
const LITTLE_ROOM: f64 = 0.2;
/// And a clock that is set by more than this.
const CLOCK_STEP: Duration = Duration::from_secs(1);
/// For how long a step of the clock is told.
const TOLD: Duration = Duration::from_secs(600);

/// How one journal fares.
#[derive(Debug, Clone, Serialize)]
pub struct JournalHealth {
    /// `clicks` or `postbacks`.
    pub stream: &'static str,
    /// Records acknowledged, ever.
    pub next: u64,
    /// Records that are in Postgres for sure.
    pub applied: u64,
    /// Age of the oldest that is not, in seconds.
    pub oldest_unapplied_seconds: f64,
    /// Share of its room that is left, 0 to 1.
    pub free: f64,
    /// Bytes on disk.
    pub bytes: u64,
    /// 99 of 100 recent syncs took no longer, in seconds.
    pub sync_p99_seconds: f64,
    /// Records refused since the start.
    pub refused: u64,
    /// Damaged places met since the start.
    pub damaged: u64,
    /// Whether it takes nothing at present.
    pub failing: bool,
}

impl JournalHealth {
    fn of(stream: &'static str, stats: &Stats) -> Self {
        let now: SystemTime = clock::now().into();
        let age = stats
            .oldest_unreleased_at
            .and_then(|at| now.duration_since(at).ok());
        Self {
            stream,
            next: stats.next,
            applied: stats.released,
            oldest_unapplied_seconds: age.unwrap_or_default().as_secs_f64(),
            free: stats.free,
            bytes: stats.bytes_on_disk,
            sync_p99_seconds: stats.sync_p99.as_secs_f64(),
            refused: stats.refused,
            damaged: stats.damaged,
            failing: stats.failing,
        }
    }
}

/// Something that somebody should look at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Alarm {
    /// Its name, stable for programs.
    pub name: &'static str,
    /// What is the matter, in a sentence.
    pub message: String,
}

/// How this node fares.
#[derive(Debug, Clone, Serialize)]
pub struct Health {
    /// Whether it takes clicks and postbacks: what a load balancer asks.
    pub ready: bool,
    /// Whether it is about to stop.
    pub draining: bool,
    /// Its journals.
    pub journals: Vec<JournalHealth>,
    /// What somebody should look at.
    pub alarms: Vec<Alarm>,
}

/// What is watched besides the journals.
#[derive(Default)]
pub(crate) struct Watch {
    pub(crate) draining: AtomicBool,
    clock_step: Mutex<Option<(Instant, Duration)>>,
}

impl Watch {
    /// Looks every second whether somebody set the clock.
    pub(crate) async fn watch_clock(self: Arc<Self>) {
        let mut before = (Instant::now(), clock::now());
        loop {
            tokio::time::sleep(Duration::from_secs(1)).await;
            let (elapsed, now) = (before.0.elapsed(), clock::now());
            let counted = (now - before.1).to_std().unwrap_or_default();
            let step = counted.abs_diff(elapsed);
            if step > CLOCK_STEP {
                tracing::error!(
                    ?step,
                    "the clock was set: times around this moment are not to be trusted"
                );
                *self.clock_step.lock().unwrap_or_else(PoisonError::into_inner) =
                    Some((Instant::now(), step));
            }
            before = (Instant::now(), now);
        }
    }

    pub(crate) fn health(&self, journals: &Journals) -> Health {
        let journals = vec![
            JournalHealth::of("clicks", &journals.clicks.stats()),
            JournalHealth::of("postbacks", &journals.postbacks.stats()),
        ];
        let draining = self.draining.load(Ordering::Relaxed);
        let mut alarms: Vec<Alarm> = journals.iter().flat_map(alarms).collect();
        let step = *self.clock_step.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, step)) = step.filter(|(at, _)| at.elapsed() < TOLD) {
            alarms.push(Alarm {
                name: "clock_step",
                message: format!("The clock was set by {:.1} s.", step.as_secs_f64()),
            });
        }
        Health {
            ready: !draining && journals.iter().all(|journal| !journal.failing),
            draining,
            journals,
            alarms,
        }
    }
}

fn alarms(journal: &JournalHealth) -> Vec<Alarm> {
    let stream = journal.stream;
    let late = journal.oldest_unapplied_seconds;
    let sync = journal.sync_p99_seconds;
    [
        (
            journal.failing,
            "journal_failing",
            format!("The journal of {stream} takes nothing: its disk is full or fails."),
        ),
        (
            late > LATE.as_secs_f64(),
            "journal_late",
            format!("The oldest of the {stream} that are not in Postgres yet is {late:.0} s old."),
        ),
        (
            journal.free < LITTLE_ROOM,
            "journal_filling",
            format!(
                "The journal of {stream} has {:.0} % of its room left.",
                journal.free * 100.0
            ),
        ),
        (
            sync > SLOW_DISK.as_secs_f64(),
            "disk_slow",
            format!("The disk takes {:.0} ms to keep {stream}.", sync * 1000.0),
        ),
        (
            journal.damaged > 0,
            "journal_damaged",
            format!(
                "The journal of {stream} is damaged in {} places.",
                journal.damaged
            ),
        ),
    ]
    .into_iter()
    .filter(|(fires, ..)| *fires)
    .map(|(_, name, message)| Alarm { name, message })
    .collect()
}
