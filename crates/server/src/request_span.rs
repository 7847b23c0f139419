//! Spans of requests: each carries the id of its request, so that every log line inside names it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use actix_http::Request;
use actix_web::Error;
use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::http::{Method, StatusCode};
use actix_web::middleware::Next;
use postbacks::Target;
use schema::BASE32;
use telemetry::catalog;
use tracing::field::Empty;
use tracing::{Instrument as _, Span, debug_span, info_span};

/// Header with the id for the layers below; a value from the client is replaced.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Number of the next request on a tracking host.
static TRACKING_REQUESTS: AtomicU64 = AtomicU64::new(1);

/// Runs a request of the dashboard or the API in its span, and measures it. The layers below fill in `network`.
///
/// The span names the route and not the path, which may contain a one-time token.
pub(crate) async fn of_dashboard(
    mut request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let id = BASE32.encode(&rand::random::<[u8; 10]>());
    let began = Instant::now();
    let (method, route) = (request.method().clone(), request.match_pattern());
    let span = info_span!(
        "request",
        request_id = id,
        %method,
        route,
        network = Empty,
        status = Empty,
    );
    if let Ok(value) = HeaderValue::from_str(&id) {
        request.headers_mut().insert(REQUEST_ID, value);
    }
    let response = next.call(request).instrument(span.clone()).await;
    let status = match &response {
        Ok(response) => response.status(),
        Err(error) => error.as_response_error().status_code(),
    };
    span.record("status", status.as_u16());
    measure(&method, route.as_deref(), status, began);
    response
}

/// Records the duration of a request up to the head of its response. Methods and paths are words of the caller, so only
/// known ones become labels.
fn measure(method: &Method, route: Option<&str>, status: StatusCode, began: Instant) {
    let method = match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "OTHER",
    };
    let class = match status.as_u16() {
        ..300 => "2xx",
        300..400 => "3xx",
        400..500 => "4xx",
        _ => "5xx",
    };
    let route = route.unwrap_or("none");
    let durations = if route.starts_with("/api/") {
        &catalog::API_DURATION
    } else {
        &catalog::PAGE_DURATION
    };
    durations.record(&[method, route, class], began.elapsed());
}

/// Returns the span of a request on a tracking host; the spans of the intake inside have `network` and `postback`.
///
/// Enabled at the level debug, and for the sampled share of requests where traces are exported: a click must not pay for
/// it. Without path and query, which hold the data of callers.
pub(crate) fn of_tracking(request: &Request) -> Span {
    debug_span!(
        "request",
        request_id = TRACKING_REQUESTS.fetch_add(1, Ordering::Relaxed),
        method = %request.method(),
        route = route_of_tracking(request),
        status = Empty,
    )
}

/// Template of the target of a request on a tracking host.
fn route_of_tracking(request: &Request) -> Option<&'static str> {
    match Target::of(request.uri().path_and_query()?.as_str()) {
        Target::Postback { .. } => Some("/postback"),
        Target::Click { .. } => Some("/{alias}"),
        Target::Unknown => None,
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use actix_web::middleware::from_fn;
    use actix_web::test::{TestRequest, call_service, init_service};
    use actix_web::{App, web};
    use tracing::subscriber::DefaultGuard;

    use super::*;

    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);

    impl Log {
        /// Collects log lines until the guard is dropped.
        fn collect(&self, filter: &str) -> DefaultGuard {
            let log = self.clone();
            let subscriber = tracing_subscriber::fmt()
                .with_env_filter(filter)
                .with_ansi(false)
                .with_writer(move || log.clone())
                .finish();
            tracing::subscriber::set_default(subscriber)
        }
    }

    impl io::Write for Log {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[actix_web::test]
    async fn a_log_line_names_the_request_and_its_route_but_no_token() {
        let log = Log::default();
        let _guard = log.collect("info");
        let handler = || async {
            tracing::info!("inside");
            "ok"
        };
        let app = App::new()
            .wrap(from_fn(of_dashboard))
            .service(web::scope("").route("/setup/{token}", web::get().to(handler)));
        let request = TestRequest::get().uri("/setup/secret").to_request();
        call_service(&init_service(app).await, request).await;
        let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
        assert!(text.contains("request{request_id=\""), "{text}");
        assert!(text.contains("method=GET route=\"/setup/{token}\""), "{text}");
        assert!(!text.contains("secret"), "{text}");
    }

    #[test]
    fn a_tracking_request_has_a_span_at_level_debug_only() {
        let log = Log::default();
        for (filter, is_disabled) in [("info", true), ("debug", false)] {
            let _guard = log.collect(filter);
            assert_eq!(
                of_tracking(&Request::new()).is_disabled(),
                is_disabled,
                "{filter}"
            );
        }
    }
}
