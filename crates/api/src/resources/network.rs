//! `/network`: the network's profile, limits and use.

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
use crate::door::Allowed;
use crate::error::ApiError;
use crate::extract::{Body, given};
use crate::once::{Created, Once};
use crate::openapi::IdempotencyKey;
use crate::{Api, schemas};

/// A network.
#[derive(Serialize, ToSchema)]
pub(crate) struct Network {
    #[schema(value_type = schemas::NetworkId)]
    id: NetworkId,
    #[schema(value_type = schemas::Name)]
    name: String,
    /// Its name in addresses.
    #[schema(value_type = schemas::Slug)]
    slug: String,
    /// Its days are counted in this zone.
    #[schema(value_type = schemas::TimeZone)]
    time_zone: &'static str,
    /// Proposed for new campaigns.
    #[schema(value_type = schemas::Currency)]
    currency: String,
    /// The hosts that its clicks and postbacks come to; none uses the shared one.
    #[schema(value_type = Vec<schemas::Host>)]
    tracking_hosts: Vec<String>,
    /// Whether everyone must have a second factor, also for the API.
    require_two_factor: bool,
    /// Whether a campaign goes live only when two test orders of every goal have arrived.
    require_tests: bool,
    /// Addresses and networks (CIDR) whose clicks are flagged.
    #[schema(value_type = Vec<schemas::AddressOrNetwork>)]
    blocked_addresses: Vec<String>,
    click_key: ClickKey,
    #[schema(value_type = schemas::NetworkStatus)]
    status: &'static str,
    /// Why it does not work, where it does not.
    status_reason: String,
    limits: Limits,
    usage: Usage,
    created_at: DateTime<Utc>,
}

/// Which of the network's keys signs its click ids.
#[derive(Serialize, ToSchema)]
pub(crate) struct ClickKey {
    #[schema(minimum = 1, maximum = 127)]
    number: i16,
    /// Click ids under an earlier key are good only from before.
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

/// How much the network may use; set by whoever runs the installation.
#[derive(Serialize, ToSchema)]
pub(crate) struct Limits {
    #[schema(minimum = 1)]
    max_postbacks_per_second: i32,
    #[schema(minimum = 1)]
    max_seats: i32,
    #[schema(minimum = 1)]
    max_links: i32,
}

/// How much it uses.
#[derive(Serialize, ToSchema)]
pub(crate) struct Usage {
    /// The network's own people, and those who are invited.
    #[schema(minimum = 0)]
    seats: i64,
}

/// What is to change. Absent fields stay as they are.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NetworkPatch {
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = schemas::Name, required = false)]
    name: Option<String>,
    /// Its name in addresses. The old one leads nowhere any more.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = schemas::Slug, required = false)]
    slug: Option<String>,
    /// Only to one whose hours begin when those of the present one do.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = schemas::TimeZone, required = false)]
    time_zone: Option<String>,
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = schemas::Currency, required = false)]
    currency: Option<String>,
    /// All of them: those that are not listed are given up.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Vec<schemas::Host>, max_items = 20, required = false)]
    tracking_hosts: Option<Vec<String>>,
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = bool, required = false)]
    require_two_factor: Option<bool>,
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = bool, required = false)]
    require_tests: Option<bool>,
    /// All of them: addresses, and networks (CIDR), whose clicks are flagged.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Vec<schemas::AddressOrNetwork>, max_items = 200, required = false)]
    blocked_addresses: Option<Vec<String>>,
}

/// The network
#[utoipa::path(get, path = "/network", tag = "Network", responses((status = 200, body = Network)))]
pub(crate) async fn show(access: Allowed<needs::SeeNetwork>, api: Data<Api>) -> Answer<Network> {
    let mut conn = access.network(&api.db).await?;
    let network = view(&mut conn).await?;
    conn.commit().await?;
    Ok(Json(network))
}

/// Change the network
#[utoipa::path(patch, path = "/network", tag = "Network", request_body = NetworkPatch, responses((status = 200, body = Network)))]
pub(crate) async fn update(
    access: Allowed<needs::ManageNetwork>,
    api: Data<Api>,
    body: Body<NetworkPatch>,
) -> Answer<Network> {
    let patch = body.value;
    let mut conn = access.network(&api.db).await?;
    let old = networks::profile(&mut conn).await?;
    let draft = ProfileDraft {
        name: patch.name.unwrap_or(old.name),
        slug: patch.slug.unwrap_or(old.slug),
        time_zone: patch.time_zone.unwrap_or_else(|| old.time_zone.name().to_owned()),
        currency: patch.currency.unwrap_or_else(|| old.currency.to_string()),
        tracking_hosts: patch.tracking_hosts.unwrap_or(old.tracking_hosts),
        require_two_factor: patch.require_two_factor.unwrap_or(old.require_two_factor),
        require_tests: patch.require_tests.unwrap_or(old.require_tests),
        blocked_addresses: patch.blocked_addresses.unwrap_or(old.blocked_addresses),
    };
    let (author, profile) = (access.author(), draft.checked()?);
    networks::update_profile(&mut conn, &author, &profile, &api.reserved_hosts, clock::now()).await?;
    let network = view(&mut conn).await?;
    conn.commit().await?;
    Ok(Json(network))
}

/// Replace the click-id key
///
/// Five seconds later, when every node has heard of it, the network's next key signs click ids (`since` in the answer).
/// Ids that were given out before then go on working; ids that somebody makes up with a leaked old key for a later time
/// do not.
#[utoipa::path(post, path = "/network/click-key", tag = "Network", params(IdempotencyKey), responses((status = 200, body = ClickKey)))]
pub(crate) async fn replace_click_key(
    access: Allowed<needs::ManageNetwork>,
    api: Data<Api>,
    once: Once,
) -> Result<HttpResponse, ApiError> {
    let made = once.run(&api, &access, b"", async |conn| {
        let key = networks::replace_click_key(conn, &access.author(), clock::now()).await?;
        Ok(ClickKey::from(key))
    });
    Ok(made.await?.answer())
}

async fn view(conn: &mut NetworkConn) -> Result<Network, ApiError> {
    let network = networks::current(conn).await?;
    let profile = networks::profile(conn).await?;
    let seats = memberships::seats_taken(conn, clock::now()).await?;
    Ok(Network {
        id: network.id,
        name: profile.name,
        slug: profile.slug,
        time_zone: profile.time_zone.name(),
        currency: profile.currency.to_string(),
        tracking_hosts: profile.tracking_hosts,
        require_two_factor: profile.require_two_factor,
        require_tests: profile.require_tests,
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
