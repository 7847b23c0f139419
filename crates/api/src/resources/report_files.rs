//! `/reports/export`: reports as files at once; `/report-files`: files of large reports, prepared in the background.

use actix_web::body::SizedStream;
use actix_web::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use actix_web::web::{Data, Json};
use actix_web::{HttpRequest, HttpResponse};
use chrono::{DateTime, Utc};
use reports::StoredQuery;
use reports::files::{self, FileFormat, FileStatus, MAX_IMMEDIATE_ROWS, ReportFile as Stored};
use schema::{ReportFileId, clock};
use serde::{Deserialize, Serialize};
use tenancy::{ChangeError, needs, networks};
use utoipa::{IntoParams, ToSchema};

use super::reports::{ReportParams, parameter, refused, run};
use super::{Answer, no_content};
use crate::auth::Allowed;
use crate::download;
use crate::error::ApiError;
use crate::extract::{Body, Id, Params, present};
use crate::idempotency::{Created, IdempotencyKey};
use crate::page::{Page, Window, items};
use crate::schemas;
use crate::state::Api;

/// A file of a report.
#[derive(Serialize, ToSchema)]
pub(crate) struct ReportFile {
    #[schema(value_type = schemas::ReportFileId)]
    id: ReportFileId,
    /// Query string of the report, with fixed days.
    #[schema(value_type = schemas::Text)]
    query: String,
    #[schema(value_type = schemas::FileFormat)]
    format: &'static str,
    /// `waiting`, `running`, `ready` to be downloaded, or `failed`.
    #[schema(value_type = schemas::FileStatus)]
    status: &'static str,
    /// Reason why it failed; null otherwise.
    #[schema(required)]
    problem: Option<String>,
    /// Rows of the report; null until they are computed.
    #[schema(required)]
    rows_total: Option<i64>,
    /// Rows that are written.
    rows_written: i64,
    /// Size of what is written, in bytes.
    bytes: i64,
    created_at: DateTime<Utc>,
    /// Time at which it was ready or failed; null until then.
    #[schema(required)]
    finished_at: Option<DateTime<Utc>>,
    /// Time at which it is removed.
    expires_at: DateTime<Utc>,
}

impl From<Stored> for ReportFile {
    fn from(file: Stored) -> Self {
        Self {
            id: file.id,
            query: file.query,
            format: file.format.as_str(),
            status: file.status.as_str(),
            problem: file.problem,
            rows_total: file.rows_total,
            rows_written: file.rows_written,
            bytes: file.bytes,
            created_at: file.created_at,
            finished_at: file.finished_at,
            expires_at: file.expires_at,
        }
    }
}

items!(ReportFile);

impl Created for ReportFile {}

/// A file to prepare.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "query": "group=sub1,day&period=last_30_days", "format": "csv" }))]
pub(crate) struct NewReportFile {
    /// Query string of a report, as `/reports` takes it. A relative period is that of today.
    #[schema(value_type = schemas::Text)]
    query: String,
    /// Format; `csv` by default.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = schemas::FileFormat, required = false)]
    format: Option<String>,
}

/// Parameters of the list.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ReportFileParams {
    /// Maximum number of items of the page; 50 by default.
    #[param(value_type = i64, minimum = 1, maximum = 200, required = false)]
    limit: Option<i64>,
    /// Cursor: `next` of the previous page.
    #[param(value_type = schemas::ReportFileId, inline, required = false)]
    after: Option<String>,
}

/// Kind of the file.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "documents the parameter, which `export` reads")]
pub(crate) struct FileParams {
    /// `csv` (the default), or `xlsx`, an Excel workbook of at most 50,000 lines.
    #[param(value_type = schemas::FileFormat, inline, required = false)]
    format: Option<String>,
    /// `true` for a byte-order mark in front of CSV, by which Excel recognises UTF-8.
    #[param(value_type = bool, required = false)]
    bom: Option<String>,
}

/// Export a report
///
/// All rows as CSV or as an Excel workbook, one line per row and currency. A report of more than 100,000 rows is refused:
/// have a file prepared by `POST /report-files`.
#[utoipa::path(
    get, path = "/reports/export", tag = "Reports", params(ReportParams, FileParams),
    responses((status = 200, content(
        (String = "text/csv"),
        (Vec<u8> = reports::XLSX_TYPE),
    )))
)]
pub(crate) async fn export(
    access: Allowed<needs::SeeReports>,
    request: HttpRequest,
    api: Data<Api>,
) -> Result<HttpResponse, ApiError> {
    let is_workbook = match parameter(request.query_string(), "format").as_deref() {
        None | Some("csv") => false,
        Some("xlsx") => true,
        _ => return Err(ApiError::field("format", "Enter csv or xlsx.")),
    };
    let has_mark = match parameter(request.query_string(), "bom").as_deref() {
        None | Some("false") => false,
        Some("true") => true,
        _ => return Err(ApiError::field("bom", "Enter true or false.")),
    };
    let mut conn = access.network(&api.db).await?;
    let network = networks::current(&mut conn).await?;
    let (others, text) = (["format", "bom"], request.query_string());
    let (query, report) = run(
        &mut conn,
        &network,
        &access,
        &api,
        text,
        &others,
        MAX_IMMEDIATE_ROWS,
    )
    .await?;
    conn.commit().await?;
    let count = report.row_count();
    if count > MAX_IMMEDIATE_ROWS {
        let message = format!(
            "The report has {count} rows, more than {MAX_IMMEDIATE_ROWS}. Have a file prepared by POST /report-files, or choose \
             fewer dimensions."
        );
        return Err(ApiError::field("group", message));
    }
    let metrics = query.metrics(&access);
    // A hundred thousand lines take long: not on an actix worker.
    let written = reports::in_background(move || {
        if is_workbook {
            reports::to_xlsx(&query, &metrics, &report).map_err(|error| error.to_string())
        } else {
            Ok(download::csv_bytes(
                reports::to_csv(&query, &metrics, &report),
                has_mark,
            ))
        }
    });
    let written = written
        .await
        .map_err(|error| ApiError::Internal(error.to_string()))?;
    let body = written.map_err(|message| ApiError::field("format", message))?;
    Ok(if is_workbook {
        download::file(reports::XLSX_TYPE, "report.xlsx", body)
    } else {
        download::file(download::CSV_TYPE, "report.csv", body)
    })
}

/// List report files
///
/// Files of the caller, newest first.
#[utoipa::path(get, path = "/report-files", tag = "Reports", params(ReportFileParams), responses((status = 200, body = Page<ReportFile>)))]
pub(crate) async fn list(
    access: Allowed<needs::SeeReports>,
    api: Data<Api>,
    Params(params): Params<ReportFileParams>,
) -> Answer<Page<ReportFile>> {
    let window = Window::<ReportFileId>::of(params.limit, params.after.as_deref())?;
    let mut conn = access.network(&api.db).await?;
    let found = files::list(&mut conn, &access, clock::now()).await?;
    conn.commit().await?;
    Ok(Json(window.page_of_all(found)?))
}

/// Prepare a report file
///
/// For reports that are too large for `/reports/export`. Poll the file until its status is `ready`, then download its
/// content; the caller gets a mail too. It expires after seven days.
#[utoipa::path(post, path = "/report-files", tag = "Reports", params(IdempotencyKey), request_body = NewReportFile, responses((status = 201, body = ReportFile)))]
pub(crate) async fn create(
    access: Allowed<needs::SeeReports>,
    api: Data<Api>,
    key: IdempotencyKey,
    body: Body<NewReportFile>,
) -> Result<HttpResponse, ApiError> {
    let new = &body.value;
    let format = match new.format.as_deref() {
        None => FileFormat::Csv,
        Some(text) => text
            .parse()
            .map_err(|_| ApiError::field("format", "Enter csv or xlsx."))?,
    };
    let outcome = key.execute(&api, &access, &body.bytes, async |conn| {
        let now = clock::now();
        let zone = networks::current(conn).await?.time_zone();
        let (query, _) = StoredQuery::parse(&new.query, &[], now, zone).map_err(refused)?;
        query.check(&access).map_err(refused)?;
        let created = files::create(conn, &access, &query, format, now).await?;
        Ok(ReportFile::from(created))
    });
    let outcome = outcome.await?;
    api.reports.announce_file();
    Ok(outcome.response())
}

/// Get a report file
#[utoipa::path(
    get, path = "/report-files/{id}", tag = "Reports",
    params(("id" = inline(schemas::ReportFileId), Path)),
    responses((status = 200, body = ReportFile))
)]
pub(crate) async fn show(
    access: Allowed<needs::SeeReports>,
    Id(id): Id<ReportFileId>,
    api: Data<Api>,
) -> Answer<ReportFile> {
    let mut conn = access.network(&api.db).await?;
    let found = files::find(&mut conn, &access, id, clock::now()).await?;
    conn.commit().await?;
    Ok(Json(found.ok_or(ApiError::NotFound)?.into()))
}

/// Download a report file
///
/// Answers 409 until the file is ready.
#[utoipa::path(
    get, path = "/report-files/{id}/content", tag = "Reports",
    params(("id" = inline(schemas::ReportFileId), Path)),
    responses((status = 200, content(
        (String = "text/csv"),
        (Vec<u8> = reports::XLSX_TYPE),
    )))
)]
pub(crate) async fn content(
    access: Allowed<needs::SeeReports>,
    Id(id): Id<ReportFileId>,
    api: Data<Api>,
) -> Result<HttpResponse, ApiError> {
    let mut conn = access.network(&api.db).await?;
    let found = files::find(&mut conn, &access, id, clock::now()).await?;
    conn.commit().await?;
    let file = found.ok_or(ApiError::NotFound)?;
    if file.status != FileStatus::Ready {
        let message = format!(
            "The file is {}. Download it when its status is ready.",
            file.status
        );
        return Err(ChangeError::Conflict(message).into());
    }
    let media_type = match file.format {
        FileFormat::Csv => download::CSV_TYPE,
        FileFormat::Xlsx => reports::XLSX_TYPE,
    };
    let parts = files::read(api.db.clone(), access.network_id(), id);
    Ok(HttpResponse::Ok()
        .insert_header((CONTENT_TYPE, media_type))
        .insert_header((
            CONTENT_DISPOSITION,
            format!("attachment; filename=\"report-{id}.{}\"", file.format),
        ))
        .body(SizedStream::new(file.bytes.unsigned_abs(), Box::pin(parts))))
}

/// Remove a report file
///
/// A file that is being prepared is cancelled.
#[utoipa::path(
    delete, path = "/report-files/{id}", tag = "Reports",
    params(("id" = inline(schemas::ReportFileId), Path)),
    responses((status = 204))
)]
pub(crate) async fn remove(
    access: Allowed<needs::SeeReports>,
    Id(id): Id<ReportFileId>,
    api: Data<Api>,
) -> Result<HttpResponse, ApiError> {
    let mut conn = access.network(&api.db).await?;
    files::remove(&mut conn, &access, id).await?;
    conn.commit().await?;
    no_content()
}
