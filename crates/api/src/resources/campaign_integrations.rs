//! `/campaigns/{id}/integration`: how an advertiser's server talks to us about one campaign, where that has an integration
//! of its own.

use actix_web::HttpResponse;
use actix_web::web::{Data, Json};
use campaigns::campaigns::{self as campaign_table, Campaign};
use campaigns::integrations::{self, IntegrationSettings};
use schema::{CampaignId, NetworkConn, clock};
use tenancy::{ChangeError, Scope, needs};

use super::integrations::{FreshSecret, Integration, IntegrationPatch, NewSecret, NewToken};
use super::{Answer, done};
use crate::door::Allowed;
use crate::error::ApiError;
use crate::extract::{Body, Id};
use crate::once::Once;
use crate::openapi::IdempotencyKey;
use crate::{Api, schemas};

/// The integration that decides for a campaign
///
/// Its own, or else its advertiser's.
#[utoipa::path(
    get, path = "/campaigns/{id}/integration", tag = "Integrations",
    params(("id" = inline(schemas::CampaignId), Path)),
    responses((status = 200, body = Integration))
)]
pub(crate) async fn show(
    access: Allowed<needs::SeeIntegration>,
    Id(id): Id<CampaignId>,
    api: Data<Api>,
) -> Answer<Integration> {
    let mut conn = access.network(&api.db).await?;
    let campaign = visible(&mut conn, access.role.scope(), id).await?;
    let base = api.tracking_url(&mut conn).await?;
    let all = integrations::of_advertiser(&mut conn, campaign.advertiser_id).await?;
    conn.commit().await?;
    let found = all.deciding(Some(id)).map(|it| it.as_ref().clone());
    Ok(Json(Integration::new(campaign.advertiser_id, &base, found)))
}

/// Give a campaign an integration of its own
///
/// It begins with its advertiser's settings and signing secret. Its token is shown once, and good for this campaign only;
/// the advertiser's token is taken for as long as is said, and not any more then.
#[utoipa::path(
    post, path = "/campaigns/{id}/integration", tag = "Integrations",
    params(("id" = inline(schemas::CampaignId), Path), IdempotencyKey),
    request_body = NewToken,
    responses((status = 201, body = FreshSecret))
)]
pub(crate) async fn make(
    access: Allowed<needs::Configure>,
    Id(id): Id<CampaignId>,
    api: Data<Api>,
    once: Once,
    body: Body<NewToken>,
) -> Result<HttpResponse, ApiError> {
    let made = once.run(&api, &access, &body.bytes, async |conn| {
        let campaign = visible(conn, access.role.scope(), id).await?;
        let (author, overlap) = (access.author(), body.value.overlap()?);
        if integrations::lock(conn, &campaign).await?.is_some() {
            let message = "The campaign has an integration of its own already.";
            return Err(ChangeError::Conflict(message.to_owned()).into());
        }
        let token = integrations::new_token(conn, &author, &campaign, overlap, clock::now()).await?;
        Ok(FreshSecret::new(token.as_str()))
    });
    Ok(made.await?.answer())
}

/// Change the integration of a campaign
///
/// Of a campaign that has its own.
#[utoipa::path(
    patch, path = "/campaigns/{id}/integration", tag = "Integrations",
    params(("id" = inline(schemas::CampaignId), Path)),
    request_body = IntegrationPatch,
    responses((status = 200, body = Integration))
)]
pub(crate) async fn update(
    access: Allowed<needs::Configure>,
    Id(id): Id<CampaignId>,
    api: Data<Api>,
    body: Body<IntegrationPatch>,
) -> Answer<Integration> {
    let mut conn = access.network(&api.db).await?;
    let campaign = visible(&mut conn, access.role.scope(), id).await?;
    let base = api.tracking_url(&mut conn).await?;
    let old = integrations::lock(&mut conn, &campaign)
        .await?
        .ok_or_else(none_of_its_own)?;
    let mut draft = body.value.over(old.settings.draft());
    let settings = IntegrationSettings::check(&mut draft, &old);
    let settings = draft.accepted(settings)?;
    integrations::update(&mut conn, &access.author(), &campaign, &settings, clock::now()).await?;
    let new = integrations::find(&mut conn, &campaign).await?;
    conn.commit().await?;
    Ok(Json(Integration::new(campaign.advertiser_id, &base, new)))
}

/// Remove the integration of a campaign
///
/// Its advertiser's decides again. Calls with the campaign's token are rejected from then on.
#[utoipa::path(
    delete, path = "/campaigns/{id}/integration", tag = "Integrations",
    params(("id" = inline(schemas::CampaignId), Path)),
    responses((status = 204))
)]
pub(crate) async fn remove(
    access: Allowed<needs::Configure>,
    Id(id): Id<CampaignId>,
    api: Data<Api>,
) -> Result<HttpResponse, ApiError> {
    let mut conn = access.network(&api.db).await?;
    let campaign = visible(&mut conn, access.role.scope(), id).await?;
    let removed = integrations::remove_own(&mut conn, &access.author(), &campaign, clock::now()).await?;
    if !removed {
        return Err(ApiError::NotFound);
    }
    conn.commit().await?;
    done()
}

/// Make a token of a campaign
///
/// Of a campaign that has its own integration. It is shown once. The one before is taken for as long as is said, so that a
/// server can change over.
#[utoipa::path(
    post, path = "/campaigns/{id}/integration/token", tag = "Integrations",
    params(("id" = inline(schemas::CampaignId), Path), IdempotencyKey),
    request_body = NewToken,
    responses((status = 201, body = FreshSecret))
)]
pub(crate) async fn new_token(
    access: Allowed<needs::RotateToken>,
    Id(id): Id<CampaignId>,
    api: Data<Api>,
    once: Once,
    body: Body<NewToken>,
) -> Result<HttpResponse, ApiError> {
    let made = once.run(&api, &access, &body.bytes, async |conn| {
        let campaign = visible(conn, access.role.scope(), id).await?;
        let (author, overlap) = (access.author(), body.value.overlap()?);
        integrations::lock(conn, &campaign)
            .await?
            .ok_or_else(none_of_its_own)?;
        let token = integrations::new_token(conn, &author, &campaign, overlap, clock::now()).await?;
        Ok(FreshSecret::new(token.as_str()))
    });
    Ok(made.await?.answer())
}

/// Make a signing secret of a campaign
///
/// Of a campaign that has its own integration. It is shown once, and takes the place of the one before at once.
#[utoipa::path(
    post, path = "/campaigns/{id}/integration/signing-secret", tag = "Integrations",
    params(("id" = inline(schemas::CampaignId), Path), IdempotencyKey),
    request_body = NewSecret,
    responses((status = 201, body = FreshSecret))
)]
pub(crate) async fn new_signing_secret(
    access: Allowed<needs::RotateToken>,
    Id(id): Id<CampaignId>,
    api: Data<Api>,
    once: Once,
    body: Body<NewSecret>,
) -> Result<HttpResponse, ApiError> {
    let made = once.run(&api, &access, &body.bytes, async |conn| {
        let campaign = visible(conn, access.role.scope(), id).await?;
        let author = access.author();
        let secret = integrations::new_signing_secret(conn, &author, &api.secret, &campaign, clock::now());
        Ok(FreshSecret::new(&secret.await?.ok_or_else(none_of_its_own)?))
    });
    Ok(made.await?.answer())
}

/// The campaign, unless it is not there or not the caller's.
async fn visible(conn: &mut NetworkConn, scope: Scope, id: CampaignId) -> Result<Campaign, ApiError> {
    let found = campaign_table::find(conn, id).await?;
    found
        .filter(|it| scope.advertiser.is_none_or(|own| own == it.advertiser_id))
        .ok_or(ApiError::NotFound)
}

fn none_of_its_own() -> ApiError {
    let message = "The campaign has no integration of its own: its advertiser's decides.";
    ChangeError::Conflict(message.to_owned()).into()
}
