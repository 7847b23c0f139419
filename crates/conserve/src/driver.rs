//! Open-loop load: every request has a time at which it should start, so a server that stalls makes requests late, not
//! fewer.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rand::SeedableRng;
use rand::rngs::StdRng;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};

use crate::events::percent;
use crate::http::{Connection, Response};
use crate::ids;
use crate::nemesis::Fault;
use crate::oracle::{AckedCall, AckedClick, Oracle, Verdict, lock};
use crate::scene::Scene;

/// Longest wait for a response.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(15);

/// User-Agent of clicks.
const BROWSER: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";

/// Rates of the load.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rates {
    /// Clicks per second.
    pub(crate) clicks: f64,
    /// Postbacks per second.
    pub(crate) postbacks: f64,
    /// Connections for clicks; a quarter as many for postbacks.
    pub(crate) connections: usize,
    /// Connections used again by later requests; false opens a new one for each.
    pub(crate) keep_alive: bool,
}

/// Outcome of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum End {
    /// Acknowledged.
    Acked,
    /// Click that was redirected but not recorded.
    Unrecorded,
    /// 503 or 429: retry later.
    Refused,
    /// Another 5xx.
    Failed,
    /// Any other response.
    Odd,
    /// Refused connection.
    Unreachable,
    /// Broken connection or no response in time: whether the server acted is unknown.
    Unknown,
}

/// Outcomes of one kind of request during one kind of fault.
#[derive(Debug, Default, Clone)]
pub(crate) struct Tally {
    /// Number of requests by outcome.
    pub(crate) ends: BTreeMap<End, u64>,
    /// Microseconds from the time a request should have started to its response.
    latencies: Vec<u32>,
}

impl Tally {
    /// Returns the number of requests with this outcome.
    pub(crate) fn count(&self, end: End) -> u64 {
        self.ends.get(&end).copied().unwrap_or(0)
    }

    /// Returns the outcomes that an earlier state of the same tally did not have.
    pub(crate) fn since(&self, earlier: &Self) -> Self {
        let new = |(end, count): (&End, &u64)| (*end, count - earlier.count(*end));
        Self {
            ends: self.ends.iter().map(new).collect(),
            latencies: self
                .latencies
                .iter()
                .skip(earlier.latencies.len())
                .copied()
                .collect(),
        }
    }

    /// Returns the milliseconds within which this percentage of requests was answered.
    pub(crate) fn percentile(&self, percent: usize) -> f64 {
        let mut sorted = self.latencies.clone();
        sorted.sort_unstable();
        let index = (sorted.len() * percent / 100).min(sorted.len().saturating_sub(1));
        f64::from(sorted.get(index).copied().unwrap_or(0)) / 1000.0
    }
}

/// Outcomes by fault (`None`: without a fault), of clicks and of postbacks.
#[derive(Debug, Default, Clone)]
pub(crate) struct Record {
    /// Clicks.
    pub(crate) clicks: BTreeMap<Option<Fault>, Tally>,
    /// Postbacks.
    pub(crate) postbacks: BTreeMap<Option<Fault>, Tally>,
}

/// State shared by all requests.
pub(crate) struct Driver {
    address: SocketAddr,
    oracle: Arc<Oracle>,
    scene: Scene,
    record: Mutex<Record>,
    fault: Mutex<Option<Fault>>,
}

/// Running load.
pub(crate) struct Load {
    /// Stops the load when dropped.
    stop: watch::Sender<()>,
    workers: JoinSet<()>,
}

/// Times at which requests should start.
struct Schedule {
    start: Instant,
    interval: Duration,
    next: AtomicU64,
}

impl Schedule {
    fn at(per_second: f64) -> Arc<Self> {
        Arc::new(Self {
            start: Instant::now(),
            interval: Duration::from_secs_f64(1.0 / per_second),
            next: AtomicU64::new(0),
        })
    }

    /// Waits for the next turn; returns its number and the time at which it should have begun. `None` when the load
    /// stops.
    async fn turn(&self, stopped: &mut watch::Receiver<()>) -> Option<(u64, Instant)> {
        let ticket = self.next.fetch_add(1, Ordering::Relaxed);
        let intended = self.start + self.interval.mul_f64(ticket as f64);
        tokio::select! {
            biased;
            // Nothing is ever sent: this ends when the sender is dropped.
            _ = stopped.changed() => None,
            () = sleep_until(intended) => Some((ticket, intended)),
        }
    }
}

impl Driver {
    /// Creates a driver for this server and scene.
    pub(crate) fn new(address: SocketAddr, oracle: Arc<Oracle>, scene: Scene) -> Arc<Self> {
        Arc::new(Self {
            address,
            oracle,
            scene,
            record: Mutex::default(),
            fault: Mutex::default(),
        })
    }

    /// Records requests under this fault from now on.
    pub(crate) fn during(&self, fault: Option<Fault>) {
        *lock(&self.fault) = fault;
    }

    /// Returns the outcomes so far.
    pub(crate) fn record(&self) -> Record {
        lock(&self.record).clone()
    }

    /// Starts load on new connections.
    pub(crate) fn start(self: &Arc<Self>, rates: Rates) -> Load {
        let (stop, stopped) = watch::channel(());
        let mut workers = JoinSet::new();
        let clicks = Schedule::at(rates.clicks);
        for _ in 0..rates.connections {
            let (clicks, stopped) = (Arc::clone(&clicks), stopped.clone());
            workers.spawn(Arc::clone(self).send_clicks(clicks, rates.keep_alive, stopped));
        }
        let postbacks = Schedule::at(rates.postbacks);
        for _ in 0..(rates.connections / 4).max(4) {
            let (postbacks, stopped) = (Arc::clone(&postbacks), stopped.clone());
            workers.spawn(Arc::clone(self).send_postbacks(postbacks, rates.keep_alive, stopped));
        }
        Load { stop, workers }
    }

    async fn send_clicks(
        self: Arc<Self>,
        schedule: Arc<Schedule>,
        keep_alive: bool,
        mut stopped: watch::Receiver<()>,
    ) {
        let mut connection = None;
        loop {
            let Some((_, intended)) = schedule.turn(&mut stopped).await else {
                return;
            };
            let n = self.oracle.next_click();
            self.click(&mut connection, n, intended).await;
            connection = connection.filter(|_| keep_alive);
        }
    }

    async fn send_postbacks(
        self: Arc<Self>,
        schedule: Arc<Schedule>,
        keep_alive: bool,
        mut stopped: watch::Receiver<()>,
    ) {
        let mut connection = None;
        loop {
            let Some((ticket, intended)) = schedule.turn(&mut stopped).await else {
                return;
            };
            let mut dice = StdRng::seed_from_u64(self.oracle.run.seed ^ ticket.rotate_left(32));
            let mut calls = self.oracle.next_calls(&mut dice);
            let Some(mine) = calls.pop() else { continue };
            // Concurrent twins, each on a separate connection.
            let mut twins = JoinSet::new();
            for call in calls {
                let driver = Arc::clone(&self);
                twins.spawn(async move { driver.postback(&mut None, call, intended).await });
            }
            self.postback(&mut connection, mine, intended).await;
            connection = connection.filter(|_| keep_alive);
            twins.join_all().await;
        }
    }

    /// Sends click `n`; returns it if it was acknowledged.
    pub(crate) async fn click(
        &self,
        connection: &mut Option<Connection>,
        n: u64,
        intended: Instant,
    ) -> Option<AckedClick> {
        let request = self.scene.click_request(&self.oracle.run.click(n), n);
        let (mut end, response) = self.exchange(connection, &request).await;
        let redirected = response.and_then(|response| redirect(n, &response));
        let acked = match (end, redirected) {
            (End::Acked, Some(click)) => {
                self.oracle.acked_click(click.clone());
                Some(click)
            }
            (End::Acked, None) => {
                end = End::Odd;
                None
            }
            (End::Unrecorded, Some(click)) => {
                self.oracle.unrecorded_click(click);
                None
            }
            _ => None,
        };
        self.note(|record| &mut record.clicks, end, intended);
        acked
    }

    /// Sends a call; returns true if it was acknowledged.
    pub(crate) async fn postback(
        &self,
        connection: &mut Option<Connection>,
        number: u64,
        intended: Instant,
    ) -> bool {
        let Some((call, click)) = self.oracle.call(number) else {
            return false;
        };
        let request = self
            .scene
            .postback_request(&self.oracle.run, number, call, &click);
        let (mut end, response) = self.exchange(connection, &request).await;
        let body = response.map(|response| response.body).unwrap_or_default();
        match (end, verdict(number, &body)) {
            (End::Acked, Some(ack)) => self.oracle.acked_call(ack),
            (End::Acked | End::Odd | End::Unrecorded, _) => {
                end = End::Odd;
                self.oracle.rejected(String::from_utf8_lossy(&body).into_owned());
            }
            _ => self.oracle.unanswered(number),
        }
        self.note(|record| &mut record.postbacks, end, intended);
        end == End::Acked
    }

    async fn exchange(&self, connection: &mut Option<Connection>, request: &str) -> (End, Option<Response>) {
        let mut open = match connection.take() {
            Some(open) => open,
            None => match timeout(RESPONSE_TIMEOUT, Connection::open(self.address)).await {
                Ok(Ok(open)) => open,
                Ok(Err(_)) | Err(_) => return (End::Unreachable, None),
            },
        };
        let Ok(Ok(response)) = timeout(RESPONSE_TIMEOUT, open.send(request)).await else {
            return (End::Unknown, None);
        };
        if !response.ends_connection() {
            *connection = Some(open);
        }
        let end = match response.status {
            200 | 202 | 302 => End::Acked,
            307 if response.header("x-click-status") == Some("unrecorded") => End::Unrecorded,
            429 | 503 => End::Refused,
            500.. => End::Failed,
            _ => End::Odd,
        };
        (end, Some(response))
    }

    fn note(
        &self,
        kind: impl Fn(&mut Record) -> &mut BTreeMap<Option<Fault>, Tally>,
        end: End,
        intended: Instant,
    ) {
        let fault = *lock(&self.fault);
        let mut record = lock(&self.record);
        let tally = kind(&mut record).entry(fault).or_default();
        *tally.ends.entry(end).or_default() += 1;
        if !matches!(end, End::Unreachable | End::Unknown) {
            let micros = u32::try_from(intended.elapsed().as_micros()).unwrap_or(u32::MAX);
            tally.latencies.push(micros);
        }
    }
}

impl Load {
    /// Starts no more requests, waits for those in flight, and closes the connections.
    pub(crate) async fn stop(mut self) {
        drop(self.stop);
        while self.workers.join_next().await.is_some() {}
    }
}

/// Returns the click id in a redirect.
fn redirect(n: u64, response: &Response) -> Option<AckedClick> {
    let (_, rest) = response.header("location")?.split_once("click_id=")?;
    let id = rest.split('&').next()?;
    let key = ids::click_id(id)?.key;
    Some(AckedClick {
        n,
        id: id.to_owned(),
        key,
    })
}

fn verdict(call: u64, body: &[u8]) -> Option<AckedCall> {
    let answer: serde_json::Value = serde_json::from_slice(body).ok()?;
    let verdict = match answer.get("status")?.as_str()? {
        "accepted" => Verdict::Accepted,
        "duplicate" => Verdict::Duplicate,
        "queued" | "held" => Verdict::Queued,
        _ => return None,
    };
    let receipt = ids::receipt(answer.get("request_id")?.as_str()?)?;
    Some(AckedCall {
        call,
        receipt,
        verdict,
    })
}

/// Returns the request of a click.
pub(crate) fn click_request(host: &str, alias: &str, address: &str, subs: &[Option<String>; 5]) -> String {
    let pairs: Vec<_> = subs
        .iter()
        .zip(1..)
        .filter_map(|(sub, number)| Some(format!("sub{number}={}", percent(sub.as_deref()?))))
        .collect();
    format!(
        "GET /{alias}?{} HTTP/1.1\r\nHost: {host}\r\nX-Forwarded-For: {address}\r\nUser-Agent: {BROWSER}\r\n\r\n",
        pairs.join("&")
    )
}

/// Returns the request of a postback, in turn as a query, a form and a JSON object.
pub(crate) fn postback_request(host: &str, spelling: u64, parameters: &[(&str, String)]) -> String {
    let pairs: Vec<_> = parameters
        .iter()
        .map(|(name, value)| format!("{name}={}", percent(value)))
        .collect();
    let encoded = pairs.join("&");
    let post = |content_type: &str, body: &str| {
        format!(
            "POST /postback HTTP/1.1\r\nHost: {host}\r\nContent-Type: {content_type}\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )
    };
    match spelling % 3 {
        0 => format!("GET /postback?{encoded} HTTP/1.1\r\nHost: {host}\r\n\r\n"),
        1 => post("application/x-www-form-urlencoded", &encoded),
        _ => {
            let object = parameters
                .iter()
                .map(|(name, value)| ((*name).to_owned(), value.clone().into()));
            post(
                "application/json",
                &serde_json::Value::Object(object.collect()).to_string(),
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_postback_is_sent_in_three_formats() {
        let parameters = [("order_id", "a b".to_owned())];
        let request = |n| postback_request("h", n, &parameters);
        assert!(request(0).starts_with("GET /postback?order_id=a%20b HTTP/1.1\r\n"));
        assert!(request(1).ends_with("Content-Length: 14\r\n\r\norder_id=a%20b"));
        assert!(request(2).ends_with("\r\n\r\n{\"order_id\":\"a b\"}"));
    }

    #[test]
    fn only_a_verdict_with_a_receipt_is_an_acknowledgement() {
        let body = |status: &str, id: &str| format!("{{\"status\":\"{status}\",\"request_id\":\"{id}\"}}");
        let id = "pb_00000000000000000000000004";
        assert!(verdict(0, body("queued", id).as_bytes()).is_some_and(|ack| ack.receipt == 1));
        assert!(verdict(0, body("rejected", id).as_bytes()).is_none());
        assert!(verdict(0, body("accepted", "pb_1").as_bytes()).is_none());
        assert!(verdict(0, b"ok").is_none());
    }
}
