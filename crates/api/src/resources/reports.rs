//! `/reports`: figures by any dimension.

use std::borrow::Cow;
use std::collections::BTreeMap;

use actix_web::web::{self, Data, Json};
use actix_web::{HttpRequest, HttpResponse};
use chrono::NaiveDate;
use reports::{
    Dimension, Figures, Metric, QueryProblem, Report as Outcome, ReportQuery, Row, StoredQuery, Value, saved,
};
use schema::{NetworkConn, clock};
use serde::{Deserialize, Serialize};
use tenancy::networks::{self, Network};
use tenancy::{Actor, needs};
use utoipa::{IntoParams, ToSchema};

use super::Answer;
use crate::auth::Allowed;
use crate::download;
use crate::error::ApiError;
use crate::schemas;
use crate::state::Api;

/// Maximum number of rows of a response.
const MAX_ROWS: usize = 1_000;
/// Maximum number of rows before a response: a report has no more.
const MAX_OFFSET: usize = 200_000;
/// Number of rows of a response by default.
const ROWS: usize = 100;

/// Parameters of a report. Every dimension is a filter too: `campaign=cmp_…,cmp_…`, `sub1.not=x`, `sub1.contains=x`,
/// `sub1.begins=x`, `sub1.empty=yes`. Every metric is a bound of the rows: `clicks.min=100`, `conversion_rate.max=2 %`;
/// rows outside of it are in no total either.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "documents the parameters, which `ReportQuery` parses")]
pub(crate) struct ReportParams {
    /// Saved view to run. It has its own query, so no other parameter of the report goes with it.
    #[param(value_type = schemas::Filter, inline, required = false)]
    view: Option<String>,
    /// Period relative to today, instead of days.
    #[param(value_type = schemas::RelativePeriod, inline, required = false)]
    period: Option<String>,
    /// First day, in the time zone of the report; 30 days ago by default.
    #[param(value_type = schemas::Day, inline, required = false)]
    from: Option<String>,
    /// Last day, inclusive; today by default.
    #[param(value_type = schemas::Day, inline, required = false)]
    to: Option<String>,
    /// Time zone; that of the network by default.
    #[param(value_type = schemas::Filter, inline, required = false)]
    tz: Option<String>,
    /// Time by which conversions are counted: their own, or that of their click.
    #[param(value_type = schemas::Basis, inline, required = false)]
    by: Option<String>,
    /// Dimensions of the rows, separated by commas; `campaign,affiliate` by default.
    #[param(value_type = schemas::Filter, inline, required = false)]
    group: Option<String>,
    /// Metrics, separated by commas; the usual ones by default.
    #[param(value_type = schemas::Filter, inline, required = false)]
    metrics: Option<String>,
    /// Metric to sort by, or `name`; `-` in front for the largest first.
    #[param(value_type = schemas::Filter, inline, required = false)]
    sort: Option<String>,
    /// Period to compare with.
    #[param(value_type = schemas::Comparison, inline, required = false)]
    compare: Option<String>,
}

/// Rows of the response.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "documents the parameters, which `page` parses")]
pub(crate) struct RowParams {
    /// Maximum number of rows; 100 by default.
    #[param(value_type = i64, minimum = 1, maximum = 1000, required = false)]
    limit: Option<usize>,
    /// Number of rows to leave out at the start.
    #[param(value_type = i64, minimum = 0, maximum = 200_000, required = false)]
    offset: Option<usize>,
}

/// Figures by the dimensions that were asked for.
#[derive(Serialize, ToSchema)]
pub(crate) struct Report {
    /// First day.
    #[schema(value_type = schemas::Day)]
    from: NaiveDate,
    /// Last day, inclusive.
    #[schema(value_type = schemas::Day)]
    to: NaiveDate,
    /// Time zone of the days and hours.
    #[schema(value_type = schemas::TimeZone)]
    time_zone: &'static str,
    /// Sums over all rows of the report, also those that are not in this response.
    total: FigureMap,
    /// The same of the period that is compared; null without one.
    #[schema(required)]
    total_before: Option<FigureMap>,
    /// Number of rows of the report.
    row_count: usize,
    rows: Vec<ReportRow>,
    /// Sums over the rows that are not in this response.
    others: FigureMap,
}

/// Metrics by name: a count, a ratio (null if undefined), or money as a list with one sum per currency.
#[derive(Serialize, ToSchema)]
#[schema(value_type = Object)]
pub(crate) struct FigureMap(BTreeMap<&'static str, Figure>);

/// Value of a metric.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
pub(crate) enum Figure {
    Count(i64),
    Ratio(Option<f64>),
    Money(Vec<String>),
}

/// A row of a report.
#[derive(Serialize, ToSchema)]
pub(crate) struct ReportRow {
    /// Value of each dimension, in their order.
    keys: Vec<ReportKey>,
    figures: FigureMap,
    /// Figures of the same keys in the period that is compared; null without one, and for rows that are spans of time.
    #[schema(required)]
    before: Option<FigureMap>,
}

/// Value of a dimension.
#[derive(Serialize, ToSchema)]
pub(crate) struct ReportKey {
    #[schema(value_type = schemas::Dimension)]
    dimension: &'static str,
    /// Value as filters take it: an ID, a text or a span of time; empty for none.
    #[schema(value_type = schemas::Text)]
    value: String,
    /// Name of the object, or the value.
    #[schema(value_type = schemas::Text)]
    label: String,
}

impl FigureMap {
    fn new(metrics: &[Metric], figures: &Figures) -> Self {
        let figure = |metric: &Metric| {
            let value = match figures.value(*metric) {
                Value::Count(count) => Figure::Count(count),
                Value::Ratio(ratio) => Figure::Ratio(ratio),
                Value::Money(sums) => Figure::Money(sums.iter().map(ToString::to_string).collect()),
            };
            (metric.as_str(), value)
        };
        Self(metrics.iter().map(figure).collect())
    }
}

/// Dimensions and metrics that the caller may use.
#[derive(Serialize, ToSchema)]
pub(crate) struct Definitions {
    dimensions: Vec<Definition>,
    metrics: Vec<Definition>,
}

/// Definition of a dimension or metric.
#[derive(Serialize, ToSchema)]
pub(crate) struct Definition {
    /// Name in parameters and responses.
    #[schema(value_type = schemas::Text)]
    name: &'static str,
    /// Label on pages.
    #[schema(value_type = schemas::Text)]
    label: &'static str,
    /// Unit: `count`, `ratio` or `money`; `key` for a dimension.
    #[schema(value_type = schemas::Text)]
    unit: &'static str,
    /// Meaning or formula, and time basis.
    #[schema(value_type = schemas::Text)]
    definition: &'static str,
}

/// List the dimensions and metrics of reports
///
/// Only those that the caller may see.
#[utoipa::path(get, path = "/reports/definitions", tag = "Reports", responses((status = 200, body = Definitions)))]
pub(crate) async fn definitions(access: Allowed<needs::SeeReports>) -> Answer<Definitions> {
    let dimensions = Dimension::ALL
        .iter()
        .filter(|dimension| dimension.is_visible_to(&access));
    let metrics = Metric::ALL.iter().filter(|metric| metric.is_visible_to(&access));
    Ok(Json(Definitions {
        dimensions: dimensions
            .map(|dimension| Definition {
                name: dimension.as_str(),
                label: dimension.label(),
                unit: "key",
                definition: dimension.definition(),
            })
            .collect(),
        metrics: metrics
            .map(|metric| Definition {
                name: metric.as_str(),
                label: metric.label(),
                unit: metric.unit(),
                definition: metric.definition(),
            })
            .collect(),
    }))
}

/// Get a report
///
/// Totals are exact, whatever the number of rows in the response.
#[utoipa::path(get, path = "/reports", tag = "Reports", params(ReportParams, RowParams), responses((status = 200, body = Report)))]
pub(crate) async fn show(
    access: Allowed<needs::SeeReports>,
    request: HttpRequest,
    api: Data<Api>,
) -> Answer<Report> {
    let mut conn = access.network(&api.db).await?;
    let (limit, offset) = page(request.query_string())?;
    let rows = ["limit", "offset"];
    let (query, network, report) = run(&mut conn, &access, request.query_string(), &rows).await?;
    conn.commit().await?;
    let metrics = query.metrics(&access);
    let of = |figures: &Figures| FigureMap::new(&metrics, figures);
    let mut others = Figures::default();
    let is_shown = |at: usize| at >= offset && at - offset < limit;
    let row_count = report.rows.len();
    let mut rows = Vec::new();
    for (at, row) in report.rows.into_iter().enumerate() {
        if is_shown(at) {
            let keys = query.group.iter().zip(row.keys);
            rows.push(ReportRow {
                keys: keys
                    .map(|(dimension, key)| ReportKey {
                        dimension: dimension.as_str(),
                        value: key.value,
                        label: key.label,
                    })
                    .collect(),
                figures: of(&row.figures),
                before: row.before.as_ref().map(of),
            });
        } else {
            let Row { figures, .. } = row;
            others += &figures;
        }
    }
    Ok(Json(Report {
        from: query.from,
        to: query.to,
        time_zone: query.zone.unwrap_or(network.time_zone()).name(),
        total: of(&report.total),
        total_before: report.total_before.as_ref().map(of),
        row_count,
        rows,
        others: of(&others),
    }))
}

/// Kind of the file.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "documents the parameter, which `export` reads")]
pub(crate) struct FileParams {
    /// `csv` (the default) with all rows, or `xlsx`, an Excel workbook of at most 50,000 lines.
    #[param(value_type = schemas::FileFormat, inline, required = false)]
    format: Option<String>,
    /// `true` for a byte-order mark in front of CSV, by which Excel recognises UTF-8.
    #[param(value_type = bool, required = false)]
    bom: Option<String>,
}

/// Export a report
///
/// All rows as CSV or as an Excel workbook, one line per row and currency.
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
    let others = ["format", "bom"];
    let (query, _, report) = run(&mut conn, &access, request.query_string(), &others).await?;
    conn.commit().await?;
    let metrics = query.metrics(&access);
    // Hundreds of thousands of lines take long: not on an actix worker.
    let written = web::block(move || {
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

/// Parses, checks and runs a report.
async fn run(
    conn: &mut NetworkConn,
    actor: &Actor,
    text: &str,
    others: &[&str],
) -> Result<(ReportQuery, Network, Outcome), ApiError> {
    let network = networks::current(conn).await?;
    let (now, zone) = (clock::now(), network.time_zone());
    let query = match parameter(text, "view") {
        Some(id) => {
            let mut names = form_urlencoded::parse(text.as_bytes()).map(|(name, _)| name);
            if let Some(name) = names.find(|name| name != "view" && !others.contains(&&**name)) {
                return Err(ApiError::field(
                    &name,
                    "A saved view has its own query. Leave this out.",
                ));
            }
            let unknown = || ApiError::field("view", "Unknown view.");
            let id = id.parse().map_err(|_| unknown())?;
            let view = saved::find(conn, actor, id).await?.ok_or_else(unknown)?;
            view.report.stored().at(now, zone).map_err(refused)?
        }
        None => StoredQuery::parse(text, others, now, zone).map_err(refused)?.0,
    };
    query.check(actor).map_err(refused)?;
    match reports::run(conn, &network, actor.role.scope(), &query).await {
        Ok(report) => Ok((query, network, report)),
        Err(error) => Err(refused(vec![error.into_problem()?])),
    }
}

fn refused(problems: Vec<QueryProblem>) -> ApiError {
    let fields = problems
        .into_iter()
        .map(|problem| (problem.field, problem.message));
    ApiError::Invalid(fields.collect())
}

/// Value of a parameter of a query; `None` if it is missing or empty.
fn parameter<'a>(text: &'a str, wanted: &str) -> Option<Cow<'a, str>> {
    let mut pairs = form_urlencoded::parse(text.as_bytes());
    let found = pairs.find(|(name, value)| name == wanted && !value.is_empty());
    found.map(|(_, value)| value)
}

/// Number of rows to show, and to leave out before them.
fn page(text: &str) -> Result<(usize, usize), ApiError> {
    let number = |wanted: &str, default: usize| {
        let value = parameter(text, wanted);
        value.map_or(Ok(default), |value| value.parse::<usize>())
    };
    let limit = number("limit", ROWS)
        .ok()
        .filter(|limit| (1..=MAX_ROWS).contains(limit));
    let limit =
        limit.ok_or_else(|| ApiError::field("limit", format!("Enter a number from 1 to {MAX_ROWS}.")))?;
    let offset = number("offset", 0).ok().filter(|offset| *offset <= MAX_OFFSET);
    let offset =
        offset.ok_or_else(|| ApiError::field("offset", format!("Enter a number from 0 to {MAX_OFFSET}.")))?;
    Ok((limit, offset))
}
