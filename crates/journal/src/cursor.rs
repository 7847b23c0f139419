//! Iteration over the batches of a folder in order, across segments, past damage.

use std::io;
use std::sync::Arc;

use crate::Seq;
use crate::bugs::{self, Bug};
use crate::disk::{Disk, DiskFile};
use crate::format::{ALIGNMENT, FRAME_HEADER, FrameHeader, PAGE, SegmentHeader, checksum_seed, segment_name};
use crate::reader::{Damage, Records};

/// Minimum bytes per read.
const READ_AHEAD: usize = 64 << 10;
/// Bytes per step of a search.
const STRIDE: usize = 1 << 20;

/// Readable part of a folder.
pub(crate) struct View {
    /// First records of the segments, in order.
    pub(crate) segments: Vec<Seq>,
    /// Number of the first record that is not yet safe to read; `None` for a folder at rest.
    pub(crate) end: Option<Seq>,
}

impl View {
    fn segment_of(&self, seq: Seq) -> Option<Seq> {
        self.segments.iter().rev().find(|first| **first <= seq).copied()
    }

    fn after(&self, segment: Seq) -> Option<Seq> {
        self.segments.iter().find(|first| **first > segment).copied()
    }
}

/// Position of a cursor in a file.
struct Place<F> {
    file: F,
    segment: Seq,
    offset: u64,
    /// Record that a frame at `offset` should begin with.
    expected: Seq,
}

/// Part of a file in memory.
#[derive(Default)]
struct Chunk {
    start: u64,
    bytes: Vec<u8>,
}

impl Chunk {
    fn get(&self, offset: u64, len: usize) -> Option<&[u8]> {
        let from = usize::try_from(offset.checked_sub(self.start)?).ok()?;
        self.bytes.get(from..from.checked_add(len)?)
    }

    /// Bytes from `offset` on; reads from disk if fewer than `len` are cached. Shorter only at the end of the file.
    fn load<F: DiskFile>(&mut self, file: &F, offset: u64, len: usize, ahead: usize) -> io::Result<&[u8]> {
        if self.get(offset, len).is_none() {
            self.start = offset;
            self.bytes.resize(len.max(ahead), 0);
            let read = file.read_full(&mut self.bytes, offset)?;
            self.bytes.truncate(read);
        }
        let from = usize::try_from(offset - self.start).unwrap_or(usize::MAX);
        Ok(self.bytes.get(from..).unwrap_or_default())
    }

    fn forget(&mut self) {
        self.bytes.clear();
    }
}

/// Frames accepted at a position.
#[derive(Clone, Copy)]
struct Wanted {
    segment: Seq,
    /// Record at which a frame begins; in a search, the lowest one.
    first: Seq,
    is_exact: bool,
    /// Maximum end of a frame.
    limit: Seq,
    seed: u32,
}

impl Wanted {
    fn matches(&self, header: &FrameHeader) -> bool {
        if bugs::on(Bug::TrustStaleFrames) {
            return header.has_magic();
        }
        let is_of_this_life = header.segment == self.segment;
        let is_in_order = if self.is_exact {
            header.first == self.first
        } else {
            header.first >= self.first
        };
        header.has_magic()
            && is_of_this_life
            && is_in_order
            && header.end().is_some_and(|end| end <= self.limit)
    }
}

/// Reads batches: each record once, in order, whatever the bytes on disk.
pub(crate) struct Cursor<D: Disk> {
    disk: Arc<D>,
    seed: u32,
    at: Seq,
    place: Option<Place<D::File>>,
    chunk: Chunk,
    /// The segment after this one, and the end of the records before it.
    border: Option<(Seq, Seq)>,
}

impl<D: Disk> Cursor<D> {
    pub(crate) fn new(disk: Arc<D>, identity: &[u8; 16], at: Seq) -> Self {
        let seed = checksum_seed(identity);
        Cursor {
            disk,
            seed,
            at,
            place: None,
            chunk: Chunk::default(),
            border: None,
        }
    }

    pub(crate) fn at(&self) -> Seq {
        self.at
    }

    /// Segment, offset and header bytes at the position of the next frame.
    pub(crate) fn rest(&mut self) -> io::Result<Option<(Seq, u64, Option<FrameHeader>)>> {
        let Some(place) = self.place.as_ref() else {
            return Ok(None);
        };
        self.chunk.forget();
        let bytes = self.chunk.load(&place.file, place.offset, FRAME_HEADER, 0)?;
        Ok(Some((place.segment, place.offset, FrameHeader::decode(bytes))))
    }

    /// Syncs the open segment, so that its records survive a power cut.
    pub(crate) fn sync(&self) -> io::Result<()> {
        self.place.as_ref().map_or(Ok(()), |place| place.file.sync())
    }

    /// Reads records until `max_records`, `max_bytes` or the end is reached.
    pub(crate) fn read(
        &mut self,
        mut view: View,
        max_records: usize,
        max_bytes: usize,
    ) -> io::Result<Records> {
        let mut records = Records::default();
        while records.len() < max_records && records.bytes() < max_bytes {
            if view.end.is_some_and(|end| self.at >= end) {
                break;
            }
            match self.step(&mut view, max_records, &mut records) {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) if records.is_empty() && records.damage.is_empty() => return Err(error),
                // Records already read must be returned; a lasting error recurs at the next call.
                Err(_) => break,
            }
        }
        records.next = self.at;
        Ok(records)
    }

    /// Moves on by one frame or one gap; false at the end.
    fn step(&mut self, view: &mut View, max_records: usize, records: &mut Records) -> io::Result<bool> {
        let Some(segment) = self.enter(view, records)? else {
            return Ok(false);
        };
        let border = match view.after(segment) {
            Some(after) if !bugs::on(Bug::ReadPastNextSegment) => self.border(after)?,
            _ => Seq::MAX,
        };
        let Some(place) = self.place.as_ref() else {
            return Ok(false);
        };
        let (offset, expected) = (place.offset, place.expected);
        let mut wanted = Wanted {
            segment,
            first: expected,
            is_exact: true,
            limit: border.min(view.end.unwrap_or(Seq::MAX)),
            seed: self.seed,
        };
        if expected >= border {
            return self.leave(view, records);
        }
        if let Some(header) = self.frame_at(offset, wanted)? {
            self.take(&header, max_records, records);
            return Ok(true);
        }
        wanted.is_exact = false;
        if let Some((found, header)) = self.search(offset, wanted)? {
            self.report_damage(segment, offset, header.first, records);
            self.move_to(found, header.first);
            return Ok(true);
        }
        self.leave(view, records)
    }

    /// Opens the segment with the next record, unless it is open.
    fn enter(&mut self, view: &mut View, records: &mut Records) -> io::Result<Option<Seq>> {
        loop {
            let Some(segment) = view.segment_of(self.at) else {
                let Some(first) = view.segments.first().copied() else {
                    return Ok(None);
                };
                // Zero requests all records; earlier ones were removed intentionally.
                if self.at == 0 {
                    self.at = first;
                } else {
                    self.cross_to(first, (first, 0), records)?;
                }
                // An empty segment may still be replaced, so it is not opened before it is needed.
                if view.end.is_some_and(|end| self.at >= end) {
                    return Ok(None);
                }
                continue;
            };
            let open = self.place.as_ref().map(|place| place.segment);
            if let Some(open) = open.filter(|open| *open == segment || bugs::on(Bug::ReadPastNextSegment)) {
                return Ok(Some(open));
            }
            self.chunk.forget();
            match self.disk.open(&segment_name(segment)) {
                Ok(file) => {
                    self.place = Some(Place {
                        file,
                        segment,
                        offset: PAGE,
                        expected: segment,
                    });
                    return Ok(Some(segment));
                }
                // Recycled a moment ago, or removed by a user: its records are gone.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    view.segments.retain(|first| *first != segment);
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Moves on to the next segment, reporting missing records in between.
    fn leave(&mut self, view: &View, records: &mut Records) -> io::Result<bool> {
        let Some(Place { segment, offset, .. }) = self.place else {
            return Ok(false);
        };
        if let Some(after) = view.after(segment) {
            self.cross_to(after, (segment, offset), records)?;
            self.place = None;
            return Ok(true);
        }
        if let Some(end) = view.end {
            self.report_damage(segment, offset, end, records);
            return Ok(true);
        }
        Ok(false)
    }

    /// Moves on to segment `after`. Records in between are lost, except skipped numbers, which never had a record.
    fn cross_to(&mut self, after: Seq, from: (Seq, u64), records: &mut Records) -> io::Result<()> {
        let border = self.border(after)?;
        self.report_damage(from.0, from.1, border, records);
        self.at = self.at.max(after);
        Ok(())
    }

    /// End of the records before segment `after`. Records beyond it were refused: their numbers were reused or skipped.
    fn border(&mut self, after: Seq) -> io::Result<Seq> {
        if let Some((_, border)) = self.border.filter(|(known, _)| *known == after) {
            return Ok(border);
        }
        let border = self
            .header(after)?
            .map_or(after, |header| header.continues.min(after));
        self.border = Some((after, border));
        Ok(border)
    }

    /// Header of a segment; `None` if unreadable.
    pub(crate) fn header(&self, segment: Seq) -> io::Result<Option<SegmentHeader>> {
        let file = match self.disk.open(&segment_name(segment)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            opened => opened?,
        };
        let mut page = vec![0; PAGE as usize];
        file.read_full(&mut page, 0)?;
        Ok(SegmentHeader::decode(&page)
            .ok()
            .filter(|header| header.first == segment))
    }

    /// Reports records up to `to` as lost.
    fn report_damage(&mut self, segment: Seq, offset: u64, to: Seq, records: &mut Records) {
        if self.at < to {
            records.damage.push(Damage {
                segment,
                offset,
                from: self.at,
                to,
            });
            self.at = to;
        }
    }

    fn move_to(&mut self, offset: u64, expected: Seq) {
        if let Some(place) = self.place.as_mut() {
            place.offset = offset;
            place.expected = expected;
        }
    }

    /// Copies the requested records of the current frame, and passes the frame when none is left.
    fn take(&mut self, header: &FrameHeader, max_records: usize, records: &mut Records) {
        let Some(offset) = self.place.as_ref().map(|place| place.offset) else {
            return;
        };
        let end = header.end().unwrap_or(header.first);
        let size = FRAME_HEADER + header.payload as usize;
        let skipped = self.at.saturating_sub(header.first);
        #[expect(
            clippy::expect_used,
            reason = "frame_at has just checked this frame in the chunk"
        )]
        let frame = self.chunk.get(offset, size).expect("the frame is in the chunk");
        for record in header
            .records(frame)
            .skip(usize::try_from(skipped).unwrap_or(usize::MAX))
        {
            if records.len() >= max_records {
                return;
            }
            records.push(self.at, record);
            self.at += 1;
        }
        self.move_to(offset + header.size(), end);
    }

    /// Sound frame at `offset`, left in the chunk.
    fn frame_at(&mut self, offset: u64, wanted: Wanted) -> io::Result<Option<FrameHeader>> {
        if let Some(header) = self.cached_frame(offset, wanted)? {
            return Ok(Some(header));
        }
        // The cached bytes may be outdated.
        self.chunk.forget();
        self.cached_frame(offset, wanted)
    }

    fn cached_frame(&mut self, offset: u64, wanted: Wanted) -> io::Result<Option<FrameHeader>> {
        let Some(place) = self.place.as_ref() else {
            return Ok(None);
        };
        let bytes = self.chunk.load(&place.file, offset, FRAME_HEADER, READ_AHEAD)?;
        let Some(mut header) = FrameHeader::decode(bytes).filter(|header| wanted.matches(header)) else {
            return Ok(None);
        };
        let size = FRAME_HEADER + header.payload as usize;
        if bytes.len() < size {
            // A length beyond the end of the file is not worth the memory.
            if offset + size as u64 > place.file.len()? {
                return Ok(None);
            }
            self.chunk.load(&place.file, offset, size, READ_AHEAD)?;
        }
        let frame = self.chunk.get(offset, size).unwrap_or_default();
        let is_sound = header.is_sound(frame, wanted.seed);
        if bugs::on(Bug::TrustStaleFrames) {
            header.first = wanted.first;
        }
        Ok(is_sound.then_some(header))
    }

    /// First sound frame after `offset` in this file.
    fn search(&mut self, offset: u64, wanted: Wanted) -> io::Result<Option<(u64, FrameHeader)>> {
        let mut window = Chunk::default();
        let mut at = offset + ALIGNMENT;
        loop {
            let Some(place) = self.place.as_ref() else {
                return Ok(None);
            };
            let left = usize::try_from(place.file.len()?.saturating_sub(at)).unwrap_or(usize::MAX);
            let is_last = left <= STRIDE;
            let bytes = window.load(&place.file, at, left.min(STRIDE), 0)?;
            let candidates: Vec<u64> = candidates(bytes, wanted)
                .into_iter()
                .map(|place| at + place as u64)
                .collect();
            for candidate in candidates {
                if let Some(header) = self.frame_at(candidate, wanted)? {
                    return Ok(Some((candidate, header)));
                }
            }
            if is_last {
                return Ok(None);
            }
            // A header split by the end of the window is whole in the next.
            at += (STRIDE - FRAME_HEADER) as u64;
        }
    }
}

/// Positions in `bytes` at which an accepted frame may begin.
fn candidates(bytes: &[u8], wanted: Wanted) -> Vec<usize> {
    const ZEROS: [u8; PAGE as usize] = [0; PAGE as usize];
    let seems_wanted = |place: &usize| {
        let bytes = bytes.get(*place..).unwrap_or_default();
        // A recycled file is full of frames of its earlier use, which are filtered out here.
        FrameHeader::may_begin(bytes)
            && FrameHeader::decode(bytes).is_some_and(|header| wanted.matches(&header))
    };
    let pages = bytes.chunks(ZEROS.len()).enumerate();
    let written = pages.filter(|(_, page)| ZEROS.get(..page.len()) != Some(*page));
    written
        .flat_map(|(number, page)| {
            let start = number * ZEROS.len();
            (start..start + page.len()).step_by(ALIGNMENT as usize)
        })
        .filter(seems_wanted)
        .collect()
}
