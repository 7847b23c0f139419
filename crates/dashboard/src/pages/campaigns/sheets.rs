//! CSV export and import of campaigns, goals, rules and links. An import is previewed first.

use actix_web::web;
use askama::Template;
use campaigns::sheets::{self, Sheet};
use tenancy::{FieldErrors, needs};

use crate::error::PageError;
use crate::forms::{self};
use crate::page::{Page, Submitted};
use crate::pages::network::import::{Preview, Settled, file, settle};
use crate::shell::{PageResult, Shell, csv_file, html_with};

/// `GET /campaigns/files/{sheet}`
pub(super) async fn show(page: Page<needs::Configure>, path: web::Path<String>) -> PageResult {
    let sheet = sheet(&path)?;
    render(page, sheet, None, String::new(), FieldErrors::default()).await
}

/// `POST /campaigns/files/{sheet}`: previews the import of a file; with `confirm`, imports it; with `refused`, returns the
/// refused rows as CSV.
pub(super) async fn submit(
    Submitted(mut page, form): Submitted<needs::Configure>,
    path: web::Path<String>,
) -> PageResult {
    let sheet = sheet(&path)?;
    let text = file(&form);
    let report = sheets::import(&mut page.conn, &page.actor.author(), sheet, text, page.now).await;
    match settle(page, &form, report, sheet.as_str(), "/campaigns").await? {
        Settled::Done(response) => Ok(response),
        Settled::Preview(page, preview, errors) => {
            render(*page, sheet, preview, text.to_owned(), errors).await
        }
    }
}

/// `GET /campaigns/files/{sheet}/export.csv`
pub(super) async fn export(mut page: Page<needs::SeeSetup>, path: web::Path<String>) -> PageResult {
    let sheet = sheet(&path)?;
    let text = sheets::export(&mut page.conn, sheet).await?;
    page.commit().await?;
    Ok(csv_file(&format!("{sheet}.csv"), text))
}

fn sheet(path: &str) -> Result<Sheet, PageError> {
    path.parse().map_err(|_| PageError::NotFound)
}

async fn render<P>(
    page: Page<P>,
    sheet: Sheet,
    preview: Option<Preview>,
    csv: String,
    errors: FieldErrors,
) -> PageResult {
    let frame = page.commit().await?;
    let heading = format!("Import {}", sheet.as_str().replace('-', " "));
    html_with(
        forms::status(&errors),
        &Files {
            shell: frame.shell("Campaigns", &heading),
            action: format!("/campaigns/files/{sheet}"),
            columns: sheet.columns().join(", "),
            sheets: Sheet::ALL
                .iter()
                .map(|other| (other.as_str(), other.as_str().replace('-', " "), *other == sheet))
                .collect(),
            preview,
            csv,
            errors,
        },
    )
}

#[derive(Template)]
#[template(path = "campaigns/sheets/show.html")]
struct Files {
    shell: Shell,
    action: String,
    columns: String,
    sheets: Vec<(&'static str, String, bool)>,
    preview: Option<Preview>,
    csv: String,
    errors: FieldErrors,
}
