//! An append-only log on disk with group commit: acknowledged records survive a crash, in order, without duplicates.
//!
//! ```text
//! tasks → Appender (one per worker) ─┐                    ┌→ Wakeups (one per worker) → tasks
//! tasks → Appender ──────────────────┴→ writer's thread ──┤
//!                                       one write, one    └→ next → Reader → applier → release
//!                                       fdatasync a batch
//! ```
//!
//! * A record has a number, its [`Seq`]. An applier that stores its position in the transaction that applies the
//!   records, together with [`Journal::identity`], applies each record exactly once.
//! * Segments are filled with zeros ahead of time, so that the sync of a batch writes no metadata. Full segments are
//!   never modified until all their records are released; then they are recycled or removed.
//! * A file with a failed write or sync is never written or synced again: the kernel may have dropped dirty pages, and
//!   a second sync would not report the loss.
//! * Reading never fails or panics because of the bytes on disk: a damaged batch is skipped and reported as [`Damage`].
//!
//! The format is described in `format.rs`.

mod bugs;
mod copying;
mod cursor;
mod disk;
mod engine;
mod folder;
mod format;
mod journal;
mod pending_batch;
mod reader;
mod recovery;
mod settings;
#[cfg(test)]
mod simulation;
mod stats;
mod window;
mod worker;
mod writer;

use std::sync::{Mutex, MutexGuard, PoisonError};

pub use crate::copying::{Segment, read_segment, segments};
pub use crate::journal::Journal;
pub use crate::pending_batch::Append;
pub use crate::reader::{Damage, ReadError, Reader, Records};
pub use crate::recovery::{Cut, IDENTITY_FILE, Recovery, identity_of};
pub use crate::settings::{OpenError, Refused, Settings};
pub use crate::stats::Stats;
pub use crate::worker::{Appender, Wakeups};

/// Number of a record, from 0. "Next" numbers equal the count of records before them.
pub type Seq = u64;

/// Locks a mutex, also after a panic elsewhere: the guarded data is consistent at every step.
fn locked<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
