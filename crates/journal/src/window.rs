//! Decision whether a batch waits for more records: syncs cost CPU, and a short wait saves many of them at moderate
//! load.
//!
//! Waiting helps if records come from tasks that do not wait for each other, and only delays tasks that do. Trials
//! decide: a few batches wait now and then, and waiting continues only if it made the batches larger.

use std::time::Duration;

/// Batch size in records from which waiting is unnecessary.
const LARGE: f64 = 8.0;
/// Minimum factor by which waiting must enlarge batches.
const WORTH: f64 = 2.0;
/// Batches over which the natural size is measured.
const SAMPLE: u32 = 64;
/// Batches of a trial.
const TRIAL: u32 = 4;
/// Batches until the next measurement, after waiting proved useful or useless.
const USEFUL: u32 = 1024;
const USELESS: u32 = 4096;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// No wait; the next batches measure the natural size.
    Measuring,
    Trying,
    Waiting,
    /// No wait for a while.
    Hurrying,
}

/// State of the decision.
pub(crate) struct Window {
    longest: Duration,
    mode: Mode,
    batches: u32,
    records: u64,
    natural: f64,
}

impl Window {
    pub(crate) fn new(longest: Duration) -> Self {
        Window {
            longest,
            mode: Mode::Measuring,
            batches: 0,
            records: 0,
            natural: 0.0,
        }
    }

    /// Time to wait before the next batch is gathered, given the time since the last sync.
    pub(crate) fn delay(&self, since_last: Duration) -> Duration {
        match self.mode {
            // A pause means low load, so saving CPU is not needed and a lone record is written at once.
            Mode::Trying | Mode::Waiting => self.longest.saturating_sub(since_last),
            Mode::Measuring | Mode::Hurrying => Duration::ZERO,
        }
    }

    /// Reports the size of a batch that was gathered this long after the last sync.
    pub(crate) fn observe(&mut self, records: u32, since_last: Duration) {
        let is_idle = since_last > self.longest.mul_f32(1.5);
        if is_idle || self.longest.is_zero() {
            return;
        }
        self.batches += 1;
        self.records += u64::from(records);
        let average = self.records as f64 / f64::from(self.batches);
        match self.mode {
            Mode::Measuring if self.batches == SAMPLE => {
                self.natural = average;
                self.enter(if average < LARGE {
                    Mode::Trying
                } else {
                    Mode::Hurrying
                });
            }
            Mode::Trying if self.batches == TRIAL => {
                self.enter(if average >= self.natural * WORTH {
                    Mode::Waiting
                } else {
                    Mode::Hurrying
                });
            }
            Mode::Waiting if self.batches == USEFUL => self.enter(Mode::Measuring),
            Mode::Hurrying if self.batches == USELESS => self.enter(Mode::Measuring),
            _ => {}
        }
    }

    fn enter(&mut self, mode: Mode) {
        self.mode = mode;
        self.batches = 0;
        self.records = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SYNC: Duration = Duration::from_micros(130);

    /// Share of batches that waited, if `group` gives the batch size for a delay.
    fn share_waiting(group: impl Fn(Duration) -> u32) -> f64 {
        let mut window = Window::new(Duration::from_millis(1));
        let mut waited = 0;
        for _ in 0..20_000 {
            let delay = window.delay(Duration::ZERO);
            waited += u32::from(!delay.is_zero());
            window.observe(group(delay), delay);
        }
        f64::from(waited) / 20_000.0
    }

    #[test]
    fn batches_wait_under_an_open_loop_of_records() {
        let open_loop = |delay: Duration| 1 + ((delay + SYNC).as_micros() / 200) as u32;
        assert!(share_waiting(open_loop) > 0.9);
    }

    #[test]
    fn tasks_that_wait_for_each_other_are_not_delayed() {
        assert!(share_waiting(|_| 1) < 0.002);
        assert!(share_waiting(|_| 6) < 0.002);
    }

    #[test]
    fn large_batches_do_not_wait() {
        assert!(share_waiting(|delay| if delay.is_zero() { 64 } else { 500 }) == 0.0);
    }

    #[test]
    fn a_lone_record_is_written_at_once() {
        let window = Window {
            mode: Mode::Waiting,
            ..Window::new(Duration::from_millis(1))
        };
        assert_eq!(window.delay(Duration::from_secs(1)), Duration::ZERO);
        assert!(window.delay(Duration::ZERO) <= Duration::from_millis(1));
    }
}
