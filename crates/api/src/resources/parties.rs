//! Common parts of advertisers and affiliates: tags, filters of lists, import and export.

use std::fmt::Display;
use std::str::FromStr;

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, web};
use schema::NetworkConn;
use serde::{Deserialize, Serialize};
use tenancy::parties::PartyFilter;
use tenancy::table::{Outcome as RowOutcome, Report};
use tenancy::{Author, ChangeError};
use utoipa::{IntoParams, ToSchema};

use crate::auth::Allowed;
use crate::download;
use crate::error::ApiError;
use crate::fields::Field;
use crate::idempotency::{Created, IdempotencyKey, Outcome};
use crate::state::Api;
use crate::{page, schemas};

/// Maximum rows of an export.
pub(super) const MAX_EXPORT_ROWS: i64 = 100_000;
/// Maximum tags of an advertiser or affiliate.
const MAX_TAGS: usize = 20;
/// Maximum length of a tag in characters.
const MAX_TAG_LENGTH: usize = 40;

/// Tags of an advertiser or affiliate, counted and measured as sent: before duplicates and surrounding white space are
/// removed.
#[derive(Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Tags(Vec<String>);

impl Field for Tags {
    /// A comma would split a tag in two, and so would a semicolon in a file: both are errors.
    fn to_draft(&self) -> Result<String, String> {
        let is_invalid = |tag: &String| {
            tag.trim().is_empty()
                || tag.chars().count() > MAX_TAG_LENGTH
                || tag.contains(|c: char| matches!(c, ',' | ';') || c.is_control())
        };
        if self.0.len() > MAX_TAGS || self.0.iter().any(is_invalid) {
            Err(format!(
                "Send at most {MAX_TAGS} tags of at most {MAX_TAG_LENGTH} characters each, without commas and \
                 semicolons."
            ))
        } else {
            self.0.to_draft()
        }
    }

    fn from_draft(text: &str) -> Self {
        Self(Vec::from_draft(text))
    }
}

/// Filter of the parameters of a list.
pub(super) fn filter<S: FromStr<Err: Display>, I>(
    search: Option<&str>,
    status: Option<&str>,
    archived: Option<bool>,
    sort: Option<&str>,
    after: Option<I>,
) -> Result<PartyFilter<S, I>, ApiError> {
    Ok(PartyFilter {
        search: page::text("search", search)?,
        status: page::word("status", status)?,
        include_archived: archived.unwrap_or_default(),
        sort: page::word("sort", sort)?.unwrap_or_default(),
        after,
    })
}

/// Filters of an export.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ExportParams {
    /// True to include archived rows.
    #[param(value_type = bool, required = false)]
    pub(super) archived: Option<bool>,
    /// True for a byte-order mark in front, by which Excel recognises UTF-8.
    #[param(value_type = bool, required = false)]
    bom: Option<bool>,
}

/// Response with a CSV file. The caller loads one row more than the maximum, so an incomplete export is an error.
pub(super) async fn file<R: Send + 'static>(
    name: &'static str,
    params: &ExportParams,
    rows: Vec<R>,
    write: impl FnOnce(&[R]) -> String + Send + 'static,
) -> Result<HttpResponse, ApiError> {
    if i64::try_from(rows.len()).map_or(true, |count| count > MAX_EXPORT_ROWS) {
        let message = format!("The export has more than {MAX_EXPORT_ROWS} rows. Read the list page by page.");
        return Err(ChangeError::Limit(message).into());
    }
    let text = web::block(move || write(&rows))
        .await
        .map_err(|error| ApiError::Internal(error.to_string()))?;
    Ok(download::csv(name, text, params.bom.unwrap_or(false)))
}

/// Options of an import.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ImportParams {
    /// True to report the changes without making them.
    #[param(value_type = bool, required = false)]
    dry_run: Option<bool>,
}

/// The result of an import.
#[derive(Serialize, ToSchema)]
pub(crate) struct ImportReport {
    /// True if nothing was changed.
    dry_run: bool,
    /// Number of rows that created an object.
    #[schema(minimum = 0)]
    created: usize,
    /// Number of rows that updated an object.
    #[schema(minimum = 0)]
    updated: usize,
    /// Number of rows without changes.
    #[schema(minimum = 0)]
    unchanged: usize,
    /// Number of invalid rows. They do not affect the other rows, unless the file is imported as a whole.
    #[schema(minimum = 0)]
    refused: usize,
    /// Names of unknown columns.
    ignored_columns: Vec<String>,
    rows: Vec<ImportedRow>,
}

/// The result of a row.
#[derive(Serialize, ToSchema)]
pub(crate) struct ImportedRow {
    /// Line in the file.
    #[schema(minimum = 0)]
    line: u64,
    /// Name of the object, if it could be read.
    name: String,
    #[schema(value_type = schemas::Outcome)]
    outcome: &'static str,
    /// Error; empty unless the row was refused.
    problem: String,
}

impl Created for ImportReport {
    const STATUS: StatusCode = StatusCode::OK;
}

impl ImportReport {
    fn of(report: Report, dry_run: bool) -> Self {
        Self {
            dry_run,
            created: report.count(RowOutcome::Create),
            updated: report.count(RowOutcome::Update),
            unchanged: report.count(RowOutcome::Unchanged),
            refused: report.count(RowOutcome::Refused),
            ignored_columns: report.ignored,
            rows: report
                .rows
                .into_iter()
                .map(|row| ImportedRow {
                    line: row.line,
                    name: row.name,
                    outcome: row.outcome.as_str(),
                    problem: row.problem,
                })
                .collect(),
        }
    }
}

/// Imports a file. A dry run is the same import in a transaction that is not committed.
pub(super) async fn import<P>(
    access: &Allowed<P>,
    api: &Api,
    key: &IdempotencyKey,
    params: &ImportParams,
    text: &str,
    run: impl AsyncFn(&mut NetworkConn, &Author) -> Result<Report, ChangeError>,
) -> Result<HttpResponse, ApiError> {
    let author = access.author();
    if params.dry_run.unwrap_or_default() {
        let mut conn = access.network(&api.db).await?;
        let report = run(&mut conn, &author).await?;
        return Ok(Outcome::Executed(ImportReport::of(report, true)).response());
    }
    let outcome = key.execute(api, access, text.as_bytes(), async |conn| {
        let report = run(conn, &author).await?;
        match report.refusal() {
            Some(message) => Err(ApiError::field("csv", message)),
            None => Ok(ImportReport::of(report, false)),
        }
    });
    Ok(outcome.await?.response())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_stays_one_tag() {
        let draft = |tags: &[&str]| Tags(tags.iter().map(ToString::to_string).collect()).to_draft();
        assert_eq!(draft(&["vip", "a b"]).unwrap(), "vip,a b");
        for odd in [
            &["a,b"][..],
            &["a;b"],
            &[" "],
            &["a\nb"],
            &["x".repeat(41).as_str()],
            &["x"; 21],
        ] {
            assert!(draft(odd).is_err(), "{odd:?}");
        }
    }
}
