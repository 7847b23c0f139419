//! Health of this node: figures of its journals, and alarms for operators.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use journal::Stats;
use schema::clock;
use serde::{Deserialize, Serialize};
use tenancy::work::WorkState;

use crate::ingest::VERDICTS;
use crate::journals::Journals;
use crate::settings::WhenDiskFails;

/// Names of all alarms.
pub const ALARMS: [&str; 13] = [
    "database_away",
    "postgres_down",
    "postgres_restarted",
    "journal_failing",
    "journal_late",
    "journal_filling",
    "disk_slow",
    "journal_damaged",
    "clock_step",
    "untrusted_proxy",
    "backup_failing",
    "deliveries_late",
    CONTRADICTED,
];

/// Alarm about verdicts that a restore contradicts.
pub(crate) const CONTRADICTED: &str = "verdicts_contradicted";

/// Age of the oldest unapplied record above which an alarm fires.
const MAX_UNAPPLIED_AGE: Duration = Duration::from_secs(30);
/// 99th percentile of the time of a sync above which an alarm fires.
const MAX_SYNC_TIME: Duration = Duration::from_millis(50);
/// Free share of a journal's quota below which an alarm fires.
const MIN_FREE_SHARE: f64 = 0.2;
/// Step of the clock above which an alarm fires.
const MAX_CLOCK_STEP: Duration = Duration::from_secs(1);
/// Time for which a step of the clock is reported.
const CLOCK_ALARM_TIME: Duration = Duration::from_secs(600);

/// Time for which an untrusted proxy is reported.
const PROXY_ALARM_TIME: Duration = Duration::from_secs(3600);

/// Health of one journal.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct JournalHealth {
    /// `clicks`, `postbacks` or `verdicts`.
    pub stream: Cow<'static, str>,
    /// Number of records acknowledged since the journal was created.
    pub next: u64,
    /// Number of records that are durably in Postgres.
    pub applied: u64,
    /// Age of the oldest record that is not, in seconds; 0 if all are.
    pub oldest_unapplied_seconds: f64,
    /// Free share of its quota, as far as the disk has that space, from 0 to 1.
    pub free: f64,
    /// Size on disk, in bytes.
    pub bytes: u64,
    /// 99th percentile of the time of recent syncs, in seconds.
    pub sync_p99_seconds: f64,
    /// Number of records refused since the start.
    pub refused: u64,
    /// Number of damaged places found since the start.
    pub damaged: u64,
    /// True if the last batch was refused.
    pub failing: bool,
}

impl JournalHealth {
    fn of(stream: &'static str, stats: &Stats) -> Self {
        let now: SystemTime = clock::now().into();
        let age = stats
            .oldest_unreleased_at
            .and_then(|at| now.duration_since(at).ok());
        Self {
            stream: stream.into(),
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

/// Condition that needs an operator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alarm {
    /// Name, stable for programs.
    pub name: Cow<'static, str>,
    /// Sentence for operators.
    pub message: String,
}

/// Health of this node.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Health {
    /// True if it accepts clicks and postbacks: the result of the health check of load balancers.
    pub ready: bool,
    /// True if it is about to stop.
    pub draining: bool,
    /// Journals.
    pub journals: Vec<JournalHealth>,
    /// Conditions that need an operator.
    pub alarms: Vec<Alarm>,
    /// Background work of this process.
    pub work: Vec<WorkState>,
}

/// State of the node besides its journals.
#[derive(Default)]
pub(crate) struct Watch {
    pub(crate) draining: AtomicBool,
    clock_step: Mutex<Option<(Instant, Duration)>>,
    /// Alarms of what runs outside of this crate, by name.
    outside: Mutex<BTreeMap<&'static str, String>>,
    /// Last request through a proxy that is not trusted, and the proxy.
    untrusted_proxy: Mutex<Option<(Instant, IpAddr)>>,
}

impl Watch {
    /// Compares the wall clock with the monotonic clock every second, and records steps.
    pub(crate) async fn watch_clock(self: Arc<Self>) {
        let mut before = (Instant::now(), clock::now());
        loop {
            tokio::time::sleep(Duration::from_secs(1)).await;
            let (elapsed, now) = (before.0.elapsed(), clock::now());
            let counted = (now - before.1).to_std().unwrap_or_default();
            let step = counted.abs_diff(elapsed);
            if step > MAX_CLOCK_STEP {
                tracing::error!(
                    ?step,
                    "the system clock was changed; times around this moment may be wrong"
                );
                *self.clock_step.lock().unwrap_or_else(PoisonError::into_inner) =
                    Some((Instant::now(), step));
            }
            before = (Instant::now(), now);
        }
    }

    /// Raises an alarm with this sentence, or ends it.
    pub(crate) fn set_alarm(&self, name: &'static str, message: Option<String>) {
        let mut outside = self.outside.lock().unwrap_or_else(PoisonError::into_inner);
        match message {
            Some(message) => outside.insert(name, message),
            None => outside.remove(name),
        };
    }

    /// Records a visitor whose address a proxy forwards, which is not used because the proxy is not trusted.
    pub(crate) fn came_through_untrusted(&self, proxy: IpAddr) {
        let now = Instant::now();
        let last = {
            let mut last = self
                .untrusted_proxy
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            last.replace((now, proxy))
        };
        if last.is_none_or(|(at, _)| now - at > PROXY_ALARM_TIME) {
            tracing::warn!(%proxy, "visitors come through a proxy that is not trusted: all have its address; set --trusted-proxy");
        }
    }

    pub(crate) fn health(&self, journals: &Journals, when_disk_fails: WhenDiskFails) -> Health {
        let journals = vec![
            JournalHealth::of("clicks", &journals.clicks.stats()),
            JournalHealth::of("postbacks", &journals.postbacks.stats()),
            JournalHealth::of(VERDICTS, &journals.verdicts.stats()),
        ];
        let draining = self.draining.load(Ordering::Relaxed);
        let redirects = matches!(when_disk_fails, WhenDiskFails::Redirect);
        let mut alarms: Vec<Alarm> = journals.iter().flat_map(alarms).collect();
        for (name, message) in &*self.outside.lock().unwrap_or_else(PoisonError::into_inner) {
            alarms.push(Alarm {
                name: (*name).into(),
                message: message.clone(),
            });
        }
        let step = *self.clock_step.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, step)) = step.filter(|(at, _)| at.elapsed() < CLOCK_ALARM_TIME) {
            alarms.push(Alarm {
                name: "clock_step".into(),
                message: format!("The system clock was changed by {:.1} s.", step.as_secs_f64()),
            });
        }
        let proxy = *self
            .untrusted_proxy
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some((_, proxy)) = proxy.filter(|(at, _)| at.elapsed() < PROXY_ALARM_TIME) {
            alarms.push(Alarm {
                name: "untrusted_proxy".into(),
                message: format!(
                    "Visitors come through the proxy {proxy}, which is not trusted: all of them have its address, so they \
                     count as one visitor and share one limit of sign-ins. Start the server with --trusted-proxy {proxy}."
                ),
            });
        }
        Health {
            // A balancer must not take the node away while it still redirects visitors as the operator wants.
            ready: !draining
                && journals
                    .iter()
                    .all(|journal| !journal.failing || is_dispensable(journal, redirects)),
            draining,
            journals,
            alarms,
            work: Vec::new(),
        }
    }
}

/// True for a journal without which a node serves: visitors are redirected without their clicks, and senders are answered that
/// their verdicts follow.
fn is_dispensable(journal: &JournalHealth, redirects: bool) -> bool {
    journal.stream == VERDICTS || journal.stream == "clicks" && redirects
}

fn alarms(journal: &JournalHealth) -> Vec<Alarm> {
    let stream = &journal.stream;
    let age = journal.oldest_unapplied_seconds;
    let sync = journal.sync_p99_seconds;
    [
        (
            journal.failing,
            "journal_failing",
            format!("The journal of {stream} accepts no records: its disk is full or failing."),
        ),
        (
            age > MAX_UNAPPLIED_AGE.as_secs_f64(),
            "journal_late",
            format!(
                "The oldest record of the {stream} journal that is not in Postgres yet is {age:.0} s old."
            ),
        ),
        (
            journal.free < MIN_FREE_SHARE,
            "journal_filling",
            format!(
                "The journal of {stream} has {:.0} % of its quota left.",
                journal.free * 100.0
            ),
        ),
        (
            sync > MAX_SYNC_TIME.as_secs_f64(),
            "disk_slow",
            format!(
                "Syncs of the {stream} journal take up to {:.0} ms (99th percentile).",
                sync * 1000.0
            ),
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
    .map(|(_, name, message)| Alarm {
        name: name.into(),
        message,
    })
    .collect()
}
