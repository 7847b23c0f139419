//! Decided postbacks, beside single-row INSERTs.

use std::time::{Duration, Instant};

use super::Effort;
use super::figures::{Line, median};
use super::latency::{CAPACITY_SHARE, latencies};
use super::pump::{Tally, Until};
use super::testbed::Testbed;
use crate::Outcome;

/// Measures decided postbacks on 64 and 256 connections, each for a new order, and the latency of a verdict at a share
/// of the former rate.
pub(super) async fn decided(testbed: &mut Testbed, effort: Effort) -> Outcome<Vec<Line>> {
    let (mut single, mut few, mut many) = (vec![], vec![], vec![]);
    let mut odd: Vec<String> = Vec::new();
    // So that the server has the configuration in memory.
    send(testbed, 64, 1).await?;
    for _ in 0..effort.rounds {
        single.push(super::redirects::inserts(testbed, effort.seconds).await?);
        for (connections, figures) in [(64, &mut few), (256, &mut many)] {
            let (tally, seconds) = send(testbed, connections, effort.seconds).await?;
            odd.extend(tally.others(200));
            let accepted = (tally.count(200) + tally.count(202)) as f64;
            figures.push(accepted / seconds);
        }
    }
    let remark = match odd.as_slice() {
        [] => "every response carried its verdict".to_owned(),
        odd => format!("other responses than 200: {}", odd.join("; ")),
    };
    let rate = CAPACITY_SHARE * median(&few);
    let mut tallies = Vec::new();
    for _ in 0..effort.rounds {
        let pump = testbed.pump(64, testbed.preloaded.clone().postbacks());
        let tally = pump.open(rate, Duration::from_secs(effort.seconds)).await?;
        testbed.acknowledgements.postbacks(&tally);
        testbed.settle().await?;
        tallies.push(tally);
    }
    let mut lines = vec![
        Line::of("decided postbacks, 64 connections", "/s", few)
            .against("INSERT, pgbench, 8 clients", &single)
            .at_least(0.8)
            .remark(remark),
        Line::of("decided postbacks, 256 connections", "/s", many)
            .against("INSERT, pgbench, 8 clients", &single)
            .at_least(1.2),
    ];
    lines.extend(latencies("verdict", rate, &tallies));
    Ok(lines)
}

/// A cap on the conversions of each campaign that is never reached.
const CAPS: &str = "INSERT INTO caps (network_id, campaign_id, metric, period, most, created_at)
     SELECT network_id, id, 'conversions', 'day', 1000000000, now() FROM campaigns";

/// Measures decided postbacks on 64 connections with a cap in every campaign, in alternation with the same without caps.
pub(super) async fn capped(testbed: &mut Testbed, effort: Effort) -> Outcome<Vec<Line>> {
    let (mut free, mut capped) = (vec![], vec![]);
    let (mut free_cpu, mut capped_cpu) = (vec![], vec![]);
    for _ in 0..effort.rounds {
        for (caps, rates, costs) in [
            ("DELETE FROM caps", &mut free, &mut free_cpu),
            (CAPS, &mut capped, &mut capped_cpu),
        ] {
            testbed.client.batch_execute(caps).await?;
            // The server reads its configuration anew, and both variants begin with a fresh process.
            testbed.restart().await?;
            send(testbed, 64, 1).await?;
            let before = testbed.spent();
            let (tally, seconds) = send(testbed, 64, effort.seconds).await?;
            let accepted = (tally.count(200) + tally.count(202)) as f64;
            rates.push(accepted / seconds);
            costs.push((testbed.spent() - before).each(accepted).all());
        }
    }
    testbed.client.batch_execute("DELETE FROM caps").await?;
    testbed.restart().await?;
    Ok(vec![
        Line::of("decided postbacks with a cap, 64 connections", "/s", capped).against("without", &free),
        Line::of(
            "CPU per postback with a cap, server and Postgres",
            "µs",
            capped_cpu,
        )
        .against("without", &free_cpu),
    ])
}

/// Sends postbacks for this time; returns the responses, and the seconds until every verdict was in the tables: a
/// postback that is only queued must not look fast.
pub(super) async fn send(testbed: &mut Testbed, connections: usize, seconds: u64) -> Outcome<(Tally, f64)> {
    let pump = testbed.pump(connections, testbed.preloaded.clone().postbacks());
    let began = Instant::now();
    let tally = pump.closed(Until::After(Duration::from_secs(seconds))).await?;
    let sent = began.elapsed();
    testbed.acknowledgements.postbacks(&tally);
    let lag = testbed.settle().await?;
    Ok((tally, (sent + lag).as_secs_f64()))
}
