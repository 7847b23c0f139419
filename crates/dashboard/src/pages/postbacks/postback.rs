//! Received postbacks: the list, and one postback with its request, its verdict, and the steps of the decision.

use actix_web::web;
use askama::Template;
use postbacks::trace::{CheckResult, Step};
use postbacks::{Incomplete, PostbackFilter, PostbackStatus, PostbackSummary, SentValues, StoredPostback};
use schema::PostbackId;
use serde::Deserialize;
use tenancy::{Permission, advertisers, needs};

use super::contradictions::{self, Difference};
use crate::error::PageError;
use crate::forms::Choice;
use crate::listing::{self, Tab};
use crate::page::{Frame, Page};
use crate::pages::id;
use crate::shell::{PageResult, Shell, TimeCell, html};
use crate::{format, urls};

/// Filters of the list, from the query string.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Filters {
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
pub(super) async fn list(mut page: Page<needs::SeePostbacks>, filters: web::Query<Filters>) -> PageResult {
    let status = listing::word(&filters.status)?;
    let (reason, order) = (listing::text(&filters.reason), listing::text(&filters.order));
    let filter = PostbackFilter {
        scope: page.actor.scope(),
        status,
        reason: reason.clone(),
        order_id: order.clone(),
        before: listing::id(&filters.before)?,
        ..PostbackFilter::default()
    };
    let found = postbacks::list(&mut page.conn, &filter, listing::QUERIED).await?;
    // The replay form applies to all postbacks of the filters; it has no filter by order ID.
    let may_replay = page.actor.may(Permission::DecideConversions) && order.is_none();
    // The request that refreshes the page every second uses the list of postbacks only.
    let is_refresh = page.request.http.headers().contains_key("HX-Request");
    let (differences, different) = if is_refresh {
        (Vec::new(), 0)
    } else {
        contradictions::open(&mut page).await?
    };
    let advertisers = if may_replay && !is_refresh {
        advertisers::active(&mut page.conn).await?
    } else {
        Vec::new()
    };
    let frame = page.commit().await?;

    let kept = [
        ("status", filters.status.as_str()),
        ("reason", filters.reason.as_str()),
        ("order", filters.order.as_str()),
    ];
    let (found, older) = listing::cut(found, "/postbacks", &kept, |(row, _)| row.id);
    let all = std::iter::once((String::new(), "All advertisers".to_owned()));
    let advertisers = advertisers
        .into_iter()
        .map(|advertiser| (advertiser.id.to_string(), advertiser.name));
    html(&List {
        shell: frame.shell("Postbacks", "Inbound postbacks"),
        may_replay,
        differences,
        different,
        advertisers: Choice::list(all.chain(advertisers), ""),
        tabs: listing::tabs("/postbacks", PostbackStatus::ALL, status),
        reason,
        conversions: order
            .as_deref()
            .filter(|_| frame.actor.may(Permission::SeeConversions))
            .map(urls::order),
        order,
        rows: found
            .into_iter()
            .map(|(postback, advertiser)| PostbackRow::new(postback, advertiser, &frame))
            .collect(),
        older,
    })
}

/// `GET /postbacks/{id}`
pub(super) async fn show(mut page: Page<needs::SeePostbacks>, path: web::Path<String>) -> PageResult {
    let postback_id: PostbackId = id(&path)?;
    let found = postbacks::find(&mut page.conn, page.actor.scope(), postback_id).await?;
    let postback = found.ok_or(PageError::NotFound)?;
    let difference = postbacks::contradictions::of(&mut page.conn, postback_id).await?;
    let frame = page.commit().await?;
    let title = format!("Postback {}", format::short_id(&postback.id.to_string()));
    html(&Show {
        shell: frame.shell("Postbacks", &title),
        time: frame.time(postback.received_at),
        facts: facts(&postback),
        has_click: postback.click_id.is_some(),
        click: postback.click_id.and_then(|key| frame.click_url(key)),
        reason_url: urls::reason(&postback.reason),
        request_text: request_text(&postback),
        incomplete: postback.incomplete.map(Incomplete::meaning),
        took: format::response_duration(postback.took_us),
        steps: postback
            .trace()
            .steps()
            .iter()
            .filter(|step| step.is_for(&frame.actor))
            .map(StepRow::new)
            .collect(),
        system: dialects::of_key(&postback.dialect).map_or("unknown", |dialect| dialect.name),
        may_replay: frame.actor.may(Permission::DecideConversions)
            && postback.status == PostbackStatus::Rejected,
        may_settle: frame.actor.may(Permission::DecideConversions),
        difference: difference.map(Difference::from),
        decided_anew: postback.decided_at.map(|at| frame.time(at)),
        postback,
    })
}

/// Values that a postback sent, by our names, and further parameters by the sender's.
fn facts(postback: &StoredPostback) -> Vec<(String, String)> {
    let sent = SentValues::of(postback);
    let items = sent.items.iter().map(|item| {
        let parts = [
            item.sku.clone(),
            item.name.clone(),
            item.category.clone(),
            item.quantity.map(|quantity| format!("× {quantity}")),
            item.amount.map(|amount| amount.to_string()),
        ];
        let parts: Vec<_> = parts.into_iter().flatten().collect();
        ("item".to_owned(), parts.join(" · "))
    });
    let others = [
        ("Conversion", postback.conversion_id.map(|id| id.to_string())),
        ("Sent from", postback.remote_ip.map(|net| net.addr().to_string())),
    ];
    let others = others
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value.unwrap_or_else(|| "—".to_owned())));
    sent.values
        .iter()
        .map(|(name, value)| (name.to_string(), value.clone()))
        .chain(items)
        .chain(sent.further.iter().cloned())
        .chain(others)
        .collect()
}

/// Raw request, as far as it is stored.
fn request_text(postback: &StoredPostback) -> String {
    if postback.incomplete == Some(Incomplete::Removed) {
        return String::new();
    }
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

/// Row of a table of postbacks.
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
    pub(crate) fn new<P>(postback: PostbackSummary, advertiser: Option<String>, frame: &Frame<P>) -> Self {
        Self {
            time: frame.time(postback.received_at),
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
            took: format::response_duration(postback.took_us).unwrap_or_else(|| "—".to_owned()),
        }
    }
}

#[derive(Template)]
#[template(path = "postbacks/postback/list.html")]
struct List {
    shell: Shell,
    may_replay: bool,
    differences: Vec<Difference>,
    /// Number of all open differences.
    different: i64,
    advertisers: Vec<Choice>,
    tabs: Vec<Tab>,
    reason: Option<String>,
    order: Option<String>,
    /// URL of the conversions of that order. None without an order or the permission.
    conversions: Option<String>,
    rows: Vec<PostbackRow>,
    older: Option<String>,
}

#[derive(Template)]
#[template(path = "postbacks/postback/show.html")]
struct Show {
    shell: Shell,
    time: TimeCell,
    facts: Vec<(String, String)>,
    has_click: bool,
    /// URL of the click. None for those who do not see clicks.
    click: Option<String>,
    reason_url: String,
    request_text: String,
    incomplete: Option<&'static str>,
    took: Option<String>,
    steps: Vec<StepRow>,
    system: &'static str,
    decided_anew: Option<TimeCell>,
    may_replay: bool,
    may_settle: bool,
    difference: Option<Difference>,
    postback: StoredPostback,
}

/// Row of the steps of a decision.
struct StepRow {
    check: String,
    badge: &'static str,
    found: &'static str,
    words: String,
}

impl StepRow {
    fn new(step: &Step) -> Self {
        let (badge, found) = match step.1 {
            CheckResult::Passed => ("accepted", "passed"),
            CheckResult::Tolerated => ("held", "flagged"),
            CheckResult::Noted => ("duplicate", "noted"),
        };
        Self {
            check: step.0.clone(),
            badge,
            found,
            words: step.2.clone(),
        }
    }
}
