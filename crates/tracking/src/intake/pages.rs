//! Error pages for visitors of a tracking host. They contain no script, style or link, so that they cannot be abused.

use actix_http::body::BoxBody;
use actix_http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, HeaderValue, RETRY_AFTER, X_CONTENT_TYPE_OPTIONS,
};
use actix_http::{Response, StatusCode};
use campaigns::DestinationError;

const UNKNOWN_LINK: &str = include_str!("../../../../templates/tracking/unknown_link.html");
const PAUSED: &str = include_str!("../../../../templates/tracking/paused.html");
const CLOSED: &str = include_str!("../../../../templates/tracking/closed.html");
const INACTIVE: &str = include_str!("../../../../templates/tracking/inactive.html");
const SUSPENDED: &str = include_str!("../../../../templates/tracking/suspended.html");
const UNAVAILABLE: &str = include_str!("../../../../templates/tracking/unavailable.html");

fn page(status: StatusCode, html: &'static str) -> Response<BoxBody> {
    Response::build(status)
        .content_type("text/html; charset=utf-8")
        .insert_header((CACHE_CONTROL, "no-store"))
        .insert_header((
            CONTENT_SECURITY_POLICY,
            "default-src 'none'; frame-ancestors 'none'",
        ))
        .insert_header((X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .body(html)
        .map_into_boxed_body()
}

/// Page for an alias without a link on this host.
pub(super) fn unknown_link() -> Response<BoxBody> {
    page(StatusCode::NOT_FOUND, UNKNOWN_LINK)
}

/// Page for a link whose campaign or advertiser is paused.
pub(super) fn paused() -> Response<BoxBody> {
    page(StatusCode::NOT_FOUND, PAUSED)
}

/// Page for a link whose campaign is not live, or outside its schedule.
pub(super) fn closed() -> Response<BoxBody> {
    page(StatusCode::NOT_FOUND, CLOSED)
}

/// Page for a link whose affiliate is not active.
pub(super) fn inactive() -> Response<BoxBody> {
    page(StatusCode::NOT_FOUND, INACTIVE)
}

/// Page for a link of a suspended network.
pub(super) fn suspended() -> Response<BoxBody> {
    page(StatusCode::FORBIDDEN, SUSPENDED)
}

/// Page for a click that could not be journaled.
pub(super) fn unavailable() -> Response<BoxBody> {
    let mut response = page(StatusCode::SERVICE_UNAVAILABLE, UNAVAILABLE);
    response
        .headers_mut()
        .insert(RETRY_AFTER, HeaderValue::from_static("1"));
    response
}

/// Response to a request target that is too long.
pub(super) fn too_long() -> Response<BoxBody> {
    Response::build(StatusCode::URI_TOO_LONG)
        .content_type("text/plain; charset=utf-8")
        .body("This link is longer than 8 KiB.\n")
        .map_into_boxed_body()
}

/// Response to crawlers that ask first: links lead to advertisers, and each visit would count.
pub(super) fn robots() -> Response<BoxBody> {
    Response::build(StatusCode::OK)
        .content_type("text/plain; charset=utf-8")
        .body("User-agent: *\nDisallow: /\n")
        .map_into_boxed_body()
}

/// Response to a deep link to a page that the campaign does not allow: plain text, because it quotes the link.
pub(super) fn deep_link(problem: &DestinationError) -> Response<BoxBody> {
    Response::build(StatusCode::BAD_REQUEST)
        .content_type("text/plain; charset=utf-8")
        .insert_header((X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .body(format!("This link is broken. {problem}\n"))
        .map_into_boxed_body()
}
