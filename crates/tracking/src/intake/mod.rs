//! The public endpoints of the tracking hosts: `/{alias}` and `/postback`. The only module here that knows actix.

mod clicks;
mod pages;
mod postbacks;

use actix_web::http::Method;
use actix_web::http::header::{ALLOW, HOST};
use actix_web::{HttpRequest, HttpResponse, web};

/// First path segments that no tracking link may have.
pub const RESERVED: [&str; 4] = ["postback", "health", "static", "docs"];

/// Longest request target taken, in bytes.
const TARGET_LIMIT: usize = 8 * 1024;

/// Adds the endpoints to an actix application that has a [`crate::Tracker`] as its data.
pub fn configure(config: &mut web::ServiceConfig) {
    config
        .service(
            web::resource("/postback")
                .route(web::get().to(postbacks::receive))
                .route(web::post().to(postbacks::receive))
                .default_service(web::to(|| not_allowed("GET, POST"))),
        )
        .service(
            web::resource("/{alias}")
                .route(web::get().to(clicks::follow))
                .route(web::head().to(clicks::follow))
                .default_service(web::to(|| not_allowed("GET, HEAD"))),
        )
        .default_service(web::to(nothing_here));
}

async fn not_allowed(methods: &'static str) -> HttpResponse {
    HttpResponse::MethodNotAllowed()
        .insert_header((ALLOW, methods))
        .finish()
}

async fn nothing_here(request: HttpRequest) -> HttpResponse {
    match *request.method() {
        Method::GET | Method::HEAD => pages::unknown_link(),
        _ => not_allowed("GET, HEAD").await,
    }
}

/// The host a request came to, as its client spelled it. Proxies' headers are not believed.
fn host(request: &HttpRequest) -> &str {
    request
        .headers()
        .get(HOST)
        .and_then(|host| host.to_str().ok())
        .unwrap_or_default()
}

/// A header as text of at most `limit` characters; bytes that are no text are replaced, NUL is dropped.
fn header(request: &HttpRequest, name: actix_web::http::header::HeaderName, limit: usize) -> Option<String> {
    let value = request.headers().get(name)?;
    let text = String::from_utf8_lossy(value.as_bytes());
    Some(text.chars().filter(|c| *c != '\0').take(limit).collect())
}
