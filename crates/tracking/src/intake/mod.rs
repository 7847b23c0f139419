//! The public endpoints of the tracking hosts: `/{alias}` and `/postback`. The only module here that knows HTTP.
//!
//! Below the framework's router, which was the dearest part of a click, and its extractors: a request comes from the
//! wire as it is.

mod clicks;
mod pages;
mod postbacks;
mod simulation;

use std::net::IpAddr;
use std::sync::Arc;

use ::postbacks::Target;
use actix_http::body::BoxBody;
use actix_http::header::{ALLOW, HOST, HeaderName};
use actix_http::{Method, Request, RequestHead, Response, StatusCode};
use campaigns::RoutingError;
use ipnet::IpNet;
use tenancy::networks::{Network, check_slug, normal_host};

pub use self::simulation::{SimulatedResponse, simulate};
use crate::tracker::{Intake, Tracker};

/// Longest request target taken, in bytes.
const TARGET_LIMIT: usize = 8 * 1024;

/// Answers a request: a postback at `/postback` or the path of a dialect, a click at `/{alias}`; on the host that all
/// networks share also with the network's slug in front, so that no DNS is needed to begin.
pub async fn answer(intake: &Intake, mut request: Request) -> Response<BoxBody> {
    let payload = request.take_payload();
    let target = request
        .uri()
        .path_and_query()
        .map_or("/", |target| target.as_str());
    match Target::of(target) {
        Target::Postback { slug } => {
            let method = request.method();
            if *method != Method::GET && *method != Method::POST {
                return not_allowed("GET, POST");
            }
            // Apart, so that every click is not as large as a postback.
            Box::pin(postbacks::receive(&request, slug, payload, intake)).await
        }
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

/// Whose request it is: that of the slug in front of the path, on the shared host only, or else that of the host.
async fn network_of(
    request: &RequestHead,
    slug: Option<&str>,
    tracker: &Tracker,
) -> Result<Option<Arc<Network>>, RoutingError> {
    match slug {
        None => tracker.routing.network(host(request)).await,
        Some(slug) if normal_host(host(request)) == *tracker.shared_host && check_slug(slug).is_ok() => {
            tracker.routing.network_of_slug(slug).await
        }
        Some(_) => Ok(None),
    }
}

/// The host a request came to, as its client spelled it. Proxies' headers are not believed.
fn host(request: &RequestHead) -> &str {
    request
        .headers
        .get(HOST)
        .and_then(|host| host.to_str().ok())
        .unwrap_or_default()
}

/// A header as text of at most `limit` characters; bytes that are no text are replaced, NUL is dropped.
fn header(request: &RequestHead, name: HeaderName, limit: usize) -> Option<String> {
    let value = request.headers.get(name)?.as_bytes();
    match std::str::from_utf8(value) {
        Ok(text) if value.is_ascii() && value.len() <= limit && !value.contains(&0) => Some(text.to_owned()),
        _ => {
            let text = String::from_utf8_lossy(value);
            Some(text.chars().filter(|c| *c != '\0').take(limit).collect())
        }
    }
}

/// The address a request came from: the peer's, or what a trusted proxy says of it, read from the right as far as
/// trusted proxies vouch for each other.
#[must_use]
pub fn client_ip(request: &RequestHead, trusted: &[IpNet]) -> Option<IpAddr> {
    let peer = request.peer_addr?.ip().to_canonical();
    if trusted.is_empty() {
        return Some(peer);
    }
    let forwarded = request
        .headers
        .get_all("x-forwarded-for")
        .filter_map(|value| value.to_str().ok());
    let hops: Vec<_> = forwarded
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .collect();
    Some(behind_proxies(peer, &hops, trusted))
}

/// Whether a request came over https: only a trusted proxy can say so, and says it of every leg that it tells of, because
/// we are spoken to in plain http. None where there is no peer: a request of our own.
fn over_https(request: &RequestHead, trusted: &[IpNet]) -> Option<bool> {
    let is_from_proxy = is_from_proxy(request, trusted)?;
    let said = request.headers.get_all("x-forwarded-proto");
    Some(is_from_proxy && are_https(said.filter_map(|value| value.to_str().ok())))
}

fn are_https<'a>(said: impl Iterator<Item = &'a str>) -> bool {
    let mut legs = said.flat_map(|value| value.split(',')).map(str::trim).peekable();
    legs.peek().is_some() && legs.all(|leg| leg.eq_ignore_ascii_case("https"))
}

/// Whether it is a trusted proxy that asks; none where there is no peer.
fn is_from_proxy(request: &RequestHead, trusted: &[IpNet]) -> Option<bool> {
    let peer = request.peer_addr?.ip().to_canonical();
    Some(trusted.iter().any(|proxy| proxy.contains(&peer)))
}

fn behind_proxies(peer: IpAddr, hops: &[&str], trusted: &[IpNet]) -> IpAddr {
    let mut client = peer;
    for hop in hops.iter().rev() {
        if !trusted.iter().any(|proxy| proxy.contains(&client)) {
            break;
        }
        let Ok(said) = hop.parse::<IpAddr>() else { break };
        client = said.to_canonical();
    }
    client
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_in_plain_http_over_any_leg_did_not_come_over_https() {
        for (said, expected) in [
            (&["https"][..], true),
            (&["HTTPS, https"], true),
            (&["https", "https"], true),
            (&["https, http"], false),
            (&["http", "https"], false),
            (&["https,"], false),
            (&[""], false),
            (&[], false),
        ] {
            assert_eq!(are_https(said.iter().copied()), expected, "{said:?}");
        }
    }

    #[test]
    fn only_trusted_proxies_are_believed() {
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        let trusted = ["10.0.0.0/8".parse().unwrap()];
        let client = |peer: &str, hops: &[&str]| behind_proxies(ip(peer), hops, &trusted);
        assert_eq!(client("203.0.113.7", &["198.51.100.1"]), ip("203.0.113.7"));
        assert_eq!(client("10.0.0.1", &["198.51.100.1"]), ip("198.51.100.1"));
        assert_eq!(
            client("10.0.0.1", &["1.1.1.1", "198.51.100.1", "10.0.0.2"]),
            ip("198.51.100.1")
        );
        assert_eq!(client("10.0.0.1", &["nonsense"]), ip("10.0.0.1"));
        assert_eq!(client("10.0.0.1", &[]), ip("10.0.0.1"));
    }
}
