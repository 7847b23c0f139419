//! `/events` and `/event-consumers`: the stream of events, for programs that fetch it.

use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::rt::time::{Instant, sleep_until};
use actix_web::web::{Data, Json};
use chrono::{DateTime, Utc};
use delivery::DeliveryEvent;
use delivery::consumers::{self, ConsumerError, ConsumerName};
use delivery::stream::{self, Place, StreamError, StreamEvent, StreamPage};
use schema::clock;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tenancy::needs;
use utoipa::{IntoParams, ToSchema};

use super::{Answer, no_content};
use crate::auth::Allowed;
use crate::error::ApiError;
use crate::extract::{Body, Id, Params};
use crate::page::{Item, Page, Window};
use crate::schemas;
use crate::state::Api;

/// Longest wait for events, in seconds. The parameter below repeats it: an attribute takes literals only.
const MAX_WAIT_SECONDS: i64 = 30;
/// Interval of looks at the stream while a request waits: signals can be lost, and an event can wait for its click.
const LOOK_INTERVAL: Duration = Duration::from_secs(2);

/// A page of events.
#[derive(Serialize, ToSchema)]
pub(crate) struct EventPage {
    /// Events, oldest first.
    items: Vec<Event>,
    /// Value of `after` for the next page, also if this page is empty.
    #[schema(value_type = schemas::Cursor)]
    next: String,
    /// True if the next page has events already.
    has_more: bool,
}

/// An event.
#[derive(Serialize, ToSchema)]
pub(crate) struct Event {
    /// Identity of the event, the same if the event comes again: its conversion and version, or an ID.
    #[schema(value_type = schemas::Text)]
    id: String,
    /// Cursor behind the event.
    #[schema(value_type = schemas::Cursor)]
    cursor: String,
    /// `type`, `timestamp`, `schema` and `data`, as in webhooks.
    #[serde(flatten)]
    #[schema(value_type = EventBody)]
    body: Value,
}

/// Body of an event.
#[derive(Serialize, ToSchema)]
pub(crate) struct EventBody {
    /// `conversion.` and the kind of the event, `affiliate.applied`, `integration.failing` or `integration.recovered`.
    #[schema(value_type = schemas::Text)]
    r#type: String,
    /// Time of the event.
    timestamp: DateTime<Utc>,
    /// Version of the schema of `data`.
    schema: u32,
    /// Conversion after the event, or the content of another event, as in webhooks: see the guide of deliveries.
    #[schema(value_type = Object)]
    data: Value,
}

impl Event {
    fn new(event: &StreamEvent, api: &Api) -> Self {
        Self {
            id: event.id.clone(),
            cursor: event.cursor.to_string(),
            body: event.to_json(api.tracker.click_ids()),
        }
    }
}

/// Parameters of the stream.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct EventParams {
    /// Cursor: `next` of the previous page, or `start` for the oldest event that is kept. Without it, the page is empty or
    /// waits, and `next` is the present end.
    #[param(value_type = schemas::Cursor, inline, required = false)]
    after: Option<String>,
    /// Name of an event consumer, to continue behind the last event that it acknowledged, instead of `after`.
    #[param(value_type = schemas::Filter, inline, required = false)]
    consumer: Option<String>,
    /// Only events of these types, separated by commas, such as `conversion.created,conversion.approved`.
    #[param(value_type = schemas::Filter, inline, required = false)]
    types: Option<String>,
    /// Time to wait for events if none follows, in seconds; 0, the default, not to wait.
    #[param(value_type = i64, minimum = 0, maximum = 30, required = false)]
    wait: Option<i64>,
    /// Maximum number of items of the page; 50 by default.
    #[param(value_type = i64, minimum = 1, maximum = 200, required = false)]
    limit: Option<i64>,
}

impl From<StreamError> for ApiError {
    fn from(error: StreamError) -> Self {
        match error {
            StreamError::NotStored => tenancy::ChangeError::Conflict(error.to_string()).into(),
            StreamError::Expired | StreamError::Restored => Self::Gone(error.to_string()),
            StreamError::Db(error) => error.into(),
        }
    }
}

impl From<ConsumerError> for ApiError {
    fn from(error: ConsumerError) -> Self {
        match error {
            ConsumerError::Stream(error) => error.into(),
            ConsumerError::Change(error) => error.into(),
        }
    }
}

fn place(field: &str, text: &str) -> Result<Place, ApiError> {
    text.parse()
        .map_err(|unknown: stream::UnknownCursor| ApiError::field(field, unknown.to_string()))
}

fn events_of(types: &str) -> Result<Vec<DeliveryEvent>, ApiError> {
    let event = |word: &str| {
        DeliveryEvent::of_type(word.trim()).ok_or_else(|| {
            let known: Vec<String> = DeliveryEvent::ALL.iter().map(|event| event.type_text()).collect();
            ApiError::field("types", format!("Unknown type. Known are {}.", known.join(", ")))
        })
    };
    types.split(',').map(event).collect()
}

/// Fetch events
///
/// Events of the network in their order, each at least once, and none left out: of a conversion, an event with a higher version never comes before one with a lower version. Begin with an event consumer (`consumer`) or a cursor
/// (`after`), then request each page with `next` of the previous one. With `wait`, a request returns as soon as an event
/// follows. Events are kept for 90 days; a cursor that is older, or of a time before a restore from a backup, is a 410.
/// Events are stored once the network has an event consumer or a destination of deliveries; before, this is a 409. Clicks are
/// not in the stream.
#[utoipa::path(get, path = "/events", tag = "Deliveries", params(EventParams), responses((status = 200, body = EventPage)))]
pub(crate) async fn list(
    access: Allowed<needs::FollowEvents>,
    api: Data<Api>,
    Params(params): Params<EventParams>,
) -> Answer<EventPage> {
    let limit = Window::<stream::Cursor>::of(params.limit, None)?.items();
    let events = params.types.as_deref().map(events_of).transpose()?;
    let wait = params.wait.unwrap_or_default();
    if !(0..=MAX_WAIT_SECONDS).contains(&wait) {
        let message = format!("Enter a number of seconds from 0 to {MAX_WAIT_SECONDS}.");
        return Err(ApiError::field("wait", message));
    }
    let mut place = match (&params.after, &params.consumer) {
        (Some(_), Some(_)) => return Err(ApiError::field("consumer", "Send either `consumer` or `after`.")),
        (Some(after), None) => place("after", after)?,
        (None, Some(name)) => {
            let mut conn = access.network(&api.db).await?;
            let consumer = match name.parse() {
                Ok(name) => consumers::find(&mut conn, &name).await?,
                Err(_) => None,
            };
            conn.commit().await?;
            let consumer =
                consumer.ok_or_else(|| ApiError::field("consumer", "No event consumer has this name."))?;
            Place::Behind(consumer.acknowledged)
        }
        (None, None) => Place::End,
    };
    // Beyond the limit of waiting requests, the page is returned at once.
    let slot = api.waiting.clone().try_acquire_owned().ok();
    let wait = Duration::from_secs(wait.unsigned_abs());
    let deadline = Instant::now() + slot.as_ref().map_or(Duration::ZERO, |_| wait);
    // From before the first look, so that no signal between it and the wait is lost.
    let mut signals = api.tracker.changes().events();
    loop {
        let mut conn = access.network(&api.db).await?;
        let page = stream::read(&mut conn, place, events.as_deref(), limit).await;
        conn.commit().await?;
        let page = page?;
        let now = Instant::now();
        if !page.events.is_empty() || now >= deadline || api.tracker.is_draining() {
            return Ok(Json(shown(&page, &api)));
        }
        place = Place::Behind(page.next);
        tokio::select! {
            () = signals.of(access.network_id()) => {}
            () = sleep_until(deadline.min(now + LOOK_INTERVAL)) => {}
        }
    }
}

fn shown(page: &StreamPage, api: &Api) -> EventPage {
    EventPage {
        items: page.events.iter().map(|event| Event::new(event, api)).collect(),
        next: page.next.to_string(),
        has_more: page.has_more,
    }
}

/// A program that fetches the events of the network.
#[derive(Serialize, ToSchema)]
pub(crate) struct EventConsumer {
    #[schema(value_type = schemas::ConsumerName)]
    name: String,
    /// Cursor behind the last event that it acknowledged.
    #[schema(value_type = schemas::Cursor)]
    acknowledged: String,
    /// Number of events behind that cursor.
    waiting: i64,
    created_at: DateTime<Utc>,
    /// Time of the last acknowledgement; null before the first.
    #[schema(required)]
    acknowledged_at: Option<DateTime<Utc>>,
}

impl From<consumers::Consumer> for EventConsumer {
    fn from(consumer: consumers::Consumer) -> Self {
        Self {
            name: consumer.name,
            acknowledged: consumer.acknowledged.to_string(),
            waiting: consumer.waiting,
            created_at: consumer.created_at,
            acknowledged_at: consumer.acknowledged_at,
        }
    }
}

impl Item for EventConsumer {
    fn id(&self) -> String {
        self.name.clone()
    }
}

/// Place of an event consumer in the stream.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "acknowledged": "end" }))]
pub(crate) struct Acknowledgement {
    /// Cursor up to which events are acknowledged, `start` or `end`. A cursor that was acknowledged before fetches the events
    /// behind it again. Absent, a new consumer begins at the end, and an existing one keeps its place.
    #[serde(default)]
    #[schema(value_type = Option<schemas::Cursor>)]
    acknowledged: Option<String>,
}

/// Parameters of the list.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ConsumerParams {
    /// Maximum number of items of the page; 50 by default.
    #[param(value_type = i64, minimum = 1, maximum = 200, required = false)]
    limit: Option<i64>,
    /// Cursor: `next` of the previous page.
    #[param(value_type = schemas::Cursor, inline, required = false)]
    after: Option<String>,
}

/// List event consumers
#[utoipa::path(get, path = "/event-consumers", tag = "Deliveries", params(ConsumerParams), responses((status = 200, body = Page<EventConsumer>)))]
pub(crate) async fn list_consumers(
    access: Allowed<needs::FollowEvents>,
    api: Data<Api>,
    Params(params): Params<ConsumerParams>,
) -> Answer<Page<EventConsumer>> {
    let window = Window::<String>::of(params.limit, params.after.as_deref())?;
    let mut conn = access.network(&api.db).await?;
    let found = consumers::list(&mut conn).await?;
    conn.commit().await?;
    Ok(Json(window.page_of_all(found)?))
}

/// Get an event consumer
#[utoipa::path(
    get, path = "/event-consumers/{name}", tag = "Deliveries",
    params(("name" = inline(schemas::ConsumerName), Path)),
    responses((status = 200, body = EventConsumer))
)]
pub(crate) async fn show_consumer(
    access: Allowed<needs::FollowEvents>,
    Id(name): Id<ConsumerName>,
    api: Data<Api>,
) -> Answer<EventConsumer> {
    let mut conn = access.network(&api.db).await?;
    let found = consumers::find(&mut conn, &name).await?;
    conn.commit().await?;
    Ok(Json(found.ok_or(ApiError::NotFound)?.into()))
}

/// Create an event consumer, or acknowledge events
///
/// Creates the consumer if none has this name; a network has at most 20. Acknowledge a page by `next` after it is processed:
/// a program that stops before that gets the page again. Only the latest acknowledgement counts.
#[utoipa::path(
    put, path = "/event-consumers/{name}", tag = "Deliveries",
    params(("name" = inline(schemas::ConsumerName), Path)),
    request_body = Acknowledgement,
    responses((status = 200, body = EventConsumer))
)]
pub(crate) async fn put_consumer(
    access: Allowed<needs::FollowEvents>,
    Id(name): Id<String>,
    api: Data<Api>,
    body: Body<Acknowledgement>,
) -> Answer<EventConsumer> {
    let acknowledged = body.value.acknowledged.as_deref();
    let name: ConsumerName = name
        .parse()
        .map_err(|problem: String| ApiError::field("name", problem))?;
    let place = acknowledged.map(|text| place("acknowledged", text)).transpose()?;
    let mut conn = access.network(&api.db).await?;
    let stored = consumers::put(&mut conn, &access.author(), &name, place, clock::now()).await?;
    conn.commit().await?;
    Ok(Json(stored.into()))
}

/// Delete an event consumer
#[utoipa::path(
    delete, path = "/event-consumers/{name}", tag = "Deliveries",
    params(("name" = inline(schemas::ConsumerName), Path)),
    responses((status = 204))
)]
pub(crate) async fn remove_consumer(
    access: Allowed<needs::FollowEvents>,
    Id(name): Id<ConsumerName>,
    api: Data<Api>,
) -> Result<HttpResponse, ApiError> {
    let mut conn = access.network(&api.db).await?;
    if !consumers::remove(&mut conn, &access.author(), &name, clock::now()).await? {
        return Err(ApiError::NotFound);
    }
    conn.commit().await?;
    no_content()
}
