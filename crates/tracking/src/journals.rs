//! Journals of this node: one for clicks and one for postbacks, so that a verdict never waits behind clicks, and one for
//! verdicts.
//!
//! Each process holds a slot (`0`, `1`, … in the journal folder) while it runs, so that an old and a new process can
//! serve side by side during a restart. Records that a process left unapplied in its slot are applied by another
//! process.

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use journal::{Journal, OpenError, Reader};

use campaigns::{ClickIds, Routing};
use postbacks::Authenticator;
use schema::{Changes, Db};
use tenancy::Secret;

use crate::ingest::{Answers, Applier, ApplyError, ClickStream, PostbackStream, Progress, Stream, VERDICTS};
use crate::nodes;
use crate::settings::JournalSettings;
use crate::tracker::node_id;
use crate::waiting::Waiting;

/// Maximum number of slots, more than the processes of any machine.
const SLOTS: u32 = 64;
/// Interval at which abandoned slots are searched.
const SEARCH_INTERVAL: Duration = Duration::from_secs(5);

/// The journals of one slot.
#[derive(Clone)]
pub(crate) struct Journals {
    pub(crate) slot: u32,
    pub(crate) clicks: Journal,
    pub(crate) postbacks: Journal,
    /// Verdicts that the senders of postbacks received.
    pub(crate) verdicts: Journal,
}

impl Journals {
    /// Opens the journals of the first free slot.
    pub(crate) fn open(settings: &JournalSettings) -> Result<Self, OpenError> {
        let mut taken = None;
        for slot in 0..SLOTS {
            match Self::open_slot(settings, slot) {
                Err(error @ OpenError::InUse) => taken = Some(error),
                opened => return opened,
            }
        }
        // Always set: the loop ends only if every slot is taken.
        taken.map_or_else(|| Self::open_slot(settings, 0), Err)
    }

    fn open_slot(settings: &JournalSettings, slot: u32) -> Result<Self, OpenError> {
        let open = |stream| {
            let (journal, recovery) = Journal::open(settings.of_stream(slot, stream))?;
            tracing::info!(slot, stream, next = recovery.next, took = ?recovery.took, "journal opened");
            if let Some(cut) = &recovery.cut {
                // None of the cut records was acknowledged.
                tracing::warn!(
                    slot,
                    stream,
                    ?cut,
                    "the incomplete end of the journal was cut off"
                );
            }
            for damage in &recovery.damage {
                tracing::error!(slot, stream, ?damage, "the journal is damaged");
            }
            Ok(journal)
        };
        Ok(Self {
            slot,
            clicks: open(ClickStream::NAME)?,
            postbacks: open(PostbackStream::NAME)?,
            verdicts: open(VERDICTS)?,
        })
    }

    /// Closes those of events: they accept no more records, and existing ones can still be applied.
    pub(crate) fn close(&self) {
        self.clicks.close();
        self.postbacks.close();
    }
}

/// Machine and folder of a slot, for operators.
pub(crate) fn node(folder: &Path, slot: u32) -> String {
    let host = nix::unistd::gethostname().unwrap_or_default();
    format!(
        "{}:{}",
        host.to_string_lossy(),
        folder.join(slot.to_string()).display()
    )
}

/// Applies the journals of abandoned slots, for as long as the process runs.
pub(crate) async fn apply_abandoned(
    settings: JournalSettings,
    own_slot: u32,
    url: Arc<str>,
    postbacks: impl Fn(Answers) -> PostbackStream,
) {
    // Time of the last write to each slot that is fully applied.
    let mut applied = HashMap::new();
    loop {
        tokio::time::sleep(SEARCH_INTERVAL).await;
        for slot in (0..SLOTS).filter(|slot| *slot != own_slot) {
            let folder = settings.folder.join(slot.to_string());
            if !folder.exists() {
                break;
            }
            // Opening a slot is expensive, and this one is unchanged.
            if applied.get(&slot) == Some(&written_at(&folder)) {
                continue;
            }
            let opening = settings.clone();
            let opened = tokio::task::spawn_blocking(move || Journals::open_slot(&opening, slot));
            match opened.await {
                // The process that holds the slot applies its journals.
                Ok(Err(OpenError::InUse)) => {}
                Err(error) => tracing::error!(slot, %error, "abandoned slot not opened"),
                Ok(Ok(journals)) => match catch_up(&settings, &journals, &url, &postbacks).await {
                    Ok(()) => {
                        nodes::remove(&url, node_id(&journals)).await;
                        drop(journals);
                        applied.insert(slot, written_at(&folder));
                    }
                    Err(error) => {
                        tracing::warn!(slot, %error, "journals of an abandoned slot not applied; retrying")
                    }
                },
                Ok(Err(error)) => tracing::error!(slot, %error, "abandoned slot not opened"),
            }
        }
    }
}

/// Time of the last write to a slot; `None` if its files cannot be read.
fn written_at(slot: &Path) -> Option<SystemTime> {
    let files = [ClickStream::NAME, PostbackStream::NAME]
        .into_iter()
        .filter_map(|stream| fs::read_dir(slot.join(stream)).ok())
        .flatten();
    let times = files.filter_map(|file| file.ok()?.metadata().ok()?.modified().ok());
    times.max()
}

/// Readers of the click journals of all slots in the folder, from the beginning. Unreadable journals are left out.
pub(crate) fn all_clicks(folder: &Path) -> Vec<Reader> {
    let clicks = (0..SLOTS).map(|slot| folder.join(slot.to_string()).join(ClickStream::NAME));
    clicks
        .take_while(|clicks| clicks.exists())
        .filter_map(|clicks| {
            let reader = Reader::open(&clicks, 0);
            let reader = reader.inspect_err(|error| {
                tracing::warn!(folder = %clicks.display(), %error, "journal of clicks not read");
            });
            reader.ok()
        })
        .collect()
}

/// Applies the records that the journals of a slot hold now, and closes them.
async fn catch_up(
    settings: &JournalSettings,
    journals: &Journals,
    url: &Arc<str>,
    postbacks: impl Fn(Answers) -> PostbackStream,
) -> Result<(), ApplyError> {
    let node = node(&settings.folder, journals.slot);
    let postbacks = postbacks(Answers::new(&journals.verdicts));
    let clicks = ClickStream::new(postbacks.authenticator.routing().clone());
    let clicks = applier(&journals.clicks, url, &node, clicks);
    let postbacks = applier(&journals.postbacks, url, &node, postbacks);
    let caught_up = async {
        clicks.catch_up().await?;
        postbacks.catch_up().await
    };
    let result = caught_up.await;
    journals.close();
    journals.verdicts.close();
    result
}

/// Reason why the journals of a folder were not applied.
#[derive(Debug, thiserror::Error)]
pub enum ApplyJournalsError {
    /// A journal cannot be opened.
    #[error("journal: {0}")]
    Open(#[from] OpenError),
    /// The database failed.
    #[error("the journals were not applied: {0}")]
    Apply(String),
}

/// Applies what the journals in a folder hold beyond the cursors of the database, such as a restored one. No server may use
/// the folder.
///
/// # Errors
/// [`ApplyJournalsError`] if a journal is in use, or the database fails; what was applied until then stays.
pub async fn apply_journals(
    settings: JournalSettings,
    db: Db,
    database_url: &str,
    secret: Secret,
) -> Result<(), ApplyJournalsError> {
    let url: Arc<str> = database_url.into();
    let routing = Routing::new(db, Changes::listen(&schema::Opening::default(), &url));
    let authenticator = Authenticator::new(routing, ClickIds::new(secret.clone()), secret);
    let postbacks = |answers| PostbackStream {
        authenticator: authenticator.clone(),
        waiting: Waiting::default(),
        answers,
    };
    for slot in (0..SLOTS).take_while(|slot| settings.folder.join(slot.to_string()).exists()) {
        let journals = tokio::task::block_in_place(|| Journals::open_slot(&settings, slot))?;
        let applied = catch_up(&settings, &journals, &url, postbacks).await;
        applied.map_err(|error| ApplyJournalsError::Apply(error.to_string()))?;
    }
    Ok(())
}

pub(crate) fn applier<S: Stream>(journal: &Journal, url: &Arc<str>, node: &str, stream: S) -> Applier<S> {
    Applier {
        journal: journal.clone(),
        opened_at: Mutex::new(Some(journal.next())),
        url: url.clone(),
        node: node.to_owned(),
        stream,
        progress: Arc::<Progress>::default(),
    }
}
