//! Integrations, and `/integrations/{advertiser}`: the integration of an advertiser. `campaign_integrations` has the
//! same endpoints for the integration of a campaign.

use std::collections::BTreeMap;

use actix_web::HttpResponse;
use actix_web::web::{Data, Json};
use campaigns::integrations::{self, Holder, Integration as Stored, IntegrationSettings, Token};
use chrono::{DateTime, TimeDelta, Utc};
use schema::{AdvertiserId, CampaignId, NetworkConn, clock};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tenancy::{Author, ChangeError, Scope, advertisers, needs};
use utoipa::ToSchema;

use super::Answer;
use crate::auth::Allowed;
use crate::error::ApiError;
use crate::extract::{Body, Id, Integer, present};
use crate::fields::{Field as _, resource};
use crate::idempotency::{Created, IdempotencyKey};
use crate::schemas;
use crate::state::Api;

/// The integration of an advertiser or a campaign: how the advertiser's server sends postbacks.
#[derive(Serialize, ToSchema)]
pub(crate) struct Integration {
    #[schema(value_type = schemas::AdvertiserId)]
    advertiser: AdvertiserId,
    /// Campaign of the integration; null for the advertiser's, which applies to all campaigns without one.
    #[schema(required, value_type = Option<schemas::CampaignId>)]
    campaign: Option<CampaignId>,
    /// URL for postbacks.
    #[schema(value_type = schemas::Url)]
    postback_url: String,
    /// Sentences about settings that contradict each other; empty if none do.
    #[schema(value_type = Vec<schemas::Text>)]
    warnings: Vec<String>,
    /// Last four characters of the token; null until a token is created.
    #[schema(required, value_type = Option<schemas::Text>)]
    token_hint: Option<String>,
    /// Creation time of the token.
    #[schema(required)]
    token_made_at: Option<DateTime<Utc>>,
    /// End of the overlap in which the previous token is still accepted; null without an overlap.
    #[schema(required)]
    previous_token_until: Option<DateTime<Utc>>,
    /// End of the overlap in which the advertiser's token is accepted for the campaign as well; null for the
    /// integration of an advertiser.
    #[schema(required)]
    advertiser_token_until: Option<DateTime<Utc>>,
    /// True if a signing secret exists.
    has_signing_secret: bool,
    /// Dialect of the advertiser's system; null if unknown.
    #[schema(required, value_type = Option<schemas::Dialect>)]
    dialect: Option<String>,
    /// Format of the response to a postback.
    #[schema(value_type = schemas::AnswerFormat)]
    answer_format: &'static str,
    /// True if postbacks must arrive over https, as reported by a trusted proxy.
    requires_https: bool,
    /// True if postbacks must contain the token.
    requires_token: bool,
    /// True if postbacks must be signed.
    requires_signature: bool,
    /// Maximum difference between the time of a signature and the time of the server, in seconds.
    signature_seconds: i32,
    /// IP addresses and networks (CIDR) that may send postbacks; empty for all.
    #[schema(value_type = Vec<schemas::AddressOrNetwork>)]
    allowed_addresses: Vec<String>,
    /// Monitor only: true to accept and flag postbacks that fail the checks of https, token, signature and address.
    is_monitoring: bool,
    /// Meanings of the advertiser's words for statuses.
    status_map: BTreeMap<String, String>,
    /// True to pay the commission of a postback where the commission of the goal is zero.
    takes_commission: bool,
    /// True if an order ID counts once for all campaigns of the advertiser.
    counts_orders_once: bool,
    /// True to accept click IDs in the wrong case.
    ignores_letter_case: bool,
}

impl Integration {
    pub(super) fn new(advertiser: AdvertiserId, base: &str, stored: Option<Stored>) -> Self {
        let exists = stored.is_some();
        let stored = stored.unwrap_or_else(|| Stored::unset(advertiser));
        let draft = stored.settings.draft();
        Self {
            advertiser,
            campaign: stored.campaign_id,
            postback_url: format!("{base}/postback"),
            warnings: stored.settings.warnings(),
            has_signing_secret: stored.has_signing_secret(),
            token_hint: exists.then_some(stored.token_hint),
            token_made_at: exists.then_some(stored.created_at),
            previous_token_until: stored.previous_token_until,
            advertiser_token_until: stored.advertiser_token_until,
            dialect: stored.settings.dialect,
            answer_format: stored.settings.answer_format.as_str(),
            requires_https: stored.settings.requires_https,
            requires_token: stored.settings.requires_token,
            requires_signature: stored.settings.requires_signature,
            signature_seconds: stored.settings.signature_seconds,
            allowed_addresses: stored.settings.allowed_addresses.0,
            is_monitoring: stored.settings.is_monitoring,
            status_map: BTreeMap::from_draft(draft.of("status_map")),
            takes_commission: stored.settings.takes_commission,
            counts_orders_once: stored.settings.counts_orders_once,
            ignores_letter_case: stored.settings.ignores_letter_case,
        }
    }
}

resource! {
    @change [
        /// Fields to update. Absent fields keep their values.
        #[schema(example = json!({ "answer_format": "always_ok", "allowed_addresses": ["203.0.113.0/24"] }))]
        IntegrationPatch
    ]
    /// Dialect of the advertiser's system. Shown to the advertiser; the trace of a postback in another dialect mentions
    /// it.
    dialect: Option<String> as Option<schemas::Dialect>,
    /// Format of the response to a postback.
    answer_format: String as schemas::AnswerFormat,
    /// True if postbacks must arrive over https, as reported by a trusted proxy.
    requires_https: bool as bool,
    /// True if postbacks must contain the token.
    requires_token: bool as bool,
    /// True if postbacks must be signed; needs a signing secret.
    requires_signature: bool as bool,
    /// Maximum difference between the time of a signature and the time of the server, in seconds: 10 to 86,400.
    signature_seconds: Integer as i64,
    /// IP addresses and networks (CIDR) that may send postbacks; empty for all.
    allowed_addresses: Vec<String> as Vec<schemas::AddressOrNetwork>,
    /// Monitor only: true to accept and flag postbacks that fail the checks of https, token, signature and address.
    is_monitoring: bool as bool,
    /// Meanings of the advertiser's words for statuses: `pending`, `held`, `approved`, `rejected` or `ignored`.
    status_map: BTreeMap<String, String> as BTreeMap<String, String>,
    /// True to pay the commission of a postback where the commission of the goal is zero.
    takes_commission: bool as bool,
    /// True if an order ID counts once for all campaigns of the advertiser.
    counts_orders_once: bool as bool,
    /// True to accept click IDs in the wrong case.
    ignores_letter_case: bool as bool,
}

/// Options of a new token.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "overlap_hours": 24 }))]
pub(crate) struct NewToken {
    /// Hours for which the previous token is still accepted: 0, the default, to 720.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = i64, minimum = 0, maximum = 720, required = false)]
    overlap_hours: Option<Integer>,
}

/// Empty object.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewSecret {}

/// A new secret. Shown only once: null in a replayed response.
#[derive(Serialize, ToSchema)]
pub(crate) struct FreshSecret {
    #[schema(required, value_type = Option<schemas::Text>)]
    secret: Option<String>,
}

impl NewToken {
    /// Time for which the previous token is still accepted.
    pub(super) fn overlap(&self) -> Result<TimeDelta, ApiError> {
        let hours = self.overlap_hours.as_ref().map_or(0, |hours| hours.0);
        if (0..=integrations::LONGEST_OVERLAP_HOURS).contains(&hours) {
            Ok(TimeDelta::hours(hours))
        } else {
            let message = format!("Send 0 to {} hours.", integrations::LONGEST_OVERLAP_HOURS);
            Err(ApiError::field("overlap_hours", message))
        }
    }
}

impl FreshSecret {
    pub(super) fn of(token: &Token) -> Self {
        Self {
            secret: Some(token.as_str().to_owned()),
        }
    }
}

impl Created for FreshSecret {
    fn stored(&self) -> Value {
        json!({ "secret": null })
    }
}

/// Updates the integration of a holder.
pub(super) async fn change(
    conn: &mut NetworkConn,
    author: &Author,
    api: &Api,
    holder: Holder,
    patch: &IntegrationPatch,
) -> Result<Integration, ApiError> {
    let base = api.tracking_url(conn).await?;
    let old = integrations::lock(conn, holder).await?;
    let old = old.ok_or_else(|| no_integration(holder))?;
    let mut draft = patch.over(old.settings.draft());
    let settings = IntegrationSettings::check(&mut draft, &old);
    let settings = draft.accepted(settings)?;
    integrations::update(conn, author, holder, &settings, clock::now()).await?;
    let new = integrations::find(conn, holder).await?;
    Ok(Integration::new(holder.advertiser_id, &base, new))
}

/// Creates a token of a holder, and its integration with the first token.
pub(super) async fn create_token(
    conn: &mut NetworkConn,
    author: &Author,
    holder: Holder,
    overlap: TimeDelta,
) -> Result<FreshSecret, ApiError> {
    let token = integrations::new_token(conn, author, holder, overlap, clock::now()).await?;
    Ok(FreshSecret::of(&token))
}

/// Creates a signing secret of a holder.
pub(super) async fn create_signing_secret(
    conn: &mut NetworkConn,
    author: &Author,
    api: &Api,
    holder: Holder,
) -> Result<FreshSecret, ApiError> {
    let secret = integrations::new_signing_secret(conn, author, &api.secret, holder, clock::now()).await?;
    Ok(FreshSecret {
        secret: Some(secret.ok_or_else(|| no_integration(holder))?),
    })
}

/// Error for a holder without an integration.
pub(super) fn no_integration(holder: Holder) -> ApiError {
    let message = match holder.campaign_id {
        Some(_) => "The campaign has no integration; the integration of its advertiser applies.",
        None => "The advertiser has no integration. Create a token first.",
    };
    ChangeError::Conflict(message.to_owned()).into()
}

/// Get the integration of an advertiser
#[utoipa::path(
    get, path = "/integrations/{id}", tag = "Integrations",
    params(("id" = inline(schemas::AdvertiserId), Path, description = "ID of the advertiser.")),
    responses((status = 200, body = Integration))
)]
pub(crate) async fn show(
    access: Allowed<needs::SeeIntegration>,
    Id(id): Id<AdvertiserId>,
    api: Data<Api>,
) -> Answer<Integration> {
    let mut conn = access.network(&api.db).await?;
    let holder = visible_holder(&mut conn, access.scope(), id).await?;
    let base = api.tracking_url(&mut conn).await?;
    let found = integrations::find(&mut conn, holder).await?;
    conn.commit().await?;
    Ok(Json(Integration::new(id, &base, found)))
}

/// Update the integration of an advertiser
///
/// The advertiser must have a token.
#[utoipa::path(
    patch, path = "/integrations/{id}", tag = "Integrations",
    params(("id" = inline(schemas::AdvertiserId), Path, description = "ID of the advertiser.")),
    request_body = IntegrationPatch,
    responses((status = 200, body = Integration))
)]
pub(crate) async fn update(
    access: Allowed<needs::Configure>,
    Id(id): Id<AdvertiserId>,
    api: Data<Api>,
    body: Body<IntegrationPatch>,
) -> Answer<Integration> {
    let mut conn = access.network(&api.db).await?;
    let holder = visible_holder(&mut conn, access.scope(), id).await?;
    let integration = change(&mut conn, &access.author(), &api, holder, &body.value).await?;
    conn.commit().await?;
    Ok(Json(integration))
}

/// Create a token of an advertiser
///
/// The token is shown only once. The previous token is accepted until the overlap ends, for the change in the
/// advertiser's system.
#[utoipa::path(
    post, path = "/integrations/{id}/token", tag = "Integrations",
    params(("id" = inline(schemas::AdvertiserId), Path, description = "ID of the advertiser."), IdempotencyKey),
    request_body = NewToken,
    responses((status = 201, body = FreshSecret))
)]
pub(crate) async fn new_token(
    access: Allowed<needs::RotateToken>,
    Id(id): Id<AdvertiserId>,
    api: Data<Api>,
    key: IdempotencyKey,
    body: Body<NewToken>,
) -> Result<HttpResponse, ApiError> {
    let outcome = key.execute(&api, &access, &body.bytes, async |conn| {
        let holder = visible_holder(conn, access.scope(), id).await?;
        create_token(conn, &access.author(), holder, body.value.overlap()?).await
    });
    Ok(outcome.await?.response())
}

/// Create a signing secret of an advertiser
///
/// The secret is shown only once, and replaces the previous one immediately.
#[utoipa::path(
    post, path = "/integrations/{id}/signing-secret", tag = "Integrations",
    params(("id" = inline(schemas::AdvertiserId), Path, description = "ID of the advertiser."), IdempotencyKey),
    request_body = NewSecret,
    responses((status = 201, body = FreshSecret))
)]
pub(crate) async fn new_signing_secret(
    access: Allowed<needs::RotateToken>,
    Id(id): Id<AdvertiserId>,
    api: Data<Api>,
    key: IdempotencyKey,
    body: Body<NewSecret>,
) -> Result<HttpResponse, ApiError> {
    let outcome = key.execute(&api, &access, &body.bytes, async |conn| {
        let holder = visible_holder(conn, access.scope(), id).await?;
        create_signing_secret(conn, &access.author(), &api, holder).await
    });
    Ok(outcome.await?.response())
}

/// Advertiser within the scope of the caller, as the holder of its integration.
async fn visible_holder(conn: &mut NetworkConn, scope: Scope, id: AdvertiserId) -> Result<Holder, ApiError> {
    Ok(advertisers::find_visible(conn, scope, id).await?.id.into())
}
