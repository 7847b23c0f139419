//! `/network`: profile, limits and usage of the network.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::web::{Data, Json};
use chrono::{DateTime, Utc};
use schema::{NetworkConn, NetworkId, clock};
use serde::{Deserialize, Serialize};
use tenancy::networks::{self, ClickKeyInUse, ProfileDraft};
use tenancy::{memberships, needs};
use utoipa::ToSchema;

use super::Answer;
use super::tracking_hosts::TrackingHost;
use crate::auth::Allowed;
use crate::error::ApiError;
use crate::extract::{Body, Integer, present};
use crate::idempotency::{Created, IdempotencyKey};
use crate::schemas;
use crate::state::Api;

/// The network of the caller.
#[derive(Serialize, ToSchema)]
pub(crate) struct Network {
    #[schema(value_type = schemas::NetworkId)]
    id: NetworkId,
    #[schema(value_type = schemas::Name)]
    name: String,
    /// Name in URLs.
    #[schema(value_type = schemas::Slug)]
    slug: String,
    /// Time zone of days in reports, caps and campaigns.
    #[schema(value_type = schemas::TimeZone)]
    time_zone: &'static str,
    /// Default currency of new campaigns.
    #[schema(value_type = schemas::Currency)]
    currency: String,
    /// Tracking hosts of the network; empty if it uses the shared host.
    #[schema(value_type = Vec<schemas::Host>)]
    tracking_hosts: Vec<String>,
    /// State of the tracking hosts: the DNS records that prove them, and their last check.
    host_states: Vec<TrackingHost>,
    /// True if members need two-factor authentication, for the API as well.
    require_two_factor: bool,
    /// True if a campaign can only go live after two test orders of each goal.
    require_tests: bool,
    /// True if advertisers see the names of affiliates, otherwise their IDs.
    names_affiliates: bool,
    /// True if managers see the events and money of all affiliates, otherwise of the affiliates they manage.
    managers_see_all: bool,
    /// Commission or revenue, in whole units, above which a correction of a conversion needs a second user; null for never.
    #[schema(required, minimum = 0)]
    second_user_above: Option<i64>,
    /// IP addresses and networks (CIDR) whose clicks are flagged.
    #[schema(value_type = Vec<schemas::AddressOrNetwork>)]
    blocked_addresses: Vec<String>,
    /// Key that signs new click IDs.
    click_key: ClickKey,
    #[schema(value_type = schemas::NetworkStatus)]
    status: &'static str,
    /// Reason for the status; empty for an active network.
    status_reason: String,
    limits: Limits,
    usage: Usage,
    created_at: DateTime<Utc>,
}

/// The key that signs new click IDs.
#[derive(Serialize, ToSchema)]
pub(crate) struct ClickKey {
    /// Number of the key; every replacement increments it.
    #[schema(minimum = 1, maximum = 127)]
    number: i16,
    /// Start of use. Click IDs of earlier keys are valid only if issued before.
    since: DateTime<Utc>,
}

impl From<ClickKeyInUse> for ClickKey {
    fn from(key: ClickKeyInUse) -> Self {
        Self {
            number: key.number,
            since: key.since,
        }
    }
}

impl Created for ClickKey {
    const STATUS: StatusCode = StatusCode::OK;
}

/// The limits of the network, set by the operator of the installation.
#[derive(Serialize, ToSchema)]
pub(crate) struct Limits {
    #[schema(minimum = 1)]
    max_postbacks_per_second: i32,
    #[schema(minimum = 1)]
    max_seats: i32,
    #[schema(minimum = 1)]
    max_links: i32,
}

/// The usage of the network.
#[derive(Serialize, ToSchema)]
pub(crate) struct Usage {
    /// Staff of the network, including open invitations.
    #[schema(minimum = 0)]
    seats: i64,
}

/// Fields to update. Absent fields keep their values.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NetworkPatch {
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = schemas::Name, required = false)]
    name: Option<String>,
    /// Name in URLs. URLs with the old name stop working.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = schemas::Slug, required = false)]
    slug: Option<String>,
    /// Time zone of days in reports; history follows a change.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = schemas::TimeZone, required = false)]
    time_zone: Option<String>,
    /// Default currency of new campaigns.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = schemas::Currency, required = false)]
    currency: Option<String>,
    /// Tracking hosts, as a complete list: hosts that are missing from it are released.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Vec<schemas::Host>, max_items = 20, required = false)]
    tracking_hosts: Option<Vec<String>>,
    /// True if members need two-factor authentication, for the API as well.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = bool, required = false)]
    require_two_factor: Option<bool>,
    /// True if a campaign can only go live after two test orders of each goal.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = bool, required = false)]
    require_tests: Option<bool>,
    /// True if advertisers see the names of affiliates, otherwise their IDs.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = bool, required = false)]
    names_affiliates: Option<bool>,
    /// True if managers see the events and money of all affiliates, otherwise of the affiliates they manage.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = bool, required = false)]
    managers_see_all: Option<bool>,
    /// Commission or revenue, in whole units, above which a correction of a conversion needs a second user; null for never.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<i64>, minimum = 0, maximum = 1_000_000_000, required = false)]
    second_user_above: Option<Option<Integer>>,
    /// IP addresses and networks (CIDR) whose clicks are flagged, as a complete list.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Vec<schemas::AddressOrNetwork>, max_items = 200, required = false)]
    blocked_addresses: Option<Vec<String>>,
}

/// Get the network
#[utoipa::path(get, path = "/network", tag = "Network", responses((status = 200, body = Network)))]
pub(crate) async fn show(access: Allowed<needs::SeeNetwork>, api: Data<Api>) -> Answer<Network> {
    let mut conn = access.network(&api.db).await?;
    let network = view(&mut conn, &api).await?;
    conn.commit().await?;
    Ok(Json(network))
}

/// Update the network
#[utoipa::path(patch, path = "/network", tag = "Network", request_body = NetworkPatch, responses((status = 200, body = Network)))]
pub(crate) async fn update(
    access: Allowed<needs::ManageNetwork>,
    api: Data<Api>,
    body: Body<NetworkPatch>,
) -> Answer<Network> {
    let patch = body.value;
    let mut conn = access.network(&api.db).await?;
    let old = networks::profile(&mut conn).await?;
    let second_user_above = match patch.second_user_above {
        Some(limit) => limit.map_or_else(String::new, |Integer(limit)| limit.to_string()),
        None => old.second_user_above(),
    };
    let draft = ProfileDraft {
        name: patch.name.unwrap_or(old.name),
        slug: patch.slug.unwrap_or(old.slug),
        time_zone: patch.time_zone.unwrap_or_else(|| old.time_zone.name().to_owned()),
        currency: patch.currency.unwrap_or_else(|| old.currency.to_string()),
        tracking_hosts: patch.tracking_hosts.unwrap_or(old.tracking_hosts),
        require_two_factor: patch.require_two_factor.unwrap_or(old.require_two_factor),
        require_tests: patch.require_tests.unwrap_or(old.require_tests),
        names_affiliates: patch.names_affiliates.unwrap_or(old.names_affiliates),
        managers_see_all: patch.managers_see_all.unwrap_or(old.managers_see_all),
        second_user_above,
        blocked_addresses: patch.blocked_addresses.unwrap_or(old.blocked_addresses),
    };
    let (author, profile) = (access.author(), draft.checked()?);
    networks::update_profile(&mut conn, &author, &profile, &api.reserved_hosts, clock::now()).await?;
    let network = view(&mut conn, &api).await?;
    conn.commit().await?;
    Ok(Json(network))
}

/// Replace the click ID key
///
/// The next key signs click IDs from `since` on, five seconds later, when all nodes use it. Click IDs issued before
/// remain valid; an ID that is forged with a leaked old key for a later time is not.
#[utoipa::path(post, path = "/network/click-key", tag = "Network", params(IdempotencyKey), responses((status = 200, body = ClickKey)))]
pub(crate) async fn replace_click_key(
    access: Allowed<needs::ManageNetwork>,
    api: Data<Api>,
    key: IdempotencyKey,
) -> Result<HttpResponse, ApiError> {
    let outcome = key.execute(&api, &access, b"", async |conn| {
        let key = networks::replace_click_key(conn, &access.author(), clock::now()).await?;
        Ok(ClickKey::from(key))
    });
    Ok(outcome.await?.response())
}

async fn view(conn: &mut NetworkConn, api: &Api) -> Result<Network, ApiError> {
    let network = networks::current(conn).await?;
    let profile = networks::profile(conn).await?;
    let hosts = networks::claimed_hosts(conn).await?.into_iter();
    let seats = memberships::seats_taken(conn, clock::now()).await?;
    Ok(Network {
        id: network.id,
        name: profile.name,
        slug: profile.slug,
        time_zone: profile.time_zone.name(),
        currency: profile.currency.to_string(),
        tracking_hosts: profile.tracking_hosts,
        host_states: hosts.map(|claimed| TrackingHost::new(claimed, api)).collect(),
        require_two_factor: profile.require_two_factor,
        require_tests: profile.require_tests,
        names_affiliates: profile.names_affiliates,
        managers_see_all: profile.managers_see_all,
        second_user_above: profile
            .second_user_above_micros
            .map(|micros| micros / schema::Money::UNIT),
        blocked_addresses: profile.blocked_addresses,
        click_key: network.click_key.into(),
        status: network.status.as_str(),
        status_reason: network.status_reason,
        limits: Limits {
            max_postbacks_per_second: network.limits.max_postbacks_per_second,
            max_seats: network.limits.max_seats,
            max_links: network.limits.max_links,
        },
        usage: Usage { seats },
        created_at: network.created_at,
    })
}
