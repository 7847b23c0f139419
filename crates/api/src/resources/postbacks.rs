//! `/postbacks`: postbacks of advertisers, with their verdicts and traces.

use std::collections::BTreeMap;

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::web::{Data, Json};
use chrono::{DateTime, Utc};
use postbacks::contradictions::{self, Contradiction};
use postbacks::trace::CheckResult;
use postbacks::{Item, PostbackFilter, PostbackSummary, SentValues, StoredPostback};
use schema::{AdvertiserId, CampaignId, ConversionId, GoalId, PostbackId, clock};
use serde::{Deserialize, Serialize};
use tenancy::{Actor, needs};
use utoipa::{IntoParams, ToSchema};

use super::Answer;
use super::clicks::{self, Signer};
use crate::auth::Allowed;
use crate::error::ApiError;
use crate::extract::{Id, Params};
use crate::idempotency::{Created, IdempotencyKey};
use crate::page::{Page, Window, items, text, word};
use crate::schemas;
use crate::state::Api;

/// A postback and its verdict.
#[derive(Serialize, ToSchema)]
pub(crate) struct Postback {
    /// ID: the receipt in the response to the postback.
    #[schema(value_type = schemas::PostbackId)]
    id: PostbackId,
    /// Time when the postback was received.
    received_at: DateTime<Utc>,
    #[schema(value_type = schemas::PostbackStatus)]
    status: &'static str,
    /// Reason code, explained in the dashboard at `/docs/reasons/{code}`.
    #[schema(value_type = schemas::Text)]
    reason: String,
    /// Verdict in one sentence.
    #[schema(value_type = schemas::Text)]
    message: String,
    /// HTTP status of the response.
    http_status: i32,
    /// Time from the last byte of the request to the verdict, in microseconds.
    took_us: i32,
    #[schema(required, value_type = Option<schemas::Text>)]
    order_id: Option<String>,
    /// Dialect of the postback.
    #[schema(value_type = schemas::Text)]
    dialect: String,
    /// True for a test.
    is_test: bool,
}

items!(Postback);

impl Created for Postback {
    const STATUS: StatusCode = StatusCode::OK;
}

impl From<(PostbackSummary, Option<String>)> for Postback {
    fn from((summary, _): (PostbackSummary, Option<String>)) -> Self {
        Self {
            id: summary.id,
            received_at: summary.received_at,
            status: summary.status.as_str(),
            reason: summary.reason,
            message: summary.message,
            http_status: summary.http_status,
            took_us: summary.took_us,
            order_id: summary.order_id,
            dialect: summary.dialect,
            is_test: summary.is_test,
        }
    }
}

impl From<&StoredPostback> for Postback {
    fn from(stored: &StoredPostback) -> Self {
        Self {
            id: stored.id,
            received_at: stored.received_at,
            status: stored.status.as_str(),
            reason: stored.reason.clone(),
            message: stored.message.clone(),
            http_status: stored.http_status,
            took_us: stored.took_us,
            order_id: stored.order_id.clone(),
            dialect: stored.dialect.clone(),
            is_test: stored.is_test,
        }
    }
}

/// A postback with request and trace.
#[derive(Serialize, ToSchema)]
pub(crate) struct ExplainedPostback {
    #[serde(flatten)]
    postback: Postback,
    /// Suggested fix; null if none is needed.
    #[schema(required, value_type = Option<schemas::Text>)]
    hint: Option<String>,
    /// Advertiser; null if the sender is unknown.
    #[schema(required, value_type = Option<schemas::AdvertiserId>)]
    advertiser: Option<AdvertiserId>,
    /// Campaign of the link; null if unknown.
    #[schema(required, value_type = Option<schemas::CampaignId>)]
    campaign: Option<CampaignId>,
    /// Goal; null if the postback was refused before its goal was known.
    #[schema(required, value_type = Option<schemas::GoalId>)]
    goal: Option<GoalId>,
    /// Click ID, if it is genuine.
    #[schema(required, value_type = Option<schemas::ClickId>)]
    click: Option<String>,
    /// Values that were sent, by our names, whatever the format calls them. Secrets and personal data are removed.
    #[schema(value_type = std::collections::HashMap<String, String>)]
    values: BTreeMap<String, String>,
    /// Line items that were sent.
    items: Vec<SentItem>,
    /// Further parameters, as sent.
    parameters: Vec<SentParameter>,
    /// Reason code that the sender received, if a restore from a backup led to another verdict and no user has accepted
    /// it; null otherwise.
    #[schema(required, value_type = Option<schemas::Text>)]
    answered_reason: Option<String>,
    /// Conversion that the postback created or updated; null if none.
    #[schema(required, value_type = Option<schemas::ConversionId>)]
    conversion: Option<ConversionId>,
    /// Reason why request and body are not complete, so that the postback cannot be replayed; null if they are.
    #[schema(required, value_type = Option<schemas::Incomplete>)]
    incomplete: Option<&'static str>,
    /// Method and target of the request, with secrets removed.
    #[schema(value_type = schemas::Text)]
    request: String,
    /// Body of the request, with secrets removed.
    #[schema(value_type = schemas::Text)]
    body: String,
    /// Steps that led to the verdict, without commissions if the caller may not see them.
    trace: Vec<Step>,
}

/// A line item that was sent.
#[derive(Serialize, ToSchema)]
pub(crate) struct SentItem {
    #[schema(required, value_type = Option<schemas::Text>)]
    sku: Option<String>,
    #[schema(required, value_type = Option<schemas::Text>)]
    name: Option<String>,
    #[schema(required, value_type = Option<schemas::Text>)]
    category: Option<String>,
    #[schema(required)]
    quantity: Option<u32>,
    /// Amount of the whole line; negative for a discount.
    #[schema(required, value_type = Option<schemas::Text>)]
    amount: Option<String>,
}

impl From<Item> for SentItem {
    fn from(item: Item) -> Self {
        Self {
            sku: item.sku,
            name: item.name,
            category: item.category,
            quantity: item.quantity,
            amount: item.amount.map(|amount| amount.to_string()),
        }
    }
}

/// A further parameter that was sent.
#[derive(Serialize, ToSchema)]
pub(crate) struct SentParameter {
    #[schema(value_type = schemas::Text)]
    name: String,
    #[schema(value_type = schemas::Text)]
    value: String,
}

/// A step on the way to the verdict.
#[derive(Serialize, ToSchema)]
pub(crate) struct Step {
    /// Name of the check.
    #[schema(value_type = schemas::Text)]
    check: String,
    #[schema(value_type = schemas::Found)]
    found: &'static str,
    /// Finding in words.
    #[schema(value_type = schemas::Text)]
    words: String,
}

impl ExplainedPostback {
    fn new(
        stored: StoredPostback,
        difference: Option<Contradiction>,
        signer: &Signer,
        actor: &Actor,
    ) -> Self {
        let sent = SentValues::of(&stored);
        let values = sent
            .values
            .into_iter()
            .map(|(name, value)| (name.into_owned(), value));
        let parameters = sent
            .further
            .into_iter()
            .map(|(name, value)| SentParameter { name, value });
        let steps = stored.trace();
        let steps = steps.steps().iter();
        let steps = steps.filter(|step| step.is_for(actor));
        let steps = steps.map(|step| Step {
            check: step.0.clone(),
            found: match step.1 {
                CheckResult::Passed => "good",
                CheckResult::Tolerated => "tolerated",
                CheckResult::Noted => "noted",
            },
            words: step.2.clone(),
        });
        Self {
            trace: steps.collect(),
            postback: Postback::from(&stored),
            hint: stored.hint,
            answered_reason: difference.map(|difference| difference.answered_reason),
            advertiser: stored.advertiser_id,
            campaign: stored.campaign_id,
            goal: stored.goal_id,
            click: stored.click_id.map(|key| signer.write(key)),
            values: values.collect(),
            items: sent.items.into_iter().map(SentItem::from).collect(),
            parameters: parameters.collect(),
            conversion: stored.conversion_id,
            incomplete: stored.incomplete.map(|incomplete| incomplete.as_str()),
            request: format!("{} {}", stored.method, stored.target),
            body: String::from_utf8_lossy(&stored.body).into_owned(),
        }
    }
}

/// Filters of the list.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct PostbackParams {
    /// Only postbacks with this status.
    #[param(value_type = schemas::PostbackStatus, inline, required = false)]
    status: Option<String>,
    /// Only postbacks with this reason code.
    #[param(value_type = schemas::Filter, inline, required = false)]
    reason: Option<String>,
    /// Only postbacks with this order ID that were not accepted. For accepted ones, filter the conversions.
    #[param(value_type = schemas::Filter, inline, required = false)]
    order_id: Option<String>,
    /// Only postbacks of this advertiser.
    #[param(value_type = schemas::AdvertiserId, inline, required = false)]
    advertiser: Option<String>,
    /// Only postbacks for this campaign.
    #[param(value_type = schemas::CampaignId, inline, required = false)]
    campaign: Option<String>,
    /// Only postbacks for this goal.
    #[param(value_type = schemas::GoalId, inline, required = false)]
    goal: Option<String>,
    /// Only postbacks that name this click.
    #[param(value_type = schemas::ClickId, inline, required = false)]
    click: Option<String>,
    /// Only postbacks received at this moment or later.
    #[param(value_type = DateTime<Utc>, required = false)]
    from: Option<DateTime<Utc>>,
    /// Only postbacks received before this moment.
    #[param(value_type = DateTime<Utc>, required = false)]
    until: Option<DateTime<Utc>>,
    /// Maximum number of items of the page; 50 by default.
    #[param(value_type = i64, minimum = 1, maximum = 200, required = false)]
    limit: Option<i64>,
    /// Cursor: `next` of the previous page.
    #[param(value_type = schemas::PostbackId, inline, required = false)]
    after: Option<String>,
}

/// List postbacks
///
/// Newest first. Advertisers see only their postbacks.
#[utoipa::path(get, path = "/postbacks", tag = "Postbacks", params(PostbackParams), responses((status = 200, body = Page<Postback>)))]
pub(crate) async fn list(
    access: Allowed<needs::SeePostbacks>,
    api: Data<Api>,
    Params(params): Params<PostbackParams>,
) -> Answer<Page<Postback>> {
    let window = Window::<PostbackId>::of(params.limit, params.after.as_deref())?;
    let mut filter = PostbackFilter {
        scope: access.scope(),
        status: word("status", params.status.as_deref())?,
        reason: text("reason", params.reason.as_deref())?,
        order_id: text("order_id", params.order_id.as_deref())?,
        advertiser_id: word("advertiser", params.advertiser.as_deref())?,
        campaign_id: word("campaign", params.campaign.as_deref())?,
        goal_id: word("goal", params.goal.as_deref())?,
        since: params.from,
        until: params.until,
        before: window.after,
        ..PostbackFilter::default()
    };
    let mut conn = access.network(&api.db).await?;
    filter.click = clicks::named(&mut conn, &api, params.click.as_deref()).await?;
    let rows = postbacks::list(&mut conn, &filter, window.rows()).await?;
    conn.commit().await?;
    Ok(Json(window.page(rows)))
}

/// Get a postback
///
/// With its request, and the steps that led to the verdict.
#[utoipa::path(
    get, path = "/postbacks/{id}", tag = "Postbacks",
    params(("id" = inline(schemas::PostbackId), Path)),
    responses((status = 200, body = ExplainedPostback))
)]
pub(crate) async fn show(
    access: Allowed<needs::SeePostbacks>,
    Id(id): Id<PostbackId>,
    api: Data<Api>,
) -> Answer<ExplainedPostback> {
    let mut conn = access.network(&api.db).await?;
    let found = postbacks::find(&mut conn, access.scope(), id).await?;
    let found = found.ok_or(ApiError::NotFound)?;
    let difference = contradictions::of(&mut conn, id).await?;
    let signer = Signer::of(&mut conn, &api).await?;
    conn.commit().await?;
    Ok(Json(ExplainedPostback::new(found, difference, &signer, &access)))
}

/// Accept the verdict that a restore contradicts
///
/// After a restore from a backup, a postback is decided again. If the verdict differs from the one that the sender received,
/// `answered_reason` is set until a replay reaches that verdict, or a user accepts the present one.
#[utoipa::path(
    post, path = "/postbacks/{id}/settle", tag = "Postbacks",
    params(("id" = inline(schemas::PostbackId), Path), IdempotencyKey),
    responses((status = 200, body = Postback))
)]
pub(crate) async fn settle(
    access: Allowed<needs::DecideConversions>,
    Id(id): Id<PostbackId>,
    api: Data<Api>,
    key: IdempotencyKey,
) -> Result<HttpResponse, ApiError> {
    let outcome = key.execute(&api, &access, b"", async |conn| {
        let found = postbacks::find(conn, access.scope(), id).await?;
        let found = found.ok_or(ApiError::NotFound)?;
        contradictions::settle(conn, &access.author(), id, clock::now()).await?;
        Ok(Postback::from(&found))
    });
    Ok(outcome.await?.response())
}
