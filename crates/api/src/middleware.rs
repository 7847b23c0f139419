//! What every answer of the API carries, and the one place where an error becomes a body.

use actix_web::Error;
use actix_web::body::{BoxBody, EitherBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, HeaderValue, REFERRER_POLICY,
    STRICT_TRANSPORT_SECURITY, X_CONTENT_TYPE_OPTIONS,
};
use actix_web::middleware::Next;
use schema::BASE32;

use crate::error::ApiError;

/// In every answer and every error's body.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

const HEADERS: [(HeaderName, &str); 5] = [
    (CACHE_CONTROL, "no-store"),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (
        CONTENT_SECURITY_POLICY,
        "default-src 'none'; frame-ancestors 'none'",
    ),
    (REFERRER_POLICY, "no-referrer"),
    // Browsers heed it on https only.
    (STRICT_TRANSPORT_SECURITY, "max-age=31536000; includeSubDomains"),
];

/// Names the request, adds the security headers to every answer, and writes the bodies of errors.
pub(crate) async fn guard(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let request_id = BASE32.encode(&rand::random::<[u8; 10]>());
    let mut response = tell(next.call(request).await?, &request_id);
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if let Ok(value) = HeaderValue::from_str(&request_id) {
        headers.insert(REQUEST_ID, value);
    }
    Ok(response)
}

/// Puts the body of an error in, with the headers that go with it; what others added stays.
fn tell<B>(response: ServiceResponse<B>, request_id: &str) -> ServiceResponse<EitherBody<B>> {
    let told = response
        .response()
        .error()
        .and_then(Error::as_error::<ApiError>)
        .map(|error| {
            (
                serde_json::to_vec(&error.body(request_id)).unwrap_or_default(),
                error.header(),
            )
        });
    let Some((body, header)) = told else {
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
