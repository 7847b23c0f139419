//! `/postbacks`: every call of an advertiser's server, with its verdict and the steps that led to it.

use actix_web::web::{Data, Json};
use chrono::{DateTime, Utc};
use postbacks::trace::CheckResult;
use postbacks::{PostbackFilter, PostbackSummary, StoredPostback};
use schema::{ConversionId, PostbackId};
use serde::{Deserialize, Serialize};
use tenancy::{Actor, needs};
use utoipa::{IntoParams, ToSchema};

use super::Answer;
use crate::door::Allowed;
use crate::error::ApiError;
use crate::extract::{Id, Params};
use crate::page::{Page, Window, items, text, word};
use crate::{Api, schemas};

/// A postback with its verdict.
#[derive(Serialize, ToSchema)]
pub(crate) struct Postback {
    /// The receipt.
    #[schema(value_type = schemas::PostbackId)]
    id: PostbackId,
    received_at: DateTime<Utc>,
    #[schema(value_type = schemas::PostbackStatus)]
    status: &'static str,
    /// The reason code; `/docs/reasons/{code}` of the dashboard explains it.
    #[schema(value_type = schemas::Text)]
    reason: String,
    /// What happened, in a sentence.
    #[schema(value_type = schemas::Text)]
    message: String,
    /// Status of the HTTP answer.
    http_status: i32,
    /// Microseconds from the last byte of the call to the verdict.
    took_us: i32,
    #[schema(required, value_type = Option<schemas::Text>)]
    order_id: Option<String>,
    /// Key of the system whose spelling it is in.
    #[schema(value_type = schemas::Text)]
    dialect: String,
    /// Whether it was of a test.
    is_test: bool,
}

items!(Postback);

impl From<(PostbackSummary, Option<String>)> for Postback {
    fn from((it, _): (PostbackSummary, Option<String>)) -> Self {
        Self {
            id: it.id,
            received_at: it.received_at,
            status: it.status.as_str(),
            reason: it.reason,
            message: it.message,
            http_status: it.http_status,
            took_us: it.took_us,
            order_id: it.order_id,
            dialect: it.dialect,
            is_test: it.is_test,
        }
    }
}

/// A postback whole.
#[derive(Serialize, ToSchema)]
pub(crate) struct ExplainedPostback {
    #[serde(flatten)]
    postback: Postback,
    /// What to do about it.
    #[schema(required, value_type = Option<schemas::Text>)]
    hint: Option<String>,
    /// The conversion it made or is about.
    #[schema(required, value_type = Option<schemas::ConversionId>)]
    conversion: Option<ConversionId>,
    /// Method and request target, secrets blanked.
    #[schema(value_type = schemas::Text)]
    request: String,
    /// The body, secrets blanked.
    #[schema(value_type = schemas::Text)]
    body: String,
    /// What was looked at, in order; without what affiliates earn for those who may not see it.
    trace: Vec<Step>,
}

/// One thing that was looked at on the way to the verdict.
#[derive(Serialize, ToSchema)]
pub(crate) struct Step {
    #[schema(value_type = schemas::Text)]
    check: String,
    #[schema(value_type = schemas::Found)]
    found: &'static str,
    #[schema(value_type = schemas::Text)]
    words: String,
}

impl ExplainedPostback {
    fn new(it: StoredPostback, actor: &Actor) -> Self {
        let steps = it.trace();
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
            hint: it.hint,
            conversion: it.conversion_id,
            request: format!("{} {}", it.method, it.target),
            body: String::from_utf8_lossy(&it.body).into_owned(),
            postback: Postback {
                id: it.id,
                received_at: it.received_at,
                status: it.status.as_str(),
                reason: it.reason,
                message: it.message,
                http_status: it.http_status,
                took_us: it.took_us,
                order_id: it.order_id,
                dialect: it.dialect,
                is_test: it.is_test,
            },
        }
    }
}

/// Which postbacks.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct PostbackParams {
    /// Only of this status.
    #[param(value_type = schemas::PostbackStatus, inline, required = false)]
    status: Option<String>,
    /// Only with this reason.
    #[param(value_type = schemas::Filter, inline, required = false)]
    reason: Option<String>,
    /// Only those that were sent with this order id and not accepted: the order of one that was is a conversion.
    #[param(value_type = schemas::Filter, inline, required = false)]
    order_id: Option<String>,
    /// Items of the page: 50 unless said otherwise.
    #[param(value_type = i64, minimum = 1, maximum = 200, required = false)]
    limit: Option<i64>,
    /// What the page before said as `next`.
    #[param(value_type = schemas::PostbackId, inline, required = false)]
    after: Option<String>,
}

/// List postbacks
///
/// Newest first. An advertiser sees its own.
#[utoipa::path(get, path = "/postbacks", tag = "Postbacks", params(PostbackParams), responses((status = 200, body = Page<Postback>)))]
pub(crate) async fn list(
    access: Allowed<needs::SeePostbacks>,
    api: Data<Api>,
    Params(params): Params<PostbackParams>,
) -> Answer<Page<Postback>> {
    let window = Window::<PostbackId>::of(params.limit, params.after.as_deref())?;
    let filter = PostbackFilter {
        scope: access.role.scope(),
        status: word("status", params.status.as_deref())?,
        reason: text("reason", params.reason.as_deref())?,
        order_id: text("order_id", params.order_id.as_deref())?,
        before: window.after,
        ..PostbackFilter::default()
    };
    let mut conn = access.network(&api.db).await?;
    let rows = postbacks::list(&mut conn, &filter, window.ask()).await?;
    conn.commit().await?;
    Ok(Json(window.page(rows)))
}

/// A postback, explained
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
    let found = postbacks::find(&mut conn, access.role.scope(), id).await?;
    conn.commit().await?;
    let found = found.ok_or(ApiError::NotFound)?;
    Ok(Json(ExplainedPostback::new(found, &access)))
}
