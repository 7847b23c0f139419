//! Campaigns, goals, rules and links as files: exported, and imported after a look at what that would do.

use actix_web::{HttpRequest, web};
use askama::Template;
use campaigns::sheets::{self, Sheet};
use schema::clock;
use tenancy::{Access, FieldErrors, needs, networks};

use crate::Dashboard;
use crate::auth::Allowed;
use crate::error::PageError;
use crate::forms::{self, PostedForm};
use crate::pages::network::import::{Preview, Settled, file, settle};
use crate::shell::{PageResult, Shell, csv_file, page_with};

/// `GET /campaigns/files/{sheet}`
pub(super) async fn show(
    request: HttpRequest,
    dashboard: web::Data<Dashboard>,
    actor: Allowed<needs::Configure>,
    path: web::Path<String>,
) -> PageResult {
    let sheet = sheet(&path)?;
    render(
        &request,
        &dashboard,
        &actor,
        sheet,
        None,
        String::new(),
        FieldErrors::default(),
    )
    .await
}

/// `POST /campaigns/files/{sheet}`: with a file, what it would do; with `confirm`, does it; with `refused`, the rows that
/// cannot be accepted as a file to mend.
pub(super) async fn submit(
    request: HttpRequest,
    dashboard: web::Data<Dashboard>,
    actor: Allowed<needs::Configure>,
    path: web::Path<String>,
    form: PostedForm,
) -> PageResult {
    let sheet = sheet(&path)?;
    let text = file(&form);
    let mut conn = actor.network(&dashboard.db).await?;
    let report = sheets::import(&mut conn, &actor.author(), sheet, text, clock::now()).await;
    match settle(conn, &form, report, sheet.as_str(), "/campaigns").await? {
        Settled::Answered(answer) => Ok(answer),
        Settled::Shown(preview, errors) => {
            render(
                &request,
                &dashboard,
                &actor,
                sheet,
                preview,
                text.to_owned(),
                errors,
            )
            .await
        }
    }
}

/// `GET /campaigns/files/{sheet}/export.csv`
pub(super) async fn export(
    dashboard: web::Data<Dashboard>,
    actor: Allowed<needs::SeeSetup>,
    path: web::Path<String>,
) -> PageResult {
    let sheet = sheet(&path)?;
    let mut conn = actor.network(&dashboard.db).await?;
    let text = sheets::export(&mut conn, sheet).await?;
    conn.commit().await?;
    Ok(csv_file(&format!("{sheet}.csv"), text))
}

fn sheet(path: &str) -> Result<Sheet, PageError> {
    path.parse().map_err(|_| PageError::NotFound)
}

async fn render<P>(
    request: &HttpRequest,
    dashboard: &Dashboard,
    actor: &Access<P>,
    sheet: Sheet,
    preview: Option<Preview>,
    csv: String,
    errors: FieldErrors,
) -> PageResult {
    let mut conn = actor.network(&dashboard.db).await?;
    let network = networks::current(&mut conn).await?;
    conn.commit().await?;
    let heading = format!("Import {}", sheet.as_str().replace('-', " "));
    page_with(
        forms::status(&errors),
        &Files {
            shell: Shell::new(dashboard, request, actor, &network, "Campaigns", &heading),
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
