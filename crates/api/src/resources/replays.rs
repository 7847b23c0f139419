//! `/replays`: rejected postbacks decided once more under today's configuration, or a look at what would change.

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
use crate::door::Allowed;
use crate::error::ApiError;
use crate::extract::{Body, Id, given};
use crate::once::{Created, Once};
use crate::openapi::IdempotencyKey;
use crate::{Api, schemas};

/// Which rejected postbacks to decide once more. All that is said must fit; at most 10,000 are taken, oldest first.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "reason": "unknown_goal", "dry_run": true }))]
pub(crate) struct Wanted {
    /// Whether nothing is changed: `true` says what would be.
    dry_run: bool,
    /// Only these.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Vec<schemas::PostbackId>, max_items = 200, required = false)]
    postbacks: Option<Vec<String>>,
    /// Only with this reason.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = schemas::Text, required = false)]
    reason: Option<String>,
    /// Only of this advertiser.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = schemas::Reference, required = false)]
    advertiser: Option<String>,
    /// Only those that came since.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = DateTime<Utc>, required = false)]
    since: Option<DateTime<Utc>>,
}

/// A replay that was asked for. A node takes it up within two seconds: ask `GET /replays/{id}` what came of it.
#[derive(Serialize, ToSchema)]
pub(crate) struct Replay {
    #[schema(value_type = schemas::ReplayId)]
    id: Uuid,
    /// Whether nothing is changed.
    dry_run: bool,
    /// How many postbacks fit.
    #[schema(minimum = 0)]
    postbacks: usize,
}

impl Created for Replay {}

/// What came of a replay, or would come.
#[derive(Serialize, ToSchema)]
pub(crate) struct ReplayReport {
    #[schema(value_type = schemas::ReplayId)]
    id: Uuid,
    dry_run: bool,
    /// How many postbacks it is about.
    #[schema(minimum = 0)]
    postbacks: usize,
    /// How many are not decided yet.
    #[schema(minimum = 0)]
    waiting: usize,
    /// How many have, or would have, another reason now.
    #[schema(minimum = 0)]
    changed: usize,
    /// At most 500, those that change first.
    results: Vec<ReplayResult>,
}

/// What came of one postback, or would come.
#[derive(Serialize, ToSchema)]
pub(crate) struct ReplayResult {
    #[schema(value_type = schemas::PostbackId)]
    postback: PostbackId,
    #[schema(value_type = schemas::Text)]
    reason_before: String,
    /// Null where it is not decided yet.
    #[schema(required, value_type = Option<schemas::Text>)]
    reason: Option<String>,
    #[schema(required, value_type = Option<schemas::Text>)]
    message: Option<String>,
    /// The conversion it makes or is about.
    #[schema(required, value_type = Option<schemas::ConversionId>)]
    conversion: Option<ConversionId>,
    /// What the affiliate earns by a conversion that it makes.
    #[schema(required, value_type = Option<schemas::Money>)]
    commission: Option<String>,
}

impl From<Stored> for ReplayResult {
    fn from(it: Stored) -> Self {
        Self {
            commission: it.commission().map(|money| money.to_string()),
            postback: it.postback_id,
            reason_before: it.reason_before,
            reason: it.reason,
            message: it.message,
            conversion: it.conversion_id,
        }
    }
}

/// Most results that are listed.
const LISTED: usize = 500;

/// Replay postbacks
///
/// Accepted postbacks are never replayed: what they made stands. Repeating a replay makes nothing twice.
#[utoipa::path(post, path = "/replays", tag = "Postbacks", params(IdempotencyKey), request_body = Wanted, responses((status = 201, body = Replay)))]
pub(crate) async fn create(
    access: Allowed<needs::DecideConversions>,
    api: Data<Api>,
    once: Once,
    body: Body<Wanted>,
) -> Result<HttpResponse, ApiError> {
    let made = once.run(&api, &access, &body.bytes, async |conn| {
        let wanted = &body.value;
        let mut errors = FieldErrors::default();
        let named = wanted.postbacks.iter().flatten();
        let ids: Result<Vec<PostbackId>, _> = named.map(|id| id.parse()).collect();
        let ids = errors
            .take("postbacks", ids.map_err(|_| "Send receipts such as pb_…."))
            .unwrap_or_default();
        if wanted.postbacks.is_some() && (ids.is_empty() || ids.len() > 200) {
            errors.add("postbacks", "Send 1 to 200 receipts such as pb_….");
        }
        let advertiser_id: Option<AdvertiserId> = match &wanted.advertiser {
            None => None,
            Some(named) => {
                let found = advertisers::known_as(conn, named.trim()).await?;
                let found = found.ok_or("Name one of your advertisers.");
                errors.take("advertiser", found).map(|found| found.id)
            }
        };
        if wanted.since.is_some_and(|since| since < DateTime::UNIX_EPOCH) {
            errors.add("since", "Send a moment after 1970.");
        }
        errors.or(Some(()))?;
        let filter = ReplayFilter {
            ids,
            reason: wanted.reason.clone(),
            advertiser_id,
            since: wanted.since,
        };
        let author = access.author();
        let (id, postbacks) = replays::request(conn, &author, &filter, wanted.dry_run, clock::now()).await?;
        if postbacks == 0 {
            return Err(ChangeError::Conflict("No rejected postback is like that.".to_owned()).into());
        }
        Ok(Replay {
            id,
            dry_run: wanted.dry_run,
            postbacks,
        })
    });
    Ok(made.await?.answer())
}

/// What came of a replay
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
        waiting: found.iter().filter(|it| it.done_at.is_none()).count(),
        changed: found.iter().filter(|it| it.changes()).count(),
        results: found.into_iter().take(LISTED).map(ReplayResult::from).collect(),
    }))
}
