//! `Idempotency-Key`: a request that creates something takes effect once, however often it is sent.
//!
//! One transaction claims the key, creates the resource and stores the response: all of it is committed, or nothing. An
//! error response is not stored, so the caller can correct the request and send it again under the same key.

use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::http::StatusCode;
use actix_web::http::header::HeaderName;
use actix_web::{FromRequest, HttpRequest, HttpResponse};
use schema::{NetworkConn, clock};
use serde::Serialize;
use serde_json::{Value, json};
use tenancy::Access;
use tenancy::idempotency::{self, Claim};
use utoipa::IntoParams;

use crate::error::ApiError;
use crate::state::Api;

/// Name of the header.
pub(crate) const HEADER: &str = "Idempotency-Key";
/// Maximum length of a key in characters. The parameter below repeats it: an attribute takes literals only.
const MAX_KEY_LENGTH: usize = 200;

/// Body of a response to a request that creates something.
pub(crate) trait Created: Serialize {
    /// Status of the response.
    const STATUS: StatusCode = StatusCode::CREATED;

    /// Body to store for repeated requests: the same, without secrets that are shown only once.
    fn stored(&self) -> Value {
        json!(self)
    }
}

/// Result of a request under an idempotency key.
pub(crate) enum Outcome<T> {
    /// The request was executed.
    Executed(T),
    /// An earlier request under the same key was executed; its stored response.
    Replayed(HttpResponse),
}

impl<T: Created> Outcome<T> {
    /// Response to the caller.
    pub(crate) fn response(self) -> HttpResponse {
        match self {
            Self::Executed(created) => HttpResponse::build(T::STATUS).json(created),
            Self::Replayed(response) => response,
        }
    }
}

/// Idempotency key of a request, with the request line that it belongs to.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
pub(crate) struct IdempotencyKey {
    /// Unique value of your choice for this request: visible ASCII characters, remembered for 24 hours.
    #[param(
        rename = "Idempotency-Key", value_type = String, min_length = 1, max_length = 200, pattern = "^[!-~]+$",
        required = false
    )]
    key: Option<String>,
    #[param(ignore)]
    method: String,
    #[param(ignore)]
    path: String,
}

impl FromRequest for IdempotencyKey {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(key(request).map(|key| Self {
            key,
            method: request.method().to_string(),
            path: request.uri().to_string(),
        }))
    }
}

fn key(request: &HttpRequest) -> Result<Option<String>, ApiError> {
    let mut values = request.headers().get_all(HEADER);
    let Some(value) = values.next() else {
        return Ok(None);
    };
    let is_valid = |text: &&str| {
        (1..=MAX_KEY_LENGTH).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
    };
    match (value.to_str().ok().filter(is_valid), values.next()) {
        (Some(key), None) => Ok(Some(key.to_owned())),
        _ => Err(ApiError::field(
            HEADER,
            format!("Send one key of 1 to {MAX_KEY_LENGTH} visible ASCII characters."),
        )),
    }
}

impl IdempotencyKey {
    /// Creates something in a transaction, unless an earlier request under this key did.
    pub(crate) async fn execute<P, T: Created>(
        &self,
        api: &Api,
        access: &Access<P>,
        body: &[u8],
        create: impl AsyncFnOnce(&mut NetworkConn) -> Result<T, ApiError>,
    ) -> Result<Outcome<T>, ApiError> {
        let mut conn = access.network(&api.db).await?;
        let Some(key) = &self.key else {
            let created = create(&mut conn).await?;
            conn.commit().await?;
            return Ok(Outcome::Executed(created));
        };
        let fingerprint = idempotency::fingerprint(&self.method, &self.path, body);
        let member = access.membership_id;
        match idempotency::claim(&mut conn, member, key, &fingerprint, clock::now()).await? {
            Claim::Mismatch => Err(ApiError::IdempotencyMismatch),
            Claim::Repeated { status, body } => Ok(Outcome::Replayed(replay(status, body)?)),
            Claim::First => {
                let created = create(&mut conn).await?;
                let stored = created.stored().to_string();
                idempotency::keep(&mut conn, member, key, T::STATUS.as_u16(), &stored).await?;
                conn.commit().await?;
                Ok(Outcome::Executed(created))
            }
        }
    }
}

/// Stored response, marked as a replay.
fn replay(status: u16, body: String) -> Result<HttpResponse, ApiError> {
    let status = StatusCode::from_u16(status)
        .map_err(|_| ApiError::Internal(format!("a stored response has the status {status}")))?;
    Ok(HttpResponse::build(status)
        .insert_header((HeaderName::from_static("idempotent-replayed"), "true"))
        .content_type("application/json")
        .body(body))
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    #[test]
    fn a_key_is_visible_ascii_or_absent() {
        let parse = |value: &str| {
            key(&TestRequest::default()
                .append_header((HEADER, value))
                .to_http_request())
        };
        assert_eq!(key(&TestRequest::default().to_http_request()).unwrap(), None);
        assert_eq!(parse("order-77").unwrap().as_deref(), Some("order-77"));
        for value in ["", "a b", "ü", &"x".repeat(201)] {
            assert!(parse(value).is_err(), "{value}");
        }
    }

    #[test]
    fn a_stored_response_without_a_valid_status_is_an_error() {
        assert_eq!(
            replay(201, "{}".to_owned()).unwrap().status(),
            StatusCode::CREATED
        );
        assert!(replay(0, "{}".to_owned()).is_err());
    }
}
