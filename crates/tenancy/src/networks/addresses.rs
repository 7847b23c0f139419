//! Addresses of a network: its slug and its tracking hosts.

use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use schema::{NetworkConn, network_slugs, tracking_hosts};

/// Reserved slugs, which the tracking hosts or the dashboard use as the first segment of their paths.
const RESERVED_SLUGS: [&str; 8] = [
    "postback", "health", "static", "docs", "api", "admin", "ops", "join",
];

/// Validates a slug: 2 to 40 lower-case letters, digits and hyphens.
///
/// # Errors
/// Error message for the field.
pub fn check_slug(text: &str) -> Result<String, &'static str> {
    let text = text.trim();
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if !(2..=40).contains(&text.len())
        || !text.bytes().all(plain)
        || text.starts_with('-')
        || text.ends_with('-')
    {
        Err("Use 2 to 40 lower-case letters, digits and hyphens.")
    } else if RESERVED_SLUGS.contains(&text) {
        Err("This word is reserved; choose a different one.")
    } else {
        Ok(text.to_owned())
    }
}

/// Proposes a slug from a display name; the result may be too short to be valid.
#[must_use]
pub fn slug_from(name: &str) -> String {
    let mut slug = String::new();
    for c in name.to_lowercase().chars() {
        match c {
            'a'..='z' | '0'..='9' => slug.push(c),
            _ if slug.ends_with('-') || slug.is_empty() => {}
            _ => slug.push('-'),
        }
    }
    slug.truncate(40);
    slug.trim_matches('-').to_owned()
}

/// Validates a tracking host: a DNS name or an IP address, with an optional port.
///
/// # Errors
/// Error message for the field.
pub fn check_host(text: &str) -> Result<String, String> {
    let host = ascii_host(normal_host(text));
    let (name, port) = match host.rsplit_once(':') {
        Some((name, port)) if !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()) => {
            (name, Some(port))
        }
        _ => (host.as_str(), None),
    };
    let bracketed = name
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .is_some_and(|address| address.parse::<std::net::Ipv6Addr>().is_ok());
    let port_fits = port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port > 0));
    if host.len() <= 253 && port_fits && (bracketed || is_host(name)) {
        Ok(host)
    } else {
        Err(format!(
            "“{}” is not a host name such as trk.example.com. Enter it without https:// and without a path.",
            text.trim()
        ))
    }
}

/// Host, with or without a port, as browsers send it: letters outside ASCII as Punycode. What is no host stays as it is.
#[must_use]
pub fn ascii_host(host: String) -> String {
    if host.is_ascii() {
        return host;
    }
    let (name, port) = host
        .split_once(':')
        .map_or((&*host, None), |(name, port)| (name, Some(port)));
    match (idna::domain_to_ascii(name), port) {
        (Ok(name), Some(port)) => format!("{name}:{port}"),
        (Ok(name), None) => name,
        (Err(_), _) => host,
    }
}

pub(super) fn is_host(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    name.split('.').all(|label| {
        (1..=63).contains(&label.len())
            && label.bytes().all(plain)
            && !label.starts_with('-')
            && !label.ends_with('-')
    })
}

/// Tracking hosts of networks that are served.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ServedHosts {
    /// All that networks have entered.
    #[default]
    All,
    /// Those that DNS has proven.
    Proven,
}

/// Base URL for visitors and postbacks: the network's first tracking host that is served, or its path on the shared host,
/// whose URL is `shared`.
///
/// # Errors
/// Returns an error if the database fails.
pub async fn tracking_url(conn: &mut NetworkConn, shared: &str, served: ServedHosts) -> QueryResult<String> {
    let scheme = shared.split_once("://").map_or("https", |(scheme, _)| scheme);
    let network_id = conn.network_id();
    let mut hosts = tracking_hosts::table
        .filter(tracking_hosts::network_id.eq(network_id))
        .order(tracking_hosts::host)
        .select(tracking_hosts::host)
        .into_boxed();
    if served == ServedHosts::Proven {
        hosts = hosts.filter(tracking_hosts::proven_at.is_not_null());
    }
    let own: Option<String> = hosts.first(&mut **conn).await.optional()?;
    Ok(match own {
        Some(host) => format!("{scheme}://{host}"),
        None => format!("{shared}/{}", slug(conn).await?),
    })
}

/// Slug of the network.
///
/// # Errors
/// Returns an error if the database fails.
pub async fn slug(conn: &mut NetworkConn) -> QueryResult<String> {
    let network_id = conn.network_id();
    network_slugs::table
        .filter(network_slugs::network_id.eq(network_id))
        .select(network_slugs::slug)
        .first(&mut **conn)
        .await
}

/// Host of a URL, normalised.
#[must_use]
pub fn host_of(url: &str) -> String {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    normal_host(rest.split('/').next().unwrap_or(rest))
}

/// Normalises a host for storage and comparison: lower case, without a trailing dot and without a default port.
#[must_use]
pub fn normal_host(host: &str) -> String {
    let lower = host.trim().to_lowercase();
    let bare = lower
        .strip_suffix(":443")
        .or_else(|| lower.strip_suffix(":80"))
        .unwrap_or(&lower);
    bare.strip_suffix('.').unwrap_or(bare).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_one_host_are_normalised_alike() {
        for host in [
            "trk.example.com",
            "TRK.example.com",
            "trk.example.com:443",
            "trk.example.com.",
            "trk.example.com.:80",
        ] {
            assert_eq!(normal_host(host), "trk.example.com");
        }
        assert_eq!(normal_host("127.0.0.1:8081"), "127.0.0.1:8081");
    }

    #[test]
    fn a_host_stands_alone() {
        for good in [
            "trk.example.com",
            "localhost:8081",
            "127.0.0.1:8081",
            "[::1]:8081",
        ] {
            assert_eq!(check_host(good).as_deref(), Ok(good));
        }
        assert_eq!(
            check_host("Trk.Bücher.example:8081").as_deref(),
            Ok("trk.xn--bcher-kva.example:8081")
        );
        for bad in [
            "",
            "bü cher.example",
            "https://trk.example.com",
            "trk.example.com/x",
            "a b.example",
            "trk..com",
            "x:0",
            "x:99999",
            "-a.com",
            "[anything]",
        ] {
            assert!(check_host(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_slug_is_derived_from_a_name() {
        assert_eq!(slug_from("Orbit Partners, Inc."), "orbit-partners-inc");
        assert_eq!(slug_from("株式会社"), "");
        assert!(check_slug("orbit-partners").is_ok());
        for bad in ["", "a", "-ab", "ab-", "Ab", "a_b", "postback", &"x".repeat(41)] {
            assert!(check_slug(bad).is_err(), "{bad}");
        }
    }
}
