//! Traces for an OpenTelemetry collector, made of the spans of the program.
//!
//! A span that is not sampled is never created, so the intake pays a random number and no more. Spans that have ended wait
//! in a bounded queue, from which one task sends batches; what does not fit or is not taken is counted and dropped.
//!
//! The crates of OpenTelemetry are not used: a request of OTLP takes a hundred lines, and the decision before a span is
//! created, the list of exported fields and the counters of lost spans would have to be built around them.

use tokio::sync::mpsc;
use tracing::Subscriber;
use tracing_subscriber::Layer;
use tracing_subscriber::registry::LookupSpan;
use url::Url;

mod export;
mod otlp;
mod protobuf;
mod sampling;
mod span;

pub use export::{Exporter, Exporting};

/// Most spans that wait for the exporter: a few megabytes.
const MAX_WAITING_SPANS: usize = 8192;

/// Settings of traces.
#[derive(Debug, Clone)]
pub struct TraceSettings {
    /// Base URL of the collector.
    pub endpoint: Url,
    /// Share of the traces that are made, from 0 to 1.
    pub ratio: f64,
}

/// Creates the layer that turns spans into traces, and the exporter of what it collects.
pub(crate) fn start<S>(settings: TraceSettings) -> (Box<dyn Layer<S> + Send + Sync>, Exporter)
where
    S: Subscriber + for<'span> LookupSpan<'span>,
{
    let (sender, receiver) = mpsc::channel(MAX_WAITING_SPANS);
    let layer = span::SpanLayer::new(sender.clone());
    let sampled = layer.with_filter(sampling::Sampling::new(settings.ratio));
    (
        sampled.boxed(),
        Exporter::new(settings.endpoint, sender, receiver),
    )
}
