//! `/caps`: how much of something a campaign wants.

use actix_web::HttpResponse;
use actix_web::web::{Data, Json};
use campaigns::caps::{self, Cap as Stored, NewCap};
use schema::{AffiliateId, CampaignId, CapId, clock};
use serde::{Deserialize, Serialize};
use tenancy::{Draft, needs};
use utoipa::ToSchema;

use super::{Answer, OfCampaign, done};
use crate::door::Allowed;
use crate::error::ApiError;
use crate::extract::{Body, Id, Params, given};
use crate::fields::say;
use crate::once::{Created, Once};
use crate::openapi::IdempotencyKey;
use crate::page::{Page, Window, items, word};
use crate::{Api, schemas};

/// A cap.
#[derive(Serialize, ToSchema)]
pub(crate) struct Cap {
    #[schema(value_type = schemas::CapId)]
    id: CapId,
    #[schema(value_type = schemas::CampaignId)]
    campaign: CampaignId,
    /// Of this affiliate only; of all together if null.
    #[schema(required, value_type = Option<schemas::AffiliateId>)]
    affiliate: Option<AffiliateId>,
    #[schema(value_type = schemas::Metric)]
    metric: &'static str,
    #[schema(value_type = schemas::CapPeriod)]
    period: &'static str,
    /// A number, or an amount of the campaign's currency.
    #[schema(value_type = schemas::Amount)]
    most: String,
}

impl From<Stored> for Cap {
    fn from(it: Stored) -> Self {
        Self {
            id: it.id,
            campaign: it.campaign_id,
            affiliate: it.affiliate_id,
            metric: it.metric.as_str(),
            period: it.period.as_str(),
            most: it.most_as_typed(),
        }
    }
}

impl Created for Cap {}
items!(Cap);

/// A cap to set.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "campaign": "Nova shop", "metric": "clicks", "period": "day", "most": "1000" }))]
pub(crate) struct CapToSet {
    #[schema(value_type = schemas::Reference)]
    campaign: String,
    /// Of this affiliate only; of all together if null.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<schemas::Reference>, required = false)]
    affiliate: Option<Option<String>>,
    #[schema(value_type = schemas::Metric)]
    metric: String,
    #[schema(value_type = schemas::CapPeriod)]
    period: String,
    /// A number, or an amount of the campaign's currency.
    #[schema(value_type = schemas::Amount)]
    most: String,
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
    let rows = caps::list(&mut conn, campaign, window.after, window.ask()).await?;
    conn.commit().await?;
    Ok(Json(window.page(rows)))
}

/// Set a cap
#[utoipa::path(post, path = "/caps", tag = "Campaigns", params(IdempotencyKey), request_body = CapToSet, responses((status = 201, body = Cap)))]
pub(crate) async fn create(
    access: Allowed<needs::Configure>,
    api: Data<Api>,
    once: Once,
    body: Body<CapToSet>,
) -> Result<HttpResponse, ApiError> {
    let made = once.run(&api, &access, &body.bytes, async |conn| {
        let campaign = super::campaign(conn, access.role.scope(), &body.value.campaign).await?;
        let mut draft = Draft::default();
        say(&mut draft, "affiliate", &body.value.affiliate.clone().flatten());
        say(&mut draft, "metric", &body.value.metric);
        say(&mut draft, "period", &body.value.period);
        say(&mut draft, "most", &body.value.most);
        let cap = NewCap::check(conn, &mut draft, campaign.id).await?;
        let cap = draft.accepted(cap)?;
        Ok(Cap::from(
            caps::create(conn, &access.author(), &cap, clock::now()).await?,
        ))
    });
    Ok(made.await?.answer())
}

/// Remove a cap
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
    match caps::remove(&mut conn, &access.author(), cap.campaign_id, id, clock::now()).await? {
        true => conn.commit().await?,
        false => return Err(ApiError::NotFound),
    }
    done()
}
