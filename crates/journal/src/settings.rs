//! What a journal is told, and why it may refuse.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use crate::Seq;
use crate::format::{FRAME_HEADER, PAGE};

const MIB: u64 = 1 << 20;
/// The smallest segment worth a file.
const SMALLEST_SEGMENT: u64 = 2 * PAGE;
/// No record may be larger.
pub(crate) const LARGEST_RECORD: u64 = MIB;
/// No buffer of a worker grows beyond this.
const LARGEST_BUFFER: u64 = 8 * MIB;
/// No batch carries more payload.
const LARGEST_PAYLOAD: u64 = 16 * MIB;

/// Where a journal lives and how much it may take.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The folder of the segments; made when it is not there. Its parent has to exist.
    pub folder: PathBuf,
    /// Length of a segment file in bytes, at least 8 KiB.
    pub segment_bytes: u64,
    /// What all files together never exceed, in bytes; at least two segments.
    pub quota_bytes: u64,
    /// How long released segments are kept, unless the quota presses.
    pub retention: Duration,
    /// The longest a record waits for company before its sync begins.
    pub longest_window: Duration,
}

impl Settings {
    /// 64 MiB segments, at most 8 GiB, kept for 3 days; a window of at most 1 ms.
    pub fn in_folder(folder: PathBuf) -> Self {
        Settings {
            folder,
            segment_bytes: 64 * MIB,
            quota_bytes: 8 << 30,
            retention: Duration::from_hours(72),
            longest_window: Duration::from_millis(1),
        }
    }

    pub(crate) fn check(&self) -> Result<(), OpenError> {
        if self.segment_bytes < SMALLEST_SEGMENT || !self.segment_bytes.is_multiple_of(PAGE) {
            return Err(OpenError::Settings(
                "segment_bytes has to be a multiple of 4096, and 8192 at least",
            ));
        }
        if self.quota_bytes < 2 * self.segment_bytes {
            return Err(OpenError::Settings("quota_bytes has to be two segments at least"));
        }
        Ok(())
    }

    /// The largest payload of one batch: it has to fit into an empty segment.
    pub(crate) fn payload_limit(&self) -> u64 {
        (self.segment_bytes - PAGE - FRAME_HEADER as u64 - crate::format::ALIGNMENT).min(LARGEST_PAYLOAD)
    }

    /// The most payload that may wait in one worker's buffer, so that a batch can always take it whole.
    pub(crate) fn buffer_limit(&self) -> u64 {
        self.payload_limit().min(LARGEST_BUFFER)
    }
}

/// Why a journal was not opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process, or another `Journal` of this one, has the folder.
    #[error("the journal folder is in use by another process")]
    InUse,
    /// The settings contradict themselves.
    #[error("the journal's settings do not work: {0}")]
    Settings(&'static str),
    /// A segment was written by a newer version.
    #[error("the journal segment {segment} has format version {version}, which this build does not know")]
    Version {
        /// First record of the segment, as in its file name.
        segment: Seq,
        /// The version found.
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
        /// A verb.
        doing: &'static str,
        /// What the operating system said.
        source: io::Error,
    },
}

impl OpenError {
    pub(crate) fn io(doing: &'static str) -> impl FnOnce(io::Error) -> OpenError {
        move |source| OpenError::Io { doing, source }
    }
}

/// Why a record was not taken. It is not on disk and will not be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The quota is used up by unreleased records, the disk is full, or too many records wait for the disk.
    #[error("the journal is full")]
    Full,
    /// The disk fails. It is tried again by itself.
    #[error("the journal's disk is failing")]
    Failing,
    /// The journal was closed.
    #[error("the journal is closed")]
    Closed,
    /// The record is larger than 1 MiB, or than a segment can hold.
    #[error("the record is larger than the journal takes")]
    TooLarge,
}
