//! Report of the installation: the events of each network in a period. Money is the networks' own: to see it, an operator
//! acts as a member, with a reason.

use actix_web::web;
use askama::Template;
use chrono::{NaiveDate, TimeDelta};
use chrono_tz::Tz;
use reports::{Metric, Report, ReportQuery, Value};
use schema::clock;
use serde::Deserialize;
use tenancy::networks::Network;
use tenancy::{Scope, csv_export, operators};

use crate::auth::SignedIn;
use crate::error::PageError;
use crate::format;
use crate::listing;
use crate::shell::{PageResult, Shell, csv_file, html};
use crate::urls;

const METRICS: [Metric; 9] = [
    Metric::Clicks,
    Metric::ValidClicks,
    Metric::UniqueClicks,
    Metric::Conversions,
    Metric::Approved,
    Metric::Rejected,
    Metric::PostbacksReceived,
    Metric::PostbacksRejected,
    Metric::PostbacksHeld,
];
/// Networks of a report, the newest: each is summed in a separate transaction.
const MAX_NETWORKS: i64 = 1_000;
/// Longest period, in days.
const MAX_DAYS: i64 = 731;
/// Days of a report that names no period.
const USUAL_DAYS: u64 = 30;

/// Period, from the query string: days of UTC, inclusive.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Period {
    #[serde(default)]
    from: String,
    #[serde(default)]
    to: String,
}

impl Period {
    fn query(&self) -> Result<ReportQuery, PageError> {
        let usual = ReportQuery::last_days(USUAL_DAYS, clock::now().date_naive(), Vec::new());
        let day = |name: &str, text: &str, usual: NaiveDate| match text {
            "" => Ok(usual),
            text => text.parse().map_err(|_| {
                PageError::BadRequest(format!("“{text}” is not a day: set “{name}” as in 2026-11-30."))
            }),
        };
        let (from, to) = (
            day("from", &self.from, usual.from)?,
            day("to", &self.to, usual.to)?,
        );
        if from > to || to - from >= TimeDelta::days(MAX_DAYS) {
            let message = format!("Choose a period of 1 to {MAX_DAYS} days, from its first day to its last.");
            return Err(PageError::BadRequest(message));
        }
        Ok(ReportQuery {
            from,
            to,
            zone: Some(Tz::UTC),
            metrics: Some(METRICS.to_vec()),
            ..usual
        })
    }
}

/// Networks with the values of the metrics, and the sums of all. The networks with most clicks are first.
struct Summed {
    rows: Vec<(Network, Vec<i64>)>,
    totals: Vec<i64>,
    /// True if more networks exist than a report has.
    is_cut: bool,
}

impl Summed {
    async fn new(user: &SignedIn, query: &ReportQuery) -> Result<Self, PageError> {
        let dashboard = &user.request.dashboard;
        let mut networks = operators::newest_networks(&dashboard.db, MAX_NETWORKS + 1).await?;
        let most = usize::try_from(MAX_NETWORKS).unwrap_or(usize::MAX);
        let is_cut = networks.len() > most;
        networks.truncate(most);
        let mut rows = Vec::with_capacity(networks.len());
        for network in networks {
            let mut conn = dashboard.db.network(network.id).await?;
            let report = dashboard
                .reports
                .run(&mut conn, &network, Scope::default(), query, 0)
                .await;
            let report = match report {
                Ok(report) => report,
                Err(error) => return Err(PageError::BadRequest(error.into_problem()?.message)),
            };
            conn.commit().await?;
            rows.push((network, counts(&report)));
        }
        rows.sort_by(|(_, one), (_, other)| other.cmp(one));
        let total = |at: usize| rows.iter().filter_map(|(_, counts)| counts.get(at)).sum();
        let totals = (0..METRICS.len()).map(total).collect();
        Ok(Self { rows, totals, is_cut })
    }
}

fn counts(report: &Report) -> Vec<i64> {
    let count = |metric| match report.total.value(metric) {
        Value::Count(count) => count,
        Value::Ratio(_) | Value::Money(_) | Value::Duration(_) => 0,
    };
    METRICS.map(count).to_vec()
}

/// `GET /ops/report`
pub(super) async fn show(user: SignedIn, period: web::Query<Period>) -> PageResult {
    let query = period.query()?;
    let summed = Summed::new(&user, &query).await?;
    let (from, to) = (query.from.to_string(), query.to.to_string());
    let cells = |counts: &[i64]| counts.iter().copied().map(format::count).collect();
    html(&Show {
        shell: user.operator_shell("Report", "Report"),
        file: listing::with_query("/ops/report.csv", &[("from", &from), ("to", &to)]),
        labels: METRICS.map(Metric::label).to_vec(),
        rows: summed
            .rows
            .iter()
            .map(|(network, counts)| NetworkRow {
                url: urls::network(network.id),
                name: network.name.clone(),
                cells: cells(counts),
            })
            .collect(),
        totals: cells(&summed.totals),
        cut_to: summed.is_cut.then_some(MAX_NETWORKS),
        from,
        to,
    })
}

/// `GET /ops/report.csv`
pub(super) async fn file(user: SignedIn, period: web::Query<Period>) -> PageResult {
    let query = period.query()?;
    let summed = Summed::new(&user, &query).await?;
    let header: Vec<&str> = ["Network ID", "Network"]
        .into_iter()
        .chain(METRICS.map(Metric::label))
        .collect();
    let rows = summed.rows.into_iter().map(|(network, counts)| {
        let named = [network.id.to_string(), network.name];
        let counts = counts.into_iter().map(|count| count.to_string());
        named.into_iter().chain(counts).collect::<Vec<_>>()
    });
    let name = format!("networks_{}_{}.csv", query.from, query.to);
    Ok(csv_file(&name, csv_export::to_csv(&header, rows)))
}

struct NetworkRow {
    url: String,
    name: String,
    cells: Vec<String>,
}

#[derive(Template)]
#[template(path = "ops/report/show.html")]
struct Show {
    shell: Shell,
    from: String,
    to: String,
    file: String,
    labels: Vec<&'static str>,
    rows: Vec<NetworkRow>,
    totals: Vec<String>,
    cut_to: Option<i64>,
}
