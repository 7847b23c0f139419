//! Redirects: how many, beside nginx with nothing behind it, beside one INSERT per click, and while Postgres stands
//! still.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use super::Effort;
use super::figures::{Line, median};
use super::stage::Stage;
use super::tools::{self, WrkRun};
use crate::Outcome;

/// A table of the same shape as clicks, with the same key, beside them.
const SINGLE_TABLE: &str = "CREATE TABLE IF NOT EXISTS single_clicks (LIKE clicks INCLUDING ALL)";

/// A click as it would be inserted by a server that stores each at once. Keys are of the same kind: they grow with time.
const SINGLE_INSERT: &str = "\\set link random(1, 2000000000)
\\set chance random(0, 281474976710655)
INSERT INTO single_clicks (network_id, id, clicked_at, link_id, campaign_id, affiliate_id, is_unique, visitor, device, \
    os, browser, sub1, sub2, ip_prefix, referrer) \
VALUES (1, (lpad(to_hex((extract(epoch FROM clock_timestamp()) * 1000)::bigint), 12, '0') || \
    lpad(to_hex(:link::int), 8, '0') || lpad(to_hex(:chance::bigint), 12, '0'))::uuid, now(), :link, 1, 1, true, :chance, \
    'desktop', 'Windows', 'Chrome', '0a1b2c3d', '4e5f6a7b', '198.18.7.0/24', 'https://reviews.example/best-running-shoes');
";

/// On kept connections, beside nginx.
pub(super) async fn kept(stage: &mut Stage, effort: Effort) -> Outcome<Vec<Line>> {
    let (mut nginx, mut few, mut many, mut lags) = (vec![], vec![], vec![], vec![]);
    let mut bad = Bad::default();
    for _ in 0..effort.rounds {
        nginx.push(nginx_64(stage, effort.seconds, true).await?);
        for (connections, figures) in [(64, &mut few), (256, &mut many)] {
            let (run, lag) = stage.redirects(connections, effort.seconds).await?;
            bad.note(&run);
            figures.push(run.rate());
            lags.push(lag.as_secs_f64());
        }
    }
    stage.capacity = Some(median(&few));
    Ok(vec![
        Line::of("durable redirects, 64 kept connections", "/s", few)
            .against("nginx", &nginx)
            .at_least(0.5)
            .remark(bad.words()),
        Line::of("durable redirects, 256 kept connections", "/s", many)
            .against("nginx at 64", &nginx)
            .at_least(0.65),
        Line::of("after such a run, until Postgres has it all", "s", lags),
    ])
}

/// Each on a connection of its own, beside nginx.
pub(super) async fn new_connections(stage: &mut Stage, effort: Effort) -> Outcome<Vec<Line>> {
    let (mut nginx, mut ours) = (vec![], vec![]);
    let mut bad = Bad::default();
    for _ in 0..effort.rounds {
        nginx.push(nginx_64(stage, effort.seconds, false).await?);
        let run = stage.fresh.run(stage.node.tracking, 64, effort.seconds).await?;
        stage.books.wrk(&run, 64);
        stage.settle().await?;
        bad.note(&run);
        ours.push(run.rate());
    }
    Ok(vec![
        Line::of("durable redirects, each a new connection", "/s", ours)
            .against("nginx", &nginx)
            .at_least(0.95)
            .remark(bad.words()),
    ])
}

/// Beside one INSERT per click.
pub(super) async fn beside_inserts(stage: &mut Stage, effort: Effort) -> Outcome<Vec<Line>> {
    let (mut single, mut ours) = (vec![], vec![]);
    for _ in 0..effort.rounds {
        single.push(inserts(stage, effort.seconds).await?);
        ours.push(stage.redirects(64, effort.seconds).await?.0.rate());
    }
    Ok(vec![
        Line::of("durable redirects, 64 kept connections", "/s", ours)
            .against("INSERT per click, pgbench, 8 clients", &single)
            .at_least(6.0),
    ])
}

/// While all processes of Postgres are stopped.
pub(super) async fn while_stopped(stage: &mut Stage, effort: Effort) -> Outcome<Vec<Line>> {
    let (mut before, mut stopped) = (vec![], vec![]);
    let mut bad = Bad::default();
    for _ in 0..effort.rounds {
        before.push(stage.redirects(64, effort.seconds).await?.0.rate());
        stage.cluster.freeze();
        let run = stage.kept.run(stage.node.tracking, 64, effort.seconds).await;
        stage.cluster.thaw();
        let run = run?;
        stage.books.wrk(&run, 64);
        stage.settle().await?;
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

/// Single-row INSERTs per second, as the reference: prepared, eight clients, each commit waits for the disk.
pub(super) async fn inserts(stage: &Stage, seconds: u64) -> Outcome<f64> {
    stage.client.batch_execute(SINGLE_TABLE).await?;
    stage.client.batch_execute("TRUNCATE single_clicks").await?;
    let script: PathBuf = stage.folder.join("insert.sql");
    fs::write(&script, SINGLE_INSERT)?;
    let rate = tools::pgbench(&stage.cluster, &script, seconds).await?;
    stage.client.batch_execute("TRUNCATE single_clicks").await?;
    Ok(rate)
}

/// nginx on 64 connections.
async fn nginx_64(stage: &Stage, seconds: u64, kept: bool) -> Outcome<f64> {
    let wrk = if kept { &stage.kept } else { &stage.fresh };
    let run = wrk.run(stage.nginx.address, 64, seconds).await?;
    // What the last run left in flight is no burden on the next.
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
