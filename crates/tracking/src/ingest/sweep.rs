//! The sweep of a node: stored work that no new postback triggers.

use std::sync::Arc;
use std::time::{Duration, Instant};

use journal::Journal;
use postbacks::{Authenticator, DecideError, Sweeper};

use super::applier::Progress;
use crate::counts;

/// Interval of sweeps.
const SWEEP_INTERVAL: Duration = Duration::from_secs(2);
/// Time after a failure of Postgres in which no held postback is given up: what it waits for may be in a journal.
const CATCH_UP_TIME: Duration = Duration::from_secs(60);

/// Sweeps for as long as the process runs. Any number of nodes may do so at once.
pub(crate) async fn sweep(
    url: Arc<str>,
    authenticator: Authenticator,
    progress: Arc<Progress>,
    journal: Journal,
) {
    loop {
        if let Err(error) = sweep_until_failure(&url, &authenticator, &progress, &journal).await {
            tracing::warn!(%error, "sweep failed; retrying");
            tokio::time::sleep(SWEEP_INTERVAL).await;
        }
    }
}

async fn sweep_until_failure(
    url: &str,
    authenticator: &Authenticator,
    progress: &Progress,
    journal: &Journal,
) -> Result<(), DecideError> {
    let mut sweeper = Sweeper::connect(url, authenticator.clone()).await?;
    let mut failed_at: Option<Instant> = None;
    loop {
        tokio::time::sleep(SWEEP_INTERVAL).await;
        if progress.is_failing() {
            failed_at = Some(Instant::now());
            continue;
        }
        // The dependency of a held postback may be in our journal, or in that of a node that could not apply it for a
        // while.
        let is_recent = failed_at.is_some_and(|at| at.elapsed() < CATCH_UP_TIME);
        let is_behind = progress.applied() < journal.next();
        let events = sweeper.sweep(!is_recent && !is_behind).await?;
        counts::events(&events);
    }
}
