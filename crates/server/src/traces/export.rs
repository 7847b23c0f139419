//! Task that sends spans to the collector.

use std::error::Error;
use std::time::{Duration, Instant};

use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::header::{CONNECTION, CONTENT_TYPE, HOST, USER_AGENT};
use hyper::{Request, StatusCode};
use telemetry::catalog;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{timeout, timeout_at};
use url::Url;

use super::otlp::{self, Resource};
use super::span::TraceSpan;
use crate::outgoing::{connect, public_authorities, target};

/// Most spans of a request.
const MAX_BATCH: usize = 512;
/// Longest time that a span waits for others.
const BATCH_TIME: Duration = Duration::from_secs(2);
/// Longest time of a request, with its connection.
const EXPORT_TIMEOUT: Duration = Duration::from_secs(5);
/// Longest time for the last spans when the server stops.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(3);
/// Shortest time between two warnings.
const WARNING_INTERVAL: Duration = Duration::from_secs(300);
/// Most bytes of a response that are read.
const MAX_RESPONSE_BYTES: usize = 64 * 1024;

/// Item of the queue of the exporter.
pub(super) enum Item {
    /// Span that has ended.
    Span(TraceSpan),
    /// Request to send all spans before it, and to confirm that.
    Flush(oneshot::Sender<()>),
}

/// Reason why the collector did not take spans.
type Refusal = Box<dyn Error + Send + Sync>;

/// Exporter before a runtime exists.
pub struct Exporter {
    endpoint: Url,
    sender: mpsc::Sender<Item>,
    receiver: mpsc::Receiver<Item>,
}

impl Exporter {
    pub(super) fn new(endpoint: Url, sender: mpsc::Sender<Item>, receiver: mpsc::Receiver<Item>) -> Self {
        Self {
            endpoint: traces_url(endpoint),
            sender,
            receiver,
        }
    }

    /// Exports spans for the rest of the process, on the current runtime.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    #[must_use]
    pub fn spawn(self) -> Exporting {
        // All series exist from the start: an increase from no value is not seen as one.
        for outcome in ["exported", "dropped", "failed"] {
            catalog::TRACE_SPANS.with(&[outcome]);
        }
        let worker = Worker {
            endpoint: self.endpoint,
            resource: Resource::of_process(),
            receiver: self.receiver,
            warned_at: None,
        };
        tokio::spawn(worker.run());
        Exporting(self.sender)
    }
}

/// Running exporter.
pub struct Exporting(mpsc::Sender<Item>);

impl Exporting {
    /// Sends the spans that wait, for at most three seconds.
    pub async fn flush(self) {
        let flushed = async {
            let (confirm, confirmed) = oneshot::channel();
            if self.0.send(Item::Flush(confirm)).await.is_ok() {
                // Fails only if the task has ended.
                let _ = confirmed.await;
            }
        };
        if timeout(FLUSH_TIMEOUT, flushed).await.is_err() {
            tracing::warn!("the last traces were not delivered: the collector does not answer");
        }
    }
}

/// URL of the traces below the base URL.
fn traces_url(mut base: Url) -> Url {
    let path = format!("{}/v1/traces", base.path().trim_end_matches('/'));
    base.set_path(&path);
    base
}

/// State of the task.
struct Worker {
    endpoint: Url,
    resource: Resource,
    receiver: mpsc::Receiver<Item>,
    /// Time of the last warning, while deliveries fail.
    warned_at: Option<Instant>,
}

impl Worker {
    async fn run(mut self) {
        let mut batch = Vec::with_capacity(MAX_BATCH);
        while let Some(first) = self.receiver.recv().await {
            let confirm = self.collect(first, &mut batch).await;
            self.deliver(&mut batch).await;
            if let Some(confirm) = confirm {
                // The server does not wait for it any more.
                let _ = confirm.send(());
            }
        }
    }

    /// Collects spans until the batch is full or old enough, or a flush ends it.
    async fn collect(&mut self, first: Item, batch: &mut Vec<TraceSpan>) -> Option<oneshot::Sender<()>> {
        let until = tokio::time::Instant::now() + BATCH_TIME;
        let mut next = Some(first);
        loop {
            match next {
                Some(Item::Span(span)) => batch.push(span),
                Some(Item::Flush(confirm)) => return Some(confirm),
                None => return None,
            }
            if batch.len() == MAX_BATCH {
                return None;
            }
            next = timeout_at(until, self.receiver.recv()).await.unwrap_or(None);
        }
    }

    /// Sends a batch. One that the collector does not take is dropped: traces are not worth a queue on disk.
    async fn deliver(&mut self, batch: &mut Vec<TraceSpan>) {
        if batch.is_empty() {
            return;
        }
        let count = u64::try_from(batch.len()).unwrap_or(u64::MAX);
        let body = otlp::request(&self.resource, batch);
        batch.clear();
        let sent = timeout(EXPORT_TIMEOUT, send(&self.endpoint, body)).await;
        match sent.unwrap_or_else(|_| Err("no response within 5 s".into())) {
            Ok(()) => {
                catalog::TRACE_SPANS.with(&["exported"]).add(count);
                if self.warned_at.take().is_some() {
                    tracing::info!("traces are delivered again");
                }
            }
            Err(error) => {
                catalog::TRACE_SPANS.with(&["failed"]).add(count);
                if self.warned_at.is_none_or(|at| at.elapsed() > WARNING_INTERVAL) {
                    self.warned_at = Some(Instant::now());
                    tracing::warn!(collector = %self.endpoint, %error, "traces not delivered");
                }
            }
        }
    }
}

async fn send(endpoint: &Url, body: Vec<u8>) -> Result<(), Refusal> {
    let stream = connect(endpoint, public_authorities()).await?;
    let (mut sender, connection) = http1::handshake(stream).await?;
    let driver = tokio::spawn(connection);
    let exchange = async {
        let request = Request::post(target(endpoint))
            .header(HOST, endpoint.authority())
            .header(USER_AGENT, concat!("clickledger/", env!("CARGO_PKG_VERSION")))
            .header(CONTENT_TYPE, "application/x-protobuf")
            .header(CONNECTION, "close")
            .body(Full::new(Bytes::from(body)))?;
        let response = sender.send_request(request).await?;
        let status = response.status();
        // Read to its end, so that the collector does not see a broken connection.
        Limited::new(response.into_body(), MAX_RESPONSE_BYTES)
            .collect()
            .await?;
        if status == StatusCode::OK {
            Ok(())
        } else {
            Err(Refusal::from(format!("the collector answered {status}")))
        }
    };
    let outcome = exchange.await;
    driver.abort();
    outcome
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn traces_are_below_the_base_url() {
        for (base, url) in [
            ("http://127.0.0.1:4318", "http://127.0.0.1:4318/v1/traces"),
            ("https://otel.example/a/", "https://otel.example/a/v1/traces"),
        ] {
            assert_eq!(traces_url(base.parse().unwrap()).as_str(), url);
        }
    }
}
