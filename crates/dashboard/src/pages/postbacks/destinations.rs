//! Destinations: the list, the form, and the page with health, test and sending again.

use actix_web::web;
use askama::Template;
use chrono::{DateTime, NaiveDate, NaiveTime, TimeZone, Utc};
use chrono_tz::Tz;
use delivery::consumers;
use delivery::deliveries::{self, DeliveryFilter};
use delivery::destinations::{
    self, Destination, DestinationKind, DestinationSettings, DestinationState, Owner, PausedBecause,
    UrlFindings,
};
use delivery::{BodyFormat, CallMethod, DeliveryEvent, Tested};
use dialects::template::{self, Macro};
use schema::{AffiliateId, DestinationId, NetworkConn};
use serde::Deserialize;
use tenancy::{Actor, Draft, Permission, needs};

use super::deliveries::Row;
use super::tools::SAMPLE_TRACKER;
use crate::error::PageError;
use crate::forms::{self, Choice, PostedForm, field_errors};
use crate::page::{Page, Submitted};
use crate::pages::id;
use crate::shell::{PageResult, Shell, TimeCell, html, html_with, see_other, set_cookie};
use crate::{format, urls};

const LIST: &str = "/destinations";
/// Maximum number of destinations on the page.
const MAX_LISTED: i64 = 500;
/// Deliveries on the page of a destination.
const RECENT: i64 = 10;

/// Owner and tracker that a new destination starts with, from the query string.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Beginning {
    #[serde(default)]
    kind: String,
    #[serde(default)]
    tracker: String,
    #[serde(default)]
    affiliate: String,
}

/// `GET /destinations`
pub(super) async fn list(mut page: Page<needs::SeeDeliveries>) -> PageResult {
    let scope = page.actor.scope();
    let found = destinations::list(&mut page.conn, scope, None, None, MAX_LISTED).await?;
    let consumers = if page.actor.may(Permission::FollowEvents) {
        consumers::list(&mut page.conn).await?
    } else {
        Vec::new()
    };
    let frame = page.commit().await?;
    let rows = found.into_iter().map(|listed| ListRow {
        page: urls::destination(listed.destination.id),
        affiliate: listed.affiliate,
        state: state_of(&listed.destination),
        is_working: is_working(&listed.destination),
        events: event_words(&listed.destination),
        delivered: listed.destination.delivered_at.map(|at| frame.time(at)),
        waiting: format::count(listed.waiting),
        url: listed.destination.url,
        name: listed.destination.name,
    });
    let is_affiliate = scope.affiliate.is_some();
    html(&List {
        rows: rows.collect(),
        consumers: consumers
            .into_iter()
            .map(|consumer| ConsumerRow {
                name: consumer.name,
                waiting: format::count(consumer.waiting),
                acknowledged: consumer.acknowledged_at.map(|at| frame.time(at)),
            })
            .collect(),
        is_affiliate,
        may_change: frame.actor.may(Permission::ManageDeliveries),
        may_add_webhooks: may_add(&frame.actor, DestinationKind::Webhook),
        trackers: template::outgoing()
            .map(|tracker| (tracker.dialect.key, tracker.dialect.name))
            .chain(
                platforms().map(|(format, _)| (format.as_str(), label_of(format, DestinationKind::Postback))),
            )
            .collect(),
        shell: frame.shell(section(is_affiliate), "Deliveries"),
    })
}

/// `GET /destinations/new`
pub(super) async fn new(page: Page<needs::ManageDeliveries>, beginning: web::Query<Beginning>) -> PageResult {
    let kind = kind_of(&beginning.kind)?;
    let mut draft = DestinationSettings::fresh(kind);
    draft.set("affiliate", beginning.affiliate.clone());
    if let Some(tracker) = template::outgoing().find(|tracker| tracker.dialect.key == beginning.tracker) {
        draft.set("name", tracker.dialect.name);
        draft.set("url", tracker.at(SAMPLE_TRACKER));
    }
    if let Some((format, url)) = platforms().find(|(format, _)| format.as_str() == beginning.tracker) {
        draft.set("name", label_of(format, kind));
        draft.set("format", format.as_str());
        draft.set("method", CallMethod::Post.as_str());
        draft.set("events", DeliveryEvent::Approved.as_str());
        draft.set("url", url);
    }
    render_form(page, kind, draft).await
}

/// `POST /destinations/check`: fragment with the problems of a URL, while a user types it.
pub(super) async fn check(
    Submitted(page, form): Submitted<needs::ManageDeliveries>,
    beginning: web::Query<Beginning>,
) -> PageResult {
    let kind = kind_of(&beginning.kind)?;
    let frame = page.commit().await?;
    let guard = frame.request.dashboard.deliveries.guard();
    let format = form.get("format").parse().unwrap_or(BodyFormat::Standard);
    let (url, value_maps) = (form.get("url"), form.get("value_maps"));
    html(&Check {
        findings: destinations::look_at_url(url, value_maps, (kind, format), guard),
    })
}

/// `POST /destinations`
pub(super) async fn create(Submitted(mut page, form): Submitted<needs::ManageDeliveries>) -> PageResult {
    let kind = kind_of(form.get("kind"))?;
    let mut draft = draft_of(&form);
    let owner = owner(&mut page.conn, &page.actor, kind, &form).await?;
    let tester = page.request.dashboard.deliveries.clone();
    if let Some(settings) = DestinationSettings::check(&mut draft, kind, tester.guard()) {
        let (author, secret) = (page.actor.author(), page.request.dashboard.secret.clone());
        let made = page.conn.attempt(async |conn| {
            destinations::create(conn, &author, &secret, owner, &settings, page.now).await
        });
        match made.await {
            Ok((made, signing)) => {
                let frame = page.commit().await?;
                let shown = urls::destination(made.id);
                return match signing {
                    Some(signing) => frame.request.show_secret(&shown, &signing.to_text()),
                    None => see_other(&shown),
                };
            }
            Err(error) => draft.errors = field_errors(error)?,
        }
    }
    render_form(page, kind, draft).await
}

/// `GET /destinations/{id}`
pub(super) async fn show(mut page: Page<needs::SeeDeliveries>, path: web::Path<String>) -> PageResult {
    let known = find(&mut page.conn, &page.actor, &path).await?;
    let draft = known.settings().draft();
    let shown = urls::destination(known.id);
    let end_flash = page.request.dashboard.cookies.end_flash(&shown);
    let fresh = page.request.fresh_secret();
    let mut response = render(page, known, draft, fresh, None).await?;
    set_cookie(&mut response, &end_flash);
    Ok(response)
}

/// `POST /destinations/{id}`
pub(super) async fn update(
    Submitted(mut page, form): Submitted<needs::ManageDeliveries>,
    path: web::Path<String>,
) -> PageResult {
    let known = find(&mut page.conn, &page.actor, &path).await?;
    let mut draft = draft_of(&form);
    let tester = page.request.dashboard.deliveries.clone();
    if let Some(settings) = DestinationSettings::check(&mut draft, known.kind, tester.guard()) {
        let (author, scope) = (page.actor.author(), page.actor.scope());
        let secret = page.request.dashboard.secret.clone();
        let changed = page.conn.attempt(async |conn| {
            destinations::update(conn, &author, &secret, scope, known.id, &settings, page.now).await
        });
        match changed.await {
            Ok(_) => {
                page.commit().await?;
                return see_other(&urls::destination(known.id));
            }
            Err(error) => draft.errors = field_errors(error)?,
        }
    }
    render(page, known, draft, None, None).await
}

/// `POST /destinations/{id}/state`: pauses or resumes a destination.
pub(super) async fn set_state(
    Submitted(mut page, form): Submitted<needs::ManageDeliveries>,
    path: web::Path<String>,
) -> PageResult {
    let known = find(&mut page.conn, &page.actor, &path).await?;
    let state: DestinationState = form.get("state").parse().map_err(PageError::BadRequest)?;
    let (author, scope) = (page.actor.author(), page.actor.scope());
    destinations::set_state(&mut page.conn, &author, scope, known.id, state, page.now).await?;
    page.commit().await?;
    see_other(&urls::destination(known.id))
}

/// `POST /destinations/{id}/test`: sends a sample event, and shows the result.
pub(super) async fn test(
    Submitted(mut page, _): Submitted<needs::ManageDeliveries>,
    path: web::Path<String>,
) -> PageResult {
    let known = find(&mut page.conn, &page.actor, &path).await?;
    let frame = page.commit().await?;
    // No transaction may wait for a receiver.
    let tester = &frame.request.dashboard.deliveries;
    let tested = tester.test(&known, frame.network.currency, frame.now).await;
    let tested = tested.map_err(|error| PageError::Refused(error.to_string()))?;
    let draft = known.settings().draft();
    render(frame.reopen().await?, known, draft, None, Some(tested)).await
}

/// `POST /destinations/{id}/secret`: replaces the signing secret, which is shown once.
pub(super) async fn rotate(
    Submitted(mut page, _): Submitted<needs::ManageDeliveries>,
    path: web::Path<String>,
) -> PageResult {
    let known = find(&mut page.conn, &page.actor, &path).await?;
    let (author, scope) = (page.actor.author(), page.actor.scope());
    let secret = page.request.dashboard.secret.clone();
    let fresh =
        destinations::rotate_secret(&mut page.conn, &author, &secret, scope, known.id, page.now).await?;
    let frame = page.commit().await?;
    frame
        .request
        .show_secret(&urls::destination(known.id), &fresh.to_text())
}

/// `POST /destinations/{id}/resend`: sends what was given up since a day again.
pub(super) async fn resend(
    Submitted(mut page, form): Submitted<needs::ManageDeliveries>,
    path: web::Path<String>,
) -> PageResult {
    let known = find(&mut page.conn, &page.actor, &path).await?;
    let since = midnight(form.get("since"), page.network.time_zone())?;
    let (author, scope) = (page.actor.author(), page.actor.scope());
    deliveries::resend_failed(&mut page.conn, &author, scope, known.id, since, page.now).await?;
    page.commit().await?;
    see_other(&urls::deliveries_of(known.id))
}

/// `POST /destinations/{id}/backfill`: sends the events of a period that the destination has not got.
pub(super) async fn backfill(
    Submitted(mut page, form): Submitted<needs::ManageDeliveries>,
    path: web::Path<String>,
) -> PageResult {
    let known = find(&mut page.conn, &page.actor, &path).await?;
    let zone = page.network.time_zone();
    let last = day(form.get("to"))?.succ_opt().unwrap_or(NaiveDate::MAX);
    let period = (
        midnight(form.get("from"), zone)?,
        midnight(&last.to_string(), zone)?,
    );
    let (author, scope) = (page.actor.author(), page.actor.scope());
    deliveries::backfill(&mut page.conn, &author, scope, known.id, period, page.now).await?;
    page.commit().await?;
    see_other(&urls::deliveries_of(known.id))
}

/// `POST /destinations/{id}/remove`
pub(super) async fn remove(
    Submitted(mut page, _): Submitted<needs::ManageDeliveries>,
    path: web::Path<String>,
) -> PageResult {
    let known = find(&mut page.conn, &page.actor, &path).await?;
    let (author, scope) = (page.actor.author(), page.actor.scope());
    destinations::remove(&mut page.conn, &author, scope, known.id, page.now).await?;
    page.commit().await?;
    see_other(LIST)
}

/// Destination of a path, if the actor may see it.
async fn find(conn: &mut NetworkConn, actor: &Actor, path: &str) -> Result<Destination, PageError> {
    let destination_id: DestinationId = id(path)?;
    let found = destinations::find(conn, actor.scope(), destination_id).await?;
    found.ok_or(PageError::NotFound)
}

/// Webhooks carry the events of the whole network.
fn may_add(actor: &Actor, kind: DestinationKind) -> bool {
    match kind {
        DestinationKind::Postback => actor.may(Permission::ManageDeliveries),
        DestinationKind::Webhook => actor.may(Permission::ManageNetwork),
    }
}

/// Owner of a new destination: the affiliate of the user, or the one that the form names.
async fn owner(
    conn: &mut NetworkConn,
    actor: &Actor,
    kind: DestinationKind,
    form: &PostedForm,
) -> Result<Owner, PageError> {
    if !may_add(actor, kind) {
        return Err(PageError::Refused(
            "Webhooks are added by an owner or admin of the network.".to_owned(),
        ));
    }
    let scope = actor.scope();
    match (kind, scope.affiliate) {
        (DestinationKind::Webhook, _) => Ok(Owner::Network),
        (DestinationKind::Postback, Some(own)) => Ok(Owner::Affiliate(own)),
        (DestinationKind::Postback, None) => {
            let affiliate: AffiliateId = id(form.get("affiliate"))?;
            if !scope.includes_affiliate(conn, affiliate).await? {
                return Err(PageError::NotFound);
            }
            Ok(Owner::Affiliate(affiliate))
        }
    }
}

/// Kind of a new destination; a tracker by default.
fn kind_of(word: &str) -> Result<DestinationKind, PageError> {
    match word {
        "" => Ok(DestinationKind::Postback),
        word => word.parse().map_err(PageError::BadRequest),
    }
}

fn draft_of(form: &PostedForm) -> Draft {
    let mut draft = form.draft("", &DestinationSettings::FIELDS);
    draft.set("events", form.all("events").join(","));
    draft.set("affiliate", form.get("affiliate"));
    draft
}

fn day(text: &str) -> Result<NaiveDate, PageError> {
    text.parse()
        .map_err(|_| PageError::BadRequest(format!("“{text}” is not a day such as 2026-11-30.")))
}

fn midnight(text: &str, zone: Tz) -> Result<DateTime<Utc>, PageError> {
    let midnight = zone.from_local_datetime(&day(text)?.and_time(NaiveTime::MIN));
    // A day whose midnight a change of the clock skips begins an hour later.
    let midnight = midnight.earliest().map(|at| at.with_timezone(&Utc));
    midnight.ok_or_else(|| PageError::BadRequest(format!("{text} has no midnight in {zone}.")))
}

fn section(is_affiliate: bool) -> &'static str {
    if is_affiliate { "Postbacks" } else { "Deliveries" }
}

fn is_working(destination: &Destination) -> bool {
    destination.state == DestinationState::Active && destination.failures == 0
}

fn state_of(destination: &Destination) -> String {
    match destination.paused_because {
        Some(PausedBecause::User) => "Paused".to_owned(),
        Some(PausedBecause::Gone) => "Paused: it answered 410".to_owned(),
        Some(PausedBecause::Failing) => "Paused: it failed for days".to_owned(),
        None if destination.failures > 0 => format!("Failing: {} in a row", destination.failures),
        None => "Active".to_owned(),
    }
}

fn event_words(destination: &Destination) -> String {
    let words: Vec<&str> = destination.events().iter().map(|kind| kind.as_str()).collect();
    words.join(", ")
}

/// Advertising platforms, each with the URL that a destination begins with.
fn platforms() -> impl Iterator<Item = (BodyFormat, &'static str)> {
    let formats = BodyFormat::ALL.iter();
    formats.filter_map(|format| Some((*format, delivery::platform_url(*format)?)))
}

fn label_of(format: BodyFormat, kind: DestinationKind) -> &'static str {
    match (format, kind) {
        (BodyFormat::Standard, DestinationKind::Postback) => "Tracker",
        (BodyFormat::Standard, DestinationKind::Webhook) => "JSON, signed",
        (BodyFormat::Slack, _) => "Slack message",
        (BodyFormat::Telegram, _) => "Telegram message",
        (BodyFormat::Meta, _) => "Meta Conversions API",
        (BodyFormat::TikTok, _) => "TikTok Events API",
        (BodyFormat::OpenAi, _) => "OpenAI Ads Conversions API",
        (BodyFormat::Microsoft, _) => "Microsoft Advertising Conversions API",
        (BodyFormat::Google, _) => "Google Data Manager API",
    }
}

/// Parts of the form that follow from the draft.
struct FormParts {
    kind: &'static str,
    is_postback: bool,
    events: Vec<(&'static str, bool)>,
    methods: Vec<Choice>,
    formats: Vec<Choice>,
    /// Name in braces and meaning of each macro.
    macros: Vec<(String, &'static str)>,
}

impl FormParts {
    fn new(kind: DestinationKind, draft: &Draft) -> Self {
        let chosen = draft.of("events");
        let is_chosen = |word: &str| chosen.split([',', ' ']).any(|known| known == word);
        Self {
            kind: kind.as_str(),
            is_postback: kind == DestinationKind::Postback,
            events: DeliveryEvent::ALL
                .iter()
                .filter(|event| kind == DestinationKind::Webhook || event.is_of_conversion())
                .map(|event| (event.as_str(), is_chosen(event.as_str())))
                .collect(),
            methods: Choice::list(
                CallMethod::ALL.iter().map(|method| (*method, method.as_str())),
                draft.of("method"),
            ),
            formats: Choice::list(
                BodyFormat::ALL
                    .iter()
                    .filter(|format| format.is_for(kind))
                    .map(|format| (*format, label_of(*format, kind))),
                draft.of("format"),
            ),
            macros: Macro::all()
                .map(|one| (format!("{{{}}}", one.name()), one.meaning()))
                .collect(),
        }
    }
}

async fn render_form(page: Page<needs::ManageDeliveries>, kind: DestinationKind, draft: Draft) -> PageResult {
    let is_affiliate = page.actor.scope().affiliate.is_some();
    let frame = page.commit().await?;
    let title = match kind {
        DestinationKind::Postback => "New partner postback",
        DestinationKind::Webhook => "New webhook",
    };
    html_with(
        forms::status(&draft.errors),
        &Form {
            shell: frame.shell(section(is_affiliate), title),
            action: LIST,
            kind: kind.as_str(),
            names_affiliate: !is_affiliate && kind == DestinationKind::Postback,
            parts: FormParts::new(kind, &draft),
            draft,
        },
    )
}

async fn render<P>(
    mut page: Page<P>,
    known: Destination,
    draft: Draft,
    fresh_secret: Option<String>,
    tested: Option<Tested>,
) -> PageResult {
    let filter = DeliveryFilter {
        scope: page.actor.scope(),
        destination_id: Some(known.id),
        ..DeliveryFilter::default()
    };
    let recent = deliveries::list(&mut page.conn, &filter, RECENT).await?;
    let is_affiliate = page.actor.scope().affiliate.is_some();
    let frame = page.commit().await?;
    let today = frame.now.with_timezone(&frame.network.time_zone()).date_naive();
    html_with(
        forms::status(&draft.errors),
        &Show {
            shell: frame.shell(section(is_affiliate), &known.name),
            action: urls::destination(known.id),
            log: urls::deliveries_of(known.id),
            may_change: frame.actor.may(Permission::ManageDeliveries),
            state: state_of(&known),
            is_working: is_working(&known),
            is_active: known.state == DestinationState::Active,
            delivered: known.delivered_at.map(|at| frame.time(at)),
            failed: known.failed_at.map(|at| frame.time(at)),
            former_secret_until: known
                .former_secret_until
                .filter(|until| *until > frame.now)
                .map(|until| frame.time(until)),
            fresh_secret,
            tested: tested.map(Test::from),
            recent: recent
                .into_iter()
                .map(|listed| Row::new(listed, &frame))
                .collect(),
            today: today.to_string(),
            parts: FormParts::new(known.kind, &draft),
            draft,
        },
    )
}

struct ListRow {
    page: String,
    name: String,
    affiliate: Option<String>,
    state: String,
    is_working: bool,
    events: String,
    url: String,
    delivered: Option<TimeCell>,
    waiting: String,
}

struct ConsumerRow {
    name: String,
    waiting: String,
    /// Time of the last acknowledgement.
    acknowledged: Option<TimeCell>,
}

/// Result of a test delivery.
struct Test {
    is_delivered: bool,
    request: String,
    result: String,
    millis: u128,
    answer: String,
}

impl From<Tested> for Test {
    fn from(tested: Tested) -> Self {
        let outcome = tested.outcome;
        Self {
            is_delivered: outcome.is_delivered(),
            request: format!("{} {}", tested.method, tested.url),
            result: match (&outcome.problem, outcome.code) {
                (Some(problem), _) => problem.clone(),
                (None, code) => format!("The answer is {}.", code.unwrap_or_default()),
            },
            millis: outcome.duration.as_millis(),
            answer: outcome.answer,
        }
    }
}

#[derive(Template)]
#[template(path = "postbacks/destinations/list.html")]
struct List {
    shell: Shell,
    rows: Vec<ListRow>,
    /// Programs that fetch the event stream.
    consumers: Vec<ConsumerRow>,
    is_affiliate: bool,
    may_change: bool,
    may_add_webhooks: bool,
    trackers: Vec<(&'static str, &'static str)>,
}

#[derive(Template)]
#[template(path = "postbacks/destinations/check.html")]
struct Check {
    findings: UrlFindings,
}

#[derive(Template)]
#[template(path = "postbacks/destinations/form.html")]
struct Form {
    shell: Shell,
    action: &'static str,
    kind: &'static str,
    /// True if the user chooses the affiliate.
    names_affiliate: bool,
    parts: FormParts,
    draft: Draft,
}

#[derive(Template)]
#[template(path = "postbacks/destinations/show.html")]
struct Show {
    shell: Shell,
    action: String,
    log: String,
    may_change: bool,
    state: String,
    is_working: bool,
    is_active: bool,
    delivered: Option<TimeCell>,
    failed: Option<TimeCell>,
    former_secret_until: Option<TimeCell>,
    fresh_secret: Option<String>,
    tested: Option<Test>,
    recent: Vec<Row>,
    today: String,
    parts: FormParts,
    draft: Draft,
}
