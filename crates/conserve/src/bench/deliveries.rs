//! Deliveries: how fast a queue drains to fifty destinations, its memory, and its cost for clicks.

use std::io::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::time::sleep;

use super::Effort;
use super::cost::{peak_mb, reset_peak};
use super::figures::{Line, percentile};
use super::pump::{Requests, Until};
use super::testbed::Testbed;
use super::tools::Wrk;
use super::traffic::{self, Preloaded};
use crate::Outcome;

/// Destinations, each of another affiliate.
const DESTINATIONS: usize = 50;
/// Clicks per second while deliveries are sent.
const CLICK_RATE: f64 = 2000.0;
/// Longest wait until all deliveries are queued.
const QUEUE_TIMEOUT: Duration = Duration::from_secs(600);
/// Pause after the destinations were paused or resumed, and between two looks at the queue.
const PAUSE: Duration = Duration::from_secs(1);

/// Measures deliveries per second to a local receiver, beside a client that only calls it; the memory of the server with a
/// long queue; and the p99 of a redirect while the queue drains, beside the same while it waits.
pub(super) async fn drain(testbed: &mut Testbed, effort: Effort, queued: u64) -> Outcome<Vec<Line>> {
    testbed.restart().await?;
    let links: Vec<_> = testbed
        .preloaded
        .links
        .iter()
        .take(DESTINATIONS)
        .cloned()
        .collect();
    for (number, link) in links.iter().enumerate() {
        let url = format!(
            "http://{}/{number}?click_id={{click_id}}&sub1={{sub1}}&payout={{commission}}&currency={{currency}}",
            testbed.nginx.receiver
        );
        testbed
            .client
            .execute(
                "INSERT INTO destinations (network_id, kind, affiliate_id, name, events, method, url, state,
                                           paused_because, created_at)
                 VALUES ($1, 'postback', $2, 'Receiver', 'created', 'GET', $3, 'paused', 'user', now())",
                &[&link.network, &link.affiliate, &url],
            )
            .await?;
    }
    let pump = testbed.pump(256, conversions(testbed.preloaded.clone(), links.len()));
    let tally = pump.closed(Until::Sent(queued)).await?;
    testbed.acknowledgements.postbacks(&tally);
    testbed.settle().await?;
    wait_until_queued(testbed, tally.count(200) + tally.count(202)).await?;
    reset_peak(testbed);
    sleep(PAUSE * 2).await;
    let memory = peak_mb(testbed);
    let call = format!(
        "GET /0?click_id=of-a-click HTTP/1.1\r\nHost: {}\r\n\r\n",
        testbed.nginx.receiver
    );
    let client = Wrk::new(&testbed.folder, "calls", &[call])?;

    let (mut rates, mut alone) = (vec![], vec![]);
    let (mut draining, mut waiting) = (vec![], vec![]);
    let (mut costs, mut highest) = (vec![], 0.0_f64);
    for _ in 0..effort.rounds {
        let run = client.run(testbed.nginx.receiver, DESTINATIONS, effort.seconds);
        alone.push(run.await?.rate());
        waiting.push(redirects(testbed, effort.seconds).await?);
        reset_peak(testbed);
        set_state(testbed, "state = 'active', paused_because = NULL").await?;
        let (before, began, spent) = (delivered(testbed).await?, Instant::now(), testbed.spent());
        sleep(Duration::from_secs(effort.seconds)).await;
        let count = delivered(testbed).await? - before;
        rates.push(count as f64 / began.elapsed().as_secs_f64());
        costs.push((testbed.spent() - spent).each(count as f64).all());
        draining.push(redirects(testbed, effort.seconds).await?);
        highest = highest.max(peak_mb(testbed));
        set_state(testbed, "state = 'paused', paused_because = 'user'").await?;
    }
    let failed: i64 = testbed
        .client
        .query_one(
            "SELECT count(*) FROM delivery_attempts WHERE problem IS NOT NULL",
            &[],
        )
        .await?
        .get(0);
    testbed
        .client
        .batch_execute("TRUNCATE delivery_attempts, deliveries; DELETE FROM destinations")
        .await?;
    Ok(vec![
        Line::of(format!("deliveries to {DESTINATIONS} destinations"), "/s", rates)
            .against("wrk to the same receiver", &alone)
            .remark(format!("{failed} attempts failed")),
        Line::of("CPU per delivery, server and Postgres", "µs", costs),
        Line::of(
            format!("memory with {queued} deliveries queued"),
            "MB",
            vec![memory],
        ),
        Line::of("memory while they are sent, highest", "MB", vec![highest]),
        Line::of(
            format!("redirect at {CLICK_RATE:.0}/s while deliveries are sent, p99"),
            "ms",
            draining,
        )
        .against("while they wait", &waiting),
    ])
}

/// Returns postbacks for new orders of the first `links` links, by their preloaded clicks in scattered order.
fn conversions(preloaded: Preloaded, links: usize) -> Requests {
    let all = preloaded.links.len() as u64;
    let rounds = (preloaded.count / all).max(1);
    Arc::new(move |order, request| {
        let number = order % links as u64;
        // A prime larger than any count, so that every click comes once before any comes again.
        let n = (order.wrapping_mul(2_147_483_647) % rounds) * all + number;
        let Some(link) = usize::try_from(number)
            .ok()
            .and_then(|at| preloaded.links.get(at))
        else {
            return;
        };
        let (id, host, token) = (preloaded.click_id(n, link), &link.host, &link.token);
        // Writing to memory does not fail.
        let _ = write!(
            request,
            "GET /postback?click_id={id}&goal=sale&amount=49.90&currency=EUR&order_id=delivered-{order}&token={token} \
             HTTP/1.1\r\nHost: {host}\r\nUser-Agent: Shop/1.0\r\n\r\n"
        );
    })
}

/// Waits until the queue has a delivery for each conversion.
async fn wait_until_queued(testbed: &Testbed, conversions: u64) -> Outcome {
    let began = Instant::now();
    loop {
        let queued = testbed
            .client
            .query_one("SELECT count(*) FROM deliveries", &[])
            .await?;
        let queued = queued.get::<_, i64>(0).unsigned_abs();
        if queued >= conversions {
            return Ok(());
        }
        if began.elapsed() > QUEUE_TIMEOUT {
            return Err(
                format!("{queued} of {conversions} deliveries are queued after {QUEUE_TIMEOUT:?}").into(),
            );
        }
        sleep(PAUSE).await;
    }
}

/// Pauses or resumes all destinations, and waits until the server has done so.
async fn set_state(testbed: &Testbed, state: &str) -> Outcome {
    let sql = format!("UPDATE destinations SET {state}");
    testbed.client.batch_execute(&sql).await?;
    sleep(PAUSE).await;
    Ok(())
}

async fn delivered(testbed: &Testbed) -> Outcome<u64> {
    let sql = "SELECT count(*) FROM deliveries WHERE state = 'delivered'";
    Ok(testbed
        .client
        .query_one(sql, &[])
        .await?
        .get::<_, i64>(0)
        .unsigned_abs())
}

/// Returns the p99 of redirects in an open loop, in milliseconds.
async fn redirects(testbed: &mut Testbed, seconds: u64) -> Outcome<f64> {
    let pump = testbed.pump(64, traffic::clicks(testbed.preloaded.links.clone()));
    let tally = pump.open(CLICK_RATE, Duration::from_secs(seconds)).await?;
    testbed.acknowledgements.clicks(&tally);
    let took: Vec<f64> = tally.answers.iter().map(|answer| answer.took_ms).collect();
    testbed.settle().await?;
    Ok(percentile(&took, 99.0))
}
