//! Exchange rates: the list with its filters, a form for one rate, CSV files.

use actix_web::web;
use askama::Template;
use chrono::NaiveDate;
use serde::Deserialize;
use tenancy::exchange_rates::{
    self, FIELDS, FetchStatus, ListedRate, RateFilter, RateId, RateSource, parse_day,
};
use tenancy::{Draft, FieldErrors, Permission, needs, networks};

use super::import::{Preview, Settled, file, settle};
use super::settings;
use crate::error::PageError;
use crate::forms;
use crate::listing;
use crate::page::{Frame, Page, Submitted};
use crate::pages::id;
use crate::shell::{PageResult, Shell, TimeCell, csv_file, html_with, saved};

const HOME: &str = "/settings/exchange-rates";
const IMPORT: &str = "/settings/exchange-rates/import";
/// Maximum number of rates of an export.
const EXPORT: i64 = 100_000;
/// Prefix of the fields of the form for one rate, beside those of the filters.
const PREFIX: &str = "new_";

/// Filters of the list, from the query string.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Filters {
    #[serde(default)]
    currency: String,
    #[serde(default)]
    from: String,
    #[serde(default)]
    to: String,
    #[serde(default)]
    after: String,
}

impl Filters {
    fn read(&self) -> Result<RateFilter, PageError> {
        let currency = listing::text(&self.currency);
        let currency = currency.map(|code| code.to_uppercase().parse()).transpose();
        Ok(RateFilter {
            currency: currency
                .map_err(|error: schema::UnknownCurrency| PageError::BadRequest(error.to_string()))?,
            from: day(&self.from)?,
            to: day(&self.to)?,
            after: listing::id(&self.after)?,
        })
    }

    fn kept(&self) -> [(&str, &str); 3] {
        [
            ("currency", &self.currency),
            ("from", &self.from),
            ("to", &self.to),
        ]
    }
}

fn day(text: &str) -> Result<Option<NaiveDate>, PageError> {
    let day = listing::text(text).map(|text| parse_day(&text)).transpose();
    day.map_err(|message| PageError::BadRequest(message.to_owned()))
}

/// `GET /settings/exchange-rates`
pub(super) async fn list(page: Page<needs::SeeReports>, filters: web::Query<Filters>) -> PageResult {
    render(page, filters.into_inner(), Draft::default()).await
}

async fn render<P>(mut page: Page<P>, filters: Filters, draft: Draft) -> PageResult {
    let found = exchange_rates::list(&mut page.conn, &filters.read()?, listing::QUERIED).await?;
    let fetch = exchange_rates::fetch_status(&mut page.conn).await?;
    let frame = page.commit().await?;
    let kept = filters.kept();
    let (found, older) = listing::cut_after(found, HOME, &kept, |rate| rate.id);
    let is_staff = frame.actor.may(Permission::SeeNetwork);
    html_with(
        forms::status(&draft.errors),
        &List {
            shell: frame.shell("Settings", "Exchange rates"),
            tabs: settings::tabs(&frame.actor, HOME),
            export: listing::with_query("/settings/exchange-rates/export.csv", &kept),
            fetch: is_staff.then(|| Fetch::new(&frame, fetch)),
            rows: found
                .into_iter()
                .map(|rate| Row::new(&frame, rate, is_staff))
                .collect(),
            older,
            may_configure: frame.actor.may(Permission::Configure),
            draft,
            filters,
        },
    )
}

/// `POST /settings/exchange-rates`
pub(super) async fn set(Submitted(mut page, form): Submitted<needs::Configure>) -> PageResult {
    let mut draft = form.draft(PREFIX, &FIELDS);
    let author = page.actor.author();
    match exchange_rates::set(&mut page.conn, &author, draft.clone(), page.now).await {
        Ok(_) => {
            page.commit().await?;
            saved(HOME)
        }
        Err(error) => {
            draft.errors = forms::field_errors(error)?;
            render(page.reopen().await?, Filters::default(), draft).await
        }
    }
}

/// `POST /settings/exchange-rates/{id}/remove`
pub(super) async fn remove(
    Submitted(mut page, _): Submitted<needs::Configure>,
    path: web::Path<String>,
) -> PageResult {
    let rate: RateId = id(&path)?;
    exchange_rates::remove(&mut page.conn, &page.actor.author(), rate, page.now).await?;
    page.commit().await?;
    saved(HOME)
}

/// `GET /settings/exchange-rates/export.csv`
pub(super) async fn export(mut page: Page<needs::SeeReports>, filters: web::Query<Filters>) -> PageResult {
    let found = exchange_rates::list(&mut page.conn, &filters.read()?, EXPORT).await?;
    let slug = networks::slug(&mut page.conn).await?;
    page.commit().await?;
    Ok(csv_file(
        &format!("{slug}_exchange_rates.csv"),
        exchange_rates::to_csv(&found),
    ))
}

/// `GET /settings/exchange-rates/import`
pub(super) async fn show_import(page: Page<needs::Configure>) -> PageResult {
    render_import(page, None, String::new(), FieldErrors::default()).await
}

/// `POST /settings/exchange-rates/import`: previews the import of a file; with `confirm`, imports it; with `refused`,
/// returns the refused rows as CSV.
pub(super) async fn import(Submitted(mut page, form): Submitted<needs::Configure>) -> PageResult {
    let text = file(&form);
    let report = exchange_rates::import(&mut page.conn, &page.actor.author(), text, page.now).await;
    match settle(page, &form, report, "exchange_rates", HOME).await? {
        Settled::Done(response) => Ok(response),
        Settled::Preview(page, preview, errors) => {
            render_import(*page, preview, text.to_owned(), errors).await
        }
    }
}

async fn render_import<P>(
    page: Page<P>,
    preview: Option<Preview>,
    csv: String,
    errors: FieldErrors,
) -> PageResult {
    let frame = page.commit().await?;
    html_with(
        forms::status(&errors),
        &Import {
            shell: frame.shell("Settings", "Import exchange rates"),
            tabs: settings::tabs(&frame.actor, HOME),
            action: IMPORT,
            preview,
            csv,
            errors,
        },
    )
}

/// Progress of the task that fetches reference rates.
struct Fetch {
    fetched: Option<TimeCell>,
    tried: Option<TimeCell>,
    problem: String,
}

impl Fetch {
    fn new<P>(frame: &Frame<P>, status: Option<FetchStatus>) -> Self {
        Self {
            fetched: status
                .as_ref()
                .and_then(|status| status.fetched_at)
                .map(|at| frame.time(at)),
            tried: status.as_ref().map(|status| frame.time(status.tried_at)),
            problem: status.map_or_else(String::new, |status| status.problem),
        }
    }
}

struct Row {
    /// ID of a rate that the network set; None for a rate of the installation.
    id: Option<String>,
    day: String,
    currency: &'static str,
    rate: String,
    source: &'static str,
    set: TimeCell,
    /// Author of the last change, for staff only.
    author: String,
}

impl Row {
    fn new<P>(frame: &Frame<P>, rate: ListedRate, is_staff: bool) -> Self {
        Self {
            id: (!rate.is_reference).then(|| rate.id.to_string()),
            day: rate.id.day.to_string(),
            currency: rate.id.currency.code(),
            rate: rate.per_euro.to_string(),
            source: match (rate.source, rate.is_reference) {
                (RateSource::User, _) => "Set by hand",
                (RateSource::Csv, false) => "CSV file",
                (RateSource::Csv, true) => "Installation",
                (RateSource::Ecb, _) => "European Central Bank",
            },
            set: frame.time(rate.set_at),
            author: rate.set_by.filter(|_| is_staff).unwrap_or_default(),
        }
    }
}

#[derive(Template)]
#[template(path = "network/exchange_rates/list.html")]
struct List {
    shell: Shell,
    tabs: Vec<(&'static str, &'static str, bool)>,
    export: String,
    /// Progress of the fetching task, for staff only.
    fetch: Option<Fetch>,
    rows: Vec<Row>,
    older: Option<String>,
    may_configure: bool,
    draft: Draft,
    filters: Filters,
}

#[derive(Template)]
#[template(path = "network/exchange_rates/import.html")]
struct Import {
    shell: Shell,
    tabs: Vec<(&'static str, &'static str, bool)>,
    action: &'static str,
    preview: Option<Preview>,
    csv: String,
    errors: FieldErrors,
}
