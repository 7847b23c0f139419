//! `/campaigns/{id}/integration`: the integration of a campaign, which replaces the one of its advertiser.

use actix_web::HttpResponse;
use actix_web::web::{Data, Json};
use campaigns::campaigns::find_visible;
use campaigns::integrations::{self, Holder};
use schema::{CampaignId, clock};
use tenancy::needs;

use super::integrations::{
    FreshSecret, Integration, IntegrationPatch, NewSecret, NewToken, change, create_signing_secret,
    create_token, no_integration,
};
use super::{Answer, no_content};
use crate::auth::Allowed;
use crate::error::ApiError;
use crate::extract::{Body, Id};
use crate::idempotency::IdempotencyKey;
use crate::schemas;
use crate::state::Api;

/// Get the integration that applies to a campaign
///
/// The integration of the campaign, or else of its advertiser.
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
    let campaign = find_visible(&mut conn, access.scope(), id).await?;
    let base = api.tracking_url(&mut conn).await?;
    let all = integrations::of_advertiser(&mut conn, campaign.advertiser_id).await?;
    conn.commit().await?;
    let found = all
        .deciding(Some(id))
        .map(|integration| integration.as_ref().clone());
    Ok(Json(Integration::new(campaign.advertiser_id, &base, found)))
}

/// Create the integration of a campaign
///
/// Copies the settings and the signing secret of its advertiser. The token is shown only once, and valid for this
/// campaign only; the token of the advertiser is accepted for the campaign until the overlap ends.
#[utoipa::path(
    post, path = "/campaigns/{id}/integration", tag = "Integrations",
    params(("id" = inline(schemas::CampaignId), Path), IdempotencyKey),
    request_body = NewToken,
    responses((status = 201, body = FreshSecret))
)]
pub(crate) async fn create(
    access: Allowed<needs::Configure>,
    Id(id): Id<CampaignId>,
    api: Data<Api>,
    key: IdempotencyKey,
    body: Body<NewToken>,
) -> Result<HttpResponse, ApiError> {
    let outcome = key.execute(&api, &access, &body.bytes, async |conn| {
        let campaign = find_visible(conn, access.scope(), id).await?;
        let (overlap, now) = (body.value.overlap()?, clock::now());
        let token = integrations::create_own(conn, &access.author(), &campaign, overlap, now).await?;
        Ok(FreshSecret::of(&token))
    });
    Ok(outcome.await?.response())
}

/// Update the integration of a campaign
///
/// The campaign must have an integration.
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
    let holder = Holder::from(&find_visible(&mut conn, access.scope(), id).await?);
    let integration = change(&mut conn, &access.author(), &api, holder, &body.value).await?;
    conn.commit().await?;
    Ok(Json(integration))
}

/// Delete the integration of a campaign
///
/// The integration of its advertiser applies again. Postbacks with the token of the campaign are rejected from then on.
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
    let campaign = find_visible(&mut conn, access.scope(), id).await?;
    if !integrations::remove_own(&mut conn, &access.author(), &campaign, clock::now()).await? {
        return Err(ApiError::NotFound);
    }
    conn.commit().await?;
    no_content()
}

/// Create a token of a campaign
///
/// The campaign must have an integration. The token is shown only once. The previous token is accepted until the
/// overlap ends, for the change in the advertiser's system.
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
    key: IdempotencyKey,
    body: Body<NewToken>,
) -> Result<HttpResponse, ApiError> {
    let outcome = key.execute(&api, &access, &body.bytes, async |conn| {
        let holder = Holder::from(&find_visible(conn, access.scope(), id).await?);
        let overlap = body.value.overlap()?;
        integrations::lock(conn, holder)
            .await?
            .ok_or_else(|| no_integration(holder))?;
        create_token(conn, &access.author(), holder, overlap).await
    });
    Ok(outcome.await?.response())
}

/// Create a signing secret of a campaign
///
/// The campaign must have an integration. The secret is shown only once, and replaces the previous one immediately.
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
    key: IdempotencyKey,
    body: Body<NewSecret>,
) -> Result<HttpResponse, ApiError> {
    let outcome = key.execute(&api, &access, &body.bytes, async |conn| {
        let holder = Holder::from(&find_visible(conn, access.scope(), id).await?);
        create_signing_secret(conn, &access.author(), &api, holder).await
    });
    Ok(outcome.await?.response())
}
