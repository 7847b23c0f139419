//! Import of advertisers and affiliates from CSV: a preview, which is the import itself not kept, and then the import.

use actix_web::{HttpRequest, HttpResponse, web};
use askama::Template;
use schema::{NetworkConn, clock};
use tenancy::import;
use tenancy::table::{Outcome, Report};
use tenancy::{Access, ChangeError, FieldErrors, csv_export, needs, networks};

use super::parties::{party, title};
use crate::Dashboard;
use crate::auth::Allowed;
use crate::error::PageError;
use crate::forms::{self, PostedForm};
use crate::shell::{PageResult, Shell, csv_file, page_with, see_other};

/// `GET /advertisers/import`, `GET /affiliates/import`
pub(super) async fn show(
    request: HttpRequest,
    dashboard: web::Data<Dashboard>,
    actor: Allowed<needs::ManageParties>,
) -> PageResult {
    render(
        &request,
        &dashboard,
        &actor,
        None,
        String::new(),
        FieldErrors::default(),
    )
    .await
}

/// `POST …/import`: with a file, what it would do; with `confirm`, does it; with `refused`, the rows that cannot be
/// accepted as a file to mend.
pub(super) async fn submit(
    request: HttpRequest,
    dashboard: web::Data<Dashboard>,
    actor: Allowed<needs::ManageParties>,
    form: PostedForm,
) -> PageResult {
    let party = party(&request);
    let text = file(&form);
    let mut conn = actor.network(&dashboard.db).await?;
    let report = import::run(&mut conn, &actor.author(), party, text, clock::now()).await;
    let done = format!("/{party}");
    match settle(conn, &form, report, party.as_str(), &done).await? {
        Settled::Answered(answer) => Ok(answer),
        Settled::Shown(preview, errors) => {
            render(&request, &dashboard, &actor, preview, text.to_owned(), errors).await
        }
    }
}

/// The file of a form, or its text.
pub(crate) fn file(form: &PostedForm) -> &str {
    match form.verbatim("file") {
        "" => form.verbatim("csv"),
        file => file,
    }
}

/// What becomes of a file that was posted.
pub(crate) enum Settled {
    /// It was imported, or its refused rows are asked for.
    Answered(HttpResponse),
    /// The page is to be shown again, with what it would do or what is wrong with it.
    Shown(Option<Preview>, FieldErrors),
}

/// Keeps an import that is confirmed. All others were only tried, in a transaction that is not committed here.
pub(crate) async fn settle(
    conn: NetworkConn,
    form: &PostedForm,
    report: Result<Report, ChangeError>,
    name: &str,
    done: &str,
) -> Result<Settled, PageError> {
    let report = match report {
        Ok(report) => report,
        Err(ChangeError::Fields(errors)) => return Ok(Settled::Shown(None, errors)),
        Err(error) => return Err(error.into()),
    };
    if form.ticked("confirm") {
        conn.commit().await?;
        return Ok(Settled::Answered(see_other(done)?));
    }
    if form.ticked("refused") {
        let file = csv_file(&format!("{name}_refused.csv"), refused_rows(&report));
        return Ok(Settled::Answered(file));
    }
    Ok(Settled::Shown(
        Some(Preview::new(&report)),
        FieldErrors::default(),
    ))
}

async fn render<P>(
    request: &HttpRequest,
    dashboard: &Dashboard,
    actor: &Access<P>,
    preview: Option<Preview>,
    csv: String,
    errors: FieldErrors,
) -> PageResult {
    let party = party(request);
    let mut conn = actor.network(&dashboard.db).await?;
    let network = networks::current(&mut conn).await?;
    conn.commit().await?;
    let status = forms::status(&errors);
    let heading = format!("Import {party}");
    page_with(
        status,
        &Import {
            shell: Shell::new(dashboard, request, actor, &network, title(party), &heading),
            action: format!("/{party}/import"),
            preview,
            csv,
            errors,
        },
    )
}

/// The rows that cannot be accepted, as a file to mend.
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

/// What an import would do, in numbers, and its first rows and problems.
pub(crate) struct Preview {
    pub(crate) create: usize,
    pub(crate) update: usize,
    pub(crate) unchanged: usize,
    pub(crate) refused: usize,
    pub(crate) ignored: String,
    pub(crate) rows: Vec<(u64, String, &'static str, String)>,
}

impl Preview {
    /// Rows that are shown: refused ones first, then the first of the others.
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
