//! Reading records, from a live journal or from a folder at rest.

use std::io;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use crate::Seq;
use crate::cursor::{Cursor, View};
use crate::disk::{Disk, RealDisk};
use crate::engine::Shared;
use crate::format::parse_segment_name;
use crate::recovery;

/// Reader of records from a position on, in order. Blocking: reads the disk on the caller's thread.
pub struct Reader {
    disk: Arc<RealDisk>,
    cursor: Cursor<RealDisk>,
    live: Option<Arc<Shared>>,
}

impl Reader {
    /// Opens a folder without a writer at record `from`. From zero, reading begins with the oldest record; from any
    /// other number, missing records before the oldest are reported as damage.
    ///
    /// # Errors
    /// Errors if the folder cannot be listed, or neither its identity nor any segment header can be read.
    pub fn open(folder: &Path, from: Seq) -> io::Result<Reader> {
        let disk = Arc::new(RealDisk::new(folder.to_owned()));
        let identity = recovery::known_identity(&*disk)?
            .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "this folder contains no journal"))?;
        let cursor = Cursor::new(Arc::clone(&disk), &identity, from);
        Ok(Reader {
            disk,
            cursor,
            live: None,
        })
    }

    pub(crate) fn live(shared: Arc<Shared>, from: Seq) -> Reader {
        let disk = Arc::clone(&shared.folder.disk);
        let cursor = Cursor::new(Arc::clone(&disk), &shared.folder.identity, from);
        Reader {
            disk,
            cursor,
            live: Some(shared),
        }
    }

    /// Reads up to about `max_bytes` of records, in order; empty at the end. Stops within a batch when `max_records`
    /// are reached, and continues there.
    ///
    /// # Errors
    /// [`ReadError`] if the disk cannot be read. A retry continues at the same record.
    pub fn read(&mut self, max_records: usize, max_bytes: usize) -> Result<Records, ReadError> {
        let view = self.view().map_err(ReadError)?;
        let records = self
            .cursor
            .read(view, max_records, max_bytes)
            .map_err(ReadError)?;
        for damage in &records.damage {
            tracing::error!(?damage, "records of the journal are lost");
        }
        if let Some(shared) = &self.live {
            shared
                .counters
                .damaged
                .fetch_add(records.damage.len() as u64, Relaxed);
        }
        Ok(records)
    }

    /// Number of the next record to read.
    pub fn next(&self) -> Seq {
        self.cursor.at()
    }

    fn view(&self) -> io::Result<View> {
        match &self.live {
            Some(shared) => {
                // In this order, because a segment is listed before its first record is published.
                let end = Some(shared.next());
                Ok(View {
                    segments: shared.folder.segments(),
                    end,
                })
            }
            None => {
                let names = self.disk.list()?;
                let mut segments: Vec<_> = names
                    .iter()
                    .filter_map(|file| parse_segment_name(&file.0))
                    .collect();
                segments.sort_unstable();
                Ok(View { segments, end: None })
            }
        }
    }
}

/// The disk could not be read.
#[derive(Debug, thiserror::Error)]
#[error("could not read the journal")]
pub struct ReadError(#[source] io::Error);

/// Records in a shared buffer.
#[derive(Debug, Default, Clone)]
pub struct Records {
    bytes: Vec<u8>,
    places: Vec<(Seq, Range<usize>)>,
    /// Lost records found on the way.
    pub damage: Vec<Damage>,
    /// Number after the last record, or after the last damage.
    pub next: Seq,
}

impl Records {
    pub(crate) fn push(&mut self, seq: Seq, record: &[u8]) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(record);
        self.places.push((seq, start..self.bytes.len()));
    }

    /// Number of records.
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// True if it contains no record.
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// Bytes of all records.
    pub fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Records with their numbers.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (Seq, &[u8])> {
        self.places.iter().map(|(seq, place)| {
            #[expect(clippy::expect_used, reason = "push records the range of the bytes it adds")]
            let record = self
                .bytes
                .get(place.clone())
                .expect("a record is within the buffer");
            (*seq, record)
        })
    }
}

/// Records that were in the journal and can no longer be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// First record of the segment, as in its file name.
    pub segment: Seq,
    /// Start of the damage in the segment, in bytes.
    pub offset: u64,
    /// First lost record.
    pub from: Seq,
    /// First record after the lost ones.
    pub to: Seq,
}
