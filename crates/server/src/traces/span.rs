//! Layer that collects the spans of traces.

use std::fmt;

use chrono::{DateTime, Utc};
use schema::clock;
use telemetry::catalog;
use tokio::sync::mpsc;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Subscriber, span};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

use super::export::Item;

/// Fields that are exported, and the names of their attributes. All others stay in the process: an attribute must not
/// hold a secret, text of a caller, or anything about a person.
const ATTRIBUTES: [(&str, &str); 15] = [
    ("method", "http.request.method"),
    ("route", "http.route"),
    ("status", STATUS),
    ("request_id", "clickledger.request_id"),
    ("network", "clickledger.network"),
    ("link", "clickledger.link"),
    ("postback", "clickledger.postback"),
    ("conversion", "clickledger.conversion"),
    ("stream", "clickledger.stream"),
    ("first", "clickledger.first"),
    ("records", "clickledger.records"),
    ("postbacks", "clickledger.postbacks"),
    ("cache", "clickledger.cache"),
    ("segment", "clickledger.segment"),
    ("due", "clickledger.due"),
];

/// Attribute of the status of a response.
const STATUS: &str = "http.response.status_code";

/// Value of an attribute.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    Text(String),
    Number(i64),
    Flag(bool),
}

/// Span of a trace.
#[derive(Debug)]
pub(super) struct TraceSpan {
    pub(super) trace_id: [u8; 16],
    pub(super) id: [u8; 8],
    /// Span around it; `None` for that with which the trace begins.
    pub(super) parent: Option<[u8; 8]>,
    name: &'static str,
    pub(super) began: DateTime<Utc>,
    /// End; its beginning while it is open.
    pub(super) ended: DateTime<Utc>,
    pub(super) attributes: Vec<(&'static str, Value)>,
}

impl TraceSpan {
    fn attribute(&self, name: &str) -> Option<&Value> {
        let mut attributes = self.attributes.iter();
        attributes
            .find(|(known, _)| *known == name)
            .map(|(_, value)| value)
    }

    /// Name: method and route of a request, otherwise the name of the span in the code.
    pub(super) fn name(&self) -> String {
        let text = |name| match self.attribute(name) {
            Some(Value::Text(text)) => Some(text),
            _ => None,
        };
        match (text("http.request.method"), text("http.route")) {
            (Some(method), Some(route)) => format!("{method} {route}"),
            (Some(method), None) => method.clone(),
            _ => self.name.to_owned(),
        }
    }

    /// True for a request that this server answers.
    pub(super) fn is_of_server(&self) -> bool {
        self.parent.is_none() && self.attribute("http.request.method").is_some()
    }

    /// True if the server failed.
    pub(super) fn is_error(&self) -> bool {
        matches!(self.attribute(STATUS), Some(Value::Number(status)) if *status >= 500)
    }
}

/// Layer that collects spans and hands those that have ended to the exporter. Never waits.
pub(super) struct SpanLayer {
    sender: mpsc::Sender<Item>,
}

impl SpanLayer {
    pub(super) fn new(sender: mpsc::Sender<Item>) -> Self {
        Self { sender }
    }
}

impl<S> Layer<S> for SpanLayer
where
    S: Subscriber + for<'span> LookupSpan<'span>,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &span::Id, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        let parent = span.parent().and_then(|parent| {
            let extensions = parent.extensions();
            let open = extensions.get::<TraceSpan>();
            open.map(|open| (open.trace_id, open.id))
        });
        let now = clock::now();
        let mut opened = TraceSpan {
            trace_id: parent.map_or_else(rand::random, |(trace_id, _)| trace_id),
            id: rand::random(),
            parent: parent.map(|(_, id)| id),
            name: span.name(),
            began: now,
            ended: now,
            attributes: Vec::new(),
        };
        attributes.record(&mut opened);
        span.extensions_mut().insert(opened);
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        if let Some(span) = context.span(id)
            && let Some(open) = span.extensions_mut().get_mut::<TraceSpan>()
        {
            values.record(open);
        }
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        let ended = context
            .span(&id)
            .and_then(|span| span.extensions_mut().remove::<TraceSpan>());
        if let Some(mut span) = ended {
            span.ended = clock::now();
            if self.sender.try_send(Item::Span(span)).is_err() {
                catalog::TRACE_SPANS.with(&["dropped"]).add(1);
            }
        }
    }
}

impl TraceSpan {
    fn set(&mut self, field: &Field, value: Value) {
        let Some((_, name)) = ATTRIBUTES.iter().find(|(known, _)| *known == field.name()) else {
            return;
        };
        // Other spans have a status of a network in a field of that name.
        if *name == STATUS && !matches!(value, Value::Number(_)) {
            return;
        }
        self.attributes.retain(|(known, _)| known != name);
        self.attributes.push((name, value));
    }
}

impl Visit for TraceSpan {
    fn record_i64(&mut self, field: &Field, value: i64) {
        self.set(field, Value::Number(value));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.set(field, Value::Number(i64::try_from(value).unwrap_or(i64::MAX)));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.set(field, Value::Flag(value));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.set(field, Value::Text(value.to_owned()));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // Formatted only if it is exported.
        if ATTRIBUTES.iter().any(|(known, _)| *known == field.name()) {
            self.set(field, Value::Text(format!("{value:?}")));
        }
    }
}
