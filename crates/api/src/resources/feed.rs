//! `/postbacks/feed`: postbacks in the order of their verdicts, for programs that follow them.

use actix_web::web::{Data, Json};
use chrono::{DateTime, Utc};
use data_encoding::BASE64;
use postbacks::feed::{self, FeedError, FeedItem, FeedPage, Position};
use postbacks::{PostbackFilter, StoredPostback};
use schema::{AdvertiserId, CampaignId, ConversionId, GoalId};
use serde::{Deserialize, Serialize};
use tenancy::needs;
use utoipa::{IntoParams, ToSchema};

use super::Answer;
use super::postbacks::Postback;
use crate::auth::Allowed;
use crate::error::ApiError;
use crate::extract::Params;
use crate::page::{Window, text, word};
use crate::schemas;
use crate::state::Api;

/// A page of the feed.
#[derive(Serialize, ToSchema)]
pub(crate) struct Feed {
    /// Postbacks, oldest verdict first.
    items: Vec<DecidedPostback>,
    /// Value of `after` for the next page, also if this page is empty.
    #[schema(value_type = schemas::Cursor)]
    next: String,
    /// True if the next page has postbacks already.
    has_more: bool,
}

/// A postback with its latest verdict.
#[derive(Serialize, ToSchema)]
pub(crate) struct DecidedPostback {
    #[serde(flatten)]
    postback: Postback,
    /// Time of the latest verdict after a hold or a replay; null if the first verdict stands.
    #[schema(required)]
    decided_at: Option<DateTime<Utc>>,
    /// True if the simulation or a test order of the API sent it.
    is_simulated: bool,
    /// Suggested fix; null if none is needed.
    #[schema(required, value_type = Option<schemas::Text>)]
    hint: Option<String>,
    /// Advertiser; null if the sender is unknown.
    #[schema(required, value_type = Option<schemas::AdvertiserId>)]
    advertiser: Option<AdvertiserId>,
    /// Name of the advertiser; null if the sender is unknown.
    #[schema(required, value_type = Option<schemas::Text>)]
    advertiser_name: Option<String>,
    /// Campaign of the link; null if unknown.
    #[schema(required, value_type = Option<schemas::CampaignId>)]
    campaign: Option<CampaignId>,
    /// Goal; null if the postback was refused before its goal was known.
    #[schema(required, value_type = Option<schemas::GoalId>)]
    goal: Option<GoalId>,
    /// Conversion that the postback created or updated; null if none.
    #[schema(required, value_type = Option<schemas::ConversionId>)]
    conversion: Option<ConversionId>,
    /// Amount as sent; null if none.
    #[schema(required, value_type = Option<schemas::Text>)]
    amount: Option<String>,
    /// Currency as sent; null for that of the campaign.
    #[schema(required, value_type = Option<schemas::Text>)]
    currency: Option<String>,
    /// Request; null unless `requests` is true.
    #[schema(required)]
    request: Option<StoredRequest>,
}

/// A request as stored: secrets are redacted, and of a sender that is not authenticated, only 2 KiB of the body are kept.
#[derive(Serialize, ToSchema)]
pub(crate) struct StoredRequest {
    #[schema(value_type = schemas::Text)]
    method: String,
    /// Path and query.
    #[schema(value_type = schemas::Text)]
    target: String,
    /// Media type of the body; null if none was sent.
    #[schema(required, value_type = Option<schemas::Text>)]
    content_type: Option<String>,
    /// Body in base64.
    #[schema(value_type = schemas::Text)]
    body_base64: String,
}

/// Amount as sent, with its decimals: the currency may be unknown.
fn amount(stored: &StoredPostback) -> Option<String> {
    let micros = stored.amount_micros?;
    let known = stored.currency.as_deref().and_then(|code| code.parse().ok());
    let decimals = known.map_or(2, schema::Currency::decimals);
    Some(schema::decimal(micros.into(), decimals))
}

impl DecidedPostback {
    fn new(item: FeedItem, has_request: bool) -> Self {
        let stored = item.postback;
        Self {
            postback: Postback::from(&stored),
            amount: amount(&stored),
            decided_at: stored.decided_at,
            is_simulated: item.is_simulated,
            hint: stored.hint,
            advertiser: stored.advertiser_id,
            advertiser_name: item.advertiser,
            campaign: stored.campaign_id,
            goal: stored.goal_id,
            conversion: stored.conversion_id,
            currency: stored.currency,
            request: has_request.then(|| StoredRequest {
                body_base64: BASE64.encode(&stored.body),
                method: stored.method,
                target: stored.target,
                content_type: stored.content_type,
            }),
        }
    }
}

/// Parameters of the feed.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct FeedParams {
    /// Only postbacks with this status.
    #[param(value_type = schemas::PostbackStatus, inline, required = false)]
    status: Option<String>,
    /// Only postbacks with this reason code.
    #[param(value_type = schemas::Filter, inline, required = false)]
    reason: Option<String>,
    /// Only postbacks of this advertiser.
    #[param(value_type = schemas::AdvertiserId, inline, required = false)]
    advertiser: Option<String>,
    /// Only postbacks for this campaign.
    #[param(value_type = schemas::CampaignId, inline, required = false)]
    campaign: Option<String>,
    /// Only postbacks for this goal.
    #[param(value_type = schemas::GoalId, inline, required = false)]
    goal: Option<String>,
    /// True for the requests too.
    #[param(value_type = bool, required = false)]
    requests: Option<bool>,
    /// Maximum number of items of the page; 50 by default.
    #[param(value_type = i64, minimum = 1, maximum = 200, required = false)]
    limit: Option<i64>,
    /// Cursor: `next` of the previous page. Without it, the page is empty, and `next` is the present end of the feed.
    #[param(value_type = schemas::Cursor, inline, required = false)]
    after: Option<String>,
}

/// Follow postbacks
///
/// Postbacks in the order in which their verdicts are stored, oldest first; a new verdict after a hold or a replay comes
/// again. Begin without `after`, then request each page with `next` of the previous one, at most once a second unless
/// `has_more` is true: no verdict is left out and none comes twice. Advertisers see only their postbacks.
#[utoipa::path(get, path = "/postbacks/feed", tag = "Postbacks", params(FeedParams), responses((status = 200, body = Feed)))]
pub(crate) async fn list(
    access: Allowed<needs::SeePostbacks>,
    api: Data<Api>,
    Params(params): Params<FeedParams>,
) -> Answer<Feed> {
    let window = Window::<Position>::of(params.limit, params.after.as_deref())?;
    let filter = PostbackFilter {
        scope: access.scope(),
        status: word("status", params.status.as_deref())?,
        reason: text("reason", params.reason.as_deref())?,
        advertiser_id: word("advertiser", params.advertiser.as_deref())?,
        campaign_id: word("campaign", params.campaign.as_deref())?,
        goal_id: word("goal", params.goal.as_deref())?,
        ..PostbackFilter::default()
    };
    let mut conn = access.network(&api.db).await?;
    let page = feed::read(&mut conn, &filter, window.after, window.items()).await;
    conn.commit().await?;
    let FeedPage {
        items,
        next,
        has_more,
    } = page.map_err(|error| match error {
        FeedError::Ahead => ApiError::field(
            "after",
            "The database was restored from a backup that is older. Start again without `after`.",
        ),
        FeedError::Db(error) => error.into(),
    })?;
    let has_request = params.requests.unwrap_or_default();
    let items = items
        .into_iter()
        .map(|item| DecidedPostback::new(item, has_request));
    Ok(Json(Feed {
        items: items.collect(),
        next: next.to_string(),
        has_more,
    }))
}
