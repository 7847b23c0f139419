//! Spans of requests: each carries the id of its request, so that every log line inside names it.

use std::sync::atomic::{AtomicU64, Ordering};

use actix_http::Request;
use actix_web::Error;
use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::middleware::Next;
use schema::BASE32;
use tracing::field::Empty;
use tracing::{Instrument as _, Span, debug_span, info_span};

/// Header with the id for the layers below; a value from the client is replaced.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Number of the next request on a tracking host.
static TRACKING_REQUESTS: AtomicU64 = AtomicU64::new(1);

/// Runs a request of the dashboard or the API in its span. The layers below fill in `network`.
///
/// The span names the route and not the path, which may contain a one-time token.
pub(crate) async fn of_dashboard(
    mut request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let id = BASE32.encode(&rand::random::<[u8; 10]>());
    let span = info_span!(
        "request",
        id,
        method = %request.method(),
        route = request.match_pattern(),
        network = Empty,
    );
    if let Ok(value) = HeaderValue::from_str(&id) {
        request.headers_mut().insert(REQUEST_ID, value);
    }
    next.call(request).instrument(span).await
}

/// Returns the span of a request on a tracking host; the intake fills in `network` and `postback`.
///
/// Enabled at the level debug only: a click must not pay for it. Without path and query, which hold the data of callers.
pub(crate) fn of_tracking(request: &Request) -> Span {
    debug_span!(
        "request",
        id = TRACKING_REQUESTS.fetch_add(1, Ordering::Relaxed),
        method = %request.method(),
        network = Empty,
        postback = Empty,
    )
}
