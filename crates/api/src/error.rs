//! Why a call was not answered as asked, and the one body that says so.

use std::borrow::Cow;
use std::collections::BTreeMap;

use actix_web::http::StatusCode;
use actix_web::http::header::{ALLOW, HeaderName, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use actix_web::{HttpResponse, ResponseError};
use schema::DbError;
use serde::Serialize;
use tenancy::{ChangeError, NotPermitted};
use utoipa::ToSchema;

use crate::schemas;

/// Seconds after which a busy server is worth another try.
const SOON: u64 = 2;
/// Longest part of a message that comes from a parser, which may quote what it was sent.
const LONGEST_QUOTE: usize = 300;

/// Fields by name, with what is wrong with each.
pub(crate) type Fields = BTreeMap<String, String>;

/// Why a call was not answered as asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ApiError {
    /// No key or token, or one that does not work.
    #[error("Send an API key or a token that works: “Authorization: Bearer clk_key_…”.")]
    Unauthenticated,
    /// The network demands a second factor that the person behind the key does not have.
    #[error("This network demands a second factor. Set one up in the dashboard; then this key works again.")]
    SecondFactorRequired,
    /// Too many calls, or too many wrong keys.
    #[error("Too many calls. Try again in {retry_after} seconds.")]
    RateLimited {
        /// In seconds.
        retry_after: u64,
    },
    /// Not with this role or key.
    #[error("{0}")]
    NotPermitted(Cow<'static, str>),
    /// There is no such thing, or it is another network's: the two look alike.
    #[error("There is no such thing here, or it is not yours to see.")]
    NotFound,
    /// The address exists, but not for this method.
    #[error("This address takes {allow} only.")]
    MethodNotAllowed {
        /// The methods it takes.
        allow: String,
    },
    /// A body of the wrong shape.
    #[error("{message}")]
    Malformed {
        /// What could not be read, and where.
        message: String,
        /// The field, if it was one.
        fields: Fields,
    },
    /// A body of another kind.
    #[error("Send the body as {0}.")]
    UnsupportedMediaType(&'static str),
    /// A body beyond the limit.
    #[error("The body is larger than {0} KiB.")]
    TooLarge(usize),
    /// A body that does not arrive.
    #[error("The body did not arrive in time.")]
    TooSlow,
    /// Fields, parameters or headers that cannot be accepted.
    #[error("{}", in_words(.0))]
    Invalid(Fields),
    /// A key of another request.
    #[error("This Idempotency-Key was used for a different request. Use a fresh one.")]
    IdempotencyMismatch,
    /// The change cannot be made.
    #[error(transparent)]
    Change(#[from] ChangeError),
    /// The database failed.
    #[error(transparent)]
    Db(#[from] DbError),
    /// Something that cannot happen, did.
    #[error("{0}")]
    Internal(String),
}

impl From<diesel::result::Error> for ApiError {
    fn from(error: diesel::result::Error) -> Self {
        Self::Db(error.into())
    }
}

impl From<NotPermitted> for ApiError {
    fn from(missing: NotPermitted) -> Self {
        Self::Change(missing.into())
    }
}

/// What every error looks like.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({
    "code": "invalid",
    "message": "name: Enter a name.",
    "fields": { "name": "Enter a name." },
    "request_id": "0m5v3fs1a2b3c4d5"
}))]
#[serde(deny_unknown_fields)]
pub(crate) struct ErrorBody {
    /// For programs: does not change.
    #[schema(value_type = schemas::ErrorCode)]
    code: &'static str,
    /// For people: may change.
    message: String,
    /// What is wrong with which field, parameter or header.
    fields: Fields,
    /// In the `X-Request-Id` header too, and in the server's log if the fault is ours.
    request_id: String,
}

/// Every word that `code` may be.
pub(crate) const CODES: [&str; 17] = [
    "unauthenticated",
    "second_factor_required",
    "rate_limited",
    "not_permitted",
    "not_found",
    "method_not_allowed",
    "malformed",
    "unsupported_media_type",
    "too_large",
    "too_slow",
    "invalid",
    "idempotency_mismatch",
    "stale",
    "conflict",
    "limit_reached",
    "unavailable",
    "internal",
];

impl ApiError {
    /// One field, parameter or header that cannot be accepted.
    pub(crate) fn field(name: &str, message: impl Into<String>) -> Self {
        Self::Invalid(Fields::from([(name.to_owned(), message.into())]))
    }

    /// A body of the wrong shape, at this place in it, as the parser says.
    pub(crate) fn malformed(path: &str, said: &str) -> Self {
        let said = quote(said);
        let fields = match path {
            "." => Fields::new(),
            path => Fields::from([(quote(path), said.clone())]),
        };
        Self::Malformed {
            message: format!("The body cannot be read: {said}"),
            fields,
        }
    }

    /// The one table of status and code.
    fn kind(&self) -> (StatusCode, &'static str) {
        use ChangeError as Change;
        match self {
            Self::Unauthenticated => (StatusCode::UNAUTHORIZED, "unauthenticated"),
            Self::SecondFactorRequired => (StatusCode::FORBIDDEN, "second_factor_required"),
            Self::RateLimited { .. } => (StatusCode::TOO_MANY_REQUESTS, "rate_limited"),
            Self::NotPermitted(_) | Self::Change(Change::NotPermitted(_)) => {
                (StatusCode::FORBIDDEN, "not_permitted")
            }
            Self::NotFound | Self::Change(Change::NotFound) => (StatusCode::NOT_FOUND, "not_found"),
            Self::MethodNotAllowed { .. } => (StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed"),
            Self::Malformed { .. } => (StatusCode::BAD_REQUEST, "malformed"),
            Self::UnsupportedMediaType(_) => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type"),
            Self::TooLarge(_) => (StatusCode::PAYLOAD_TOO_LARGE, "too_large"),
            Self::TooSlow => (StatusCode::REQUEST_TIMEOUT, "too_slow"),
            Self::Invalid(_) | Self::Change(Change::Fields(_)) => {
                (StatusCode::UNPROCESSABLE_ENTITY, "invalid")
            }
            Self::IdempotencyMismatch => (StatusCode::UNPROCESSABLE_ENTITY, "idempotency_mismatch"),
            Self::Change(Change::Stale) => (StatusCode::PRECONDITION_FAILED, "stale"),
            Self::Change(Change::Conflict(_)) => (StatusCode::CONFLICT, "conflict"),
            Self::Change(Change::Limit(_)) => (StatusCode::CONFLICT, "limit_reached"),
            Self::Change(Change::TooBusy(_)) | Self::Db(DbError::Unavailable(_)) => {
                (StatusCode::SERVICE_UNAVAILABLE, "unavailable")
            }
            Self::Change(Change::Db(_)) | Self::Db(DbError::Query(_)) | Self::Internal(_) => {
                (StatusCode::INTERNAL_SERVER_ERROR, "internal")
            }
        }
    }

    /// What it says to people. Of our own faults, nothing.
    fn message(&self) -> String {
        match self.kind().1 {
            "internal" => {
                "Something failed on our side. Look whether what you wanted was done, and try again; if it \
                           stays, tell whoever runs this installation the request_id."
                    .to_owned()
            }
            "unavailable" => "Too much is asked at once. Try again in a few seconds.".to_owned(),
            "not_found" => Self::NotFound.to_string(),
            _ => self.to_string(),
        }
    }

    fn fields(&self) -> Fields {
        match self {
            Self::Invalid(fields) | Self::Malformed { fields, .. } => fields.clone(),
            Self::Change(ChangeError::Fields(errors)) => errors
                .iter()
                .map(|(field, message)| (field.to_owned(), message.to_owned()))
                .collect(),
            _ => Fields::new(),
        }
    }

    /// The body, for the request with this id. Our own faults are noted in the log with their cause.
    pub(crate) fn body(&self, request_id: &str) -> ErrorBody {
        let (status, code) = self.kind();
        if status == StatusCode::INTERNAL_SERVER_ERROR {
            tracing::error!(request_id, error = %self, "API call failed");
        }
        ErrorBody {
            code,
            message: self.message(),
            fields: self.fields(),
            request_id: request_id.to_owned(),
        }
    }

    /// The header that goes with it, if one does.
    pub(crate) fn header(&self) -> Option<(HeaderName, HeaderValue)> {
        match self {
            Self::Unauthenticated => Some((WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))),
            Self::RateLimited { retry_after } => Some((RETRY_AFTER, HeaderValue::from(*retry_after))),
            Self::MethodNotAllowed { allow } => HeaderValue::from_str(allow).ok().map(|value| (ALLOW, value)),
            _ if self.kind().0 == StatusCode::SERVICE_UNAVAILABLE => {
                Some((RETRY_AFTER, HeaderValue::from(SOON)))
            }
            _ => None,
        }
    }
}

impl ResponseError for ApiError {
    fn status_code(&self) -> StatusCode {
        self.kind().0
    }

    /// Without its body, which names the request: [`crate::guard`] knows it and writes the body.
    fn error_response(&self) -> HttpResponse {
        HttpResponse::new(self.status_code())
    }
}

fn in_words(fields: &Fields) -> String {
    let each: Vec<_> = fields
        .iter()
        .map(|(field, message)| format!("{field}: {message}"))
        .collect();
    each.join(" ")
}

/// The start of a text that a caller sent, to be told with what is wrong with it.
pub(crate) fn quote(text: &str) -> String {
    text.chars().take(LONGEST_QUOTE).collect()
}

#[cfg(test)]
mod tests {
    use tenancy::Permission;

    use super::*;

    #[test]
    fn every_code_is_declared_and_has_its_status() {
        let cases = [
            (ApiError::Unauthenticated, 401),
            (ApiError::SecondFactorRequired, 403),
            (ApiError::RateLimited { retry_after: 1 }, 429),
            (NotPermitted(Permission::SeeAudit).into(), 403),
            (ApiError::NotFound, 404),
            (
                ApiError::MethodNotAllowed {
                    allow: "GET".to_owned(),
                },
                405,
            ),
            (ApiError::malformed(".", "x"), 400),
            (ApiError::UnsupportedMediaType("application/json"), 415),
            (ApiError::TooLarge(64), 413),
            (ApiError::TooSlow, 408),
            (ApiError::field("limit", "x"), 422),
            (ApiError::IdempotencyMismatch, 422),
            (ChangeError::Stale.into(), 412),
            (ChangeError::Conflict(String::new()).into(), 409),
            (ChangeError::Limit(String::new()).into(), 409),
            (ChangeError::TooBusy(tenancy::TooBusy).into(), 503),
            (ApiError::Internal("x".to_owned()), 500),
        ];
        let codes: Vec<_> = cases.iter().map(|(error, _)| error.kind().1).collect();
        assert_eq!(codes, CODES);
        for (error, status) in cases {
            assert_eq!(error.status_code().as_u16(), status, "{error}");
        }
    }

    #[test]
    fn absent_and_foreign_things_are_told_alike() {
        let body = |error: ApiError| serde_json::to_string(&error.body("x")).unwrap();
        assert_eq!(body(ApiError::NotFound), body(ChangeError::NotFound.into()));
    }

    #[test]
    fn our_own_faults_are_not_explained_to_callers() {
        let body = ApiError::Db(DbError::Query(diesel::result::Error::NotFound)).body("x");
        assert!(
            !body.message.contains("database") && body.code == "internal",
            "{body:?}"
        );
    }
}
