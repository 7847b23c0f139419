//! Bytes on disk: encoding and decoding of segment headers and batch frames. All numbers are little-endian.
//!
//! A segment file is named `{first:020}.journal` after the number of its first record. It starts with one page of
//! [`PAGE`] bytes whose first 60 are the header; frames follow back to back, each padded with zeros to 8 bytes.
//!
//! | header at | bytes | what |
//! |---|---|---|
//! | 0 | 8 | `CLJRNL` `FF` `C1` |
//! | 8 | 4 | version, 1 |
//! | 12 | 4 | zero |
//! | 16 | 16 | identity of the folder |
//! | 32 | 8 | number of the first record, as in the name |
//! | 40 | 8 | end of the previous segment; smaller than the first record after a skip |
//! | 48 | 8 | creation time, ms since 1970 |
//! | 56 | 4 | crc32c of the 56 bytes before |
//!
//! | frame at | bytes | what |
//! |---|---|---|
//! | 0 | 4 | `FF` `CL` `C1` |
//! | 4 | 4 | length of the payload |
//! | 8 | 8 | first record of the segment |
//! | 16 | 8 | number of the frame's first record |
//! | 24 | 8 | time, ms since 1970 |
//! | 32 | 4 | number of records |
//! | 36 | 4 | crc32c of identity, the 36 bytes before, and the payload |
//! | 40 | | payload: for each record its length (4 bytes) and its bytes |
//!
//! Bytes after the last frame have no meaning: zeros, or frames of an earlier use of a recycled file. Those name
//! another segment, so an earlier frame never passes for a current one. The magic is not UTF-8 and the checksum starts
//! from the identity, so text within a record never passes for a frame either when a search crosses the text.

use crate::Seq;

/// Bytes before the first frame of a segment.
pub(crate) const PAGE: u64 = 4096;
/// Bytes of a frame before its payload.
pub(crate) const FRAME_HEADER: usize = 40;
/// Alignment of frames in bytes.
pub(crate) const ALIGNMENT: u64 = 8;

const SEGMENT_MAGIC: [u8; 8] = *b"CLJRNL\xFF\xC1";
const FRAME_MAGIC: [u8; 4] = *b"\xFFCL\xC1";
const VERSION: u32 = 1;
const SUFFIX: &str = ".journal";

/// File name of the segment with this first record.
pub(crate) fn segment_name(first: Seq) -> String {
    format!("{first:020}{SUFFIX}")
}

/// First record of the segment with this name; `None` for other names.
pub(crate) fn parse_segment_name(name: &str) -> Option<Seq> {
    let digits = name.strip_suffix(SUFFIX)?;
    let is_ours = digits.len() == 20 && digits.bytes().all(|byte| byte.is_ascii_digit());
    is_ours.then(|| digits.parse().ok()).flatten()
}

/// Initial value of the checksums of a folder's frames.
pub(crate) fn checksum_seed(identity: &[u8; 16]) -> u32 {
    crc32c::crc32c(identity)
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
}

/// First page of a segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SegmentHeader {
    pub(crate) identity: [u8; 16],
    pub(crate) first: Seq,
    pub(crate) continues: Seq,
    pub(crate) created_ms: u64,
}

/// Reason a first page cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HeaderFault {
    Damaged,
    Version(u32),
}

impl SegmentHeader {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut page = Vec::with_capacity(PAGE as usize);
        page.extend(SEGMENT_MAGIC);
        page.extend(VERSION.to_le_bytes());
        page.extend([0; 4]);
        page.extend(self.identity);
        page.extend(self.first.to_le_bytes());
        page.extend(self.continues.to_le_bytes());
        page.extend(self.created_ms.to_le_bytes());
        page.extend(crc32c::crc32c(&page).to_le_bytes());
        page.resize(PAGE as usize, 0);
        page
    }

    pub(crate) fn decode(page: &[u8]) -> Result<Self, HeaderFault> {
        let read = || {
            let covered = page.get(..56)?;
            let is_whole =
                covered.starts_with(&SEGMENT_MAGIC) && crc32c::crc32c(covered) == u32_at(page, 56)?;
            is_whole.then_some(())?;
            let header = SegmentHeader {
                identity: page.get(16..32)?.try_into().ok()?,
                first: u64_at(page, 32)?,
                continues: u64_at(page, 40)?,
                created_ms: u64_at(page, 48)?,
            };
            Some((u32_at(page, 8)?, header))
        };
        match read() {
            Some((VERSION, header)) => Ok(header),
            Some((version, _)) => Err(HeaderFault::Version(version)),
            None => Err(HeaderFault::Damaged),
        }
    }
}

/// Bytes of a frame before its payload. Decoding does not validate them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FrameHeader {
    magic: [u8; 4],
    pub(crate) payload: u32,
    pub(crate) segment: Seq,
    pub(crate) first: Seq,
    pub(crate) time_ms: u64,
    pub(crate) count: u32,
    crc: u32,
}

impl FrameHeader {
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        Some(FrameHeader {
            magic: bytes.get(..4)?.try_into().ok()?,
            payload: u32_at(bytes, 4)?,
            segment: u64_at(bytes, 8)?,
            first: u64_at(bytes, 16)?,
            time_ms: u64_at(bytes, 24)?,
            count: u32_at(bytes, 32)?,
            crc: u32_at(bytes, 36)?,
        })
    }

    pub(crate) fn has_magic(&self) -> bool {
        self.magic == FRAME_MAGIC
    }

    /// True if `bytes` begin with the magic, which rules out most positions of a search.
    pub(crate) fn may_begin(bytes: &[u8]) -> bool {
        bytes.starts_with(&FRAME_MAGIC)
    }

    /// Size of the frame on disk in bytes, padding included.
    pub(crate) fn size(&self) -> u64 {
        padded(FRAME_HEADER as u64 + u64::from(self.payload))
    }

    /// Number after the last record; `None` on overflow.
    pub(crate) fn end(&self) -> Option<Seq> {
        self.first.checked_add(u64::from(self.count))
    }

    /// True if this can be the header of a frame begun at `first` in `segment`, allowing for one flipped bit.
    pub(crate) fn is_remains_of(&self, segment: Seq, first: Seq) -> bool {
        let signs = [self.has_magic(), self.segment == segment, self.first == first];
        signs.into_iter().filter(|sign| *sign).count() >= 2
    }

    /// True if `frame`, which begins with this header, is unchanged and has `count` whole records.
    pub(crate) fn is_sound(&self, frame: &[u8], seed: u32) -> bool {
        let (Some(head), Some(payload)) = (frame.get(..36), self.payload_of(frame)) else {
            return false;
        };
        let crc = crc32c::crc32c_append(crc32c::crc32c_append(seed, head), payload);
        let is_checked = crc == self.crc || crate::bugs::on(crate::bugs::Bug::SkipChecksum);
        let mut records = RecordSlices(payload);
        is_checked
            && self.has_magic()
            && self.count > 0
            && records.by_ref().count() == self.count as usize
            && records.0.is_empty()
    }

    /// Records of `frame`, which begins with this header and is sound.
    pub(crate) fn records<'a>(&self, frame: &'a [u8]) -> RecordSlices<'a> {
        #[expect(
            clippy::expect_used,
            reason = "callers pass a sound frame, which has its whole payload"
        )]
        let payload = self.payload_of(frame).expect("a sound frame has its payload");
        RecordSlices(payload)
    }

    fn payload_of<'a>(&self, frame: &'a [u8]) -> Option<&'a [u8]> {
        frame.get(FRAME_HEADER..FRAME_HEADER.checked_add(self.payload as usize)?)
    }
}

fn padded(bytes: u64) -> u64 {
    bytes.next_multiple_of(ALIGNMENT)
}

/// Iterates over `(length · bytes)*`; stops at the first incomplete record.
pub(crate) struct RecordSlices<'a>(&'a [u8]);

impl<'a> Iterator for RecordSlices<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let length = u32_at(self.0, 0)? as usize;
        let record = self.0.get(4..4usize.checked_add(length)?)?;
        self.0 = self.0.get(4 + length..)?;
        Some(record)
    }
}

/// A batch to write: space for the header, then payload, then padding.
#[derive(Default)]
pub(crate) struct Frame {
    bytes: Vec<u8>,
    payload: usize,
    count: u32,
}

impl Frame {
    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.bytes.resize(FRAME_HEADER, 0);
        self.payload = 0;
        self.count = 0;
    }

    /// Adds `count` records in payload form. Must not be called after sealing.
    pub(crate) fn extend(&mut self, payload: &[u8], count: u32) {
        self.bytes.extend_from_slice(payload);
        self.payload += payload.len();
        self.count += count;
    }

    pub(crate) fn count(&self) -> u32 {
        self.count
    }

    pub(crate) fn payload_bytes(&self) -> u64 {
        self.payload as u64
    }

    /// Size on disk in bytes.
    pub(crate) fn size(&self) -> u64 {
        padded((FRAME_HEADER + self.payload) as u64)
    }

    /// Fills in the header for a position and returns the bytes to write. May be called again for another position.
    pub(crate) fn seal(&mut self, segment: Seq, first: Seq, time_ms: u64, seed: u32) -> &[u8] {
        let mut head = Vec::with_capacity(FRAME_HEADER);
        head.extend(FRAME_MAGIC);
        head.extend((self.payload as u32).to_le_bytes());
        head.extend(segment.to_le_bytes());
        head.extend(first.to_le_bytes());
        head.extend(time_ms.to_le_bytes());
        head.extend(self.count.to_le_bytes());
        #[expect(
            clippy::expect_used,
            reason = "extend added exactly this payload after the header"
        )]
        let body = self
            .bytes
            .get(FRAME_HEADER..FRAME_HEADER + self.payload)
            .expect("a frame is cleared before it is extended");
        let crc = crc32c::crc32c_append(crc32c::crc32c_append(seed, &head), body);
        head.extend(crc.to_le_bytes());
        #[expect(clippy::expect_used, reason = "clear made space for the header")]
        let space = self
            .bytes
            .get_mut(..FRAME_HEADER)
            .expect("a frame has space for its header");
        space.copy_from_slice(&head);
        self.bytes.resize(self.size() as usize, 0);
        &self.bytes
    }
}
