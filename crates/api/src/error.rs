//! Errors of the API, and their JSON body.

use std::borrow::Cow;
use std::collections::BTreeMap;

use actix_web::http::StatusCode;
use actix_web::http::header::{ALLOW, HeaderName, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use actix_web::{HttpResponse, ResponseError};
use schema::DbError;
use serde::Serialize;
use tenancy::{ChangeError, NotPermitted};
use utoipa::ToSchema;

use crate::header::header_value;
use crate::schemas::words;

/// `Retry-After` of an overloaded server, in seconds.
const OVERLOAD_RETRY_AFTER: u64 = 2;
/// Maximum length, in characters, of text of the request that a message quotes.
const MAX_QUOTE_LENGTH: usize = 300;

/// Messages by the name of the invalid field, parameter or header.
pub(crate) type Fields = BTreeMap<String, String>;

/// Error response.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ApiError {
    /// No API key or token, or an invalid one.
    #[error("Send a valid API key or token: “Authorization: Bearer clk_key_…”.")]
    Unauthenticated,
    /// The network requires two-factor authentication, which the member has not set up.
    #[error(
        "This network requires two-factor authentication. Set it up in the dashboard to use this key again."
    )]
    SecondFactorRequired,
    /// Too many requests, or too many invalid keys.
    #[error("Too many requests. Try again in {retry_after} seconds.")]
    RateLimited {
        /// Time until the next request is accepted, in seconds.
        retry_after: u64,
    },
    /// Insufficient role or scope.
    #[error("{0}")]
    NotPermitted(Cow<'static, str>),
    /// Not found, or in another network: the responses are identical.
    #[error("Not found, or not accessible with this key.")]
    NotFound,
    /// The path exists, but not with this method.
    #[error("This path accepts {allow} only.")]
    MethodNotAllowed {
        /// Methods of the path, separated by commas.
        allow: String,
    },
    /// Cursor behind which events are missing, with the reason.
    #[error("{0}")]
    Gone(String),
    /// Body that cannot be parsed.
    #[error("{message}")]
    Malformed {
        /// Message of the parser.
        message: String,
        /// The invalid field; empty if the error is not in a field.
        fields: Fields,
    },
    /// Body of another content type.
    #[error("Send the body as {0}.")]
    UnsupportedMediaType(&'static str),
    /// Body beyond the limit, with a message that names the limit.
    #[error("{0}")]
    TooLarge(&'static str),
    /// Body that did not arrive before the timeout.
    #[error("The body did not arrive in time.")]
    TooSlow,
    /// Invalid fields, parameters or headers.
    #[error("{}", join(.0))]
    Invalid(Fields),
    /// Idempotency key of a different request.
    #[error("This Idempotency-Key was used for a different request. Use a new one.")]
    IdempotencyMismatch,
    /// Refused change.
    #[error(transparent)]
    Change(#[from] ChangeError),
    /// Database error.
    #[error(transparent)]
    Db(#[from] DbError),
    /// Broken invariant of the server.
    #[error("{0}")]
    Internal(String),
}

impl From<diesel::result::Error> for ApiError {
    fn from(error: diesel::result::Error) -> Self {
        Self::Db(error.into())
    }
}

impl From<NotPermitted> for ApiError {
    fn from(error: NotPermitted) -> Self {
        Self::Change(error.into())
    }
}

/// An error.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({
    "code": "invalid",
    "message": "name: Enter a name.",
    "fields": { "name": "Enter a name." },
    "request_id": "0m5v3fs1a2b3c4d5"
}))]
#[serde(deny_unknown_fields)]
pub(crate) struct ErrorBody {
    /// Stable code, for programs.
    #[schema(value_type = ErrorCode)]
    code: &'static str,
    /// Message for people; its wording may change.
    message: String,
    /// Messages by the name of the invalid field, parameter or header.
    fields: Fields,
    /// ID of the request, as in the header `X-Request-Id`; logged with every server error.
    request_id: String,
}

/// Values of `code`.
const CODES: [&str; 18] = [
    "unauthenticated",
    "second_factor_required",
    "rate_limited",
    "not_permitted",
    "not_found",
    "method_not_allowed",
    "gone",
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

words! {
    /// Code of an error.
    ErrorCode = CODES;
}

impl ErrorBody {
    /// JSON of the body.
    #[expect(clippy::expect_used, reason = "text and maps of text always serialise")]
    pub(crate) fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("an error body is text")
    }
}

impl ApiError {
    /// Error in one field, parameter or header.
    pub(crate) fn field(name: &str, message: impl Into<String>) -> Self {
        Self::Invalid(Fields::from([(name.to_owned(), message.into())]))
    }

    /// Body that cannot be parsed, with the path of the field (`.` for the whole body) and the message of the parser.
    pub(crate) fn malformed(path: &str, message: &str) -> Self {
        let message = quote(message);
        let fields = match path {
            "." => Fields::new(),
            path => Fields::from([(quote(path), message.clone())]),
        };
        Self::Malformed {
            message: format!("The body cannot be parsed: {message}"),
            fields,
        }
    }

    /// Table of status and code.
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
            Self::Gone(_) => (StatusCode::GONE, "gone"),
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

    /// Message for people. Server errors have a fixed text, which reveals no cause.
    fn message(&self) -> String {
        match self.kind().1 {
            "internal" => {
                "The server failed. Check if the request took effect before you repeat it; if the error persists, send \
                 the request_id to the operator of this installation."
                    .to_owned()
            }
            "unavailable" => "The server is overloaded. Try again in a few seconds.".to_owned(),
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

    /// Body of the response to the request with this ID. A server error is logged with its cause, in the span of the
    /// request.
    pub(crate) fn body(&self, request_id: &str) -> ErrorBody {
        let (status, code) = self.kind();
        if status == StatusCode::INTERNAL_SERVER_ERROR {
            tracing::error!(error = %self, "API request failed");
        }
        ErrorBody {
            code,
            message: self.message(),
            fields: self.fields(),
            request_id: request_id.to_owned(),
        }
    }

    /// Additional header of the response.
    pub(crate) fn header(&self) -> Option<(HeaderName, HeaderValue)> {
        match self {
            Self::Unauthenticated => Some((WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))),
            Self::RateLimited { retry_after } => Some((RETRY_AFTER, HeaderValue::from(*retry_after))),
            Self::MethodNotAllowed { allow } => Some((ALLOW, header_value(allow))),
            _ if self.kind().0 == StatusCode::SERVICE_UNAVAILABLE => {
                Some((RETRY_AFTER, HeaderValue::from(OVERLOAD_RETRY_AFTER)))
            }
            _ => None,
        }
    }
}

impl ResponseError for ApiError {
    fn status_code(&self) -> StatusCode {
        self.kind().0
    }

    /// Response without a body: `middleware` writes it, because it contains the request ID.
    fn error_response(&self) -> HttpResponse {
        HttpResponse::new(self.status_code())
    }
}

fn join(fields: &Fields) -> String {
    let messages: Vec<_> = fields
        .iter()
        .map(|(field, message)| format!("{field}: {message}"))
        .collect();
    messages.join(" ")
}

/// Start of a text of the request, for a message.
pub(crate) fn quote(text: &str) -> String {
    text.chars().take(MAX_QUOTE_LENGTH).collect()
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
            (ApiError::Gone(String::new()), 410),
            (ApiError::malformed(".", "x"), 400),
            (ApiError::UnsupportedMediaType("application/json"), 415),
            (ApiError::TooLarge("Too large."), 413),
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
    fn absent_objects_and_those_of_other_networks_get_the_same_body() {
        let body = |error: ApiError| serde_json::to_string(&error.body("x")).unwrap();
        assert_eq!(body(ApiError::NotFound), body(ChangeError::NotFound.into()));
    }

    #[test]
    fn the_cause_of_a_server_error_is_not_revealed() {
        let body = ApiError::Db(DbError::Query(diesel::result::Error::NotFound)).body("x");
        assert!(
            !body.message.contains("database") && body.code == "internal",
            "{body:?}"
        );
    }
}
