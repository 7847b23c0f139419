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

/// `GET /health/ready`: 200 while the node takes clicks and postbacks, 503 when a journal takes nothing or it is about to
/// stop, whether or not Postgres answers. Where visitors are redirected without their clicks, those may fail. The body has the details.
pub(crate) fn ready(tracker: &Tracker) -> Response<BoxBody> {
    let health = tracker.health();
    let status = if health.ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    match serde_json::to_string(&health) {
        Ok(body) => Response::build(status)
            .content_type("application/json")
            .body(body)
            .map_into_boxed_body(),
        Err(error) => {
            tracing::error!(%error, "health not serialised");
            Response::internal_server_error().map_into_boxed_body()
        }
    }
}
