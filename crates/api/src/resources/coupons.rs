//! `/coupons`: codes that attribute an order without a click to an affiliate.

use std::fmt;
use std::str::FromStr;

use actix_web::HttpResponse;
use actix_web::web::{Data, Json};
use campaigns::coupons::{self, Coupon as Stored};
use schema::{AffiliateId, CampaignId, clock};
use serde::{Deserialize, Serialize};
use tenancy::{Draft, needs};
use utoipa::ToSchema;

use super::{Answer, OfCampaign, no_content};
use crate::auth::Allowed;
use crate::error::ApiError;
use crate::extract::{Body, Id, Params};
use crate::fields::set;
use crate::idempotency::{Created, IdempotencyKey};
use crate::page::{Page, Window, items, word};
use crate::schemas;
use crate::state::Api;

/// ID of a coupon, of its campaign and its code: `cmp_2y6c3r8.SUMMER`.
#[derive(Clone)]
pub(crate) struct CouponId(CampaignId, String);

impl fmt::Display for CouponId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.0, self.1)
    }
}

impl FromStr for CouponId {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (campaign, code) = text.split_once('.').ok_or("not the ID of a coupon")?;
        let campaign = campaign.parse().map_err(|_| "not the ID of a coupon")?;
        let code = coupons::check_code(code).map_err(|_| "not the ID of a coupon")?;
        Ok(Self(campaign, code))
    }
}

/// A code that attributes an order without a click to an affiliate.
#[derive(Serialize, ToSchema)]
pub(crate) struct Coupon {
    /// ID, composed of the campaign and the code.
    #[schema(value_type = schemas::Text)]
    id: String,
    #[schema(value_type = schemas::CampaignId)]
    campaign: CampaignId,
    /// Code in upper case; comparison ignores case.
    #[schema(value_type = schemas::Text)]
    code: String,
    /// Affiliate that distributes the coupon.
    #[schema(value_type = schemas::AffiliateId)]
    affiliate: AffiliateId,
}

impl From<Stored> for Coupon {
    fn from(coupon: Stored) -> Self {
        Self {
            id: CouponId(coupon.campaign_id, coupon.code.clone()).to_string(),
            campaign: coupon.campaign_id,
            code: coupon.code,
            affiliate: coupon.affiliate_id,
        }
    }
}

impl Created for Coupon {}
items!(Coupon);

/// A coupon to create.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "campaign": "Nova shop", "code": "SUMMER", "affiliate": "Orbit Blog" }))]
pub(crate) struct NewCoupon {
    #[schema(value_type = schemas::Reference)]
    campaign: String,
    #[schema(value_type = schemas::Text)]
    code: String,
    /// Affiliate that distributes the coupon.
    #[schema(value_type = schemas::Reference)]
    affiliate: String,
}

/// List coupons
#[utoipa::path(get, path = "/coupons", tag = "Campaigns", params(OfCampaign), responses((status = 200, body = Page<Coupon>)))]
pub(crate) async fn list(
    access: Allowed<needs::SeeSetup>,
    api: Data<Api>,
    Params(params): Params<OfCampaign>,
) -> Answer<Page<Coupon>> {
    let window = Window::<CouponId>::of(params.limit, params.after.as_deref())?;
    let campaign: Option<CampaignId> = word("campaign", params.campaign.as_deref())?;
    let after = window
        .after
        .clone()
        .map(|CouponId(campaign, code)| (campaign, code));
    let mut conn = access.network(&api.db).await?;
    let rows = coupons::list(&mut conn, campaign, after.as_ref(), window.rows()).await?;
    conn.commit().await?;
    Ok(Json(window.page(rows)))
}

/// Create a coupon
#[utoipa::path(post, path = "/coupons", tag = "Campaigns", params(IdempotencyKey), request_body = NewCoupon, responses((status = 201, body = Coupon)))]
pub(crate) async fn create(
    access: Allowed<needs::Configure>,
    api: Data<Api>,
    key: IdempotencyKey,
    body: Body<NewCoupon>,
) -> Result<HttpResponse, ApiError> {
    let outcome = key.execute(&api, &access, &body.bytes, async |conn| {
        let campaign = super::campaign(conn, access.scope(), &body.value.campaign).await?;
        let mut draft = Draft::default();
        set(&mut draft, "code", &body.value.code);
        set(&mut draft, "affiliate", &body.value.affiliate);
        let coupon = Stored::check(conn, &mut draft, campaign.id).await?;
        let coupon = draft.accepted(coupon)?;
        coupons::create(conn, &access.author(), &coupon, clock::now()).await?;
        Ok(Coupon::from(coupon))
    });
    Ok(outcome.await?.response())
}

/// Delete a coupon
#[utoipa::path(
    delete, path = "/coupons/{id}", tag = "Campaigns",
    params(("id" = inline(schemas::Text), Path)),
    responses((status = 204))
)]
pub(crate) async fn remove(
    access: Allowed<needs::Configure>,
    Id(CouponId(campaign, code)): Id<CouponId>,
    api: Data<Api>,
) -> Result<HttpResponse, ApiError> {
    let mut conn = access.network(&api.db).await?;
    if !coupons::remove(&mut conn, &access.author(), campaign, &code, clock::now()).await? {
        return Err(ApiError::NotFound);
    }
    conn.commit().await?;
    no_content()
}
