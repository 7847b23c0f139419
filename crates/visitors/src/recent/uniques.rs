//! Visitors of a day: a Bloom filter for each of three days.
//!
//! All bits of a key are in one 64-bit word, so that one atomic operation queries and records, one cache line is
//! touched, and of two threads with the same key exactly one finds it missing. This costs accuracy compared with bits
//! spread over the whole filter, which the bound of [`super::Recent::is_unique`] includes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::{ArcSwap, Guard};

use crate::hashing::{mix, place};

/// Words of a filter, 1.5 MiB.
const WORDS: usize = 196_608;
/// Bits of a key, each selected by six bits of its hash.
const BITS_OF_KEY: u32 = 4;
/// Number of days: around the world, the day before and the day after are current too.
const DAYS: usize = 3;

/// Filters, each at the remainder of its day.
pub(super) struct Uniques([ArcSwap<Day>; DAYS]);

struct Day {
    number: i32,
    words: Box<[AtomicU64]>,
}

impl Uniques {
    pub(super) fn new() -> Self {
        Self(std::array::from_fn(|_| {
            ArcSwap::from_pointee(Day {
                number: i32::MIN,
                words: Box::default(),
            })
        }))
    }

    /// True if the key is new on this day; always false for past days.
    pub(super) fn first(&self, key: u64, day: i32) -> bool {
        self.filter(day).is_some_and(|filter| filter.first(key))
    }

    /// Filter of a day, which replaces an older one; `None` if a newer one is in its place.
    fn filter(&self, day: i32) -> Option<Guard<Arc<Day>>> {
        let slot = self.0.get(usize::try_from(day.rem_euclid(DAYS as i32)).ok()?)?;
        loop {
            let present = slot.load();
            if present.number == day {
                return Some(present);
            }
            if present.number > day {
                return None;
            }
            // A thread that loses this race finds the winner's filter in the next round.
            slot.compare_and_swap(&present, Arc::new(Day::new(day)));
        }
    }
}

impl Day {
    fn new(number: i32) -> Self {
        Self {
            number,
            words: (0..WORDS).map(|_| AtomicU64::new(0)).collect(),
        }
    }

    fn first(&self, key: u64) -> bool {
        let bits = mix(key);
        let mask = (0..BITS_OF_KEY).fold(0, |mask, n| mask | 1_u64 << (bits >> (6 * n) & 63));
        let word = self.words.get(place(key, self.words.len()));
        word.is_some_and(|word| word.fetch_or(mask, Ordering::Relaxed) & mask != mask)
    }
}
