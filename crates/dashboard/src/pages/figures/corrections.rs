//! Corrections of many conversions: of ticked rows, by a list of order IDs, a file or a filter; the effect first, undo after.

use std::hash::{DefaultHasher, Hash, Hasher};

use actix_web::web;
use askama::Template;
use conversions::{
    BulkReport, ConversionFilter, ConversionStatus, CorrectionDraft, CorrectionRequest, ReasonCode, Seen,
    SeenVersions, Selection,
};
use schema::WaitingCorrectionId;
use serde::Deserialize;
use tenancy::{ChangeError, Draft, needs};
use uuid::Uuid;

use super::conversion::WaitingRow;
use crate::error::PageError;
use crate::forms::{Choice, field_errors, status};
use crate::listing;
use crate::page::{Page, Submitted};
use crate::pages::id;
use crate::pages::network::import::file;
use crate::shell::{PageResult, Shell, done, html_with};
use crate::{format, labels, urls};

/// Maximum number of waiting corrections on the page.
const LIMIT: i64 = 200;
/// Fields of the form.
const FIELDS: [&str; 9] = [
    "action",
    "ids",
    "orders",
    "csv",
    "status",
    "review",
    "reason_code",
    "reason",
    "seen",
];
/// Decisions on many conversions, with their labels.
const ACTIONS: [(&str, &str); 4] = [
    ("approve", "Approve"),
    ("reject", "Reject or reverse"),
    ("hold", "Hold"),
    ("release", "Release to the advertiser"),
];

/// Filter of the conversions to correct, and corrections that were made, from the query string.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Query {
    #[serde(default)]
    status: String,
    #[serde(default)]
    review: String,
    #[serde(default)]
    batch: String,
}

/// `GET /conversions/corrections`
pub(super) async fn show(page: Page<needs::DecideConversions>, query: web::Query<Query>) -> PageResult {
    let mut form = Draft::default();
    form.set("status", &*query.status);
    form.set("review", &*query.review);
    let batch = query.batch.parse().ok();
    render(page, form, None, batch).await
}

/// `POST /conversions/corrections`: previews corrections; with `confirm`, makes those of the preview, in the versions that it
/// showed.
pub(super) async fn submit(Submitted(mut page, form): Submitted<needs::DecideConversions>) -> PageResult {
    let mut draft = form.draft("", &FIELDS);
    draft.set("csv", file(&form));
    draft.set("ids", form.all("ids").join(","));
    let (author, now) = (page.actor.author(), page.now);
    // What was changed in the form since the preview is previewed first.
    let is_confirmed = form.get("confirm") == previewed(&draft);
    let seen = is_confirmed.then(|| versions(draft.of("seen")));
    let is_preview = seen.is_none();
    let corrected = match (request(&draft), &seen) {
        (Ok(Request::File(text)), seen) => {
            let seen = seen.as_ref().map_or(Seen::Preview, Seen::Versions);
            conversions::correct_file(&mut page.conn, &author, &text, seen, now).await
        }
        (Ok(Request::Selected(selection, request)), seen) => {
            let selection = seen.as_ref().map_or(selection, |seen| {
                Selection::Ids(seen.iter().map(|(id, version)| (*id, Some(*version))).collect())
            });
            let conn = &mut page.conn;
            conversions::correct_all(conn, &author, &selection, &request, is_preview, now).await
        }
        (Err(error), _) => Err(error),
    };
    match corrected {
        Ok(report) if !is_preview => {
            page.commit().await?;
            let made = format!("{} corrected.", conversions_in_words(report.changed));
            let waiting = match report.waiting {
                0 => String::new(),
                waiting => format!(" {waiting} wait for a second user."),
            };
            done(&urls::corrected(report.batch), &(made + &waiting))
        }
        Ok(report) => {
            let seen = report.versions.iter();
            let seen: Vec<String> = seen.map(|(id, version)| format!("{id} {version}")).collect();
            draft.set("seen", seen.join(","));
            let page = page.reopen().await?;
            render(page, draft, Some(report), None).await
        }
        Err(error) => {
            draft.errors = field_errors(error)?;
            let page = page.reopen().await?;
            render(page, draft, None, None).await
        }
    }
}

/// `POST /conversions/corrections/undo`
pub(super) async fn undo(Submitted(mut page, form): Submitted<needs::DecideConversions>) -> PageResult {
    let batch: Uuid = form.get("batch").parse().map_err(|_| PageError::NotFound)?;
    let (author, now) = (page.actor.author(), page.now);
    let report = conversions::undo_all(&mut page.conn, &author, batch, now).await?;
    page.commit().await?;
    let undone = format!("{} undone.", conversions_in_words(report.changed));
    done("/conversions", &undone)
}

/// `1 conversion was`, `12 conversions were`.
fn conversions_in_words(number: usize) -> String {
    match number {
        1 => "1 conversion was".to_owned(),
        number => format!("{number} conversions were"),
    }
}

/// `POST /conversions/corrections/waiting` with `decision=approve` or `decline`: decides as the second user.
pub(super) async fn decide_waiting(
    Submitted(mut page, form): Submitted<needs::DecideConversions>,
) -> PageResult {
    let waiting: WaitingCorrectionId = id(form.get("id"))?;
    let approve = form.get("decision") == "approve";
    let (author, now) = (page.actor.author(), page.now);
    conversions::decide_waiting(&mut page.conn, &author, waiting, approve, now).await?;
    page.commit().await?;
    let sentence = if approve {
        "The correction was made."
    } else {
        "The correction was declined. The conversion is unchanged."
    };
    done(urls::local(form.get("here")), sentence)
}

/// Number of the action or file that is previewed.
fn previewed(draft: &Draft) -> String {
    let mut hasher = DefaultHasher::new();
    (draft.of("action"), draft.of("csv")).hash(&mut hasher);
    format!("{:016x}", hasher.finish())
}

/// Versions of the conversions of a preview: `id version`, separated by commas.
fn versions(text: &str) -> SeenVersions {
    let pairs = text.split(',').filter_map(|pair| pair.split_once(' '));
    pairs
        .filter_map(|(id, version)| Some((id.parse().ok()?, version.parse().ok()?)))
        .collect()
}

/// Corrections that a form asks for.
enum Request {
    File(String),
    Selected(Selection, CorrectionRequest),
}

fn request(draft: &Draft) -> Result<Request, ChangeError> {
    if !draft.of("csv").is_empty() {
        return Ok(Request::File(draft.of("csv").to_owned()));
    }
    let decision = CorrectionDraft {
        action: draft.of("action").to_owned(),
        ..CorrectionDraft::default()
    };
    let reason = conversions::reason(draft.of("reason_code"))?;
    let request = CorrectionRequest::of(decision.decision()?, reason, draft.of("reason"))?;
    let ticked = draft.of("ids");
    if !ticked.is_empty() {
        let ids = versions(ticked);
        let ids = ids.into_iter().map(|(id, version)| (id, Some(version)));
        return Ok(Request::Selected(Selection::Ids(ids.collect()), request));
    }
    let orders: Vec<String> = draft
        .of("orders")
        .lines()
        .map(|line| line.trim().to_owned())
        .filter(|line| !line.is_empty())
        .collect();
    if !orders.is_empty() {
        return Ok(Request::Selected(Selection::Orders(orders), request));
    }
    let status: Option<ConversionStatus> = match draft.of("status") {
        "" => None,
        word => Some(
            word.parse()
                .map_err(|error: String| ChangeError::field("orders", error))?,
        ),
    };
    let in_review = draft.of("review") == "yes";
    if status.is_none() && !in_review {
        let message = "Enter order IDs, or choose a file.";
        return Err(ChangeError::field("orders", message));
    }
    let filter = ConversionFilter {
        status,
        in_review,
        ..ConversionFilter::default()
    };
    Ok(Request::Selected(Selection::Filter(Box::new(filter)), request))
}

async fn render<P>(
    mut page: Page<P>,
    form: Draft,
    preview: Option<BulkReport>,
    batch: Option<Uuid>,
) -> PageResult {
    let waiting = conversions::waiting(&mut page.conn, page.actor.scope(), None, LIMIT).await?;
    let frame = page.commit().await?;
    let choose = |options: &mut dyn Iterator<Item = (&'static str, &'static str)>, chosen: &str| {
        let options: Vec<_> = options.collect();
        Choice::list(options, chosen)
    };
    let reasons = ReasonCode::ALL
        .iter()
        .map(|code| (code.as_str(), labels::reason(*code)));
    let ticked = versions(form.of("ids")).len();
    let selected = match (form.of("status"), form.of("review")) {
        _ if ticked == 1 => Some("1 selected conversion".to_owned()),
        _ if ticked > 0 => Some(format!("{ticked} selected conversions")),
        (_, "yes") => Some("All conversions in review".to_owned()),
        ("", _) => None,
        (status, _) => Some(format!("All {status} conversions")),
    };
    html_with(
        status(&form.errors),
        &Corrections {
            shell: frame.shell("Conversions", "Correct conversions"),
            actions: choose(&mut ACTIONS.into_iter(), form.of("action")),
            reasons: choose(
                &mut std::iter::once(("", "No reason")).chain(reasons),
                form.of("reason_code"),
            ),
            selected: selected.filter(|_| listing::word::<ConversionStatus>(form.of("status")).is_ok()),
            money: preview
                .iter()
                .flat_map(|report| &report.money)
                .map(|(commission, revenue)| (format::money(*commission), format::money(*revenue)))
                .collect(),
            waiting: waiting
                .into_iter()
                .map(|waiting| WaitingRow::new(waiting, &frame))
                .collect(),
            previewed: previewed(&form),
            preview,
            batch,
            form,
        },
    )
}

#[derive(Template)]
#[template(path = "figures/conversions/corrections.html")]
struct Corrections {
    shell: Shell,
    form: Draft,
    actions: Vec<Choice>,
    reasons: Vec<Choice>,
    /// Conversions that were ticked, or those of the filter, in words. None if the form is for a list or a file.
    selected: Option<String>,
    preview: Option<BulkReport>,
    /// Number of the previewed action or file, which confirms it.
    previewed: String,
    money: Vec<(String, String)>,
    /// Corrections that wait for a second user.
    waiting: Vec<WaitingRow>,
    /// Corrections that were just made.
    batch: Option<Uuid>,
}
