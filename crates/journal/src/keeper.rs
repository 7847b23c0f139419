//! Keeps the folder's files: spares made ahead, segments given back when they are released, all within the quota.

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use std::thread::{self, Thread};
use std::time::Duration;

use crate::bugs::{self, Bug};
use crate::disk::{Disk, DiskFile};
use crate::format::segment_name;
use crate::settings::{Refused, Settings};
use crate::{Seq, locked};

/// Spares are written in pieces, each synced, so that the writer's own sync never queues behind all of it.
const PIECE: usize = 256 << 10;
/// How long the disk is left to the writer between two pieces, as long as the writer does not wait for the spare.
const BREATH: Duration = Duration::from_millis(2);

/// What the names of spares begin with that were made as such: the next process may take them over.
pub(crate) const FRESH: &str = "spare-";
/// What the names of spares begin with that were segments. When the sync after their renaming failed, the disk may
/// still have them as segments, though no process sees it: the next process must not write to them.
pub(crate) const RECYCLED: &str = "used-";

/// A segment file, by its first record.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Kept {
    pub(crate) bytes: u64,
    pub(crate) created_ms: u64,
}

/// A file of full length whose contents mean nothing yet.
pub(crate) struct Spare<F> {
    pub(crate) file: F,
    pub(crate) name: String,
    pub(crate) bytes: u64,
}

/// Why there is no file to write to.
#[derive(Debug)]
pub(crate) enum Trouble {
    Full,
    Io(io::Error),
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        Trouble::Io(error)
    }
}

impl Trouble {
    pub(crate) fn refusal(&self) -> Refused {
        use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
        match self {
            Trouble::Full => Refused::Full,
            Trouble::Io(error) if matches!(error.kind(), FileTooLarge | QuotaExceeded | StorageFull) => {
                Refused::Full
            }
            Trouble::Io(_) => Refused::Failing,
        }
    }
}

/// What is in the folder. Held only for a moment; never while the disk works.
#[derive(Default)]
struct Shelf {
    segments: BTreeMap<Seq, Kept>,
    spare: Option<(String, u64)>,
    /// Bytes of files that are being made, are in the writer's hand, or could not be removed.
    other: u64,
    strays: Vec<(String, u64)>,
    named: u64,
}

impl Shelf {
    fn total(&self) -> u64 {
        let segments: u64 = self.segments.values().map(|kept| kept.bytes).sum();
        segments + self.spare.as_ref().map_or(0, |spare| spare.1) + self.other
    }
}

/// The folder and its rules.
pub(crate) struct Keeper<D> {
    pub(crate) disk: Arc<D>,
    pub(crate) settings: Settings,
    pub(crate) identity: [u8; 16],
    shelf: Mutex<Shelf>,
    /// Held while files are made or given back, so that the writer waits for a spare on its way rather than make another.
    work: Mutex<()>,
    /// The writer has no file to go on in.
    is_waited_for: AtomicBool,
    released: AtomicU64,
    closing: AtomicBool,
    helper: OnceLock<Thread>,
}

impl<D: Disk> Keeper<D> {
    pub(crate) fn new(
        disk: Arc<D>,
        settings: Settings,
        identity: [u8; 16],
        segments: BTreeMap<Seq, Kept>,
        spare: Option<(String, u64)>,
    ) -> Self {
        Keeper {
            disk,
            settings,
            identity,
            shelf: Mutex::new(Shelf {
                segments,
                spare,
                ..Shelf::default()
            }),
            work: Mutex::new(()),
            is_waited_for: AtomicBool::new(false),
            released: AtomicU64::new(0),
            closing: AtomicBool::new(false),
            helper: OnceLock::new(),
        }
    }

    pub(crate) fn set_helper(&self, thread: Thread) {
        let _ = self.helper.set(thread);
    }

    /// Asks the helper to look at the folder.
    pub(crate) fn kick(&self) {
        if let Some(helper) = self.helper.get() {
            helper.unpark();
        }
    }

    pub(crate) fn close(&self) {
        self.closing.store(true, Ordering::Release);
        self.kick();
    }

    pub(crate) fn is_closing(&self) -> bool {
        self.closing.load(Ordering::Acquire)
    }

    pub(crate) fn released(&self) -> Seq {
        self.released.load(Ordering::Acquire)
    }

    /// Records before this number may go.
    pub(crate) fn release(&self, before: Seq) {
        let earlier = self.released.fetch_max(before, Ordering::AcqRel);
        let mut firsts = self.segments().into_iter();
        let frees_one = firsts
            .nth(1)
            .is_some_and(|second| earlier < second && second <= before);
        if frees_one {
            self.kick();
        }
    }

    /// First records of the segments, in order.
    pub(crate) fn segments(&self) -> Vec<Seq> {
        self.shelf().segments.keys().copied().collect()
    }

    pub(crate) fn first(&self) -> Option<Seq> {
        self.shelf().segments.keys().next().copied()
    }

    pub(crate) fn bytes_on_disk(&self) -> u64 {
        self.shelf().total()
    }

    /// The share of the quota that unreleased records leave, as far as the file system has it, from 0 to 1.
    pub(crate) fn free_share(&self) -> f64 {
        let (held, reclaimable) = {
            let shelf = self.shelf();
            let held = Self::held(&shelf, self.released());
            (held, shelf.total() - held)
        };
        let possible = self
            .disk
            .free_bytes()
            .map_or(u64::MAX, |free| free.saturating_add(reclaimable));
        let free = self.settings.quota_bytes.saturating_sub(held).min(possible);
        free as f64 / self.settings.quota_bytes as f64
    }

    fn held(shelf: &Shelf, released: Seq) -> u64 {
        let ends = shelf.segments.keys().skip(1).copied().map(Some).chain([None]);
        let kept = shelf.segments.values().zip(ends);
        kept.filter(|(_, end)| end.is_none_or(|end| end > released))
            .map(|(kept, _)| kept.bytes)
            .sum()
    }

    /// Hands out a file to begin a segment in: the one made ahead, or one made now.
    pub(crate) fn take_spare(&self, now_ms: u64) -> Result<Spare<D::File>, Trouble> {
        self.is_waited_for.store(true, Ordering::Relaxed);
        let _work = locked(&self.work);
        let made = self.make_spare(now_ms);
        self.is_waited_for.store(false, Ordering::Relaxed);
        made?;
        let Some((name, bytes)) = ({
            let mut shelf = self.shelf();
            let spare = shelf.spare.take();
            shelf.other += spare.as_ref().map_or(0, |spare| spare.1);
            spare
        }) else {
            return Err(Trouble::Full);
        };
        match self.disk.open(&name) {
            Ok(file) => Ok(Spare { file, name, bytes }),
            Err(error) => {
                self.discard(name, bytes);
                Err(error.into())
            }
        }
    }

    /// Gives a spare its place among the segments. An empty segment of the same name is replaced.
    pub(crate) fn install(&self, spare: &Spare<D::File>, first: Seq, now_ms: u64) -> Result<(), Trouble> {
        if let Err(error) = self.disk.rename(&spare.name, &segment_name(first)) {
            self.discard(spare.name.clone(), spare.bytes);
            return Err(error.into());
        }
        {
            let mut shelf = self.shelf();
            shelf.other -= spare.bytes;
            shelf.segments.insert(
                first,
                Kept {
                    bytes: spare.bytes,
                    created_ms: now_ms,
                },
            );
        }
        self.kick();
        if bugs::on(Bug::NoFolderSyncAfterBegin) {
            return Ok(());
        }
        Ok(self.disk.sync_folder()?)
    }

    /// Removes a file that is accounted as neither segment nor spare.
    pub(crate) fn discard(&self, name: String, bytes: u64) {
        let removed = self.disk.remove(&name);
        let mut shelf = self.shelf();
        match removed {
            Err(error) if error.kind() != io::ErrorKind::NotFound => shelf.strays.push((name, bytes)),
            _ => shelf.other -= bytes,
        }
    }

    /// A segment was cut after a failure; it has this length now.
    pub(crate) fn shrunk(&self, segment: Seq, bytes: u64) {
        if let Some(kept) = self.shelf().segments.get_mut(&segment) {
            kept.bytes = bytes;
        }
    }

    /// The helper's round: gives back what is past retention, and makes a spare when there is none.
    pub(crate) fn tend(&self, now_ms: u64) -> Result<(), Trouble> {
        let _work = locked(&self.work);
        let strays = std::mem::take(&mut self.shelf().strays);
        for (name, bytes) in strays {
            self.discard(name, bytes);
        }
        // More than the quota is there when it was lowered, or when a power cut brought removed files back.
        let is_over = || self.shelf().total() > self.settings.quota_bytes;
        while let Some((segment, kept)) = self.disposable(now_ms, is_over()) {
            self.dispose(segment, kept)?;
        }
        if self.shelf().spare.is_none() && !self.is_closing() {
            self.make_spare(now_ms)?;
        }
        Ok(())
    }

    fn shelf(&self) -> MutexGuard<'_, Shelf> {
        locked(&self.shelf)
    }

    /// The oldest segment, if all its records are released and it is old enough, or room is needed.
    fn disposable(&self, now_ms: u64, is_pressing: bool) -> Option<(Seq, Kept)> {
        let shelf = self.shelf();
        let mut segments = shelf.segments.iter();
        let (first, kept) = segments.next()?;
        let released = self.released();
        let last = bugs::on(Bug::RecycleCurrent).then_some((&released, kept));
        // The last segment is being written to, whatever was released.
        let (end, after) = segments.next().or(last)?;
        let is_released = *end <= released || bugs::on(Bug::RecycleUnreleased);
        let age_ms = u128::from(now_ms.saturating_sub(after.created_ms));
        let is_old = age_ms > self.settings.retention.as_millis();
        (is_released && (is_old || is_pressing)).then_some((*first, *kept))
    }

    /// Makes the segment the spare if one is missing, else removes it.
    fn dispose(&self, segment: Seq, kept: Kept) -> io::Result<()> {
        let name = segment_name(segment);
        let recycles = self.shelf().spare.is_none() && kept.bytes == self.settings.segment_bytes;
        if recycles {
            let spare = self.spare_name(RECYCLED);
            self.disk.rename(&name, &spare)?;
            let mut shelf = self.shelf();
            shelf.segments.remove(&segment);
            shelf.spare = Some((spare, kept.bytes));
        } else {
            self.disk.remove(&name)?;
            self.shelf().segments.remove(&segment);
        }
        // Before the file is written to again, or an older segment could reappear without a younger one.
        let synced = self.disk.sync_folder();
        if synced.is_err() && recycles {
            let mut shelf = self.shelf();
            if let Some((name, bytes)) = shelf.spare.take() {
                shelf.other += bytes;
                drop(shelf);
                self.discard(name, bytes);
            }
        }
        synced
    }

    /// Makes a file while there is room, else takes the oldest released segments for it.
    fn make_spare(&self, now_ms: u64) -> Result<(), Trouble> {
        while self.shelf().spare.is_none() {
            if self.has_room() {
                match self.create_spare().map_err(Trouble::Io) {
                    Err(trouble) if trouble.refusal() == Refused::Full => {}
                    done => return done,
                }
            }
            let (segment, kept) = self.disposable(now_ms, true).ok_or(Trouble::Full)?;
            self.dispose(segment, kept)?;
        }
        Ok(())
    }

    fn has_room(&self) -> bool {
        let size = self.settings.segment_bytes;
        let total = self.shelf().total();
        let is_within_quota = total + size <= self.settings.quota_bytes || bugs::on(Bug::IgnoreQuota);
        // Asked first, so that a nearly full disk is not filled up for a moment at every try.
        is_within_quota && self.disk.free_bytes().is_ok_and(|free| free >= size)
    }

    /// Pre-writes a whole file: a later sync of data in it has no metadata to write.
    fn create_spare(&self) -> io::Result<()> {
        let size = self.settings.segment_bytes;
        let name = self.spare_name(FRESH);
        self.shelf().other += size;
        match self.fill(&name, size) {
            Ok(()) => {
                let mut shelf = self.shelf();
                shelf.other -= size;
                shelf.spare = Some((name, size));
                Ok(())
            }
            Err(error) => {
                self.discard(name, size);
                Err(error)
            }
        }
    }

    fn fill(&self, name: &str, size: u64) -> io::Result<()> {
        let file = self.disk.create(name)?;
        let zeros = vec![0; PIECE.min(size as usize)];
        let mut offset = 0;
        while offset < size {
            if self.is_closing() {
                return Err(io::Error::other("the journal is closing"));
            }
            let piece = zeros
                .get(..(size - offset).min(PIECE as u64) as usize)
                .unwrap_or(&zeros);
            file.write_whole(piece, offset)?;
            file.sync()?;
            offset += piece.len() as u64;
            if self.has_time() {
                thread::sleep(BREATH);
            }
        }
        Ok(())
    }

    /// Whether this is the helper, at work ahead of time.
    fn has_time(&self) -> bool {
        let is_helper = |helper: &Thread| helper.id() == thread::current().id();
        self.helper.get().is_some_and(is_helper) && !self.is_waited_for.load(Ordering::Relaxed)
    }

    fn spare_name(&self, prefix: &str) -> String {
        let mut shelf = self.shelf();
        loop {
            shelf.named += 1;
            let name = format!("{prefix}{}.tmp", shelf.named);
            if shelf.spare.as_ref().is_none_or(|spare| spare.0 != name)
                && shelf.strays.iter().all(|stray| stray.0 != name)
            {
                return name;
            }
        }
    }
}
