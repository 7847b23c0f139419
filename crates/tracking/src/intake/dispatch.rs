//! Dispatch of a request by its target.

use ::postbacks::Target;
use actix_http::body::BoxBody;
use actix_http::header::ALLOW;
use actix_http::{Method, Request, Response, StatusCode};

use super::{clicks, pages, postbacks};
use crate::tracker::Intake;

/// Responds to a request: a postback at `/postback` or at the path of a dialect, a click at `/{alias}`. On the shared
/// host the network's slug may precede the path, so that a new network needs no DNS.
pub async fn answer(intake: &Intake, mut request: Request) -> Response<BoxBody> {
    let payload = request.take_payload();
    let target = request
        .uri()
        .path_and_query()
        .map_or("/", |target| target.as_str());
    match Target::of(target) {
        Target::Postback { slug } => {
            // Impact and LeadDyno change and reverse orders by PUT and DELETE.
            const METHODS: [Method; 4] = [Method::GET, Method::POST, Method::PUT, Method::DELETE];
            if !METHODS.contains(request.method()) {
                return not_allowed("GET, POST, PUT, DELETE");
            }
            // Boxed, so that the future of a click is not as large as that of a postback.
            Box::pin(postbacks::receive(&request, slug, payload, intake)).await
        }
        Target::Click {
            slug: None,
            alias: "robots.txt",
        } => pages::robots(),
        Target::Click { .. } if !matches!(*request.method(), Method::GET | Method::HEAD) => {
            not_allowed("GET, HEAD")
        }
        Target::Click { slug, alias } => clicks::follow(request.head(), slug, alias, intake).await,
        Target::Unknown => pages::unknown_link(),
    }
}

fn not_allowed(methods: &'static str) -> Response<BoxBody> {
    Response::build(StatusCode::METHOD_NOT_ALLOWED)
        .insert_header((ALLOW, methods))
        .finish()
        .map_into_boxed_body()
}
