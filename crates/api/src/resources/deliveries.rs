//! `/deliveries`: the log of deliveries with their attempts.

use actix_web::web::{Data, Json};
use chrono::{DateTime, Utc};
use delivery::DeliveryEvent;
use delivery::deliveries::{self, DeliveryFilter, DeliveryState, Listed, StoredAttempt, StoredDelivery};
use schema::{ConversionId, DeliveryId, DestinationId, clock};
use serde::{Deserialize, Serialize};
use tenancy::needs;
use utoipa::{IntoParams, ToSchema};

use super::Answer;
use crate::auth::Allowed;
use crate::error::ApiError;
use crate::extract::{Id, Params};
use crate::page::{Page, Window, items, word};
use crate::schemas;
use crate::state::Api;

/// An event for a destination.
#[derive(Serialize, ToSchema)]
pub(crate) struct Delivery {
    /// ID, the same in every attempt: the header `webhook-id`.
    #[schema(value_type = schemas::DeliveryId)]
    id: DeliveryId,
    #[schema(value_type = schemas::DestinationId)]
    destination: DestinationId,
    /// Conversion; null for an event of the network.
    #[schema(required, value_type = Option<schemas::ConversionId>)]
    conversion: Option<ConversionId>,
    /// Version of the conversion after the event; 0 for an event of the network.
    version: i32,
    #[schema(value_type = schemas::DeliveryEvent)]
    event: DeliveryEvent,
    #[schema(value_type = schemas::DeliveryState)]
    state: DeliveryState,
    queued_at: DateTime<Utc>,
    /// Number of attempts.
    attempts: i32,
    /// Time of the next attempt; null unless it waits.
    #[schema(required)]
    next_at: Option<DateTime<Utc>>,
    /// Time at which it was delivered or given up; null while it waits.
    #[schema(required)]
    finished_at: Option<DateTime<Utc>>,
    /// HTTP status of the last answer; null without one.
    #[schema(required)]
    code: Option<i32>,
    /// Reason why the last attempt failed; null if it did not.
    #[schema(required, value_type = Option<schemas::Text>)]
    problem: Option<String>,
}

items!(Delivery);

impl From<StoredDelivery> for Delivery {
    fn from(stored: StoredDelivery) -> Self {
        Self {
            next_at: (stored.state == DeliveryState::Waiting).then_some(stored.next_at),
            id: stored.id,
            destination: stored.destination_id,
            conversion: stored.conversion_id,
            version: stored.version,
            event: stored.event,
            state: stored.state,
            queued_at: stored.queued_at,
            attempts: stored.attempts,
            finished_at: stored.finished_at,
            code: stored.code,
            problem: stored.problem,
        }
    }
}

impl From<Listed> for Delivery {
    fn from(listed: Listed) -> Self {
        listed.delivery.into()
    }
}

/// A delivery with its attempts.
#[derive(Serialize, ToSchema)]
pub(crate) struct DeliveryWithAttempts {
    #[serde(flatten)]
    delivery: Delivery,
    /// Attempts, latest first, at most 100.
    log: Vec<Attempt>,
}

/// One call that tried to deliver.
#[derive(Serialize, ToSchema)]
pub(crate) struct Attempt {
    /// Number, from 1.
    number: i32,
    /// Time at which it ended.
    at: DateTime<Utc>,
    #[schema(value_type = schemas::CallMethod)]
    method: String,
    /// URL that was called; `YOUR_TOKEN` replaces secrets.
    #[schema(value_type = schemas::Text)]
    url: String,
    /// HTTP status of the answer; null without one.
    #[schema(required)]
    code: Option<i32>,
    /// Reason why it failed; null if it did not.
    #[schema(required, value_type = Option<schemas::Text>)]
    problem: Option<String>,
    duration_ms: i32,
    /// First 2 KiB of the answer.
    #[schema(value_type = schemas::Text)]
    answer: String,
}

impl From<StoredAttempt> for Attempt {
    fn from(stored: StoredAttempt) -> Self {
        Self {
            number: stored.number,
            at: stored.at,
            method: stored.method,
            url: stored.url,
            code: stored.code,
            problem: stored.problem,
            duration_ms: stored.duration_ms,
            answer: stored.answer,
        }
    }
}

/// Parameters of the list.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct DeliveryParams {
    /// Only deliveries to this destination.
    #[param(value_type = schemas::DestinationId, inline, required = false)]
    destination: Option<String>,
    /// Only deliveries in this state.
    #[param(value_type = schemas::DeliveryState, inline, required = false)]
    state: Option<String>,
    /// Only deliveries of this event.
    #[param(value_type = schemas::DeliveryEvent, inline, required = false)]
    event: Option<String>,
    /// Only deliveries of this conversion.
    #[param(value_type = schemas::ConversionId, inline, required = false)]
    conversion: Option<String>,
    /// Maximum number of items of the page; 50 by default.
    #[param(value_type = i64, minimum = 1, maximum = 200, required = false)]
    limit: Option<i64>,
    /// Cursor: `next` of the previous page.
    #[param(value_type = schemas::DeliveryId, inline, required = false)]
    after: Option<String>,
}

/// List deliveries
///
/// Newest first. Affiliates see only those to their trackers.
#[utoipa::path(get, path = "/deliveries", tag = "Deliveries", params(DeliveryParams), responses((status = 200, body = Page<Delivery>)))]
pub(crate) async fn list(
    access: Allowed<needs::SeeDeliveries>,
    api: Data<Api>,
    Params(params): Params<DeliveryParams>,
) -> Answer<Page<Delivery>> {
    let window = Window::<DeliveryId>::of(params.limit, params.after.as_deref())?;
    let filter = DeliveryFilter {
        scope: access.scope(),
        destination_id: word("destination", params.destination.as_deref())?,
        state: word("state", params.state.as_deref())?,
        event: word("event", params.event.as_deref())?,
        conversion_id: word("conversion", params.conversion.as_deref())?,
        before: window.after,
    };
    let mut conn = access.network(&api.db).await?;
    let rows = deliveries::list(&mut conn, &filter, window.rows()).await?;
    conn.commit().await?;
    Ok(Json(window.page(rows)))
}

/// Get a delivery
#[utoipa::path(
    get, path = "/deliveries/{id}", tag = "Deliveries",
    params(("id" = inline(schemas::DeliveryId), Path)),
    responses((status = 200, body = DeliveryWithAttempts))
)]
pub(crate) async fn show(
    access: Allowed<needs::SeeDeliveries>,
    Id(id): Id<DeliveryId>,
    api: Data<Api>,
) -> Answer<DeliveryWithAttempts> {
    let mut conn = access.network(&api.db).await?;
    let found = deliveries::find(&mut conn, access.scope(), id).await?;
    let (delivery, _) = found.ok_or(ApiError::NotFound)?;
    let log = deliveries::attempts(&mut conn, id).await?;
    conn.commit().await?;
    Ok(Json(DeliveryWithAttempts {
        delivery: delivery.into(),
        log: log.into_iter().map(Attempt::from).collect(),
    }))
}

/// Send a delivery again
///
/// Under its former ID, whatever its state.
#[utoipa::path(
    post, path = "/deliveries/{id}/resend", tag = "Deliveries",
    params(("id" = inline(schemas::DeliveryId), Path)),
    responses((status = 200, body = Delivery))
)]
pub(crate) async fn resend(
    access: Allowed<needs::ManageDeliveries>,
    Id(id): Id<DeliveryId>,
    api: Data<Api>,
) -> Answer<Delivery> {
    let scope = access.scope();
    let mut conn = access.network(&api.db).await?;
    deliveries::resend(&mut conn, &access.author(), scope, id, clock::now()).await?;
    let found = deliveries::find(&mut conn, scope, id).await?;
    conn.commit().await?;
    let (delivery, _) = found.ok_or(ApiError::NotFound)?;
    Ok(Json(delivery.into()))
}
