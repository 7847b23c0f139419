//! Import of advertisers and affiliates from CSV. The preview is the import itself, rolled back.

use actix_web::HttpResponse;
use askama::Template;
use tenancy::import;
use tenancy::table::{Outcome, Report};
use tenancy::{ChangeError, FieldErrors, csv_export, needs};

use super::parties::{party, title};
use crate::error::PageError;
use crate::forms::{self, PostedForm};
use crate::page::{Page, Submitted};
use crate::shell::{self, PageResult, Shell, csv_file, html_with};

/// `GET /advertisers/import`, `GET /affiliates/import`
pub(super) async fn show(page: Page<needs::ManageParties>) -> PageResult {
    render(page, None, String::new(), FieldErrors::default()).await
}

/// `POST …/import`: previews the import of a file; with `confirm`, imports it; with `refused`, returns the refused rows as
/// CSV.
pub(super) async fn submit(Submitted(mut page, form): Submitted<needs::ManageParties>) -> PageResult {
    let party = party(&page.request);
    let text = file(&form);
    let report = import::run(&mut page.conn, &page.actor.author(), party, text, page.now).await;
    let done = format!("/{party}");
    match settle(page, &form, report, party.as_str(), &done).await? {
        Settled::Done(response) => Ok(response),
        Settled::Preview(page, preview, errors) => render(*page, preview, text.to_owned(), errors).await,
    }
}

/// CSV of a form: the uploaded file, or the text of the field.
pub(crate) fn file(form: &PostedForm) -> &str {
    match form.verbatim("file") {
        "" => form.verbatim("csv"),
        file => file,
    }
}

/// Result of a submitted import.
pub(crate) enum Settled<P> {
    /// Response after an import, or with the refused rows.
    Done(HttpResponse),
    /// Page to show again, with the preview of the import or the errors of its form.
    Preview(Box<Page<P>>, Option<Preview>, FieldErrors),
}

/// Commits a confirmed import, and rolls any other back.
pub(crate) async fn settle<P>(
    page: Page<P>,
    form: &PostedForm,
    report: Result<Report, ChangeError>,
    name: &str,
    done: &str,
) -> Result<Settled<P>, PageError> {
    let report = match report {
        Ok(report) => report,
        Err(ChangeError::Fields(errors)) => {
            return Ok(Settled::Preview(page.reopen().await?.into(), None, errors));
        }
        Err(error) => return Err(error.into()),
    };
    let refusal = report.refusal().filter(|_| form.ticked("confirm"));
    if form.ticked("confirm") && refusal.is_none() {
        page.commit().await?;
        let (created, updated) = (report.count(Outcome::Create), report.count(Outcome::Update));
        let sentence = format!("The file was imported: {created} created, {updated} updated.");
        return Ok(Settled::Done(shell::done(done, &sentence)?));
    }
    if form.ticked("refused") {
        let file = csv_file(&format!("{name}_refused.csv"), refused_rows(&report));
        return Ok(Settled::Done(file));
    }
    let mut errors = FieldErrors::default();
    if let Some(message) = refusal {
        errors.add("csv", message);
    }
    let preview = Preview::new(&report);
    Ok(Settled::Preview(
        page.reopen().await?.into(),
        Some(preview),
        errors,
    ))
}

async fn render<P>(page: Page<P>, preview: Option<Preview>, csv: String, errors: FieldErrors) -> PageResult {
    let party = party(&page.request);
    let frame = page.commit().await?;
    let status = forms::status(&errors);
    let heading = format!("Import {party}");
    html_with(
        status,
        &Import {
            shell: frame.shell(title(party), &heading),
            action: format!("/{party}/import"),
            preview,
            csv,
            errors,
        },
    )
}

/// CSV of the refused rows, each with its problem.
fn refused_rows(report: &Report) -> String {
    let titles = report.header.iter().map(String::as_str);
    let header: Vec<_> = titles.chain(["problem"]).collect();
    let refused = report.rows.iter().filter(|row| row.outcome == Outcome::Refused);
    let rows = refused.map(|row| {
        let mut fields = row.fields.clone();
        fields.push(row.problem.clone());
        fields
    });
    csv_export::to_csv(&header, rows)
}

/// Preview of an import: counts, and the first rows and problems.
pub(crate) struct Preview {
    pub(crate) create: usize,
    pub(crate) update: usize,
    pub(crate) unchanged: usize,
    pub(crate) refused: usize,
    pub(crate) ignored: String,
    /// True if a refused row keeps the file from being imported.
    pub(crate) is_blocked: bool,
    pub(crate) rows: Vec<(u64, String, &'static str, String)>,
}

impl Preview {
    /// Number of refused rows, and of other rows, on the page.
    const SHOWN: usize = 20;

    fn new(report: &Report) -> Self {
        let refused = report.rows.iter().filter(|row| row.outcome == Outcome::Refused);
        let others = report.rows.iter().filter(|row| row.outcome != Outcome::Refused);
        Self {
            create: report.count(Outcome::Create),
            update: report.count(Outcome::Update),
            unchanged: report.count(Outcome::Unchanged),
            refused: report.count(Outcome::Refused),
            ignored: report.ignored.join(", "),
            is_blocked: report.refusal().is_some(),
            rows: refused
                .take(Self::SHOWN)
                .chain(others.take(Self::SHOWN))
                .map(|row| {
                    (
                        row.line,
                        row.name.clone(),
                        row.outcome.as_str(),
                        row.problem.clone(),
                    )
                })
                .collect(),
        }
    }
}

#[derive(Template)]
#[template(path = "network/import/show.html")]
struct Import {
    shell: Shell,
    action: String,
    preview: Option<Preview>,
    csv: String,
    errors: FieldErrors,
}
