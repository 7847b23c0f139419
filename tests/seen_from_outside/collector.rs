//! Collector of OpenTelemetry in the test: reads requests, and decodes them with the official definitions.

use std::sync::{Arc, Mutex};

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use prost::Message as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// Collector on a free port.
pub(crate) struct Collector {
    pub(crate) url: String,
    bodies: Arc<Mutex<Vec<Vec<u8>>>>,
}

/// Span that arrived.
#[derive(Debug)]
pub(crate) struct Received {
    pub(crate) service: String,
    pub(crate) name: String,
    pub(crate) trace: Vec<u8>,
    pub(crate) id: Vec<u8>,
    pub(crate) parent: Vec<u8>,
    pub(crate) is_of_server: bool,
    pub(crate) began: u64,
    pub(crate) ended: u64,
    attributes: Vec<KeyValue>,
}

impl Received {
    /// Attribute with a text; empty without it.
    pub(crate) fn text(&self, name: &str) -> String {
        text(&self.attributes, name)
    }

    /// Attribute with a number; 0 without it.
    pub(crate) fn number(&self, name: &str) -> i64 {
        match value(&self.attributes, name) {
            Some(Value::IntValue(number)) => *number,
            _ => 0,
        }
    }
}

fn value<'a>(attributes: &'a [KeyValue], name: &str) -> Option<&'a Value> {
    let pair = attributes.iter().find(|pair| pair.key == name)?;
    pair.value.as_ref()?.value.as_ref()
}

fn text(attributes: &[KeyValue], name: &str) -> String {
    match value(attributes, name) {
        Some(Value::StringValue(text)) => text.clone(),
        _ => String::new(),
    }
}

impl Collector {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/base", listener.local_addr().unwrap());
        let bodies = Arc::<Mutex<Vec<Vec<u8>>>>::default();
        let received = bodies.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let body = receive(stream).await;
                received.lock().unwrap().push(body);
            }
        });
        Self { url, bodies }
    }

    /// Bodies of all requests so far.
    pub(crate) fn bodies(&self) -> Vec<Vec<u8>> {
        self.bodies.lock().unwrap().clone()
    }

    /// Spans of all requests so far.
    pub(crate) fn spans(&self) -> Vec<Received> {
        let mut spans = Vec::new();
        for body in self.bodies() {
            let request = ExportTraceServiceRequest::decode(body.as_slice()).unwrap();
            for of_resource in request.resource_spans {
                let service = text(&of_resource.resource.unwrap().attributes, "service.name");
                for span in of_resource.scope_spans.into_iter().flat_map(|scope| scope.spans) {
                    assert_eq!((span.trace_id.len(), span.span_id.len()), (16, 8));
                    spans.push(Received {
                        service: service.clone(),
                        is_of_server: span.kind() == SpanKind::Server,
                        name: span.name,
                        trace: span.trace_id,
                        id: span.span_id,
                        parent: span.parent_span_id,
                        began: span.start_time_unix_nano,
                        ended: span.end_time_unix_nano,
                        attributes: span.attributes,
                    });
                }
            }
        }
        spans
    }
}

/// Reads a request, responds to it, and returns its body.
async fn receive(mut stream: TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    let head = loop {
        stream.read_buf(&mut bytes).await.unwrap();
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break end + 4;
        }
    };
    let text = String::from_utf8(bytes[..head].to_vec()).unwrap().to_lowercase();
    assert!(text.starts_with("post /base/v1/traces http/1.1\r\n"), "{text}");
    assert!(
        text.contains("\r\ncontent-type: application/x-protobuf\r\n"),
        "{text}"
    );
    let (_, rest) = text.split_once("content-length: ").unwrap();
    let length: usize = rest.lines().next().unwrap().trim().parse().unwrap();
    while bytes.len() < head + length {
        stream.read_buf(&mut bytes).await.unwrap();
    }
    let response = b"HTTP/1.1 200 OK\r\ncontent-type: application/x-protobuf\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
    stream.write_all(response).await.unwrap();
    bytes.split_off(head)
}
