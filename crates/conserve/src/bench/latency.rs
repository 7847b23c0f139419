//! Latency of redirects, and time until a click is in a report.

use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::time::sleep;
use tokio_postgres::Client;

use super::Effort;
use super::acknowledgements::RecentSums;
use super::figures::{Line, median, percentile};
use super::pump::{Answered, Tally};
use super::testbed::Testbed;
use super::traffic;
use crate::Outcome;

/// Share of the server's capacity at which latency is measured.
pub(super) const CAPACITY_SHARE: f64 = 0.3;
/// Clicks per second while their way into reports is measured.
const VISIBLE_RATE: f64 = 2000.0;
/// Time between two queries of the rollups.
const POLL_INTERVAL: Duration = Duration::from_millis(5);

/// Measures the latency of a redirect in an open loop.
pub(super) async fn latency(testbed: &mut Testbed, effort: Effort) -> Outcome<Vec<Line>> {
    let capacity = match testbed.capacity {
        Some(capacity) => capacity,
        None => testbed.redirects(64, effort.seconds).await?.0.rate(),
    };
    let rate = CAPACITY_SHARE * capacity;
    let (mut tallies, mut costs) = (Vec::new(), Vec::new());
    for _ in 0..effort.rounds {
        let before = testbed.spent();
        let pump = testbed.pump(64, traffic::clicks(testbed.preloaded.links.clone()));
        let tally = pump.open(rate, Duration::from_secs(effort.seconds)).await?;
        testbed.acknowledgements.clicks(&tally);
        testbed.settle().await?;
        costs.push((testbed.spent() - before).each(tally.answers.len() as f64).all());
        tallies.push(tally);
    }
    let [half, p99, net, longest, late] = latencies("redirect", rate, &tallies);
    let cost = Line::of(
        format!("CPU per click at {rate:.0}/s, server and Postgres"),
        "µs",
        costs,
    );
    Ok(vec![
        half,
        p99,
        net.at_most(5.0),
        longest,
        late,
        cost.at_most(60.0),
    ])
}

/// Measures the latencies of an open loop: median, 99th percentile with and without the lateness of the generator, maximum,
/// and that lateness.
pub(super) fn latencies(what: &str, rate: f64, tallies: &[Tally]) -> [Line; 5] {
    let (mut halves, mut p99s, mut nets, mut longest, mut lates) = (vec![], vec![], vec![], vec![], vec![]);
    for tally in tallies {
        let took: Vec<f64> = tally.answers.iter().map(|answer| answer.took_ms).collect();
        let late: Vec<f64> = tally.answers.iter().map(|answer| answer.late_ms).collect();
        let net: Vec<f64> = took.iter().zip(&late).map(|(took, late)| took - late).collect();
        halves.push(median(&took));
        p99s.push(percentile(&took, 99.0));
        nets.push(percentile(&net, 99.0));
        longest.push(percentile(&took, 100.0));
        lates.push(percentile(&late, 99.0));
    }
    let name = |which: &str| format!("{what} at {rate:.0}/s, {which}");
    [
        Line::of(name("p50"), "ms", halves).remark("since the request was due"),
        Line::of(name("p99"), "ms", p99s),
        Line::of(name("p99 without lateness"), "ms", nets).remark("since the request was sent"),
        Line::of(name("longest"), "ms", longest),
        Line::of(name("generator late, p99"), "ms", lates),
    ]
}

/// Measures the time from the 302 until a click is in the rollups that reports read.
pub(super) async fn visible(testbed: &mut Testbed, effort: Effort) -> Outcome<Vec<Line>> {
    let (mut halves, mut p99s) = (vec![], vec![]);
    let sums = testbed.acknowledgements.sums.clone();
    for _ in 0..effort.rounds {
        let client = testbed.cluster.client().await?;
        let before = sums.clicks(&client).await?;
        let (stop, stopped) = watch::channel(());
        let polling = tokio::spawn(poll(client, sums.clone(), stopped));
        let pump = testbed.pump(64, traffic::clicks(testbed.preloaded.links.clone()));
        let tally = pump
            .open(VISIBLE_RATE, Duration::from_secs(effort.seconds))
            .await?;
        testbed.acknowledgements.clicks(&tally);
        testbed.settle().await?;
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

/// Count in the rollups, and the time of the query: the count was reached at that time at the latest.
type Seen = Vec<(Instant, u64)>;

async fn poll(client: Client, sums: RecentSums, stopped: watch::Receiver<()>) -> Outcome<Seen> {
    let mut seen = Seen::new();
    // An error means that the sender was dropped.
    while stopped.has_changed().is_ok() {
        let sum = sums.clicks(&client).await?;
        if seen.last().is_none_or(|(_, last)| *last != sum) {
            seen.push((Instant::now(), sum));
        }
        sleep(POLL_INTERVAL).await;
    }
    Ok(seen)
}

/// Returns the milliseconds from each response until the rollups contained its click.
///
/// Clicks enter the rollups in the order of the journal, and every click before this one had been sent when it was
/// answered: once the rollups have grown by the number of sent clicks, they contain it. So no delay is reported too
/// short.
fn delays(mut answers: Vec<Answered>, before: u64, seen: &Seen) -> Outcome<Vec<f64>> {
    answers.sort_by_key(|answer| answer.sent);
    let mut seen = seen.iter().peekable();
    let mut delays = Vec::with_capacity(answers.len());
    for answer in answers {
        let stored_by = loop {
            match seen.peek() {
                Some((at, sum)) if *sum >= before + answer.sent => break *at,
                Some(_) => seen.next(),
                None => return Err("a click never reached the rollups".into()),
            };
        };
        // A click stored before its response was read counts as stored at once.
        delays.push(stored_by.saturating_duration_since(answer.at).as_secs_f64() * 1e3);
    }
    Ok(delays)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_click_is_visible_when_the_rollups_contain_all_that_was_sent_before_its_response() {
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
