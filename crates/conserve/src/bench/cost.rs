//! Cost of an event: CPU time of server and Postgres together, disk space, memory.

use std::fmt;
use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::sleep;

use super::cpu::Spent;
use super::figures::Line;
use super::pump::{Requests, Until};
use super::testbed::Testbed;
use super::{Effort, postbacks, traffic};
use crate::Outcome;

/// Clicks whose disk space is measured.
const DISK_CLICKS: u64 = 300_000;

/// Kind of an event and of the connections on which it is sent.
#[derive(Debug, Clone, Copy)]
pub(super) enum Load {
    /// Clicks on this number of kept connections.
    Clicks(usize),
    /// Clicks, each on a new connection.
    NewConnections,
    /// Postbacks on this number of kept connections.
    Postbacks(usize),
}

impl Load {
    /// Every load whose cost is measured.
    pub(super) const ALL: [Self; 5] = [
        Self::Clicks(64),
        Self::Clicks(256),
        Self::NewConnections,
        Self::Postbacks(64),
        Self::Postbacks(256),
    ];

    /// Returns the goals of "CPU per event" in microseconds.
    fn most_us(self) -> Option<f64> {
        match self {
            Self::Clicks(_) => Some(28.0),
            Self::NewConnections => None,
            Self::Postbacks(64) => Some(180.0),
            Self::Postbacks(_) => Some(140.0),
        }
    }

    /// Sends events for these seconds, and waits until the tables contain them. Returns their number per second, and what
    /// each cost.
    pub(super) async fn run(self, testbed: &mut Testbed, seconds: u64) -> Outcome<(f64, Spent)> {
        let before = testbed.spent();
        let (events, rate) = match self {
            Self::Clicks(connections) => {
                let (run, _) = testbed.redirects(connections, seconds).await?;
                (run.answered as f64, run.rate())
            }
            Self::NewConnections => {
                let run = testbed.fresh.run(testbed.node.tracking, 64, seconds).await?;
                testbed.acknowledgements.wrk(&run, 64);
                testbed.settle().await?;
                (run.answered as f64, run.rate())
            }
            Self::Postbacks(connections) => {
                let (tally, seconds) = postbacks::send(testbed, connections, seconds).await?;
                let verdicts = (tally.count(200) + tally.count(202)) as f64;
                (verdicts, verdicts / seconds)
            }
        };
        Ok((rate, (testbed.spent() - before).each(events)))
    }
}

impl fmt::Display for Load {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Clicks(connections) => write!(f, "click, {connections} kept connections"),
            Self::NewConnections => f.write_str("click, each on a new connection"),
            Self::Postbacks(connections) => write!(f, "postback, {connections} connections"),
        }
    }
}

/// Measures CPU microseconds per event at full load, until the tables contain them, and by the part that spent them.
pub(super) async fn cpu(testbed: &mut Testbed, effort: Effort) -> Outcome<Vec<Line>> {
    let mut spent: Vec<Vec<Spent>> = vec![Vec::new(); Load::ALL.len()];
    for _ in 0..effort.rounds {
        for (load, spent) in Load::ALL.iter().zip(&mut spent) {
            spent.push(load.run(testbed, effort.seconds).await?.1);
        }
    }
    let size = testbed.preloaded.count;
    let line = |(load, mut spent): (&Load, Vec<Spent>)| {
        spent.sort_by(|one, other| one.all().total_cmp(&other.all()));
        let middle = spent.get(spent.len() / 2).copied().unwrap_or_default();
        let all = spent.iter().map(|spent| spent.all()).collect();
        let line = Line::of(format!("CPU per {load}, over {size}"), "µs", all).remark(middle.to_string());
        match load.most_us() {
            Some(most) => line.at_most(most),
            None => line,
        }
    };
    Ok(Load::ALL.iter().zip(spent).map(line).collect())
}

/// Postbacks that wait for their order while an idle server is measured.
const PARKED: u64 = 1000;
/// Seconds of each measurement of an idle server.
const IDLE_SECONDS: u64 = 20;

/// Measures the share of a core that server and Postgres use with a thousand held postbacks and no requests.
pub(super) async fn idle(testbed: &mut Testbed, effort: Effort) -> Outcome<Vec<Line>> {
    let link = testbed.preloaded.links.first().ok_or("no links")?.clone();
    let click = testbed.preloaded.click_id(0, &link);
    // Refunds of orders that are not reported yet.
    let requests: Requests = Arc::new(move |n, request| {
        // Writing to memory does not fail.
        let _ = write!(
            request,
            "GET /postback?click_id={click}&goal=sale&refund=1.00&refund_id={n}&order_id=parked-{n}&token={} HTTP/1.1\r\n\
             Host: {}\r\n\r\n",
            link.token, link.host
        );
    });
    let mut shares = Vec::new();
    let mut pump = testbed.pump(64, requests);
    pump.first = 0;
    let tally = pump.closed(Until::Sent(PARKED)).await?;
    let held = testbed
        .client
        .query_one("SELECT count(*) FROM held_postbacks", &[]);
    let parked = held.await?.get::<_, i64>(0).unsigned_abs();
    if parked < PARKED {
        return Err(format!("{parked} of {PARKED} postbacks are held: {:?}", tally.statuses).into());
    }
    for _ in 0..effort.rounds {
        let before = testbed.spent();
        sleep(Duration::from_secs(IDLE_SECONDS)).await;
        let spent = (testbed.spent() - before).all();
        shares.push(spent / (IDLE_SECONDS as f64 * 1e6) * 100.0);
    }
    testbed
        .client
        .batch_execute("DELETE FROM held_postbacks; DELETE FROM postbacks WHERE order_id LIKE 'parked-%'")
        .await?;
    Ok(vec![
        Line::of(
            format!("idle server with {PARKED} held postbacks, of a core"),
            "%",
            shares,
        )
        .at_most(1.0),
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

pub(super) fn reset_peak(testbed: &Testbed) {
    testbed.node.peaks.rss_kib.store(0, Ordering::Relaxed);
}

/// Returns the peak since it was reset, in millions of bytes.
pub(super) fn peak_mb(testbed: &Testbed) -> f64 {
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
