//! Very recent visits: a table with one slot per key, which the latest visit takes.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::hashing::place;

/// Number of slots, 1.5 MiB.
const PLACES: usize = 196_608;
const WINDOW_MS: u64 = 2000;
/// Bits of the time in a slot, in milliseconds, repeating after three days, when the visitor's hash is another one.
/// Above are 36 bits of the key, which with the slot's index identify 53 of its 64.
const TIME_BITS: u32 = 28;
const TIME: u64 = (1 << TIME_BITS) - 1;

pub(super) struct Repeats(Box<[AtomicU64]>);

impl Repeats {
    pub(super) fn new() -> Self {
        Self((0..PLACES).map(|_| AtomicU64::new(0)).collect())
    }

    /// True if the key was recorded within the window; records the key.
    pub(super) fn seen(&self, key: u64, now_ms: i64) -> bool {
        let Some(entry) = self.0.get(place(key, self.0.len())) else {
            return false;
        };
        let now = now_ms.cast_unsigned() & TIME;
        let fresh = key << TIME_BITS | now;
        let before = entry.swap(fresh, Ordering::Relaxed);
        // Clocks of threads differ slightly, so "before" may be a little after.
        let age = now.wrapping_sub(before) & TIME;
        let is_near = age <= WINDOW_MS || age > TIME - WINDOW_MS;
        before >> TIME_BITS == fresh >> TIME_BITS && is_near
    }
}
