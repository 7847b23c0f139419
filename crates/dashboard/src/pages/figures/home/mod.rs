//! Home: the figures of a period beside the period before, what needs attention, the best campaigns and partners, and the
//! latest conversions.

mod attention;
mod checklist;
mod kpis;
mod series;
mod top;

use askama::Template;
use chrono::NaiveDate;
use conversions::ConversionFilter;
use reports::{Figures, Period, Report, ReportQuery, StoredQuery, sentences};
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
use crate::period_bar::{PagePeriod, PeriodBar};
use crate::shell::{PageResult, Shell, html, see_other};

/// Number of the latest conversions.
const LATEST: i64 = 8;

/// `GET /`
pub(super) async fn show(mut page: Page<needs::SignIn>) -> PageResult {
    if !page.actor.may(Permission::SeeReports) {
        return see_other("/integration");
    }
    let today = page.now.with_timezone(&page.network.time_zone()).date_naive();
    let text = page.request.http.query_string().to_owned();
    let period = chosen(&page, &text, today)?;
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
    let mut response = html(&Home {
        shell: frame.shell("Home", "Home"),
        bar: PeriodBar::new("/", "", period, today, true),
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
    })?;
    if PagePeriod::is_chosen(&text) {
        period.remember(&frame.request, &mut response);
    }
    Ok(response)
}

/// Period of the page: of the URL, or else that of the page before, or else the last seven days.
fn chosen<P>(page: &Page<P>, query: &str, today: NaiveDate) -> Result<PagePeriod, PageError> {
    if !PagePeriod::is_chosen(query) {
        let remembered = PagePeriod::remembered(&page.request, today);
        return Ok(remembered.unwrap_or(PagePeriod::of(Period::Last7Days, today)));
    }
    let refused = |problems: Vec<_>| PageError::BadRequest(sentences(&problems));
    let zone = page.network.time_zone();
    let (query, period) = StoredQuery::parse(query, &["live"], page.now, zone).map_err(refused)?;
    Ok(PagePeriod {
        period,
        from: query.from,
        to: query.to,
        compare: query.compare,
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
        period: PagePeriod,
        kpis: Vec<Kpi>,
        latest: Vec<conversions::NamedConversion>,
    ) -> Self {
        Self {
            url: listing::with_query(
                "/",
                &period
                    .pairs()
                    .iter()
                    .map(|(name, value)| (*name, value.as_str()))
                    .collect::<Vec<_>>(),
            ),
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
    bar: PeriodBar,
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
