//! Outermost middleware of the API: request ID, tracing span, security headers, and the bodies of error responses.

use actix_web::body::{BoxBody, EitherBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::StatusCode;
use actix_web::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, HeaderValue, REFERRER_POLICY,
    RETRY_AFTER, STRICT_TRANSPORT_SECURITY, X_CONTENT_TYPE_OPTIONS,
};
use actix_web::middleware::Next;
use actix_web::web::Data;
use actix_web::{Error, HttpResponse, ResponseError};
use schema::{ApiKeyId, BASE32};
use serde_json::json;
use tenancy::Actor;
use tracing::field::{Empty, display};
use tracing::{Instrument as _, Span};

use crate::error::ApiError;
use crate::header::header_value;
use crate::state::Api;

/// Request ID, in every response; error bodies repeat it.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Headers of every response.
const HEADERS: [(HeaderName, &str); 5] = [
    (CACHE_CONTROL, "no-store"),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (
        CONTENT_SECURITY_POLICY,
        "default-src 'none'; frame-ancestors 'none'",
    ),
    (REFERRER_POLICY, "no-referrer"),
    // Browsers obey it on https only.
    (STRICT_TRANSPORT_SECURITY, "max-age=31536000; includeSubDomains"),
];

/// Assigns the request ID, opens the span of the request, adds the security headers, and writes the bodies of errors.
pub(crate) async fn handle(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let request_id = request_id(&request);
    let span = span(&request, &request_id);
    let answer = match request.app_data::<Data<Api>>().cloned() {
        Some(api) => {
            let changes = api.tracker.changes();
            changes
                .unless_silent(next.call(request).instrument(span.clone()))
                .await
        }
        None => Ok(next.call(request).instrument(span.clone()).await),
    };
    let response = answer.map_err(|_| SilentDatabase(request_id.clone()))??;
    span.record("status", response.status().as_u16());
    let mut response = span.in_scope(|| with_error_body(response, &request_id));
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.insert(REQUEST_ID, header_value(&request_id));
    Ok(response)
}

/// Error of a request whose database does not answer, with the ID of the request.
#[derive(Debug, thiserror::Error)]
#[error("the database does not answer")]
struct SilentDatabase(String);

impl ResponseError for SilentDatabase {
    fn status_code(&self) -> StatusCode {
        StatusCode::SERVICE_UNAVAILABLE
    }

    fn error_response(&self) -> HttpResponse {
        let mut response = HttpResponse::build(self.status_code());
        for (name, value) in HEADERS {
            response.insert_header((name, value));
        }
        response
            .insert_header((RETRY_AFTER, "5"))
            .insert_header((REQUEST_ID, header_value(&self.0)))
            .json(json!({
                "code": "unavailable",
                "message": "The database does not answer. Clicks and postbacks are taken and kept meanwhile. Check if the \
                            request took effect before you repeat it.",
                "fields": {},
                "request_id": self.0,
            }))
    }
}

/// ID that the server assigned to the request; a new one where the API is served without it.
fn request_id(request: &ServiceRequest) -> String {
    let assigned = request.headers().get(REQUEST_ID).and_then(|id| id.to_str().ok());
    assigned.map_or_else(|| BASE32.encode(&rand::random::<[u8; 10]>()), str::to_owned)
}

/// Span of a request; `auth` adds the caller. It has the pattern of the path, because the path and the query contain
/// text of the caller, such as a misplaced key.
fn span(request: &ServiceRequest, request_id: &str) -> Span {
    let route = request.match_pattern();
    tracing::info_span!(
        "api_request",
        request_id,
        method = %request.method(),
        route = route.as_deref(),
        network = Empty,
        actor = Empty,
        key = Empty,
        status = Empty,
    )
}

/// Adds the caller to the span of the request: network, membership, and the ID of the API key unless a token was used.
pub(crate) fn record_caller(actor: &Actor, key: Option<ApiKeyId>) {
    let span = Span::current();
    span.record("network", display(actor.network_id()));
    span.record("actor", display(actor.membership_id));
    if let Some(key) = key {
        span.record("key", display(key));
    }
}

/// Writes the body and the headers of an error; headers that other middleware added stay.
fn with_error_body<B>(response: ServiceResponse<B>, request_id: &str) -> ServiceResponse<EitherBody<B>> {
    let error = response.response().error();
    let rendered = error
        .and_then(Error::as_error::<ApiError>)
        .map(|error| (error.body(request_id).to_json(), error.header()));
    let Some((body, header)) = rendered else {
        return response.map_into_left_body();
    };
    let mut response = response.map_body(|_, _| EitherBody::right(BoxBody::new(body)));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if let Some((name, value)) = header {
        headers.insert(name, value);
    }
    response
}
