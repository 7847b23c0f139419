//! HTTP server that receives deliveries and answers as a test asks.

use std::io::Write as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Behaviour of a receiver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Behaviour {
    /// Answers with this status.
    Status(u16),
    /// Answers with this status and a Retry-After of these seconds.
    RetryAfter(u16, u64),
    /// Redirects to the port of this machine.
    Redirect(u16),
    /// Takes the request and answers nothing.
    Silent,
    /// Answers 500 one byte every 100 ms.
    Drip,
    /// Answers 200 with a body that does not end.
    Endless,
    /// Answers 200 with 64 KiB of gzip that decompress to 64 MiB.
    GzipBomb,
    /// Answers 200 with this body.
    Answer(&'static str),
    /// Answers with this status and closes the connection.
    Closing(u16),
    /// Answers 200 after this number of milliseconds.
    Slow(u64),
}

/// Received request.
#[derive(Debug, Clone)]
pub struct Received {
    /// Method.
    pub method: String,
    /// Path and query.
    pub target: String,
    /// Headers with names in lower case.
    pub headers: Vec<(String, String)>,
    /// Body as text.
    pub body: String,
}

impl Received {
    /// Returns the value of a header; empty without one.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map_or("", |(_, value)| value)
    }
}

/// Running receiver. Stops when dropped.
pub struct Receiver {
    /// Port.
    pub port: u16,
    received: Arc<Mutex<Vec<Received>>>,
    behaviour: Arc<Mutex<Behaviour>>,
    running: tokio::task::JoinHandle<()>,
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.running.abort();
    }
}

impl Receiver {
    /// Starts a receiver on a free port.
    ///
    /// # Panics
    /// Without a free port.
    pub async fn start(behaviour: Behaviour) -> Self {
        Self::start_at("127.0.0.1:0", behaviour).await
    }

    /// Starts a receiver at an address.
    ///
    /// # Panics
    /// If the address is in use.
    pub async fn start_at(address: &str, behaviour: Behaviour) -> Self {
        let listener = TcpListener::bind(address).await.expect("a free address");
        let port = listener.local_addr().expect("bound").port();
        let received = Arc::new(Mutex::new(Vec::new()));
        let behaviour = Arc::new(Mutex::new(behaviour));
        let (log, mode) = (received.clone(), behaviour.clone());
        let running = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (log, mode) = (log.clone(), mode.clone());
                tokio::spawn(async move { serve(stream, &log, &mode).await });
            }
        });
        Self {
            port,
            received,
            behaviour,
            running,
        }
    }

    /// Returns the base URL.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Changes the behaviour for requests from now on.
    pub fn behave(&self, behaviour: Behaviour) {
        *self.behaviour.lock().unwrap_or_else(PoisonError::into_inner) = behaviour;
    }

    /// Returns what was received so far.
    #[must_use]
    pub fn received(&self) -> Vec<Received> {
        self.received
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Waits until this many requests were received, and returns them.
    ///
    /// # Panics
    /// After 20 s.
    pub async fn wait_for(&self, count: usize) -> Vec<Received> {
        for _ in 0..400 {
            let received = self.received();
            if received.len() >= count {
                return received;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("{count} requests were expected: {:#?}", self.received());
    }
}

async fn serve(mut stream: TcpStream, log: &Mutex<Vec<Received>>, mode: &Mutex<Behaviour>) {
    let mut bytes = Vec::new();
    loop {
        let Some(request) = read_request(&mut stream, &mut bytes).await else {
            return;
        };
        log.lock().unwrap_or_else(PoisonError::into_inner).push(request);
        let behaviour = *mode.lock().unwrap_or_else(PoisonError::into_inner);
        let written = match behaviour {
            Behaviour::Status(status) => {
                let body = format!("status {status}");
                let head = format!("HTTP/1.1 {status} Test\r\nContent-Length: {}\r\n\r\n", body.len());
                stream.write_all(format!("{head}{body}").as_bytes()).await
            }
            Behaviour::RetryAfter(status, seconds) => {
                let head =
                    format!("HTTP/1.1 {status} Test\r\nRetry-After: {seconds}\r\nContent-Length: 0\r\n\r\n");
                stream.write_all(head.as_bytes()).await
            }
            Behaviour::Redirect(port) => {
                let head = format!(
                    "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:{port}/canary\r\nContent-Length: 0\r\n\r\n"
                );
                stream.write_all(head.as_bytes()).await
            }
            Behaviour::Silent => {
                tokio::time::sleep(Duration::from_secs(3600)).await;
                Ok(())
            }
            Behaviour::Drip => drip(&mut stream).await,
            Behaviour::Endless => endless(&mut stream).await,
            Behaviour::GzipBomb => stream.write_all(&gzip_bomb()).await,
            Behaviour::Closing(status) => {
                let head =
                    format!("HTTP/1.1 {status} Test\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
                let _ = stream.write_all(head.as_bytes()).await;
                return;
            }
            Behaviour::Answer(body) => {
                let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
                stream.write_all(format!("{head}{body}").as_bytes()).await
            }
            Behaviour::Slow(millis) => {
                tokio::time::sleep(Duration::from_millis(millis)).await;
                let head = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
                stream.write_all(head.as_bytes()).await
            }
        };
        if written.is_err() {
            return;
        }
    }
}

/// Response whose body is a gzip of zeros.
fn gzip_bomb() -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    for _ in 0..64 {
        encoder.write_all(&[0; 1024 * 1024]).expect("memory");
    }
    let body = encoder.finish().expect("memory");
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), &body].concat()
}

async fn drip(stream: &mut TcpStream) -> std::io::Result<()> {
    for byte in b"HTTP/1.1 500 Slow\r\nX-Filler: "
        .iter()
        .chain(std::iter::repeat(&b'a'))
    {
        stream.write_all(&[*byte]).await?;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Ok(())
}

async fn endless(stream: &mut TcpStream) -> std::io::Result<()> {
    stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await?;
    loop {
        stream.write_all(&[b'x'; 16 * 1024]).await?;
    }
}

async fn read_request(stream: &mut TcpStream, bytes: &mut Vec<u8>) -> Option<Received> {
    let end = loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break end;
        }
        if stream.read_buf(bytes).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let mut lines = head.split("\r\n");
    let mut first = lines.next()?.split(' ');
    let (method, target) = (first.next()?.to_owned(), first.next()?.to_owned());
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_lowercase(), value.trim().to_owned()))
        .collect();
    let length = headers.iter().find(|(name, _)| name == "content-length");
    let length: usize = length.and_then(|(_, value)| value.parse().ok()).unwrap_or(0);
    let body_start = end + 4;
    while bytes.len() < body_start + length {
        if stream.read_buf(bytes).await.ok()? == 0 {
            return None;
        }
    }
    let body = String::from_utf8_lossy(&bytes[body_start..body_start + length]).into_owned();
    bytes.drain(..body_start + length);
    Some(Received {
        method,
        target,
        headers,
        body,
    })
}
