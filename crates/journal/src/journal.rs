//! Handle of an open journal.

use std::fs::{self, File, TryLockError};
use std::io::Read;
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

use tracing::info_span;

use crate::disk::RealDisk;
use crate::engine::{Engine, Shared, run_helper};
use crate::folder::JournalFolder;
use crate::reader::Reader;
use crate::recovery::{self, Recovery};
use crate::settings::{OpenError, Refused, Settings};
use crate::stats::{Counters, Stats};
use crate::worker::{Appender, Wakeups};
use crate::writer::Writer;
use crate::{Seq, locked};

const LOCK: &str = "lock";

/// An open journal. Clones share it; dropping the last one closes it.
#[derive(Clone)]
pub struct Journal {
    inner: Arc<Inner>,
}

struct Inner {
    shared: Arc<Shared>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    lock: Mutex<Option<File>>,
}

impl Journal {
    /// Opens a folder, recovers its contents and starts the writer. Blocking.
    ///
    /// # Errors
    /// [`OpenError`] if the folder is in use, belongs to another version, or the disk fails. A torn end or a damaged
    /// batch is no error: see [`Recovery`].
    pub fn open(settings: Settings) -> Result<(Journal, Recovery), OpenError> {
        settings.check()?;
        let _open = info_span!("journal_open", folder = %settings.folder.display()).entered();
        fs::create_dir_all(&settings.folder).map_err(OpenError::io("create"))?;
        let lock = take_lock(&settings)?;
        let disk = Arc::new(RealDisk::new(settings.folder.clone()));
        let fresh = random_identity().map_err(OpenError::io("identify"))?;
        let identity = recovery::settle_identity(&*disk, fresh).map_err(OpenError::io("identify"))?;
        if let Some(parent) = settings
            .folder
            .canonicalize()
            .ok()
            .as_deref()
            .and_then(|folder| folder.parent())
        {
            File::open(parent)
                .and_then(|parent| parent.sync_all())
                .map_err(OpenError::io("create"))?;
        }
        let found = recovery::survey(&*disk, &settings, identity)?;
        let (recovery, ended) =
            recovery::recover(&disk, &identity, found.segments.keys().copied().collect())?;
        tracing::info!(
            next = recovery.next,
            segments = recovery.segments,
            cut = ?recovery.cut,
            damaged = recovery.damage.len(),
            took = ?recovery.took,
            "journal recovered"
        );
        let counters = Arc::new(Counters::default());
        for (first, segment_file) in &found.segments {
            locked(&counters.marks).push(*first, segment_file.created_ms);
        }
        let folder = Arc::new(JournalFolder::new(
            disk,
            settings,
            identity,
            found.segments,
            found.spare,
        ));
        let shared = Arc::new(Shared::new(
            Arc::clone(&folder),
            Arc::clone(&counters),
            recovery.next,
        ));
        let engine = Engine::new(
            Arc::clone(&shared),
            Writer::new(Arc::clone(&folder), counters, recovery.next, ended),
        );
        let threads = start(&shared, &folder, engine)?;
        let inner = Inner {
            shared,
            threads: Mutex::new(threads),
            lock: Mutex::new(Some(lock)),
        };
        Ok((
            Journal {
                inner: Arc::new(inner),
            },
            recovery,
        ))
    }

    /// Random identity created with the folder: a position stored elsewhere with it belongs to this folder.
    pub fn identity(&self) -> [u8; 16] {
        self.inner.shared.folder.identity
    }

    /// Creates an appender for one worker thread, and the wake-ups to spawn on the runtime whose tasks append.
    pub fn appender(&self) -> (Appender, Wakeups) {
        Appender::new(Arc::clone(&self.inner.shared))
    }

    /// Number of the next record; all records before it are on disk.
    pub fn next(&self) -> Seq {
        self.inner.shared.next()
    }

    /// Number of the oldest stored record.
    pub fn first(&self) -> Seq {
        // In this order, because a segment may be created in between; its first record is not before this number.
        let next = self.next();
        self.inner.shared.folder.first().unwrap_or(next)
    }

    /// Waits until [`Self::next`] is beyond `seq` or the journal closes.
    pub async fn wait_beyond(&self, seq: Seq) {
        let mut progress = self.inner.shared.progress.subscribe();
        // Fails only without a sender, which lives as long as this journal.
        let _ = progress
            .wait_for(|progress| progress.next > seq || progress.closing)
            .await;
    }

    /// Raises the next number to at least `seq`, in a new segment: for a reader that is ahead of this folder because
    /// the folder lost its end. Returns the next number. Blocks for a few syncs. Release applied records first, because
    /// the segment needs space.
    ///
    /// # Errors
    /// [`Refused`] if no segment can be created, or the journal is closed.
    pub fn skip_to(&self, seq: Seq) -> Result<Seq, Refused> {
        self.inner.shared.skip_to(seq)
    }

    /// Marks records before this number as applied. Their segments may be removed once past retention, or earlier if
    /// the quota is used up.
    pub fn release(&self, before: Seq) {
        self.inner.shared.folder.release(before);
    }

    /// Creates a reader from record `from`, limited to records before [`Self::next`].
    pub fn reader(&self, from: Seq) -> Reader {
        Reader::live(Arc::clone(&self.inner.shared), from)
    }

    /// Statistics. Cheap except for one query of the file system.
    pub fn stats(&self) -> Stats {
        let folder = &self.inner.shared.folder;
        Stats {
            first: self.first(),
            bytes_on_disk: folder.bytes_on_disk(),
            quota_bytes: folder.settings.quota_bytes,
            free: folder.free_share(),
            ..self
                .inner
                .shared
                .counters
                .snapshot(self.next(), folder.released())
        }
    }

    /// True if the journal was closed; it takes no more records.
    pub fn is_closed(&self) -> bool {
        self.inner.is_closed()
    }

    /// Writes buffered records, refuses new ones, stops the threads and unlocks the folder. Blocks until done.
    pub fn close(&self) {
        self.inner.close();
    }
}

impl Inner {
    fn is_closed(&self) -> bool {
        locked(&self.lock).is_none()
    }

    fn close(&self) {
        self.shared.close();
        for thread in locked(&self.threads).drain(..) {
            if thread.join().is_err() {
                tracing::error!("a thread of the journal panicked");
            }
            // The writer is joined first and may need a new segment for its last batch.
            self.shared.folder.close();
        }
        locked(&self.lock).take();
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.close();
    }
}

fn take_lock(settings: &Settings) -> Result<File, OpenError> {
    let lock = File::create(settings.folder.join(LOCK)).map_err(OpenError::io("lock"))?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => Err(OpenError::InUse),
        Err(TryLockError::Error(error)) => Err(OpenError::io("lock")(error)),
    }
}

fn random_identity() -> std::io::Result<[u8; 16]> {
    let mut identity = [0; 16];
    File::open("/dev/urandom")?.read_exact(&mut identity)?;
    Ok(identity)
}

fn start(
    shared: &Arc<Shared>,
    folder: &Arc<JournalFolder<RealDisk>>,
    engine: Engine,
) -> Result<Vec<JoinHandle<()>>, OpenError> {
    let named = |name: &str| thread::Builder::new().name(name.to_owned());
    let path = folder.settings.folder.display();
    let (helping, writing) = (
        info_span!("journal_helper", folder = %path),
        info_span!("journal_writer", folder = %path),
    );
    let helped = Arc::clone(folder);
    let helper = named("journal-helper")
        .spawn(move || helping.in_scope(|| run_helper(&helped)))
        .map_err(OpenError::io("start"))?;
    folder.set_helper(helper.thread().clone());
    match named("journal-writer").spawn(move || writing.in_scope(|| engine.run())) {
        Ok(writer) => {
            shared.set_thread(writer.thread().clone());
            Ok(vec![writer, helper])
        }
        Err(error) => {
            folder.close();
            Err(OpenError::io("start")(error))
        }
    }
}
