//! The report: a query in the URL, a table, and the same as CSV.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, web};
use askama::Template;
use campaigns::campaigns as campaign_table;
use reports::{Dimension, Figures, Key, Metric, QueryProblem, Report, ReportQuery, Row};
use schema::{Money, clock};
use tenancy::{Actor, Permission, affiliates, needs, networks};

use crate::auth::Allowed;
use crate::error::PageError;
use crate::forms::Choice;
use crate::shell::{PageResult, Shell, csv_file, page_with};
use crate::{Dashboard, format};

/// Most rows a page shows; the CSV has all.
const ROWS: usize = 500;

/// The groupings the form offers; any other can be put into the URL.
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
pub(super) async fn show(
    request: HttpRequest,
    dashboard: web::Data<Dashboard>,
    actor: Allowed<needs::SeeReports>,
) -> PageResult {
    let (scope, now) = (actor.role.scope(), clock::now());
    let mut conn = actor.network(&dashboard.db).await?;
    let network = networks::current(&mut conn).await?;
    let today = now.with_timezone(&network.time_zone()).date_naive();
    let (query, problems) = match ReportQuery::parse(request.query_string(), today) {
        Ok(query) => (query, Vec::new()),
        Err(problems) => (
            ReportQuery::last_days(30, today, vec![Dimension::Campaign]),
            problems,
        ),
    };
    let report = reports::run(&mut conn, &network, scope, &query).await?;
    let campaigns = campaign_table::visible(&mut conn, scope, None).await?;
    let affiliates = match actor.may(Permission::SeeParties) {
        true => affiliates::all(&mut conn).await?,
        false => Vec::new(),
    };
    conn.commit().await?;

    let metrics = metrics(&actor);
    let status = if problems.is_empty() {
        StatusCode::OK
    } else {
        StatusCode::UNPROCESSABLE_ENTITY
    };
    let group: Vec<_> = query.group.iter().map(|dimension| dimension.as_str()).collect();
    page_with(
        status,
        &Show {
            shell: Shell::new(&dashboard, &request, &actor, &network, "Reports", "Report"),
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

/// `GET /reports.csv`: exactly what the page shows, all rows.
pub(super) async fn csv(
    request: HttpRequest,
    dashboard: web::Data<Dashboard>,
    actor: Allowed<needs::SeeReports>,
) -> PageResult {
    let now = clock::now();
    let mut conn = actor.network(&dashboard.db).await?;
    let network = networks::current(&mut conn).await?;
    let today = now.with_timezone(&network.time_zone()).date_naive();
    let query = ReportQuery::parse(request.query_string(), today).map_err(|problems| {
        let sentences: Vec<_> = problems
            .into_iter()
            .map(|it| format!("{}: {}", it.field, it.message))
            .collect();
        PageError::BadRequest(sentences.join(" "))
    })?;
    let report = reports::run(&mut conn, &network, actor.role.scope(), &query).await?;
    conn.commit().await?;
    let zone = network.time_zone().name().replace('/', "-");
    let (from, to) = (query.from, query.to);
    let metrics = metrics(&actor);
    // Hundreds of thousands of lines take their time: not on the thread that serves others.
    let csv = web::block(move || reports::to_csv(&query, &metrics, &report))
        .await
        .map_err(|error| PageError::BadRequest(error.to_string()))?;
    let name = format!("report_{from}_{to}_{zone}.csv");
    Ok(csv_file(&name, csv))
}

/// The numbers this person may see, in the order of the columns.
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

/// A key's text, and the report narrowed to it.
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

/// A cell's lines: one, or one per currency; muted where it is zero.
fn cells(metrics: &[Metric], figures: &Figures) -> Vec<Cell> {
    let count = |count: i64| Cell {
        lines: vec![format::count(count)],
        zero: count == 0,
    };
    let money = |sums: Vec<Money>| match sums.is_empty() {
        true => Cell {
            lines: vec!["0".to_owned()],
            zero: true,
        },
        false => Cell {
            lines: sums.into_iter().map(format::money).collect(),
            zero: false,
        },
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
