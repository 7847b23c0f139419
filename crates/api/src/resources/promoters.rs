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
use crate::auth::Allowed;
use crate::error::ApiError;
use crate::extract::{Body, Params};
use crate::idempotency::{Created, IdempotencyKey};
use crate::page::{Page, Window, items, word};
use crate::schemas;
use crate::state::Api;

/// ID of a promoter, of its campaign and its affiliate.
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

/// An affiliate's access to a campaign.
#[derive(Serialize, ToSchema)]
pub(crate) struct Promoter {
    /// ID, composed of the campaign and the affiliate.
    #[schema(value_type = schemas::Text)]
    id: String,
    #[schema(value_type = schemas::CampaignId)]
    campaign: CampaignId,
    #[schema(value_type = schemas::AffiliateId)]
    affiliate: AffiliateId,
    #[schema(value_type = schemas::PromoterStatus)]
    status: &'static str,
    /// Message of the affiliate with the application; empty if none.
    #[schema(value_type = schemas::Text)]
    note: String,
    /// Time of the last change of the status.
    changed_at: DateTime<Utc>,
}

impl From<Stored> for Promoter {
    fn from(promoter: Stored) -> Self {
        Self {
            id: PromoterId(promoter.campaign_id, promoter.affiliate_id).to_string(),
            campaign: promoter.campaign_id,
            affiliate: promoter.affiliate_id,
            status: promoter.status.as_str(),
            note: promoter.note,
            changed_at: promoter.changed_at,
        }
    }
}

impl Created for Promoter {
    const STATUS: StatusCode = StatusCode::OK;
}
items!(Promoter);

/// The new status of an affiliate's access to a campaign.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "campaign": "Nova shop", "affiliate": "Orbit Blog", "status": "approved" }))]
pub(crate) struct PromoterUpdate {
    #[schema(value_type = schemas::Reference)]
    campaign: String,
    #[schema(value_type = schemas::Reference)]
    affiliate: String,
    #[schema(value_type = schemas::PromoterStatus)]
    status: String,
}

/// List promoters
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
    let rows = promoters::list(&mut conn, campaign, after, window.rows()).await?;
    conn.commit().await?;
    Ok(Json(window.page(rows)))
}

/// Set an affiliate's access to a campaign
#[utoipa::path(post, path = "/promoters", tag = "Campaigns", params(IdempotencyKey), request_body = PromoterUpdate, responses((status = 200, body = Promoter)))]
pub(crate) async fn set(
    access: Allowed<needs::Configure>,
    api: Data<Api>,
    key: IdempotencyKey,
    body: Body<PromoterUpdate>,
) -> Result<HttpResponse, ApiError> {
    let outcome = key.execute(&api, &access, &body.bytes, async |conn| {
        let campaign = super::campaign(conn, access.scope(), &body.value.campaign).await?;
        let mut errors = FieldErrors::default();
        let affiliate = affiliates::known_as(conn, &body.value.affiliate).await?;
        let affiliate = errors.take("affiliate", affiliate.ok_or("Unknown affiliate."));
        let status = errors.take("status", body.value.status.parse::<PromoterStatus>());
        let (affiliate, status) = errors.or(affiliate.zip(status))?;
        let existing = promoters::find(conn, campaign.id, affiliate.id).await?;
        let promoter = Stored {
            campaign_id: campaign.id,
            affiliate_id: affiliate.id,
            status,
            note: existing.map_or_else(String::new, |existing| existing.note),
            changed_at: clock::now(),
        };
        promoters::set(conn, &access.author(), &promoter).await?;
        Ok(Promoter::from(promoter))
    });
    Ok(outcome.await?.response())
}
