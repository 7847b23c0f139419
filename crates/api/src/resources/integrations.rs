//! `/integrations/{advertiser}`: how an advertiser's server talks to us, and how it proves who it is.

use std::collections::BTreeMap;

use actix_web::HttpResponse;
use actix_web::web::{Data, Json};
use campaigns::integrations::{self, Integration as Stored, IntegrationSettings};
use chrono::{DateTime, TimeDelta, Utc};
use schema::{AdvertiserId, CampaignId, NetworkConn, clock};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tenancy::{ChangeError, Scope, advertisers, needs};
use utoipa::ToSchema;

use super::Answer;
use crate::door::Allowed;
use crate::error::ApiError;
use crate::extract::{Body, Id, Whole, given};
use crate::fields::{Field as _, resource};
use crate::once::{Created, Once};
use crate::openapi::IdempotencyKey;
use crate::{Api, schemas};

/// How an advertiser's server talks to us.
#[derive(Serialize, ToSchema)]
pub(crate) struct Integration {
    #[schema(value_type = schemas::AdvertiserId)]
    advertiser: AdvertiserId,
    /// The campaign whose own it is; null for the advertiser's, which decides for all campaigns that have none.
    #[schema(required, value_type = Option<schemas::CampaignId>)]
    campaign: Option<CampaignId>,
    /// Where its postbacks go.
    #[schema(value_type = schemas::Url)]
    postback_url: String,
    /// The last four characters of the token; null where there is none yet.
    #[schema(required, value_type = Option<schemas::Text>)]
    token_hint: Option<String>,
    /// When the token was made.
    #[schema(required)]
    token_made_at: Option<DateTime<Utc>>,
    /// Until when the token before is still taken.
    #[schema(required)]
    previous_token_until: Option<DateTime<Utc>>,
    /// Until when the advertiser's token is taken for the campaign as well; null for the advertiser's own integration.
    #[schema(required)]
    advertiser_token_until: Option<DateTime<Utc>>,
    /// Whether there is a secret to sign with.
    has_signing_secret: bool,
    /// Key of the system in whose spelling the advertiser calls; null where it is not known.
    #[schema(required, value_type = Option<schemas::Dialect>)]
    dialect: Option<String>,
    /// In whose voice it is answered.
    #[schema(value_type = schemas::AnswerFormat)]
    answer_format: &'static str,
    /// Whether a call must have come over https, as a trusted proxy says.
    requires_https: bool,
    /// Whether a call must carry the token.
    requires_token: bool,
    /// Whether a call must be signed.
    requires_signature: bool,
    /// How far the time of a signature may be from ours, in seconds.
    signature_seconds: i32,
    /// Addresses and networks (CIDR) that calls may come from; none means anywhere.
    #[schema(value_type = Vec<schemas::AddressOrNetwork>)]
    allowed_addresses: Vec<String>,
    /// Whether https, token, signature and address are only looked at.
    is_monitoring: bool,
    /// What the advertiser's own words for statuses mean.
    status_map: BTreeMap<String, String>,
    /// Whether a commission that the advertiser sends is paid where the goal's own is zero.
    takes_commission: bool,
    /// Whether a click id that differs in letter case only is taken.
    ignores_letter_case: bool,
}

impl Integration {
    pub(super) fn new(advertiser: AdvertiserId, base: &str, it: Option<Stored>) -> Self {
        let is_there = it.is_some();
        let it = it.unwrap_or_else(|| Stored::unset(advertiser));
        let map = it.settings.draft();
        Self {
            advertiser,
            campaign: it.campaign_id,
            postback_url: format!("{base}/postback"),
            has_signing_secret: it.has_signing_secret(),
            token_hint: is_there.then_some(it.token_hint),
            token_made_at: is_there.then_some(it.created_at),
            previous_token_until: it.previous_token_until,
            advertiser_token_until: it.advertiser_token_until,
            dialect: it.settings.dialect,
            answer_format: it.settings.answer_format.as_str(),
            requires_https: it.settings.requires_https,
            requires_token: it.settings.requires_token,
            requires_signature: it.settings.requires_signature,
            signature_seconds: it.settings.signature_seconds,
            allowed_addresses: it.settings.allowed_addresses.0,
            is_monitoring: it.settings.is_monitoring,
            status_map: BTreeMap::of(map.of("status_map")),
            takes_commission: it.settings.takes_commission,
            ignores_letter_case: it.settings.ignores_letter_case,
        }
    }
}

resource! {
    @change [
        /// What is to change. Absent fields stay as they are.
        #[schema(example = json!({ "answer_format": "always_ok", "allowed_addresses": ["203.0.113.0/24"] }))]
        IntegrationPatch
    ]
    /// In whose spelling the advertiser calls: shown to it, and noted in the steps of a call in another one.
    dialect: Option<String> as Option<schemas::Dialect>,
    answer_format: String as schemas::AnswerFormat,
    requires_https: bool as bool,
    requires_token: bool as bool,
    /// Needs a signing secret.
    requires_signature: bool as bool,
    /// 10 seconds to a day.
    signature_seconds: Whole as i64,
    allowed_addresses: Vec<String> as Vec<schemas::AddressOrNetwork>,
    is_monitoring: bool as bool,
    /// Each word means `pending`, `held`, `approved`, `rejected` or `ignored`.
    status_map: BTreeMap<String, String> as BTreeMap<String, String>,
    takes_commission: bool as bool,
    ignores_letter_case: bool as bool,
}

/// How long the token before is still taken.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "overlap_hours": 24 }))]
pub(crate) struct NewToken {
    /// 0 to 720; not at all unless said otherwise.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = i64, minimum = 0, maximum = 720, required = false)]
    overlap_hours: Option<Whole>,
}

/// Nothing is to be said.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewSecret {}

/// A secret that was just made. It is shown once: null in a repeated answer.
#[derive(Serialize, ToSchema)]
pub(crate) struct FreshSecret {
    #[schema(required, value_type = Option<schemas::Text>)]
    secret: Option<String>,
}

impl NewToken {
    /// How long the token before is still taken.
    pub(super) fn overlap(&self) -> Result<TimeDelta, ApiError> {
        let hours = self.overlap_hours.as_ref().map_or(0, |hours| hours.0);
        match (0..=integrations::LONGEST_OVERLAP_HOURS).contains(&hours) {
            true => Ok(TimeDelta::hours(hours)),
            false => {
                let message = format!("Send 0 to {} hours.", integrations::LONGEST_OVERLAP_HOURS);
                Err(ApiError::field("overlap_hours", message))
            }
        }
    }
}

impl FreshSecret {
    pub(super) fn new(secret: &str) -> Self {
        Self {
            secret: Some(secret.to_owned()),
        }
    }
}

impl Created for FreshSecret {
    fn kept(&self) -> Value {
        json!({ "secret": null })
    }
}

/// An integration
#[utoipa::path(
    get, path = "/integrations/{id}", tag = "Integrations",
    params(("id" = inline(schemas::AdvertiserId), Path, description = "The advertiser.")),
    responses((status = 200, body = Integration))
)]
pub(crate) async fn show(
    access: Allowed<needs::SeeIntegration>,
    Id(id): Id<AdvertiserId>,
    api: Data<Api>,
) -> Answer<Integration> {
    let mut conn = access.network(&api.db).await?;
    visible(&mut conn, access.role.scope(), id).await?;
    let base = api.tracking_url(&mut conn).await?;
    let found = integrations::find(&mut conn, id).await?;
    conn.commit().await?;
    Ok(Json(Integration::new(id, &base, found)))
}

/// Change an integration
///
/// Of an advertiser that has a token.
#[utoipa::path(
    patch, path = "/integrations/{id}", tag = "Integrations",
    params(("id" = inline(schemas::AdvertiserId), Path, description = "The advertiser.")),
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
    visible(&mut conn, access.role.scope(), id).await?;
    let base = api.tracking_url(&mut conn).await?;
    let old = integrations::lock(&mut conn, id).await?.ok_or_else(no_token)?;
    let mut draft = body.value.over(old.settings.draft());
    let settings = IntegrationSettings::check(&mut draft, &old);
    let settings = draft.accepted(settings)?;
    integrations::update(&mut conn, &access.author(), id, &settings, clock::now()).await?;
    let new = integrations::find(&mut conn, id).await?;
    conn.commit().await?;
    Ok(Json(Integration::new(id, &base, new)))
}

/// Make a token
///
/// It is shown once. The one before is taken for as long as is said, so that a server can change over.
#[utoipa::path(
    post, path = "/integrations/{id}/token", tag = "Integrations",
    params(("id" = inline(schemas::AdvertiserId), Path, description = "The advertiser."), IdempotencyKey),
    request_body = NewToken,
    responses((status = 201, body = FreshSecret))
)]
pub(crate) async fn new_token(
    access: Allowed<needs::RotateToken>,
    Id(id): Id<AdvertiserId>,
    api: Data<Api>,
    once: Once,
    body: Body<NewToken>,
) -> Result<HttpResponse, ApiError> {
    let made = once.run(&api, &access, &body.bytes, async |conn| {
        visible(conn, access.role.scope(), id).await?;
        let (author, overlap) = (access.author(), body.value.overlap()?);
        let token = integrations::new_token(conn, &author, id, overlap, clock::now()).await?;
        Ok(FreshSecret::new(token.as_str()))
    });
    Ok(made.await?.answer())
}

/// Make a signing secret
///
/// It is shown once, and takes the place of the one before at once.
#[utoipa::path(
    post, path = "/integrations/{id}/signing-secret", tag = "Integrations",
    params(("id" = inline(schemas::AdvertiserId), Path, description = "The advertiser."), IdempotencyKey),
    request_body = NewSecret,
    responses((status = 201, body = FreshSecret))
)]
pub(crate) async fn new_signing_secret(
    access: Allowed<needs::RotateToken>,
    Id(id): Id<AdvertiserId>,
    api: Data<Api>,
    once: Once,
    body: Body<NewSecret>,
) -> Result<HttpResponse, ApiError> {
    let made = once.run(&api, &access, &body.bytes, async |conn| {
        visible(conn, access.role.scope(), id).await?;
        let author = access.author();
        let secret = integrations::new_signing_secret(conn, &author, &api.secret, id, clock::now()).await?;
        Ok(FreshSecret::new(&secret.ok_or_else(no_token)?))
    });
    Ok(made.await?.answer())
}

/// Refuses an advertiser that is not there, or not the caller's.
async fn visible(conn: &mut NetworkConn, scope: Scope, id: AdvertiserId) -> Result<(), ApiError> {
    let found = advertisers::find(conn, id).await?;
    found
        .filter(|it| scope.advertiser.is_none_or(|own| own == it.id))
        .map(|_| ())
        .ok_or(ApiError::NotFound)
}

fn no_token() -> ApiError {
    ChangeError::Conflict("Make a token first: there is nothing to set yet.".to_owned()).into()
}
