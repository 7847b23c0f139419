//! Request head: network, headers, address of the client, and what trusted proxies report.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use actix_http::RequestHead;
use actix_http::header::{HOST, HeaderName};
use campaigns::RoutingError;
use ipnet::IpNet;
use schema::AdvertiserId;
use tenancy::networks::{Network, check_slug, normal_host};

use crate::tracker::Tracker;

/// Maximum length of a request target, in bytes.
pub(super) const TARGET_LIMIT: usize = 8 * 1024;

/// Mark of a simulated request: the advertiser whose postbacks the network tries.
#[derive(Clone, Copy)]
pub(super) struct Simulated(pub(super) AdvertiserId);

/// Network of a request: that of the slug in front of the path, which only the shared host supports, or that of the
/// host.
pub(super) async fn network_of(
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

/// Network of a postback. On a network's own host, anything may precede the path: Keitaro puts its key there.
pub(super) async fn network_of_postback(
    request: &RequestHead,
    slug: Option<&str>,
    tracker: &Tracker,
) -> Result<Option<Arc<Network>>, RoutingError> {
    match network_of(request, slug, tracker).await? {
        None => tracker.routing.network(host(request)).await,
        found => Ok(found),
    }
}

/// `Host` as the client sent it. `X-Forwarded-Host` is ignored.
fn host(request: &RequestHead) -> &str {
    request
        .headers
        .get(HOST)
        .and_then(|host| host.to_str().ok())
        .unwrap_or_default()
}

/// Header as text of at most `limit` characters. Invalid UTF-8 is replaced, NUL is removed.
pub(super) fn header(request: &RequestHead, name: HeaderName, limit: usize) -> Option<String> {
    let value = request.headers.get(name)?.as_bytes();
    match std::str::from_utf8(value) {
        Ok(text) if value.is_ascii() && value.len() <= limit && !value.contains(&0) => Some(text.to_owned()),
        _ => {
            let text = String::from_utf8_lossy(value);
            Some(text.chars().filter(|c| *c != '\0').take(limit).collect())
        }
    }
}

/// Address of the client: the peer's, or the one that trusted proxies forward in `X-Forwarded-For`, read from the right
/// up to the first address that is no trusted proxy. `None` for a simulated request, which has no peer.
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

/// True if a trusted proxy reports HTTPS for every hop in `X-Forwarded-Proto`; this server itself listens on plain
/// HTTP. `None` for a simulated request, which has no peer.
pub(super) fn over_https(request: &RequestHead, trusted: &[IpNet]) -> Option<bool> {
    let is_from_proxy = is_from_proxy(request, trusted)?;
    let protocols = request.headers.get_all("x-forwarded-proto");
    Some(is_from_proxy && are_https(protocols.filter_map(|value| value.to_str().ok())))
}

fn are_https<'a>(protocols: impl Iterator<Item = &'a str>) -> bool {
    let mut hops = protocols
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .peekable();
    hops.peek().is_some() && hops.all(|hop| hop.eq_ignore_ascii_case("https"))
}

/// True if the peer is a trusted proxy; `None` for a simulated request, which has no peer.
pub(super) fn is_from_proxy(request: &RequestHead, trusted: &[IpNet]) -> Option<bool> {
    let peer = request.peer_addr?.ip().to_canonical();
    Some(trusted.iter().any(|proxy| proxy.contains(&peer)))
}

/// Peer that forwards an address although it is not trusted, if it is near enough to be the operator's proxy.
pub(super) fn untrusted_proxy(request: &RequestHead, trusted: &[IpNet]) -> Option<IpAddr> {
    let peer = request.peer_addr?.ip().to_canonical();
    let is_near = match peer {
        IpAddr::V4(peer) => peer.is_loopback() || peer.is_private() || peer.is_link_local(),
        IpAddr::V6(peer) => peer.is_loopback() || peer.is_unique_local() || peer.is_unicast_link_local(),
    };
    let forwards = is_near && request.headers.contains_key("x-forwarded-for");
    (forwards && is_from_proxy(request, trusted) == Some(false)).then_some(peer)
}

fn behind_proxies(peer: IpAddr, hops: &[&str], trusted: &[IpNet]) -> IpAddr {
    let mut client = peer;
    for hop in hops.iter().rev() {
        if !trusted.iter().any(|proxy| proxy.contains(&client)) {
            break;
        }
        let Some(forwarded) = forwarded_address(hop) else {
            break;
        };
        client = forwarded.to_canonical();
    }
    client
}

/// Address that a proxy forwards: plain, with a port, or in brackets.
fn forwarded_address(hop: &str) -> Option<IpAddr> {
    let bare = hop.trim_start_matches('[').trim_end_matches(']');
    let with_port = || hop.parse::<SocketAddr>().map(|address| address.ip());
    bare.parse().or_else(|_| with_port()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_with_a_plain_http_hop_is_not_over_https() {
        for (protocols, expected) in [
            (&["https"][..], true),
            (&["HTTPS, https"], true),
            (&["https", "https"], true),
            (&["https, http"], false),
            (&["http", "https"], false),
            (&["https,"], false),
            (&[""], false),
            (&[], false),
        ] {
            assert_eq!(are_https(protocols.iter().copied()), expected, "{protocols:?}");
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
        assert_eq!(client("10.0.0.1", &["198.51.100.9:51008"]), ip("198.51.100.9"));
        assert_eq!(client("10.0.0.1", &["[2001:db8::1]:443"]), ip("2001:db8::1"));
        assert_eq!(client("10.0.0.1", &["[2001:db8::1]"]), ip("2001:db8::1"));
        assert_eq!(client("10.0.0.1", &["nonsense"]), ip("10.0.0.1"));
        assert_eq!(client("10.0.0.1", &[]), ip("10.0.0.1"));
    }
}
