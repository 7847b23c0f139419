//! `Idempotency-Key`: a call that creates something is made once, however often it arrives.
//!
//! The key is claimed, the thing created and the answer kept in one transaction: either all of it happened or nothing.
//! A refusal is not kept, so that the call can be corrected and sent again under the same key.

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

use crate::Api;
use crate::error::ApiError;

/// The header that names the call.
pub(crate) const KEY: &str = "Idempotency-Key";
/// Most characters of it.
pub(crate) const KEY_LIMIT: usize = 200;

/// What is answered for something that was created.
pub(crate) trait Created: Serialize {
    /// Of an answer that creates.
    const STATUS: StatusCode = StatusCode::CREATED;

    /// What is kept for a repetition: the same, but for what is shown only once.
    fn kept(&self) -> Value {
        json!(self)
    }
}

/// What became of a call.
pub(crate) enum Made<T> {
    /// It was made.
    Now(T),
    /// It was made before, and this was its answer.
    Before(HttpResponse),
}

impl<T: Created> Made<T> {
    /// The answer.
    pub(crate) fn answer(self) -> HttpResponse {
        match self {
            Self::Now(made) => HttpResponse::build(T::STATUS).json(made),
            Self::Before(answer) => answer,
        }
    }
}

/// The call as its key and its first line know it.
pub(crate) struct Once {
    key: Option<String>,
    method: String,
    path: String,
}

impl FromRequest for Once {
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
    let mut values = request.headers().get_all(KEY);
    let Some(value) = values.next() else {
        return Ok(None);
    };
    let visible = |text: &&str| {
        (1..=KEY_LIMIT).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
    };
    match (value.to_str().ok().filter(visible), values.next()) {
        (Some(key), None) => Ok(Some(key.to_owned())),
        _ => Err(ApiError::field(
            KEY,
            format!("Send one of 1 to {KEY_LIMIT} visible ASCII characters."),
        )),
    }
}

impl Once {
    /// Creates something in a transaction, unless this call did so before.
    pub(crate) async fn run<P, T: Created>(
        &self,
        api: &Api,
        access: &Access<P>,
        body: &[u8],
        create: impl AsyncFnOnce(&mut NetworkConn) -> Result<T, ApiError>,
    ) -> Result<Made<T>, ApiError> {
        let mut conn = access.network(&api.db).await?;
        let Some(key) = &self.key else {
            let made = create(&mut conn).await?;
            conn.commit().await?;
            return Ok(Made::Now(made));
        };
        let print = idempotency::fingerprint(&self.method, &self.path, body);
        match idempotency::claim(&mut conn, access.membership_id, key, &print, clock::now()).await? {
            Claim::Mismatch => Err(ApiError::IdempotencyMismatch),
            Claim::Repeated { status, body } => Ok(Made::Before(repeated(status, body))),
            Claim::First => {
                let made = create(&mut conn).await?;
                let kept = made.kept().to_string();
                idempotency::keep(&mut conn, access.membership_id, key, T::STATUS.as_u16(), &kept).await?;
                conn.commit().await?;
                Ok(Made::Now(made))
            }
        }
    }
}

fn repeated(status: u16, body: String) -> HttpResponse {
    HttpResponse::build(StatusCode::from_u16(status).unwrap_or(StatusCode::OK))
        .insert_header((HeaderName::from_static("idempotent-replayed"), "true"))
        .content_type("application/json")
        .body(body)
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    #[test]
    fn a_key_is_visible_ascii_or_absent() {
        let of = |value: &str| {
            key(&TestRequest::default()
                .append_header((KEY, value))
                .to_http_request())
        };
        assert_eq!(key(&TestRequest::default().to_http_request()).unwrap(), None);
        assert_eq!(of("order-77").unwrap().as_deref(), Some("order-77"));
        for value in ["", "a b", "ü", &"x".repeat(201)] {
            assert!(of(value).is_err(), "{value}");
        }
    }
}
