//! An append-only log on disk with group commit: what was acknowledged is there after a crash, in order, once.
//!
//! ```text
//! tasks → Appender (one per worker) ─┐                    ┌→ Wakeups (one per worker) → tasks
//! tasks → Appender ──────────────────┴→ writer's thread ──┤
//!                                       one write, one    └→ next → Reader → whoever applies the records → release
//!                                       fdatasync a batch
//! ```
//!
//! * A record has a number, its [`Seq`]; a position kept elsewhere, in the transaction that applies the records,
//!   together with [`Journal::identity`] makes applying them exactly-once.
//! * Segments are written with zeros ahead of time, so that the sync of a batch has no metadata to write. Full
//!   segments are never modified until all their records are released; then they are used again or removed.
//! * A file that failed once, in a write or in a sync, is never written or synced again: the kernel may have dropped
//!   what it could not write, and a second sync would not say so.
//! * Whatever is on disk, reading it does not fail or panic: a damaged batch is skipped and reported as [`Damage`].
//!
//! The format is described where it is encoded, in `format.rs`.

mod bugs;
mod cursor;
mod disk;
mod engine;
mod flight;
mod format;
mod journal;
mod keeper;
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

pub use crate::flight::Append;
pub use crate::journal::Journal;
pub use crate::reader::{Damage, ReadError, Reader, Records};
pub use crate::recovery::{Cut, Recovery, identity_of};
pub use crate::settings::{OpenError, Refused, Settings};
pub use crate::stats::Stats;
pub use crate::worker::{Appender, Wakeups};

/// The number of a record, from 0. "Next" numbers count the records before them.
pub type Seq = u64;

/// The lock, also after a panic elsewhere: what our locks guard is consistent at every step.
fn locked<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
