//! Postbacks: how many are decided, beside single-row INSERTs.

use std::time::{Duration, Instant};

use super::Effort;
use super::figures::{Line, median};
use super::promptness::{SHARE, waits};
use super::pump::{Tally, Until};
use super::stage::Stage;
use crate::Outcome;

/// Decided postbacks on 64 and 256 connections, each for an order of its own; and how long a verdict takes at a share of the
/// former.
pub(super) async fn decided(stage: &mut Stage, effort: Effort) -> Outcome<Vec<Line>> {
    let (mut single, mut few, mut many) = (vec![], vec![], vec![]);
    let mut odd: Vec<String> = Vec::new();
    // So that the server knows the configuration.
    send(stage, 64, 1).await?;
    for _ in 0..effort.rounds {
        single.push(super::redirects::inserts(stage, effort.seconds).await?);
        for (connections, figures) in [(64, &mut few), (256, &mut many)] {
            let (tally, seconds) = send(stage, connections, effort.seconds).await?;
            odd.extend(tally.others(200));
            let accepted = (tally.count(200) + tally.count(202)) as f64;
            figures.push(accepted / seconds);
        }
    }
    let remark = match odd.as_slice() {
        [] => "every answer carried its verdict".to_owned(),
        odd => format!("other answers than 200: {}", odd.join("; ")),
    };
    let rate = SHARE * median(&few);
    let mut tallies = Vec::new();
    for _ in 0..effort.rounds {
        let pump = stage.pump(64, stage.preloaded.clone().postbacks());
        let tally = pump.open(rate, Duration::from_secs(effort.seconds)).await?;
        stage.books.postbacks(&tally);
        stage.settle().await?;
        tallies.push(tally);
    }
    let mut lines = vec![
        Line::of("decided postbacks, 64 connections", "/s", few)
            .against("INSERT, pgbench, 8 clients", &single)
            .at_least(1.5)
            .remark(remark),
        Line::of("decided postbacks, 256 connections", "/s", many)
            .against("INSERT, pgbench, 8 clients", &single)
            .at_least(2.0),
    ];
    lines.extend(waits("verdict", rate, &tallies));
    Ok(lines)
}

/// Sends postbacks for so long; returns what was answered, and the seconds until every verdict was in the tables: what is
/// only queued must not look fast.
pub(super) async fn send(stage: &mut Stage, connections: usize, seconds: u64) -> Outcome<(Tally, f64)> {
    let pump = stage.pump(connections, stage.preloaded.clone().postbacks());
    let began = Instant::now();
    let tally = pump.closed(Until::After(Duration::from_secs(seconds))).await?;
    let sent = began.elapsed();
    stage.books.postbacks(&tally);
    let lag = stage.settle().await?;
    Ok((tally, (sent + lag).as_secs_f64()))
}
