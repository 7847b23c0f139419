//! Files of large reports: the list with their progress, the request, the download.

use actix_web::body::SizedStream;
use actix_web::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use actix_web::{HttpResponse, web};
use askama::Template;
use futures_util::{StreamExt as _, stream};
use reports::StoredQuery;
use reports::files::{self, FileFormat, FileStatus, ReportFile};
use schema::ReportFileId;
use tenancy::csv_export::BYTE_ORDER_MARK;
use tenancy::needs;

use super::reports::refusal;
use crate::error::PageError;
use crate::page::{Page, Submitted};
use crate::pages::id;
use crate::shell::{PageResult, Shell, TimeCell, done, html, see_other};

const HOME: &str = "/reports/files";

/// `GET /reports/files`
pub(super) async fn list(mut page: Page<needs::SeeReports>) -> PageResult {
    let found = files::list(&mut page.conn, &page.actor, page.now).await?;
    let frame = page.commit().await?;
    let row = |file: ReportFile| FileRow {
        id: file.id.to_string(),
        is_ready: file.status == FileStatus::Ready,
        state: state(&file),
        format: file.format.as_str().to_uppercase(),
        report: format!("/reports?{}", file.query),
        asked: frame.time(file.created_at),
        expires: frame.time(file.expires_at),
        query: file.query,
    };
    html(&List {
        is_waiting: found
            .iter()
            .any(|file| matches!(file.status, FileStatus::Waiting | FileStatus::Running)),
        shell: frame.shell("Reports", "Report files"),
        rows: found.into_iter().map(row).collect(),
    })
}

/// Status in words, with the progress or the size.
fn state(file: &ReportFile) -> String {
    match (file.status, file.rows_total) {
        (FileStatus::Waiting, _) => "Waiting".to_owned(),
        (FileStatus::Running, None) => "Computing the report".to_owned(),
        (FileStatus::Running, Some(total)) => format!("{} of {total} rows written", file.rows_written),
        (FileStatus::Ready, total) => {
            let kilobytes = file.bytes.unsigned_abs().div_ceil(1024);
            format!("Ready: {} rows, {kilobytes} KB", total.unwrap_or_default())
        }
        (FileStatus::Failed, _) => format!("Failed. {}", file.problem.as_deref().unwrap_or_default()),
    }
}

/// `POST /reports/files`: asks for a file of the report with the query of the form.
pub(super) async fn create(Submitted(mut page, form): Submitted<needs::SeeReports>) -> PageResult {
    let format: FileFormat = form
        .get("format")
        .parse()
        .map_err(|_| PageError::BadRequest("Choose CSV or Excel.".to_owned()))?;
    let zone = page.network.time_zone();
    let (query, _) = StoredQuery::parse(form.get("query"), &[], page.now, zone).map_err(refusal)?;
    query.check(&page.actor).map_err(refusal)?;
    files::create(&mut page.conn, &page.actor, &query, format, page.now).await?;
    let frame = page.commit().await?;
    frame.request.dashboard.reports.announce_file();
    done(
        HOME,
        "The file is being prepared. You can download it here when it is ready.",
    )
}

/// `POST /reports/files/{id}/remove`
pub(super) async fn remove(
    Submitted(mut page, _): Submitted<needs::SeeReports>,
    path: web::Path<String>,
) -> PageResult {
    files::remove(&mut page.conn, &page.actor, id(&path)?).await?;
    page.commit().await?;
    done(HOME, "The file was removed.")
}

/// `GET /reports/files/{id}`: the content.
pub(super) async fn download(mut page: Page<needs::SeeReports>, path: web::Path<String>) -> PageResult {
    let id: ReportFileId = id(&path)?;
    let found = files::find(&mut page.conn, &page.actor, id, page.now).await?;
    let frame = page.commit().await?;
    let file = found.ok_or(PageError::NotFound)?;
    if file.status != FileStatus::Ready {
        return see_other(HOME);
    }
    let (media_type, mark) = match file.format {
        FileFormat::Csv => ("text/csv; charset=utf-8", BYTE_ORDER_MARK),
        FileFormat::Xlsx => (reports::XLSX_TYPE, ""),
    };
    let size = file.bytes.unsigned_abs() + mark.len() as u64;
    let mark = stream::once(async move { Ok(web::Bytes::from_static(mark.as_bytes())) });
    let parts = files::read(frame.request.dashboard.db.clone(), frame.network.id, id);
    Ok(HttpResponse::Ok()
        .insert_header((CONTENT_TYPE, media_type))
        .insert_header((
            CONTENT_DISPOSITION,
            format!("attachment; filename=\"report-{id}.{}\"", file.format),
        ))
        .body(SizedStream::new(size, Box::pin(mark.chain(parts)))))
}

struct FileRow {
    id: String,
    query: String,
    report: String,
    format: String,
    state: String,
    is_ready: bool,
    asked: TimeCell,
    expires: TimeCell,
}

#[derive(Template)]
#[template(path = "figures/report_files/list.html")]
struct List {
    shell: Shell,
    rows: Vec<FileRow>,
    /// True if the page refreshes itself.
    is_waiting: bool,
}
