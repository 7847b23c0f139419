//! Report: a query in the URL, shown as a table or as CSV.

mod columns;
mod filters;
mod layout;
mod tree;
mod trend;

use std::collections::HashMap;

use actix_web::http::StatusCode;
use askama::Template;
use campaigns::campaigns as campaign_table;
use reports::files::MAX_IMMEDIATE_ROWS;
use reports::saved::{self, View};
use reports::{
    Basis, Dimension, Metric, Period, QueryProblem, Report, ReportError, ReportQuery, StoredQuery,
};
use schema::SavedReportId;
use tenancy::{Actor, Permission, Scope, affiliates, needs};

use self::columns::{Grouped, Heading, Kpi};
use self::filters::{Added, Chip};
use self::layout::Layout;
pub(in crate::pages::figures) use self::layout::Links;
use self::tree::Tree;
use super::report_rows::{self, Cell, ReportRow, cells};
use crate::chart::LineChart;
use crate::error::PageError;
use crate::forms::Choice;
use crate::page::Page;
use crate::pages::figures::saved_reports::Views;
use crate::pages::id;
use crate::period_bar::{PagePeriod, PeriodBar};
use crate::shell::{PageResult, Shell, csv_file, html_with, see_other, xlsx_file};

/// Maximum number of rows on the page. The CSV has all.
pub(super) const ROWS: usize = 500;

/// Dimensions that the actor sees.
fn visible_dimensions(actor: &Actor) -> impl Iterator<Item = &'static Dimension> {
    Dimension::ALL
        .iter()
        .filter(|dimension| dimension.is_visible_to(actor))
}

/// `GET /reports`
pub(super) async fn show(mut page: Page<needs::SeeReports>) -> PageResult {
    let text = page.request.http.query_string().to_owned();
    if let Some(url) = filters::with_added(&text) {
        return see_other(&url);
    }
    let scope = page.actor.scope();
    let zone = page.network.time_zone();
    let today = page.now.with_timezone(&zone).date_naive();
    let fallback = || ReportQuery::last_days(30, today, vec![Dimension::Campaign]);
    let views = saved::list(&mut page.conn, &page.actor).await?;
    let (open, parsed) = wanted(&mut page, &views).await?;
    let parsed = parsed.and_then(|(query, period)| query.check(&page.actor).map(|()| (query, period)));
    let parsed = parsed.and_then(|parsed| Layout::parse(&text).map(|layout| (layout, parsed)));
    let ((layout, (mut query, mut period)), mut problems) = match parsed {
        Ok(parsed) => (parsed, Vec::new()),
        Err(problems) => ((Layout::default(), (fallback(), None)), problems),
    };
    let report = match run(&mut page, &query).await {
        Ok(report) => report,
        Err(error) => {
            problems.push(error.into_problem()?);
            (query, period) = (fallback(), None);
            match run(&mut page, &query).await {
                Ok(report) => report,
                Err(error) => return Err(PageError::BadRequest(error.into_problem()?.message)),
            }
        }
    };
    let metrics = query.metrics(&page.actor);
    let links = Links::new(layout, &query, period);
    let currency = columns::only_currency(&report);
    let leading = columns::leading(&query, &report.total, page.network.currency);
    let is_tree = tree::can_open(&query) && !links.layout.is_flat;
    let (rows, hidden_rows) = if is_tree {
        let tree = Tree {
            query: &query,
            links: &links,
            metrics: &metrics,
            currency,
            leading,
            today,
        };
        match tree.load(&mut page).await {
            Ok(tree) => (tree.rows, tree.hidden),
            Err(error) => return Err(PageError::BadRequest(error.into_problem()?.message)),
        }
    } else {
        let rows = report_rows::rows((&query, &links), &metrics, &report, (currency, leading), today);
        (rows, report.row_count().saturating_sub(ROWS))
    };
    let trend = match columns::charted(&query, &links.layout, &metrics) {
        Some(metric) if report.row_count() > 0 => {
            let question = trend::Question {
                query: &query,
                links: &links,
                metric,
                currency: leading,
                now: page.now.with_timezone(&query.zone.unwrap_or(zone)),
            };
            question.load(&mut page).await?
        }
        _ => None,
    };
    let campaigns = campaign_table::visible(&mut page.conn, scope, None).await?;
    let affiliates = if page.actor.may(Permission::SeeParties) {
        affiliates::all(&mut page.conn, page.actor.scope()).await?
    } else {
        Vec::new()
    };
    let mut names: HashMap<String, String> = if scope == Scope::default() {
        reports::filter_names(&mut page.conn, &query).await?
    } else {
        HashMap::new()
    };
    names.extend(
        campaigns
            .iter()
            .map(|(campaign, _)| (campaign.id.to_string(), campaign.name.clone())),
    );
    names.extend(
        affiliates
            .iter()
            .map(|affiliate| (affiliate.id.to_string(), affiliate.name.clone())),
    );
    let frame = page.commit().await?;

    let status = if problems.is_empty() {
        StatusCode::OK
    } else {
        StatusCode::UNPROCESSABLE_ENTITY
    };
    let chosen = PagePeriod {
        period,
        from: query.from,
        to: query.to,
        compare: query.compare,
    };
    let is_kept = problems.is_empty() && PagePeriod::is_chosen(&text);
    let zone = query.zone.unwrap_or(frame.network.time_zone());
    let (chart, spans) = trend.map_or((None, Vec::new()), |trend| (Some(trend.chart), trend.spans));
    let query_text = query.to_query_string();
    let mut response = html_with(
        status,
        &Show {
            views: Views::new(&views, open, (&query, period), &frame.actor, today),
            shell: frame.shell("Reports", &title(&query)),
            problems,
            csv: format!("/reports.csv?{query_text}"),
            xlsx: format!("/reports.xlsx?{query_text}"),
            api: format!(
                "{}/api/v1/reports?{query_text}",
                frame.request.dashboard.dashboard_url
            ),
            bar: PeriodBar::new("/reports", &links.query_string(&query), chosen, today, false),
            days: chosen.in_words(today),
            last_90_days: links.narrowed(&ReportQuery {
                from: today.checked_sub_days(chrono::Days::new(89)).unwrap_or(today),
                to: today,
                ..query.clone()
            }),
            has_options: query.by != Basis::Conversion
                || query.convert.is_some()
                || zone != frame.network.time_zone(),
            by_click: query.by == Basis::Click,
            zone: zone.name(),
            currency: frame.network.currency.to_string(),
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
            bases: Choice::list(
                BASES.map(|(basis, label)| (basis.as_str(), label)),
                query.by.as_str(),
            ),
            kept_by_filters: links.kept(&query, &["campaign", "affiliate"]),
            kept_by_options: links.kept(&query, &["by", "convert", "tz"]),
            kept_by_columns: links.kept(&query, &["metrics"]),
            columns: columns::choices(&metrics, &frame.actor),
            usual_columns: query.metrics.is_some().then(|| {
                links.url(&ReportQuery {
                    metrics: None,
                    ..query.clone()
                })
            }),
            chips: filters::chips(&query, &links, &names),
            clear: links.narrowed(&ReportQuery {
                filters: Vec::new(),
                thresholds: Vec::new(),
                ..query.clone()
            }),
            added: Added::new(&frame.actor),
            grouped: columns::grouped(&query, &links),
            further: columns::further(&query, &links, &frame.actor),
            arrangements: arrangements(&query, &links),
            dimensions: query.group.iter().map(|dimension| dimension.label()).collect(),
            is_tree,
            density: frame.request.density(),
            kpis: columns::strip(&query, &links, &metrics, &report, leading),
            chart,
            spans,
            metrics: metrics
                .iter()
                .map(|metric| Heading::new(&query, &links, *metric, currency))
                .collect(),
            total: cells(
                &metrics,
                (&report.total, report.total_before.as_ref()),
                currency,
                leading,
            ),
            is_large: report.row_count() > MAX_IMMEDIATE_ROWS,
            query: query_text,
            hidden_rows,
            rows,
        },
    )?;
    if is_kept {
        chosen.remember(&frame.request, &mut response);
    }
    Ok(response)
}

/// Runs a report of the page.
async fn run(page: &mut Page<needs::SeeReports>, query: &ReportQuery) -> Result<Report, ReportError> {
    let engine = page.request.dashboard.reports.clone();
    let scope = page.actor.scope();
    engine
        .run(&mut page.conn, &page.network, scope, query, ROWS)
        .await
}

/// Title of a report: its dimensions.
fn title(query: &ReportQuery) -> String {
    let dimensions: Vec<_> = query.group.iter().map(|dimension| dimension.label()).collect();
    format!("Report · {}", dimensions.join(" × "))
}

/// URL and label of the page with rows that open and with flat ones, and true for its own. Empty if it can have flat ones
/// only.
fn arrangements(query: &ReportQuery, links: &Links) -> Vec<(String, &'static str, bool)> {
    if !tree::can_open(query) {
        return Vec::new();
    }
    [(false, "Grouped rows"), (true, "Flat rows")]
        .map(|(is_flat, label)| {
            let layout = Layout {
                is_flat,
                ..links.layout.clone()
            };
            let url = links.with(query, &layout);
            (url, label, links.layout.is_flat == is_flat)
        })
        .into()
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
    let mut text = page.request.http.query_string().to_owned();
    let pairs = form_urlencoded::parse(text.as_bytes()).filter(|(_, value)| !value.is_empty());
    let pairs = pairs.filter(|(name, _)| name == "view" || !layout::NAMES.contains(&&**name));
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
        _ => {
            // Without days in the URL, the period is that of the page before.
            let today = now.with_timezone(&zone).date_naive();
            let remembered = PagePeriod::remembered(&page.request, today);
            if let (false, Some(period)) = (PagePeriod::is_chosen(&text), remembered) {
                let has_comparison =
                    form_urlencoded::parse(text.as_bytes()).any(|(name, _)| name == "compare");
                let pairs = period.pairs().into_iter();
                let mut all = form_urlencoded::Serializer::new(text);
                all.extend_pairs(pairs.filter(|(name, _)| *name != "compare" || !has_comparison));
                text = all.finish();
            }
            StoredQuery::parse(&text, &layout::NAMES, now, zone).map(|(query, period)| {
                let is_grouped = form_urlencoded::parse(text.as_bytes()).any(|(name, _)| name == "group");
                let group = match page.actor.scope().affiliate {
                    // An affiliate has one name; it tells its placements apart by sub IDs.
                    Some(_) if !is_grouped => vec![Dimension::Campaign, Dimension::Sub1],
                    _ => query.group,
                };
                (ReportQuery { group, ..query }, period)
            })
        }
    };
    Ok((view.map(|view| view.report.id), parsed))
}

const BASES: [(Basis, &str); 2] = [
    (Basis::Conversion, "Time of the conversion"),
    (Basis::Click, "Time of the click"),
];

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

#[derive(Template)]
#[template(path = "figures/reports/show.html")]
struct Show {
    shell: Shell,
    views: Views,
    problems: Vec<QueryProblem>,
    csv: String,
    xlsx: String,
    /// URL of the same report in the API.
    api: String,
    bar: PeriodBar,
    /// Days in words.
    days: String,
    /// URL of the report of the last 90 days.
    last_90_days: String,
    /// True if an option is set that the form shows only when asked for.
    has_options: bool,
    by_click: bool,
    zone: &'static str,
    /// Currency of the network.
    currency: String,
    /// Currency that money is converted to; empty for none.
    convert: String,
    /// Exchange rates that were used.
    rates: Vec<String>,
    campaigns: Vec<Choice>,
    affiliates: Vec<Choice>,
    bases: Vec<Choice>,
    /// Parameters that each form keeps.
    kept_by_filters: Vec<(String, String)>,
    kept_by_options: Vec<(String, String)>,
    kept_by_columns: Vec<(String, String)>,
    columns: Vec<Choice>,
    /// URL of the report with the usual columns; `None` if it has them.
    usual_columns: Option<String>,
    chips: Vec<Chip>,
    /// URL of the report without filters.
    clear: String,
    added: Added,
    grouped: Vec<Grouped>,
    /// URL and label of the report with each further dimension.
    further: Vec<(String, &'static str)>,
    arrangements: Vec<(String, &'static str, bool)>,
    dimensions: Vec<&'static str>,
    is_tree: bool,
    density: &'static str,
    kpis: Vec<Kpi>,
    chart: Option<LineChart>,
    spans: Vec<(String, &'static str, bool)>,
    metrics: Vec<Heading>,
    total: Vec<Cell>,
    hidden_rows: usize,
    /// True if its files are prepared in the background.
    is_large: bool,
    /// Query string of the report.
    query: String,
    rows: Vec<ReportRow>,
}
