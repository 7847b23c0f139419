//! Dispatch of a request by its target.

use ::postbacks::Target;
use actix_http::body::BoxBody;
use actix_http::header::ALLOW;
use actix_http::{Method, Request, Response, StatusCode, Uri};

use super::{clicks, pages, postbacks};
use crate::tracker::Intake;

/// Responds to a request: a postback at `/postback` or at the path of a dialect, a click at `/{alias}`. On the shared
/// host the network's slug may precede the path, so that a new network needs no DNS.
pub async fn answer(intake: &Intake, mut request: Request) -> Response<BoxBody> {
    let payload = request.take_payload();
    if let Some(plain) = plain_path(request.uri()) {
        *request.uri_mut() = plain;
    }
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

/// Target in whose path letters and digits are not percent-encoded, which is the same target (RFC 3986, section 6.2.2.2):
/// `/%70ostback` is `/postback`. `None` if it is so already.
fn plain_path(uri: &Uri) -> Option<Uri> {
    let path = uri.path();
    let mut parts = path.split('%');
    let mut plain = parts.next()?.to_owned();
    if plain.len() == path.len() {
        return None;
    }
    for part in parts {
        let code = part.get(..2).and_then(|hex| u8::from_str_radix(hex, 16).ok());
        match code.filter(u8::is_ascii_alphanumeric) {
            Some(letter) => plain.push(char::from(letter)),
            None => plain.extend(["%", part.get(..2).unwrap_or(part)]),
        }
        plain.push_str(part.get(2..).unwrap_or_default());
    }
    if let Some(query) = uri.query() {
        plain.extend(["?", query]);
    }
    plain
        .parse()
        .ok()
        .filter(|_| plain.len() < uri.path_and_query().map_or(0, |target| target.as_str().len()))
}

fn not_allowed(methods: &'static str) -> Response<BoxBody> {
    Response::build(StatusCode::METHOD_NOT_ALLOWED)
        .insert_header((ALLOW, methods))
        .finish()
        .map_into_boxed_body()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_of_a_path_need_no_encoding() {
        let plain = |target: &str| plain_path(&target.parse().unwrap()).map(|uri| uri.to_string());
        assert_eq!(plain("/%70ostback?a=%70"), Some("/postback?a=%70".to_owned()));
        assert_eq!(plain("/%2e%4Fk%2Fx"), Some("/%2eOk%2Fx".to_owned()));
        for same in ["/postback?a=%70", "/a%2Fb", "/a%", "/a%7", "/%zz", "/%+7"] {
            assert_eq!(plain(same), None, "{same}");
        }
    }
}
