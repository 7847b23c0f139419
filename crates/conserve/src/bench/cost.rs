//! What an event costs: CPU time of server and Postgres together, room on disk, memory.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::figures::Line;
use super::pump::Until;
use super::stage::Stage;
use super::{Effort, postbacks, traffic};
use crate::Outcome;

/// Clicks whose room on disk is measured.
const DISK_CLICKS: u64 = 300_000;

/// CPU microseconds per click and per postback at full load, until the tables hold them.
pub(super) async fn cpu(stage: &mut Stage, effort: Effort) -> Outcome<Vec<Line>> {
    let (mut clicks, mut calls) = (vec![], vec![]);
    for _ in 0..effort.rounds {
        let before = stage.cpu_us();
        let (run, _) = stage.redirects(64, effort.seconds).await?;
        clicks.push((stage.cpu_us() - before) / run.answered as f64);
        let before = stage.cpu_us();
        let (tally, _) = postbacks::send(stage, 64, effort.seconds).await?;
        calls.push((stage.cpu_us() - before) / tally.count(200) as f64);
    }
    let size = stage.preloaded.count;
    Ok(vec![
        Line::of(
            format!("CPU per click, server and Postgres, over {size}"),
            "µs",
            clicks,
        ),
        Line::of(format!("CPU per postback, likewise, over {size}"), "µs", calls)
            .remark("held against the same at another size of --clicks-preloaded: ≤ 1.2 ×"),
    ])
}

/// Bytes per click, indexes included, by how much the partitions grow.
pub(super) async fn disk(stage: &mut Stage, _: Effort) -> Outcome<Vec<Line>> {
    let (bytes, rows) = size(stage).await?;
    let pump = stage.pump(64, traffic::clicks(stage.preloaded.links.clone()));
    let tally = pump.closed(Until::Sent(DISK_CLICKS)).await?;
    stage.books.clicks(&tally);
    stage.settle().await?;
    let (bytes_after, rows_after) = size(stage).await?;
    let each = (bytes_after - bytes) / (rows_after - rows);
    Ok(vec![
        Line::of("disk per click, index included", "B", vec![each])
            .at_most(240.0)
            .remark(format!(
                "by {:.0} clicks with two sub ids and a referrer",
                rows_after - rows
            )),
    ])
}

/// Bytes and rows of all partitions of clicks.
async fn size(stage: &Stage) -> Outcome<(f64, f64)> {
    let row = stage
        .client
        .query_one(
            "SELECT (SELECT sum(pg_total_relation_size(inhrelid))::float8 FROM pg_inherits
                     WHERE inhparent = 'clicks'::regclass),
                    (SELECT count(*)::float8 FROM clicks)",
            &[],
        )
        .await?;
    Ok((row.get(0), row.get(1)))
}

/// Resident memory of the server at full load, freshly started, with a hundred links and with very many.
pub(super) async fn memory(stage: &mut Stage, effort: Effort, many_links: u64) -> Outcome<Vec<Line>> {
    stage.restart().await?;
    let (mut few, mut many) = (vec![], vec![]);
    for _ in 0..effort.rounds {
        forget_peak(stage);
        stage.redirects(64, effort.seconds).await?;
        few.push(peak_mb(stage));
    }
    add_links(stage, many_links).await?;
    let host = stage.preloaded.links.first().ok_or("no links")?.host.clone();
    let requests = traffic::clicks_through_many(host, many_links);
    // Each once, so that the server knows them all.
    let walk = stage.pump(64, requests.clone());
    let tally = walk.closed(Until::Sent(many_links)).await?;
    stage.books.clicks(&tally);
    stage.settle().await?;
    let mut rates = vec![];
    for _ in 0..effort.rounds {
        forget_peak(stage);
        let pump = stage.pump(64, requests.clone());
        let run = pump
            .closed(Until::After(Duration::from_secs(effort.seconds)))
            .await?;
        stage.books.clicks(&run);
        stage.settle().await?;
        rates.push(run.count(302) as f64 / run.seconds);
        many.push(peak_mb(stage));
    }
    let walked = format!("walked through at {:.0}/s", many_links as f64 / tally.seconds);
    Ok(vec![
        Line::of("memory at full load, 100 links", "MB", few).at_most(64.0),
        Line::of(format!("memory at full load, {many_links} links"), "MB", many)
            .at_most(400.0)
            .remark(walked),
        Line::of("redirects meanwhile, our own generator", "/s", rates),
    ])
}

fn forget_peak(stage: &Stage) {
    stage.node.peaks.rss_kib.store(0, Ordering::Relaxed);
}

/// The most since it was forgotten, in millions of bytes.
fn peak_mb(stage: &Stage) -> f64 {
    stage.node.peaks.rss_kib.load(Ordering::Relaxed) as f64 * 1024.0 / 1e6
}

/// More links of the first affiliate for the first campaign.
async fn add_links(stage: &Stage, count: u64) -> Outcome {
    let first = stage.preloaded.links.first().ok_or("no links")?;
    stage
        .client
        .execute(
            "INSERT INTO tracking_links (network_id, alias, affiliate_id, campaign_id, created_at)
             SELECT network_id, 'many-' || n, affiliate_id, campaign_id, now()
             FROM tracking_links, generate_series(0, $2::bigint - 1) AS n WHERE id = $1",
            &[&first.id, &i64::try_from(count)?],
        )
        .await?;
    stage
        .client
        .batch_execute("VACUUM (ANALYZE) tracking_links")
        .await?;
    Ok(())
}
