//! Home: today's figures, charts of thirty days, and the latest conversions.

use std::collections::HashMap;

use askama::Template;
use chrono::NaiveDate;
use conversions::ConversionFilter;
use reports::{Dimension, Figures, Report, ReportQuery};
use schema::Money;
use tenancy::{Permission, needs};

use super::conversions::ConversionRow;
use crate::chart::DayChart;
use crate::error::PageError;
use crate::format;
use crate::page::Page;
use crate::pages::postbacks::alerts;
use crate::shell::{PageResult, Shell, html, see_other};

/// Number of the latest conversions.
const LATEST: i64 = 8;

/// `GET /`
pub(super) async fn show(mut page: Page<needs::SignIn>) -> PageResult {
    if !page.actor.may(Permission::SeeReports) {
        return see_other("/integration");
    }
    let scope = page.actor.scope();
    let today = page.now.with_timezone(&page.network.time_zone()).date_naive();
    let query = ReportQuery::last_days(30, today, vec![Dimension::Day]);
    let engine = page.request.dashboard.reports.clone();
    let report = engine
        .run(&mut page.conn, &page.network, scope, &query, usize::MAX)
        .await;
    let report = match report {
        Ok(report) => report,
        Err(error) => return Err(PageError::BadRequest(error.into_problem()?.message)),
    };
    let filter = ConversionFilter {
        scope,
        ..ConversionFilter::default()
    };
    let latest = conversions::list(&mut page.conn, &filter, LATEST).await?;
    let alerts = alerts::unacknowledged(&mut page, scope).await?;
    let frame = page.commit().await?;

    let days = by_day(&query, &report);
    let of_today = days
        .last()
        .map(|(_, figures)| figures.clone())
        .unwrap_or_default();
    let counts = |count: fn(&Figures) -> i64| {
        days.iter()
            .map(|(day, figures)| (*day, count(figures)))
            .collect::<Vec<_>>()
    };
    html(&Home {
        shell: frame.shell("Home", "Home"),
        alerts: alerts::Notice::list(alerts, &frame),
        today_report: format!("/reports?from={today}&to={today}"),
        clicks: format::count(of_today.clicks),
        conversions: format::count(of_today.conversions()),
        rate: format::percent(of_today.conversion_rate()),
        commission: money(frame.actor.may(Permission::SeeCommission), of_today.commission()),
        revenue: money(frame.actor.may(Permission::SeeRevenue), of_today.revenue()),
        charts: vec![
            DayChart::new("Conversions by day", "conversions", &counts(Figures::conversions)),
            DayChart::new("Clicks by day", "clicks", &counts(|figures| figures.clicks)),
        ],
        latest: latest
            .into_iter()
            .map(|named| ConversionRow::new(named, &frame))
            .collect(),
        may_configure: frame.actor.may(Permission::Configure),
        sees_commission: frame.actor.may(Permission::SeeCommission),
    })
}

/// Figures of every day of the period, oldest first. A day without events has zeros, not a gap.
fn by_day(query: &ReportQuery, report: &Report) -> Vec<(NaiveDate, Figures)> {
    let of_day: HashMap<NaiveDate, _> = report
        .rows(0..usize::MAX)
        .filter_map(|row| Some((row.keys.first()?.value.parse().ok()?, row.figures)))
        .collect();
    query
        .from
        .iter_days()
        .take_while(|day| *day <= query.to)
        .map(|day| (day, of_day.get(&day).cloned().unwrap_or_default()))
        .collect()
}

/// Sums as text, one per currency. None if the actor may not see them.
fn money(visible: bool, sums: Vec<Money>) -> Option<Vec<String>> {
    visible.then(|| sums.into_iter().map(format::money).collect())
}

#[derive(Template)]
#[template(path = "figures/home/show.html")]
struct Home {
    shell: Shell,
    alerts: Vec<alerts::Notice>,
    today_report: String,
    clicks: String,
    conversions: String,
    rate: String,
    commission: Option<Vec<String>>,
    revenue: Option<Vec<String>>,
    charts: Vec<DayChart>,
    latest: Vec<ConversionRow>,
    may_configure: bool,
    sees_commission: bool,
}
