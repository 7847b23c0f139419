//! The log of deliveries: filters, attempts, and sending one again.

use actix_web::web;
use askama::Template;
use delivery::deliveries::{self, DeliveryFilter, DeliveryState, Listed, StoredAttempt};
use schema::{ConversionId, DeliveryId, DestinationId};
use serde::Deserialize;
use tenancy::{Permission, needs};

use crate::error::PageError;
use crate::listing::{self, Tab};
use crate::page::{Frame, Page, Submitted};
use crate::pages::id;
use crate::shell::{PageResult, Shell, TimeCell, html, see_other};
use crate::{format, urls};

const LIST: &str = "/deliveries";

/// Filters of the list, from the query string.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Filters {
    #[serde(default)]
    destination: String,
    #[serde(default)]
    state: String,
    #[serde(default)]
    event: String,
    #[serde(default)]
    conversion: String,
    #[serde(default)]
    before: String,
}

/// `GET /deliveries`
pub(super) async fn list(mut page: Page<needs::SeeDeliveries>, filters: web::Query<Filters>) -> PageResult {
    let state: Option<DeliveryState> = listing::word(&filters.state)?;
    let filter = DeliveryFilter {
        scope: page.actor.scope(),
        destination_id: listing::id::<DestinationId>(&filters.destination)?,
        state,
        event: listing::word(&filters.event)?,
        conversion_id: listing::id::<ConversionId>(&filters.conversion)?,
        before: listing::id(&filters.before)?,
    };
    let found = deliveries::list(&mut page.conn, &filter, listing::QUERIED).await?;
    let is_affiliate = filter.scope.affiliate.is_some();
    let frame = page.commit().await?;
    let kept = [
        ("destination", filters.destination.as_str()),
        ("event", filters.event.as_str()),
        ("conversion", filters.conversion.as_str()),
    ];
    let tab = |label: &str, word: &str| {
        let pairs: Vec<(&str, &str)> = kept.iter().copied().chain([("state", word)]).collect();
        (
            label.to_owned(),
            listing::with_query(LIST, &pairs),
            filters.state == word,
        )
    };
    let tabs = vec![
        tab("All", ""),
        tab("Waiting", "waiting"),
        tab("Delivered", "delivered"),
        tab("Given up", "given_up"),
    ];
    let with_state: Vec<(&str, &str)> = kept
        .iter()
        .copied()
        .chain([("state", filters.state.as_str())])
        .collect();
    let (found, older) = listing::cut(found, LIST, &with_state, |listed| listed.delivery.id);
    html(&List {
        shell: frame.shell(section(is_affiliate), "Delivery log"),
        tabs,
        rows: found.into_iter().map(|listed| Row::new(listed, &frame)).collect(),
        older,
    })
}

/// `GET /deliveries/{id}`
pub(super) async fn show(mut page: Page<needs::SeeDeliveries>, path: web::Path<String>) -> PageResult {
    let delivery_id: DeliveryId = id(&path)?;
    let scope = page.actor.scope();
    let found = deliveries::find(&mut page.conn, scope, delivery_id).await?;
    let (delivery, destination) = found.ok_or(PageError::NotFound)?;
    let attempts = deliveries::attempts(&mut page.conn, delivery_id).await?;
    let frame = page.commit().await?;
    let title = format!("{} to {}", delivery.event, destination.name);
    html(&Show {
        shell: frame.shell(section(scope.affiliate.is_some()), &title),
        destination: urls::destination(destination.id),
        conversion: delivery.conversion_id.map(urls::conversion),
        resend: frame
            .actor
            .may(Permission::ManageDeliveries)
            .then(|| format!("{LIST}/{delivery_id}/resend")),
        id: delivery_id.to_string(),
        attempts: attempts
            .into_iter()
            .map(|attempt| Attempt::new(attempt, &frame))
            .collect(),
        row: Row::new(
            Listed {
                destination: destination.name,
                delivery,
            },
            &frame,
        ),
    })
}

/// `POST /deliveries/{id}/resend`
pub(super) async fn resend(
    Submitted(mut page, _): Submitted<needs::ManageDeliveries>,
    path: web::Path<String>,
) -> PageResult {
    let delivery_id: DeliveryId = id(&path)?;
    let (author, scope) = (page.actor.author(), page.actor.scope());
    deliveries::resend(&mut page.conn, &author, scope, delivery_id, page.now).await?;
    page.commit().await?;
    see_other(&format!("{LIST}/{delivery_id}"))
}

fn section(is_affiliate: bool) -> &'static str {
    if is_affiliate { "Postbacks" } else { "Deliveries" }
}

/// Row of the log.
pub(super) struct Row {
    pub(super) page: String,
    pub(super) queued: TimeCell,
    pub(super) destination: String,
    pub(super) event: &'static str,
    /// Short ID of the conversion, if the event is about one.
    pub(super) conversion: String,
    pub(super) state: &'static str,
    /// Class of the state's badge.
    pub(super) class: &'static str,
    pub(super) attempts: String,
    /// Answer or problem of the last attempt.
    pub(super) last: String,
    /// Time of the next attempt, if it waits.
    pub(super) next: Option<TimeCell>,
}

impl Row {
    pub(super) fn new<P>(listed: Listed, frame: &Frame<P>) -> Self {
        let delivery = listed.delivery;
        let (state, class) = match delivery.state {
            DeliveryState::Waiting => ("Waiting", "pending"),
            DeliveryState::Delivered => ("Delivered", "ok"),
            DeliveryState::GivenUp => ("Given up", "rejected"),
        };
        Self {
            page: format!("{LIST}/{}", delivery.id),
            queued: frame.time(delivery.queued_at),
            destination: listed.destination,
            event: delivery.event.as_str(),
            conversion: delivery
                .conversion_id
                .map(|id| format::short_id(&id.to_string()))
                .unwrap_or_default(),
            state,
            class,
            attempts: delivery.attempts.to_string(),
            last: match (delivery.problem, delivery.code) {
                (Some(problem), _) => problem,
                (None, Some(code)) => code.to_string(),
                (None, None) => String::new(),
            },
            next: (delivery.state == DeliveryState::Waiting).then(|| frame.time(delivery.next_at)),
        }
    }
}

struct Attempt {
    number: i32,
    at: TimeCell,
    request: String,
    result: String,
    millis: i32,
    answer: String,
}

impl Attempt {
    fn new<P>(attempt: StoredAttempt, frame: &Frame<P>) -> Self {
        Self {
            number: attempt.number,
            at: frame.time(attempt.at),
            request: format!("{} {}", attempt.method, attempt.url),
            result: match (attempt.problem, attempt.code) {
                (Some(problem), _) => problem,
                (None, code) => code.map(|code| code.to_string()).unwrap_or_default(),
            },
            millis: attempt.duration_ms,
            answer: attempt.answer,
        }
    }
}

#[derive(Template)]
#[template(path = "postbacks/deliveries/list.html")]
struct List {
    shell: Shell,
    tabs: Vec<Tab>,
    rows: Vec<Row>,
    older: Option<String>,
}

#[derive(Template)]
#[template(path = "postbacks/deliveries/show.html")]
struct Show {
    shell: Shell,
    id: String,
    destination: String,
    /// Page of the conversion, if the event is about one.
    conversion: Option<String>,
    resend: Option<String>,
    row: Row,
    attempts: Vec<Attempt>,
}
