//! Copies of a folder that a writer may be using, for backups: whole frames only, so that a copy never ends in one.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::Seq;
use crate::disk::{Disk, DiskFile, RealDisk};
use crate::format::{FRAME_HEADER, FrameHeader, PAGE, checksum_seed, parse_segment_name, segment_name};
use crate::recovery::identity_of;

/// Bytes per step of the search for the end of a segment.
const STRIDE: u64 = 1 << 20;

/// Segment of a folder, as a copy of the folder needs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment {
    /// Number of its first record.
    pub first: Seq,
    /// True if a later segment exists: nothing is added to this one any more.
    pub is_closed: bool,
}

impl Segment {
    /// Name of its file.
    #[must_use]
    pub fn file_name(&self) -> String {
        segment_name(self.first)
    }
}

/// Segments of a folder in order.
///
/// # Errors
/// Errors if the folder cannot be listed.
pub fn segments(folder: &Path) -> io::Result<Vec<Segment>> {
    let names = RealDisk::new(folder.to_owned()).list()?;
    let mut firsts: Vec<Seq> = names
        .iter()
        .filter_map(|file| parse_segment_name(&file.0))
        .collect();
    firsts.sort_unstable();
    let last = firsts.last().copied();
    Ok(firsts
        .into_iter()
        .map(|first| Segment {
            first,
            is_closed: Some(first) != last,
        })
        .collect())
}

/// Reads about `most` bytes of a segment from `offset` on: of a closed one all that was written, of the last one its whole
/// frames. `offset` is 0 or the end of what was read before. Empty at the end; `None` if the segment was removed, because all
/// its records were released and are past retention.
///
/// # Errors
/// Errors if the file cannot be read, or the folder has no identity.
pub fn read_segment(
    folder: &Path,
    segment: Segment,
    offset: u64,
    most: usize,
) -> io::Result<Option<Vec<u8>>> {
    let path = folder.join(segment.file_name());
    let file = match File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let end = if segment.is_closed {
        written_end(&file)?
    } else {
        DiskFile::len(&file)?
    };
    let bytes = if segment.is_closed {
        read_at(&file, offset, end, most as u64)?
    } else {
        let seed = checksum_seed(&identity_of(folder)?);
        let start = if offset == 0 { PAGE as usize } else { 0 };
        let least = start + FRAME_HEADER;
        let mut bytes = read_at(&file, offset, end, most.max(least) as u64)?;
        if let Some(size) = size_of_frame(&bytes, start, segment.first)
            && size > bytes.len() as u64
        {
            bytes = read_at(&file, offset, end, size)?;
        }
        let whole = end_of_frames(&bytes, start, segment.first, seed);
        bytes.truncate(if whole == start { 0 } else { whole });
        bytes
    };
    // A removed segment may be filled anew, under another name.
    let is_same = fs::metadata(&path)
        .ok()
        .zip(file.metadata().ok())
        .is_some_and(|(named, read)| named.ino() == read.ino());
    Ok(is_same.then_some(bytes))
}

fn read_at(file: &File, offset: u64, end: u64, most: u64) -> io::Result<Vec<u8>> {
    let length = end.saturating_sub(offset).min(most);
    let mut bytes = vec![0; usize::try_from(length).unwrap_or(usize::MAX)];
    let read = file.read_full(&mut bytes, offset)?;
    bytes.truncate(read);
    Ok(bytes)
}

/// Bytes up to the end of the frame that begins at `start`, if one seems to.
fn size_of_frame(bytes: &[u8], start: usize, segment: Seq) -> Option<u64> {
    let header = FrameHeader::decode(bytes.get(start..)?)?;
    (header.has_magic() && header.segment == segment).then(|| start as u64 + header.size())
}

/// End of the whole frames of this segment from `start` on.
fn end_of_frames(bytes: &[u8], start: usize, segment: Seq, seed: u32) -> usize {
    let mut end = start;
    while let Some(size) = size_of_frame(bytes, end, segment)
        && let Ok(next) = usize::try_from(size)
        && let Some(frame) = bytes.get(end..next)
        && FrameHeader::decode(frame).is_some_and(|header| {
            let unpadded = frame.get(..FRAME_HEADER + header.payload as usize);
            unpadded.is_some_and(|unpadded| header.is_sound(unpadded, seed))
        })
    {
        end = next;
    }
    end
}

/// End of the bytes of a file that are not zeros, rounded up: a segment is filled with zeros ahead of its frames.
fn written_end(file: &File) -> io::Result<u64> {
    let mut end = DiskFile::len(file)?;
    while end > PAGE {
        let start = end.saturating_sub(STRIDE).max(PAGE);
        let piece = read_at(file, start, end, STRIDE)?;
        if let Some(last) = piece.iter().rposition(|byte| *byte != 0) {
            return Ok((start + last as u64 + 1)
                .next_multiple_of(crate::format::ALIGNMENT)
                .min(end));
        }
        end = start;
    }
    Ok(end)
}
