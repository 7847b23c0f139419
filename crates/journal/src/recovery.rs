//! Opening a folder: its identity, its files, and the end of the last whole batch.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::Seq;
use crate::bugs::{self, Bug};
use crate::cursor::{Cursor, View};
use crate::disk::{Disk, DiskFile, RealDisk};
use crate::folder::{FRESH, RECYCLED, SegmentFile};
use crate::format::{HeaderFault, PAGE, SegmentHeader, parse_segment_name, segment_name};
use crate::reader::Damage;
use crate::settings::{OpenError, Settings};

/// File of the identity of a folder, which a copy of the folder needs.
pub const IDENTITY_FILE: &str = "identity";
const IDENTITY_DRAFT: &str = "identity.tmp";

/// Result of recovering a journal.
#[derive(Debug, Clone)]
pub struct Recovery {
    /// Number of the next record, which equals the count of records.
    pub next: Seq,
    /// Batch that was incomplete when the journal stopped; never acknowledged. `None` for a clean end.
    pub cut: Option<Cut>,
    /// Unreadable batches of the last segment. Older segments are checked when read.
    pub damage: Vec<Damage>,
    /// Number of segments.
    pub segments: usize,
    /// Duration of the recovery.
    pub took: Duration,
}

/// Torn end of a segment. It stays in place; writing continues in a new segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cut {
    /// First record of the segment, as in its file name.
    pub segment: Seq,
    /// Start of the torn batch in bytes.
    pub offset: u64,
    /// Size of the torn batch in bytes, limited by the end of the file.
    pub bytes: u64,
}

/// Files of a folder.
pub(crate) struct Found {
    pub(crate) segments: BTreeMap<Seq, SegmentFile>,
    pub(crate) spare: Option<(String, u64)>,
}

/// Identity of the folder, from its file or else from a segment; `None` for a new folder.
pub(crate) fn known_identity<D: Disk>(disk: &D) -> io::Result<Option<[u8; 16]>> {
    match disk.open(IDENTITY_FILE) {
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

/// Identity of the folder, stored on disk; `fresh` for a new folder.
pub(crate) fn settle_identity<D: Disk>(disk: &D, fresh: [u8; 16]) -> io::Result<[u8; 16]> {
    let identity = known_identity(disk)?.unwrap_or(fresh);
    let mut bytes = identity.to_vec();
    bytes.extend(crc32c::crc32c(&identity).to_le_bytes());
    let file = disk.create(IDENTITY_DRAFT)?;
    file.write_whole(&bytes, 0)?;
    file.sync()?;
    disk.rename(IDENTITY_DRAFT, IDENTITY_FILE)?;
    disk.sync_folder()?;
    Ok(identity)
}

/// Identity of the journal in a folder, for processes that only read.
///
/// # Errors
/// Errors if the folder has no identity, or cannot be read.
pub fn identity_of(folder: &Path) -> io::Result<[u8; 16]> {
    known_identity(&RealDisk::new(folder.to_owned()))?
        .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "this folder contains no journal"))
}

fn read_header<D: Disk>(disk: &D, name: &str) -> io::Result<Result<SegmentHeader, HeaderFault>> {
    let mut page = vec![0; PAGE as usize];
    disk.open(name)?.read_full(&mut page, 0)?;
    Ok(SegmentHeader::decode(&page))
}

/// Lists the folder, selects one complete spare and removes incomplete files.
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
                        "the header of a journal segment is damaged; its name is used instead"
                    );
                    0
                }
            };
            found.segments.insert(segment, SegmentFile { bytes, created_ms });
        } else if name.ends_with(".tmp") && (name.starts_with(FRESH) || name.starts_with(RECYCLED)) {
            // The length alone makes a spare: its contents are never read.
            let is_whole =
                bytes == settings.segment_bytes && found.spare.is_none() && name.starts_with(FRESH);
            if is_whole && disk.open(&name).and_then(|file| file.sync()).is_ok() {
                found.spare = Some((name, bytes));
            } else {
                disk.remove(&name).map_err(OpenError::io("tidy"))?;
            }
        }
    }
    let total: u64 = found
        .segments
        .values()
        .map(|segment_file| segment_file.bytes)
        .sum();
    // A power cut may restore removed files, and the quota may have been lowered.
    if let Some((name, _)) = found
        .spare
        .take_if(|(_, bytes)| total + *bytes > settings.quota_bytes)
    {
        disk.remove(&name).map_err(OpenError::io("tidy"))?;
    }
    Ok(found)
}

/// Finds the end of the last whole batch and syncs all records before the end.
///
/// A killed process leaves unsynced batches in the page cache. They count from now on, so they are synced before any
/// reader gets them.
///
/// Also returns the end of the last batch: before `next` if numbers were skipped and none was assigned since.
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
