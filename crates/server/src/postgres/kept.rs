//! Restart of a private Postgres that ended by itself.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use schema::clock;

use super::PostgresError;
use super::child::Child;
use super::cluster::Cluster;

/// Time between looks at the postmaster.
const LOOK_INTERVAL: Duration = Duration::from_millis(200);
/// First pause before a restart; each further one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// Time after which a postmaster that runs is taken to be well.
const STABLE_AFTER: Duration = Duration::from_secs(60);
/// Time for which an end is reported after the restart.
const REPORTED_FOR: TimeDelta = TimeDelta::hours(1);

/// Ends of a private Postgres, for alarms. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct PostgresWatch(Arc<Mutex<Ends>>);

#[derive(Debug, Default)]
struct Ends {
    /// Number since the start of this process.
    count: u64,
    last: Option<DateTime<Utc>>,
    /// Reason why it does not run at present: the last failed attempt to start it; empty before the first.
    down: Option<String>,
}

impl PostgresWatch {
    /// Sentence about a Postgres that does not run; `None` if it runs.
    #[must_use]
    pub fn down(&self) -> Option<String> {
        let ends = self.ends();
        let reason = ends.down.as_ref()?;
        let mut sentence =
            "The private Postgres has ended and is started again: clicks and postbacks are kept in the \
                            journals meanwhile."
                .to_owned();
        if !reason.is_empty() {
            sentence.push_str(&format!(" The last attempt failed: {reason}"));
        }
        Some(sentence)
    }

    /// Sentence about a Postgres that ended lately and runs again; `None` otherwise.
    #[must_use]
    pub fn restarted(&self, now: DateTime<Utc>) -> Option<String> {
        let ends = self.ends();
        let last = ends.last.filter(|last| now - *last < REPORTED_FOR)?;
        ends.down.is_none().then(|| {
            let times = if ends.count == 1 { "once".to_owned() } else { format!("{} times", ends.count) };
            format!(
                "The private Postgres ended by itself {times} since the start, last at {} UTC, and runs again. Its log is \
                 postgres.log in the data directory.",
                last.format("%H:%M:%S")
            )
        })
    }

    fn ends(&self) -> std::sync::MutexGuard<'_, Ends> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Postmaster that is started again when it ends. Dropping it stops both.
#[derive(Debug)]
pub(super) struct Kept {
    shared: Arc<Shared>,
    keeper: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    cluster: Cluster,
    child: Mutex<Option<Child>>,
    is_stopping: Mutex<bool>,
    stop: Condvar,
    watch: PostgresWatch,
}

impl Kept {
    /// Starts the postmaster, and a thread that keeps it running.
    pub(super) fn start(cluster: Cluster) -> Result<Self, PostgresError> {
        let child = cluster.start()?;
        let shared = Arc::new(Shared {
            cluster,
            child: Mutex::new(Some(child)),
            is_stopping: Mutex::new(false),
            stop: Condvar::new(),
            watch: PostgresWatch::default(),
        });
        let keeping = shared.clone();
        let keeper = std::thread::Builder::new()
            .name("postgres-keeper".into())
            .spawn(move || keeping.keep())
            .map_err(|error| PostgresError::Io {
                operation: "starting the keeper of postgres".into(),
                error,
            })?;
        Ok(Self {
            shared,
            keeper: Some(keeper),
        })
    }

    pub(super) fn watch(&self) -> PostgresWatch {
        self.shared.watch.clone()
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        *self
            .shared
            .is_stopping
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = true;
        self.shared.stop.notify_all();
        if let Some(keeper) = self.keeper.take() {
            // A keeper that panicked has stopped too.
            let _ = keeper.join();
        }
        drop(self.shared.child().take());
    }
}

impl Shared {
    fn child(&self) -> std::sync::MutexGuard<'_, Option<Child>> {
        self.child.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits; returns true if the postmaster is to stop.
    fn wait(&self, time: Duration) -> bool {
        let is_stopping = self.is_stopping.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self
            .stop
            .wait_timeout_while(is_stopping, time, |is_stopping| !*is_stopping);
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }

    fn keep(&self) {
        let (mut pause, mut started) = (FIRST_PAUSE, Instant::now());
        while !self.wait(LOOK_INTERVAL) {
            if self.child().as_ref().is_some_and(Child::is_running) {
                if started.elapsed() > STABLE_AFTER {
                    pause = FIRST_PAUSE;
                }
                continue;
            }
            if self.child().take().is_some() {
                let mut ends = self.watch.ends();
                ends.count += 1;
                ends.last = Some(clock::now());
                ends.down = Some(String::new());
                tracing::error!(
                    log = %self.cluster.log().display(),
                    tail = self.cluster.log_tail(),
                    "the private Postgres has ended; starting it again"
                );
            }
            if self.wait(pause) {
                return;
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
            match self.cluster.start() {
                Ok(child) => {
                    *self.child() = Some(child);
                    started = Instant::now();
                    self.watch.ends().down = None;
                    tracing::info!("the private Postgres runs again");
                }
                Err(error) => {
                    tracing::error!(%error, retry_in = ?pause, "the private Postgres does not start");
                    self.watch.ends().down = Some(error.to_string());
                }
            }
        }
    }
}
