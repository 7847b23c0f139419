//! Chart of one metric of a report over its period, beside the same spans of the period that it is compared with.

use std::collections::HashMap;

use chrono::{DateTime, Datelike, NaiveDate, Timelike};
use chrono_tz::Tz;
use reports::{Dimension, Figures, Metric, Report, ReportQuery, Value};
use schema::{Currency, Money};

use super::layout::{Layout, Links, SPANS};
use crate::chart::{Caption, LineChart, Point};
use crate::error::PageError;
use crate::format;
use crate::page::Page;
use crate::pages::figures::report_rows::duration;

/// Days up to which a chart is by hour, day or week, unless a span is chosen.
const AUTOMATIC: [(i64, Dimension); 3] = [(2, Dimension::Hour), (92, Dimension::Day), (366, Dimension::Week)];
/// Days that a chart by hour shows at most.
const MAX_HOURLY_DAYS: i64 = 31;
/// Millionths of a share.
const MILLION: f64 = 1e6;

/// Chart, and the links that change it.
pub(super) struct Trend {
    pub(super) chart: LineChart,
    /// URL and label of the chart by each span, and true for its own.
    pub(super) spans: Vec<(String, &'static str, bool)>,
}

/// Question of a chart.
pub(super) struct Question<'a> {
    pub(super) query: &'a ReportQuery,
    pub(super) links: &'a Links,
    pub(super) metric: Metric,
    pub(super) currency: Currency,
    pub(super) now: DateTime<Tz>,
}

impl Question<'_> {
    /// Loads the chart. None if it cannot be computed, and for a report of rows with bounds, whose sum is no sum of spans.
    pub(super) async fn load<P>(&self, page: &mut Page<P>) -> Result<Option<Trend>, PageError> {
        let query = self.query;
        let today = self.now.date_naive();
        if !query.thresholds.is_empty() || query.from > today {
            return Ok(None);
        }
        let unit = self.unit();
        let of_spans = ReportQuery {
            group: vec![unit],
            metrics: Some(vec![self.metric]),
            sort: None,
            ..query.clone()
        };
        let earlier = of_spans.compared();
        let present = ReportQuery {
            compare: None,
            ..of_spans
        };
        let Some(figures) = run(page, &present).await? else {
            return Ok(None);
        };
        let before = match &earlier {
            Some(earlier) => run(page, earlier).await?,
            None => None,
        };
        let keys = self.keys(unit, query.from, query.to.min(today));
        let keys_before = earlier
            .as_ref()
            .map_or(Vec::new(), |earlier| self.keys(unit, earlier.from, earlier.to));
        // Without events in the period before, that is left out.
        let before = before.filter(|before| {
            let mut all = before.values();
            all.any(|figures| self.value(figures).is_some_and(|value| value != 0))
        });
        let value = |figures: Option<&Figures>| self.value(figures.unwrap_or(&Figures::default()));
        let points: Vec<_> = keys
            .iter()
            .enumerate()
            .map(|(index, key)| Point {
                label: label(unit, key, today),
                value: value(figures.get(key)),
                before: before
                    .as_ref()
                    .zip(keys_before.get(index))
                    .and_then(|(before, key)| value(before.get(key))),
            })
            .collect();
        let caption = Caption {
            title: self.title(unit),
            series: series(self.metric),
            span: unit.label(),
            is_running: query.to >= today,
        };
        Ok(Some(Trend {
            chart: LineChart::wide(caption, &points, &|value| self.shown(value)),
            spans: self.spans(unit),
        }))
    }

    /// Spans of the chart.
    fn unit(&self) -> Dimension {
        let days = (self.query.to - self.query.from).num_days() + 1;
        let chosen = self.links.layout.each;
        let chosen = chosen.filter(|unit| *unit != Dimension::Hour || days <= MAX_HOURLY_DAYS);
        chosen.unwrap_or_else(|| {
            let found = AUTOMATIC.iter().find(|(most, _)| days <= *most);
            found.map_or(Dimension::Month, |(_, unit)| *unit)
        })
    }

    fn spans(&self, unit: Dimension) -> Vec<(String, &'static str, bool)> {
        let days = (self.query.to - self.query.from).num_days() + 1;
        let offered = SPANS
            .into_iter()
            .filter(|span| *span != Dimension::Hour || days <= MAX_HOURLY_DAYS);
        offered
            .map(|span| {
                let layout = Layout {
                    each: Some(span),
                    ..self.links.layout.clone()
                };
                (self.links.with(self.query, &layout), span.label(), span == unit)
            })
            .collect()
    }

    fn title(&self, unit: Dimension) -> String {
        let by = unit.label().to_lowercase();
        match self.metric.unit() {
            "money" => format!("{} in {} by {by}", self.metric.label(), self.currency),
            _ => format!("{} by {by}", self.metric.label()),
        }
    }

    /// Keys of the spans, oldest first; of today, the hours that have begun.
    fn keys(&self, unit: Dimension, from: NaiveDate, to: NaiveDate) -> Vec<String> {
        let today = self.now.date_naive();
        let mut keys: Vec<String> = from
            .iter_days()
            .take_while(|day| *day <= to)
            .flat_map(|day| match unit {
                Dimension::Hour => {
                    let hours = if day == today { self.now.hour() + 1 } else { 24 };
                    (0..hours).map(|hour| format!("{day} {hour:02}:00")).collect()
                }
                Dimension::Week => {
                    let week = day.iso_week();
                    vec![format!("{:04}-W{:02}", week.year(), week.week())]
                }
                Dimension::Month => vec![format!("{:04}-{:02}", day.year(), day.month())],
                _ => vec![day.to_string()],
            })
            .collect();
        keys.dedup();
        keys
    }

    /// Value of a span in whole units; none for a rate or an average without events.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "a share of counts, times a million"
    )]
    fn value(&self, figures: &Figures) -> Option<i64> {
        let is_average = matches!(
            self.metric,
            Metric::AverageOrder | Metric::EarningsPerClick | Metric::RevenuePerClick
        );
        match figures.value(self.metric) {
            Value::Count(count) => Some(count),
            Value::Ratio(ratio) => ratio.map(|ratio| (ratio * MILLION).round() as i64),
            Value::Duration(seconds) => seconds.map(i64::from),
            Value::Money(sums) => {
                let sum = sums.iter().find(|sum| sum.currency == self.currency);
                sum.map(|sum| sum.micros).or((!is_average).then_some(0))
            }
        }
    }

    /// Text of a value in whole units.
    #[expect(clippy::cast_precision_loss, reason = "a share for people")]
    fn shown(&self, value: i64) -> String {
        match self.metric.unit() {
            "ratio" => format::percent(Some(value as f64 / MILLION)),
            "seconds" => duration(i32::try_from(value).ok()),
            "money" => format::compact_money(Money {
                micros: value,
                currency: self.currency,
            }),
            _ => format::count(value),
        }
    }
}

/// Figures by the key of the span; `None` if the report cannot be computed.
async fn run<P>(
    page: &mut Page<P>,
    query: &ReportQuery,
) -> Result<Option<HashMap<String, Figures>>, PageError> {
    let engine = page.request.dashboard.reports.clone();
    let scope = page.actor.scope();
    let run = engine.run(&mut page.conn, &page.network, scope, query, usize::MAX);
    let report: Report = match run.await {
        Ok(report) => report,
        Err(error) => {
            error.into_problem()?;
            return Ok(None);
        }
    };
    let rows = report.rows(0..usize::MAX);
    let found = rows.filter_map(|row| Some((row.keys.first()?.value.clone(), row.figures)));
    Ok(Some(found.collect()))
}

/// Label of a span: `20 Nov 14:00`, `20 Nov`, `2026-W47`.
fn label(unit: Dimension, key: &str, today: NaiveDate) -> String {
    let day = |text: &str| text.parse().map(|day| format::day(day, today));
    match (unit, key.split_once(' ')) {
        (Dimension::Hour, Some((date, hour))) => {
            day(date).map_or_else(|_| key.to_owned(), |day| format!("{day} {hour}"))
        }
        (Dimension::Day, _) => day(key).unwrap_or_else(|_| key.to_owned()),
        _ => key.to_owned(),
    }
}

/// CSS class of the series of a metric.
fn series(metric: Metric) -> &'static str {
    match metric {
        Metric::Clicks
        | Metric::ValidClicks
        | Metric::UniqueClicks
        | Metric::InvalidClicks
        | Metric::PostbacksReceived
        | Metric::PostbacksRejected
        | Metric::PostbacksHeld => "clicks",
        Metric::Commission | Metric::EarningsPerClick => "commission",
        Metric::Revenue
        | Metric::RevenuePerClick
        | Metric::Margin
        | Metric::Amount
        | Metric::AverageOrder => "revenue",
        _ => "conversions",
    }
}
