//! Report: a query in the URL, shown as a table or as CSV.

use actix_web::http::StatusCode;
use actix_web::web;
use askama::Template;
use campaigns::campaigns as campaign_table;
use reports::{Dimension, Figures, Key, Metric, QueryProblem, Report, ReportQuery, Row};
use schema::Money;
use tenancy::{Actor, Permission, affiliates, needs};

use crate::error::PageError;
use crate::format;
use crate::forms::Choice;
use crate::page::Page;
use crate::shell::{PageResult, Shell, csv_file, html_with};

/// Maximum number of rows on the page. The CSV has all.
const ROWS: usize = 500;

/// Groupings of the form. The URL accepts others.
const GROUPINGS: [(&str, &str); 7] = [
    ("campaign,affiliate", "Campaign, affiliate"),
    ("affiliate,campaign", "Affiliate, campaign"),
    ("affiliate,day", "Affiliate, day"),
    ("campaign,day", "Campaign, day"),
    ("day", "Day"),
    ("campaign", "Campaign"),
    ("affiliate", "Affiliate"),
];

/// `GET /reports`
pub(super) async fn show(mut page: Page<needs::SeeReports>) -> PageResult {
    let scope = page.actor.role.scope();
    let today = page.now.with_timezone(&page.network.time_zone()).date_naive();
    let (query, problems) = match ReportQuery::parse(page.request.http.query_string(), today) {
        Ok(query) => (query, Vec::new()),
        Err(problems) => (
            ReportQuery::last_days(30, today, vec![Dimension::Campaign]),
            problems,
        ),
    };
    let report = reports::run(&mut page.conn, &page.network, scope, &query).await?;
    let campaigns = campaign_table::visible(&mut page.conn, scope, None).await?;
    let affiliates = if page.actor.may(Permission::SeeParties) {
        affiliates::all(&mut page.conn).await?
    } else {
        Vec::new()
    };
    let frame = page.commit().await?;

    let metrics = metrics(&frame.actor);
    let status = if problems.is_empty() {
        StatusCode::OK
    } else {
        StatusCode::UNPROCESSABLE_ENTITY
    };
    let group: Vec<_> = query.group.iter().map(|dimension| dimension.as_str()).collect();
    html_with(
        status,
        &Show {
            shell: frame.shell("Reports", "Report"),
            problems,
            csv: format!("/reports.csv?{}", query.to_query_string()),
            from: query.from.to_string(),
            to: query.to.to_string(),
            campaigns: Choice::list(
                campaigns
                    .into_iter()
                    .map(|(campaign, _)| (campaign.id, campaign.name)),
                &query.campaign.map_or(String::new(), |id| id.to_string()),
            ),
            affiliates: Choice::list(
                affiliates
                    .into_iter()
                    .map(|affiliate| (affiliate.id, affiliate.name)),
                &query.affiliate.map_or(String::new(), |id| id.to_string()),
            ),
            groupings: Choice::list(GROUPINGS, &group.join(",")),
            dimensions: query.group.iter().map(|dimension| heading(*dimension)).collect(),
            metrics: metrics
                .iter()
                .map(|metric| (metric.label(), metric.definition()))
                .collect(),
            total: cells(&metrics, &report.total),
            hidden_rows: report.rows.len().saturating_sub(ROWS),
            rows: rows(&query, &metrics, &report, today),
        },
    )
}

/// `GET /reports.csv`: all rows of the report.
pub(super) async fn csv(mut page: Page<needs::SeeReports>) -> PageResult {
    let today = page.now.with_timezone(&page.network.time_zone()).date_naive();
    let query = ReportQuery::parse(page.request.http.query_string(), today).map_err(|problems| {
        let sentences: Vec<_> = problems
            .into_iter()
            .map(|problem| format!("{}: {}", problem.field, problem.message))
            .collect();
        PageError::BadRequest(sentences.join(" "))
    })?;
    let report = reports::run(&mut page.conn, &page.network, page.actor.role.scope(), &query).await?;
    let frame = page.commit().await?;
    let zone = frame.network.time_zone().name().replace('/', "-");
    let (from, to) = (query.from, query.to);
    let metrics = metrics(&frame.actor);
    // Hundreds of thousands of lines take long: not on an actix worker.
    let csv = web::block(move || reports::to_csv(&query, &metrics, &report))
        .await
        .map_err(|error| PageError::BadRequest(error.to_string()))?;
    let name = format!("report_{from}_{to}_{zone}.csv");
    Ok(csv_file(&name, csv))
}

/// Metrics that the actor may see, in the order of the columns.
fn metrics(actor: &Actor) -> Vec<Metric> {
    Metric::ALL
        .iter()
        .copied()
        .filter(|metric| match metric {
            Metric::Commission => actor.may(Permission::SeeCommission),
            Metric::Revenue => actor.may(Permission::SeeRevenue),
            _ => true,
        })
        .collect()
}

fn heading(dimension: Dimension) -> &'static str {
    match dimension {
        Dimension::Day => "Day",
        Dimension::Campaign => "Campaign",
        Dimension::Affiliate => "Affiliate",
    }
}

fn rows(
    query: &ReportQuery,
    metrics: &[Metric],
    report: &Report,
    today: chrono::NaiveDate,
) -> Vec<ReportRow> {
    report
        .rows
        .iter()
        .take(ROWS)
        .map(|Row { keys, figures }| ReportRow {
            keys: keys.iter().map(|key| key_cell(query, key, today)).collect(),
            cells: cells(metrics, figures),
        })
        .collect()
}

/// Text of a key, and the URL of the report narrowed to it.
fn key_cell(query: &ReportQuery, key: &Key, today: chrono::NaiveDate) -> (String, String) {
    let mut narrowed = query.clone();
    let text = match key {
        Key::Day(day) => {
            (narrowed.from, narrowed.to) = (day.0, day.0);
            format::day(day.0, today)
        }
        Key::Campaign(name, id) => {
            narrowed.campaign = Some(*id);
            name.clone()
        }
        Key::Affiliate(name, id) => {
            narrowed.affiliate = Some(*id);
            name.clone()
        }
    };
    (text, format!("/reports?{}", narrowed.to_query_string()))
}

/// Cells of a row. A sum of money has a line per currency.
fn cells(metrics: &[Metric], figures: &Figures) -> Vec<Cell> {
    let count = |count: i64| Cell {
        lines: vec![format::count(count)],
        zero: count == 0,
    };
    let money = |sums: Vec<Money>| {
        let zero = sums.is_empty();
        let lines = if zero {
            vec!["0".to_owned()]
        } else {
            sums.into_iter().map(format::money).collect()
        };
        Cell { lines, zero }
    };
    metrics
        .iter()
        .map(|metric| match metric {
            Metric::Clicks => count(figures.clicks),
            Metric::UniqueClicks => count(figures.unique_clicks),
            Metric::InvalidClicks => count(figures.invalid_clicks),
            Metric::Conversions => count(figures.conversions()),
            Metric::ConversionRate => Cell {
                lines: vec![format::percent(figures.conversion_rate())],
                zero: false,
            },
            Metric::Pending => count(figures.pending),
            Metric::Approved => count(figures.approved),
            Metric::Rejected => count(figures.rejected),
            Metric::Commission => money(figures.commission()),
            Metric::Revenue => money(figures.revenue()),
        })
        .collect()
}

struct Cell {
    lines: Vec<String>,
    zero: bool,
}

struct ReportRow {
    keys: Vec<(String, String)>,
    cells: Vec<Cell>,
}

#[derive(Template)]
#[template(path = "figures/reports/show.html")]
struct Show {
    shell: Shell,
    problems: Vec<QueryProblem>,
    csv: String,
    from: String,
    to: String,
    campaigns: Vec<Choice>,
    affiliates: Vec<Choice>,
    groupings: Vec<Choice>,
    dimensions: Vec<&'static str>,
    metrics: Vec<(&'static str, &'static str)>,
    total: Vec<Cell>,
    hidden_rows: usize,
    rows: Vec<ReportRow>,
}
