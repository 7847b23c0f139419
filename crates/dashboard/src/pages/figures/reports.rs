//! Report: a query in the URL, shown as a table or as CSV.

use actix_web::http::StatusCode;
use askama::Template;
use campaigns::campaigns as campaign_table;
use reports::files::MAX_IMMEDIATE_ROWS;
use reports::saved::{self, View};
use reports::{
    Basis, Comparison, Dimension, MAX_DEPTH, Metric, Period, QueryProblem, Report, ReportQuery, Sort,
    StoredQuery,
};
use schema::SavedReportId;
use tenancy::{Actor, Permission, affiliates, needs};

use super::report_rows::{Cell, ReportRow, cells, rows};
use crate::error::PageError;
use crate::forms::Choice;
use crate::page::Page;
use crate::pages::figures::saved_reports::Views;
use crate::pages::id;
use crate::shell::{PageResult, Shell, csv_file, html_with, see_other, xlsx_file};

/// Maximum number of rows on the page. The CSV has all.
pub(super) const ROWS: usize = 500;

/// Fields of the form that add a filter or a bound: the name of the parameter in one or two parts, and its value.
const ADDED: [(&[&str], &str); 2] = [
    (&["filter", "filter_test"], "filter_value"),
    (&["bound", "bound_end"], "bound_value"),
];

/// URL of the report with what the form adds; `None` if it adds nothing.
fn with_added(query: &str) -> Option<String> {
    let pairs: Vec<_> = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
    let of = |wanted: &str| {
        let found = pairs.iter().find(|(name, _)| name == wanted);
        found.map_or("", |(_, value)| value.trim())
    };
    let is_added = |name: &str| {
        let mut fields = ADDED.iter();
        fields.any(|(names, value)| names.contains(&name) || *value == name)
    };
    if !pairs.iter().any(|(name, _)| is_added(name)) {
        return None;
    }
    let mut url = form_urlencoded::Serializer::new(String::new());
    url.extend_pairs(pairs.iter().filter(|(name, _)| !is_added(name)));
    for (names, value) in ADDED {
        let name: String = names.iter().map(|name| of(name)).collect();
        if !of(names.first()?).is_empty() && !of(value).is_empty() {
            url.append_pair(&name, of(value));
        }
    }
    Some(format!("/reports?{}", url.finish()))
}

/// Choices of the fields that add a filter or a bound.
struct Added {
    filters: Vec<Choice>,
    tests: Vec<Choice>,
    bounds: Vec<Choice>,
    ends: Vec<Choice>,
}

impl Added {
    fn new(actor: &Actor) -> Self {
        // Objects are filtered by clicking them, not by typing their IDs.
        let texts =
            visible_dimensions(actor).filter(|dimension| !dimension.is_time() && !dimension.is_object());
        let metrics = Metric::ALL.iter().filter(|metric| metric.is_visible_to(actor));
        Self {
            filters: Choice::list(texts.map(|one| (one.as_str(), one.label())), ""),
            tests: Choice::list(
                [
                    ("", "is"),
                    (".not", "is not"),
                    (".contains", "contains"),
                    (".begins", "begins with"),
                ],
                "",
            ),
            bounds: Choice::list(metrics.map(|metric| (metric.as_str(), metric.label())), ""),
            ends: Choice::list([(".min", "at least"), (".max", "at most")], ""),
        }
    }
}

/// Dimensions that the actor sees.
fn visible_dimensions(actor: &Actor) -> impl Iterator<Item = &'static Dimension> {
    Dimension::ALL
        .iter()
        .filter(|dimension| dimension.is_visible_to(actor))
}

/// Dimensions that the form offers at least; each that is chosen makes room for another.
const MIN_LEVELS: usize = 3;

/// `GET /reports`
pub(super) async fn show(mut page: Page<needs::SeeReports>) -> PageResult {
    if let Some(url) = with_added(page.request.http.query_string()) {
        return see_other(&url);
    }
    let scope = page.actor.scope();
    let today = page.now.with_timezone(&page.network.time_zone()).date_naive();
    let fallback = || ReportQuery::last_days(30, today, vec![Dimension::Campaign]);
    let views = saved::list(&mut page.conn, &page.actor).await?;
    let (open, parsed) = wanted(&mut page, &views).await?;
    let parsed = parsed.and_then(|(query, period)| query.check(&page.actor).map(|()| (query, period)));
    let ((mut query, period), mut problems) = match parsed {
        Ok(query) => (query, Vec::new()),
        Err(problems) => ((fallback(), None), problems),
    };
    let engine = page.request.dashboard.reports.clone();
    let report = match engine
        .run(&mut page.conn, &page.network, scope, &query, ROWS)
        .await
    {
        Ok(report) => report,
        Err(error) => {
            problems.push(error.into_problem()?);
            query = fallback();
            let report = engine
                .run(&mut page.conn, &page.network, scope, &query, ROWS)
                .await;
            match report {
                Ok(report) => report,
                Err(error) => return Err(PageError::BadRequest(error.into_problem()?.message)),
            }
        }
    };
    let campaigns = campaign_table::visible(&mut page.conn, scope, None).await?;
    let affiliates = if page.actor.may(Permission::SeeParties) {
        affiliates::all(&mut page.conn, page.actor.scope()).await?
    } else {
        Vec::new()
    };
    let frame = page.commit().await?;

    let metrics = query.metrics(&frame.actor);
    let status = if problems.is_empty() {
        StatusCode::OK
    } else {
        StatusCode::UNPROCESSABLE_ENTITY
    };
    let zone = query.zone.unwrap_or(frame.network.time_zone());
    html_with(
        status,
        &Show {
            views: Views::new(&views, open, (&query, period), &frame.actor, today),
            shell: frame.shell("Reports", "Report"),
            problems,
            csv: format!("/reports.csv?{}", query.to_query_string()),
            xlsx: format!("/reports.xlsx?{}", query.to_query_string()),
            all_metrics: query
                .metrics
                .is_none()
                .then(|| with_all_metrics(&query, &frame.actor)),
            presets: presets(&query, period, today),
            has_options: query.by != Basis::Conversion
                || query.convert.is_some()
                || zone != frame.network.time_zone(),
            from: query.from.to_string(),
            to: query.to.to_string(),
            zone: zone.name(),
            convert: query
                .convert
                .map_or(String::new(), |currency| currency.to_string()),
            rates: report
                .rates
                .iter()
                .map(|rate| format!("{} {} on {}", rate.per_euro, rate.currency, rate.day))
                .collect(),
            campaigns: Choice::list(
                campaigns
                    .into_iter()
                    .map(|(campaign, _)| (campaign.id, campaign.name)),
                query.only(Dimension::Campaign),
            ),
            affiliates: Choice::list(
                affiliates
                    .into_iter()
                    .map(|affiliate| (affiliate.id, affiliate.name)),
                query.only(Dimension::Affiliate),
            ),
            groups: (0..(query.group.len() + 1).clamp(MIN_LEVELS, MAX_DEPTH))
                .map(|at| group_choices(&query, at, &frame.actor))
                .collect(),
            bases: Choice::list(
                BASES.map(|(basis, label)| (basis.as_str(), label)),
                query.by.as_str(),
            ),
            comparisons: Choice::list(
                COMPARISONS.map(|(compare, label)| (compare.as_str(), label)),
                &query.compare.map_or(String::new(), |compare| compare.to_string()),
            ),
            kept: kept(&query),
            narrowings: narrowings(&query),
            added: Added::new(&frame.actor),
            dimensions: query.group.iter().map(|dimension| dimension.label()).collect(),
            metrics: metrics
                .iter()
                .map(|metric| Heading::new(&query, *metric))
                .collect(),
            total: cells(&metrics, &report.total, report.total_before.as_ref()),
            is_large: report.row_count() > MAX_IMMEDIATE_ROWS,
            query: query.to_query_string(),
            hidden_rows: report.row_count().saturating_sub(ROWS),
            rows: rows(&query, &metrics, &report, today),
        },
    )
}

/// Query of a report with its relative period, or its invalid parameters.
type Parsed = Result<(ReportQuery, Option<Period>), Vec<QueryProblem>>;

/// View that is open, and the query of the report: of the parameters, or else of the view, or else of the view that the
/// role opens by default.
async fn wanted(
    page: &mut Page<needs::SeeReports>,
    views: &[View],
) -> Result<(Option<SavedReportId>, Parsed), PageError> {
    let (now, zone) = (page.now, page.network.time_zone());
    let text = page.request.http.query_string().to_owned();
    let pairs = form_urlencoded::parse(text.as_bytes()).filter(|(_, value)| !value.is_empty());
    let (of_view, others): (Vec<_>, Vec<_>) = pairs.partition(|(name, _)| name == "view");
    let open = match of_view.last() {
        Some((_, value)) => Some(id(value)?),
        None if others.is_empty() => saved::default_of(&mut page.conn, &page.actor).await?,
        None => None,
    };
    // A default that is no longer offered to the role is none.
    let view = views.iter().find(|view| open == Some(view.report.id));
    if view.is_none() && !of_view.is_empty() {
        return Err(PageError::NotFound);
    }
    let parsed = match view {
        Some(view) if others.is_empty() => {
            let stored = view.report.stored();
            stored.at(now, zone).map(|query| (query, stored.period))
        }
        _ => StoredQuery::parse(&text, &["view"], now, zone).map(|(query, period)| {
            let is_grouped = form_urlencoded::parse(text.as_bytes()).any(|(name, _)| name == "group");
            let group = match page.actor.scope().affiliate {
                // An affiliate has one name; it tells its placements apart by sub IDs.
                Some(_) if !is_grouped => vec![Dimension::Campaign, Dimension::Sub1],
                _ => query.group,
            };
            (ReportQuery { group, ..query }, period)
        }),
    };
    Ok((view.map(|view| view.report.id), parsed))
}

/// URL and label of the report of each relative period, and true for that of the query.
fn presets(
    query: &ReportQuery,
    period: Option<Period>,
    today: chrono::NaiveDate,
) -> Vec<(String, &'static str, bool)> {
    let text = query.to_query_string();
    let pairs = form_urlencoded::parse(text.as_bytes());
    let others: Vec<_> = pairs
        .filter(|(name, _)| !matches!(name.as_ref(), "from" | "to"))
        .collect();
    let chosen = period.or_else(|| Period::of_days(query.from, query.to, today));
    PRESETS
        .into_iter()
        .map(|preset| {
            let mut url = form_urlencoded::Serializer::new("/reports?".to_owned());
            url.append_pair("period", preset.as_str()).extend_pairs(&others);
            (url.finish(), preset.label(), chosen == Some(preset))
        })
        .collect()
}

/// URL of the report with every metric that the actor sees.
fn with_all_metrics(query: &ReportQuery, actor: &Actor) -> String {
    let all = ReportQuery {
        metrics: Some(Metric::ALL.to_vec()),
        ..query.clone()
    };
    let visible = ReportQuery {
        metrics: Some(all.metrics(actor)),
        ..all
    };
    format!("/reports?{}", visible.to_query_string())
}

/// Relative periods to choose from.
const PRESETS: [Period; 7] = [
    Period::Today,
    Period::Yesterday,
    Period::Last7Days,
    Period::Last30Days,
    Period::ThisMonth,
    Period::LastMonth,
    Period::Last90Days,
];

const BASES: [(Basis, &str); 2] = [
    (Basis::Conversion, "Time of the conversion"),
    (Basis::Click, "Time of the click"),
];

const COMPARISONS: [(Comparison, &str); 3] = [
    (Comparison::Previous, "Days before"),
    (Comparison::Year, "A year before"),
    (Comparison::YearWeekdays, "52 weeks before"),
];

/// Choices of one level of the grouping.
fn group_choices(query: &ReportQuery, at: usize, actor: &Actor) -> Vec<Choice> {
    let none = (at > 0).then_some(("", "—"));
    let visible = visible_dimensions(actor).map(|dimension| (dimension.as_str(), dimension.label()));
    let chosen = query.group.get(at).map_or("", |dimension| dimension.as_str());
    Choice::list(none.into_iter().chain(visible), chosen)
}

/// Parameters of the query that the form has no field for, so that they survive a change of the form.
fn kept(query: &ReportQuery) -> Vec<(String, String)> {
    const FIELDS: [&str; 9] = [
        "from",
        "to",
        "tz",
        "by",
        "campaign",
        "affiliate",
        "group",
        "compare",
        "convert",
    ];
    let text = query.to_query_string();
    let pairs = form_urlencoded::parse(text.as_bytes()).into_owned();
    pairs
        .filter(|(name, _)| !FIELDS.contains(&name.as_str()))
        .collect()
}

/// Filters and bounds without a field in the form, each with the URL of the report without it.
fn narrowings(query: &ReportQuery) -> Vec<(String, String)> {
    let others = query
        .filters
        .iter()
        .filter(|filter| !matches!(filter.dimension, Dimension::Campaign | Dimension::Affiliate));
    let filters = others.map(|filter| {
        let mut without = query.clone();
        without.filters.retain(|other| other != filter);
        (filter.to_pair(), without)
    });
    let thresholds = query.thresholds.iter().map(|threshold| {
        let mut without = query.clone();
        without.thresholds.retain(|other| other != threshold);
        (threshold.to_pair(), without)
    });
    let narrowing = |((name, value), without): ((String, String), ReportQuery)| {
        let url = format!("/reports?{}", without.to_query_string());
        (format!("{name} = {value}"), url)
    };
    filters.chain(thresholds).map(narrowing).collect()
}

/// `GET /reports.csv`: all rows of the report.
pub(super) async fn csv(page: Page<needs::SeeReports>) -> PageResult {
    let (query, metrics, report, name) = file(page).await?;
    // Hundreds of thousands of lines take long: not on an actix worker.
    let csv = reports::in_background(move || reports::to_csv(&query, &metrics, &report))
        .await
        .map_err(|error| PageError::BadRequest(error.to_string()))?;
    Ok(csv_file(&format!("{name}.csv"), csv))
}

/// `GET /reports.xlsx`: the same as a workbook.
pub(super) async fn xlsx(page: Page<needs::SeeReports>) -> PageResult {
    let (query, metrics, report, name) = file(page).await?;
    let workbook = reports::in_background(move || reports::to_xlsx(&query, &metrics, &report))
        .await
        .map_err(|error| PageError::BadRequest(error.to_string()))?;
    let workbook = workbook.map_err(|error| PageError::BadRequest(error.to_string()))?;
    Ok(xlsx_file(&format!("{name}.xlsx"), workbook))
}

/// Refusal of a query, with all its problems.
pub(super) fn refusal(problems: Vec<QueryProblem>) -> PageError {
    let sentences: Vec<_> = problems
        .into_iter()
        .map(|problem| format!("{}: {}", problem.field, problem.message))
        .collect();
    PageError::BadRequest(sentences.join(" "))
}

/// Report to save as a file, with its visible metrics and a name.
async fn file(
    mut page: Page<needs::SeeReports>,
) -> Result<(ReportQuery, Vec<Metric>, Report, String), PageError> {
    let views = saved::list(&mut page.conn, &page.actor).await?;
    let (_, parsed) = wanted(&mut page, &views).await?;
    let (query, _) = parsed.map_err(refusal)?;
    query.check(&page.actor).map_err(refusal)?;
    let engine = page.request.dashboard.reports.clone();
    let scope = page.actor.scope();
    let report = engine
        .run(&mut page.conn, &page.network, scope, &query, MAX_IMMEDIATE_ROWS)
        .await;
    let report = match report {
        Ok(report) => report,
        Err(error) => return Err(refusal(vec![error.into_problem()?])),
    };
    if report.row_count() > MAX_IMMEDIATE_ROWS {
        let message = format!(
            "The report has {} rows, too many for a download at once. Its page offers to prepare a file.",
            report.row_count()
        );
        return Err(PageError::BadRequest(message));
    }
    let frame = page.commit().await?;
    let zone = query.zone.unwrap_or(frame.network.time_zone());
    let zone = zone.name().replace('/', "-");
    let (from, to) = (query.from, query.to);
    let metrics = query.metrics(&frame.actor);
    let name = format!("report_{from}_{to}_{zone}");
    Ok((query, metrics, report, name))
}

/// Heading of a metric.
struct Heading {
    label: &'static str,
    definition: &'static str,
    /// The report sorted by the metric, or the other way round if it is.
    sorted: String,
    /// Arrow, if the rows are sorted by it.
    arrow: &'static str,
    /// The same for screen readers.
    order: Option<&'static str>,
}

impl Heading {
    fn new(query: &ReportQuery, metric: Metric) -> Self {
        let sort = query.sort.filter(|sort| sort.metric == Some(metric));
        let sorted = ReportQuery {
            sort: Some(Sort {
                metric: Some(metric),
                is_descending: sort.is_none_or(|sort| !sort.is_descending),
            }),
            ..query.clone()
        };
        Self {
            label: metric.label(),
            definition: metric.definition(),
            sorted: format!("/reports?{}", sorted.to_query_string()),
            arrow: match sort {
                None => "",
                Some(sort) if sort.is_descending => " ↓",
                Some(_) => " ↑",
            },
            order: sort.map(|sort| {
                if sort.is_descending {
                    "descending"
                } else {
                    "ascending"
                }
            }),
        }
    }
}

#[derive(Template)]
#[template(path = "figures/reports/show.html")]
struct Show {
    shell: Shell,
    views: Views,
    problems: Vec<QueryProblem>,
    csv: String,
    xlsx: String,
    /// URL of the report with every metric; `None` if metrics are chosen.
    all_metrics: Option<String>,
    /// URL and label of the report of each relative period, and true for its own.
    presets: Vec<(String, &'static str, bool)>,
    /// True if an option is set that the form shows only when asked for.
    has_options: bool,
    from: String,
    to: String,
    zone: &'static str,
    /// Currency that money is converted to; empty for none.
    convert: String,
    /// Exchange rates that were used.
    rates: Vec<String>,
    campaigns: Vec<Choice>,
    affiliates: Vec<Choice>,
    groups: Vec<Vec<Choice>>,
    bases: Vec<Choice>,
    comparisons: Vec<Choice>,
    kept: Vec<(String, String)>,
    narrowings: Vec<(String, String)>,
    added: Added,
    dimensions: Vec<&'static str>,
    metrics: Vec<Heading>,
    total: Vec<Cell>,
    hidden_rows: usize,
    /// True if its files are prepared in the background.
    is_large: bool,
    /// Query string of the report.
    query: String,
    rows: Vec<ReportRow>,
}
