//! Spans of requests: each carries the id of its request, so that every log line inside names it.

use std::sync::atomic::{AtomicU64, Ordering};

use actix_http::Request;
use actix_web::Error;
use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::middleware::Next;
use tracing::field::Empty;
use tracing::{Instrument as _, Span, debug_span, info_span};

/// Requests of the tracking hosts that have had a span, which numbers them.
static TRACKING_REQUESTS: AtomicU64 = AtomicU64::new(0);

/// Runs a request of the dashboard or the API in its span. The handlers fill in `request_id` and `network`.
///
/// The span names the route and not the path, which may contain a one-time token.
pub(crate) async fn of_dashboard(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let span = info_span!(
        "request",
        request_id = Empty,
        method = %request.method(),
        route = request.match_pattern(),
        network = Empty,
    );
    next.call(request).instrument(span).await
}

/// Returns the span of a request on a tracking host; the intake fills in `network` and `postback`.
///
/// Enabled at the level debug only: a click must not pay for it. Without path and query, which hold the data of callers.
pub(crate) fn of_tracking(request: &Request) -> Span {
    debug_span!(
        "request",
        request_id = TRACKING_REQUESTS.fetch_add(1, Ordering::Relaxed),
        method = %request.method(),
        network = Empty,
        postback = Empty,
    )
}
