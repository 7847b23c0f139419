//! `/caps`: limits on clicks, conversions or money of campaigns.

use actix_web::HttpResponse;
use actix_web::web::{Data, Json};
use campaigns::caps::{self, Cap as Stored, NewCap as Settings};
use schema::{AffiliateId, CampaignId, CapId, Currency, clock};
use serde::{Deserialize, Serialize};
use tenancy::{Draft, needs};
use utoipa::ToSchema;

use super::{Answer, OfCampaign, no_content};
use crate::auth::Allowed;
use crate::error::ApiError;
use crate::extract::{Body, Id, Params, present};
use crate::fields::set;
use crate::idempotency::{Created, IdempotencyKey};
use crate::page::{Page, Window, items, word};
use crate::schemas;
use crate::state::Api;

/// A limit on the clicks, conversions or money of a campaign per period.
#[derive(Serialize, ToSchema)]
pub(crate) struct Cap {
    #[schema(value_type = schemas::CapId)]
    id: CapId,
    #[schema(value_type = schemas::CampaignId)]
    campaign: CampaignId,
    /// Affiliate that the cap applies to; null for all affiliates together.
    #[schema(required, value_type = Option<schemas::AffiliateId>)]
    affiliate: Option<AffiliateId>,
    #[schema(value_type = schemas::Metric)]
    metric: &'static str,
    #[schema(value_type = schemas::CapPeriod)]
    period: &'static str,
    /// Limit: a number, or an amount in the currency.
    #[schema(value_type = schemas::Amount)]
    most: String,
    /// Currency of a limit of money, which counts conversions in this currency only; null for that of the campaign.
    #[schema(required, value_type = Option<schemas::Currency>)]
    currency: Option<&'static str>,
}

impl From<Stored> for Cap {
    fn from(cap: Stored) -> Self {
        Self {
            id: cap.id,
            campaign: cap.campaign_id,
            affiliate: cap.affiliate_id,
            metric: cap.metric.as_str(),
            period: cap.period.as_str(),
            most: cap.most_as_typed(),
            currency: cap.currency.map(Currency::code),
        }
    }
}

impl Created for Cap {}
items!(Cap);

/// A cap to create.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "campaign": "Nova shop", "metric": "clicks", "period": "day", "most": "1000" }))]
pub(crate) struct NewCap {
    #[schema(value_type = schemas::Reference)]
    campaign: String,
    /// Affiliate that the cap applies to; null for all affiliates together.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<schemas::Reference>, required = false)]
    affiliate: Option<Option<String>>,
    #[schema(value_type = schemas::Metric)]
    metric: String,
    #[schema(value_type = schemas::CapPeriod)]
    period: String,
    /// Limit: a number, or an amount in the currency.
    #[schema(value_type = schemas::Amount)]
    most: String,
    /// Currency of a limit of money, which counts conversions in this currency only; null for that of the campaign.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<schemas::Currency>, required = false)]
    currency: Option<Option<String>>,
}

/// List caps
#[utoipa::path(get, path = "/caps", tag = "Campaigns", params(OfCampaign), responses((status = 200, body = Page<Cap>)))]
pub(crate) async fn list(
    access: Allowed<needs::SeeSetup>,
    api: Data<Api>,
    Params(params): Params<OfCampaign>,
) -> Answer<Page<Cap>> {
    let window = Window::<CapId>::of(params.limit, params.after.as_deref())?;
    let campaign: Option<CampaignId> = word("campaign", params.campaign.as_deref())?;
    let mut conn = access.network(&api.db).await?;
    let rows = caps::list(&mut conn, campaign, window.after, window.rows()).await?;
    conn.commit().await?;
    Ok(Json(window.page(rows)))
}

/// Create a cap
#[utoipa::path(post, path = "/caps", tag = "Campaigns", params(IdempotencyKey), request_body = NewCap, responses((status = 201, body = Cap)))]
pub(crate) async fn create(
    access: Allowed<needs::Configure>,
    api: Data<Api>,
    key: IdempotencyKey,
    body: Body<NewCap>,
) -> Result<HttpResponse, ApiError> {
    let outcome = key.execute(&api, &access, &body.bytes, async |conn| {
        let campaign = super::campaign(conn, access.scope(), &body.value.campaign).await?;
        let mut draft = Draft::default();
        set(&mut draft, "affiliate", &body.value.affiliate.clone().flatten());
        set(&mut draft, "metric", &body.value.metric);
        set(&mut draft, "period", &body.value.period);
        set(&mut draft, "most", &body.value.most);
        set(&mut draft, "currency", &body.value.currency.clone().flatten());
        let cap = Settings::check(conn, &mut draft, campaign.id).await?;
        let cap = draft.accepted(cap)?;
        Ok(Cap::from(
            caps::create(conn, &access.author(), &cap, clock::now()).await?,
        ))
    });
    Ok(outcome.await?.response())
}

/// Delete a cap
#[utoipa::path(
    delete, path = "/caps/{id}", tag = "Campaigns",
    params(("id" = inline(schemas::CapId), Path)),
    responses((status = 204))
)]
pub(crate) async fn remove(
    access: Allowed<needs::Configure>,
    Id(id): Id<CapId>,
    api: Data<Api>,
) -> Result<HttpResponse, ApiError> {
    let mut conn = access.network(&api.db).await?;
    let cap = caps::find(&mut conn, id).await?.ok_or(ApiError::NotFound)?;
    if !caps::remove(&mut conn, &access.author(), cap.campaign_id, id, clock::now()).await? {
        return Err(ApiError::NotFound);
    }
    conn.commit().await?;
    no_content()
}
