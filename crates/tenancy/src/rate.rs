//! Rate limits per key, such as a network, on each node: a caller above its limit learns the time until the next
//! window, and other callers are not affected.

use std::hash::Hash;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use moka::sync::Cache;

/// Maximum number of keys that are counted; beyond it, the least used ones are evicted and lose their counts.
const MAX_KEYS: u64 = 100_000;

/// State of a key's current window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quota {
    /// Maximum number per window.
    pub limit: u32,
    /// Number left in the window.
    pub remaining: u32,
    /// Whole seconds until the next window, at least one.
    pub resets_in: u64,
    /// True if the counted event was within the limit.
    pub allowed: bool,
}

/// Counter with fixed windows of one length. Cheap to clone; clones share the counts.
#[derive(Clone)]
pub struct RateLimit<K> {
    window: Duration,
    /// Window number in the upper 32 bits, count in the lower.
    counts: Cache<K, Arc<AtomicU64>>,
}

impl<K: Hash + Eq + Send + Sync + 'static> RateLimit<K> {
    /// Rate limit with empty windows of this length.
    #[must_use]
    pub fn new(window: Duration) -> Self {
        Self {
            window,
            counts: Cache::builder().max_capacity(MAX_KEYS).build(),
        }
    }

    /// Counts one event of a key; `at` is the time since any fixed point.
    #[must_use]
    pub fn count(&self, key: K, limit: u32, at: Duration) -> Quota {
        let length = self.window.as_millis().max(1);
        let (number, passed) = (at.as_millis() / length, at.as_millis() % length);
        let window = (number & u128::from(u32::MAX)) as u64;
        let counter = self.counts.get_with(key, Arc::default);
        let add = |word: u64| {
            if window > word >> 32 {
                (window << 32) | 1
            } else if word & u64::from(u32::MAX) == u64::from(u32::MAX) {
                // Saturates, so that a flood does not spill into the window's number.
                word
            } else {
                // A late event counts in the current window: it must not bring an old one back.
                word + 1
            }
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
    fn a_key_has_its_limit_and_other_keys_are_not_affected() {
        let rate = RateLimit::new(Duration::from_secs(60));
        let (one, other) = (NetworkId(1), NetworkId(2));
        let at = Duration::from_secs(3_000_010);
        let counted: Vec<_> = (0..4).map(|_| rate.count(one, 3, at)).collect();
        assert_eq!(
            counted.iter().map(|quota| quota.allowed).collect::<Vec<_>>(),
            [true, true, true, false]
        );
        assert_eq!(
            counted.iter().map(|quota| quota.remaining).collect::<Vec<_>>(),
            [2, 1, 0, 0]
        );
        assert_eq!(counted[0].resets_in, 50);
        let late = rate.count(one, 3, at - Duration::from_secs(60));
        assert!(!late.allowed, "a late event must not reopen the previous window");
        assert!(rate.count(other, 3, at).allowed);
        assert!(rate.count(one, 3, at + Duration::from_secs(50)).allowed);
    }
}
