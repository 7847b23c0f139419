//! Where a network is found: its slug, and the hosts of its own.

use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use schema::{NetworkConn, network_slugs, tracking_hosts};

use crate::error::{ChangeError, taken};

/// First words of paths that no network can be called, because the tracking hosts or the dashboard use them.
const RESERVED_SLUGS: [&str; 8] = [
    "postback", "health", "static", "docs", "api", "admin", "ops", "join",
];

/// A name for addresses: two to forty lower-case letters, digits and hyphens.
///
/// # Errors
/// What is wrong, for the person who typed it.
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

/// A name for addresses made from a name for people; may be too short to be one.
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

/// A tracking host: a name or an address, with a port if need be.
///
/// # Errors
/// What is wrong, for the person who typed it.
pub fn check_host(text: &str) -> Result<String, String> {
    let host = normal_host(text);
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
            "“{}” is not a host such as trk.example.com; write it without https:// and path.",
            text.trim()
        ))
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

/// Where visitors and servers reach the network: its own first host, or its part of the host that all share, which is at
/// `shared`.
///
/// # Errors
/// When the database fails.
pub async fn tracking_url(conn: &mut NetworkConn, shared: &str) -> QueryResult<String> {
    let scheme = shared.split_once("://").map_or("https", |(scheme, _)| scheme);
    let own = tracking_hosts(conn).await?.into_iter().next();
    Ok(match own {
        Some(host) => format!("{scheme}://{host}"),
        None => format!("{shared}/{}", slug(conn).await?),
    })
}

/// The network's name in addresses.
///
/// # Errors
/// When the database fails.
pub async fn slug(conn: &mut NetworkConn) -> QueryResult<String> {
    let network_id = conn.network_id();
    network_slugs::table
        .filter(network_slugs::network_id.eq(network_id))
        .select(network_slugs::slug)
        .first(&mut **conn)
        .await
}

/// The hosts that clicks and postbacks of this network come to, in alphabetical order.
///
/// # Errors
/// When the database fails.
pub async fn tracking_hosts(conn: &mut NetworkConn) -> QueryResult<Vec<String>> {
    let network_id = conn.network_id();
    tracking_hosts::table
        .filter(tracking_hosts::network_id.eq(network_id))
        .order(tracking_hosts::host)
        .select(tracking_hosts::host)
        .load(&mut **conn)
        .await
}

/// Makes these the only hosts of this network.
///
/// # Errors
/// When the database fails, or a host belongs to another network ([`ChangeError::Fields`]).
pub async fn set_tracking_hosts(conn: &mut NetworkConn, hosts: &[String]) -> Result<(), ChangeError> {
    let network_id = conn.network_id();
    diesel::delete(tracking_hosts::table.filter(tracking_hosts::network_id.eq(network_id)))
        .execute(&mut **conn)
        .await?;
    let rows: Vec<_> = hosts
        .iter()
        .map(|host| {
            (
                tracking_hosts::host.eq(normal_host(host)),
                tracking_hosts::network_id.eq(network_id),
            )
        })
        .collect();
    diesel::insert_into(tracking_hosts::table)
        .values(rows)
        .execute(&mut **conn)
        .await
        .map_err(taken(
            "tracking_hosts_pkey",
            "tracking_hosts",
            "One of these hosts belongs to another network.",
        ))?;
    Ok(())
}

/// The host of an address, as it is stored and compared.
#[must_use]
pub fn host_of(url: &str) -> String {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    normal_host(rest.split('/').next().unwrap_or(rest))
}

/// A host as it is stored and compared: lower case, without the dot of a full name and without a default port.
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
    fn a_host_is_the_same_however_it_is_spelled() {
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
    fn a_host_is_written_alone() {
        for good in [
            "trk.example.com",
            "localhost:8081",
            "127.0.0.1:8081",
            "[::1]:8081",
        ] {
            assert_eq!(check_host(good).as_deref(), Ok(good));
        }
        for bad in [
            "",
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
    fn a_slug_is_made_from_a_name() {
        assert_eq!(slug_from("Orbit Partners, Inc."), "orbit-partners-inc");
        assert_eq!(slug_from("株式会社"), "");
        assert!(check_slug("orbit-partners").is_ok());
        for bad in ["", "a", "-ab", "ab-", "Ab", "a_b", "postback", &"x".repeat(41)] {
            assert!(check_slug(bad).is_err(), "{bad}");
        }
    }
}
