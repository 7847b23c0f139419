//! Row of a network, its creation, its limits and its status.

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use schema::{Currency, Db, DbError, NetworkConn, NetworkId, Words, network_slugs, networks, text_enum};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::joining::Joining;
use crate::audit::{self, Change};
use crate::author::Author;
use crate::error::{ChangeError, FieldErrors, check_text, taken};

text_enum! {
    /// Operating status of a network.
    pub enum NetworkStatus {
        /// In operation.
        Active = "active",
        /// Clicks and postbacks are refused; members keep read access.
        Suspended = "suspended",
        /// Deleted by its owner; its data is being erased.
        Closed = "closed",
    }
}

/// A network as stored.
#[derive(Debug, Clone, HasQuery, Serialize, Deserialize)]
#[diesel(table_name = networks)]
pub struct Network {
    /// Network ID.
    pub id: NetworkId,
    /// Display name.
    pub name: String,
    /// IANA name of the time zone.
    time_zone: String,
    /// Default currency for new campaigns.
    pub currency: Currency,
    /// Operating status.
    pub status: NetworkStatus,
    /// Reason for the status; empty if active.
    pub status_reason: String,
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
    /// Limits set by the operators.
    #[diesel(embed)]
    pub limits: Limits,
    /// Settings for affiliates' applications.
    #[diesel(embed)]
    pub joining: Joining,
    /// Signing key of click IDs.
    #[diesel(embed)]
    pub click_key: ClickKeyInUse,
    /// IP addresses and CIDR ranges whose clicks are flagged.
    pub blocked_addresses: Words,
    /// Time of creation.
    pub created_at: DateTime<Utc>,
}

/// Limits of a network, set by the operators of the installation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, HasQuery, AsChangeset, Insertable, Serialize, Deserialize)]
#[diesel(table_name = networks)]
pub struct Limits {
    /// Maximum number of postbacks per second, per node.
    pub max_postbacks_per_second: i32,
    /// Maximum number of staff members, including invited ones.
    pub max_seats: i32,
    /// Maximum number of tracking links.
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

/// Signing key in use. The key itself is derived from the installation's secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, HasQuery, Serialize, Deserialize)]
#[diesel(table_name = networks)]
pub struct ClickKeyInUse {
    /// Key number, from 1 to 127.
    #[diesel(column_name = click_key_number)]
    pub number: i16,
    /// Time from which the key signs; click IDs signed with an earlier key are valid only if issued before.
    #[diesel(column_name = click_key_since)]
    pub since: DateTime<Utc>,
}

impl ClickKeyInUse {
    pub(super) fn to_json(self) -> Value {
        json!({ "number": self.number, "since": self.since })
    }
}

impl Network {
    /// Time zone for calendar days and hours. UTC if this binary's zone data lacks the stored name.
    #[must_use]
    pub fn time_zone(&self) -> Tz {
        self.time_zone.parse().unwrap_or(Tz::UTC)
    }
}

/// Validated settings of a new network.
pub struct NewNetwork<'a> {
    /// Display name.
    pub name: &'a str,
    /// Slug, the network's name in URLs.
    pub slug: &'a str,
    /// Time zone for calendar days and hours.
    pub time_zone: Tz,
    /// Default currency for new campaigns.
    pub currency: Currency,
}

/// Creates the network of this transaction, whose ID comes from [`crate::unscoped::new_network_id`]. It starts without
/// members and tracking hosts; both can be added in the same transaction.
///
/// # Errors
/// [`ChangeError::Fields`] if the slug is taken, or when the database fails.
#[tracing::instrument(skip_all, fields(network = %conn.network_id()))]
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

pub(super) const SLUG_TAKEN: &str = "This slug is already in use by another network.";

/// Active networks, in order, for background work.
///
/// # Errors
/// Returns an error if the database fails.
pub async fn active(db: &Db) -> Result<Vec<NetworkId>, DbError> {
    let mut conn = db.operator().await?;
    let found = networks::table
        .filter(networks::status.eq(NetworkStatus::Active))
        .select(networks::id)
        .order(networks::id)
        .load(&mut *conn)
        .await?;
    conn.commit().await?;
    Ok(found)
}

/// Network of this transaction.
///
/// # Errors
/// Returns an error if the database fails.
pub async fn current(conn: &mut NetworkConn) -> QueryResult<Network> {
    let network_id = conn.network_id();
    Network::query()
        .filter(networks::id.eq(network_id))
        .first(&mut **conn)
        .await
}

/// Changes the limits of the network.
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

/// Changes the status of the network, with a reason.
///
/// # Errors
/// [`ChangeError::Conflict`] if the network is closed, which is final.
#[tracing::instrument(skip_all, fields(network = %conn.network_id(), status = %status))]
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
    // Checked again in the update: the owner may be deleting the network at the same time.
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

/// Changes the settings for applications.
///
/// # Errors
/// Returns an error if the database fails.
pub async fn update_joining(
    conn: &mut NetworkConn,
    author: &Author,
    joining: &Joining,
    now: DateTime<Utc>,
) -> QueryResult<()> {
    let old = current(conn).await?;
    diesel::update(networks::table.find(old.id))
        .set(joining)
        .execute(&mut **conn)
        .await?;
    let (before, after) = (old.joining.to_json(), joining.to_json());
    let change = Change::between("network.update_joining", old.id, &old.name, before, after);
    audit::record(conn, author, change, now).await
}
