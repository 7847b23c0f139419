//! Who was here a moment ago: a table in which each key has one place, taken by whoever came last.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::hashing::place;

/// 1.5 MiB.
const PLACES: usize = 196_608;
const WINDOW_MS: u64 = 2000;
/// A place holds 36 bits of the key, which with the place itself are 53 of its 64, above 28 bits of milliseconds, which
/// come round after three days, when the visitor's hash is another one.
const TIME_BITS: u32 = 28;
const TIME: u64 = (1 << TIME_BITS) - 1;

pub(super) struct Repeats(Box<[AtomicU64]>);

impl Repeats {
    pub(super) fn new() -> Self {
        Self((0..PLACES).map(|_| AtomicU64::new(0)).collect())
    }

    /// Whether the key was here within the window, and notes it.
    pub(super) fn seen(&self, key: u64, now_ms: i64) -> bool {
        let Some(entry) = self.0.get(place(key, self.0.len())) else {
            return false;
        };
        let now = now_ms.cast_unsigned() & TIME;
        let fresh = key << TIME_BITS | now;
        let before = entry.swap(fresh, Ordering::Relaxed);
        // Threads read their clocks a little apart, so "before" may be a little after.
        let age = now.wrapping_sub(before) & TIME;
        let is_near = age <= WINDOW_MS || age > TIME - WINDOW_MS;
        before >> TIME_BITS == fresh >> TIME_BITS && is_near
    }
}
