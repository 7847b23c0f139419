//! `/conversions/{id}/approve`, `/reject`, `/corrections`: corrections of conversions, one or many.

use actix_web::HttpResponse;
use actix_web::web::{Data, Json, Path};
use chrono::{DateTime, Utc};
use conversions::{
    BulkReport, ConversionFilter, Corrected, Correction, CorrectionDraft, CorrectionRequest, ReasonCode,
    Seen, Selection,
};
use schema::{ConversionId, NetworkConn, WaitingCorrectionId, clock};
use serde::{Deserialize, Serialize};
use tenancy::{Author, ChangeError, needs};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::conversions::Conversion;
use super::{Answer, no_content};
use crate::auth::Allowed;
use crate::error::ApiError;
use crate::extract::{Body, Csv, Id, Integer, OptionalBody, Params, present};
use crate::page::{items, word};
use crate::schemas;
use crate::state::Api;

/// Reason of a decision, and the version it is based on.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "reason_code": "returned", "reason": "Parcel came back", "version": 2 }))]
pub(crate) struct Decision {
    /// Reason, which the affiliate sees.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<schemas::ReasonCode>, required = false)]
    reason_code: Option<Option<String>>,
    /// Reason in words, which the affiliate sees: at most 500 characters.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<schemas::Text>, required = false)]
    reason: Option<Option<String>>,
    /// `version` of the conversion that the decision is based on. If it changed since, the response is 412.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<i64>, required = false)]
    version: Option<Option<Integer>>,
}

impl Decision {
    fn request(&self, correction: Correction) -> Result<CorrectionRequest, ApiError> {
        let reason = self.reason.clone().flatten().unwrap_or_default();
        let version = self
            .version
            .flatten()
            .map(|Integer(version)| i32::try_from(version));
        let version = version
            .transpose()
            .map_err(|_| ApiError::field("version", "Send the version of the conversion."))?;
        Ok(CorrectionRequest {
            version,
            ..CorrectionRequest::of(
                correction,
                word("reason_code", self.reason_code.clone().flatten().as_deref())?,
                &reason,
            )?
        })
    }
}

/// Approve a conversion
///
/// Reinstates a rejected or reversed one. Approving an approved conversion has no effect. The body is optional.
#[utoipa::path(
    post, path = "/conversions/{id}/approve", tag = "Conversions",
    params(("id" = inline(schemas::ConversionId), Path)),
    request_body = Option<Decision>,
    responses((status = 200, body = Conversion), (status = 202, body = WaitingCorrection))
)]
pub(crate) async fn approve(
    access: Allowed<needs::DecideConversions>,
    Id(id): Id<ConversionId>,
    api: Data<Api>,
    OptionalBody(decision): OptionalBody<Decision>,
) -> Result<HttpResponse, ApiError> {
    let request = decision.request(Correction::Approve)?;
    correct(&access, &api, id, async |_| Ok(request)).await
}

/// Reject a conversion
///
/// Reverses an approved one. Rejecting a rejected conversion has no effect. The body is optional.
#[utoipa::path(
    post, path = "/conversions/{id}/reject", tag = "Conversions",
    params(("id" = inline(schemas::ConversionId), Path)),
    request_body = Option<Decision>,
    responses((status = 200, body = Conversion), (status = 202, body = WaitingCorrection))
)]
pub(crate) async fn reject(
    access: Allowed<needs::DecideConversions>,
    Id(id): Id<ConversionId>,
    api: Data<Api>,
    OptionalBody(decision): OptionalBody<Decision>,
) -> Result<HttpResponse, ApiError> {
    let request = decision.request(Correction::Reject)?;
    correct(&access, &api, id, async |_| Ok(request)).await
}

/// Correction of a conversion.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "action": "adjust", "amount": "80.00", "reason_code": "returned", "reason": "One of two came back" }))]
pub(crate) struct NewCorrection {
    /// `hold` makes it pending until a user decides; `release` gives the decision back to the advertiser; `adjust` sets
    /// the amount, or commission and revenue; `move` credits another affiliate.
    #[schema(value_type = schemas::CorrectionAction)]
    action: String,
    /// For `adjust`: order amount after refunds, in the currency of the conversion.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<schemas::Amount>, required = false)]
    amount: Option<Option<String>>,
    /// For `adjust`: commission of the affiliate.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<schemas::Amount>, required = false)]
    commission: Option<Option<String>>,
    /// For `adjust`: revenue from the advertiser.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<schemas::Amount>, required = false)]
    revenue: Option<Option<String>>,
    /// For `move`: a link of the same campaign, by its ID or alias. Its affiliate gets the conversion.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<schemas::Reference>, required = false)]
    link: Option<Option<String>>,
    /// Reason, which the affiliate sees.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<schemas::ReasonCode>, required = false)]
    reason_code: Option<Option<String>>,
    /// Reason in words, which the affiliate sees: at most 500 characters.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<schemas::Text>, required = false)]
    reason: Option<Option<String>>,
    /// `version` of the conversion that the correction is based on. If it changed since, the response is 412.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<i64>, required = false)]
    version: Option<Option<Integer>>,
}

/// Correct a conversion
///
/// Every correction is a separate statement, with author and reason; nothing is overwritten. 202: it moves more money than
/// the network lets one user move, and waits for a second user.
#[utoipa::path(
    post, path = "/conversions/{id}/corrections", tag = "Conversions",
    params(("id" = inline(schemas::ConversionId), Path)),
    request_body = NewCorrection,
    responses((status = 200, body = Conversion), (status = 202, body = WaitingCorrection))
)]
pub(crate) async fn create(
    access: Allowed<needs::DecideConversions>,
    Id(id): Id<ConversionId>,
    api: Data<Api>,
    body: Body<NewCorrection>,
) -> Result<HttpResponse, ApiError> {
    let NewCorrection {
        action,
        amount,
        commission,
        revenue,
        link,
        reason_code,
        reason,
        version,
    } = body.value;
    let draft = CorrectionDraft {
        action,
        amount: amount.flatten().unwrap_or_default(),
        commission: commission.flatten().unwrap_or_default(),
        revenue: revenue.flatten().unwrap_or_default(),
        link: link.flatten().unwrap_or_default(),
    };
    let decision = Decision {
        reason_code,
        reason,
        version,
    };
    correct(&access, &api, id, async |conn| {
        let correction = draft.check(conn, &access.author(), id).await?;
        decision.request(correction)
    })
    .await
}

/// Undo a correction
///
/// The correction does not count any more; neither does anything that followed from it. `statement` is its ID in the list of
/// statements.
#[utoipa::path(
    post, path = "/conversions/{id}/corrections/{statement}/undo", tag = "Conversions",
    params(("id" = inline(schemas::ConversionId), Path), ("statement" = inline(schemas::StatementId), Path)),
    responses((status = 200, body = Conversion), (status = 202, body = WaitingCorrection))
)]
pub(crate) async fn undo(
    access: Allowed<needs::DecideConversions>,
    path: Path<(String, String)>,
    api: Data<Api>,
) -> Result<HttpResponse, ApiError> {
    let (id, statement) = path.into_inner();
    let id = id.parse().map_err(|_| ApiError::NotFound)?;
    let statement: Uuid = statement.parse().map_err(|_| ApiError::NotFound)?;
    correct(
        &access,
        &api,
        id,
        async |_| Ok(Correction::Undo(statement).into()),
    )
    .await
}

/// Correction of many conversions.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "dry_run": true, "action": "approve", "orders": ["A-1001", "A-1002"], "reason_code": "agreement" }))]
pub(crate) struct NewBulkCorrection {
    /// True to see the effect only.
    dry_run: bool,
    #[schema(value_type = schemas::BulkAction)]
    action: String,
    /// Order IDs: all conversions of these orders. Exactly one of `orders`, `conversions` and `filter` must be sent.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<Vec<schemas::Text>>, required = false)]
    orders: Option<Option<Vec<String>>>,
    /// Conversions by ID.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<Vec<schemas::ConversionId>>, required = false)]
    conversions: Option<Option<Vec<String>>>,
    /// Versions of `conversions`, in their order: one that changed since is refused. Omit it to correct them as they are.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<Vec<i64>>, required = false)]
    versions: Option<Option<Vec<Integer>>>,
    /// All conversions of a filter.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<BulkFilter>, required = false)]
    filter: Option<Option<BulkFilter>>,
    /// Reason, which the affiliates see.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<schemas::ReasonCode>, required = false)]
    reason_code: Option<Option<String>>,
    /// Reason in words, which the affiliates see: at most 500 characters.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<schemas::Text>, required = false)]
    reason: Option<Option<String>>,
}

/// Filter of conversions to correct; every field that is sent must match.
#[derive(Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct BulkFilter {
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<schemas::ConversionStatus>, required = false)]
    status: Option<Option<String>>,
    /// True for conversions in manual review only.
    #[serde(default)]
    #[schema(required = false)]
    review: bool,
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<schemas::CampaignId>, required = false)]
    campaign: Option<Option<String>>,
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<schemas::AffiliateId>, required = false)]
    affiliate: Option<Option<String>>,
}

/// Correction that waits for a second user.
#[derive(Serialize, ToSchema)]
pub(crate) struct WaitingCorrection {
    #[schema(value_type = schemas::WaitingCorrectionId)]
    id: WaitingCorrectionId,
    #[schema(value_type = schemas::ConversionId)]
    conversion: ConversionId,
    #[schema(value_type = schemas::Text)]
    action: &'static str,
    /// Effect in words.
    #[schema(value_type = schemas::Text)]
    effect: String,
    /// User who asked for it, and may not approve it.
    #[schema(value_type = schemas::Text)]
    requested_by: String,
    requested_at: DateTime<Utc>,
    #[schema(required, value_type = Option<schemas::ReasonCode>)]
    reason_code: Option<&'static str>,
    #[schema(required, value_type = Option<schemas::Text>)]
    reason: Option<String>,
}

items!(WaitingCorrection);

impl From<conversions::WaitingCorrection> for WaitingCorrection {
    fn from(stored: conversions::WaitingCorrection) -> Self {
        Self {
            action: stored.correction().map_or("unreadable", Correction::name),
            id: stored.id,
            conversion: stored.conversion_id,
            effect: stored.effect,
            requested_by: stored.author,
            requested_at: stored.requested_at,
            reason_code: stored.reason_code.map(ReasonCode::as_str),
            reason: stored.reason,
        }
    }
}

/// Corrections that wait for a second user.
#[derive(Serialize, ToSchema)]
pub(crate) struct WaitingCorrections {
    items: Vec<WaitingCorrection>,
}

/// List corrections that wait for a second user
///
/// Oldest first, at most 1000.
#[utoipa::path(get, path = "/waiting-corrections", tag = "Conversions", responses((status = 200, body = WaitingCorrections)))]
pub(crate) async fn list_waiting(
    access: Allowed<needs::DecideConversions>,
    api: Data<Api>,
) -> Answer<WaitingCorrections> {
    let mut conn = access.network(&api.db).await?;
    let waiting = conversions::waiting(&mut conn, access.scope(), None, 1_000).await?;
    conn.commit().await?;
    Ok(Json(WaitingCorrections {
        items: waiting.into_iter().map(WaitingCorrection::from).collect(),
    }))
}

/// Approve a correction as the second user
#[utoipa::path(
    post, path = "/waiting-corrections/{id}/approve", tag = "Conversions",
    params(("id" = inline(schemas::WaitingCorrectionId), Path)),
    responses((status = 204))
)]
pub(crate) async fn approve_waiting(
    access: Allowed<needs::DecideConversions>,
    Id(id): Id<WaitingCorrectionId>,
    api: Data<Api>,
) -> Result<HttpResponse, ApiError> {
    decide_waiting(&access, &api, id, true).await
}

/// Decline a correction
///
/// The user who asked for it may withdraw it in this way.
#[utoipa::path(
    post, path = "/waiting-corrections/{id}/decline", tag = "Conversions",
    params(("id" = inline(schemas::WaitingCorrectionId), Path)),
    responses((status = 204))
)]
pub(crate) async fn decline_waiting(
    access: Allowed<needs::DecideConversions>,
    Id(id): Id<WaitingCorrectionId>,
    api: Data<Api>,
) -> Result<HttpResponse, ApiError> {
    decide_waiting(&access, &api, id, false).await
}

async fn decide_waiting(
    access: &Allowed<needs::DecideConversions>,
    api: &Api,
    id: WaitingCorrectionId,
    approve: bool,
) -> Result<HttpResponse, ApiError> {
    let mut conn = access.network(&api.db).await?;
    conversions::decide_waiting(&mut conn, &access.author(), id, approve, clock::now()).await?;
    conn.commit().await?;
    no_content()
}

/// Effect of corrections.
#[derive(Serialize, ToSchema)]
pub(crate) struct BulkCorrection {
    /// ID by which they can be undone together; null for a dry run.
    #[schema(required, value_type = Option<schemas::StatementId>)]
    batch: Option<Uuid>,
    /// Number of conversions that change.
    changed: usize,
    /// Number of conversions that are in the wanted state already.
    unchanged: usize,
    /// Number of corrections that wait for a second user.
    waiting: usize,
    /// Orders or conversions that are not corrected.
    refused: Vec<Refused>,
    /// Money that the corrections add, or take away, per currency.
    money: Vec<Moved>,
}

/// Order or conversion that is not corrected.
#[derive(Serialize, ToSchema)]
pub(crate) struct Refused {
    /// Order ID, or ID of the conversion.
    #[schema(value_type = schemas::Text)]
    name: String,
    #[schema(value_type = schemas::Text)]
    reason: String,
}

/// Money in one currency.
#[derive(Serialize, ToSchema)]
pub(crate) struct Moved {
    #[schema(value_type = schemas::Text)]
    commission: String,
    #[schema(value_type = schemas::Text)]
    revenue: String,
}

impl BulkCorrection {
    fn new(report: BulkReport, is_dry: bool) -> Self {
        let moved = |(commission, revenue): (schema::Money, schema::Money)| Moved {
            commission: commission.to_string(),
            revenue: revenue.to_string(),
        };
        let refused = |(name, reason)| Refused { name, reason };
        Self {
            batch: (!is_dry).then_some(report.batch),
            changed: report.changed,
            unchanged: report.unchanged,
            waiting: report.waiting,
            refused: report.refused.into_iter().map(refused).collect(),
            money: report.money.into_iter().map(moved).collect(),
        }
    }
}

/// Correct many conversions
///
/// By order IDs, by IDs or by a filter: at most 1000. With `dry_run`, the response is the effect, and nothing is changed.
#[utoipa::path(
    post, path = "/conversions/corrections", tag = "Conversions",
    request_body = NewBulkCorrection,
    responses((status = 200, body = BulkCorrection))
)]
pub(crate) async fn create_many(
    access: Allowed<needs::DecideConversions>,
    api: Data<Api>,
    body: Body<NewBulkCorrection>,
) -> Result<HttpResponse, ApiError> {
    let body = body.value;
    let draft = CorrectionDraft {
        action: body.action,
        ..CorrectionDraft::default()
    };
    let selection = match (
        body.orders.flatten(),
        body.conversions.flatten(),
        body.filter.flatten(),
    ) {
        (Some(orders), None, None) => Selection::Orders(orders),
        (None, Some(ids), None) => Selection::Ids(seen(&ids, body.versions.flatten())?),
        (None, None, Some(filter)) => Selection::Filter(Box::new(ConversionFilter {
            status: word("filter.status", filter.status.flatten().as_deref())?,
            in_review: filter.review,
            campaign_id: word("filter.campaign", filter.campaign.flatten().as_deref())?,
            affiliate_id: word("filter.affiliate", filter.affiliate.flatten().as_deref())?,
            ..ConversionFilter::default()
        })),
        _ => {
            let message = "Send exactly one of orders, conversions and filter.";
            return Err(ApiError::field("orders", message));
        }
    };
    let code = word("reason_code", body.reason_code.flatten().as_deref())?;
    let reason = body.reason.flatten().unwrap_or_default();
    let request = CorrectionRequest::of(draft.decision()?, code, &reason)?;
    let run = async |conn: &mut NetworkConn, author: &Author| {
        conversions::correct_all(conn, author, &selection, &request, body.dry_run, clock::now()).await
    };
    bulk(&access, &api, body.dry_run, run).await
}

/// Conversions by ID, each in the version that the caller saw.
fn seen(
    ids: &[String],
    versions: Option<Vec<Integer>>,
) -> Result<Vec<(ConversionId, Option<i32>)>, ApiError> {
    let ids: Vec<ConversionId> = ids
        .iter()
        .map(|id| id.parse())
        .collect::<Result<_, _>>()
        .map_err(|_| ApiError::field("conversions", "Send IDs of conversions."))?;
    let Some(versions) = versions else {
        return Ok(ids.into_iter().map(|id| (id, None)).collect());
    };
    let versions: Vec<i32> = versions
        .into_iter()
        .map(|Integer(version)| i32::try_from(version))
        .collect::<Result<_, _>>()
        .map_err(|_| ApiError::field("versions", "Send the versions of the conversions."))?;
    if versions.len() != ids.len() {
        return Err(ApiError::field("versions", "Send one version per conversion."));
    }
    Ok(ids.into_iter().zip(versions.into_iter().map(Some)).collect())
}

/// Correct the conversions of a file
///
/// Columns: `order_id` or `id`, `action` (`approve`, `reject`, `hold`, `release` or `adjust`), `amount`, `commission`,
/// `revenue`, `reason_code`, `reason`. At most 1000 rows.
#[utoipa::path(
    post, path = "/conversions/corrections/import", tag = "Conversions",
    params(BulkParams),
    request_body(content = String, content_type = "text/csv", example = "order_id,action,reason_code\nA-1001,approve,\nA-1002,reject,returned\n"),
    responses((status = 200, body = BulkCorrection))
)]
pub(crate) async fn import(
    access: Allowed<needs::DecideConversions>,
    api: Data<Api>,
    Params(params): Params<BulkParams>,
    Csv(text): Csv,
) -> Result<HttpResponse, ApiError> {
    let is_dry = params.dry_run.unwrap_or_default();
    let run = async |conn: &mut NetworkConn, author: &Author| {
        let seen = if is_dry { Seen::Preview } else { Seen::Nothing };
        conversions::correct_file(conn, author, &text, seen, clock::now()).await
    };
    bulk(&access, &api, is_dry, run).await
}

/// Options of an import of corrections.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct BulkParams {
    /// True to see the effect only.
    #[param(value_type = bool, required = false)]
    dry_run: Option<bool>,
}

/// Undo corrections
///
/// All that were made together. `batch` is in the response to the corrections.
#[utoipa::path(
    post, path = "/conversions/corrections/{batch}/undo", tag = "Conversions",
    params(("batch" = inline(schemas::StatementId), Path)),
    responses((status = 200, body = BulkCorrection))
)]
pub(crate) async fn undo_many(
    access: Allowed<needs::DecideConversions>,
    Id(batch): Id<Uuid>,
    api: Data<Api>,
) -> Result<HttpResponse, ApiError> {
    let run = async |conn: &mut NetworkConn, author: &Author| {
        conversions::undo_all(conn, author, batch, clock::now()).await
    };
    bulk(&access, &api, false, run).await
}

async fn bulk(
    access: &Allowed<needs::DecideConversions>,
    api: &Api,
    is_dry: bool,
    run: impl AsyncFnOnce(&mut NetworkConn, &Author) -> Result<BulkReport, ChangeError>,
) -> Result<HttpResponse, ApiError> {
    let mut conn = access.network(&api.db).await?;
    let author = access.author();
    let report = run(&mut conn, &author).await?;
    if !is_dry {
        conn.commit().await?;
    }
    Ok(HttpResponse::Ok().json(BulkCorrection::new(report, is_dry)))
}

async fn correct(
    access: &Allowed<needs::DecideConversions>,
    api: &Api,
    id: ConversionId,
    request: impl AsyncFnOnce(&mut NetworkConn) -> Result<CorrectionRequest, ApiError>,
) -> Result<HttpResponse, ApiError> {
    let mut conn = access.network(&api.db).await?;
    let author = access.author();
    let request = request(&mut conn).await?;
    let corrected = conversions::propose(&mut conn, &author, id, &request, clock::now()).await?;
    let response = match corrected {
        Corrected::Done(conversion) => {
            let shown = Conversion::all(&mut conn, api, vec![*conversion], access).await?;
            HttpResponse::Ok().json(shown.first())
        }
        Corrected::Waiting(waiting) => HttpResponse::Accepted().json(WaitingCorrection::from(*waiting)),
    };
    conn.commit().await?;
    Ok(response)
}
