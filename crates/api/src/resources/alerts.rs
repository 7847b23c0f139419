//! `/alerts`: notices of failing integrations.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::web::{Data, Json};
use chrono::{DateTime, Utc};
use monitoring::alerts::{self, Alert as Stored, AlertFilter};
use schema::{AdvertiserId, AlertId, clock};
use serde::{Deserialize, Serialize};
use tenancy::needs;
use utoipa::{IntoParams, ToSchema};

use super::Answer;
use crate::auth::Allowed;
use crate::error::ApiError;
use crate::extract::{Id, Params};
use crate::idempotency::{Created, IdempotencyKey};
use crate::page::{Page, Window, items};
use crate::schemas;
use crate::state::Api;

/// A notice of a failing integration.
#[derive(Serialize, ToSchema)]
pub(crate) struct Alert {
    #[schema(value_type = schemas::AlertId)]
    id: AlertId,
    #[schema(value_type = schemas::AdvertiserId)]
    advertiser: AdvertiserId,
    #[schema(value_type = schemas::AlertKind)]
    kind: &'static str,
    /// Time of the last postback, or of the first rejected postback that was counted.
    since: DateTime<Utc>,
    /// Time when the alert was opened.
    opened_at: DateTime<Utc>,
    /// Time when the alert was closed; null while it is open.
    #[schema(required)]
    closed_at: Option<DateTime<Utc>>,
    /// Reason for the alert.
    #[schema(value_type = schemas::Text)]
    message: String,
    /// Member of the network who acknowledged the alert; null if none did.
    #[schema(required, value_type = Option<schemas::Text>)]
    seen_by: Option<String>,
}

items!(Alert);

impl From<(Stored, String)> for Alert {
    fn from((alert, _): (Stored, String)) -> Self {
        Self {
            message: alert.sentence(),
            id: alert.id,
            advertiser: alert.advertiser_id,
            kind: alert.kind.as_str(),
            since: alert.since,
            opened_at: alert.opened_at,
            closed_at: alert.closed_at,
            seen_by: alert.seen_by,
        }
    }
}

impl Created for Alert {
    const STATUS: StatusCode = StatusCode::OK;
}

/// Filters of the list.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct AlertParams {
    /// Only open alerts.
    #[param(required = false)]
    open: Option<bool>,
    /// Maximum number of items of the page; 50 by default.
    #[param(value_type = i64, minimum = 1, maximum = 200, required = false)]
    limit: Option<i64>,
    /// Cursor: `next` of the previous page.
    #[param(value_type = schemas::AlertId, inline, required = false)]
    after: Option<String>,
}

/// List alerts
///
/// Newest first. Advertisers see only their alerts.
#[utoipa::path(get, path = "/alerts", tag = "Postbacks", params(AlertParams), responses((status = 200, body = Page<Alert>)))]
pub(crate) async fn list(
    access: Allowed<needs::SeePostbacks>,
    api: Data<Api>,
    Params(params): Params<AlertParams>,
) -> Answer<Page<Alert>> {
    let window = Window::<AlertId>::of(params.limit, params.after.as_deref())?;
    let filter = AlertFilter {
        scope: access.scope(),
        open: params.open.unwrap_or_default(),
        before: window.after,
    };
    let mut conn = access.network(&api.db).await?;
    let rows = alerts::list(&mut conn, &filter, window.rows()).await?;
    conn.commit().await?;
    Ok(Json(window.page(rows)))
}

/// Acknowledge an alert
///
/// Hides the alert from the top of the pages. It closes by itself when the problem is over.
#[utoipa::path(
    post, path = "/alerts/{id}/seen", tag = "Postbacks",
    params(("id" = inline(schemas::AlertId), Path), IdempotencyKey),
    responses((status = 200, body = Alert))
)]
pub(crate) async fn acknowledge(
    access: Allowed<needs::Configure>,
    Id(id): Id<AlertId>,
    api: Data<Api>,
    key: IdempotencyKey,
) -> Result<HttpResponse, ApiError> {
    let outcome = key.execute(&api, &access, b"", async |conn| {
        alerts::acknowledge(conn, &access.author(), id, clock::now()).await?;
        let alert = alerts::find(conn, id).await?;
        Ok(Alert::from(alert.ok_or(ApiError::NotFound)?))
    });
    Ok(outcome.await?.response())
}
