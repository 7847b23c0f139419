//! Times of the attempts of a delivery.

use std::time::Duration;

/// Pauses before the second attempt and those after it. The first is made at once.
const PAUSES: [Duration; 9] = [
    Duration::from_secs(5),
    Duration::from_secs(5 * 60),
    Duration::from_secs(30 * 60),
    Duration::from_secs(2 * 3600),
    Duration::from_secs(5 * 3600),
    Duration::from_secs(10 * 3600),
    Duration::from_secs(14 * 3600),
    Duration::from_secs(20 * 3600),
    Duration::from_secs(24 * 3600),
];

/// Pause after this number of failures, within a fifth around its place in the schedule; `None` after the last attempt.
/// `jitter` is between 0 and 1. A longer pause that the receiver asks for has precedence.
#[must_use]
pub(crate) fn pause_after(failures: u32, jitter: f64, asked: Option<Duration>) -> Option<Duration> {
    let index = usize::try_from(failures.checked_sub(1)?).ok()?;
    let pause = PAUSES.get(index)?.mul_f64(0.8 + 0.4 * jitter.clamp(0.0, 1.0));
    Some(pause.max(asked.unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_attempts_are_spread_over_three_days() {
        let total: Duration = (1..10)
            .filter_map(|failures| pause_after(failures, 0.5, None))
            .sum();
        assert_eq!(pause_after(10, 0.5, None), None);
        assert_eq!(total, Duration::from_secs(5 + 300 + 1800 + 75 * 3600));
    }

    #[test]
    fn jitter_spreads_a_pause_and_never_leaves_its_window() {
        let pauses: Vec<Duration> = (0..=100)
            .filter_map(|step| pause_after(2, f64::from(step) / 100.0, None))
            .collect();
        assert_eq!(pauses.first(), Some(&Duration::from_secs(240)));
        assert_eq!(pauses.last(), Some(&Duration::from_secs(360)));
    }

    #[test]
    fn a_longer_pause_that_the_receiver_asks_for_counts() {
        let hour = Some(Duration::from_secs(3600));
        assert_eq!(pause_after(1, 0.5, hour), hour);
        assert_eq!(pause_after(4, 0.5, hour), Some(Duration::from_secs(2 * 3600)));
    }
}
