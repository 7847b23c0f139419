//! `ETag` and `If-Match`: a change is made to what its maker has seen, or not at all.

use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::http::header::{ETAG, IF_MATCH};
use actix_web::{FromRequest, HttpRequest, HttpResponse};
use serde::Serialize;
use tenancy::ChangeError;

use crate::error::ApiError;

/// Which versions the caller wants to change.
pub(crate) enum Condition {
    /// Whatever there is.
    Any,
    /// One of these tags.
    OneOf(Vec<String>),
}

impl Condition {
    /// Refuses to change another version.
    pub(crate) fn check(&self, version: i32) -> Result<(), ApiError> {
        match self {
            Self::Any => Ok(()),
            Self::OneOf(tags) if tags.contains(&tag(version)) => Ok(()),
            Self::OneOf(_) => Err(ChangeError::Stale.into()),
        }
    }
}

impl FromRequest for Condition {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let tags: Vec<String> = request
            .headers()
            .get_all(IF_MATCH)
            .flat_map(|value| value.to_str().unwrap_or_default().split(','))
            .map(|tag| tag.trim().to_owned())
            .collect();
        ready(Ok(match tags.is_empty() || tags.iter().any(|tag| tag == "*") {
            true => Self::Any,
            false => Self::OneOf(tags),
        }))
    }
}

/// A strong tag; a weak one (`W/…`) equals none, as RFC 9110 has it for `If-Match`.
fn tag(version: i32) -> String {
    format!("\"{version}\"")
}

/// A thing with the tag of its version.
pub(crate) fn tagged(version: i32, thing: impl Serialize) -> HttpResponse {
    HttpResponse::Ok().insert_header((ETAG, tag(version))).json(thing)
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    #[actix_web::test]
    async fn a_condition_holds_for_its_versions_only() {
        let holds = async |value: Option<&str>| {
            let request = value.into_iter().fold(TestRequest::default(), |request, value| {
                request.append_header((IF_MATCH, value))
            });
            let condition = Condition::extract(&request.to_http_request()).await.unwrap();
            condition.check(3).is_ok()
        };
        for value in [None, Some("*"), Some("\"3\""), Some("\"2\", \"3\"")] {
            assert!(holds(value).await, "{value:?}");
        }
        for value in ["\"2\"", "3", "W/\"3\"", "", "\"33\""] {
            assert!(!holds(Some(value)).await, "{value}");
        }
    }
}
