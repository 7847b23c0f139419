//! How much of what may be done in a second or a minute: counted per network, or whatever the key is, on each node, so
//! that one that does too much is told when to come back, and its neighbours notice nothing.

use std::hash::Hash;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use moka::sync::Cache;

/// Keys remembered; more push the least used out, which forgets what they did in the current window.
const REMEMBERED: u64 = 100_000;

/// What is left in the current window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quota {
    /// How many in a window.
    pub limit: u32,
    /// How many are left.
    pub remaining: u32,
    /// Whole seconds until the next window, at least one.
    pub resets_in: u64,
    /// Whether this one was within the limit.
    pub allowed: bool,
}

/// Counts by windows of one length. Cheap to clone; all clones share the counts.
#[derive(Clone)]
pub struct RateLimit<K> {
    window: Duration,
    /// Number of the window and count in it, in one word: upper and lower 32 bits.
    counts: Cache<K, Arc<AtomicU64>>,
}

impl<K: Hash + Eq + Send + Sync + 'static> RateLimit<K> {
    /// Nobody has done anything yet.
    #[must_use]
    pub fn new(window: Duration) -> Self {
        Self {
            window,
            counts: Cache::builder().max_capacity(REMEMBERED).build(),
        }
    }

    /// Counts one, at this time since some fixed point.
    #[must_use]
    pub fn count(&self, key: K, limit: u32, at: Duration) -> Quota {
        let length = self.window.as_millis().max(1);
        let (number, passed) = (at.as_millis() / length, at.as_millis() % length);
        let window = (number & u128::from(u32::MAX)) as u64;
        let counter = self.counts.get_with(key, Arc::default);
        let add = |word: u64| match window > word >> 32 {
            true => (window << 32) | 1,
            // Saturating in the lower half, so that a flood does not spill into the window's number.
            false if word & u64::from(u32::MAX) == u64::from(u32::MAX) => word,
            // One that was noted late counts where the others do: it must not bring an old window back.
            false => word + 1,
        };
        let mut word = counter.load(Ordering::Relaxed);
        while let Err(now) =
            counter.compare_exchange_weak(word, add(word), Ordering::Relaxed, Ordering::Relaxed)
        {
            word = now;
        }
        let used = (add(word) & u64::from(u32::MAX)) as u32;
        let left = u64::try_from((length - passed).div_ceil(1000)).unwrap_or(1);
        Quota {
            limit,
            remaining: limit.saturating_sub(used),
            resets_in: left.max(1),
            allowed: used <= limit,
        }
    }
}

#[cfg(test)]
mod tests {
    use schema::NetworkId;

    use super::*;

    #[test]
    fn a_window_has_its_limit_and_neighbours_have_their_own() {
        let rate = RateLimit::new(Duration::from_secs(60));
        let (one, other) = (NetworkId(1), NetworkId(2));
        let at = Duration::from_secs(3_000_010);
        let counted: Vec<_> = (0..4).map(|_| rate.count(one, 3, at)).collect();
        assert_eq!(
            counted.iter().map(|it| it.allowed).collect::<Vec<_>>(),
            [true, true, true, false]
        );
        assert_eq!(
            counted.iter().map(|it| it.remaining).collect::<Vec<_>>(),
            [2, 1, 0, 0]
        );
        assert_eq!(counted[0].resets_in, 50);
        let late = rate.count(one, 3, at - Duration::from_secs(60));
        assert!(!late.allowed, "one of the minute before brings that not back");
        assert!(rate.count(other, 3, at).allowed);
        assert!(rate.count(one, 3, at + Duration::from_secs(50)).allowed);
    }
}
