//! One conversion: its state, everything that was stated about it, its ledger entries, and corrections of it.

use actix_web::http::StatusCode;
use actix_web::web;
use askama::Template;
use conversions::ledger::{self, LedgerEntry};
use conversions::{
    Conversion, ConversionFilter, ConversionStatus, Correction, CorrectionDraft, CorrectionRequest,
    NamedConversion, ReasonCode, Source, Statement, WaitingCorrection,
};
use schema::ConversionId;
use tenancy::{Author, ChangeError, Draft, Permission, needs};

use super::conversions::review;
use crate::error::PageError;
use crate::forms::{Choice, field_errors, status};
use crate::page::{Frame, Page, Submitted};
use crate::pages::id;
use crate::shell::{PageResult, Shell, TimeCell, html_with, saved};
use crate::{format, labels, urls};

/// Fields of the form for corrections.
const FIELDS: [&str; 8] = [
    "action",
    "undo",
    "amount",
    "commission",
    "revenue",
    "link",
    "reason_code",
    "reason",
];

/// `GET /conversions/{id}`
pub(super) async fn show(page: Page<needs::SeeConversions>, path: web::Path<String>) -> PageResult {
    let conversion_id: ConversionId = id(&path)?;
    render(page, conversion_id, Draft::default()).await
}

/// `POST /conversions/{id}/corrections`
pub(super) async fn correct(
    Submitted(mut page, form): Submitted<needs::DecideConversions>,
    path: web::Path<String>,
) -> PageResult {
    let conversion_id: ConversionId = id(&path)?;
    let mut draft = form.draft("", &FIELDS);
    let version = form.get("version").parse().ok();
    let (author, now) = (page.actor.author(), page.now);
    let corrected = page
        .conn
        .attempt(async |conn| {
            let request = request(conn, &author, conversion_id, &draft, version).await?;
            conversions::propose(conn, &author, conversion_id, &request, now).await
        })
        .await;
    match corrected {
        Ok(_) => {
            page.commit().await?;
            saved(&urls::conversion(conversion_id))
        }
        Err(error) => {
            draft.errors = field_errors(error)?;
            render(page, conversion_id, draft).await
        }
    }
}

async fn request(
    conn: &mut schema::NetworkConn,
    author: &Author,
    id: ConversionId,
    draft: &Draft,
    version: Option<i32>,
) -> Result<CorrectionRequest, ChangeError> {
    let text = |field: &'static str| draft.of(field).to_owned();
    let correction = CorrectionDraft {
        action: text("action"),
        amount: text("amount"),
        commission: text("commission"),
        revenue: text("revenue"),
        link: text("link"),
    };
    let correction = match draft.of("undo").parse() {
        Ok(statement) => Correction::Undo(statement),
        Err(_) => correction.check(conn, author, id).await?,
    };
    let reason_code = conversions::reason(draft.of("reason_code"))?;
    Ok(CorrectionRequest {
        version,
        ..CorrectionRequest::of(correction, reason_code, draft.of("reason"))?
    })
}

async fn render<P: tenancy::Need>(mut page: Page<P>, id: ConversionId, form: Draft) -> PageResult {
    let scope = page.actor.scope();
    let filter = ConversionFilter {
        scope,
        id: Some(id),
        ..ConversionFilter::default()
    };
    let found = conversions::list(&mut page.conn, &filter, 1).await?.pop();
    let named = found.ok_or(PageError::NotFound)?;
    let statements = conversions::statements(&mut page.conn, named.conversion.clone()).await?;
    let entries = ledger::of_conversion(&mut page.conn, scope, id).await?;
    let may_correct = page.actor.may(Permission::DecideConversions);
    let waiting = if may_correct {
        conversions::waiting(&mut page.conn, scope, Some(id), 1).await?
    } else {
        Vec::new()
    };
    let frame = page.commit().await?;
    let is_held = named.conversion.review_because == Some(conversions::ReviewBecause::Person);
    let decided = last_decision(&statements);
    let code = if form.errors.is_empty() {
        StatusCode::OK
    } else {
        status(&form.errors)
    };
    let title = format!("Conversion {}", format::short_id(&id.to_string()));
    html_with(
        code,
        &Show {
            shell: frame.shell("Conversions", &title),
            facts: facts(&named, &frame),
            has_click: named.conversion.click_id.is_some(),
            click: named.conversion.click_id.and_then(|key| frame.click_url(key)),
            postback: frame
                .actor
                .may(Permission::SeePostbacks)
                .then(|| urls::postback(named.conversion.postback_id)),
            review: named
                .conversion
                .review_because
                .filter(|_| scope.is_staff())
                .map(|because| review(because, &named.conversion)),
            statements: statements
                .iter()
                .filter(|statement| statement.is_for(&frame.actor, named.conversion.currency))
                .map(|statement| StatementRow::new(statement, &named.conversion, &frame))
                .collect(),
            entries: entries
                .iter()
                .map(|entry| LedgerRow::new(entry, &frame))
                .collect(),
            reasons: std::iter::once(("", "No reason"))
                .chain(
                    ReasonCode::ALL
                        .iter()
                        .map(|code| (code.as_str(), labels::reason(*code))),
                )
                .map(|(value, label)| Choice {
                    chosen: value == form.of("reason_code"),
                    value: value.to_owned(),
                    label: label.to_owned(),
                })
                .collect(),
            may_approve: named.conversion.status != ConversionStatus::Approved,
            may_reject: named.conversion.status.counts(),
            may_hold: !is_held,
            may_release: decided || is_held,
            sees_commission: frame.actor.may(Permission::SeeCommission),
            sees_revenue: frame.actor.may(Permission::SeeRevenue),
            waiting: waiting
                .into_iter()
                .map(|waiting| WaitingRow::new(waiting, &frame))
                .collect(),
            may_correct,
            action: urls::corrections(id),
            conversion: named.conversion,
            form,
        },
    )
}

/// True if a user's decision on the status is in force.
fn last_decision(statements: &[Statement]) -> bool {
    let changes = statements.iter().map(|statement| &statement.change);
    let mut decisions = changes
        .filter(|change| change.source == Source::Person && (change.status.is_some() || change.is_released));
    decisions
        .next_back()
        .is_some_and(|decision| !decision.is_released)
}

/// Values of a conversion. A dash stands for an absent value.
fn facts<P>(named: &NamedConversion, frame: &Frame<P>) -> Vec<(&'static str, String)> {
    let conversion = &named.conversion;
    let full = |at| frame.time(at).full;
    let mut facts = vec![
        ("Campaign", Some(named.campaign.clone())),
        ("Goal", Some(named.goal.clone())),
        ("Affiliate", Some(named.affiliate.clone())),
        ("Received", Some(full(conversion.converted_at))),
        ("Last change", Some(full(conversion.changed_at))),
        ("Attributed by", Some(conversion.attributed_by.to_string())),
        ("Order ID", conversion.order_id.clone()),
        ("Coupon", conversion.coupon.clone()),
        ("Country", conversion.country.clone()),
        ("Amount after refunds", conversion.amount().map(format::money)),
    ];
    if frame.actor.may(Permission::SeeCommission) {
        facts.push(("Commission", Some(format::money(conversion.commission()))));
    }
    if frame.actor.may(Permission::SeeRevenue) {
        facts.push(("Revenue", Some(format::money(conversion.revenue()))));
    }
    if let Some(because) = &conversion.unpaid_because {
        facts.push(("Not paid", Some(because.replace('_', " "))));
    }
    if let Some(until) = conversion
        .hold_until
        .filter(|_| conversion.review_because.is_none())
    {
        facts.push(("Approved automatically", Some(full(until))));
    }
    facts
        .into_iter()
        .map(|(name, value)| (name, value.unwrap_or_else(|| "—".to_owned())))
        .collect()
}

struct StatementRow {
    time: TimeCell,
    event_time: Option<String>,
    by: String,
    says: String,
    effect: String,
    reason: String,
    has_effect: bool,
    /// ID of a user's correction that can be undone. None for other statements, or without the permission.
    undo: Option<String>,
}

impl StatementRow {
    fn new<P>(statement: &Statement, conversion: &Conversion, frame: &Frame<P>) -> Self {
        let change = &statement.change;
        let by = match change.source {
            Source::Report | Source::Postback if statement.is_shown_as_unproven(&frame.actor) => {
                "Sender without a token".to_owned()
            }
            Source::Report | Source::Postback => "Advertiser".to_owned(),
            Source::Person => match &change.author {
                Some(author) if frame.actor.scope().is_staff() => author.clone(),
                _ => "Network".to_owned(),
            },
            Source::Hold | Source::Parent => "Clickledger".to_owned(),
        };
        let code = change.reason_code.map(labels::reason);
        let reason = [code.map(str::to_owned), change.reason.clone()];
        Self {
            time: frame.time(change.changed_at),
            event_time: change.event_time.map(|at| frame.time(at).full),
            by,
            says: statement.says(&frame.actor, conversion.currency),
            effect: statement.effect(&frame.actor, conversion.currency),
            reason: reason.into_iter().flatten().collect::<Vec<_>>().join(": "),
            has_effect: statement.without_effect.is_none(),
            undo: (statement.may_be_undone && frame.actor.may(Permission::DecideConversions))
                .then(|| change.id.to_string()),
        }
    }
}

/// Correction that waits for a second user.
pub(super) struct WaitingRow {
    pub(super) id: String,
    pub(super) time: TimeCell,
    pub(super) url: String,
    pub(super) conversion: String,
    pub(super) action: &'static str,
    pub(super) effect: String,
    pub(super) author: String,
    pub(super) reason: String,
}

impl WaitingRow {
    pub(super) fn new<P>(waiting: WaitingCorrection, frame: &Frame<P>) -> Self {
        let code = waiting.reason_code.map(|code| labels::reason(code).to_owned());
        let action = waiting.correction().map_or("unreadable", Correction::name);
        Self {
            id: waiting.id.to_string(),
            time: frame.time(waiting.requested_at),
            url: urls::conversion(waiting.conversion_id),
            conversion: format::short_id(&waiting.conversion_id.to_string()),
            action,
            effect: waiting.effect,
            author: waiting.author,
            reason: code
                .into_iter()
                .chain(waiting.reason)
                .collect::<Vec<_>>()
                .join(": "),
        }
    }
}

/// Row of a table of ledger entries.
pub(super) struct LedgerRow {
    pub(super) time: TimeCell,
    pub(super) kind: &'static str,
    pub(super) url: Option<String>,
    pub(super) conversion: String,
    pub(super) state: &'static str,
    pub(super) commission: String,
    pub(super) revenue: String,
}

impl LedgerRow {
    pub(super) fn new<P>(entry: &LedgerEntry, frame: &Frame<P>) -> Self {
        let moves = |pending: i64, payable: i64| (pending != 0, payable != 0);
        let state = match (
            moves(entry.commission_pending_micros, entry.commission_payable_micros),
            moves(entry.revenue_pending_micros, entry.revenue_payable_micros),
        ) {
            ((true, true), _) | (_, (true, true)) => "pending → payable",
            ((_, true), _) | (_, (_, true)) => "payable",
            _ => "pending",
        };
        let state = if entry.kind == ledger::EntryKind::Reopened {
            "payable → pending"
        } else {
            state
        };
        Self {
            time: frame.time(entry.booked_at),
            kind: entry.kind.as_str(),
            url: entry.conversion_id.map(urls::conversion),
            conversion: entry
                .conversion_id
                .map_or("—".to_owned(), |id| format::short_id(&id.to_string())),
            state,
            commission: format::money(entry.commission()),
            revenue: format::money(entry.revenue()),
        }
    }
}

#[derive(Template)]
#[template(path = "figures/conversions/show.html")]
struct Show {
    shell: Shell,
    conversion: Conversion,
    facts: Vec<(&'static str, String)>,
    has_click: bool,
    /// URL of the click. None for those who do not see clicks.
    click: Option<String>,
    postback: Option<String>,
    review: Option<String>,
    statements: Vec<StatementRow>,
    entries: Vec<LedgerRow>,
    reasons: Vec<Choice>,
    /// Correction that waits for a second user.
    waiting: Vec<WaitingRow>,
    may_correct: bool,
    may_approve: bool,
    may_reject: bool,
    may_hold: bool,
    may_release: bool,
    sees_commission: bool,
    sees_revenue: bool,
    action: String,
    form: Draft,
}
