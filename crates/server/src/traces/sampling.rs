//! Decision which spans exist: those of a sampled trace.

use tracing::Metadata;
use tracing::level_filters::LevelFilter;
use tracing::subscriber::{Interest, Subscriber};
use tracing_subscriber::layer::{Context, Filter};
use tracing_subscriber::registry::LookupSpan;

/// Spans with which a trace begins, by name. A span of another name is part of a trace or in none: without this list, the
/// inner spans of a request that is not sampled would be traces themselves.
const ROOTS: [&str; 6] = [
    "request",
    "apply",
    "send_due",
    "prepare_due",
    "watch",
    "fetch_reference_rates",
];

/// Crates whose spans are exported, by the beginning of their module paths.
const CRATES: [&str; 11] = [
    "api",
    "campaigns",
    "conversions",
    "dashboard",
    "journal",
    "monitoring",
    "postbacks",
    "reports",
    "server",
    "tenancy",
    "tracking",
];

/// Filter that lets a share of the traces through, each as a whole.
pub(super) struct Sampling {
    ratio: f64,
}

impl Sampling {
    pub(super) fn new(ratio: f64) -> Self {
        Self { ratio }
    }
}

/// True for a span of ours. Events are left out: log lines may name a mail address.
fn is_exported(metadata: &Metadata<'_>) -> bool {
    let owner = metadata.target().split("::").next().unwrap_or_default();
    metadata.is_span() && CRATES.contains(&owner)
}

impl<S> Filter<S> for Sampling
where
    S: Subscriber + for<'span> LookupSpan<'span>,
{
    fn enabled(&self, metadata: &Metadata<'_>, context: &Context<'_, S>) -> bool {
        if !is_exported(metadata) {
            return false;
        }
        if context.lookup_current().is_some() {
            return true;
        }
        ROOTS.contains(&metadata.name()) && rand::random::<f64>() < self.ratio
    }

    fn callsite_enabled(&self, metadata: &'static Metadata<'static>) -> Interest {
        if is_exported(metadata) {
            Interest::sometimes()
        } else {
            Interest::never()
        }
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        // The spans of the intake have the levels debug and trace.
        Some(LevelFilter::TRACE)
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc;
    use tracing::{info_span, trace_span};
    use tracing_subscriber::layer::SubscriberExt as _;
    use tracing_subscriber::{Layer as _, registry};

    use super::super::export::Item;
    use super::super::span::{SpanLayer, TraceSpan};
    use super::*;

    /// Spans that end while `work` runs.
    fn collect(ratio: f64, work: impl Fn()) -> Vec<TraceSpan> {
        let (sender, mut receiver) = mpsc::channel(10_000);
        let layer = SpanLayer::new(sender).with_filter(Sampling::new(ratio));
        tracing::subscriber::with_default(registry().with(layer), work);
        let mut spans = Vec::new();
        while let Ok(item) = receiver.try_recv() {
            if let Item::Span(span) = item {
                spans.push(span);
            }
        }
        spans
    }

    fn request() {
        info_span!("request", method = "GET", token = "secret").in_scope(|| {
            trace_span!("record", link = 7, email = "a@example.com").in_scope(|| {
                tracing::error!(token = "secret", "an event");
            });
        });
        info_span!("record").in_scope(|| {});
        info_span!(target: "hyper", "request").in_scope(|| {});
    }

    #[test]
    fn a_trace_is_exported_as_a_whole_or_not_at_all() {
        assert!(collect(0.0, request).is_empty());
        let spans = collect(1.0, request);
        let [record, request] = spans.as_slice() else {
            panic!("{spans:?}")
        };
        assert_eq!(record.parent, Some(request.id));
        assert_eq!(record.trace_id, request.trace_id);
        assert_eq!((request.name().as_str(), request.parent), ("GET", None));
        let fields = format!("{:?} {:?}", request.attributes, record.attributes);
        assert!(fields.contains("Number(7)"), "{fields}");
        for hidden in ["secret", "example", "token", "email"] {
            assert!(!fields.contains(hidden), "{fields}");
        }
        let sampled = collect(0.5, || (0..1000).for_each(|_| super::tests::request()));
        let roots = sampled.iter().filter(|span| span.parent.is_none()).count();
        assert_eq!(sampled.len(), 2 * roots, "each root has its child");
        assert!((350..650).contains(&roots), "{roots}");
    }

    #[test]
    fn spans_that_find_no_room_are_counted() {
        let dropped = telemetry::catalog::TRACE_SPANS.with(&["dropped"]);
        let before = dropped.get();
        let (sender, receiver) = mpsc::channel(1);
        let layer = SpanLayer::new(sender).with_filter(Sampling::new(1.0));
        tracing::subscriber::with_default(registry().with(layer), request);
        assert_eq!(dropped.get() - before, 1);
        drop(receiver);
    }
}
