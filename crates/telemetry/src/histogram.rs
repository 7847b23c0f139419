//! Histogram of one series: fixed buckets of atomic numbers.
//!
//! A click records one, so recording is two additions without a lock and without an allocation. The numbers exist once
//! per group of threads, so that the cores do not exchange a cache line with every click; a scrape adds them up.

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

/// Most bounds of a histogram; with the bucket above them and the sum, a shard fills two cache lines.
const MAX_BOUNDS: usize = 14;
/// Number of shards; a power of two.
const SHARDS: usize = 8;

/// Upper bounds of buckets in microseconds, in ascending order.
#[derive(Debug, Clone, Copy)]
pub struct Bounds(&'static [u64]);

impl Bounds {
    /// Answers that need no query: clicks, postbacks, syncs of a journal.
    pub const INTAKE: Self = Self::new(&[
        100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 1_000_000, 2_500_000,
    ]);
    /// Statements and transactions of Postgres, and waits for them.
    pub const DATABASE: Self = Self::new(&[
        250, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000,
        5_000_000,
    ]);
    /// Pages, requests of the API and reports. Few, because each route has a series.
    pub const REQUESTS: Self = Self::new(&[
        5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000, 10_000_000,
    ]);
    /// Decisions and mails, which may wait for another system.
    pub const WAITS: Self = Self::new(&[
        2_500,
        10_000,
        25_000,
        100_000,
        250_000,
        500_000,
        1_000_000,
        2_500_000,
        5_000_000,
        10_000_000,
        30_000_000,
        300_000_000,
        3_600_000_000,
    ]);

    const fn new(bounds: &'static [u64]) -> Self {
        assert!(bounds.len() <= MAX_BOUNDS);
        Self(bounds)
    }

    /// Bounds in seconds.
    #[expect(clippy::cast_precision_loss, reason = "bounds are small")]
    pub(crate) fn seconds(self) -> impl Iterator<Item = f64> {
        self.0.iter().map(|micros| *micros as f64 / 1e6)
    }
}

/// Numbers of a group of threads.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Shard {
    /// Number of durations per bucket; the bucket above the last bound follows it.
    buckets: [AtomicU64; MAX_BOUNDS + 1],
    /// Sum of all durations, in nanoseconds: enough for 580 years.
    nanos: AtomicU64,
}

/// Distribution of durations.
#[derive(Debug)]
pub struct Histogram {
    bounds: Bounds,
    shards: [Shard; SHARDS],
}

impl Histogram {
    pub(crate) fn new(bounds: Bounds) -> Self {
        Self {
            bounds,
            shards: Default::default(),
        }
    }

    /// Records a duration.
    pub fn record(&self, time: Duration) {
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        // A duration between two microseconds is above the bound that it equals when truncated.
        let is_exact = time.subsec_nanos().is_multiple_of(1_000);
        let is_below = |bound: &u64| *bound < micros || (*bound == micros && !is_exact);
        let place = self.bounds.0.partition_point(is_below);
        let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        if let Some(shard) = self.shards.get(own_shard())
            && let Some(bucket) = shard.buckets.get(place)
        {
            bucket.fetch_add(1, Relaxed);
            shard.nanos.fetch_add(nanos, Relaxed);
        }
    }

    /// Cumulative number of durations up to each bound and above the last, and the sum of all in seconds.
    #[expect(
        clippy::cast_precision_loss,
        reason = "microseconds are exact for a hundred years"
    )]
    pub(crate) fn read(&self) -> (Vec<u64>, f64) {
        let mut total = 0;
        let buckets = (0..=self.bounds.0.len()).map(|place| {
            let shards = self.shards.iter();
            let buckets = shards.filter_map(|shard| shard.buckets.get(place));
            total += buckets.map(|bucket| bucket.load(Relaxed)).sum::<u64>();
            total
        });
        let buckets = buckets.collect();
        let nanos: u64 = self.shards.iter().map(|shard| shard.nanos.load(Relaxed)).sum();
        (buckets, nanos as f64 / 1e9)
    }

    pub(crate) fn bounds(&self) -> Bounds {
        self.bounds
    }
}

/// Shard of the thread. Threads take turns, so that those of a runtime have different ones.
fn own_shard() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static OWN: Cell<usize> = const { Cell::new(usize::MAX) };
    }
    OWN.with(|own| {
        if own.get() == usize::MAX {
            own.set(NEXT.fetch_add(1, Relaxed) % SHARDS);
        }
        own.get()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_in_the_bucket_of_the_first_bound_that_is_not_below_it() {
        const BOUNDS: Bounds = Bounds::new(&[100, 1_000]);
        for (time, cumulative) in [
            (Duration::ZERO, [1, 1, 1]),
            (Duration::from_micros(100), [1, 1, 1]),
            (Duration::from_nanos(100_001), [0, 1, 1]),
            (Duration::from_millis(1), [0, 1, 1]),
            (Duration::from_nanos(1_000_001), [0, 0, 1]),
            (Duration::MAX, [0, 0, 1]),
        ] {
            let histogram = Histogram::new(BOUNDS);
            histogram.record(time);
            assert_eq!(histogram.read().0, cumulative, "{time:?}");
        }
    }

    #[test]
    fn threads_lose_nothing() {
        let histogram = Histogram::new(Bounds::INTAKE);
        std::thread::scope(|scope| {
            for _ in 0..16 {
                scope.spawn(|| (0..10_000).for_each(|_| histogram.record(Duration::from_millis(2))));
            }
        });
        let (buckets, sum) = histogram.read();
        assert_eq!((buckets[3], buckets[4]), (0, 160_000));
        assert!((sum - 320.0).abs() < 1e-6, "{sum}");
    }
}
