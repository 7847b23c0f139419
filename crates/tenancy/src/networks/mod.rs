//! Networks: the tenants.

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use schema::{Currency, NetworkConn, NetworkId, Words, network_slugs, networks, text_enum};
use serde_json::{Value, json};

use crate::actor::Author;
use crate::audit::{self, Change};
use crate::error::{ChangeError, FieldErrors, check_text, taken};

mod addresses;
mod blocked;
mod click_key;
mod joining;
mod profile;

pub use addresses::{
    check_host, check_slug, host_of, normal_host, set_tracking_hosts, slug, slug_from, tracking_hosts,
    tracking_url,
};
pub use blocked::check_address;
pub use click_key::{ClickKeyInUse, replace_click_key};
pub use joining::{AutoApprove, Joining, update_joining};
pub use profile::{Profile, ProfileDraft, check_time_zone, profile, update_profile};

text_enum! {
    /// Whether a network works.
    pub enum NetworkStatus {
        /// All works.
        Active = "active",
        /// Clicks and postbacks are refused; its people can still look.
        Suspended = "suspended",
        /// Its owner deleted it, and what is left is being erased.
        Closed = "closed",
    }
}

/// A network as stored.
#[derive(Debug, Clone, HasQuery)]
#[diesel(table_name = networks)]
pub struct Network {
    /// The network.
    pub id: NetworkId,
    /// As people see it.
    pub name: String,
    /// IANA name of its time zone.
    time_zone: String,
    /// Proposed for new campaigns.
    pub currency: Currency,
    /// Whether it works.
    pub status: NetworkStatus,
    /// Why not, where it does not.
    pub status_reason: String,
    /// Whether everyone must have a second factor.
    pub require_two_factor: bool,
    /// Whether a campaign goes live only when test orders of every goal have arrived.
    pub require_tests: bool,
    /// What it may use.
    #[diesel(embed)]
    pub limits: Limits,
    /// How affiliates join.
    #[diesel(embed)]
    pub joining: Joining,
    /// What signs its click ids.
    #[diesel(embed)]
    pub click_key: ClickKeyInUse,
    /// Addresses and networks (CIDR) whose clicks are flagged.
    pub blocked_addresses: Words,
    /// When it was created.
    pub created_at: DateTime<Utc>,
}

/// How much a network may use; set by whoever runs the installation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, HasQuery, AsChangeset, Insertable)]
#[diesel(table_name = networks)]
pub struct Limits {
    /// Postbacks per second and node.
    pub max_postbacks_per_second: i32,
    /// People who work for the network itself.
    pub max_seats: i32,
    /// Tracking links.
    pub max_links: i32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_postbacks_per_second: 200,
            max_seats: 25,
            max_links: 100_000,
        }
    }
}

impl Limits {
    fn to_json(self) -> Value {
        json!({
            "max_postbacks_per_second": self.max_postbacks_per_second,
            "max_seats": self.max_seats,
            "max_links": self.max_links,
        })
    }
}

impl Network {
    /// The zone its days are counted in. A name that this binary's zone data does not know reads as UTC.
    #[must_use]
    pub fn time_zone(&self) -> Tz {
        self.time_zone.parse().unwrap_or(Tz::UTC)
    }
}

/// A network to create, checked.
pub struct NewNetwork<'a> {
    /// As people see it.
    pub name: &'a str,
    /// Its name in addresses.
    pub slug: &'a str,
    /// The zone its days are counted in.
    pub time_zone: Tz,
    /// Proposed for new campaigns.
    pub currency: Currency,
}

/// Creates the network of this transaction, whose id is fresh ([`crate::unscoped::new_network_id`]). It has no members
/// and no tracking host yet; both can be given in the same transaction.
///
/// # Errors
/// When the database fails, or the slug is taken ([`ChangeError::Fields`]).
pub async fn create(
    conn: &mut NetworkConn,
    author: &Author,
    network: &NewNetwork<'_>,
    now: DateTime<Utc>,
) -> Result<Network, ChangeError> {
    let network_id = conn.network_id();
    let made = diesel::insert_into(networks::table)
        .values((
            networks::id.eq(network_id),
            networks::name.eq(network.name),
            networks::time_zone.eq(network.time_zone.name()),
            networks::currency.eq(network.currency),
            networks::status.eq(NetworkStatus::Active),
            networks::status_reason.eq(""),
            networks::require_two_factor.eq(false),
            networks::require_tests.eq(false),
            Limits::default(),
            Joining::closed(),
            networks::created_at.eq(now),
        ))
        .returning(Network::as_select())
        .get_result(&mut **conn)
        .await?;
    diesel::insert_into(network_slugs::table)
        .values((
            network_slugs::slug.eq(network.slug),
            network_slugs::network_id.eq(network_id),
        ))
        .execute(&mut **conn)
        .await
        .map_err(taken("network_slugs_pkey", "slug", SLUG_TAKEN))?;
    let after = json!({ "name": network.name, "slug": network.slug });
    let change = Change::created("network.create", network_id, network.name, after);
    audit::record(conn, author, change, now).await?;
    Ok(made)
}

const SLUG_TAKEN: &str = "Another network has this name in its addresses; choose a different one.";

/// The network of this transaction.
///
/// # Errors
/// When the database fails.
pub async fn current(conn: &mut NetworkConn) -> QueryResult<Network> {
    let network_id = conn.network_id();
    Network::query()
        .filter(networks::id.eq(network_id))
        .first(&mut **conn)
        .await
}

/// Changes what the network may use.
///
/// # Errors
/// [`ChangeError::Fields`].
pub async fn set_limits(
    conn: &mut NetworkConn,
    author: &Author,
    limits: Limits,
    now: DateTime<Utc>,
) -> Result<(), ChangeError> {
    let mut errors = FieldErrors::default();
    for (field, value, highest) in [
        (
            "max_postbacks_per_second",
            limits.max_postbacks_per_second,
            1_000_000,
        ),
        ("max_seats", limits.max_seats, 100_000),
        ("max_links", limits.max_links, 100_000_000),
    ] {
        if !(1..=highest).contains(&value) {
            errors.add(field, format!("Enter a number from 1 to {highest}."));
        }
    }
    errors.or(Some(()))?;
    let old = current(conn).await?;
    diesel::update(networks::table.find(old.id))
        .set(limits)
        .execute(&mut **conn)
        .await?;
    let (before, after) = (old.limits.to_json(), limits.to_json());
    let change = Change::between("network.set_limits", old.id, &old.name, before, after);
    Ok(audit::record(conn, author, change, now).await?)
}

/// Suspends, resumes or closes the network.
///
/// # Errors
/// [`ChangeError::Conflict`] for a network that is closed: it does not come back.
pub async fn set_status(
    conn: &mut NetworkConn,
    author: &Author,
    status: NetworkStatus,
    reason: &str,
    now: DateTime<Utc>,
) -> Result<(), ChangeError> {
    let old = current(conn).await?;
    if old.status == NetworkStatus::Closed {
        return Err(ChangeError::Conflict("This network is closed.".to_owned()));
    }
    let reason = check_text(reason).map_err(|message| ChangeError::field("reason", message))?;
    // The condition once more: its owner may be deleting it right now.
    let changed = diesel::update(
        networks::table
            .find(old.id)
            .filter(networks::status.ne(NetworkStatus::Closed)),
    )
    .set((networks::status.eq(status), networks::status_reason.eq(&reason)))
    .execute(&mut **conn)
    .await?;
    if changed != 1 {
        return Err(ChangeError::Conflict("This network is closed.".to_owned()));
    }
    let change = Change::between(
        "network.set_status",
        old.id,
        &old.name,
        json!({ "status": old.status.as_str(), "reason": old.status_reason }),
        json!({ "status": status.as_str(), "reason": reason }),
    );
    Ok(audit::record(conn, author, change, now).await?)
}
