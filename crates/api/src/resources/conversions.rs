//! `/conversions`: what postbacks made, and what is decided of it.

use actix_web::HttpResponse;
use actix_web::web::{Data, Json};
use chrono::{DateTime, Utc};
use conversions::{Conversion as Stored, ConversionFilter, ReviewBecause};
use schema::{AffiliateId, CampaignId, ConversionId, GoalId, LinkId, PostbackId, clock};
use serde::{Deserialize, Serialize};
use tenancy::{Actor, Permission, needs, networks};
use utoipa::{IntoParams, ToSchema};

use super::Answer;
use crate::door::Allowed;
use crate::error::ApiError;
use crate::extract::{Id, Params};
use crate::page::{Page, Window, items, text, word};
use crate::{Api, schemas};

/// A conversion.
#[derive(Serialize, ToSchema)]
pub(crate) struct Conversion {
    #[schema(value_type = schemas::ConversionId)]
    id: ConversionId,
    /// When the postback came.
    converted_at: DateTime<Utc>,
    #[schema(value_type = schemas::ConversionStatus)]
    status: &'static str,
    #[schema(value_type = schemas::CampaignId)]
    campaign: CampaignId,
    #[schema(value_type = schemas::GoalId)]
    goal: GoalId,
    #[schema(value_type = schemas::AffiliateId)]
    affiliate: AffiliateId,
    #[schema(value_type = schemas::LinkId)]
    link: LinkId,
    #[schema(value_type = schemas::AttributedBy)]
    attributed_by: &'static str,
    /// The conversion of the parent goal it came after.
    #[schema(required, value_type = Option<schemas::ConversionId>)]
    parent: Option<ConversionId>,
    /// The postback that made it.
    #[schema(value_type = schemas::PostbackId)]
    postback: PostbackId,
    #[schema(required, value_type = Option<schemas::Text>)]
    order_id: Option<String>,
    /// The advertiser's own id of its customer; null for affiliates.
    #[schema(required, value_type = Option<schemas::Text>)]
    customer_id: Option<String>,
    #[schema(required, value_type = Option<schemas::Text>)]
    coupon: Option<String>,
    /// The order amount, if one was sent.
    #[schema(required, value_type = Option<schemas::Money>)]
    amount: Option<String>,
    /// What the affiliate earns; null for those who may not see it.
    #[schema(required, value_type = Option<schemas::Money>)]
    commission: Option<String>,
    /// What the advertiser owes; null for those who may not see it.
    #[schema(required, value_type = Option<schemas::Money>)]
    revenue: Option<String>,
    /// Why it pays nothing although the goal does.
    #[schema(required, value_type = Option<schemas::Text>)]
    unpaid_because: Option<String>,
    /// When it approves itself.
    #[schema(required)]
    hold_until: Option<DateTime<Utc>>,
    /// Why it is pending until somebody of the network has looked: its amount is above the goal's limit, or in a currency
    /// that cannot be compared with it. Null where nobody must, or somebody has, and for those who are not of the network.
    #[schema(required, value_type = Option<schemas::ReviewBecause>)]
    review_because: Option<&'static str>,
}

items!(Conversion);

impl Conversion {
    fn new(it: Stored, actor: &Actor) -> Self {
        let money = |needed, money: schema::Money| actor.may(needed).then(|| money.to_string());
        Self {
            id: it.id,
            converted_at: it.converted_at,
            status: it.status.as_str(),
            campaign: it.campaign_id,
            goal: it.goal_id,
            affiliate: it.affiliate_id,
            link: it.link_id,
            attributed_by: it.attributed_by.as_str(),
            parent: it.parent_id,
            postback: it.postback_id,
            amount: it.amount().map(|amount| amount.to_string()),
            commission: money(Permission::SeeCommission, it.commission()),
            revenue: money(Permission::SeeRevenue, it.revenue()),
            order_id: it.order_id,
            customer_id: it.customer_id.filter(|_| actor.role.scope().affiliate.is_none()),
            coupon: it.coupon,
            unpaid_because: it.unpaid_because,
            hold_until: it.hold_until.filter(|_| it.review_because.is_none()),
            review_because: it
                .review_because
                .filter(|_| actor.role.scope().is_whole())
                .map(ReviewBecause::as_str),
        }
    }
}

/// Which conversions.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ConversionParams {
    /// Only of this status.
    #[param(value_type = schemas::ConversionStatus, inline, required = false)]
    status: Option<String>,
    /// Only those that somebody of the network must look at; for the network's own people.
    #[param(value_type = bool, required = false)]
    review: Option<bool>,
    /// Only of this order of the advertiser.
    #[param(value_type = schemas::Filter, inline, required = false)]
    order_id: Option<String>,
    /// Only of this campaign.
    #[param(value_type = schemas::CampaignId, inline, required = false)]
    campaign: Option<String>,
    /// Only of this affiliate.
    #[param(value_type = schemas::AffiliateId, inline, required = false)]
    affiliate: Option<String>,
    /// Items of the page: 50 unless said otherwise.
    #[param(value_type = i64, minimum = 1, maximum = 200, required = false)]
    limit: Option<i64>,
    /// What the page before said as `next`.
    #[param(value_type = schemas::ConversionId, inline, required = false)]
    after: Option<String>,
}

/// List conversions
///
/// Newest first.
#[utoipa::path(get, path = "/conversions", tag = "Conversions", params(ConversionParams), responses((status = 200, body = Page<Conversion>)))]
pub(crate) async fn list(
    access: Allowed<needs::SeeConversions>,
    api: Data<Api>,
    Params(params): Params<ConversionParams>,
) -> Answer<Page<Conversion>> {
    let window = Window::<ConversionId>::of(params.limit, params.after.as_deref())?;
    let filter = ConversionFilter {
        scope: access.role.scope(),
        status: word("status", params.status.as_deref())?,
        in_review: in_review(&access, params.review)?,
        order_id: text("order_id", params.order_id.as_deref())?,
        campaign_id: word("campaign", params.campaign.as_deref())?,
        affiliate_id: word("affiliate", params.affiliate.as_deref())?,
        before: window.after,
        ..ConversionFilter::default()
    };
    let mut conn = access.network(&api.db).await?;
    let rows = conversions::list(&mut conn, &filter, window.ask()).await?;
    conn.commit().await?;
    Ok(Json(
        window.page_by(rows, |row| Conversion::new(row.conversion, &access)),
    ))
}

/// Whether only those in review are asked for, by somebody who may know which they are.
fn in_review(actor: &Actor, asked: Option<bool>) -> Result<bool, ApiError> {
    match asked {
        Some(true) if !actor.role.scope().is_whole() => {
            let message = "Only the network's own people may ask for those.";
            Err(ApiError::field("review", message))
        }
        asked => Ok(asked.unwrap_or_default()),
    }
}

/// A conversion
#[utoipa::path(
    get, path = "/conversions/{id}", tag = "Conversions",
    params(("id" = inline(schemas::ConversionId), Path)),
    responses((status = 200, body = Conversion))
)]
pub(crate) async fn show(
    access: Allowed<needs::SeeConversions>,
    Id(id): Id<ConversionId>,
    api: Data<Api>,
) -> Answer<Conversion> {
    let mut conn = access.network(&api.db).await?;
    let filter = ConversionFilter {
        scope: access.role.scope(),
        id: Some(id),
        ..ConversionFilter::default()
    };
    let found = conversions::list(&mut conn, &filter, 1).await?.pop();
    conn.commit().await?;
    let found = found.ok_or(ApiError::NotFound)?;
    Ok(Json(Conversion::new(found.conversion, &access)))
}

/// Approve a conversion
///
/// One that is pending.
#[utoipa::path(
    post, path = "/conversions/{id}/approve", tag = "Conversions",
    params(("id" = inline(schemas::ConversionId), Path)),
    responses((status = 200, body = Conversion))
)]
pub(crate) async fn approve(
    access: Allowed<needs::DecideConversions>,
    Id(id): Id<ConversionId>,
    api: Data<Api>,
) -> Result<HttpResponse, ApiError> {
    decide(&access, &api, id, true).await
}

/// Reject a conversion
///
/// One that is pending.
#[utoipa::path(
    post, path = "/conversions/{id}/reject", tag = "Conversions",
    params(("id" = inline(schemas::ConversionId), Path)),
    responses((status = 200, body = Conversion))
)]
pub(crate) async fn reject(
    access: Allowed<needs::DecideConversions>,
    Id(id): Id<ConversionId>,
    api: Data<Api>,
) -> Result<HttpResponse, ApiError> {
    decide(&access, &api, id, false).await
}

async fn decide(
    access: &Allowed<needs::DecideConversions>,
    api: &Api,
    id: ConversionId,
    approve: bool,
) -> Result<HttpResponse, ApiError> {
    let mut conn = access.network(&api.db).await?;
    let zone = networks::current(&mut conn).await?.time_zone();
    let author = access.author();
    let conversion = conversions::decide(&mut conn, &author, zone, id, approve, clock::now()).await?;
    conn.commit().await?;
    Ok(HttpResponse::Ok().json(Conversion::new(conversion, access)))
}
