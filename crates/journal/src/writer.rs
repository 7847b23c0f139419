//! Writes one batch after the other, each synced before it counts, and never trusts a file that failed once.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::Seq;
use crate::bugs::{self, Bug};
use crate::disk::{Disk, DiskFile};
use crate::format::{Frame, PAGE, SegmentHeader, checksum_seed};
use crate::keeper::{Keeper, Spare, Trouble};
use crate::settings::Refused;
use crate::stats::Figures;

/// After a failure everything is refused at once, but for one try in this time.
const PAUSE: Duration = Duration::from_millis(100);

/// Two clocks, read once per batch.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moment {
    /// Milliseconds since 1970; may jump.
    pub(crate) wall_ms: u64,
    /// Since some start; never jumps.
    pub(crate) steady: Duration,
}

/// The segment that is written to.
struct Current<F> {
    file: F,
    segment: Seq,
    offset: u64,
    len: u64,
}

/// The one that writes. Single-threaded by itself; a thread drives it in production, a test in the simulation.
pub(crate) struct Writer<D: Disk> {
    keeper: Arc<Keeper<D>>,
    figures: Arc<Figures>,
    seed: u32,
    current: Option<Current<D::File>>,
    next: Seq,
    /// Where the last batch ended: smaller than `next` only after a skip.
    ended: Seq,
    pause: Option<(Duration, Refused)>,
}

impl<D: Disk> Writer<D> {
    pub(crate) fn new(keeper: Arc<Keeper<D>>, figures: Arc<Figures>, next: Seq, ended: Seq) -> Self {
        let seed = checksum_seed(&keeper.identity);
        Writer {
            keeper,
            figures,
            seed,
            current: None,
            next,
            ended,
            pause: None,
        }
    }

    /// Puts the batch on disk. Afterwards the next number, which is then safe to tell; or why nothing was taken, and
    /// its numbers go to the next batch.
    pub(crate) fn commit(&mut self, frame: &mut Frame, now: Moment) -> Result<Seq, Refused> {
        if let Some((until, why)) = self.pause.filter(|(until, _)| now.steady < *until) {
            let _ = until;
            return Err(why);
        }
        let outcome = match self.attempt(frame, now.wall_ms) {
            // Written once more, into a fresh segment; the file that failed is never used again.
            Err(Trouble::Io(error)) => {
                tracing::warn!(%error, "the journal's disk failed; trying a fresh segment");
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

    /// Lets the next record have at least the number `to`, in a segment of its own.
    pub(crate) fn skip_to(&mut self, to: Seq, now: Moment) -> Result<Seq, Refused> {
        // Not taken back when it fails: the segment may be there, and must not come after a smaller one begun later.
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

    fn settle(&mut self, outcome: Result<(), Trouble>, now: Moment) -> Result<Seq, Refused> {
        match outcome {
            Ok(()) => {
                self.pause = None;
                Ok(self.next)
            }
            Err(trouble) => {
                let why = trouble.refusal();
                if self.pause.is_none() {
                    tracing::error!(?trouble, "the journal refuses records");
                }
                self.pause = Some((now.steady + PAUSE, why));
                Err(why)
            }
        }
    }

    fn attempt(&mut self, frame: &mut Frame, now_ms: u64) -> Result<(), Trouble> {
        let end = self
            .next
            .checked_add(u64::from(frame.count()))
            .ok_or(Trouble::Full)?;
        let has_room = |current: &Current<D::File>| current.len - current.offset >= frame.size();
        if !self.current.as_ref().is_some_and(has_room) {
            self.begin_segment(now_ms)?;
        }
        let Some(current) = self.current.as_mut() else {
            return Err(Trouble::Full);
        };
        let bytes = frame.seal(current.segment, self.next, now_ms, self.seed);
        if let Err(error) = write(current, bytes, &self.figures) {
            self.abandon();
            return Err(error.into());
        }
        current.offset += frame.size();
        self.next = end;
        self.ended = end;
        Ok(())
    }

    /// Cuts off what may have arrived of a failed batch, so that not even a restart right now finds it. Whether that
    /// works does not matter: readers ignore what lies at or beyond the first record of the segment after.
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
            self.keeper.shrunk(segment, offset);
        }
    }

    fn begin_segment(&mut self, now_ms: u64) -> Result<(), Trouble> {
        self.current = None;
        let spare = self.keeper.take_spare(now_ms)?;
        if let Err(error) = self.write_header(&spare, now_ms) {
            self.figures.write_failed();
            self.keeper.discard(spare.name, spare.bytes);
            return Err(error.into());
        }
        self.keeper
            .install(&spare, self.next, now_ms)
            .inspect_err(|_| self.figures.write_failed())?;
        self.current = Some(Current {
            file: spare.file,
            segment: self.next,
            offset: PAGE,
            len: spare.bytes,
        });
        Ok(())
    }

    fn write_header(&self, spare: &Spare<D::File>, now_ms: u64) -> io::Result<()> {
        let identity = self.keeper.identity;
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

fn write<F: DiskFile>(current: &Current<F>, bytes: &[u8], figures: &Figures) -> io::Result<()> {
    current
        .file
        .write_whole(bytes, current.offset)
        .inspect_err(|_| figures.write_failed())?;
    if bugs::on(Bug::AckBeforeSync) {
        return Ok(());
    }
    let started = Instant::now();
    match current.file.sync() {
        Ok(()) => figures.synced(started.elapsed()),
        Err(_) if bugs::on(Bug::IgnoreFailedSync) => {}
        Err(_) if bugs::on(Bug::RetrySyncOnSameFile) => current.file.sync()?,
        Err(error) => {
            figures.sync_failed();
            return Err(error);
        }
    }
    Ok(())
}
