//! Home: the figures of the day, thirty days as lines, and what came in last.

use std::collections::HashMap;

use actix_web::{HttpRequest, web};
use askama::Template;
use chrono::NaiveDate;
use reports::{Dimension, Figures, Key, Report, ReportQuery};
use schema::{Money, clock};
use tenancy::{Permission, needs, networks};
use tracking::conversions::{self, ConversionFilter};

use super::conversions::ConversionRow;
use crate::Dashboard;
use crate::auth::Allowed;
use crate::chart::DayChart;
use crate::format;
use crate::pages::postbacks::alerts;
use crate::shell::{PageResult, Shell, page, see_other};

/// How many of the latest conversions are shown.
const LATEST: i64 = 8;

/// `GET /`
pub(super) async fn show(
    request: HttpRequest,
    dashboard: web::Data<Dashboard>,
    actor: Allowed<needs::SignIn>,
) -> PageResult {
    if !actor.may(Permission::SeeReports) {
        return see_other("/integration");
    }
    let now = clock::now();
    let scope = actor.role.scope();
    let mut conn = actor.network(&dashboard.db).await?;
    let network = networks::current(&mut conn).await?;
    let today = now.with_timezone(&network.time_zone()).date_naive();
    let query = ReportQuery::last_days(30, today, vec![Dimension::Day]);
    let report = reports::run(&mut conn, &network, scope, &query).await?;
    let filter = ConversionFilter {
        scope,
        ..ConversionFilter::default()
    };
    let latest = conversions::list(&mut conn, &filter, LATEST).await?;
    let alerts = alerts::unseen(&mut conn, &actor, scope, &network, now).await?;
    conn.commit().await?;

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
    page(&Home {
        shell: Shell::new(&dashboard, &request, &actor, &network, "Home", "Home"),
        alerts,
        today_report: format!("/reports?from={today}&to={today}"),
        clicks: format::count(of_today.clicks),
        conversions: format::count(of_today.conversions()),
        rate: format::percent(of_today.conversion_rate()),
        commission: money(actor.may(Permission::SeeCommission), of_today.commission()),
        revenue: money(actor.may(Permission::SeeRevenue), of_today.revenue()),
        charts: vec![
            DayChart::new("Conversions by day", "conversions", &counts(Figures::conversions)),
            DayChart::new("Clicks by day", "clicks", &counts(|figures| figures.clicks)),
        ],
        latest: latest
            .into_iter()
            .map(|it| ConversionRow::new(it, &dashboard, &actor, &network, now))
            .collect(),
        may_configure: actor.may(Permission::Configure),
        sees_commission: actor.may(Permission::SeeCommission),
    })
}

/// The figures of every day of the period, oldest first; a day without events has zeros, not a gap.
fn by_day(query: &ReportQuery, report: &Report) -> Vec<(NaiveDate, Figures)> {
    let of_day: HashMap<_, _> = report
        .rows
        .iter()
        .filter_map(|row| match row.keys.first() {
            Some(Key::Day(day)) => Some((day.0, &row.figures)),
            _ => None,
        })
        .collect();
    query
        .from
        .iter_days()
        .take_while(|day| *day <= query.to)
        .map(|day| (day, of_day.get(&day).copied().cloned().unwrap_or_default()))
        .collect()
}

/// Sums as people read them, one per currency; nothing where they may not be seen.
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
