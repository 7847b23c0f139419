//! `/conversions`: conversions, and the statements about them.

use actix_web::web::{Data, Json};
use chrono::{DateTime, Utc};
use conversions::{Conversion as Stored, ConversionFilter, ReasonCode, ReviewBecause};
use schema::{AdvertiserId, AffiliateId, CampaignId, ConversionId, GoalId, LinkId, NetworkConn, PostbackId};
use serde::{Deserialize, Serialize};
use tenancy::{Actor, Permission, needs};
use tracking::clicks::Subs;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::Answer;
use super::clicks::{self, Signer};
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
    #[schema(value_type = schemas::AdvertiserId)]
    advertiser: AdvertiserId,
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
    /// Click ID; null without a click, and for those who may not see clicks.
    #[schema(required, value_type = Option<schemas::ClickId>)]
    click: Option<String>,
    /// Country that the advertiser sent.
    #[schema(required, value_type = Option<schemas::Text>)]
    country: Option<String>,
    /// Time of the click; null without a click, after the retention of clicks, and for those who may not see clicks.
    #[schema(required)]
    clicked_at: Option<DateTime<Utc>>,
    /// Sub IDs of the click, `sub1` to `sub5`; null like `clicked_at`.
    #[schema(required, value_type = Option<Vec<Option<schemas::Text>>>)]
    subs: Option<[Option<String>; 5]>,
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
    /// Conversions with what their clicks tell.
    pub(super) async fn all(
        conn: &mut NetworkConn,
        api: &Api,
        stored: Vec<Stored>,
        actor: &Actor,
    ) -> Result<Vec<Self>, ApiError> {
        let signer = Signer::of(conn, api).await?;
        let sees_clicks = actor.may(Permission::SeeClicks);
        let clicks = stored
            .iter()
            .filter_map(|stored| stored.click_id.filter(|_| sees_clicks));
        let clicks = tracking::clicks::subs_of(conn, &clicks.collect::<Vec<_>>()).await?;
        let with_click = |stored: Stored| {
            // A customer's later conversions have the same click.
            let click = stored.click_id.and_then(|key| clicks.get(&key).cloned());
            let shown = stored.click_id.filter(|_| sees_clicks);
            let id = shown.map(|key| signer.write(key));
            Self::new(stored, id, click, actor)
        };
        Ok(stored.into_iter().map(with_click).collect())
    }

    fn new(
        stored: Stored,
        click: Option<String>,
        facts: Option<(DateTime<Utc>, Subs)>,
        actor: &Actor,
    ) -> Self {
        let (clicked_at, subs) = facts.unzip();
        let money = |permission, money: schema::Money| actor.may(permission).then(|| money.to_string());
        Self {
            id: stored.id,
            converted_at: stored.converted_at,
            status: stored.status.as_str(),
            advertiser: stored.advertiser_id,
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
            customer_id: stored.customer_id.filter(|_| actor.scope().affiliate.is_none()),
            coupon: stored.coupon,
            click,
            country: stored.country,
            clicked_at,
            subs: subs.map(|(a, b, c, d, e)| [a, b, c, d, e]),
            unpaid_because: stored.unpaid_because,
            hold_until: stored.hold_until.filter(|_| stored.review_because.is_none()),
            review_because: stored
                .review_because
                .filter(|_| actor.scope().is_staff())
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
    /// Only conversions of this advertiser.
    #[param(value_type = schemas::AdvertiserId, inline, required = false)]
    advertiser: Option<String>,
    /// Only conversions of this click.
    #[param(value_type = schemas::ClickId, inline, required = false)]
    click: Option<String>,
    /// Only conversions of this goal.
    #[param(value_type = schemas::GoalId, inline, required = false)]
    goal: Option<String>,
    /// Only conversions received at this moment or later.
    #[param(value_type = DateTime<Utc>, required = false)]
    from: Option<DateTime<Utc>>,
    /// Only conversions received before this moment.
    #[param(value_type = DateTime<Utc>, required = false)]
    until: Option<DateTime<Utc>>,
    /// Only conversions that changed at this moment or later, to keep a copy up to date.
    #[param(value_type = DateTime<Utc>, required = false)]
    changed_since: Option<DateTime<Utc>>,
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
    let mut filter = ConversionFilter {
        scope: access.scope(),
        status: word("status", params.status.as_deref())?,
        in_review: in_review(&access, params.review)?,
        order_id: text("order_id", params.order_id.as_deref())?,
        campaign_id: word("campaign", params.campaign.as_deref())?,
        affiliate_id: word("affiliate", params.affiliate.as_deref())?,
        advertiser_id: word("advertiser", params.advertiser.as_deref())?,
        goal_id: word("goal", params.goal.as_deref())?,
        since: params.from,
        until: params.until,
        changed_since: params.changed_since,
        before: window.after,
        ..ConversionFilter::default()
    };
    let mut conn = access.network(&api.db).await?;
    filter.click = clicks::named(&mut conn, &api, params.click.as_deref()).await?;
    let rows = conversions::list(&mut conn, &filter, window.rows()).await?;
    let stored = rows.into_iter().map(|row| row.conversion).collect();
    let rows = Conversion::all(&mut conn, &api, stored, &access).await?;
    conn.commit().await?;
    Ok(Json(window.page_by(rows, |row| row)))
}

/// Value of the filter `review`, which only staff of the network may set.
fn in_review(actor: &Actor, review: Option<bool>) -> Result<bool, ApiError> {
    match review {
        Some(true) if !actor.scope().is_staff() => {
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
        scope: access.scope(),
        id: Some(id),
        ..ConversionFilter::default()
    };
    let found = conversions::list(&mut conn, &filter, 1).await?.pop();
    let stored = found.ok_or(ApiError::NotFound)?.conversion;
    let found = Conversion::all(&mut conn, &api, vec![stored], &access)
        .await?
        .pop();
    conn.commit().await?;
    Ok(Json(found.ok_or(ApiError::NotFound)?))
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
        scope: access.scope(),
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
        let scope = actor.scope();
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
            author: stored.change.author.filter(|_| scope.is_staff()),
            reason_code: stored.change.reason_code.map(ReasonCode::as_str),
            reason: stored.change.reason,
        }
    }
}
