//! Files of the folder: spares created ahead, released segments recycled or removed, within the quota.

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

/// Bytes per write of a new spare, each synced, so that the writer's sync never queues behind the whole file.
const SPARE_CHUNK: usize = 256 << 10;
/// Pause between two chunks for the writer's syncs, unless the writer waits for the spare.
const SPARE_CHUNK_PAUSE: Duration = Duration::from_millis(2);

/// Prefix of new spares, which the next process may use.
pub(crate) const FRESH: &str = "spare-";
/// Prefix of spares that were segments. If the sync after the rename failed, the disk may still have the file as a
/// segment, so the next process must not write to it.
pub(crate) const RECYCLED: &str = "used-";

/// File of a segment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SegmentFile {
    pub(crate) bytes: u64,
    pub(crate) created_ms: u64,
}

/// A file of full length whose contents have no meaning yet.
pub(crate) struct Spare<F> {
    pub(crate) file: F,
    pub(crate) name: String,
    pub(crate) bytes: u64,
}

/// Reason no file can be written to.
#[derive(Debug)]
pub(crate) enum SegmentError {
    Full,
    Io(io::Error),
}

impl From<io::Error> for SegmentError {
    fn from(error: io::Error) -> Self {
        SegmentError::Io(error)
    }
}

impl SegmentError {
    pub(crate) fn refusal(&self) -> Refused {
        use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
        match self {
            SegmentError::Full => Refused::Full,
            SegmentError::Io(error) if matches!(error.kind(), FileTooLarge | QuotaExceeded | StorageFull) => {
                Refused::Full
            }
            SegmentError::Io(_) => Refused::Failing,
        }
    }
}

/// Files in the folder. Locked only briefly, never during disk operations.
#[derive(Default)]
struct Files {
    segments: BTreeMap<Seq, SegmentFile>,
    spare: Option<(String, u64)>,
    /// Bytes of files that are being created, belong to the writer, or could not be removed.
    other: u64,
    strays: Vec<(String, u64)>,
    named: u64,
}

impl Files {
    fn total(&self) -> u64 {
        let segments: u64 = self
            .segments
            .values()
            .map(|segment_file| segment_file.bytes)
            .sum();
        segments + self.spare.as_ref().map_or(0, |spare| spare.1) + self.other
    }
}

/// Folder of a journal, its limits and its files.
pub(crate) struct JournalFolder<D> {
    pub(crate) disk: Arc<D>,
    pub(crate) settings: Settings,
    pub(crate) identity: [u8; 16],
    files: Mutex<Files>,
    /// Locked while files are created or recycled, so that the writer waits for a spare in progress instead of creating
    /// another.
    work: Mutex<()>,
    /// True if the writer has no file to continue in.
    writer_waits: AtomicBool,
    released: AtomicU64,
    closing: AtomicBool,
    helper: OnceLock<Thread>,
}

impl<D: Disk> JournalFolder<D> {
    pub(crate) fn new(
        disk: Arc<D>,
        settings: Settings,
        identity: [u8; 16],
        segments: BTreeMap<Seq, SegmentFile>,
        spare: Option<(String, u64)>,
    ) -> Self {
        JournalFolder {
            disk,
            settings,
            identity,
            files: Mutex::new(Files {
                segments,
                spare,
                ..Files::default()
            }),
            work: Mutex::new(()),
            writer_waits: AtomicBool::new(false),
            released: AtomicU64::new(0),
            closing: AtomicBool::new(false),
            helper: OnceLock::new(),
        }
    }

    pub(crate) fn set_helper(&self, thread: Thread) {
        self.helper.get_or_init(|| thread);
    }

    /// Wakes the helper.
    pub(crate) fn wake_helper(&self) {
        if let Some(helper) = self.helper.get() {
            helper.unpark();
        }
    }

    pub(crate) fn close(&self) {
        self.closing.store(true, Ordering::Release);
        self.wake_helper();
    }

    pub(crate) fn is_closing(&self) -> bool {
        self.closing.load(Ordering::Acquire)
    }

    pub(crate) fn released(&self) -> Seq {
        self.released.load(Ordering::Acquire)
    }

    /// Marks records before this number as released.
    pub(crate) fn release(&self, before: Seq) {
        let earlier = self.released.fetch_max(before, Ordering::AcqRel);
        let mut firsts = self.segments().into_iter();
        let frees_one = firsts
            .nth(1)
            .is_some_and(|second| earlier < second && second <= before);
        if frees_one {
            self.wake_helper();
        }
    }

    /// First records of the segments, in order.
    pub(crate) fn segments(&self) -> Vec<Seq> {
        self.files().segments.keys().copied().collect()
    }

    pub(crate) fn first(&self) -> Option<Seq> {
        self.files().segments.keys().next().copied()
    }

    pub(crate) fn bytes_on_disk(&self) -> u64 {
        self.files().total()
    }

    /// Share of the quota not used by unreleased records, limited by the file system's free space, from 0 to 1.
    pub(crate) fn free_share(&self) -> f64 {
        let (held, reclaimable) = {
            let files = self.files();
            let held = Self::held(&files, self.released());
            (held, files.total() - held)
        };
        let possible = self
            .disk
            .free_bytes()
            .map_or(u64::MAX, |free| free.saturating_add(reclaimable));
        let free = self.settings.quota_bytes.saturating_sub(held).min(possible);
        free as f64 / self.settings.quota_bytes as f64
    }

    fn held(files: &Files, released: Seq) -> u64 {
        let ends = files.segments.keys().skip(1).copied().map(Some).chain([None]);
        let segment_file = files.segments.values().zip(ends);
        segment_file
            .filter(|(_, end)| end.is_none_or(|end| end > released))
            .map(|(segment_file, _)| segment_file.bytes)
            .sum()
    }

    /// Hands out a file for a new segment: the spare, or a file created now.
    pub(crate) fn take_spare(&self, now_ms: u64) -> Result<Spare<D::File>, SegmentError> {
        self.writer_waits.store(true, Ordering::Relaxed);
        let _work = locked(&self.work);
        let made = self.make_spare(now_ms);
        self.writer_waits.store(false, Ordering::Relaxed);
        made?;
        let Some((name, bytes)) = ({
            let mut files = self.files();
            let spare = files.spare.take();
            files.other += spare.as_ref().map_or(0, |spare| spare.1);
            spare
        }) else {
            return Err(SegmentError::Full);
        };
        match self.disk.open(&name) {
            Ok(file) => Ok(Spare { file, name, bytes }),
            Err(error) => {
                self.discard(name, bytes);
                Err(error.into())
            }
        }
    }

    /// Turns a spare into a segment. An empty segment of the same name is replaced.
    pub(crate) fn install(
        &self,
        spare: &Spare<D::File>,
        first: Seq,
        now_ms: u64,
    ) -> Result<(), SegmentError> {
        if let Err(error) = self.disk.rename(&spare.name, &segment_name(first)) {
            self.discard(spare.name.clone(), spare.bytes);
            return Err(error.into());
        }
        {
            let mut files = self.files();
            files.other -= spare.bytes;
            files.segments.insert(
                first,
                SegmentFile {
                    bytes: spare.bytes,
                    created_ms: now_ms,
                },
            );
        }
        self.wake_helper();
        if bugs::on(Bug::NoFolderSyncAfterBegin) {
            return Ok(());
        }
        Ok(self.disk.sync_folder()?)
    }

    /// Removes a file that counts as neither segment nor spare.
    pub(crate) fn discard(&self, name: String, bytes: u64) {
        let removed = self.disk.remove(&name);
        let mut files = self.files();
        match removed {
            Err(error) if error.kind() != io::ErrorKind::NotFound => files.strays.push((name, bytes)),
            _ => files.other -= bytes,
        }
    }

    /// Updates the length of a segment that was truncated after a failure.
    pub(crate) fn set_segment_length(&self, segment: Seq, bytes: u64) {
        if let Some(segment_file) = self.files().segments.get_mut(&segment) {
            segment_file.bytes = bytes;
        }
    }

    /// Maintenance by the helper: disposes of segments past retention, and creates a spare if none exists.
    pub(crate) fn maintain(&self, now_ms: u64) -> Result<(), SegmentError> {
        let _work = locked(&self.work);
        let strays = std::mem::take(&mut self.files().strays);
        for (name, bytes) in strays {
            self.discard(name, bytes);
        }
        // The total can exceed the quota if the quota was lowered, or if a power cut restored removed files.
        let is_over = || self.files().total() > self.settings.quota_bytes;
        while let Some((segment, segment_file)) = self.disposable(now_ms, is_over()) {
            self.dispose(segment, segment_file)?;
        }
        if self.files().spare.is_none() && !self.is_closing() {
            self.make_spare(now_ms)?;
        }
        Ok(())
    }

    fn files(&self) -> MutexGuard<'_, Files> {
        locked(&self.files)
    }

    /// Oldest segment, if all its records are released and it is past retention or space is needed.
    fn disposable(&self, now_ms: u64, is_pressing: bool) -> Option<(Seq, SegmentFile)> {
        let files = self.files();
        let mut segments = files.segments.iter();
        let (first, segment_file) = segments.next()?;
        let released = self.released();
        let last = bugs::on(Bug::RecycleCurrent).then_some((&released, segment_file));
        // The last segment is in use, whatever was released.
        let (end, after) = segments.next().or(last)?;
        let is_released = *end <= released || bugs::on(Bug::RecycleUnreleased);
        let age_ms = u128::from(now_ms.saturating_sub(after.created_ms));
        let is_old = age_ms > self.settings.retention.as_millis();
        (is_released && (is_old || is_pressing)).then_some((*first, *segment_file))
    }

    /// Turns the segment into the spare if none exists, or removes it.
    fn dispose(&self, segment: Seq, segment_file: SegmentFile) -> io::Result<()> {
        let name = segment_name(segment);
        let recycles = self.files().spare.is_none() && segment_file.bytes == self.settings.segment_bytes;
        if recycles {
            let spare = self.spare_name(RECYCLED);
            self.disk.rename(&name, &spare)?;
            let mut files = self.files();
            files.segments.remove(&segment);
            files.spare = Some((spare, segment_file.bytes));
        } else {
            self.disk.remove(&name)?;
            self.files().segments.remove(&segment);
        }
        // Before the file is reused; otherwise an older segment could reappear without a younger one.
        let synced = self.disk.sync_folder();
        if synced.is_err() && recycles {
            let mut files = self.files();
            if let Some((name, bytes)) = files.spare.take() {
                files.other += bytes;
                drop(files);
                self.discard(name, bytes);
            }
        }
        synced
    }

    /// Creates a spare if space allows, or else disposes of the oldest released segments.
    fn make_spare(&self, now_ms: u64) -> Result<(), SegmentError> {
        while self.files().spare.is_none() {
            if self.has_room() {
                match self.create_spare().map_err(SegmentError::Io) {
                    Err(error) if error.refusal() == Refused::Full => {}
                    done => return done,
                }
            }
            let (segment, segment_file) = self.disposable(now_ms, true).ok_or(SegmentError::Full)?;
            self.dispose(segment, segment_file)?;
        }
        Ok(())
    }

    fn has_room(&self) -> bool {
        let size = self.settings.segment_bytes;
        let total = self.files().total();
        let is_within_quota = total + size <= self.settings.quota_bytes || bugs::on(Bug::IgnoreQuota);
        // Checked first, so that a nearly full disk is not filled up briefly at every attempt.
        is_within_quota && self.disk.free_bytes().is_ok_and(|free| free >= size)
    }

    /// Writes a whole file ahead, so that later syncs of its data write no metadata.
    fn create_spare(&self) -> io::Result<()> {
        let size = self.settings.segment_bytes;
        let name = self.spare_name(FRESH);
        self.files().other += size;
        match self.fill(&name, size) {
            Ok(()) => {
                let mut files = self.files();
                files.other -= size;
                files.spare = Some((name, size));
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
        let zeros = vec![0; SPARE_CHUNK.min(size as usize)];
        let mut offset = 0;
        while offset < size {
            if self.is_closing() {
                return Err(io::Error::other("the journal is closing"));
            }
            let piece = zeros
                .get(..(size - offset).min(SPARE_CHUNK as u64) as usize)
                .unwrap_or(&zeros);
            file.write_whole(piece, offset)?;
            file.sync()?;
            offset += piece.len() as u64;
            if self.may_pause() {
                thread::sleep(SPARE_CHUNK_PAUSE);
            }
        }
        Ok(())
    }

    /// True for the helper if the writer does not wait.
    fn may_pause(&self) -> bool {
        let is_helper = |helper: &Thread| helper.id() == thread::current().id();
        self.helper.get().is_some_and(is_helper) && !self.writer_waits.load(Ordering::Relaxed)
    }

    fn spare_name(&self, prefix: &str) -> String {
        let mut files = self.files();
        loop {
            files.named += 1;
            let name = format!("{prefix}{}.tmp", files.named);
            if files.spare.as_ref().is_none_or(|spare| spare.0 != name)
                && files.strays.iter().all(|stray| stray.0 != name)
            {
                return name;
            }
        }
    }
}
