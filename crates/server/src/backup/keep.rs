//! Backups that the server makes itself: what is new in journals and database every few seconds, and the whole database once
//! a day.

use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use schema::clock;
use tenancy::work::Work;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tracing::{Instrument as _, info_span};
use tracking::Tracker;

use super::journals::JournalCopy;
use super::manifest::{self, Image, LATEST_SECRET, State};
use super::target::Target;
use super::wal::ChangeCopy;
use super::{BackupError, Source, check_owner, prune, take};
use crate::config::{BackupMethod, Place, Retention, S3Options};

/// Alarm about a copy that failed.
const ALARM: &str = "backup_failing";
/// Longest time for the last copy when the server stops.
const LAST_COPY_TIMEOUT: Duration = Duration::from_secs(20);
/// Pause before a failed copy of the database is tried again.
const RETRY_PAUSE: Duration = Duration::from_secs(300);

/// Settings of the backups of a server.
pub(crate) struct KeepSettings {
    pub(crate) source: Source,
    pub(crate) place: Place,
    pub(crate) s3: S3Options,
    /// True for the private Postgres, whose changes are copied too.
    pub(crate) is_private: bool,
    /// Time between the beginnings of two copies of what is new.
    pub(crate) interval: Duration,
    /// Time between two copies of the database.
    pub(crate) every: TimeDelta,
    pub(crate) retention: Retention,
    pub(crate) tracker: Tracker,
}

/// Running backups.
pub(crate) struct Keeper {
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Keeper {
    /// Starts the backups on the current runtime.
    pub(crate) fn start(settings: KeepSettings) -> Self {
        let (stop, stopped) = oneshot::channel();
        let span = info_span!("backup", to = %settings.place);
        Self {
            stop,
            task: tokio::spawn(keep(settings, stopped).instrument(span)),
        }
    }

    /// Copies what is new for the last time, and ends.
    pub(crate) async fn finish(self) {
        // The task has ended already if this fails.
        let _ = self.stop.send(());
        if tokio::time::timeout(LAST_COPY_TIMEOUT, self.task).await.is_err() {
            tracing::warn!("the last events were not copied to the backup; the next start copies them");
        }
    }
}

/// Copies under way.
struct Copies {
    target: Target,
    journals: JournalCopy,
    changes: Option<ChangeCopy>,
    /// End of the last copy of the database; `None` if a new one is needed.
    copied_at: Option<DateTime<Utc>>,
    /// True if this process has written the state of the place.
    is_known: bool,
}

async fn keep(settings: KeepSettings, mut stopped: oneshot::Receiver<()>) {
    let settings = std::sync::Arc::new(settings);
    let (mut copies, mut whole, mut is_last) = (None, Whole::default(), false);
    loop {
        let began = Instant::now();
        let copied = copy_once(&settings, &mut copies).await;
        let failure = match (&copied, whole.finish(&mut copies).await) {
            (Err(error), _) => Some(error.to_string()),
            (Ok(()), failure) => failure,
        };
        report(&settings, failure);
        if is_last {
            return;
        }
        if let Some(copies) = copies.as_ref().filter(|_| settings.is_private) {
            whole.begin_if_due(&settings, copies);
        }
        // From beginning to beginning: the time of a copy does not make the next one later.
        let pause = settings.interval.saturating_sub(began.elapsed());
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            _ = &mut stopped => is_last = true,
        }
    }
}

/// Copies what is new.
async fn copy_once(settings: &KeepSettings, copies: &mut Option<Copies>) -> Result<(), BackupError> {
    let copies = match copies {
        Some(copies) => copies,
        None => copies.insert(resume(settings).await?),
    };
    let target = &copies.target;
    if copies.is_known && State::read(target).await?.is_none() {
        return Err(BackupError::Emptied(target.place().to_owned()));
    }
    let mut state = check_owner(&settings.source, target).await?;
    let now = clock::now();
    // Before the journals, which reach further then, and are copied whatever becomes of the changes.
    let changes = match &mut copies.changes {
        Some(changes) => changes.run(target).await.map(Some),
        None => Ok(None),
    };
    if let Ok(Some(is_unbroken)) = changes {
        state.changes_until = Some(now);
        if !is_unbroken {
            copies.copied_at = None;
        }
    }
    copies.journals.run(target).await?;
    state.events_until = now.max(state.events_until);
    if !copies.is_known {
        let secret = format!("{}\n", settings.source.secret.to_text());
        target.put(LATEST_SECRET, secret.into_bytes()).await?;
    }
    state.write(target).await?;
    copies.is_known = true;
    changes.map(drop)
}

async fn resume(settings: &KeepSettings) -> Result<Copies, BackupError> {
    let source = &settings.source;
    // Opened here, so that a server starts without the disk or the storage of its backups.
    let target = Target::open(&settings.place, &settings.s3)?;
    check_owner(source, &target).await?;
    let changes = if settings.is_private {
        let folder = source.folder().join("wal");
        Some(ChangeCopy::resume(&target, source.tools()?, &source.url, folder).await?)
    } else {
        None
    };
    let manifests = manifest::manifests(&target).await?;
    let last = manifests.into_iter().rev();
    let last = last
        .into_iter()
        .find(|manifest| matches!(manifest.image, Image::Base { .. }));
    Ok(Copies {
        journals: JournalCopy::resume(&target, source.journals.clone()).await?,
        changes,
        copied_at: last.map(|manifest| manifest.finished_at),
        target,
        is_known: false,
    })
}

/// Copy of the whole database, beside the copies of what is new.
#[derive(Default)]
struct Whole {
    running: Option<JoinHandle<Result<DateTime<Utc>, BackupError>>>,
    failed: Option<(Instant, String)>,
}

impl Whole {
    fn begin_if_due(&mut self, settings: &std::sync::Arc<KeepSettings>, copies: &Copies) {
        let is_due = copies
            .copied_at
            .is_none_or(|copied_at| clock::now() - copied_at >= settings.every);
        let may_retry = self
            .failed
            .as_ref()
            .is_none_or(|(at, _)| at.elapsed() >= RETRY_PAUSE);
        if self.running.is_none() && is_due && may_retry {
            let (settings, target) = (settings.clone(), copies.target.clone());
            let copying = async move { copy_database(&settings, &target).await };
            self.running = Some(tokio::spawn(copying.in_current_span()));
        }
    }

    /// Takes the result of a copy that has ended. Returns the reason of the last failure.
    async fn finish(&mut self, copies: &mut Option<Copies>) -> Option<String> {
        if let Some(running) = self.running.take_if(|running| running.is_finished()) {
            let ended = match running.await {
                Ok(ended) => ended.map_err(|error| error.to_string()),
                Err(error) => Err(error.to_string()),
            };
            match ended {
                Ok(copied_at) => {
                    self.failed = None;
                    if let Some(copies) = copies {
                        copies.copied_at = Some(copied_at);
                    }
                }
                Err(reason) => self.failed = Some((Instant::now(), reason)),
            }
        }
        self.failed
            .as_ref()
            .map(|(_, reason)| format!("the database was not copied: {reason}"))
    }
}

impl Drop for Whole {
    fn drop(&mut self) {
        if let Some(running) = &self.running {
            running.abort();
        }
    }
}

async fn copy_database(settings: &KeepSettings, target: &Target) -> Result<DateTime<Utc>, BackupError> {
    let progress = |step: String| tracing::debug!(step);
    let manifest = take(&settings.source, target, &progress).await?;
    tracing::info!(
        backup = manifest.name,
        bytes = manifest.bytes(),
        "database copied"
    );
    let removed = prune(target, settings.retention, clock::now()).await?;
    if !removed.is_empty() {
        tracing::info!(?removed, "old backups removed");
    }
    Ok(manifest.finished_at)
}

fn report(settings: &KeepSettings, failure: Option<String>) {
    let works = settings.tracker.works();
    let alarm = match failure {
        None => {
            works.ran(Work::Backup, 1);
            None
        }
        Some(reason) => {
            tracing::warn!(reason, "backup failed; retrying");
            works.failed(Work::Backup, &reason);
            Some(format!(
                "The backup to {} fails: {reason}. What this machine acknowledges is lost if its disk fails.",
                settings.place
            ))
        }
    };
    settings.tracker.set_alarm(ALARM, alarm);
}

impl KeepSettings {
    /// Method of the copies of the database.
    pub(crate) const METHOD: BackupMethod = BackupMethod::Base;
}
