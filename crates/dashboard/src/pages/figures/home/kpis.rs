//! Figures at the top of home: each with its change against the period before and a sparkline; and the balance of a party.

use conversions::ledger::{self, Party};
use reports::{Compared, Comparison, Dimension, Figures, Metric, ReportQuery};
use schema::{Currency, Money};
use tenancy::Permission;

use super::run;
use super::series::Series;
use crate::chart::sparkline;
use crate::error::PageError;
use crate::format;
use crate::page::Page;
use crate::pages::figures::change::Change;
use crate::period_bar::PagePeriod;

/// Figure with its change.
pub(super) struct Kpi {
    pub(super) id: &'static str,
    pub(super) label: &'static str,
    pub(super) definition: &'static str,
    /// URL of the report of the figure.
    pub(super) url: String,
    pub(super) value: String,
    /// Full value of a shortened one.
    pub(super) exact: String,
    /// Sums in other currencies.
    pub(super) others: Vec<String>,
    pub(super) change: Change,
    /// Points of the sparkline.
    pub(super) spark: String,
    /// CSS class of the series.
    pub(super) series: &'static str,
}

impl Kpi {
    /// Figures that the actor may see.
    pub(super) fn list<P>(page: &Page<P>, series: &Series) -> Vec<Self> {
        let may = |permission| page.actor.may(permission);
        let main = page.network.currency;
        let mut kpis = vec![
            Self::count("kpi-clicks", Metric::Clicks, "clicks", series, |figures| {
                figures.clicks
            }),
            Self::count(
                "kpi-conversions",
                Metric::Conversions,
                "conversions",
                series,
                Figures::conversions,
            ),
            Self::rate(series),
        ];
        if may(Permission::SeeRevenue) {
            kpis.push(Self::money(Metric::Revenue, "revenue", series, main, |figures| {
                figures.revenue()
            }));
        }
        if may(Permission::SeeCommission) {
            let commission = Self::money(Metric::Commission, "commission", series, main, |figures| {
                figures.commission()
            });
            // An affiliate asks for its earnings first.
            let position = if page.actor.scope().affiliate.is_some() {
                0
            } else {
                kpis.len()
            };
            kpis.insert(position, commission);
        }
        kpis
    }

    #[expect(clippy::cast_precision_loss, reason = "a share for people")]
    fn count(
        id: &'static str,
        metric: Metric,
        class: &'static str,
        series: &Series,
        count: impl Fn(&Figures) -> i64,
    ) -> Self {
        let (now, before) = (count(&series.total), count(&series.before));
        let values: Vec<_> = series
            .complete()
            .map(|span| count(&span.figures) as f64)
            .collect();
        Self {
            id,
            label: metric.label(),
            definition: metric.definition(),
            url: url(series, metric),
            value: format::compact(now),
            exact: format::count(now),
            others: Vec::new(),
            change: Change::new(now as f64, before as f64, before, &format::compact(before)),
            spark: sparkline(&values),
            series: class,
        }
    }

    fn rate(series: &Series) -> Self {
        let metric = Metric::ConversionRate;
        let (now, before) = (series.total.conversion_rate(), series.before.conversion_rate());
        let values: Vec<_> = series
            .complete()
            .map(|span| span.figures.conversion_rate().unwrap_or(0.0))
            .collect();
        Self {
            id: "kpi-rate",
            label: metric.label(),
            definition: metric.definition(),
            url: url(series, metric),
            value: format::percent(now),
            exact: String::new(),
            others: Vec::new(),
            change: Change::new(
                now.unwrap_or(0.0),
                before.unwrap_or(0.0),
                series.before.conversions(),
                &format::percent(before),
            ),
            spark: sparkline(&values),
            series: "rate",
        }
    }

    /// Sums of money: that in the currency of the network leads, or else the first.
    fn money(
        metric: Metric,
        class: &'static str,
        series: &Series,
        main: Currency,
        sums: impl Fn(&Figures) -> Vec<Money>,
    ) -> Self {
        let (now, before) = (sums(&series.total), sums(&series.before));
        let leading = now
            .iter()
            .chain(&before)
            .find(|sum| sum.currency == main)
            .or(now.first())
            .or(before.first())
            .map_or(main, |sum| sum.currency);
        let of = |sums: &[Money]| {
            let found = sums.iter().find(|sum| sum.currency == leading);
            found.copied().unwrap_or(Money {
                micros: 0,
                currency: leading,
            })
        };
        #[expect(clippy::cast_precision_loss, reason = "a share for people")]
        let float = |sum: Money| sum.micros as f64;
        let values: Vec<_> = series
            .complete()
            .map(|span| float(of(&sums(&span.figures))))
            .collect();
        let events = series
            .before
            .money
            .get(&leading)
            .map_or(0, |sums| sums.conversions);
        let (leading_now, leading_before) = (of(&now), of(&before));
        Self {
            id: if metric == Metric::Revenue {
                "kpi-revenue"
            } else {
                "kpi-commission"
            },
            label: metric.label(),
            definition: metric.definition(),
            url: url(series, metric),
            value: format::compact_money(leading_now),
            exact: format::money(leading_now),
            others: now
                .iter()
                .filter(|sum| sum.currency != leading)
                .map(|sum| format::compact_money(*sum))
                .collect(),
            change: Change::new(
                float(leading_now),
                float(leading_before),
                events,
                &format::compact_money(leading_before),
            ),
            spark: sparkline(&values),
            series: class,
        }
    }
}

/// URL of the report of a metric in the period, beside the period before.
fn url(series: &Series, metric: Metric) -> String {
    let period = PagePeriod {
        compare: series
            .period
            .compare
            .or(Some(Compared::With(Comparison::Previous))),
        ..series.period
    };
    let pairs: Vec<_> = period
        .pairs()
        .into_iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    format!("/reports?{}&group=campaign&sort=-{metric}", pairs.join("&"))
}

/// Sum that a party earns or owes.
pub(super) struct Balance {
    pub(super) label: &'static str,
    pub(super) sums: Vec<String>,
    pub(super) url: &'static str,
}

impl Balance {
    /// Balances of an affiliate or advertiser. Empty for the staff of the network.
    pub(super) async fn load<P>(page: &mut Page<P>) -> Result<Vec<Self>, PageError> {
        let scope = page.actor.scope();
        let party = match (scope.affiliate, scope.advertiser) {
            (Some(id), _) => Party::Affiliate(id),
            (None, Some(id)) => Party::Advertiser(id),
            (None, None) => return Ok(Vec::new()),
        };
        let balances = ledger::balances(&mut page.conn, party, page.now).await?;
        let shown = |micros: fn(&ledger::Balance) -> i128| {
            balances
                .iter()
                .filter(|balance| micros(balance) != 0)
                .map(|balance| format::wide_money(micros(balance), balance.currency))
                .collect::<Vec<_>>()
        };
        let today = page.now.with_timezone(&page.network.time_zone()).date_naive();
        let query = ReportQuery::last_days(1, today, vec![Dimension::Day]);
        let of_today = run(page, &query, 1).await?.total;
        let (label, sums) = match party {
            Party::Affiliate(_) => ("Earned today", of_today.commission()),
            Party::Advertiser(_) => ("Owed for today", of_today.revenue()),
        };
        Ok(vec![
            Self {
                label,
                sums: sums.into_iter().map(format::money).collect(),
                url: "/reports?period=today&group=campaign",
            },
            Self {
                label: "Pending",
                sums: shown(|balance| balance.pending_micros),
                url: "/conversions?status=pending",
            },
            Self {
                label: "Approved",
                sums: shown(|balance| balance.payable_micros),
                url: "/conversions?status=approved",
            },
        ])
    }
}
