//! Promptness: how long a visitor waits, and how long until a click is in a report.

use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::time::sleep;
use tokio_postgres::Client;

use super::Effort;
use super::books::RecentSums;
use super::figures::{Line, median, percentile};
use super::pump::{Answered, Tally};
use super::stage::Stage;
use super::traffic;
use crate::Outcome;

/// The share of what the server can do at most at which latency is looked at.
pub(super) const SHARE: f64 = 0.3;
/// Clicks per second while it is watched how they come into reports.
const VISIBLE_RATE: f64 = 2000.0;
/// How often the sums are asked.
const POLL: Duration = Duration::from_millis(5);

/// How long a redirect takes in an open loop.
pub(super) async fn latency(stage: &mut Stage, effort: Effort) -> Outcome<Vec<Line>> {
    let capacity = match stage.capacity {
        Some(capacity) => capacity,
        None => stage.redirects(64, effort.seconds).await?.0.rate(),
    };
    let rate = SHARE * capacity;
    let mut tallies = Vec::new();
    for _ in 0..effort.rounds {
        let pump = stage.pump(64, traffic::clicks(stage.preloaded.links.clone()));
        let tally = pump.open(rate, Duration::from_secs(effort.seconds)).await?;
        stage.books.clicks(&tally);
        stage.settle().await?;
        tallies.push(tally);
    }
    let [half, p99, longest, late] = waits("redirect", rate, &tallies);
    Ok(vec![half, p99.at_most(2.0), longest, late])
}

/// How long requests of an open loop took: the median, the 99th percentile, the longest, and how late the generator was.
pub(super) fn waits(what: &str, rate: f64, tallies: &[Tally]) -> [Line; 4] {
    let (mut halves, mut p99s, mut longest, mut lates) = (vec![], vec![], vec![], vec![]);
    for tally in tallies {
        let took: Vec<f64> = tally.answers.iter().map(|answer| answer.took_ms).collect();
        let late: Vec<f64> = tally.answers.iter().map(|answer| answer.late_ms).collect();
        halves.push(median(&took));
        p99s.push(percentile(&took, 99.0));
        longest.push(percentile(&took, 100.0));
        lates.push(percentile(&late, 99.0));
    }
    let name = |which: &str| format!("{what} at {rate:.0}/s, {which}");
    [
        Line::of(name("p50"), "ms", halves).remark("from when it was due"),
        Line::of(name("p99"), "ms", p99s),
        Line::of(name("longest"), "ms", longest),
        Line::of(name("generator late, p99"), "ms", lates),
    ]
}

/// How long after its 302 a click is in the sums that reports are made of.
pub(super) async fn visible(stage: &mut Stage, effort: Effort) -> Outcome<Vec<Line>> {
    let (mut halves, mut p99s) = (vec![], vec![]);
    let sums = stage.books.sums.clone();
    for _ in 0..effort.rounds {
        let client = stage.cluster.client().await?;
        let before = sums.clicks(&client).await?;
        let (stop, stopped) = watch::channel(());
        let polling = tokio::spawn(poll(client, sums.clone(), stopped));
        let pump = stage.pump(64, traffic::clicks(stage.preloaded.links.clone()));
        let tally = pump
            .open(VISIBLE_RATE, Duration::from_secs(effort.seconds))
            .await?;
        stage.books.clicks(&tally);
        stage.settle().await?;
        drop(stop);
        let seen = polling.await??;
        let delays = delays(tally.answers, before, &seen)?;
        halves.push(median(&delays));
        p99s.push(percentile(&delays, 99.0));
    }
    let name = |what: &str| format!("302 until in a report, {VISIBLE_RATE:.0}/s, {what}");
    Ok(vec![
        Line::of(name("p50"), "ms", halves),
        Line::of(name("p99"), "ms", p99s).at_most(500.0),
    ])
}

/// What the sums said, and when the question was asked: at the latest then it was so.
type Seen = Vec<(Instant, u64)>;

async fn poll(client: Client, sums: RecentSums, stopped: watch::Receiver<()>) -> Outcome<Seen> {
    let mut seen = Seen::new();
    // An error says that the sender was dropped.
    while stopped.has_changed().is_ok() {
        let sum = sums.clicks(&client).await?;
        if seen.last().is_none_or(|(_, last)| *last != sum) {
            seen.push((Instant::now(), sum));
        }
        sleep(POLL).await;
    }
    Ok(seen)
}

/// Milliseconds from each answer until the sums held it.
///
/// Clicks come into the sums in the order of the journal, and whatever stood before this one there had been sent when
/// it was answered: when the sums have grown by as much as had been sent, they hold it. So no delay is told too short.
fn delays(mut answers: Vec<Answered>, before: u64, seen: &Seen) -> Outcome<Vec<f64>> {
    answers.sort_by_key(|answer| answer.sent);
    let mut seen = seen.iter().peekable();
    let mut delays = Vec::with_capacity(answers.len());
    for answer in answers {
        let held_by = loop {
            match seen.peek() {
                Some((at, sum)) if *sum >= before + answer.sent => break *at,
                Some(_) => seen.next(),
                None => return Err("a click never came into the sums".into()),
            };
        };
        // Held before its answer was read is held at once.
        delays.push(held_by.saturating_duration_since(answer.at).as_secs_f64() * 1e3);
    }
    Ok(delays)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_click_is_seen_when_the_sums_hold_all_that_was_sent_before_its_answer() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let answered = |ms, sent| Answered {
            at: at(ms),
            sent,
            took_ms: 0.0,
            late_ms: 0.0,
        };
        let seen = vec![(at(0), 100), (at(50), 101), (at(90), 103)];
        let answers = vec![answered(20, 2), answered(10, 1), answered(95, 3)];
        assert_eq!(delays(answers, 100, &seen).unwrap(), [40.0, 70.0, 0.0]);
        assert!(delays(vec![answered(1, 4)], 100, &seen).is_err());
    }
}
