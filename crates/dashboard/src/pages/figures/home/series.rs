//! Figures of a period by its days or hours, each beside the same span of the period before.

use std::collections::HashMap;

use chrono::{NaiveDate, Timelike};
use reports::{Compared, Comparison, Dimension, Figures, Report, ReportQuery};

use super::run;
use crate::chart::{Caption, LineChart, Point};
use crate::error::PageError;
use crate::format;
use crate::page::Page;
use crate::period_bar::PagePeriod;

/// Day or hour of the period.
pub(super) struct Span {
    label: String,
    pub(super) figures: Figures,
    before: Figures,
}

/// Spans of a period, oldest first. A span without events has zeros, so that it is no gap.
pub(super) struct Series {
    spans: Vec<Span>,
    /// Sums of the spans.
    pub(super) total: Figures,
    /// Sums of the same spans of the period before.
    pub(super) before: Figures,
    /// Period of the page.
    pub(super) period: PagePeriod,
    /// Words for the period before.
    pub(super) compared: String,
    is_hourly: bool,
    /// True if the last span is not over.
    is_running: bool,
}

impl Series {
    pub(super) async fn load<P>(page: &mut Page<P>, period: PagePeriod) -> Result<Self, PageError> {
        let now = page.now.with_timezone(&page.network.time_zone());
        let today = now.date_naive();
        let (from, to) = (period.from, period.to);
        let is_hourly = from == to;
        let unit = if is_hourly {
            Dimension::Hour
        } else {
            Dimension::Day
        };
        let query = ReportQuery {
            from,
            to,
            compare: Some(period.compare.unwrap_or(Compared::With(Comparison::Previous))),
            ..ReportQuery::last_days(1, today, vec![unit])
        };
        let earlier = query.compared();
        let present = ReportQuery {
            compare: None,
            ..query
        };
        let figures = by_span(&run(page, &present, usize::MAX).await?);
        let before = match &earlier {
            Some(earlier) => by_span(&run(page, earlier, usize::MAX).await?),
            None => HashMap::new(),
        };
        // Of today, the hours that have begun.
        let hours = if to == today { now.hour() + 1 } else { 24 };
        let keys = |from: NaiveDate, to: NaiveDate| {
            if is_hourly {
                (0..hours).map(|hour| format!("{from} {hour:02}:00")).collect()
            } else {
                days(from, to)
            }
        };
        let first_before = earlier
            .as_ref()
            .map_or((from, to), |earlier| (earlier.from, earlier.to));
        let spans: Vec<_> = keys(from, to)
            .into_iter()
            .zip(keys(first_before.0, first_before.1))
            .map(|(key, key_before)| Span {
                label: label(&key, today),
                figures: figures.get(&key).cloned().unwrap_or_default(),
                before: before.get(&key_before).cloned().unwrap_or_default(),
            })
            .collect();
        let compared = match (is_hourly && to == today, first_before) {
            (true, (from, _)) => format!("{} until {hours:02}:00", format::day(from, today)),
            (false, (from, to)) if from == to => format::day(from, today),
            (false, (from, to)) => format!("{} – {}", format::day(from, today), format::day(to, today)),
        };
        Ok(Self {
            total: sum(spans.iter().map(|span| &span.figures)),
            before: sum(spans.iter().map(|span| &span.before)),
            spans,
            period,
            compared,
            is_hourly,
            is_running: to == today,
        })
    }

    /// Spans that are over, or all if only two are left: the present one would look like a fall.
    pub(super) fn complete(&self) -> impl Iterator<Item = &Span> {
        let last = self.spans.len();
        let end = if self.is_running && last > 3 {
            last - 1
        } else {
            last
        };
        self.spans.iter().take(end)
    }

    /// Chart of one count. Without events in the period before, that is left out.
    pub(super) fn chart(
        &self,
        title: &str,
        series: &'static str,
        count: impl Fn(&Figures) -> i64,
    ) -> LineChart {
        let is_compared = count(&self.before) > 0;
        let points: Vec<_> = self
            .spans
            .iter()
            .map(|span| Point {
                label: span.label.clone(),
                value: Some(count(&span.figures)),
                before: is_compared.then(|| count(&span.before)),
            })
            .collect();
        let (span, by) = if self.is_hourly {
            ("Hour", "by hour")
        } else {
            ("Day", "by day")
        };
        let caption = Caption {
            title: format!("{title} {by}"),
            series,
            span,
            is_running: self.is_running,
        };
        LineChart::new(caption, &points, &format::count)
    }
}

fn days(from: NaiveDate, to: NaiveDate) -> Vec<String> {
    from.iter_days()
        .take_while(|day| *day <= to)
        .map(|day| day.to_string())
        .collect()
}

/// Label of a span from its key: `20 Nov`, `14:00`.
fn label(key: &str, today: NaiveDate) -> String {
    match (key.split_once(' '), key.parse()) {
        (Some((_, hour)), _) => hour.to_owned(),
        (None, Ok(day)) => format::day(day, today),
        (None, Err(_)) => key.to_owned(),
    }
}

fn by_span(report: &Report) -> HashMap<String, Figures> {
    report
        .rows(0..usize::MAX)
        .filter_map(|row| Some((row.keys.first()?.value.clone(), row.figures)))
        .collect()
}

fn sum<'a>(figures: impl Iterator<Item = &'a Figures>) -> Figures {
    let mut total = Figures::default();
    for part in figures {
        total.clicks += part.clicks;
        total.invalid_clicks += part.invalid_clicks;
        total.pending += part.pending;
        total.approved += part.approved;
        total.later_steps += part.later_steps;
        for (currency, sums) in &part.money {
            *total.money.entry(*currency).or_default() += *sums;
        }
    }
    total
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_have_short_labels() {
        let today: NaiveDate = "2026-11-21".parse().unwrap();
        for (key, shown) in [
            ("2026-11-20", "20 Nov"),
            ("2025-11-20", "20 Nov 2025"),
            ("2026-11-21 14:00", "14:00"),
        ] {
            assert_eq!(label(key, today), shown);
        }
        assert_eq!(
            days("2026-11-29".parse().unwrap(), "2026-12-01".parse().unwrap()),
            ["2026-11-29", "2026-11-30", "2026-12-01"]
        );
    }
}
