//! Network settings that its staff can change.

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use schema::{Currency, Money, NetworkConn, Words, network_slugs, networks};
use serde_json::{Value, json};

use super::addresses::{check_host, check_slug, slug};
use super::blocked::check_addresses;
use super::host_claims::{set_tracking_hosts, tracking_hosts};
use super::network::{SLUG_TAKEN, current};
use crate::audit::{self, Change};
use crate::author::Author;
use crate::error::{ChangeError, FieldErrors, check_name, taken};

/// Parses a time zone by its IANA name.
///
/// # Errors
/// Error message for the field.
pub fn check_time_zone(text: &str) -> Result<Tz, String> {
    text.trim()
        .parse()
        .map_err(|_| format!("“{text}” is not a time zone such as Europe/Warsaw."))
}

/// Validated network settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile {
    /// Display name.
    pub name: String,
    /// Slug, the network's name in URLs.
    pub slug: String,
    /// Time zone for calendar days and hours.
    pub time_zone: Tz,
    /// Default currency for new campaigns.
    pub currency: Currency,
    /// Tracking hosts for clicks and postbacks; empty for the shared host.
    pub tracking_hosts: Vec<String>,
    /// True if members must set up two-factor authentication.
    pub require_two_factor: bool,
    /// True if a campaign can go live only after test conversions of every goal have arrived.
    pub require_tests: bool,
    /// True if advertisers see the names of affiliates, otherwise their IDs.
    pub names_affiliates: bool,
    /// True if managers see the events and money of all affiliates, otherwise of the affiliates they manage.
    pub managers_see_all: bool,
    /// Commission or revenue, in micro-units, above which a correction of a conversion needs a second user; `None` for never.
    pub second_user_above_micros: Option<i64>,
    /// IP addresses and CIDR ranges whose clicks are flagged.
    pub blocked_addresses: Vec<String>,
}

impl Profile {
    fn to_json(&self) -> Value {
        json!({
            "name": self.name,
            "slug": self.slug,
            "time_zone": self.time_zone.name(),
            "currency": self.currency.code(),
            "tracking_hosts": self.tracking_hosts,
            "require_two_factor": self.require_two_factor,
            "require_tests": self.require_tests,
            "names_affiliates": self.names_affiliates,
            "managers_see_all": self.managers_see_all,
            "second_user_above_micros": self.second_user_above_micros,
            "blocked_addresses": self.blocked_addresses,
        })
    }
}

/// Unvalidated network settings.
#[derive(Debug, Clone, Default)]
pub struct ProfileDraft {
    /// Display name.
    pub name: String,
    /// Slug, the network's name in URLs.
    pub slug: String,
    /// IANA name of the time zone.
    pub time_zone: String,
    /// ISO 4217 currency code.
    pub currency: String,
    /// Tracking hosts for clicks and postbacks.
    pub tracking_hosts: Vec<String>,
    /// True if members must set up two-factor authentication.
    pub require_two_factor: bool,
    /// True if a campaign can go live only after test conversions of every goal have arrived.
    pub require_tests: bool,
    /// True if advertisers see the names of affiliates, otherwise their IDs.
    pub names_affiliates: bool,
    /// True if managers see the events and money of all affiliates, otherwise of the affiliates they manage.
    pub managers_see_all: bool,
    /// Commission or revenue in whole units above which a correction needs a second user; empty for never.
    pub second_user_above: String,
    /// IP addresses and CIDR ranges whose clicks are flagged.
    pub blocked_addresses: Vec<String>,
}

impl ProfileDraft {
    /// Validates the settings.
    ///
    /// # Errors
    /// [`ChangeError::Fields`].
    pub fn checked(&self) -> Result<Profile, ChangeError> {
        let mut errors = FieldErrors::default();
        let name = errors.take("name", check_name(&self.name));
        let slug = errors.take("slug", check_slug(&self.slug));
        let time_zone = errors.take("time_zone", check_time_zone(&self.time_zone));
        let currency = errors.take("currency", self.currency.parse::<Currency>());
        let mut hosts: Vec<String> = Vec::new();
        for host in &self.tracking_hosts {
            match check_host(host) {
                Ok(host) if hosts.contains(&host) => {}
                Ok(host) => hosts.push(host),
                Err(message) => errors.add("tracking_hosts", message),
            }
        }
        if hosts.len() > 20 {
            errors.add("tracking_hosts", "Use at most 20 hosts.");
        }
        let blocked_addresses = check_addresses(&self.blocked_addresses, &mut errors);
        let second_user_above_micros = errors
            .take("second_user_above", check_units(&self.second_user_above))
            .flatten();
        let profile = match (name, slug, time_zone, currency) {
            (Some(name), Some(slug), Some(time_zone), Some(currency)) => Some(Profile {
                name,
                slug,
                time_zone,
                currency,
                tracking_hosts: hosts,
                require_two_factor: self.require_two_factor,
                require_tests: self.require_tests,
                names_affiliates: self.names_affiliates,
                managers_see_all: self.managers_see_all,
                second_user_above_micros,
                blocked_addresses,
            }),
            _ => None,
        };
        errors.or(profile)
    }
}

/// Parses whole units of money as micro-units; none for an empty text.
fn check_units(text: &str) -> Result<Option<i64>, &'static str> {
    match text.trim().parse::<i64>() {
        _ if text.trim().is_empty() => Ok(None),
        Ok(units @ 0..=1_000_000_000) => Ok(Some(units * Money::UNIT)),
        _ => Err("Enter a whole number from 0 to 1000000000, or nothing."),
    }
}

impl Profile {
    /// Limit for corrections by one user as typed.
    #[must_use]
    pub fn second_user_above(&self) -> String {
        let limit = self.second_user_above_micros;
        limit.map_or_else(String::new, |micros| (micros / Money::UNIT).to_string())
    }
}

/// Current network settings.
///
/// # Errors
/// Returns an error if the database fails.
pub async fn profile(conn: &mut NetworkConn) -> QueryResult<Profile> {
    let network = current(conn).await?;
    Ok(Profile {
        slug: slug(conn).await?,
        tracking_hosts: tracking_hosts(conn).await?,
        time_zone: network.time_zone(),
        name: network.name,
        currency: network.currency,
        require_two_factor: network.require_two_factor,
        require_tests: network.require_tests,
        names_affiliates: network.names_affiliates,
        managers_see_all: network.managers_see_all,
        second_user_above_micros: network.second_user_above_micros,
        blocked_addresses: network.blocked_addresses.0,
    })
}

/// Changes the network settings.
///
/// `reserved_hosts` belong to the installation and cannot be taken by a network.
///
/// # Errors
/// [`ChangeError::Fields`] if the slug or a host is taken or invalid.
pub async fn update_profile(
    conn: &mut NetworkConn,
    author: &Author,
    new: &Profile,
    reserved_hosts: &[String],
    now: DateTime<Utc>,
) -> Result<(), ChangeError> {
    let network_id = conn.network_id();
    let old = profile(conn).await?;
    for host in new
        .tracking_hosts
        .iter()
        .filter(|host| !old.tracking_hosts.contains(host))
    {
        check_claim(host, reserved_hosts).map_err(|message| ChangeError::field("tracking_hosts", message))?;
    }
    if new.slug != old.slug {
        diesel::update(network_slugs::table.filter(network_slugs::network_id.eq(network_id)))
            .set(network_slugs::slug.eq(&new.slug))
            .execute(&mut **conn)
            .await
            .map_err(taken("network_slugs_pkey", "slug", SLUG_TAKEN))?;
    }
    if new.tracking_hosts != old.tracking_hosts {
        set_tracking_hosts(conn, &new.tracking_hosts, now).await?;
    }
    diesel::update(networks::table.find(network_id))
        .set((
            networks::name.eq(&new.name),
            networks::time_zone.eq(new.time_zone.name()),
            networks::currency.eq(new.currency),
            networks::require_two_factor.eq(new.require_two_factor),
            networks::require_tests.eq(new.require_tests),
            networks::names_affiliates.eq(new.names_affiliates),
            networks::managers_see_all.eq(new.managers_see_all),
            networks::second_user_above_micros.eq(new.second_user_above_micros),
            networks::blocked_addresses.eq(Words(new.blocked_addresses.clone())),
        ))
        .execute(&mut **conn)
        .await?;
    let change = Change::between(
        "network.update",
        network_id,
        &new.name,
        old.to_json(),
        new.to_json(),
    );
    Ok(audit::record(conn, author, change, now).await?)
}

/// Checks that a network may take this host: a full DNS name that is not one of the installation's hosts.
fn check_claim(host: &str, reserved_hosts: &[String]) -> Result<(), String> {
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    let is_address = host.starts_with('[') || name.parse::<std::net::IpAddr>().is_ok();
    if reserved_hosts.iter().any(|reserved| reserved == host) {
        Err(format!("{host} is reserved by this installation."))
    } else if is_address || !name.contains('.') {
        Err(format!(
            "Enter a full host name such as trk.example.com instead of {host}."
        ))
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_takes_full_host_names_only() {
        let reserved = ["trk.example.com".to_owned()];
        assert_eq!(check_claim("go.nova.example", &reserved), Ok(()));
        for host in [
            "trk.example.com",
            "localhost:8081",
            "localhost",
            "127.0.0.1",
            "10.0.0.1:80",
            "[::1]:80",
        ] {
            assert!(check_claim(host, &reserved).is_err(), "{host}");
        }
    }
}
