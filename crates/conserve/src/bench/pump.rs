//! Load generator for requests that wrk cannot send: different ones, at given times, with every response counted by
//! status. Reads only the necessary part of a response and allocates nothing per request.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::Outcome;

/// Longest response, in bytes.
const MAX_RESPONSE: usize = 16 * 1024;
/// Longest wait for responses after the last request.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(30);

/// Function that writes request number `n`.
pub(super) type Requests = Arc<dyn Fn(u64, &mut Vec<u8>) + Send + Sync>;

/// End of a closed loop.
#[derive(Debug, Clone, Copy)]
pub(super) enum Until {
    /// Time after the start.
    After(Duration),
    /// Number of sent requests.
    Sent(u64),
}

/// Response in an open loop.
#[derive(Debug, Clone, Copy)]
pub(super) struct Answered {
    /// Time of the response.
    pub(super) at: Instant,
    /// Number of requests sent by then.
    pub(super) sent: u64,
    /// Milliseconds since the request was due.
    pub(super) took_ms: f64,
    /// Milliseconds from when the request was due until it was sent: lateness of the generator.
    pub(super) late_ms: f64,
}

/// Result of a run.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// Responses by status.
    pub(super) statuses: BTreeMap<u16, u64>,
    /// Requests without a response: whether the server acted is unknown.
    pub(super) unknown: u64,
    /// Responses of an open loop.
    pub(super) answers: Vec<Answered>,
    /// Duration in seconds.
    pub(super) seconds: f64,
}

impl Tally {
    /// Returns the number of responses with this status.
    pub(super) fn count(&self, status: u16) -> u64 {
        self.statuses.get(&status).copied().unwrap_or(0)
    }

    /// Returns every other outcome than this status as text; none if all requests had this status.
    pub(super) fn others(&self, status: u16) -> Option<String> {
        let mut others: Vec<_> = self
            .statuses
            .iter()
            .filter(|(other, _)| **other != status)
            .map(|(other, count)| format!("{count} × {other}"))
            .collect();
        others.extend((self.unknown > 0).then(|| format!("{} unanswered", self.unknown)));
        (!others.is_empty()).then(|| others.join(", "))
    }

    fn add(&mut self, other: Self) {
        for (status, count) in other.statuses {
            *self.statuses.entry(status).or_default() += count;
        }
        self.unknown += other.unknown;
        self.answers.extend(other.answers);
    }
}

/// Keep-alive connections to one server.
#[derive(Clone)]
pub(super) struct Pump {
    /// Address of the server.
    pub(super) address: SocketAddr,
    /// Number of connections.
    pub(super) connections: usize,
    /// Requests to send.
    pub(super) requests: Requests,
    /// Number of the first request.
    pub(super) first: u64,
}

/// State shared by all connections.
struct Shared {
    requests: Requests,
    first: u64,
    start: Instant,
    /// Requests taken to be sent.
    taken: AtomicU64,
    /// Requests sent.
    sent: AtomicU64,
}

impl Pump {
    /// Runs a closed loop: every connection sends its next request when its last was answered.
    pub(super) async fn closed(&self, until: Until) -> Outcome<Tally> {
        let wires = self.connect().await?;
        let shared = self.begin();
        let mut workers = JoinSet::new();
        for wire in wires {
            workers.spawn(closed_loop(wire, Arc::clone(&shared), until));
        }
        let limit = match until {
            Until::After(time) => time + RESPONSE_TIMEOUT,
            Until::Sent(count) => RESPONSE_TIMEOUT + Duration::from_millis(count),
        };
        gather(workers, &shared, limit).await
    }

    /// Runs an open loop: request `n` is due at `n / rate` seconds, regardless of earlier requests.
    pub(super) async fn open(&self, rate: f64, time: Duration) -> Outcome<Tally> {
        let wires = self.connect().await?;
        let shared = self.begin();
        let due = Arc::new(Semaphore::new(0));
        let interval = Duration::from_secs_f64(1.0 / rate);
        let ticking = {
            let (due, start) = (Arc::clone(&due), shared.start);
            // On a separate thread, because the timers of tokio have a resolution of a millisecond.
            std::thread::spawn(move || tick(&due, start, interval, time))
        };
        let mut workers = JoinSet::new();
        for wire in wires {
            workers.spawn(open_loop(wire, Arc::clone(&shared), Arc::clone(&due), interval));
        }
        let tally = gather(workers, &shared, time + RESPONSE_TIMEOUT).await;
        due.close();
        ticking
            .join()
            .map_err(|_| "the clock of the generator panicked")?;
        tally
    }

    async fn connect(&self) -> io::Result<Vec<Wire>> {
        let mut wires = Vec::new();
        for _ in 0..self.connections {
            wires.push(Wire::open(self.address).await?);
        }
        Ok(wires)
    }

    fn begin(&self) -> Arc<Shared> {
        Arc::new(Shared {
            requests: Arc::clone(&self.requests),
            first: self.first,
            start: Instant::now(),
            taken: AtomicU64::new(0),
            sent: AtomicU64::new(0),
        })
    }
}

async fn gather(mut workers: JoinSet<Tally>, shared: &Shared, limit: Duration) -> Outcome<Tally> {
    let mut tally = Tally::default();
    let all = async {
        while let Some(done) = workers.join_next().await {
            tally.add(done?);
        }
        Ok::<_, tokio::task::JoinError>(())
    };
    timeout(limit, all)
        .await
        .map_err(|_| "the server does not answer")??;
    tally.seconds = shared.start.elapsed().as_secs_f64();
    Ok(tally)
}

async fn closed_loop(mut wire: Wire, shared: Arc<Shared>, until: Until) -> Tally {
    let (mut tally, mut request) = (Tally::default(), Vec::new());
    loop {
        let n = shared.taken.fetch_add(1, Ordering::Relaxed);
        let is_over = match until {
            Until::After(time) => shared.start.elapsed() >= time,
            Until::Sent(count) => n >= count,
        };
        if is_over {
            return tally;
        }
        request.clear();
        (shared.requests)(shared.first + n, &mut request);
        wire.note(&request, &mut tally).await;
    }
}

/// Releases requests when they are due, and closes the semaphore after the last.
fn tick(due: &Semaphore, start: Instant, interval: Duration, time: Duration) {
    let mut let_go = 0_u32;
    while start.elapsed() < time && !due.is_closed() {
        let next = start + interval * let_go;
        match next.checked_duration_since(Instant::now()) {
            Some(early) if !early.is_zero() => std::thread::sleep(early),
            _ => {
                due.add_permits(1);
                let_go += 1;
            }
        }
    }
    // Due requests must be taken before the semaphore closes.
    while due.available_permits() > 0 && start.elapsed() < time + RESPONSE_TIMEOUT {
        std::thread::sleep(Duration::from_millis(1));
    }
    due.close();
}

async fn open_loop(mut wire: Wire, shared: Arc<Shared>, due: Arc<Semaphore>, interval: Duration) -> Tally {
    let (mut tally, mut request) = (Tally::default(), Vec::new());
    while let Ok(permit) = due.acquire().await {
        permit.forget();
        let n = shared.taken.fetch_add(1, Ordering::Relaxed);
        let intended = shared.start + interval.mul_f64(n as f64);
        request.clear();
        (shared.requests)(shared.first + n, &mut request);
        shared.sent.fetch_add(1, Ordering::SeqCst);
        let late = intended.elapsed();
        if wire.note(&request, &mut tally).await {
            let at = Instant::now();
            tally.answers.push(Answered {
                at,
                sent: shared.sent.load(Ordering::SeqCst),
                took_ms: (at - intended).as_secs_f64() * 1e3,
                late_ms: late.as_secs_f64() * 1e3,
            });
        }
    }
    tally
}

/// Connection.
struct Wire {
    address: SocketAddr,
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Wire {
    async fn open(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self {
            address,
            stream,
            buffer: vec![0; MAX_RESPONSE],
        })
    }

    /// Sends a request and counts its outcome; returns true if it was answered.
    async fn note(&mut self, request: &[u8], tally: &mut Tally) -> bool {
        match self.exchange(request).await {
            Ok(status) => {
                *tally.statuses.entry(status).or_default() += 1;
                true
            }
            Err(_) => {
                tally.unknown += 1;
                match Self::open(self.address).await {
                    Ok(fresh) => *self = fresh,
                    // No server: do not spin.
                    Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
                }
                false
            }
        }
    }

    /// Sends a request and reads the whole response; returns the status.
    async fn exchange(&mut self, request: &[u8]) -> io::Result<u16> {
        self.stream.write_all(request).await?;
        let mut filled = 0;
        loop {
            let room = self.buffer.get_mut(filled..).unwrap_or_default();
            match self.stream.read(room).await? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                read => filled += read,
            }
            if let Some(answer) = read_head(self.buffer.get(..filled).unwrap_or_default())?
                && answer.length <= filled
            {
                return Ok(answer.status);
            }
        }
    }
}

/// Necessary part of a response.
#[derive(Debug, PartialEq, Eq)]
struct Head {
    status: u16,
    /// Length of the whole response, in bytes.
    length: usize,
}

/// Parses the head of a response; none while it is incomplete.
fn read_head(bytes: &[u8]) -> io::Result<Option<Head>> {
    let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else {
        return Ok(None);
    };
    let malformed = || io::Error::from(io::ErrorKind::InvalidData);
    let head = bytes
        .get(..end)
        .and_then(|head| std::str::from_utf8(head).ok())
        .ok_or_else(malformed)?;
    let status = head
        .strip_prefix("HTTP/1.1 ")
        .and_then(|rest| rest.get(..3)?.parse().ok())
        .ok_or_else(malformed)?;
    let mut body = 0;
    for line in head.split("\r\n") {
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            body = value.trim().parse().map_err(|_| malformed())?;
        }
    }
    Ok(Some(Head {
        status,
        length: end + 4 + body,
    }))
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    /// Starts a server that sends every request this response after `delay`.
    async fn server(answer: &'static [u8], delay: Duration) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                tokio::spawn(async move {
                    let mut request = [0; 64];
                    while stream.read(&mut request).await.is_ok_and(|read| read > 0) {
                        tokio::time::sleep(delay).await;
                        // In two pieces, as it may arrive.
                        let (first, second) = answer.split_at(answer.len() / 2);
                        stream.write_all(first).await.unwrap();
                        stream.flush().await.unwrap();
                        stream.write_all(second).await.unwrap();
                    }
                });
            }
        });
        address
    }

    fn pump(address: SocketAddr, connections: usize) -> Pump {
        Pump {
            address,
            connections,
            requests: Arc::new(|n, request| {
                request.extend_from_slice(format!("GET /{n}\r\n\r\n").as_bytes())
            }),
            first: 0,
        }
    }

    #[test]
    fn a_response_is_parsed_when_it_is_complete() {
        let head = |text: &str| read_head(text.as_bytes());
        assert_eq!(head("HTTP/1.1 302 Found\r\nA: b\r\n").unwrap(), None);
        let whole = "HTTP/1.1 200 OK\r\ncontent-Length: 5\r\n\r\nhello";
        assert_eq!(
            head(whole).unwrap(),
            Some(Head {
                status: 200,
                length: whole.len()
            })
        );
        assert!(head("nonsense\r\n\r\n").is_err());
    }

    #[tokio::test]
    async fn a_closed_loop_sends_every_request_and_counts_the_responses() {
        let address = server(
            b"HTTP/1.1 202 Accepted\r\nContent-Length: 2\r\n\r\nok",
            Duration::ZERO,
        )
        .await;
        let tally = pump(address, 4).closed(Until::Sent(100)).await.unwrap();
        assert_eq!((tally.count(202), tally.unknown), (100, 0));
        assert_eq!(tally.others(202), None);
        assert_eq!(tally.others(302).as_deref(), Some("100 × 202"));
    }

    #[tokio::test]
    async fn an_open_loop_counts_the_time_a_request_waits_for_a_connection() {
        // One connection that takes 20 ms for each request, and a request every 10 ms.
        let address = server(b"HTTP/1.1 302 Found\r\n\r\n", Duration::from_millis(20)).await;
        let tally = pump(address, 1)
            .open(100.0, Duration::from_millis(300))
            .await
            .unwrap();
        let last = tally.answers.last().unwrap();
        assert!(last.took_ms > 100.0, "{last:?}");
        assert_eq!(tally.answers.len(), 30);
        assert_eq!(last.sent, 30);
    }

    #[tokio::test]
    async fn a_request_with_an_incomplete_response_is_counted_as_unknown() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let _ = stream.read(&mut [0; 64]).await;
                stream
                    .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhel")
                    .await
                    .unwrap();
            }
        });
        let tally = pump(address, 1).closed(Until::Sent(3)).await.unwrap();
        assert_eq!((tally.count(200), tally.unknown), (0, 3));
        assert_eq!(tally.others(200).as_deref(), Some("3 unanswered"));
    }
}
