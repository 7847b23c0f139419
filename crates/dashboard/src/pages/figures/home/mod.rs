//! Home: the figures of a period beside the period before, what needs attention, the best campaigns and partners, and the
//! latest conversions.

mod attention;
mod checklist;
mod kpis;
mod series;
mod top;

use actix_web::web;
use askama::Template;
use conversions::ConversionFilter;
use reports::{Figures, Period, Report, ReportQuery};
use serde::Deserialize;
use tenancy::{Permission, needs};

use self::attention::Attention;
use self::checklist::Step;
use self::kpis::{Balance, Kpi};
use self::series::Series;
use self::top::Top;
use super::conversions::ConversionRow;
use crate::chart::LineChart;
use crate::error::PageError;
use crate::listing;
use crate::page::{Frame, Page};
use crate::shell::{PageResult, Shell, html, see_other};

/// Number of the latest conversions.
const LATEST: i64 = 8;

/// Periods to choose from.
const PERIODS: [Period; 6] = [
    Period::Today,
    Period::Yesterday,
    Period::Last7Days,
    Period::Last30Days,
    Period::ThisMonth,
    Period::LastMonth,
];

/// Choices of the page, from the query string.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Chosen {
    #[serde(default)]
    period: String,
}

/// `GET /`
pub(super) async fn show(mut page: Page<needs::SignIn>, chosen: web::Query<Chosen>) -> PageResult {
    if !page.actor.may(Permission::SeeReports) {
        return see_other("/integration");
    }
    let period = listing::word(&chosen.period)?.unwrap_or(Period::Last7Days);
    let scope = page.actor.scope();
    let series = Series::load(&mut page, period).await?;
    let filter = ConversionFilter {
        scope,
        ..ConversionFilter::default()
    };
    let latest = conversions::list(&mut page.conn, &filter, LATEST).await?;
    let kpis = Kpi::list(&page, &series);
    // The page refreshes the part with the newest figures only.
    if page.request.http.headers().contains_key("HX-Request") {
        let frame = page.commit().await?;
        return html(&Refresh {
            shell: frame.shell("Home", "Home"),
            live: Live::new(&frame, period, kpis, latest),
        });
    }
    let steps = if latest.is_empty() {
        checklist::steps(&mut page).await?
    } else {
        Vec::new()
    };
    let attention = Attention::load(&mut page).await?;
    let balances = Balance::load(&mut page).await?;
    let tops = Top::load(&mut page, period).await?;
    let frame = page.commit().await?;
    html(&Home {
        shell: frame.shell("Home", "Home"),
        periods: periods(period),
        compared: series.compared.clone(),
        steps,
        attention: attention.shown(&frame),
        balances,
        charts: vec![
            series.chart("Conversions", "conversions", Figures::conversions),
            series.chart("Clicks", "clicks", |figures| figures.clicks),
        ],
        tops,
        live: Live::new(&frame, period, kpis, latest),
        may_configure: frame.actor.may(Permission::Configure),
    })
}

/// Runs a report for the page.
async fn run<P>(page: &mut Page<P>, query: &ReportQuery, rows: usize) -> Result<Report, PageError> {
    let engine = page.request.dashboard.reports.clone();
    let scope = page.actor.scope();
    match engine
        .run(&mut page.conn, &page.network, scope, query, rows)
        .await
    {
        Ok(report) => Ok(report),
        Err(error) => Err(PageError::BadRequest(error.into_problem()?.message)),
    }
}

/// URL and label of each period, and true for the present one.
fn periods(chosen: Period) -> Vec<(String, &'static str, bool)> {
    PERIODS
        .into_iter()
        .map(|period| {
            let url = format!("/?period={period}");
            (url, period.label(), period == chosen)
        })
        .collect()
}

/// Part of the page that is refreshed while it is open.
struct Live {
    /// URL of the refresh.
    url: String,
    kpis: Vec<Kpi>,
    latest: Vec<ConversionRow>,
    may_configure: bool,
    sees_commission: bool,
}

impl Live {
    fn new<P>(
        frame: &Frame<P>,
        period: Period,
        kpis: Vec<Kpi>,
        latest: Vec<conversions::NamedConversion>,
    ) -> Self {
        Self {
            url: format!("/?period={period}"),
            kpis,
            latest: latest
                .into_iter()
                .map(|named| ConversionRow::new(named, frame))
                .collect(),
            may_configure: frame.actor.may(Permission::Configure),
            sees_commission: frame.actor.may(Permission::SeeCommission),
        }
    }
}

#[derive(Template)]
#[template(path = "figures/home/live.html")]
struct Refresh {
    shell: Shell,
    live: Live,
}

#[derive(Template)]
#[template(path = "figures/home/show.html")]
struct Home {
    shell: Shell,
    periods: Vec<(String, &'static str, bool)>,
    /// Words for the period that the figures are compared with.
    compared: String,
    steps: Vec<Step>,
    attention: attention::Shown,
    balances: Vec<Balance>,
    charts: Vec<LineChart>,
    tops: Vec<Top>,
    live: Live,
    may_configure: bool,
}
