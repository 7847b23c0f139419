//! Columns of a report: their headings, the choice of them, the dimensions of the rows, and the figures above the table.

use reports::{Dimension, Figures, MAX_DEPTH, Metric, Report, ReportQuery, Sort, Value};
use schema::{Currency, Money};
use tenancy::Actor;

use super::layout::{Layout, Links};
use super::visible_dimensions;
use crate::format;
use crate::forms::Choice;
use crate::pages::figures::change::Change;
use crate::pages::figures::report_rows::{duration, text};

/// Figures above the table, unless metrics are chosen.
const STRIP: [Metric; 6] = [
    Metric::Clicks,
    Metric::Conversions,
    Metric::ConversionRate,
    Metric::Commission,
    Metric::EarningsPerClick,
    Metric::Revenue,
];
/// Number of figures above the table, at most.
const MAX_STRIP: usize = 5;

/// Heading of a metric.
pub(super) struct Heading {
    pub(super) label: &'static str,
    /// Label in a narrow column.
    pub(super) short: &'static str,
    pub(super) definition: &'static str,
    /// Currency of all sums of the column; empty for several.
    pub(super) currency: String,
    /// The report sorted by the metric, or the other way round if it is.
    pub(super) sorted: String,
    /// Arrow, if the rows are sorted by it.
    pub(super) arrow: &'static str,
    /// The same for screen readers.
    pub(super) order: Option<&'static str>,
}

impl Heading {
    pub(super) fn new(
        query: &ReportQuery,
        links: &Links,
        metric: Metric,
        currency: Option<Currency>,
    ) -> Self {
        let sort = query.sort.filter(|sort| sort.metric == Some(metric));
        let sorted = ReportQuery {
            sort: Some(Sort {
                metric: Some(metric),
                is_descending: sort.is_none_or(|sort| !sort.is_descending),
            }),
            ..query.clone()
        };
        Self {
            label: metric.label(),
            short: match metric {
                Metric::ValidClicks => "Valid",
                Metric::UniqueClicks => "Unique",
                Metric::InvalidClicks => "Invalid",
                Metric::Conversions => "Conv.",
                Metric::ConversionRate => "CR",
                _ => metric.label(),
            },
            definition: metric.definition(),
            currency: currency
                .filter(|_| metric.unit() == "money")
                .map_or(String::new(), |currency| currency.to_string()),
            sorted: links.url(&sorted),
            arrow: match sort {
                None => "",
                Some(sort) if sort.is_descending => " ↓",
                Some(_) => " ↑",
            },
            order: sort.map(|sort| {
                if sort.is_descending {
                    "descending"
                } else {
                    "ascending"
                }
            }),
        }
    }
}

/// Dimension of the rows.
pub(super) struct Grouped {
    pub(super) label: &'static str,
    /// URL of the report without it. None for the only one.
    pub(super) without: Option<String>,
    /// URL of the report with the dimension one place further out. None for the outermost.
    pub(super) outwards: Option<String>,
}

/// Dimensions of the rows.
pub(super) fn grouped(query: &ReportQuery, links: &Links) -> Vec<Grouped> {
    let with = |group: Vec<Dimension>| {
        let other = ReportQuery {
            group,
            ..query.clone()
        };
        links.narrowed(&other)
    };
    let dimension = |(place, dimension): (usize, &Dimension)| Grouped {
        label: dimension.label(),
        without: (query.group.len() > 1).then(|| {
            let others = query.group.iter().filter(|other| *other != dimension);
            with(others.copied().collect())
        }),
        outwards: place.checked_sub(1).map(|before| {
            let mut group = query.group.clone();
            group.swap(before, place);
            with(group)
        }),
    };
    query.group.iter().enumerate().map(dimension).collect()
}

/// URL and label of the report with each further dimension that the actor sees.
pub(super) fn further(query: &ReportQuery, links: &Links, actor: &Actor) -> Vec<(String, &'static str)> {
    if query.group.len() >= MAX_DEPTH {
        return Vec::new();
    }
    let others = visible_dimensions(actor).filter(|dimension| !query.group.contains(dimension));
    others
        .map(|dimension| {
            let mut group = query.group.clone();
            group.push(*dimension);
            let deeper = ReportQuery {
                group,
                ..query.clone()
            };
            (links.narrowed(&deeper), dimension.label())
        })
        .collect()
}

/// Metrics to choose as columns.
pub(super) fn choices(metrics: &[Metric], actor: &Actor) -> Vec<Choice> {
    let visible = Metric::ALL.iter().filter(|metric| metric.is_visible_to(actor));
    visible
        .map(|metric| Choice {
            value: metric.to_string(),
            label: metric.label().to_owned(),
            chosen: metrics.contains(metric),
        })
        .collect()
}

/// Figure above the table.
pub(super) struct Kpi {
    pub(super) label: &'static str,
    pub(super) definition: &'static str,
    /// URL of the page with the chart of the figure.
    pub(super) url: String,
    pub(super) is_charted: bool,
    pub(super) value: String,
    /// Full value of a shortened one.
    pub(super) exact: String,
    /// Sums in other currencies.
    pub(super) others: Vec<String>,
    pub(super) change: Option<Change>,
}

/// Metric of the chart: the chosen one, or else that of the order, or else a usual one.
pub(super) fn charted(query: &ReportQuery, layout: &Layout, metrics: &[Metric]) -> Option<Metric> {
    let sorted = query.sort.and_then(|sort| sort.metric);
    let usual = [Metric::Conversions, Metric::Clicks];
    let wanted = layout.chart.into_iter().chain(sorted).chain(usual);
    let mut wanted = wanted.filter(|metric| metrics.contains(metric));
    wanted.next().or(metrics.first().copied())
}

/// Currency of the changes and of the chart: that of the network, or else the first.
pub(super) fn leading(query: &ReportQuery, figures: &Figures, main: Currency) -> Currency {
    let first = figures.money.keys().next().copied();
    query.convert.unwrap_or(match first {
        Some(first) if !figures.money.contains_key(&main) => first,
        _ => main,
    })
}

/// Currency of all money of a report, if it is one.
pub(super) fn only_currency(report: &Report) -> Option<Currency> {
    let before = report.total_before.iter().flat_map(|before| before.money.keys());
    let mut currencies = report.total.money.keys().chain(before);
    let first = *currencies.next()?;
    currencies.all(|other| *other == first).then_some(first)
}

/// Figures above the table.
pub(super) fn strip(
    query: &ReportQuery,
    links: &Links,
    metrics: &[Metric],
    report: &Report,
    currency: Currency,
) -> Vec<Kpi> {
    let charted = charted(query, &links.layout, metrics);
    let shown: Vec<Metric> = match &query.metrics {
        None => STRIP
            .into_iter()
            .filter(|metric| metrics.contains(metric))
            .collect(),
        Some(_) => metrics.to_vec(),
    };
    let kpi = |metric: Metric| {
        let value = report.total.value(metric);
        let layout = Layout {
            chart: Some(metric),
            ..links.layout.clone()
        };
        Kpi {
            label: metric.label(),
            definition: metric.definition(),
            url: links.with(query, &layout),
            is_charted: charted == Some(metric),
            exact: exact(&value, currency),
            value: text(&value, currency),
            others: match &value {
                Value::Money(sums) => sums
                    .iter()
                    .filter(|sum| sum.currency != currency)
                    .map(|sum| format::compact_money(*sum))
                    .collect(),
                _ => Vec::new(),
            },
            change: report
                .total_before
                .as_ref()
                .map(|before| Change::of(metric, &report.total, before, currency)),
        }
    };
    shown.into_iter().take(MAX_STRIP).map(kpi).collect()
}

/// Full text of a value; empty for values that are never shortened.
fn exact(value: &Value, currency: Currency) -> String {
    let of = |sums: &[Money]| sums.iter().find(|sum| sum.currency == currency).copied();
    match value {
        Value::Count(count) => format::count(*count),
        Value::Money(sums) => of(sums).map_or(String::new(), format::money),
        Value::Ratio(_) => String::new(),
        Value::Duration(seconds) => duration(*seconds),
    }
}
