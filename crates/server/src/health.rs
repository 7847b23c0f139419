//! `/health/…`, on every listener.

use actix_http::body::BoxBody;
use actix_http::{Response, StatusCode};
use tracking::Tracker;

/// `GET /health/live`: 200 while the process answers at all.
pub(crate) fn live() -> Response<BoxBody> {
    Response::build(StatusCode::OK)
        .content_type("text/plain; charset=utf-8")
        .body("ok\n")
        .map_into_boxed_body()
}

/// `GET /health/ready`: 200 while clicks and postbacks are taken, 503 when the node's journals take nothing or it is
/// about to stop. Whether Postgres answers does not matter for that; what does matter is in the body.
pub(crate) fn ready(tracker: &Tracker) -> Response<BoxBody> {
    let condition = tracker.condition();
    let status = match condition.ready {
        true => StatusCode::OK,
        false => StatusCode::SERVICE_UNAVAILABLE,
    };
    Response::build(status)
        .content_type("application/json")
        .body(serde_json::to_string(&condition).unwrap_or_default())
        .map_into_boxed_body()
}
