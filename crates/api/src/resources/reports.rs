//! `/reports`: figures by any dimension.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Range;

use actix_web::HttpRequest;
use actix_web::web::{Data, Json};
use chrono::{DateTime, NaiveDate, Utc};
use reports::{
    Dimension, Figures, KeptReport, Metric, QueryProblem, Report as Outcome, ReportQuery, Row, StoredQuery,
    Value, saved,
};
use schema::{NetworkConn, clock};
use serde::{Deserialize, Serialize};
use tenancy::memberships::RoleKind;
use tenancy::networks::{self, Network};
use tenancy::{Actor, needs};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::Answer;
use crate::auth::Allowed;
use crate::error::ApiError;
use crate::extract::Body;
use crate::schemas;
use crate::state::Api;

/// Maximum number of rows of a response.
const MAX_ROWS: usize = 1_000;
/// Maximum number of rows before a response: a report has no more.
const MAX_OFFSET: usize = 2_000_000;
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
    /// Currency that all money is converted to, by the exchange rate of its day; the currencies of the conversions by
    /// default.
    #[param(value_type = schemas::Currency, inline, required = false)]
    convert: Option<String>,
    /// Period to compare with: `previous`, `year`, `year_weekdays`, or the first day of another period.
    #[param(value_type = schemas::Filter, inline, required = false)]
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
    #[param(value_type = i64, minimum = 0, maximum = 2_000_000, required = false)]
    offset: Option<usize>,
    /// `next` of a response, for the next rows of the same report; without other parameters but `limit`.
    #[param(value_type = schemas::Text, inline, required = false)]
    cursor: Option<String>,
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
    /// Seconds by which the report is behind: it has all events that this node acknowledged before then.
    #[schema(minimum = 0)]
    behind_seconds: i64,
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
    /// Exchange rates by which money was converted: the value of one euro in each currency. Empty without `convert`.
    rates: Vec<RateUsed>,
    /// Cursor of the next rows of this report, for five minutes; null after the last.
    #[schema(required)]
    next: Option<String>,
}

/// Exchange rate that a report used.
#[derive(Serialize, ToSchema)]
pub(crate) struct RateUsed {
    #[schema(value_type = schemas::Currency)]
    currency: String,
    /// Day of the rate; it holds until the next.
    #[schema(value_type = schemas::Day)]
    day: NaiveDate,
    /// Value of one euro.
    #[schema(value_type = schemas::Text)]
    per_euro: String,
    /// Origin: set by a user, imported as CSV, or of the European Central Bank.
    #[schema(value_type = schemas::Text)]
    source: &'static str,
}

/// Metrics by name: a count, a ratio or seconds (null if undefined), or money as a list with one sum per currency.
#[derive(Serialize, ToSchema)]
#[schema(value_type = Object)]
pub(crate) struct FigureMap(BTreeMap<&'static str, Figure>);

/// Value of a metric.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
pub(crate) enum Figure {
    Count(i64),
    Ratio(Option<f64>),
    Seconds(Option<i32>),
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
                Value::Duration(seconds) => Figure::Seconds(seconds),
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
    /// Unit: `count`, `ratio`, `money` or `seconds`; `key` for a dimension.
    #[schema(value_type = schemas::Text)]
    unit: &'static str,
    /// Meaning or formula.
    #[schema(value_type = schemas::Text)]
    definition: &'static str,
    /// Time by which its events count; null for a dimension.
    #[schema(value_type = Option<schemas::Text>, required)]
    basis: Option<&'static str>,
    /// Roles that see it.
    #[schema(value_type = Vec<schemas::Text>)]
    roles: Vec<&'static str>,
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
                basis: None,
                roles: names(&dimension.roles()),
            })
            .collect(),
        metrics: metrics
            .map(|metric| Definition {
                name: metric.as_str(),
                label: metric.label(),
                unit: metric.unit(),
                definition: metric.definition(),
                basis: Some(metric.basis()),
                roles: names(&metric.roles()),
            })
            .collect(),
    }))
}

fn names(roles: &[RoleKind]) -> Vec<&'static str> {
    roles.iter().map(|role| role.as_str()).collect()
}

/// Get a report
///
/// Totals are exact, whatever the number of rows in the response. With `next` of the response as `cursor`, the next rows of
/// the same report follow, whatever arrives meanwhile: all pages sum to the total.
#[utoipa::path(get, path = "/reports", tag = "Reports", params(ReportParams, RowParams), responses((status = 200, body = Report)))]
pub(crate) async fn show(
    access: Allowed<needs::SeeReports>,
    request: HttpRequest,
    api: Data<Api>,
) -> Answer<Report> {
    respond(&access, &api, request.query_string()).await
}

/// Get a report by a query in the body
///
/// The parameters of `GET /reports` as one JSON object; several values of a filter, and several dimensions and metrics, as
/// lists: `{"group": ["campaign", "sub1"], "country": ["DE", "AT"], "clicks.min": 100}`.
#[utoipa::path(post, path = "/reports", tag = "Reports", request_body = ReportBody, responses((status = 200, body = Report)))]
pub(crate) async fn query(
    access: Allowed<needs::SeeReports>,
    body: Body<ReportBody>,
    api: Data<Api>,
) -> Answer<Report> {
    respond(&access, &api, &body.value.to_query_string()?).await
}

/// Parameters of a report by name.
#[derive(Deserialize, ToSchema)]
#[serde(transparent)]
#[schema(value_type = Object)]
pub(crate) struct ReportBody(BTreeMap<String, serde_json::Value>);

impl ReportBody {
    /// Query string of the parameters.
    fn to_query_string(&self) -> Result<String, ApiError> {
        let text = |name: &str, value: &serde_json::Value| match value {
            serde_json::Value::String(text) => Ok(text.clone()),
            serde_json::Value::Number(number) => Ok(number.to_string()),
            serde_json::Value::Bool(is_so) => Ok(is_so.to_string()),
            _ => Err(ApiError::field(name, "Send a text, a number, or a list of them.")),
        };
        let mut query = form_urlencoded::Serializer::new(String::new());
        for (name, value) in &self.0 {
            let text = match value {
                serde_json::Value::Array(values) => {
                    let values: Result<Vec<_>, _> = values.iter().map(|value| text(name, value)).collect();
                    reports::joined(&values?)
                }
                value => text(name, value)?,
            };
            query.append_pair(name, &text);
        }
        Ok(query.finish())
    }
}

async fn respond(access: &Allowed<needs::SeeReports>, api: &Api, text: &str) -> Answer<Report> {
    let mut conn = access.network(&api.db).await?;
    let network = networks::current(&mut conn).await?;
    let scope = access.scope();
    let (limit, offset) = page(text)?;
    if let Some(cursor) = parameter(text, "cursor") {
        conn.commit().await?;
        check_cursor_alone(text)?;
        let (name, offset) = read_cursor(&cursor)
            .ok_or_else(|| ApiError::field("cursor", "Send next of a response as it is."))?;
        let kept = api.reports.kept(name, network.id, scope);
        let kept = kept.map_err(|error| ApiError::field("cursor", error.to_string()))?;
        // A role may have lost a permission since.
        kept.query.check(access).map_err(refused)?;
        return page_of(kept, name, &network, access, offset..offset + limit).await;
    }
    let complete_until = api.tracker.complete_until();
    let rows = ["limit", "offset"];
    let (query, report) = run(&mut conn, &network, access, api, text, &rows, offset + limit).await?;
    conn.commit().await?;
    if report.row_count() <= offset + limit {
        let metrics = query.metrics(access);
        return Ok(Json(view(
            &query,
            &network,
            &metrics,
            &report,
            offset..offset + limit,
            complete_until,
            None,
        )));
    }
    let (name, kept) = api.reports.keep(network.id, scope, query, report, complete_until);
    page_of(kept, name, &network, access, offset..offset + limit).await
}

/// Rows of a report that is kept under a name.
async fn page_of(
    kept: KeptReport,
    name: Uuid,
    network: &Network,
    actor: &Actor,
    range: Range<usize>,
) -> Answer<Report> {
    let metrics = kept.query.metrics(actor);
    let network = network.clone();
    // Putting very many rows in order takes long: not on an actix worker.
    let page = reports::in_background(move || {
        let query = kept.query.clone();
        kept.with_rows(range.end, |report| {
            let next = (range.end < report.row_count()).then(|| format!("{}.{}", name.simple(), range.end));
            view(
                &query,
                &network,
                &metrics,
                report,
                range,
                kept.complete_until,
                next,
            )
        })
    });
    let page = page
        .await
        .map_err(|error| ApiError::Internal(error.to_string()))?;
    Ok(Json(page))
}

fn read_cursor(cursor: &str) -> Option<(Uuid, usize)> {
    let (name, offset) = cursor.split_once('.')?;
    let offset = offset.parse().ok().filter(|offset| *offset <= MAX_OFFSET)?;
    Some((Uuid::try_parse(name).ok()?, offset))
}

/// Refuses parameters beside a cursor, which belongs to a report that is already computed.
fn check_cursor_alone(text: &str) -> Result<(), ApiError> {
    let mut others = form_urlencoded::parse(text.as_bytes());
    match others.find(|(name, _)| !["cursor", "limit"].contains(&&**name)) {
        Some((name, _)) => Err(ApiError::field(
            &name,
            "Send a cursor with no other parameter but limit.",
        )),
        None => Ok(()),
    }
}

/// Rows of a report in this range.
fn view(
    query: &ReportQuery,
    network: &Network,
    metrics: &[Metric],
    report: &Outcome,
    range: Range<usize>,
    complete_until: DateTime<Utc>,
    next: Option<String>,
) -> Report {
    let of = |figures: &Figures| FigureMap::new(metrics, figures);
    let row = |row: Row| {
        let keys = query.group.iter().zip(row.keys);
        ReportRow {
            keys: keys
                .map(|(dimension, key)| ReportKey {
                    dimension: dimension.as_str(),
                    value: key.value,
                    label: key.label,
                })
                .collect(),
            figures: of(&row.figures),
            before: row.before.as_ref().map(of),
        }
    };
    Report {
        from: query.from,
        to: query.to,
        time_zone: query.zone.unwrap_or(network.time_zone()).name(),
        behind_seconds: (clock::now() - complete_until).num_seconds(),
        total: of(&report.total),
        total_before: report.total_before.as_ref().map(of),
        row_count: report.row_count(),
        others: of(&report.others(range.clone())),
        rows: report.rows(range).map(row).collect(),
        rates: report
            .rates
            .iter()
            .map(|rate| RateUsed {
                currency: rate.currency.to_string(),
                day: rate.day,
                per_euro: rate.per_euro.to_string(),
                source: rate.source.as_str(),
            })
            .collect(),
        next,
    }
}

/// Parses, checks and runs a report, with its first `rows` rows in order.
pub(super) async fn run(
    conn: &mut NetworkConn,
    network: &Network,
    actor: &Actor,
    api: &Api,
    text: &str,
    others: &[&str],
    rows: usize,
) -> Result<(ReportQuery, Outcome), ApiError> {
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
    let scope = actor.scope();
    match api.reports.run(conn, network, scope, &query, rows).await {
        Ok(report) => Ok((query, report)),
        Err(error) => Err(refused(vec![error.into_problem()?])),
    }
}

pub(super) fn refused(problems: Vec<QueryProblem>) -> ApiError {
    let fields = problems
        .into_iter()
        .map(|problem| (problem.field, problem.message));
    ApiError::Invalid(fields.collect())
}

/// Value of a parameter of a query; `None` if it is missing or empty.
pub(super) fn parameter<'a>(text: &'a str, wanted: &str) -> Option<Cow<'a, str>> {
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
