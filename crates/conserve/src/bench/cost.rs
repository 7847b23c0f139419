//! Cost of an event: CPU time of server and Postgres together, disk space, memory.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::figures::Line;
use super::pump::Until;
use super::testbed::Testbed;
use super::{Effort, postbacks, traffic};
use crate::Outcome;

/// Clicks whose disk space is measured.
const DISK_CLICKS: u64 = 300_000;

/// Measures CPU microseconds per click and per postback at full load, until the tables contain them.
pub(super) async fn cpu(testbed: &mut Testbed, effort: Effort) -> Outcome<Vec<Line>> {
    let (mut clicks, mut calls) = (vec![], vec![]);
    for _ in 0..effort.rounds {
        let before = testbed.cpu_us();
        let (run, _) = testbed.redirects(64, effort.seconds).await?;
        clicks.push((testbed.cpu_us() - before) / run.answered as f64);
        let before = testbed.cpu_us();
        let (tally, _) = postbacks::send(testbed, 64, effort.seconds).await?;
        calls.push((testbed.cpu_us() - before) / tally.count(200) as f64);
    }
    let size = testbed.preloaded.count;
    Ok(vec![
        Line::of(
            format!("CPU per click, server and Postgres, over {size}"),
            "µs",
            clicks,
        ),
        Line::of(format!("CPU per postback, likewise, over {size}"), "µs", calls)
            .remark("compare with another size of --clicks-preloaded: ≤ 1.2 ×"),
    ])
}

/// Measures bytes per click, indexes included, by the growth of the partitions.
pub(super) async fn disk(testbed: &mut Testbed, _: Effort) -> Outcome<Vec<Line>> {
    let (bytes, rows) = size(testbed).await?;
    let pump = testbed.pump(64, traffic::clicks(testbed.preloaded.links.clone()));
    let tally = pump.closed(Until::Sent(DISK_CLICKS)).await?;
    testbed.acknowledgements.clicks(&tally);
    testbed.settle().await?;
    let (bytes_after, rows_after) = size(testbed).await?;
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

/// Returns bytes and rows of all partitions of clicks.
async fn size(testbed: &Testbed) -> Outcome<(f64, f64)> {
    let row = testbed
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

/// Measures the resident memory of a freshly started server at full load, with a hundred links and with very many.
pub(super) async fn memory(testbed: &mut Testbed, effort: Effort, many_links: u64) -> Outcome<Vec<Line>> {
    testbed.restart().await?;
    let (mut few, mut many) = (vec![], vec![]);
    for _ in 0..effort.rounds {
        reset_peak(testbed);
        testbed.redirects(64, effort.seconds).await?;
        few.push(peak_mb(testbed));
    }
    add_links(testbed, many_links).await?;
    let host = testbed.preloaded.links.first().ok_or("no links")?.host.clone();
    let requests = traffic::clicks_through_many(host, many_links);
    // Each link once, so that the server caches all of them.
    let pump = testbed.pump(64, requests.clone());
    let tally = pump.closed(Until::Sent(many_links)).await?;
    testbed.acknowledgements.clicks(&tally);
    testbed.settle().await?;
    let mut rates = vec![];
    for _ in 0..effort.rounds {
        reset_peak(testbed);
        let pump = testbed.pump(64, requests.clone());
        let run = pump
            .closed(Until::After(Duration::from_secs(effort.seconds)))
            .await?;
        testbed.acknowledgements.clicks(&run);
        testbed.settle().await?;
        rates.push(run.count(302) as f64 / run.seconds);
        many.push(peak_mb(testbed));
    }
    let remark = format!(
        "each link used once, at {:.0}/s",
        many_links as f64 / tally.seconds
    );
    Ok(vec![
        Line::of("memory at full load, 100 links", "MB", few).at_most(64.0),
        Line::of(format!("memory at full load, {many_links} links"), "MB", many)
            .at_most(400.0)
            .remark(remark),
        Line::of("redirects meanwhile, our own generator", "/s", rates),
    ])
}

fn reset_peak(testbed: &Testbed) {
    testbed.node.peaks.rss_kib.store(0, Ordering::Relaxed);
}

/// Returns the peak since it was reset, in millions of bytes.
fn peak_mb(testbed: &Testbed) -> f64 {
    testbed.node.peaks.rss_kib.load(Ordering::Relaxed) as f64 * 1024.0 / 1e6
}

/// Adds links of the first affiliate for the first campaign.
async fn add_links(testbed: &Testbed, count: u64) -> Outcome {
    let first = testbed.preloaded.links.first().ok_or("no links")?;
    testbed
        .client
        .execute(
            "INSERT INTO tracking_links (network_id, alias, affiliate_id, campaign_id, created_at)
             SELECT network_id, 'many-' || n, affiliate_id, campaign_id, now()
             FROM tracking_links, generate_series(0, $2::bigint - 1) AS n WHERE id = $1",
            &[&first.id, &i64::try_from(count)?],
        )
        .await?;
    testbed
        .client
        .batch_execute("VACUUM (ANALYZE) tracking_links")
        .await?;
    Ok(())
}
