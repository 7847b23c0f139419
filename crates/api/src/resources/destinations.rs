//! `/destinations`: trackers of affiliates and webhooks of the network, to which events of conversions are delivered.

use std::collections::BTreeMap;

use actix_web::HttpResponse;
use actix_web::web::{Data, Json};
use chrono::{DateTime, Utc};
use delivery::deliveries;
use delivery::destinations::{
    self, Destination as Stored, DestinationKind, DestinationSettings, DestinationState, Listed, Owner,
    PausedBecause,
};
use schema::{AffiliateId, DestinationId, NetworkConn, clock};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tenancy::{ChangeError, Draft, Permission, needs, networks};
use utoipa::{IntoParams, ToSchema};

use super::{Answer, no_content};
use crate::auth::Allowed;
use crate::error::ApiError;
use crate::extract::{Body, Id, Params};
use crate::fields::resource;
use crate::idempotency::{Created, IdempotencyKey};
use crate::page::{Page, Window, items, unknown_after, word};
use crate::schemas;
use crate::state::Api;

resource! {
    /// A destination of deliveries.
    Destination;
    /// A destination to create.
    #[schema(example = json!({ "kind": "postback", "affiliate": "aff_2y6c3r8", "name": "Keitaro", "url": "https://tracker.example/postback?subid={sub1}&status={status}&payout={commission}", "events": ["created", "approved", "rejected"], "value_maps": { "status approved": "sale" } }))]
    NewDestination;
    change
    /// Fields to update. Absent fields keep their values.
    DestinationPatch;
    head {
        id: DestinationId as schemas::DestinationId,
        /// `active` or `paused`. Events of a paused destination are queued.
        state: DestinationState as schemas::DestinationState,
        /// Reason for the pause: `user`, `gone` (the receiver answered 410) or `failing` (for days); null if active.
        paused_because: Option<PausedBecause> as Option<schemas::PausedBecause>,
        /// Number of failures in a row.
        failures: i32 as i32,
        /// Time of the last success; null before the first.
        delivered_at: Option<DateTime<Utc>> as Option<DateTime<Utc>>,
        /// Time of the last failure; null before the first.
        failed_at: Option<DateTime<Utc>> as Option<DateTime<Utc>>,
        created_at: DateTime<Utc> as DateTime<Utc>,
    }
    new {
        /// `postback`: tracker of an affiliate. `webhook`: system of the network.
        kind: DestinationKind as schemas::DestinationKind,
        /// Affiliate whose conversions are delivered; null for a webhook. Affiliates send null for themselves.
        affiliate: Option<AffiliateId> as Option<schemas::AffiliateId>,
    }
    must {
        /// Name of the destination.
        name: String as schemas::Name,
        /// URL: of a tracker with macros, or of a webhook. In responses, `YOUR_TOKEN` replaces the value of a parameter
        /// with the name of a secret; sent back, it keeps that value.
        url: String as schemas::TemplateUrl,
        /// Events that are delivered.
        events: Vec<String> as Vec<schemas::DeliveryEvent>,
    }
    may {
        /// `GET`, the default, or `POST`: then the parameters are sent in the body. Webhooks are always sent by POST.
        method: String as schemas::CallMethod,
        /// Body of the calls: `standard`, the default, for the parameters of a tracker or the event as JSON. Of a webhook,
        /// `slack` or `telegram` for a message; in responses, `YOUR_TOKEN` replaces the secret in the path of their URL. Of a
        /// postback, `meta`, `tiktok`, `openai`, `microsoft` or `google` for a conversion of that platform, whose values are the parameters of the URL.
        format: String as schemas::BodyFormat,
        /// Campaign whose conversions are delivered; null for all.
        campaign: Option<String> as Option<schemas::CampaignId>,
        /// Goal whose conversions are delivered; null for all.
        goal: Option<String> as Option<schemas::GoalId>,
        /// Words of the receiver, by macro and value: `{"status approved": "sale"}`.
        value_maps: BTreeMap<String, String> as BTreeMap<String, schemas::Text>,
        /// True if order IDs are sent to a tracker as they are. Otherwise a hash is sent, the default.
        sends_order_ids: bool as bool,
    }
}

items!(Destination);

impl From<Stored> for Destination {
    fn from(stored: Stored) -> Self {
        let draft = stored.settings().draft();
        Self::from_draft(
            stored.id,
            stored.state,
            stored.paused_because,
            stored.failures,
            stored.delivered_at,
            stored.failed_at,
            stored.created_at,
            stored.kind,
            stored.affiliate_id,
            &draft,
        )
    }
}

impl From<Listed> for Destination {
    fn from(listed: Listed) -> Self {
        listed.destination.into()
    }
}

/// A new destination.
#[derive(Serialize, ToSchema)]
pub(crate) struct FreshDestination {
    destination: Destination,
    /// Signing secret of a webhook. Shown only once: null in a replayed response, and for a postback.
    #[schema(required, value_type = Option<schemas::Text>)]
    secret: Option<String>,
}

impl Created for FreshDestination {
    fn stored(&self) -> Value {
        json!({ "destination": self.destination, "secret": null })
    }
}

/// A new signing secret.
#[derive(Serialize, ToSchema)]
pub(crate) struct FreshSigningSecret {
    /// Secret, shown only once.
    #[schema(value_type = schemas::Text)]
    secret: String,
    /// Time until which the former secret signs too.
    former_until: DateTime<Utc>,
}

/// Result of a test delivery.
#[derive(Serialize, ToSchema)]
pub(crate) struct TestResult {
    /// True if the answer is 2xx.
    is_delivered: bool,
    #[schema(value_type = schemas::CallMethod)]
    method: delivery::CallMethod,
    /// URL that was called; `YOUR_TOKEN` replaces secrets.
    #[schema(value_type = schemas::Text)]
    url: String,
    /// HTTP status of the answer; null without one.
    #[schema(required)]
    code: Option<u16>,
    /// Reason of a failure; null if it did not fail.
    #[schema(required, value_type = Option<schemas::Text>)]
    problem: Option<String>,
    duration_ms: u64,
    /// First 2 KiB of the answer.
    #[schema(value_type = schemas::Text)]
    answer: String,
}

/// Time from which deliveries are sent again.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ResendFailed {
    /// Deliveries that were queued since this time and given up.
    since: DateTime<Utc>,
}

/// Period whose conversions are sent.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Backfill {
    /// Begin of the period, by the time of the conversion.
    from: DateTime<Utc>,
    /// End of the period, not included.
    to: DateTime<Utc>,
}

/// Number of queued deliveries.
#[derive(Serialize, ToSchema)]
pub(crate) struct Queued {
    queued: usize,
}

/// Parameters of the list.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct DestinationParams {
    /// Only destinations of this kind.
    #[param(value_type = schemas::DestinationKind, inline, required = false)]
    kind: Option<String>,
    /// Maximum number of items of the page; 50 by default.
    #[param(value_type = i64, minimum = 1, maximum = 200, required = false)]
    limit: Option<i64>,
    /// Cursor: `next` of the previous page.
    #[param(value_type = schemas::DestinationId, inline, required = false)]
    after: Option<String>,
}

/// List destinations
///
/// Affiliates see only theirs.
#[utoipa::path(get, path = "/destinations", tag = "Deliveries", params(DestinationParams), responses((status = 200, body = Page<Destination>)))]
pub(crate) async fn list(
    access: Allowed<needs::SeeDeliveries>,
    api: Data<Api>,
    Params(params): Params<DestinationParams>,
) -> Answer<Page<Destination>> {
    let window = Window::<DestinationId>::of(params.limit, params.after.as_deref())?;
    let kind = word("kind", params.kind.as_deref())?;
    let scope = access.scope();
    let mut conn = access.network(&api.db).await?;
    if let Some(id) = window.after {
        let last = destinations::find(&mut conn, scope, id).await?;
        last.ok_or_else(unknown_after)?;
    }
    let rows = destinations::list(&mut conn, scope, kind, window.after, window.rows()).await?;
    conn.commit().await?;
    Ok(Json(window.page(rows)))
}

/// Create a destination
///
/// Events from now on are delivered. Webhooks are created by owners and admins of the network. A network has at most 20
/// webhooks, an affiliate 20 trackers.
#[utoipa::path(post, path = "/destinations", tag = "Deliveries", params(IdempotencyKey), request_body = NewDestination, responses((status = 201, body = FreshDestination)))]
pub(crate) async fn create(
    access: Allowed<needs::ManageDeliveries>,
    api: Data<Api>,
    key: IdempotencyKey,
    body: Body<NewDestination>,
) -> Result<HttpResponse, ApiError> {
    let outcome = key.execute(&api, &access, &body.bytes, async |conn| {
        let kind = body.value.kind;
        if kind == DestinationKind::Webhook && !access.may(Permission::ManageNetwork) {
            return Err(ApiError::field(
                "kind",
                "Webhooks are created by an owner or admin of the network.",
            ));
        }
        let scope = access.scope();
        let owner = match (kind, body.value.affiliate, scope.affiliate) {
            (DestinationKind::Webhook, None, _) => Owner::Network,
            (DestinationKind::Webhook, Some(_), _) => {
                return Err(ApiError::field(
                    "affiliate",
                    "A webhook has no affiliate: send null.",
                ));
            }
            (DestinationKind::Postback, None, Some(own)) => Owner::Affiliate(own),
            (DestinationKind::Postback, None, None) => {
                return Err(ApiError::field(
                    "affiliate",
                    "Send the affiliate whose conversions are delivered.",
                ));
            }
            (DestinationKind::Postback, Some(id), _) => {
                if !scope.includes_affiliate(conn, id).await? {
                    return Err(ApiError::field("affiliate", "No affiliate has this ID."));
                }
                Owner::Affiliate(id)
            }
        };
        let standard = [("method", "GET".to_owned()), ("format", "standard".to_owned())];
        let mut draft = body.value.over(Draft::with(standard));
        let settings = DestinationSettings::check(&mut draft, kind, api.deliveries.guard());
        let settings = draft.accepted(settings)?;
        let author = access.author();
        let created = destinations::create(conn, &author, &api.secret, owner, &settings, clock::now());
        let (destination, signing) = created.await?;
        Ok(FreshDestination {
            destination: destination.into(),
            secret: signing.map(|signing| signing.to_text()),
        })
    });
    Ok(outcome.await?.response())
}

/// Destination in scope, or 404.
async fn visible(
    conn: &mut NetworkConn,
    scope: tenancy::Scope,
    id: DestinationId,
) -> Result<Stored, ApiError> {
    let found = destinations::find(conn, scope, id).await?;
    found.ok_or(ApiError::NotFound)
}

/// Get a destination
#[utoipa::path(
    get, path = "/destinations/{id}", tag = "Deliveries",
    params(("id" = inline(schemas::DestinationId), Path)),
    responses((status = 200, body = Destination))
)]
pub(crate) async fn show(
    access: Allowed<needs::SeeDeliveries>,
    Id(id): Id<DestinationId>,
    api: Data<Api>,
) -> Answer<Destination> {
    let mut conn = access.network(&api.db).await?;
    let found = visible(&mut conn, access.scope(), id).await?;
    conn.commit().await?;
    Ok(Json(found.into()))
}

/// Update a destination
#[utoipa::path(
    patch, path = "/destinations/{id}", tag = "Deliveries",
    params(("id" = inline(schemas::DestinationId), Path)),
    request_body = DestinationPatch,
    responses((status = 200, body = Destination))
)]
pub(crate) async fn update(
    access: Allowed<needs::ManageDeliveries>,
    Id(id): Id<DestinationId>,
    api: Data<Api>,
    body: Body<DestinationPatch>,
) -> Answer<Destination> {
    let scope = access.scope();
    let mut conn = access.network(&api.db).await?;
    let old = visible(&mut conn, scope, id).await?;
    let mut draft = body.value.over(old.settings().draft());
    let settings = DestinationSettings::check(&mut draft, old.kind, api.deliveries.guard());
    let settings = draft.accepted(settings)?;
    let (author, now) = (access.author(), clock::now());
    let new = destinations::update(&mut conn, &author, &api.secret, scope, id, &settings, now).await?;
    conn.commit().await?;
    Ok(Json(new.into()))
}

/// Delete a destination
///
/// Its deliveries are deleted with it.
#[utoipa::path(
    delete, path = "/destinations/{id}", tag = "Deliveries",
    params(("id" = inline(schemas::DestinationId), Path)),
    responses((status = 204))
)]
pub(crate) async fn remove(
    access: Allowed<needs::ManageDeliveries>,
    Id(id): Id<DestinationId>,
    api: Data<Api>,
) -> Result<HttpResponse, ApiError> {
    let mut conn = access.network(&api.db).await?;
    if !destinations::remove(&mut conn, &access.author(), access.scope(), id, clock::now()).await? {
        return Err(ApiError::NotFound);
    }
    conn.commit().await?;
    no_content()
}

async fn set_state(
    access: Allowed<needs::ManageDeliveries>,
    api: Data<Api>,
    id: DestinationId,
    state: DestinationState,
) -> Answer<Destination> {
    let scope = access.scope();
    let mut conn = access.network(&api.db).await?;
    destinations::set_state(&mut conn, &access.author(), scope, id, state, clock::now()).await?;
    let new = visible(&mut conn, scope, id).await?;
    conn.commit().await?;
    Ok(Json(new.into()))
}

/// Pause a destination
///
/// Its events are queued until it is resumed.
#[utoipa::path(
    post, path = "/destinations/{id}/pause", tag = "Deliveries",
    params(("id" = inline(schemas::DestinationId), Path)),
    responses((status = 200, body = Destination))
)]
pub(crate) async fn pause(
    access: Allowed<needs::ManageDeliveries>,
    Id(id): Id<DestinationId>,
    api: Data<Api>,
) -> Answer<Destination> {
    set_state(access, api, id, DestinationState::Paused).await
}

/// Resume a destination
///
/// Sends the events that waited.
#[utoipa::path(
    post, path = "/destinations/{id}/resume", tag = "Deliveries",
    params(("id" = inline(schemas::DestinationId), Path)),
    responses((status = 200, body = Destination))
)]
pub(crate) async fn resume(
    access: Allowed<needs::ManageDeliveries>,
    Id(id): Id<DestinationId>,
    api: Data<Api>,
) -> Answer<Destination> {
    set_state(access, api, id, DestinationState::Active).await
}

/// Test a destination
///
/// Sends a sample event and waits for the answer, at most 15 seconds. The test is in no log.
#[utoipa::path(
    post, path = "/destinations/{id}/test", tag = "Deliveries",
    params(("id" = inline(schemas::DestinationId), Path)),
    responses((status = 200, body = TestResult))
)]
pub(crate) async fn test(
    access: Allowed<needs::ManageDeliveries>,
    Id(id): Id<DestinationId>,
    api: Data<Api>,
) -> Answer<TestResult> {
    let mut conn = access.network(&api.db).await?;
    let destination = visible(&mut conn, access.scope(), id).await?;
    let network = networks::current(&mut conn).await?;
    conn.commit().await?;
    let tested = api
        .deliveries
        .test(&destination, network.currency, clock::now())
        .await;
    let tested = tested.map_err(|error| ChangeError::Conflict(error.to_string()))?;
    let outcome = tested.outcome;
    Ok(Json(TestResult {
        is_delivered: outcome.is_delivered(),
        method: tested.method,
        url: tested.url,
        code: outcome.code,
        problem: outcome.problem,
        duration_ms: outcome.duration.as_millis().try_into().unwrap_or(u64::MAX),
        answer: outcome.answer,
    }))
}

/// Rotate the signing secret of a webhook
///
/// The former secret signs too for 24 hours.
#[utoipa::path(
    post, path = "/destinations/{id}/signing-secret", tag = "Deliveries",
    params(("id" = inline(schemas::DestinationId), Path)),
    responses((status = 200, body = FreshSigningSecret))
)]
pub(crate) async fn rotate(
    access: Allowed<needs::ManageDeliveries>,
    Id(id): Id<DestinationId>,
    api: Data<Api>,
) -> Answer<FreshSigningSecret> {
    let (scope, now) = (access.scope(), clock::now());
    let mut conn = access.network(&api.db).await?;
    let fresh = destinations::rotate_secret(&mut conn, &access.author(), &api.secret, scope, id, now).await?;
    conn.commit().await?;
    Ok(Json(FreshSigningSecret {
        secret: fresh.to_text(),
        former_until: now + destinations::OVERLAP,
    }))
}

/// Send given-up deliveries again
///
/// Under their former IDs.
#[utoipa::path(
    post, path = "/destinations/{id}/resend", tag = "Deliveries",
    params(("id" = inline(schemas::DestinationId), Path)),
    request_body = ResendFailed,
    responses((status = 200, body = Queued))
)]
pub(crate) async fn resend(
    access: Allowed<needs::ManageDeliveries>,
    Id(id): Id<DestinationId>,
    api: Data<Api>,
    body: Body<ResendFailed>,
) -> Answer<Queued> {
    let (author, scope) = (access.author(), access.scope());
    let mut conn = access.network(&api.db).await?;
    let since = body.value.since;
    let queued = deliveries::resend_failed(&mut conn, &author, scope, id, since, clock::now()).await?;
    conn.commit().await?;
    Ok(Json(Queued { queued }))
}

/// Send the conversions of a period
///
/// Queues the events that the destination has not got, also those from before it was created. At most 100,000 conversions.
#[utoipa::path(
    post, path = "/destinations/{id}/backfill", tag = "Deliveries",
    params(("id" = inline(schemas::DestinationId), Path)),
    request_body = Backfill,
    responses((status = 200, body = Queued))
)]
pub(crate) async fn backfill(
    access: Allowed<needs::ManageDeliveries>,
    Id(id): Id<DestinationId>,
    api: Data<Api>,
    body: Body<Backfill>,
) -> Answer<Queued> {
    let (author, scope) = (access.author(), access.scope());
    let mut conn = access.network(&api.db).await?;
    let period = (body.value.from, body.value.to);
    let queued = deliveries::backfill(&mut conn, &author, scope, id, period, clock::now()).await?;
    conn.commit().await?;
    Ok(Json(Queued { queued }))
}
