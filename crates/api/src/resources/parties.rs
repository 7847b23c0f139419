//! What advertisers and affiliates have in common: their fields, the filter of their lists, their files.

use std::fmt::Display;
use std::str::FromStr;

use actix_web::http::StatusCode;
use actix_web::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use actix_web::{HttpResponse, web};
use schema::{NetworkConn, Words};
use serde::{Deserialize, Serialize};
use tenancy::parties::{PartyDraft, PartyFilter};
use tenancy::table::{Outcome, Report};
use tenancy::{Author, ChangeError};
use utoipa::{IntoParams, ToSchema};

use crate::door::Allowed;
use crate::error::ApiError;
use crate::once::{Created, Made, Once};
use crate::{Api, page, schemas};

/// Most rows of an export.
pub(super) const MOST_EXPORTED: i64 = 100_000;
/// Most tags of a party, and most characters of each.
const TAGS: usize = 20;
const TAG_LENGTH: usize = 40;

/// The fields of a party as far as they are given, over those that it has.
pub(super) fn draft(
    name: String,
    external_id: Option<String>,
    notes: String,
    tags: &[String],
) -> Result<PartyDraft, ChangeError> {
    Ok(PartyDraft {
        name,
        external_id: external_id.unwrap_or_default(),
        notes,
        tags: on_one_line(tags)?,
    })
}

/// Tags as a person would type them. A comma in one would make two of it, and a semicolon does so in a file: both are
/// refused.
fn on_one_line(tags: &[String]) -> Result<String, ChangeError> {
    let odd = |tag: &String| {
        tag.trim().is_empty()
            || tag.chars().count() > TAG_LENGTH
            || tag.contains(|c: char| matches!(c, ',' | ';') || c.is_control())
    };
    if tags.len() > TAGS || tags.iter().any(odd) {
        let message = format!(
            "Send at most {TAGS} tags of at most {TAG_LENGTH} characters each, without commas and semicolons."
        );
        return Err(ChangeError::field("tags", message));
    }
    Ok(Words(tags.to_vec()).on_one_line())
}

/// An external id that was sent: an empty one would read as none, which is said with null.
pub(super) fn named(external_id: Option<String>) -> Result<Option<String>, ChangeError> {
    match external_id {
        Some(text) if text.trim().is_empty() => Err(ChangeError::field("external_id", "Send null for none.")),
        external_id => Ok(external_id),
    }
}

/// The filter that the parameters of a list ask for.
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

/// What to export.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ExportParams {
    /// Also the archived ones.
    #[param(value_type = bool, required = false)]
    pub(super) archived: Option<bool>,
}

/// A file to keep. Its rows were asked for with one more than may be, so that none is left out silently.
pub(super) async fn file<R: Send + 'static>(
    name: &'static str,
    rows: Vec<R>,
    write: impl FnOnce(&[R]) -> String + Send + 'static,
) -> Result<HttpResponse, ApiError> {
    if i64::try_from(rows.len()).is_ok_and(|count| count > MOST_EXPORTED) {
        let message = format!("There are more than {MOST_EXPORTED}; read them page by page.");
        return Err(ChangeError::Limit(message).into());
    }
    let text = web::block(move || write(&rows))
        .await
        .map_err(|error| ApiError::Internal(error.to_string()))?;
    Ok(HttpResponse::Ok()
        .insert_header((CONTENT_TYPE, "text/csv; charset=utf-8"))
        .insert_header((CONTENT_DISPOSITION, format!("attachment; filename=\"{name}\"")))
        .body(text))
}

/// How to import.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ImportParams {
    /// Only say what would happen.
    #[param(value_type = bool, required = false)]
    dry_run: Option<bool>,
}

/// What became, or would become, of a file.
#[derive(Serialize, ToSchema)]
pub(crate) struct ImportReport {
    /// Whether nothing was changed because only a preview was asked for.
    dry_run: bool,
    /// How many rows made something new.
    #[schema(minimum = 0)]
    created: usize,
    /// How many changed something.
    #[schema(minimum = 0)]
    updated: usize,
    /// How many said what was so already.
    #[schema(minimum = 0)]
    unchanged: usize,
    /// How many could not be accepted; the others are not held up by them.
    #[schema(minimum = 0)]
    refused: usize,
    /// Columns that are not understood.
    ignored_columns: Vec<String>,
    rows: Vec<ImportedRow>,
}

/// What became, or would become, of a row.
#[derive(Serialize, ToSchema)]
pub(crate) struct ImportedRow {
    /// Its line in the file.
    #[schema(minimum = 0)]
    line: u64,
    /// What it is called, as far as that could be read.
    name: String,
    #[schema(value_type = schemas::Outcome)]
    outcome: &'static str,
    /// Why it was refused, or empty.
    problem: String,
}

impl Created for ImportReport {
    const STATUS: StatusCode = StatusCode::OK;
}

impl ImportReport {
    fn of(report: Report, dry_run: bool) -> Self {
        Self {
            dry_run,
            created: report.count(Outcome::Create),
            updated: report.count(Outcome::Update),
            unchanged: report.count(Outcome::Unchanged),
            refused: report.count(Outcome::Refused),
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

/// Imports a file, or says what that would do: the same, in a transaction that is not committed.
pub(super) async fn import<P>(
    access: &Allowed<P>,
    api: &Api,
    once: &Once,
    params: &ImportParams,
    text: &str,
    run: impl AsyncFn(&mut NetworkConn, &Author) -> Result<Report, ChangeError>,
) -> Result<HttpResponse, ApiError> {
    let author = access.author();
    if params.dry_run.unwrap_or_default() {
        let mut conn = access.network(&api.db).await?;
        let report = run(&mut conn, &author).await?;
        return Ok(Made::Now(ImportReport::of(report, true)).answer());
    }
    let made = once.run(api, access, text.as_bytes(), async |conn| {
        let report = run(conn, &author).await?;
        Ok(ImportReport::of(report, false))
    });
    Ok(made.await?.answer())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_one_tag() {
        let tags = |tags: &[&str]| on_one_line(&tags.iter().map(ToString::to_string).collect::<Vec<_>>());
        assert_eq!(tags(&["vip", "a b"]).unwrap(), "vip, a b");
        for odd in [
            &["a,b"][..],
            &["a;b"],
            &[" "],
            &["a\nb"],
            &["x".repeat(41).as_str()],
            &["x"; 21],
        ] {
            assert!(tags(odd).is_err(), "{odd:?}");
        }
    }
}
