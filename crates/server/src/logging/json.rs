//! Log line as a JSON object.

use std::error::Error;
use std::fmt;

use chrono::SecondsFormat;
use schema::clock;
use serde::Serialize;
use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, FormattedFields};
use tracing_subscriber::registry::LookupSpan;

/// Field of a span that identifies the request.
const REQUEST_ID: &str = "request_id";

/// Format of a line: timestamp, level, target, message, ID of the request, fields, and the spans around it, the outermost
/// first.
pub(super) struct JsonLine;

#[derive(Serialize)]
struct Line {
    timestamp: String,
    level: &'static str,
    target: String,
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<Value>,
    #[serde(skip_serializing_if = "Map::is_empty")]
    fields: Map<String, Value>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    spans: Vec<Map<String, Value>>,
}

impl<S, N> FormatEvent<S, N> for JsonLine
where
    S: Subscriber + for<'span> LookupSpan<'span>,
    N: for<'writer> FormatFields<'writer> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut values = Values::default();
        event.record(&mut values);
        // Records of the crate `log` have their target in a field.
        let target = match values.0.remove("log.target") {
            Some(Value::String(target)) => target,
            _ => event.metadata().target().to_owned(),
        };
        values.0.retain(|name, _| !name.starts_with("log."));
        let message = match values.0.remove("message") {
            Some(Value::String(message)) => message,
            Some(other) => other.to_string(),
            None => String::new(),
        };
        let spans: Vec<_> = context
            .event_scope()
            .into_iter()
            .flat_map(|scope| scope.from_root())
            .map(|span| {
                let extensions = span.extensions();
                let fields = extensions.get::<FormattedFields<N>>();
                let mut fields: Map<String, Value> = fields
                    .and_then(|fields| serde_json::from_str(&fields.fields).ok())
                    .unwrap_or_default();
                fields.insert("name".to_owned(), span.name().into());
                fields
            })
            .collect();
        let line = Line {
            timestamp: clock::now().to_rfc3339_opts(SecondsFormat::Micros, true),
            level: event.metadata().level().as_str(),
            target,
            message,
            request_id: spans.iter().find_map(|span| span.get(REQUEST_ID).cloned()),
            fields: values.0,
            spans,
        };
        let text = serde_json::to_string(&line).map_err(|_| fmt::Error)?;
        writeln!(writer, "{text}")
    }
}

/// Fields of an event as JSON.
#[derive(Default)]
struct Values(Map<String, Value>);

impl Values {
    fn insert(&mut self, field: &Field, value: impl Into<Value>) {
        self.0.insert(field.name().to_owned(), value.into());
    }
}

impl Visit for Values {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.insert(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.insert(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.insert(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.insert(field, value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.insert(field, value);
    }

    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        self.insert(field, value.to_string());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.insert(field, format!("{value:?}"));
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use tracing::{debug_span, info_span};
    use tracing_subscriber::fmt::format::JsonFields;
    use tracing_subscriber::layer::SubscriberExt as _;
    use tracing_subscriber::{fmt, registry};

    use super::*;

    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Log {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_line_has_message_fields_spans_and_the_id_of_the_request() {
        let log = Log::default();
        let writer = log.clone();
        let layer = fmt::layer()
            .with_ansi(false)
            .fmt_fields(JsonFields::new())
            .event_format(JsonLine)
            .with_writer(move || writer.clone());
        let _guard = tracing::subscriber::set_default(registry().with(layer));
        info_span!("request", request_id = "abc", route = "/reports").in_scope(|| {
            debug_span!("query", rows = 3).in_scope(|| {
                tracing::warn!(left = 7, share = 0.5, quoted = "a\"b\n", "almost\nfull");
            });
        });
        tracing::info!("alone");
        let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
        let lines: Vec<Value> = text
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert_eq!(lines.len(), 2, "{text}");
        let line = &lines[0];
        assert_eq!(line["level"], "WARN");
        assert_eq!(line["message"], "almost\nfull");
        assert_eq!(line["request_id"], "abc");
        assert_eq!(line["target"], module_path!());
        assert_eq!(
            line["fields"],
            serde_json::json!({"left": 7, "share": 0.5, "quoted": "a\"b\n"})
        );
        assert_eq!(line["spans"][0]["name"], "request");
        assert_eq!(line["spans"][0]["route"], "/reports");
        assert_eq!(line["spans"][1]["rows"], 3);
        let time = line["timestamp"].as_str().unwrap();
        assert!(time.ends_with('Z') && time.len() == 27, "{time}");
        assert_eq!(lines[1].get("request_id"), None);
        assert_eq!(lines[1].get("spans"), None);
    }
}
