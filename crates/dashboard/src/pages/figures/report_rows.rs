//! Rows of a report as text: their keys, with links to the report narrowed to them, and their figures.

use chrono::{NaiveDate, TimeDelta};
use reports::{Dimension, Figures, Key, Metric, Report, ReportQuery, Row, Value};
use schema::{Currency, Money, clock};

use super::change::Change;
use super::reports::{Links, ROWS};
use crate::format;

/// First rows of a report, one per combination of its dimensions. `currency` is that of all money, if it is one; `leading`
/// that of the changes.
pub(super) fn rows(
    (query, links): (&ReportQuery, &Links),
    metrics: &[Metric],
    report: &Report,
    (currency, leading): (Option<Currency>, Currency),
    today: NaiveDate,
) -> Vec<ReportRow> {
    let mut above: Vec<Key> = Vec::new();
    report
        .rows(0..ROWS)
        .map(
            |Row {
                 keys,
                 figures,
                 before,
             }| {
                let repeated = keys.iter().zip(&above).take_while(|(key, above)| key == above);
                let repeated = repeated.count();
                let shown = query.group.iter().zip(&keys).enumerate();
                let row = ReportRow {
                    keys: shown
                        .map(|(level, (dimension, key))| KeyCell {
                            is_repeated: level < repeated,
                            ..key_cell(query, links, *dimension, key, today)
                        })
                        .collect(),
                    level: 0,
                    toggle: None,
                    cells: cells(metrics, (&figures, before.as_ref()), currency, leading),
                };
                above = keys;
                row
            },
        )
        .collect()
}

/// Text of a key, and the URL of the report narrowed to it.
pub(super) fn key_cell(
    query: &ReportQuery,
    links: &Links,
    dimension: Dimension,
    key: &Key,
    today: NaiveDate,
) -> KeyCell {
    let text = match (dimension, key.value.parse()) {
        (Dimension::Day, Ok(day)) => format::day(day, today),
        _ if key.label.is_empty() => "—".to_owned(),
        _ => key.label.clone(),
    };
    let narrowed = dimension
        .can_narrow()
        .then(|| links.narrowed(&query.narrowed(dimension, &key.value)));
    KeyCell {
        text,
        narrowed,
        is_repeated: false,
    }
}

/// Cells of a row. A sum of money has a line per currency, the `leading` one first; without its code if all money has one
/// `currency`.
pub(super) fn cells(
    metrics: &[Metric],
    (figures, before): (&Figures, Option<&Figures>),
    currency: Option<Currency>,
    leading: Currency,
) -> Vec<Cell> {
    metrics
        .iter()
        .map(|metric| {
            let leading_first = |value: Value| match value {
                Value::Money(mut sums) => {
                    sums.sort_by_key(|sum| sum.currency != leading);
                    Value::Money(sums)
                }
                value => value,
            };
            let (lines, zero) = lines(&leading_first(figures.value(*metric)), currency);
            let of_before =
                before.map(|before| self::lines(&leading_first(before.value(*metric)), currency).0);
            Cell {
                label: metric.label(),
                lines,
                zero,
                before: of_before.unwrap_or_default(),
                change: before
                    .and_then(|before| Change::of(*metric, figures, before, leading).in_cell(*metric)),
            }
        })
        .collect()
}

/// Lines of a value, and true if it is zero.
fn lines(value: &Value, currency: Option<Currency>) -> (Vec<String>, bool) {
    let shown = |sum: &Money| {
        let text = format::money(*sum);
        match currency {
            Some(_) => text
                .rsplit_once(' ')
                .map_or(text.clone(), |(sum, _)| sum.to_owned()),
            None => text,
        }
    };
    match value {
        Value::Count(count) => (vec![format::count(*count)], *count == 0),
        Value::Ratio(ratio) => (vec![format::percent(*ratio)], false),
        Value::Duration(seconds) => (vec![duration(*seconds)], false),
        Value::Money(sums) if sums.is_empty() => (vec!["0".to_owned()], true),
        Value::Money(sums) => (sums.iter().map(shown).collect(), false),
    }
}

/// Time between events in words; a dash for none.
pub(super) fn duration(seconds: Option<i32>) -> String {
    seconds.map_or("—".to_owned(), |seconds| {
        clock::in_words(TimeDelta::seconds(seconds.into()))
    })
}

/// Text of a value, of money in one currency, shortened if it is large.
pub(super) fn text(value: &Value, currency: Currency) -> String {
    match value {
        Value::Count(count) => format::compact(*count),
        Value::Ratio(ratio) => format::percent(*ratio),
        Value::Duration(seconds) => duration(*seconds),
        Value::Money(sums) => {
            let sum = sums.iter().find(|sum| sum.currency == currency);
            let zero = Money { micros: 0, currency };
            format::compact_money(sum.copied().unwrap_or(zero))
        }
    }
}

/// Cell of a row.
pub(super) struct Cell {
    /// Heading of the column, for windows too narrow for columns.
    pub(super) label: &'static str,
    pub(super) lines: Vec<String>,
    pub(super) zero: bool,
    /// Lines of the same in the period that is compared.
    pub(super) before: Vec<String>,
    /// Change against it.
    pub(super) change: Option<Change>,
}

/// Row of a report.
pub(super) struct ReportRow {
    /// Keys of the row; one in a tree.
    pub(super) keys: Vec<KeyCell>,
    /// Number of rows around it in a tree.
    pub(super) level: usize,
    /// Link that opens or closes it.
    pub(super) toggle: Option<Toggle>,
    /// Empty for a row that stands for others.
    pub(super) cells: Vec<Cell>,
}

/// Link that opens or closes a row.
pub(super) struct Toggle {
    pub(super) id: String,
    pub(super) url: String,
    pub(super) is_open: bool,
    /// Keys of the row, outermost first.
    pub(super) path: Vec<String>,
}

/// Key of a row in one dimension.
pub(super) struct KeyCell {
    pub(super) text: String,
    /// URL of the report narrowed to the key. None for hours.
    pub(super) narrowed: Option<String>,
    /// True if the row above has the same key, and so have the dimensions before.
    pub(super) is_repeated: bool,
}
