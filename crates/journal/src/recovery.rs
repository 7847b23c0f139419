//! Opening a folder: whose it is, which files are in it, and where the last whole batch ends.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::Seq;
use crate::bugs::{self, Bug};
use crate::cursor::{Cursor, View};
use crate::disk::{Disk, DiskFile, RealDisk};
use crate::format::{HeaderFault, PAGE, SegmentHeader, parse_segment_name, segment_name};
use crate::keeper::{FRESH, Kept, RECYCLED};
use crate::reader::Damage;
use crate::settings::{OpenError, Settings};

const IDENTITY: &str = "identity";
const IDENTITY_DRAFT: &str = "identity.tmp";

/// What was found when the journal was opened.
#[derive(Debug, Clone)]
pub struct Recovery {
    /// How many records there are.
    pub next: Seq,
    /// A batch that was being written when the journal stopped; it was never acknowledged.
    pub cut: Option<Cut>,
    /// Batches of the last segment that cannot be read. Older segments are checked when they are read.
    pub damage: Vec<Damage>,
    /// How many segments there are.
    pub segments: usize,
    /// How long it took.
    pub took: Duration,
}

/// The torn end of a segment. It is left where it is; writing goes on in a new segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cut {
    /// First record of the segment, as in its file name.
    pub segment: Seq,
    /// Where the torn batch begins, in bytes.
    pub offset: u64,
    /// Bytes it should have had, as far as the file has them.
    pub bytes: u64,
}

/// The files of a folder.
pub(crate) struct Found {
    pub(crate) segments: BTreeMap<Seq, Kept>,
    pub(crate) spare: Option<(String, u64)>,
}

/// The folder's identity, from its own file or else from a segment; `None` in a new folder.
pub(crate) fn known_identity<D: Disk>(disk: &D) -> io::Result<Option<[u8; 16]>> {
    match disk.open(IDENTITY) {
        Ok(file) => {
            let mut bytes = [0; 20];
            let read = file.read_full(&mut bytes, 0)?;
            let (identity, crc) = bytes.split_at(16);
            if read == 20 && crc32c::crc32c(identity).to_le_bytes() == crc {
                return Ok(identity.try_into().ok());
            }
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    for (name, _) in disk.list()? {
        if parse_segment_name(&name).is_some()
            && let Ok(header) = read_header(disk, &name)?
        {
            return Ok(Some(header.identity));
        }
    }
    Ok(None)
}

/// The folder's identity, kept on disk; `fresh` in a new folder.
pub(crate) fn settle_identity<D: Disk>(disk: &D, fresh: [u8; 16]) -> io::Result<[u8; 16]> {
    let identity = known_identity(disk)?.unwrap_or(fresh);
    let mut bytes = identity.to_vec();
    bytes.extend(crc32c::crc32c(&identity).to_le_bytes());
    let file = disk.create(IDENTITY_DRAFT)?;
    file.write_whole(&bytes, 0)?;
    file.sync()?;
    disk.rename(IDENTITY_DRAFT, IDENTITY)?;
    disk.sync_folder()?;
    Ok(identity)
}

/// The identity of the journal in a folder, for whoever only reads it.
///
/// # Errors
/// When it has none, or cannot be read.
pub fn identity_of(folder: &Path) -> io::Result<[u8; 16]> {
    known_identity(&RealDisk::new(folder.to_owned()))?
        .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "this folder holds no journal"))
}

fn read_header<D: Disk>(disk: &D, name: &str) -> io::Result<Result<SegmentHeader, HeaderFault>> {
    let mut page = vec![0; PAGE as usize];
    disk.open(name)?.read_full(&mut page, 0)?;
    Ok(SegmentHeader::decode(&page))
}

/// Lists the folder, keeps one whole spare and removes what was left half-made.
pub(crate) fn survey<D: Disk>(disk: &D, settings: &Settings, identity: [u8; 16]) -> Result<Found, OpenError> {
    let mut found = Found {
        segments: BTreeMap::new(),
        spare: None,
    };
    for (name, bytes) in disk.list().map_err(OpenError::io("list"))? {
        if let Some(segment) = parse_segment_name(&name) {
            let created_ms = match read_header(disk, &name).map_err(OpenError::io("read"))? {
                Err(HeaderFault::Version(version)) => return Err(OpenError::Version { segment, version }),
                Ok(header) if header.identity != identity => return Err(OpenError::Foreign { segment }),
                Ok(header) => header.created_ms,
                Err(HeaderFault::Damaged) => {
                    tracing::error!(
                        name,
                        "the header of a journal segment is damaged; its name is trusted"
                    );
                    0
                }
            };
            found.segments.insert(segment, Kept { bytes, created_ms });
        } else if name.ends_with(".tmp") && (name.starts_with(FRESH) || name.starts_with(RECYCLED)) {
            // Its length alone makes a spare: nothing in it is ever read.
            let is_whole =
                bytes == settings.segment_bytes && found.spare.is_none() && name.starts_with(FRESH);
            if is_whole && disk.open(&name).and_then(|file| file.sync()).is_ok() {
                found.spare = Some((name, bytes));
            } else {
                disk.remove(&name).map_err(OpenError::io("tidy"))?;
            }
        }
    }
    let total: u64 = found.segments.values().map(|kept| kept.bytes).sum();
    // Removed files may come back with a power cut, and the quota may have been lowered.
    if let Some((name, _)) = found
        .spare
        .take_if(|(_, bytes)| total + *bytes > settings.quota_bytes)
    {
        disk.remove(&name).map_err(OpenError::io("tidy"))?;
    }
    Ok(found)
}

/// Finds the end of the last whole batch and makes sure that all before it outlives a power cut.
///
/// A process that was killed leaves batches in the page cache that were never synced. They count from now on, so
/// they are synced before anybody is told of them.
///
/// Also gives where the last batch ended: before `next` when numbers were skipped and none was given since.
pub(crate) fn recover<D: Disk>(
    disk: &Arc<D>,
    identity: &[u8; 16],
    segments: Vec<Seq>,
) -> Result<(Recovery, Seq), OpenError> {
    let started = Instant::now();
    let count = segments.len();
    let last = segments.last().copied().unwrap_or_default();
    let mut cursor = Cursor::new(Arc::clone(disk), identity, last);
    let mut damage = Vec::new();
    let mut next = last;
    loop {
        let view = View {
            segments: segments.last().copied().into_iter().collect(),
            end: None,
        };
        let mut records = cursor.read(view, usize::MAX, 1).map_err(OpenError::io("read"))?;
        damage.append(&mut records.damage);
        if records.is_empty() {
            break;
        }
        next = if bugs::on(Bug::CutOneBatchTooMany) {
            next.max(records.next - records.len() as u64)
        } else {
            records.next
        };
    }
    let is_empty = count > 0 && next == last;
    let header = if is_empty {
        cursor.header(last).map_err(OpenError::io("read"))?
    } else {
        None
    };
    let ended = header.map_or(next, |header| header.continues.min(next));
    let rest = cursor.rest().map_err(OpenError::io("read"))?;
    if !bugs::on(Bug::NoSyncAtRecovery) {
        cursor.sync().map_err(OpenError::io("sync"))?;
        disk.sync_folder().map_err(OpenError::io("sync"))?;
    }
    let cut = rest.and_then(|(segment, offset, header)| {
        let header = header.filter(|header| header.is_remains_of(segment, next))?;
        let file = disk
            .open(&segment_name(segment))
            .and_then(|file| file.len())
            .unwrap_or(offset);
        Some(Cut {
            segment,
            offset,
            bytes: header.size().min(file.saturating_sub(offset)),
        })
    });
    let recovery = Recovery {
        next,
        cut,
        damage,
        segments: count,
        took: started.elapsed(),
    };
    Ok((recovery, ended))
}
