//! Files of large reports: prepared in the background with visible progress, announced by mail, and removed when they
//! expire.

mod prepare;
mod read;
mod store;

pub use crate::mails::FileFormat;
pub use prepare::{keep_preparing, prepare_due};
pub use read::read;
pub use store::{FileStatus, ReportFile, create, find, list, remove};

/// Rows up to which a report is downloaded at once; a larger one is prepared as a file.
pub const MAX_IMMEDIATE_ROWS: usize = 100_000;
