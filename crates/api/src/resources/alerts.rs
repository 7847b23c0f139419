//! `/alerts`: integrations that seem to have failed.

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
use crate::door::Allowed;
use crate::error::ApiError;
use crate::extract::{Id, Params};
use crate::once::{Created, Once};
use crate::openapi::IdempotencyKey;
use crate::page::{Page, Window, items};
use crate::{Api, schemas};

/// An integration that seems to have failed.
#[derive(Serialize, ToSchema)]
pub(crate) struct Alert {
    #[schema(value_type = schemas::AlertId)]
    id: AlertId,
    #[schema(value_type = schemas::AdvertiserId)]
    advertiser: AdvertiserId,
    #[schema(value_type = schemas::AlertKind)]
    kind: &'static str,
    /// When the last postback came, or the first of the rejected ones that are counted.
    since: DateTime<Utc>,
    /// When it was noticed.
    opened_at: DateTime<Utc>,
    /// When it was over; null while it is not.
    #[schema(required)]
    closed_at: Option<DateTime<Utc>>,
    /// What made us think so.
    #[schema(value_type = schemas::Text)]
    message: String,
    /// Who of the network knows.
    #[schema(required, value_type = Option<schemas::Text>)]
    seen_by: Option<String>,
}

items!(Alert);

impl From<(Stored, String)> for Alert {
    fn from((it, _): (Stored, String)) -> Self {
        Self {
            message: it.sentence(),
            id: it.id,
            advertiser: it.advertiser_id,
            kind: it.kind.as_str(),
            since: it.since,
            opened_at: it.opened_at,
            closed_at: it.closed_at,
            seen_by: it.seen_by,
        }
    }
}

impl Created for Alert {
    const STATUS: StatusCode = StatusCode::OK;
}

/// Which alerts.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct AlertParams {
    /// Only those that are not over.
    #[param(required = false)]
    open: Option<bool>,
    /// Items of the page: 50 unless said otherwise.
    #[param(value_type = i64, minimum = 1, maximum = 200, required = false)]
    limit: Option<i64>,
    /// What the page before said as `next`.
    #[param(value_type = schemas::AlertId, inline, required = false)]
    after: Option<String>,
}

/// List alerts
///
/// Newest first. An advertiser sees its own.
#[utoipa::path(get, path = "/alerts", tag = "Postbacks", params(AlertParams), responses((status = 200, body = Page<Alert>)))]
pub(crate) async fn list(
    access: Allowed<needs::SeePostbacks>,
    api: Data<Api>,
    Params(params): Params<AlertParams>,
) -> Answer<Page<Alert>> {
    let window = Window::<AlertId>::of(params.limit, params.after.as_deref())?;
    let filter = AlertFilter {
        scope: access.role.scope(),
        open: params.open.unwrap_or_default(),
        before: window.after,
    };
    let mut conn = access.network(&api.db).await?;
    let rows = alerts::list(&mut conn, &filter, window.ask()).await?;
    conn.commit().await?;
    Ok(Json(window.page(rows)))
}

/// Say that an alert was seen
///
/// It is no longer shown at the top of the pages; it stays open until it is over.
#[utoipa::path(
    post, path = "/alerts/{id}/seen", tag = "Postbacks",
    params(("id" = inline(schemas::AlertId), Path), IdempotencyKey),
    responses((status = 200, body = Alert))
)]
pub(crate) async fn see(
    access: Allowed<needs::Configure>,
    Id(id): Id<AlertId>,
    api: Data<Api>,
    once: Once,
) -> Result<HttpResponse, ApiError> {
    let made = once.run(&api, &access, b"", async |conn| {
        alerts::acknowledge(conn, &access.author(), id, clock::now()).await?;
        let seen = alerts::find(conn, id).await?;
        Ok(Alert::from(seen.ok_or(ApiError::NotFound)?))
    });
    Ok(made.await?.answer())
}
