//! Background work of this process: when each kind last ran, and its last failure, for operators.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, Utc};
use schema::{Db, DbError, NetworkId, clock, text_enum};
use serde::{Deserialize, Serialize};

use crate::networks;

text_enum! {
    /// Kind of background work.
    pub enum Work {
        /// Closing spans of clicks and building their blocks; one node of all does.
        Blocks = "blocks of clicks",
        /// Mailing views of reports.
        Mails = "scheduled mails",
        /// Preparing files of reports.
        Files = "report files",
        /// Checking integrations and mailing alerts.
        Alerts = "alerts",
        /// Checking tracking hosts that are not proven.
        Hosts = "host checks",
        /// Copying journals and database to the backup.
        Backup = "backup",
        /// Delivering events to trackers of affiliates and systems of networks.
        Deliveries = "deliveries",
    }
}

impl Work {
    /// Label of the metrics.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Blocks => "blocks",
            Self::Mails => "mails",
            Self::Files => "files",
            Self::Alerts => "alerts",
            Self::Hosts => "hosts",
            Self::Backup => "backup",
            Self::Deliveries => "deliveries",
        }
    }
}

/// State of one kind of background work.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkState {
    /// Kind.
    pub work: String,
    /// End of the last run without a failure; `None` before the first.
    pub ran_at: Option<DateTime<Utc>>,
    /// Number of blocks built, mails sent, files prepared, networks or hosts checked, or copies to the backup since the start.
    pub done: u64,
    /// Time of the last failure; `None` without one.
    pub failed_at: Option<DateTime<Utc>>,
    /// Reason of the last failure.
    pub failure: Option<String>,
}

impl WorkState {
    /// True if the last run failed.
    #[must_use]
    pub fn is_failing(&self) -> bool {
        self.failed_at > self.ran_at
    }
}

/// Background work of this process. Cheap to clone; clones share the states.
#[derive(Debug, Clone, Default)]
pub struct Works(Arc<Mutex<BTreeMap<&'static str, WorkState>>>);

impl Works {
    /// Records a run and the number of its results.
    pub fn ran(&self, work: Work, done: u64) {
        self.change(work, |state| {
            state.ran_at = Some(clock::now());
            state.done += done;
        });
    }

    /// Does work on every active network, one after the other, and records the run with the number of its results. A network
    /// that fails does not hold up the others; the run counts as failed then, or if the work recorded a failure itself.
    pub async fn run_everywhere<F: Future<Output = Result<u64, DbError>>>(
        &self,
        work: Work,
        db: &Db,
        run: impl Fn(NetworkId) -> F,
    ) {
        let began = clock::now();
        let networks = match networks::active(db).await {
            Ok(networks) => networks,
            Err(error) => {
                tracing::warn!(%work, %error, "networks not looked up; retrying");
                return self.failed(work, &error);
            }
        };
        let mut done = 0;
        for network_id in networks {
            match run(network_id).await {
                Ok(of_network) => done += of_network,
                Err(error) => {
                    tracing::warn!(%work, network = %network_id, %error, "a network failed; retrying");
                    self.failed(work, &error);
                }
            }
        }
        self.change(work, |state| {
            state.done += done;
            if state.failed_at < Some(began) {
                state.ran_at = Some(clock::now());
            }
        });
    }

    /// Records a failed run.
    pub fn failed(&self, work: Work, reason: &dyn Display) {
        self.change(work, |state| {
            state.failed_at = Some(clock::now());
            state.failure = Some(reason.to_string());
        });
    }

    fn change(&self, work: Work, change: impl FnOnce(&mut WorkState)) {
        let mut states = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let state = states.entry(work.as_str()).or_default();
        work.as_str().clone_into(&mut state.work);
        change(state);
    }

    /// States of all work that has run here, in alphabetical order.
    #[must_use]
    pub fn states(&self) -> Vec<WorkState> {
        let states = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        states.values().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_fails_until_it_runs_again() {
        let works = Works::default();
        works.ran(Work::Mails, 2);
        works.failed(Work::Mails, &"the disk is full");
        let state = works.clone().states().remove(0);
        assert!(state.is_failing());
        assert_eq!(
            (state.done, state.failure.as_deref()),
            (2, Some("the disk is full"))
        );
        std::thread::sleep(std::time::Duration::from_millis(1));
        works.ran(Work::Mails, 1);
        let state = works.states().remove(0);
        assert!(!state.is_failing());
        assert_eq!(state.done, 3);
    }
}
