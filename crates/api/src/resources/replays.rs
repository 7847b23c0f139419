//! `/replays`: rejected postbacks decided again with the current configuration, as a dry run or for real.

use actix_web::HttpResponse;
use actix_web::web::{Data, Json};
use chrono::{DateTime, Utc};
use postbacks::replays::{self, BATCH_LIMIT, Replay as Stored, ReplayFilter};
use schema::{AdvertiserId, ConversionId, PostbackId, clock};
use serde::{Deserialize, Serialize};
use tenancy::{ChangeError, FieldErrors, advertisers, needs};
use utoipa::ToSchema;
use uuid::Uuid;

use super::Answer;
use crate::auth::Allowed;
use crate::error::ApiError;
use crate::extract::{Body, Id, present};
use crate::idempotency::{Created, IdempotencyKey};
use crate::schemas;
use crate::state::Api;

/// Rejected postbacks to decide again. Combines all filters; takes at most 10,000 postbacks, oldest first.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "reason": "unknown_goal", "dry_run": true }))]
pub(crate) struct NewReplay {
    /// True to report the changes without making them.
    dry_run: bool,
    /// Only these postbacks.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Vec<schemas::PostbackId>, max_items = 200, required = false)]
    postbacks: Option<Vec<String>>,
    /// Only postbacks with this reason code.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = schemas::Text, required = false)]
    reason: Option<String>,
    /// Only postbacks of this advertiser.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = schemas::Reference, required = false)]
    advertiser: Option<String>,
    /// Only postbacks received at or after this time.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = DateTime<Utc>, required = false)]
    since: Option<DateTime<Utc>>,
}

/// A replay. It starts within two seconds; `GET /replays/{id}` returns its results.
#[derive(Serialize, ToSchema)]
pub(crate) struct Replay {
    #[schema(value_type = schemas::ReplayId)]
    id: Uuid,
    /// True if nothing is changed.
    dry_run: bool,
    /// Number of matching postbacks.
    #[schema(minimum = 0)]
    postbacks: usize,
}

impl Created for Replay {}

/// The results of a replay.
#[derive(Serialize, ToSchema)]
pub(crate) struct ReplayReport {
    #[schema(value_type = schemas::ReplayId)]
    id: Uuid,
    /// True if nothing is changed.
    dry_run: bool,
    /// Number of postbacks.
    #[schema(minimum = 0)]
    postbacks: usize,
    /// Number of postbacks that are not decided yet.
    #[schema(minimum = 0)]
    waiting: usize,
    /// Number of postbacks whose reason code changes.
    #[schema(minimum = 0)]
    changed: usize,
    /// Results by postback: at most 500, changes first.
    results: Vec<ReplayResult>,
}

/// The result of a replay for one postback.
#[derive(Serialize, ToSchema)]
pub(crate) struct ReplayResult {
    #[schema(value_type = schemas::PostbackId)]
    postback: PostbackId,
    /// Reason code before the replay.
    #[schema(value_type = schemas::Text)]
    reason_before: String,
    /// Reason code after the replay; null until the postback is decided.
    #[schema(required, value_type = Option<schemas::Text>)]
    reason: Option<String>,
    /// Verdict in one sentence; null until the postback is decided.
    #[schema(required, value_type = Option<schemas::Text>)]
    message: Option<String>,
    /// Conversion that the postback creates or updates; null if none.
    #[schema(required, value_type = Option<schemas::ConversionId>)]
    conversion: Option<ConversionId>,
    /// Commission of a new conversion; null if none is created.
    #[schema(required, value_type = Option<schemas::Money>)]
    commission: Option<String>,
}

impl From<Stored> for ReplayResult {
    fn from(replay: Stored) -> Self {
        Self {
            commission: replay.commission().map(|money| money.to_string()),
            postback: replay.postback_id,
            reason_before: replay.reason_before,
            reason: replay.reason,
            message: replay.message,
            conversion: replay.conversion_id,
        }
    }
}

/// Maximum receipts of a filter.
const MAX_RECEIPTS: usize = 200;
/// Maximum results of a report.
const MAX_RESULTS: usize = 500;

/// Replay postbacks
///
/// Accepted postbacks are never replayed. Repeating a replay creates no conversion twice.
#[utoipa::path(post, path = "/replays", tag = "Postbacks", params(IdempotencyKey), request_body = NewReplay, responses((status = 201, body = Replay)))]
pub(crate) async fn create(
    access: Allowed<needs::DecideConversions>,
    api: Data<Api>,
    key: IdempotencyKey,
    body: Body<NewReplay>,
) -> Result<HttpResponse, ApiError> {
    let outcome = key.execute(&api, &access, &body.bytes, async |conn| {
        let filter = &body.value;
        let mut errors = FieldErrors::default();
        let ids = filter.postbacks.as_deref().map_or(Ok(Vec::new()), postback_ids);
        let ids = errors.take("postbacks", ids);
        let advertiser_id: Option<AdvertiserId> = match &filter.advertiser {
            None => None,
            Some(reference) => {
                let found = advertisers::known_as(conn, reference.trim()).await?;
                let found = found.ok_or("Unknown advertiser.");
                errors.take("advertiser", found).map(|found| found.id)
            }
        };
        if filter.since.is_some_and(|since| since < DateTime::UNIX_EPOCH) {
            errors.add("since", "Send a time after 1970.");
        }
        let ids = errors.or(ids)?;
        let dry_run = filter.dry_run;
        let filter = ReplayFilter {
            ids,
            reason: filter.reason.clone(),
            advertiser_id,
            since: filter.since,
        };
        let author = access.author();
        let (id, postbacks) = replays::request(conn, &author, &filter, dry_run, clock::now()).await?;
        if postbacks == 0 {
            return Err(ChangeError::Conflict("No rejected postback matches.".to_owned()).into());
        }
        Ok(Replay {
            id,
            dry_run,
            postbacks,
        })
    });
    Ok(outcome.await?.response())
}

/// Parses the receipts of a filter.
fn postback_ids(receipts: &[String]) -> Result<Vec<PostbackId>, &'static str> {
    if !(1..=MAX_RECEIPTS).contains(&receipts.len()) {
        return Err("Send 1 to 200 receipts such as pb_….");
    }
    let ids: Result<_, _> = receipts.iter().map(|receipt| receipt.parse()).collect();
    ids.map_err(|_| "Send receipts such as pb_….")
}

/// Get a replay
#[utoipa::path(
    get, path = "/replays/{id}", tag = "Postbacks",
    params(("id" = inline(schemas::ReplayId), Path)),
    responses((status = 200, body = ReplayReport))
)]
pub(crate) async fn show(
    access: Allowed<needs::DecideConversions>,
    Id(id): Id<Uuid>,
    api: Data<Api>,
) -> Answer<ReplayReport> {
    let mut conn = access.network(&api.db).await?;
    let found = replays::of_batch(&mut conn, id, BATCH_LIMIT).await?;
    conn.commit().await?;
    let first = found.first().ok_or(ApiError::NotFound)?;
    Ok(Json(ReplayReport {
        id,
        dry_run: first.is_dry,
        postbacks: found.len(),
        waiting: found.iter().filter(|replay| replay.done_at.is_none()).count(),
        changed: found.iter().filter(|replay| replay.changes()).count(),
        results: found
            .into_iter()
            .take(MAX_RESULTS)
            .map(ReplayResult::from)
            .collect(),
    }))
}
