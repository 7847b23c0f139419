//! `ETag` and `If-Match`: optimistic locking of updates.

use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::http::header::{ETAG, IF_MATCH};
use actix_web::{FromRequest, HttpRequest, HttpResponse};
use serde::Serialize;
use tenancy::ChangeError;
use utoipa::IntoParams;

use crate::error::ApiError;

/// Versions that the caller agrees to change.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
pub(crate) struct IfMatch {
    /// `ETag` of the version to update. Without it, the latest version is updated.
    #[param(rename = "If-Match", value_type = String, required = false, example = "\"3\"")]
    tags: Option<Vec<String>>,
}

impl IfMatch {
    /// Refuses an update of a version that the header does not list.
    pub(crate) fn check(&self, version: i32) -> Result<(), ApiError> {
        match &self.tags {
            Some(tags) if !tags.contains(&tag(version)) => Err(ChangeError::Stale.into()),
            _ => Ok(()),
        }
    }
}

impl FromRequest for IfMatch {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let mut tags = Vec::new();
        for value in request.headers().get_all(IF_MATCH) {
            // Bytes that are not UTF-8 match no tag, so replacing them loses nothing.
            let value = String::from_utf8_lossy(value.as_bytes());
            tags.extend(value.split(',').map(|tag| tag.trim().to_owned()));
        }
        let matches_any = tags.is_empty() || tags.iter().any(|tag| tag == "*");
        ready(Ok(Self {
            tags: (!matches_any).then_some(tags),
        }))
    }
}

/// Strong tag of a version. A weak one (`W/…`) never equals it, as RFC 9110 requires for `If-Match`.
fn tag(version: i32) -> String {
    format!("\"{version}\"")
}

/// Response with a resource and the tag of its version.
pub(crate) fn tagged(version: i32, resource: impl Serialize) -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((ETAG, tag(version)))
        .json(resource)
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    #[actix_web::test]
    async fn if_match_accepts_the_listed_versions_only() {
        let accepts = async |value: Option<&str>| {
            let request = value.into_iter().fold(TestRequest::default(), |request, value| {
                request.append_header((IF_MATCH, value))
            });
            let if_match = IfMatch::extract(&request.to_http_request()).await.unwrap();
            if_match.check(3).is_ok()
        };
        for value in [None, Some("*"), Some("\"3\""), Some("\"2\", \"3\"")] {
            assert!(accepts(value).await, "{value:?}");
        }
        for value in ["\"2\"", "3", "W/\"3\"", "", "\"33\""] {
            assert!(!accepts(Some(value)).await, "{value}");
        }
    }
}
