//! Writing of batches, one after the other. Each is synced before it counts, and a file that failed is never used
//! again.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tracing::debug_span;

use crate::Seq;
use crate::bugs::{self, Bug};
use crate::disk::{Disk, DiskFile};
use crate::folder::{JournalFolder, SegmentError, Spare};
use crate::format::{Frame, PAGE, SegmentHeader, checksum_seed};
use crate::settings::Refused;
use crate::stats::Counters;

/// Interval of attempts after a failure; all other records are refused at once.
const RETRY_INTERVAL: Duration = Duration::from_millis(100);

/// Both clocks, read once per batch.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moment {
    /// Wall clock: milliseconds since 1970; may jump.
    pub(crate) wall_ms: u64,
    /// Monotonic clock, from an arbitrary start.
    pub(crate) steady: Duration,
}

/// The segment in use.
struct Current<F> {
    file: F,
    segment: Seq,
    offset: u64,
    len: u64,
}

/// Writer of a journal. Single-threaded: a thread drives it in production, a test in the simulation.
pub(crate) struct Writer<D: Disk> {
    folder: Arc<JournalFolder<D>>,
    counters: Arc<Counters>,
    seed: u32,
    current: Option<Current<D::File>>,
    next: Seq,
    /// End of the last batch; smaller than `next` only after a skip.
    ended: Seq,
    pause: Option<(Duration, Refused)>,
}

impl<D: Disk> Writer<D> {
    pub(crate) fn new(folder: Arc<JournalFolder<D>>, counters: Arc<Counters>, next: Seq, ended: Seq) -> Self {
        let seed = checksum_seed(&folder.identity);
        Writer {
            folder,
            counters,
            seed,
            current: None,
            next,
            ended,
            pause: None,
        }
    }

    /// Writes and syncs a batch. Returns the next number, or the reason of the refusal; the refused numbers go to the
    /// next batch.
    pub(crate) fn commit(&mut self, frame: &mut Frame, now: Moment) -> Result<Seq, Refused> {
        if let Some((_, reason)) = self.pause.filter(|(until, _)| now.steady < *until) {
            return Err(reason);
        }
        let outcome = match self.attempt(frame, now.wall_ms) {
            // Written again into a new segment; the file that failed is never used again.
            Err(SegmentError::Io(error)) => {
                tracing::warn!(%error, "the journal's disk failed; retrying in a new segment");
                if bugs::on(Bug::RewriteUnderNewNumbers) {
                    self.next += u64::from(frame.count());
                    self.ended = self.next;
                }
                self.attempt(frame, now.wall_ms)
            }
            outcome => outcome,
        };
        self.settle(outcome, now)
    }

    /// Raises the next number to at least `to`, in a new segment.
    pub(crate) fn skip_to(&mut self, to: Seq, now: Moment) -> Result<Seq, Refused> {
        // Not reverted on failure: the segment may exist, and must not come after one with a smaller number.
        self.next = self.next.max(to);
        if bugs::on(Bug::SkipWithoutSegment) {
            return Ok(self.next);
        }
        let is_begun = self
            .current
            .as_ref()
            .is_some_and(|current| current.segment == self.next);
        if self.next == self.ended || is_begun {
            return Ok(self.next);
        }
        let begun = self.begin_segment(now.wall_ms);
        self.settle(begun, now)
    }

    fn settle(&mut self, outcome: Result<(), SegmentError>, now: Moment) -> Result<Seq, Refused> {
        match outcome {
            Ok(()) => {
                self.pause = None;
                Ok(self.next)
            }
            Err(error) => {
                let reason = error.refusal();
                if self.pause.is_none() {
                    tracing::error!(?error, "the journal refuses records");
                }
                self.pause = Some((now.steady + RETRY_INTERVAL, reason));
                Err(reason)
            }
        }
    }

    fn attempt(&mut self, frame: &mut Frame, now_ms: u64) -> Result<(), SegmentError> {
        let end = self
            .next
            .checked_add(u64::from(frame.count()))
            .ok_or(SegmentError::Full)?;
        let has_room = |current: &Current<D::File>| current.len - current.offset >= frame.size();
        if !self.current.as_ref().is_some_and(has_room) {
            self.begin_segment(now_ms)?;
        }
        let Some(current) = self.current.as_mut() else {
            return Err(SegmentError::Full);
        };
        let bytes = frame.seal(current.segment, self.next, now_ms, self.seed);
        let on_sync = self.folder.settings.on_sync;
        if let Err(error) = write(current, bytes, &self.counters, on_sync) {
            self.abandon();
            return Err(error.into());
        }
        current.offset += frame.size();
        self.next = end;
        self.ended = end;
        Ok(())
    }

    /// Truncates a failed batch, so that even an immediate restart does not find it. Success does not matter: readers
    /// ignore everything at or beyond the first record of the next segment.
    fn abandon(&mut self) {
        if let Some(Current {
            file,
            segment,
            offset,
            ..
        }) = self.current.take()
            && file
                .truncate(offset - if bugs::on(Bug::TruncateTooMuch) { 8 } else { 0 })
                .is_ok()
        {
            self.folder.set_segment_length(segment, offset);
        }
    }

    fn begin_segment(&mut self, now_ms: u64) -> Result<(), SegmentError> {
        let _rotate = debug_span!("journal_rotate", segment = self.next).entered();
        self.current = None;
        let spare = self.folder.take_spare(now_ms)?;
        if let Err(error) = self.write_header(&spare, now_ms) {
            self.counters.write_failed();
            self.folder.discard(spare.name, spare.bytes);
            return Err(error.into());
        }
        self.folder
            .install(&spare, self.next, now_ms)
            .inspect_err(|_| self.counters.write_failed())?;
        self.current = Some(Current {
            file: spare.file,
            segment: self.next,
            offset: PAGE,
            len: spare.bytes,
        });
        tracing::debug!("journal segment begun");
        Ok(())
    }

    fn write_header(&self, spare: &Spare<D::File>, now_ms: u64) -> io::Result<()> {
        let identity = self.folder.identity;
        let header = SegmentHeader {
            identity,
            first: self.next,
            continues: self.ended,
            created_ms: now_ms,
        };
        spare.file.write_whole(&header.encode(), 0)?;
        spare.file.sync()
    }
}

fn write<F: DiskFile>(
    current: &Current<F>,
    bytes: &[u8],
    counters: &Counters,
    on_sync: fn(Duration),
) -> io::Result<()> {
    current
        .file
        .write_whole(bytes, current.offset)
        .inspect_err(|_| counters.write_failed())?;
    if bugs::on(Bug::AckBeforeSync) {
        return Ok(());
    }
    let started = Instant::now();
    match current.file.sync() {
        Ok(()) => {
            let took = started.elapsed();
            counters.synced(took);
            on_sync(took);
        }
        Err(_) if bugs::on(Bug::IgnoreFailedSync) => {}
        Err(_) if bugs::on(Bug::RetrySyncOnSameFile) => current.file.sync()?,
        Err(error) => {
            counters.sync_failed();
            return Err(error);
        }
    }
    Ok(())
}
