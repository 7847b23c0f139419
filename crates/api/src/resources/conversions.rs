//! `/conversions`: conversions, and the statements about them.

use actix_web::web::{Data, Json};
use chrono::{DateTime, Utc};
use conversions::{Conversion as Stored, ConversionFilter, ReasonCode, ReviewBecause};
use schema::{AffiliateId, CampaignId, ConversionId, GoalId, LinkId, PostbackId};
use serde::{Deserialize, Serialize};
use tenancy::{Actor, Permission, needs};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

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
    /// Order amount after refunds; null if none was sent.
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
    /// Reason for a manual review. `amount`: above the limit of the goal. `currency`: in another currency than the limit.
    /// `commission`: the commission sent is more than the revenue or the order. `cap`: it exceeds a cap. `parent`: its
    /// parent no longer counts. `person`: a user put it on hold. Null if no review is needed or the review is done, and for callers outside the network's staff.
    #[schema(required, value_type = Option<schemas::ReviewBecause>)]
    review_because: Option<&'static str>,
    /// Number of statements about the conversion, counted from 1.
    version: i32,
    /// Time of the last statement that was stored.
    changed_at: DateTime<Utc>,
}

items!(Conversion);

impl Conversion {
    pub(super) fn new(stored: Stored, actor: &Actor) -> Self {
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
            version: stored.version,
            changed_at: stored.changed_at,
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

/// List the statements about a conversion
///
/// Everything that was stated about it, in order of arrival, with its effect or the reason why it had none.
#[utoipa::path(
    get, path = "/conversions/{id}/statements", tag = "Conversions",
    params(("id" = inline(schemas::ConversionId), Path)),
    responses((status = 200, body = Statements))
)]
pub(crate) async fn statements(
    access: Allowed<needs::SeeConversions>,
    Id(id): Id<ConversionId>,
    api: Data<Api>,
) -> Answer<Statements> {
    let mut conn = access.network(&api.db).await?;
    let filter = ConversionFilter {
        scope: access.role.scope(),
        id: Some(id),
        ..ConversionFilter::default()
    };
    let found = conversions::list(&mut conn, &filter, 1).await?.pop();
    let conversion = found.ok_or(ApiError::NotFound)?.conversion;
    let currency = conversion.currency;
    let statements = conversions::statements(&mut conn, conversion).await?;
    conn.commit().await?;
    let visible = |statement: &conversions::Statement| statement.is_for(&access, currency);
    let items = statements.into_iter().filter(visible);
    Ok(Json(Statements {
        items: items
            .map(|statement| Statement::new(statement, currency, &access))
            .collect(),
    }))
}

/// Statements about a conversion.
#[derive(Serialize, ToSchema)]
pub(crate) struct Statements {
    items: Vec<Statement>,
}

/// Statement about a conversion.
#[derive(Serialize, ToSchema)]
pub(crate) struct Statement {
    #[schema(value_type = schemas::StatementId)]
    id: Uuid,
    /// Time when it arrived.
    received_at: DateTime<Utc>,
    /// Time of the event, as an authenticated sender gave it; null otherwise.
    #[schema(required)]
    event_time: Option<DateTime<Utc>>,
    #[schema(value_type = schemas::StatementSource)]
    source: &'static str,
    /// True unless the sender was not authenticated; null for affiliates.
    #[schema(required)]
    is_authenticated: Option<bool>,
    /// Content in words.
    #[schema(value_type = schemas::Text)]
    says: String,
    /// Effect in words, or the reason why it had none.
    #[schema(value_type = schemas::Text)]
    effect: String,
    /// The sender's ID of the event; null if none was sent.
    #[schema(required, value_type = Option<schemas::Text>)]
    event_id: Option<String>,
    /// Postback that made it; null for other sources, and for affiliates.
    #[schema(required, value_type = Option<schemas::PostbackId>)]
    postback: Option<PostbackId>,
    /// User who made it; null for other sources, and for callers outside the network's staff.
    #[schema(required, value_type = Option<schemas::Text>)]
    author: Option<String>,
    /// The user's reason.
    #[schema(required, value_type = Option<schemas::ReasonCode>)]
    reason_code: Option<&'static str>,
    /// The user's reason in words.
    #[schema(required, value_type = Option<schemas::Text>)]
    reason: Option<String>,
}

impl Statement {
    fn new(stored: conversions::Statement, currency: schema::Currency, actor: &Actor) -> Self {
        let scope = actor.role.scope();
        Self {
            id: stored.change.id,
            received_at: stored.change.changed_at,
            event_time: stored.change.event_time,
            source: stored.change.source.as_str(),
            is_authenticated: scope.affiliate.is_none().then_some(stored.change.is_proven),
            says: stored.says(actor, currency),
            effect: stored.effect(actor, currency),
            postback: stored.change.postback_id.filter(|_| scope.affiliate.is_none()),
            event_id: stored.change.event_id,
            author: stored.change.author.filter(|_| scope.is_whole()),
            reason_code: stored.change.reason_code.map(ReasonCode::as_str),
            reason: stored.change.reason,
        }
    }
}
