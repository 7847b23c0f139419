//! Request of OTLP that delivers spans.
//!
//! Field numbers: `opentelemetry/proto/collector/trace/v1/trace_service.proto` and the files that it names.

use chrono::{DateTime, Utc};

use super::protobuf::Message;
use super::span::{TraceSpan, Value};

const KIND_INTERNAL: i64 = 1;
const KIND_SERVER: i64 = 2;
const STATUS_ERROR: i64 = 2;

/// Description of this process, the same for all spans.
#[derive(Debug, Clone)]
pub(super) struct Resource {
    attributes: Vec<(&'static str, Value)>,
}

impl Resource {
    pub(super) fn of_process() -> Self {
        let host = nix::unistd::gethostname().unwrap_or_default();
        let text = |text: &str| Value::Text(text.to_owned());
        Self {
            attributes: vec![
                ("service.name", text("clickledger")),
                ("service.version", text(env!("CARGO_PKG_VERSION"))),
                ("host.name", text(&host.to_string_lossy())),
                ("process.pid", Value::Number(std::process::id().into())),
            ],
        }
    }
}

/// Encodes an `ExportTraceServiceRequest`.
pub(super) fn request(resource: &Resource, spans: &[TraceSpan]) -> Vec<u8> {
    Message::encode(|request| {
        request.message(1, |resource_spans| {
            resource_spans.message(1, |message| add_attributes(message, 1, &resource.attributes));
            resource_spans.message(2, |scope_spans| {
                scope_spans.message(1, |scope| scope.text(1, "clickledger"));
                for span in spans {
                    scope_spans.message(2, |message| add_span(message, span));
                }
            });
        });
    })
}

fn add_span(message: &mut Message, span: &TraceSpan) {
    message.bytes(1, &span.trace_id);
    message.bytes(2, &span.id);
    if let Some(parent) = &span.parent {
        message.bytes(4, parent);
    }
    message.text(5, &span.name());
    let kind = if span.is_of_server() {
        KIND_SERVER
    } else {
        KIND_INTERNAL
    };
    message.number(6, kind);
    message.fixed64(7, nanos(span.began));
    message.fixed64(8, nanos(span.ended));
    add_attributes(message, 9, &span.attributes);
    if span.is_error() {
        message.message(15, |status| status.number(3, STATUS_ERROR));
    }
}

fn add_attributes(message: &mut Message, field: u64, attributes: &[(&'static str, Value)]) {
    for (name, value) in attributes {
        message.message(field, |pair| {
            pair.text(1, name);
            pair.message(2, |any| match value {
                Value::Text(text) => any.text(1, text),
                Value::Flag(flag) => any.number(2, i64::from(*flag)),
                Value::Number(number) => any.number(3, *number),
            });
        });
    }
}

/// Nanoseconds since 1970.
fn nanos(at: DateTime<Utc>) -> u64 {
    at.timestamp_nanos_opt()
        .and_then(|nanos| nanos.try_into().ok())
        .unwrap_or_default()
}
