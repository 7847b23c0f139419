//! Settings of a journal, and its errors.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use crate::Seq;
use crate::format::{FRAME_HEADER, PAGE};

const MIB: u64 = 1 << 20;
/// Minimum length of a segment.
const SMALLEST_SEGMENT: u64 = 2 * PAGE;
/// Maximum length of a record.
pub(crate) const LARGEST_RECORD: u64 = MIB;
/// Maximum length of a worker's buffer.
const LARGEST_BUFFER: u64 = 8 * MIB;
/// Maximum payload of a batch.
const LARGEST_PAYLOAD: u64 = 16 * MIB;

/// Location and limits of a journal.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Folder of the segments; created if missing. Its parent must exist.
    pub folder: PathBuf,
    /// Length of a segment file in bytes, at least 8 KiB.
    pub segment_bytes: u64,
    /// Maximum total length of all files in bytes; at least two segments.
    pub quota_bytes: u64,
    /// Time released segments are segment_file, unless the quota is used up.
    pub retention: Duration,
    /// Maximum time a record waits for others to share its sync.
    pub longest_window: Duration,
    /// Called with the duration of each sync, on the writer's thread.
    pub on_sync: fn(Duration),
}

impl Settings {
    /// Defaults: 64 MiB segments, at most 8 GiB, segment_file for 3 days; a window of at most 1 ms.
    pub fn in_folder(folder: PathBuf) -> Self {
        Settings {
            folder,
            segment_bytes: 64 * MIB,
            quota_bytes: 8 << 30,
            retention: Duration::from_hours(72),
            longest_window: Duration::from_millis(1),
            on_sync: |_| {},
        }
    }

    pub(crate) fn check(&self) -> Result<(), OpenError> {
        if self.segment_bytes < SMALLEST_SEGMENT || !self.segment_bytes.is_multiple_of(PAGE) {
            return Err(OpenError::Settings(
                "segment_bytes must be a multiple of 4096 and at least 8192",
            ));
        }
        if self.quota_bytes < 2 * self.segment_bytes {
            return Err(OpenError::Settings("quota_bytes must be at least two segments"));
        }
        Ok(())
    }

    /// Maximum payload of a batch, which must fit into an empty segment.
    pub(crate) fn payload_limit(&self) -> u64 {
        (self.segment_bytes - PAGE - FRAME_HEADER as u64 - crate::format::ALIGNMENT).min(LARGEST_PAYLOAD)
    }

    /// Maximum payload in a worker's buffer, which must fit into one batch.
    pub(crate) fn buffer_limit(&self) -> u64 {
        self.payload_limit().min(LARGEST_BUFFER)
    }
}

/// Reason a journal was not opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process, or another `Journal` of this one, uses the folder.
    #[error("the journal folder is in use by another process")]
    InUse,
    /// The settings are invalid.
    #[error("invalid journal settings: {0}")]
    Settings(&'static str),
    /// A segment was written by a newer version.
    #[error("the journal segment {segment} has format version {version}, which this build does not support")]
    Version {
        /// First record of the segment, as in its file name.
        segment: Seq,
        /// Version that was found.
        version: u32,
    },
    /// A segment belongs to another journal folder.
    #[error("the journal segment {segment} belongs to another journal")]
    Foreign {
        /// First record of the segment, as in its file name.
        segment: Seq,
    },
    /// The disk failed.
    #[error("could not {doing} the journal")]
    Io {
        /// Failed action, a verb.
        doing: &'static str,
        /// Error of the operating system.
        source: io::Error,
    },
}

impl OpenError {
    pub(crate) fn io(doing: &'static str) -> impl FnOnce(io::Error) -> OpenError {
        move |source| OpenError::Io { doing, source }
    }
}

/// Reason a record was refused. The record is not on disk and will not be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Unreleased records use up the quota, the disk is full, or too many records wait for the disk.
    #[error("the journal is full")]
    Full,
    /// The disk fails. The journal retries by itself.
    #[error("the journal's disk is failing")]
    Failing,
    /// The journal was closed.
    #[error("the journal is closed")]
    Closed,
    /// The record is larger than 1 MiB, or than a segment can hold.
    #[error("the record is too large for the journal")]
    TooLarge,
}
