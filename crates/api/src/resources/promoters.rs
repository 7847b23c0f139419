//! `/promoters`: which affiliates may promote a campaign.

use std::fmt;
use std::str::FromStr;

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::web::{Data, Json};
use campaigns::promoters::{self, Promoter as Stored, PromoterStatus};
use chrono::{DateTime, Utc};
use schema::{AffiliateId, CampaignId, clock};
use serde::{Deserialize, Serialize};
use tenancy::{FieldErrors, affiliates, needs};
use utoipa::ToSchema;

use super::{Answer, OfCampaign};
use crate::door::Allowed;
use crate::error::ApiError;
use crate::extract::{Body, Params};
use crate::once::{Created, Once};
use crate::openapi::IdempotencyKey;
use crate::page::{Page, Window, items, word};
use crate::{Api, schemas};

/// A standing by its campaign and its affiliate.
#[derive(Clone, Copy)]
pub(crate) struct PromoterId(CampaignId, AffiliateId);

impl fmt::Display for PromoterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.0, self.1)
    }
}

impl FromStr for PromoterId {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (campaign, affiliate) = text.split_once('.').ok_or("not a campaign and an affiliate")?;
        let parsed = campaign.parse().ok().zip(affiliate.parse().ok());
        let (campaign, affiliate) = parsed.ok_or("not a campaign and an affiliate")?;
        Ok(Self(campaign, affiliate))
    }
}

/// An affiliate's standing with a campaign.
#[derive(Serialize, ToSchema)]
pub(crate) struct Promoter {
    /// Its campaign and its affiliate.
    #[schema(value_type = schemas::Text)]
    id: String,
    #[schema(value_type = schemas::CampaignId)]
    campaign: CampaignId,
    #[schema(value_type = schemas::AffiliateId)]
    affiliate: AffiliateId,
    #[schema(value_type = schemas::PromoterStatus)]
    status: &'static str,
    /// What they said when asking.
    #[schema(value_type = schemas::Text)]
    note: String,
    changed_at: DateTime<Utc>,
}

impl From<Stored> for Promoter {
    fn from(it: Stored) -> Self {
        Self {
            id: PromoterId(it.campaign_id, it.affiliate_id).to_string(),
            campaign: it.campaign_id,
            affiliate: it.affiliate_id,
            status: it.status.as_str(),
            note: it.note,
            changed_at: it.changed_at,
        }
    }
}

impl Created for Promoter {
    const STATUS: StatusCode = StatusCode::OK;
}
items!(Promoter);

/// Whether an affiliate may promote a campaign.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "campaign": "Nova shop", "affiliate": "Orbit Blog", "status": "approved" }))]
pub(crate) struct Standing {
    #[schema(value_type = schemas::Reference)]
    campaign: String,
    #[schema(value_type = schemas::Reference)]
    affiliate: String,
    #[schema(value_type = schemas::PromoterStatus)]
    status: String,
}

/// List who may promote
#[utoipa::path(get, path = "/promoters", tag = "Campaigns", params(OfCampaign), responses((status = 200, body = Page<Promoter>)))]
pub(crate) async fn list(
    access: Allowed<needs::SeeSetup>,
    api: Data<Api>,
    Params(params): Params<OfCampaign>,
) -> Answer<Page<Promoter>> {
    let window = Window::<PromoterId>::of(params.limit, params.after.as_deref())?;
    let campaign: Option<CampaignId> = word("campaign", params.campaign.as_deref())?;
    let after = window
        .after
        .map(|PromoterId(campaign, affiliate)| (campaign, affiliate));
    let mut conn = access.network(&api.db).await?;
    let rows = promoters::list(&mut conn, campaign, after, window.ask()).await?;
    conn.commit().await?;
    Ok(Json(window.page(rows)))
}

/// Let an affiliate promote a campaign, or not
#[utoipa::path(post, path = "/promoters", tag = "Campaigns", params(IdempotencyKey), request_body = Standing, responses((status = 200, body = Promoter)))]
pub(crate) async fn set(
    access: Allowed<needs::Configure>,
    api: Data<Api>,
    once: Once,
    body: Body<Standing>,
) -> Result<HttpResponse, ApiError> {
    let made = once.run(&api, &access, &body.bytes, async |conn| {
        let campaign = super::campaign(conn, access.role.scope(), &body.value.campaign).await?;
        let mut errors = FieldErrors::default();
        let affiliate = affiliates::known_as(conn, &body.value.affiliate).await?;
        let affiliate = errors.take("affiliate", affiliate.ok_or("Name one of your affiliates."));
        let status = errors.take("status", body.value.status.parse::<PromoterStatus>());
        let (affiliate, status) = errors.or(affiliate.zip(status))?;
        let asked = promoters::find(conn, campaign.id, affiliate.id).await?;
        let promoter = Stored {
            campaign_id: campaign.id,
            affiliate_id: affiliate.id,
            status,
            note: asked.map_or_else(String::new, |asked| asked.note),
            changed_at: clock::now(),
        };
        promoters::set(conn, &access.author(), &promoter).await?;
        Ok(Promoter::from(promoter))
    });
    Ok(made.await?.answer())
}
