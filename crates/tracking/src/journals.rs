//! The journals of this node: one for clicks and one for postbacks, so that a verdict never waits behind clicks.
//!
//! Each process takes a slot (`0`, `1`, … in the journal folder) for as long as it lives, so an old and a new process
//! can serve side by side while one takes over from the other. What a process left behind in its slot is applied by
//! whoever finds it.

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use journal::{Journal, OpenError, Reader};

use crate::ingest::{Applier, ClickStream, PostbackStream, Progress, Stream};
use crate::settings::JournalSettings;

/// More processes than anybody runs on one machine.
const SLOTS: u32 = 64;
/// How often slots are searched for what somebody left behind.
const SEARCH: Duration = Duration::from_secs(5);

/// The two journals of one slot.
#[derive(Clone)]
pub(crate) struct Journals {
    pub(crate) slot: u32,
    pub(crate) clicks: Journal,
    pub(crate) postbacks: Journal,
}

impl Journals {
    /// Takes the first slot that is free.
    pub(crate) fn open(settings: &JournalSettings) -> Result<Self, OpenError> {
        let mut taken = None;
        for slot in 0..SLOTS {
            match Self::open_slot(settings, slot) {
                Err(error @ OpenError::InUse) => taken = Some(error),
                opened => return opened,
            }
        }
        // There is one: the loop ends only when every slot was taken.
        taken.map_or_else(|| Self::open_slot(settings, 0), Err)
    }

    fn open_slot(settings: &JournalSettings, slot: u32) -> Result<Self, OpenError> {
        let open = |stream| {
            let (journal, recovery) = Journal::open(settings.of_stream(slot, stream))?;
            tracing::info!(slot, stream, next = recovery.next, took = ?recovery.took, "journal opened");
            if let Some(cut) = &recovery.cut {
                // What was never acknowledged.
                tracing::warn!(slot, stream, ?cut, "the journal's torn end was cut off");
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
        })
    }

    /// Takes no more records; what was taken can still be applied.
    pub(crate) fn close(&self) {
        self.clicks.close();
        self.postbacks.close();
    }
}

/// Where a journal lies, for people: the machine, the folder.
pub(crate) fn node(folder: &Path, slot: u32) -> String {
    let host = nix::unistd::gethostname().unwrap_or_default();
    format!(
        "{}:{}",
        host.to_string_lossy(),
        folder.join(slot.to_string()).display()
    )
}

/// Applies what processes that are gone left in their slots, for as long as this one lives.
pub(crate) async fn apply_abandoned(
    settings: JournalSettings,
    own_slot: u32,
    url: Arc<str>,
    postbacks: impl Fn() -> PostbackStream,
) {
    // When each slot was last written to, as it was when nothing was left in it.
    let mut done = HashMap::new();
    loop {
        tokio::time::sleep(SEARCH).await;
        for slot in (0..SLOTS).filter(|slot| *slot != own_slot) {
            let folder = settings.folder.join(slot.to_string());
            if !folder.exists() {
                break;
            }
            // Opening it is work, and nothing can have been left since.
            if done.get(&slot) == Some(&written_at(&folder)) {
                continue;
            }
            let opening = settings.clone();
            let opened = tokio::task::spawn_blocking(move || Journals::open_slot(&opening, slot));
            match opened.await {
                // Whoever has it applies it.
                Ok(Err(OpenError::InUse)) | Err(_) => {}
                Ok(Ok(journals)) => match catch_up(&settings, &journals, &url, postbacks()).await {
                    Ok(()) => {
                        drop(journals);
                        done.insert(slot, written_at(&folder));
                    }
                    Err(error) => {
                        tracing::warn!(slot, %error, "what was left in this slot is not applied yet")
                    }
                },
                Ok(Err(error)) => tracing::error!(slot, %error, "this slot cannot be opened"),
            }
        }
    }
}

/// When anything in a slot was last written to.
fn written_at(slot: &Path) -> Option<SystemTime> {
    let files = [ClickStream::NAME, PostbackStream::NAME]
        .into_iter()
        .filter_map(|stream| fs::read_dir(slot.join(stream)).ok())
        .flatten();
    let times = files.filter_map(|file| file.ok()?.metadata().ok()?.modified().ok());
    times.max()
}

/// The clicks of all journals in the folder, whoever writes them, from their beginning. What cannot be read is left out.
pub(crate) fn all_clicks(folder: &Path) -> Vec<Reader> {
    let clicks = (0..SLOTS).map(|slot| folder.join(slot.to_string()).join(ClickStream::NAME));
    clicks
        .take_while(|clicks| clicks.exists())
        .filter_map(|clicks| Reader::open(&clicks, 0).ok())
        .collect()
}

async fn catch_up(
    settings: &JournalSettings,
    journals: &Journals,
    url: &Arc<str>,
    postbacks: PostbackStream,
) -> Result<(), crate::ingest::ApplyError> {
    let node = node(&settings.folder, journals.slot);
    let clicks = ClickStream::new(postbacks.authenticator.routing().clone());
    let clicks = applier(&journals.clicks, url, &node, clicks);
    let postbacks = applier(&journals.postbacks, url, &node, postbacks);
    let caught_up = async {
        clicks.catch_up().await?;
        postbacks.catch_up().await
    };
    let done = caught_up.await;
    journals.close();
    done
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
