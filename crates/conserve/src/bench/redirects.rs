//! Redirects, beside a bare nginx, beside one INSERT per click, and while Postgres is suspended.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use super::Effort;
use super::figures::{Line, median};
use super::testbed::Testbed;
use super::tools::{self, WrkRun};
use crate::Outcome;

/// Table beside clicks with the same columns and key.
const SINGLE_TABLE: &str = "CREATE TABLE IF NOT EXISTS single_clicks (LIKE clicks INCLUDING ALL)";

/// Click as a server would insert it that stores each at once. Keys are of the same kind: they grow with time.
const SINGLE_INSERT: &str = "\\set link random(1, 2000000000)
\\set chance random(0, 281474976710655)
INSERT INTO single_clicks (network_id, id, clicked_at, link_id, campaign_id, affiliate_id, is_unique, visitor, device, \
    os, browser, sub1, sub2, ip_prefix, referrer) \
VALUES (1, (lpad(to_hex((extract(epoch FROM clock_timestamp()) * 1000)::bigint), 12, '0') || \
    lpad(to_hex(:link::int), 8, '0') || lpad(to_hex(:chance::bigint), 12, '0'))::uuid, now(), :link, 1, 1, true, :chance, \
    'desktop', 'Windows', 'Chrome', '0a1b2c3d', '4e5f6a7b', '198.18.7.0/24', 'https://reviews.example/best-running-shoes');
";

/// Measures redirects on kept connections, beside nginx.
pub(super) async fn kept(testbed: &mut Testbed, effort: Effort) -> Outcome<Vec<Line>> {
    let (mut nginx, mut few, mut many, mut lags) = (vec![], vec![], vec![], vec![]);
    let mut bad = Bad::default();
    for _ in 0..effort.rounds {
        nginx.push(nginx_64(testbed, effort.seconds, true).await?);
        for (connections, figures) in [(64, &mut few), (256, &mut many)] {
            let (run, lag) = testbed.redirects(connections, effort.seconds).await?;
            bad.note(&run);
            figures.push(run.rate());
            lags.push(lag.as_secs_f64());
        }
    }
    testbed.capacity = Some(median(&few));
    Ok(vec![
        Line::of("durable redirects, 64 kept connections", "/s", few)
            .against("nginx", &nginx)
            .at_least(0.42)
            .remark(bad.words()),
        Line::of("durable redirects, 256 kept connections", "/s", many)
            .against("nginx at 64", &nginx)
            .at_least(0.48),
        Line::of("after such a run, until Postgres has it all", "s", lags),
    ])
}

/// Measures redirects on new connections, beside nginx.
pub(super) async fn new_connections(testbed: &mut Testbed, effort: Effort) -> Outcome<Vec<Line>> {
    let (mut nginx, mut ours) = (vec![], vec![]);
    let mut bad = Bad::default();
    for _ in 0..effort.rounds {
        nginx.push(nginx_64(testbed, effort.seconds, false).await?);
        let run = testbed
            .fresh
            .run(testbed.node.tracking, 64, effort.seconds)
            .await?;
        testbed.acknowledgements.wrk(&run, 64);
        testbed.settle().await?;
        bad.note(&run);
        ours.push(run.rate());
    }
    Ok(vec![
        Line::of("durable redirects, each a new connection", "/s", ours)
            .against("nginx", &nginx)
            .at_least(0.75)
            .remark(bad.words()),
    ])
}

/// Measures redirects beside one INSERT per click.
pub(super) async fn beside_inserts(testbed: &mut Testbed, effort: Effort) -> Outcome<Vec<Line>> {
    let (mut single, mut ours) = (vec![], vec![]);
    for _ in 0..effort.rounds {
        single.push(inserts(testbed, effort.seconds).await?);
        ours.push(testbed.redirects(64, effort.seconds).await?.0.rate());
    }
    Ok(vec![
        Line::of("durable redirects, 64 kept connections", "/s", ours)
            .against("INSERT per click, pgbench, 8 clients", &single)
            .at_least(6.0),
    ])
}

/// Measures redirects while all processes of Postgres are suspended.
pub(super) async fn while_stopped(testbed: &mut Testbed, effort: Effort) -> Outcome<Vec<Line>> {
    let (mut before, mut stopped) = (vec![], vec![]);
    let mut bad = Bad::default();
    for _ in 0..effort.rounds {
        before.push(testbed.redirects(64, effort.seconds).await?.0.rate());
        testbed.cluster.freeze();
        let run = testbed.kept.run(testbed.node.tracking, 64, effort.seconds).await;
        testbed.cluster.thaw();
        let run = run?;
        testbed.acknowledgements.wrk(&run, 64);
        testbed.settle().await?;
        bad.note(&run);
        stopped.push(run.rate());
    }
    Ok(vec![
        Line::of("durable redirects, Postgres stopped", "/s", stopped)
            .against("while it runs", &before)
            .at_least(0.95)
            .remark(bad.words()),
        Line::of("failed while Postgres was stopped", "", vec![bad.all()]).at_most(0.0),
    ])
}

/// Measures single-row INSERTs per second as the reference: prepared, eight clients, each commit waits for the disk.
pub(super) async fn inserts(testbed: &Testbed, seconds: u64) -> Outcome<f64> {
    testbed.client.batch_execute(SINGLE_TABLE).await?;
    testbed.client.batch_execute("TRUNCATE single_clicks").await?;
    let script: PathBuf = testbed.folder.join("insert.sql");
    fs::write(&script, SINGLE_INSERT)?;
    let rate = tools::pgbench(&testbed.cluster, &script, seconds).await?;
    testbed.client.batch_execute("TRUNCATE single_clicks").await?;
    Ok(rate)
}

/// Measures nginx on 64 connections.
async fn nginx_64(testbed: &Testbed, seconds: u64, kept: bool) -> Outcome<f64> {
    let wrk = if kept { &testbed.kept } else { &testbed.fresh };
    let run = wrk.run(testbed.nginx.address, 64, seconds).await?;
    // Requests in flight of the last run must not burden the next.
    tokio::time::sleep(Duration::from_millis(200)).await;
    Ok(run.rate())
}

/// Requests that were not redirected.
#[derive(Debug, Default)]
struct Bad {
    refused: u64,
    broken: u64,
}

impl Bad {
    fn note(&mut self, run: &WrkRun) {
        self.refused += run.refused;
        self.broken += run.broken;
    }

    fn all(&self) -> f64 {
        (self.refused + self.broken) as f64
    }

    fn words(&self) -> String {
        match (self.refused, self.broken) {
            (0, 0) => "none failed".to_owned(),
            (refused, broken) => format!("{refused} refused, {broken} broken or late"),
        }
    }
}
