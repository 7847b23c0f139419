//! Test for drift: a figure is flat if its median in the last quarter of the run is not above that of the first quarter by
//! more than its tolerance. Medians bear outliers; the quarters have the same load.

use crate::report::{Check, Held};
use crate::trial::check;

use super::sample::Sample;

/// Figure of every sample that must stay flat.
pub(super) struct Figure {
    /// Heading of its column.
    pub(super) heading: &'static str,
    /// Name in the checks.
    name: &'static str,
    /// Value in a sample.
    pub(super) of: fn(&Sample) -> f64,
    /// Growth that is tolerated: a part of the first median, or this much, whichever is more.
    tolerance: (f64, f64),
}

/// Figures of all samples. Latencies have wide tolerances, because machines are shared.
pub(super) const FIGURES: [Figure; 9] = [
    Figure {
        heading: "memory MiB",
        name: "memory, MiB",
        of: |sample| sample.seen.memory_mib,
        tolerance: (0.05, 8.0),
    },
    Figure {
        heading: "files",
        name: "open files",
        of: |sample| sample.seen.files,
        tolerance: (0.0, 8.0),
    },
    Figure {
        heading: "threads",
        name: "threads",
        of: |sample| sample.seen.threads,
        tolerance: (0.0, 4.0),
    },
    Figure {
        heading: "journal MiB",
        name: "journals, MiB",
        of: |sample| sample.journal_mib,
        tolerance: (0.1, 6.0),
    },
    Figure {
        heading: "bytes/event",
        name: "growth of the database for each event, bytes",
        of: |sample| sample.bytes_per_event,
        tolerance: (0.25, 100.0),
    },
    Figure {
        heading: "click p50 ms",
        name: "clicks, median latency, ms",
        of: |sample| sample.clicks.0,
        tolerance: (0.5, 2.0),
    },
    Figure {
        heading: "click p99 ms",
        name: "clicks, 99th percentile, ms",
        of: |sample| sample.clicks.1,
        tolerance: (1.0, 20.0),
    },
    Figure {
        heading: "postback p50",
        name: "postbacks, median latency, ms",
        of: |sample| sample.postbacks.0,
        tolerance: (0.5, 5.0),
    },
    Figure {
        heading: "postback p99",
        name: "postbacks, 99th percentile, ms",
        of: |sample| sample.postbacks.1,
        tolerance: (1.0, 50.0),
    },
];

/// Returns a check of every figure.
pub(super) fn checks(samples: &[Sample]) -> Vec<Check> {
    let check_of = |figure: &Figure| {
        let values: Vec<_> = samples.iter().map(figure.of).collect();
        let (first, last) = quarters(&values);
        let most = limit(first, figure.tolerance);
        check(
            "H",
            &format!("{}: first quarter, last quarter", figure.name),
            format!("{first:.1}, {last:.1}"),
            &format!("<= {most:.1}"),
            Held::when(last <= most),
        )
    };
    FIGURES.iter().map(check_of).collect()
}

/// Returns the most that the median of the last quarter may be: that of the first, and a part of it or an amount, whichever
/// is more.
fn limit(first: f64, (share, absolute): (f64, f64)) -> f64 {
    first + (first * share).max(absolute)
}

/// Returns the medians of the first and the last quarter.
fn quarters(values: &[f64]) -> (f64, f64) {
    let length = values.len().div_ceil(4);
    let first = values.get(..length).unwrap_or_default();
    let last = values.get(values.len() - length..).unwrap_or_default();
    (median(first), median(last))
}

/// Returns the median; 0 of nothing.
pub(super) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    let value = |index: usize| sorted.get(index).copied().unwrap_or_default();
    match sorted.len() % 2 {
        0 => f64::midpoint(value(middle.saturating_sub(1)), value(middle)),
        _ => value(middle),
    }
}

#[cfg(test)]
mod tests {
    use rand::rngs::StdRng;
    use rand::{RngExt as _, SeedableRng as _};

    use super::*;

    /// Ten hours of memory in MiB: noise, one large outlier, and a leak of so much in an hour.
    fn memory(leak: f64, seed: u64) -> Vec<f64> {
        let mut dice = StdRng::seed_from_u64(seed);
        let mut values: Vec<_> = (0..40)
            .map(|number| 120.0 + dice.random_range(-4.0..4.0) + leak * f64::from(number) / 4.0)
            .collect();
        values[39] += 300.0;
        values
    }

    fn is_flat(values: &[f64], tolerance: (f64, f64)) -> bool {
        let (first, last) = quarters(values);
        last <= limit(first, tolerance)
    }

    fn tolerance(name: &str) -> (f64, f64) {
        FIGURES
            .iter()
            .find(|figure| figure.name == name)
            .unwrap()
            .tolerance
    }

    #[test]
    fn a_leak_is_detected_and_noise_is_not() {
        let tolerance = tolerance("memory, MiB");
        for seed in 0..200 {
            assert!(is_flat(&memory(0.0, seed), tolerance), "seed {seed}");
            // 2 MiB in an hour are 48 in a day.
            assert!(!is_flat(&memory(2.0, seed), tolerance), "seed {seed}");
        }
    }

    #[test]
    fn a_file_left_open_every_hour_is_detected() {
        let files = |each_hour: f64| -> Vec<_> {
            (0..40)
                .map(|number| 60.0 + (f64::from(number) * each_hour / 4.0).floor())
                .collect()
        };
        let tolerance = tolerance("open files");
        assert!(is_flat(&files(0.0), tolerance));
        assert!(!is_flat(&files(1.5), tolerance));
    }

    #[test]
    fn medians_bear_outliers() {
        assert_eq!(median(&[3.0, 1.0, 900.0]), 3.0);
        assert_eq!(median(&[1.0, 2.0, 3.0, 900.0]), 2.5);
        assert_eq!(median(&[]), 0.0);
        assert_eq!(quarters(&[1.0, 2.0, 3.0, 4.0, 5.0]), (1.5, 4.5));
    }
}
