//! Best campaigns, affiliates and links of a period, by conversions.

use reports::{Dimension, Metric, Report, ReportQuery, Row, Sort};
use schema::{Currency, Money};
use tenancy::{Actor, Permission};

use super::run;
use crate::error::PageError;
use crate::format;
use crate::page::Page;
use crate::period_bar::PagePeriod;

/// Rows of a list.
const ROWS: usize = 5;

/// List of the best.
pub(super) struct Top {
    pub(super) title: &'static str,
    /// Heading of the names.
    pub(super) heading: &'static str,
    /// Heading of the sums.
    pub(super) money: &'static str,
    /// URL of the report with all rows.
    pub(super) url: String,
    pub(super) rows: Vec<TopRow>,
}

/// Row of a list.
pub(super) struct TopRow {
    pub(super) name: String,
    /// URL of the object, or of the report of the row.
    pub(super) url: String,
    pub(super) conversions: String,
    /// URL of the report of the row.
    pub(super) report: String,
    /// Length of the bar, from 0 to 100.
    pub(super) share: String,
    /// Sum in the currency of the network, or else in the first.
    pub(super) sum: Option<String>,
    /// Sums in other currencies.
    pub(super) others: Vec<String>,
}

impl Top {
    pub(super) async fn load<P>(page: &mut Page<P>, period: PagePeriod) -> Result<Vec<Self>, PageError> {
        let dimensions = if page.actor.scope().affiliate.is_some() {
            [Dimension::Campaign, Dimension::Sub1]
        } else {
            [Dimension::Campaign, Dimension::Affiliate]
        };
        let mut tops = Vec::new();
        for dimension in dimensions {
            if dimension.is_visible_to(&page.actor) {
                tops.push(Self::of(page, period, dimension).await?);
            }
        }
        Ok(tops)
    }

    async fn of<P>(page: &mut Page<P>, period: PagePeriod, dimension: Dimension) -> Result<Self, PageError> {
        let today = page.now.with_timezone(&page.network.time_zone()).date_naive();
        let query = ReportQuery {
            from: period.from,
            to: period.to,
            sort: Some(Sort {
                metric: Some(Metric::Conversions),
                is_descending: true,
            }),
            ..ReportQuery::last_days(1, today, vec![dimension])
        };
        let report = run(page, &query, ROWS).await?;
        let (title, heading) = match dimension {
            Dimension::Campaign => ("Top campaigns", "Campaign"),
            Dimension::Affiliate => ("Top affiliates", "Affiliate"),
            _ => ("Top sub IDs", "Sub 1"),
        };
        Ok(Self {
            title,
            heading,
            money: if page.actor.may(Permission::SeeCommission) {
                Metric::Commission.label()
            } else {
                Metric::Revenue.label()
            },
            url: format!("/reports?{}", query.to_query_string()),
            rows: rows(&page.actor, page.network.currency, &query, dimension, &report),
        })
    }
}

fn rows(
    actor: &Actor,
    main: Currency,
    query: &ReportQuery,
    dimension: Dimension,
    report: &Report,
) -> Vec<TopRow> {
    let found: Vec<Row> = report
        .rows(0..ROWS)
        .filter(|row| row.figures.clicks + row.figures.conversions() > 0)
        .collect();
    let largest = found.iter().map(|row| row.figures.conversions()).max();
    let largest = largest.unwrap_or(0).max(1);
    found
        .into_iter()
        .filter_map(|row| {
            let key = row.keys.into_iter().next()?;
            let narrowed = ReportQuery {
                group: vec![Dimension::Day],
                sort: None,
                ..query.narrowed(dimension, &key.value)
            };
            let narrowed = format!("/reports?{}", narrowed.to_query_string());
            let conversions = row.figures.conversions();
            let mut sums: Vec<Money> = if actor.may(Permission::SeeCommission) {
                row.figures.commission()
            } else {
                row.figures.revenue()
            };
            sums.sort_by_key(|sum| sum.currency != main);
            let mut sums = sums.into_iter().map(format::money);
            Some(TopRow {
                url: match dimension {
                    Dimension::Campaign if !key.value.is_empty() => format!("/campaigns/{}", key.value),
                    Dimension::Affiliate if actor.may(Permission::SeeParties) => {
                        format!("/affiliates/{}", key.value)
                    }
                    _ => narrowed.clone(),
                },
                name: if key.label.is_empty() {
                    "None".to_owned()
                } else {
                    key.label
                },
                conversions: format::count(conversions),
                report: narrowed,
                share: (100 * conversions / largest).to_string(),
                sum: sums.next(),
                others: sums.collect(),
            })
        })
        .collect()
}
