//! `/conversions`: conversions, and their approval or rejection.

use actix_web::HttpResponse;
use actix_web::web::{Data, Json};
use chrono::{DateTime, Utc};
use conversions::{Conversion as Stored, ConversionFilter, ReviewBecause};
use schema::{AffiliateId, CampaignId, ConversionId, GoalId, LinkId, PostbackId, clock};
use serde::{Deserialize, Serialize};
use tenancy::{Actor, Permission, needs, networks};
use utoipa::{IntoParams, ToSchema};

use super::Answer;
use crate::auth::Allowed;
use crate::error::ApiError;
use crate::extract::{Id, Params};
use crate::page::{Page, Window, items, text, word};
use crate::schemas;
use crate::state::Api;

/// An accepted postback of a goal.
#[derive(Serialize, ToSchema)]
pub(crate) struct Conversion {
    #[schema(value_type = schemas::ConversionId)]
    id: ConversionId,
    /// Time when the postback was received.
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
    /// Conversion of the parent goal; null if the goal has no parent.
    #[schema(required, value_type = Option<schemas::ConversionId>)]
    parent: Option<ConversionId>,
    /// Postback that created the conversion.
    #[schema(value_type = schemas::PostbackId)]
    postback: PostbackId,
    #[schema(required, value_type = Option<schemas::Text>)]
    order_id: Option<String>,
    /// Advertiser's ID of the customer; null if none was sent, and for affiliates.
    #[schema(required, value_type = Option<schemas::Text>)]
    customer_id: Option<String>,
    #[schema(required, value_type = Option<schemas::Text>)]
    coupon: Option<String>,
    /// Order amount; null if none was sent.
    #[schema(required, value_type = Option<schemas::Money>)]
    amount: Option<String>,
    /// Commission of the affiliate; null if the caller may not see it.
    #[schema(required, value_type = Option<schemas::Money>)]
    commission: Option<String>,
    /// Revenue from the advertiser; null if the caller may not see it.
    #[schema(required, value_type = Option<schemas::Money>)]
    revenue: Option<String>,
    /// Reason why the conversion pays nothing although the goal does; null otherwise.
    #[schema(required, value_type = Option<schemas::Text>)]
    unpaid_because: Option<String>,
    /// Time of the automatic approval; null if none is due.
    #[schema(required)]
    hold_until: Option<DateTime<Utc>>,
    /// Reason for a manual review: the amount is above the limit of the goal, or in another currency than the limit.
    /// Null if no review is needed or the review is done, and for callers outside the network's staff.
    #[schema(required, value_type = Option<schemas::ReviewBecause>)]
    review_because: Option<&'static str>,
}

items!(Conversion);

impl Conversion {
    fn new(stored: Stored, actor: &Actor) -> Self {
        let money = |permission, money: schema::Money| actor.may(permission).then(|| money.to_string());
        Self {
            id: stored.id,
            converted_at: stored.converted_at,
            status: stored.status.as_str(),
            campaign: stored.campaign_id,
            goal: stored.goal_id,
            affiliate: stored.affiliate_id,
            link: stored.link_id,
            attributed_by: stored.attributed_by.as_str(),
            parent: stored.parent_id,
            postback: stored.postback_id,
            amount: stored.amount().map(|amount| amount.to_string()),
            commission: money(Permission::SeeCommission, stored.commission()),
            revenue: money(Permission::SeeRevenue, stored.revenue()),
            order_id: stored.order_id,
            customer_id: stored
                .customer_id
                .filter(|_| actor.role.scope().affiliate.is_none()),
            coupon: stored.coupon,
            unpaid_because: stored.unpaid_because,
            hold_until: stored.hold_until.filter(|_| stored.review_because.is_none()),
            review_because: stored
                .review_because
                .filter(|_| actor.role.scope().is_whole())
                .map(ReviewBecause::as_str),
        }
    }
}

/// Filters of the list.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ConversionParams {
    /// Only conversions with this status.
    #[param(value_type = schemas::ConversionStatus, inline, required = false)]
    status: Option<String>,
    /// Only conversions that need a manual review. Available to the network's staff.
    #[param(value_type = bool, required = false)]
    review: Option<bool>,
    /// Only conversions of this order.
    #[param(value_type = schemas::Filter, inline, required = false)]
    order_id: Option<String>,
    /// Only conversions of this campaign.
    #[param(value_type = schemas::CampaignId, inline, required = false)]
    campaign: Option<String>,
    /// Only conversions of this affiliate.
    #[param(value_type = schemas::AffiliateId, inline, required = false)]
    affiliate: Option<String>,
    /// Maximum number of items of the page; 50 by default.
    #[param(value_type = i64, minimum = 1, maximum = 200, required = false)]
    limit: Option<i64>,
    /// Cursor: `next` of the previous page.
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
    let rows = conversions::list(&mut conn, &filter, window.rows()).await?;
    conn.commit().await?;
    Ok(Json(
        window.page_by(rows, |row| Conversion::new(row.conversion, &access)),
    ))
}

/// Value of the filter `review`, which only staff of the network may set.
fn in_review(actor: &Actor, review: Option<bool>) -> Result<bool, ApiError> {
    match review {
        Some(true) if !actor.role.scope().is_whole() => {
            let message = "Only staff of the network may use this filter.";
            Err(ApiError::field("review", message))
        }
        review => Ok(review.unwrap_or_default()),
    }
}

/// Get a conversion
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
/// The conversion must be pending. Approving an approved conversion has no effect.
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
/// The conversion must be pending. Rejecting a rejected conversion has no effect.
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
