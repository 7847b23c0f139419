//! Inbound postbacks: the list, and one of them with what came, what was answered and why.

use actix_web::{HttpRequest, web};
use askama::Template;
use chrono::{DateTime, Utc};
use schema::{Money, PostbackId, clock};
use serde::Deserialize;
use tenancy::networks::{self, Network};
use tenancy::{Permission, advertisers, needs};
use tracking::ClickId;
use tracking::postbacks::{self, PostbackFilter, PostbackStatus, PostbackSummary, StoredPostback};
use tracking::trace::{Found, Step, Trace};

use crate::auth::Allowed;
use crate::error::PageError;
use crate::forms::Choice;
use crate::listing::{self, Tab};
use crate::pages::id;
use crate::shell::{PageResult, Shell, TimeCell, page};
use crate::{Dashboard, format, urls};

/// The filters of the list, as its URL has them.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Filters {
    #[serde(default)]
    status: String,
    #[serde(default)]
    reason: String,
    #[serde(default)]
    order: String,
    #[serde(default)]
    before: String,
}

/// `GET /postbacks`
pub(super) async fn list(
    request: HttpRequest,
    dashboard: web::Data<Dashboard>,
    actor: Allowed<needs::SeePostbacks>,
    filters: web::Query<Filters>,
) -> PageResult {
    let status = listing::word(&filters.status)?;
    let (reason, order) = (listing::text(&filters.reason), listing::text(&filters.order));
    let filter = PostbackFilter {
        scope: actor.role.scope(),
        status,
        reason: reason.clone(),
        order_id: order.clone(),
        before: listing::id(&filters.before)?,
        click: None,
        integration: None,
    };
    let mut conn = actor.network(&dashboard.db).await?;
    let network = networks::current(&mut conn).await?;
    let found = postbacks::list(&mut conn, &filter, listing::ASK).await?;
    // The form asks for all that fit, whatever their order.
    let may_replay = actor.may(Permission::DecideConversions) && order.is_none();
    // The page that asks for itself every second takes the list of postbacks out of it and nothing else.
    let is_refresh = request.headers().contains_key("HX-Request");
    let known = match may_replay && !is_refresh {
        true => advertisers::active(&mut conn).await?,
        false => Vec::new(),
    };
    conn.commit().await?;

    let kept = [
        ("status", filters.status.as_str()),
        ("reason", filters.reason.as_str()),
        ("order", filters.order.as_str()),
    ];
    let (found, older) = listing::cut(found, "/postbacks", &kept, |(row, _)| row.id);
    let now = clock::now();
    let everyone = std::iter::once((String::new(), "Every advertiser".to_owned()));
    let known = known.into_iter().map(|it| (it.id.to_string(), it.name));
    page(&List {
        shell: Shell::new(
            &dashboard,
            &request,
            &actor,
            &network,
            "Postbacks",
            "Inbound postbacks",
        ),
        may_replay,
        advertisers: Choice::list(everyone.chain(known), ""),
        tabs: listing::tabs("/postbacks", PostbackStatus::ALL, status),
        reason,
        conversions: order
            .as_deref()
            .filter(|_| actor.may(Permission::SeeConversions))
            .map(urls::order),
        order,
        rows: found
            .into_iter()
            .map(|(it, advertiser)| PostbackRow::new(it, advertiser, now, &network))
            .collect(),
        older,
    })
}

/// `GET /postbacks/{id}`
pub(super) async fn show(
    request: HttpRequest,
    dashboard: web::Data<Dashboard>,
    actor: Allowed<needs::SeePostbacks>,
    path: web::Path<String>,
) -> PageResult {
    let postback_id: PostbackId = id(&path)?;
    let mut conn = actor.network(&dashboard.db).await?;
    let network = networks::current(&mut conn).await?;
    let found = postbacks::find(&mut conn, actor.role.scope(), postback_id).await?;
    conn.commit().await?;
    let postback = found.ok_or(PageError::NotFound)?;
    let title = format!("Postback {}", format::short_id(&postback.id.to_string()));
    page(&Show {
        shell: Shell::new(&dashboard, &request, &actor, &network, "Postbacks", &title),
        time: TimeCell::new(postback.received_at, clock::now(), &network),
        facts: facts(&postback),
        click: postback.click_id.map(|key| {
            let id = ClickId {
                network_id: network.id,
                key,
            };
            urls::click(&dashboard.click_ids.write(id, network.click_key))
        }),
        reason_url: urls::reason(&postback.reason),
        request_text: request_text(&postback),
        took: format::duration(postback.took_us),
        steps: Trace::from_text(&postback.trace)
            .steps()
            .iter()
            .filter(|step| step.is_for(&actor))
            .map(StepRow::new)
            .collect(),
        system: dialects::of_key(&postback.dialect).map_or("unknown", |dialect| dialect.name),
        may_replay: actor.may(Permission::DecideConversions) && postback.status == PostbackStatus::Rejected,
        decided_anew: postback
            .decided_at
            .map(|at| TimeCell::new(at, clock::now(), &network)),
        postback,
    })
}

/// What was understood of the call, in the order of the documentation; what was not sent says so.
fn facts(postback: &StoredPostback) -> Vec<(&'static str, String)> {
    let amount = match (
        postback.amount_micros,
        postback.currency.as_deref().map(str::parse),
    ) {
        (Some(micros), Some(Ok(currency))) => Some(format::money(Money { micros, currency })),
        (Some(micros), _) => Some(format::number(micros)),
        (None, _) => None,
    };
    let mut facts: Vec<_> = [
        ("order_id", postback.order_id.clone()),
        ("amount", amount),
        ("currency", postback.currency.clone()),
        ("Conversion", postback.conversion_id.map(|id| id.to_string())),
        ("Sent from", postback.remote_ip.map(|net| net.addr().to_string())),
    ]
    .into_iter()
    .map(|(name, value)| (name, value.unwrap_or_else(|| "—".to_owned())))
    .collect();
    if postback.extra.as_object().is_some_and(|extra| !extra.is_empty()) {
        facts.push(("Kept besides", postback.extra.to_string()));
    }
    facts
}

/// The call as it came over the wire, as far as it was kept.
fn request_text(postback: &StoredPostback) -> String {
    let mut text = format!("{} {}\n", postback.method, postback.target);
    if let Some(content_type) = &postback.content_type {
        text.push_str(&format!("Content-Type: {content_type}\n"));
    }
    if !postback.body.is_empty() {
        text.push('\n');
        text.push_str(&String::from_utf8_lossy(&postback.body));
    }
    text
}

/// A row of a table of postbacks.
pub(crate) struct PostbackRow {
    pub(crate) time: TimeCell,
    pub(crate) id: String,
    pub(crate) url: String,
    pub(crate) short_id: String,
    pub(crate) status: &'static str,
    pub(crate) http_status: i32,
    pub(crate) reason: String,
    pub(crate) message: String,
    pub(crate) method: String,
    pub(crate) advertiser: String,
    pub(crate) order_id: String,
    pub(crate) took: String,
}

impl PostbackRow {
    pub(crate) fn new(
        postback: PostbackSummary,
        advertiser: Option<String>,
        now: DateTime<Utc>,
        network: &Network,
    ) -> Self {
        Self {
            time: TimeCell::new(postback.received_at, now, network),
            id: postback.id.to_string(),
            url: urls::postback(postback.id),
            short_id: format::short_id(&postback.id.to_string()),
            status: postback.status.as_str(),
            http_status: postback.http_status,
            reason: postback.reason,
            message: postback.message,
            method: postback.method,
            advertiser: advertiser.unwrap_or_else(|| "unknown".to_owned()),
            order_id: postback.order_id.unwrap_or_else(|| "—".to_owned()),
            took: format::duration(postback.took_us),
        }
    }
}

#[derive(Template)]
#[template(path = "postbacks/postback/list.html")]
struct List {
    shell: Shell,
    may_replay: bool,
    advertisers: Vec<Choice>,
    tabs: Vec<Tab>,
    reason: Option<String>,
    order: Option<String>,
    /// The conversions of that order, for those who may see them.
    conversions: Option<String>,
    rows: Vec<PostbackRow>,
    older: Option<String>,
}

#[derive(Template)]
#[template(path = "postbacks/postback/show.html")]
struct Show {
    shell: Shell,
    time: TimeCell,
    facts: Vec<(&'static str, String)>,
    click: Option<String>,
    reason_url: String,
    request_text: String,
    took: String,
    steps: Vec<StepRow>,
    system: &'static str,
    decided_anew: Option<TimeCell>,
    may_replay: bool,
    postback: StoredPostback,
}

/// A step of the decision, as the page tells it.
struct StepRow {
    check: String,
    badge: &'static str,
    found: &'static str,
    words: String,
}

impl StepRow {
    fn new(step: &Step) -> Self {
        let (badge, found) = match step.1 {
            Found::Good => ("accepted", "good"),
            Found::Tolerated => ("held", "let pass"),
            Found::Noted => ("duplicate", "noted"),
        };
        Self {
            check: step.0.clone(),
            badge,
            found,
            words: step.2.clone(),
        }
    }
}
