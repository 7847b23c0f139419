//! Middleware of every page: security headers, and refusal of cross-site requests.

use actix_web::body::{EitherBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{CONTENT_TYPE, HOST, HeaderMap, HeaderName, HeaderValue, ORIGIN};
use actix_web::http::{Method, StatusCode};
use actix_web::middleware::Next;
use actix_web::web::Data;
use actix_web::{Error, HttpResponse, ResponseError};

use crate::Dashboard;
use crate::auth::Cookies;
use crate::error::{self, PageError};
use crate::notice::{self, Notice};

const HEADERS: [(HeaderName, &str); 7] = [
    (
        actix_web::http::header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; \
         connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    ),
    (actix_web::http::header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (actix_web::http::header::REFERRER_POLICY, "same-origin"),
    (actix_web::http::header::X_FRAME_OPTIONS, "DENY"),
    // No page belongs into a search engine, least of all one behind a secret link.
    (HeaderName::from_static("x-robots-tag"), "noindex"),
    (
        HeaderName::from_static("cross-origin-opener-policy"),
        "same-origin",
    ),
    // Browsers ignore it on plain http.
    (
        actix_web::http::header::STRICT_TRANSPORT_SECURITY,
        "max-age=31536000; includeSubDomains",
    ),
];

/// Refuses forms sent from other sites, and adds the security headers to every response, errors included.
pub(crate) async fn secure(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let is_unsafe = !matches!(*request.method(), Method::GET | Method::HEAD);
    if is_unsafe && !same_origin(request.headers()) {
        return Ok(refuse(
            request,
            PageError::Refused("This form was sent from another site.".to_owned()),
        ));
    }
    // Postgres refuses NUL bytes in text.
    if request.uri().query().is_some_and(|query| query.contains("%00")) {
        return Ok(refuse(
            request,
            PageError::BadRequest("The address contains a NUL byte (%00).".to_owned()),
        ));
    }
    let dashboard = request.app_data::<Data<Dashboard>>().cloned();
    let answer = match &dashboard {
        Some(dashboard) => {
            let changes = dashboard.tracker.changes();
            changes.unless_silent(next.call(request)).await
        }
        None => Ok(next.call(request).await),
    };
    let response = answer.map_err(|_| SilentDatabase)??;
    let mut response = match error::in_shell(&response).await {
        Some(page) => response.map_body(|_, _| EitherBody::right(page.boxed())),
        None => response.map_into_left_body(),
    };
    add_headers(response.headers_mut());
    if let Some(dashboard) = dashboard {
        carry_notice(&mut response, dashboard.cookies);
    }
    Ok(response)
}

/// Sets the cookie of a notice for the next page, or removes that of a notice that this page shows.
fn carry_notice<B>(response: &mut ServiceResponse<B>, cookies: Cookies) {
    let left = response.response_mut().extensions_mut().remove::<Notice>();
    let is_page = response
        .headers()
        .get(CONTENT_TYPE)
        .is_some_and(|value| value.as_bytes().starts_with(b"text/html"));
    let cookie = match left {
        Some(notice) => cookies.notice(&notice),
        None if is_page && notice::of_page(response.request(), cookies).is_some() => cookies.end_notice(),
        None => return,
    };
    if response.response_mut().add_cookie(&cookie).is_err() {
        tracing::error!("cookie not set");
    }
}

/// Error of a page whose database does not answer.
#[derive(Debug, thiserror::Error)]
#[error("the database does not answer")]
struct SilentDatabase;

impl ResponseError for SilentDatabase {
    fn status_code(&self) -> StatusCode {
        StatusCode::SERVICE_UNAVAILABLE
    }

    fn error_response(&self) -> HttpResponse {
        let mut response = PageError::Silent.error_response();
        add_headers(response.headers_mut());
        response
    }
}

fn refuse<B>(request: ServiceRequest, refusal: PageError) -> ServiceResponse<EitherBody<B>> {
    let mut response = request.error_response(refusal).map_into_right_body();
    add_headers(response.headers_mut());
    response
}

fn add_headers(headers: &mut HeaderMap) {
    for (name, value) in HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if !headers.contains_key(actix_web::http::header::CACHE_CONTROL) {
        headers.insert(
            actix_web::http::header::CACHE_CONTROL,
            HeaderValue::from_static("no-store"),
        );
    }
}

/// True unless the headers name another site as the origin. A client that sends neither header is no browser, so it has no
/// cookies that another site could abuse.
fn same_origin(headers: &HeaderMap) -> bool {
    let text = |name: &HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let site = HeaderName::from_static("sec-fetch-site");
    let from_here = text(&site).is_none_or(|site| matches!(site, "same-origin" | "none"));
    let origin_matches = match (text(&ORIGIN), text(&HOST)) {
        (None, _) => true,
        (Some(origin), Some(host)) => origin
            .split_once("://")
            .is_some_and(|(_, origin)| origin.eq_ignore_ascii_case(host)),
        (Some(_), None) => false,
    };
    from_here && origin_matches
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
            .collect()
    }

    #[test]
    fn only_a_page_of_ours_may_send_a_form() {
        let host = ("host", "app.example");
        assert!(same_origin(&headers(&[host])));
        assert!(same_origin(&headers(&[
            host,
            ("origin", "https://app.example"),
            ("sec-fetch-site", "same-origin")
        ])));
        assert!(!same_origin(&headers(&[
            host,
            ("origin", "https://evil.example")
        ])));
        assert!(!same_origin(&headers(&[host, ("origin", "null")])));
        assert!(!same_origin(&headers(&[host, ("sec-fetch-site", "cross-site")])));
        assert!(!same_origin(&headers(&[host, ("sec-fetch-site", "same-site")])));
    }
}
