//! The handle of an open journal.

use std::fs::{self, File, TryLockError};
use std::io::Read;
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

use crate::disk::RealDisk;
use crate::engine::{Engine, Shared, help};
use crate::keeper::Keeper;
use crate::reader::Reader;
use crate::recovery::{self, Recovery};
use crate::settings::{OpenError, Refused, Settings};
use crate::stats::{Figures, Stats};
use crate::worker::{Appender, Wakeups};
use crate::writer::Writer;
use crate::{Seq, locked};

const LOCK: &str = "lock";

/// An open journal. Clones are the same journal; the last one to go closes it.
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
    /// Opens the folder, recovers what is in it and starts the writer. Blocking.
    ///
    /// # Errors
    /// When the folder is in use, belongs to another version, or the disk fails. A torn end or a damaged batch is no
    /// error: see [`Recovery`].
    pub fn open(settings: Settings) -> Result<(Journal, Recovery), OpenError> {
        settings.check()?;
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
        let figures = Arc::new(Figures::default());
        for (first, kept) in &found.segments {
            locked(&figures.marks).push(*first, kept.created_ms);
        }
        let keeper = Arc::new(Keeper::new(disk, settings, identity, found.segments, found.spare));
        let shared = Arc::new(Shared::new(
            Arc::clone(&keeper),
            Arc::clone(&figures),
            recovery.next,
        ));
        let engine = Engine::new(
            Arc::clone(&shared),
            Writer::new(Arc::clone(&keeper), figures, recovery.next, ended),
        );
        let threads = start(&shared, &keeper, engine)?;
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

    /// Made at random with the folder and kept in it: a position noted elsewhere is this folder's by it.
    pub fn identity(&self) -> [u8; 16] {
        self.inner.shared.keeper.identity
    }

    /// A way in for one worker thread, and the wake-ups to spawn on the runtime whose tasks append.
    pub fn appender(&self) -> (Appender, Wakeups) {
        Appender::new(Arc::clone(&self.inner.shared))
    }

    /// The number of the next record: all before it are on disk.
    pub fn next(&self) -> Seq {
        self.inner.shared.next()
    }

    /// The oldest record still kept.
    pub fn first(&self) -> Seq {
        // In this order: a segment may be begun in between, and its first record is not before this number.
        let next = self.next();
        self.inner.shared.keeper.first().unwrap_or(next)
    }

    /// Returns when [`Self::next`] is beyond `seq`, or the journal closes.
    pub async fn wait_beyond(&self, seq: Seq) {
        let mut progress = self.inner.shared.progress.subscribe();
        // An error would mean that the sender is gone; it lives in this journal.
        let _ = progress
            .wait_for(|progress| progress.next > seq || progress.closing)
            .await;
    }

    /// Gives the next record at least the number `seq`, in a segment of its own: whoever reads is ahead of this
    /// folder, which lost its end. Gives the next number. Blocks for a few syncs. Release first what is applied: the
    /// segment needs room.
    ///
    /// # Errors
    /// When no segment can be begun, or the journal is closed.
    pub fn skip_to(&self, seq: Seq) -> Result<Seq, Refused> {
        self.inner.shared.skip_to(seq)
    }

    /// Records before this number are applied: whole segments of them may go, when they are past retention or the
    /// quota presses.
    pub fn release(&self, before: Seq) {
        self.inner.shared.keeper.release(before);
    }

    /// Reads from record `from` on, never beyond [`Self::next`].
    pub fn reader(&self, from: Seq) -> Reader {
        Reader::live(Arc::clone(&self.inner.shared), from)
    }

    /// How it fares. Cheap, but for one question to the file system.
    pub fn stats(&self) -> Stats {
        let keeper = &self.inner.shared.keeper;
        Stats {
            first: self.first(),
            bytes_on_disk: keeper.bytes_on_disk(),
            quota_bytes: keeper.settings.quota_bytes,
            free: keeper.free_share(),
            ..self.inner.shared.figures.snapshot(self.next(), keeper.released())
        }
    }

    /// Whether it was closed: nothing is added to it any more.
    pub fn is_closed(&self) -> bool {
        self.inner.is_closed()
    }

    /// Writes what is buffered, refuses the rest, stops the threads and lets go of the folder. Blocks for that long.
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
            // The writer is the first to be waited for, and may need a new segment for its last batch.
            self.shared.keeper.close();
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
    keeper: &Arc<Keeper<RealDisk>>,
    engine: Engine,
) -> Result<Vec<JoinHandle<()>>, OpenError> {
    let named = |name: &str| thread::Builder::new().name(name.to_owned());
    let helped = Arc::clone(keeper);
    let helper = named("journal-helper")
        .spawn(move || help(&helped))
        .map_err(OpenError::io("start"))?;
    keeper.set_helper(helper.thread().clone());
    match named("journal-writer").spawn(move || engine.run()) {
        Ok(writer) => {
            shared.set_thread(writer.thread().clone());
            Ok(vec![writer, helper])
        }
        Err(error) => {
            keeper.close();
            Err(OpenError::io("start")(error))
        }
    }
}
