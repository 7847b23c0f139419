//! Rows of a report as text: their keys, with links to the report narrowed to them, and their figures.

use chrono::TimeDelta;
use reports::{Dimension, Figures, Key, Metric, Report, ReportQuery, Row, Value};
use schema::clock;

use super::reports::ROWS;
use crate::format;

/// First rows of a report.
pub(super) fn rows(
    query: &ReportQuery,
    metrics: &[Metric],
    report: &Report,
    today: chrono::NaiveDate,
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
                        .map(|(level, (dimension, key))| {
                            let (text, narrowed) = key_cell(query, *dimension, key, today);
                            KeyCell {
                                text,
                                narrowed,
                                is_repeated: level < repeated,
                            }
                        })
                        .collect(),
                    cells: cells(metrics, &figures, before.as_ref()),
                };
                above = keys;
                row
            },
        )
        .collect()
}

/// Text of a key, and the URL of the report narrowed to it.
fn key_cell(
    query: &ReportQuery,
    dimension: Dimension,
    key: &Key,
    today: chrono::NaiveDate,
) -> (String, String) {
    let text = match (dimension, key.value.parse()) {
        (Dimension::Day, Ok(day)) => format::day(day, today),
        _ if key.label.is_empty() => "—".to_owned(),
        _ => key.label.clone(),
    };
    let narrowed = query.narrowed(dimension, &key.value);
    (text, format!("/reports?{}", narrowed.to_query_string()))
}

/// Cells of a row. A sum of money has a line per currency.
pub(super) fn cells(metrics: &[Metric], figures: &Figures, before: Option<&Figures>) -> Vec<Cell> {
    metrics
        .iter()
        .map(|metric| {
            let (lines, zero) = lines(figures.value(*metric));
            let before = before.map_or(Vec::new(), |before| self::lines(before.value(*metric)).0);
            Cell { lines, zero, before }
        })
        .collect()
}

/// Lines of a value, and true if it is zero.
fn lines(value: Value) -> (Vec<String>, bool) {
    match value {
        Value::Count(count) => (vec![format::count(count)], count == 0),
        Value::Ratio(ratio) => (vec![format::percent(ratio)], false),
        Value::Duration(seconds) => {
            let text = seconds.map_or("—".to_owned(), |seconds| {
                clock::in_words(TimeDelta::seconds(seconds.into()))
            });
            (vec![text], false)
        }
        Value::Money(sums) if sums.is_empty() => (vec!["0".to_owned()], true),
        Value::Money(sums) => (sums.into_iter().map(format::money).collect(), false),
    }
}

/// Cell of a row.
pub(super) struct Cell {
    pub(super) lines: Vec<String>,
    pub(super) zero: bool,
    /// Lines of the same in the period that is compared.
    pub(super) before: Vec<String>,
}

/// Row of a report.
pub(super) struct ReportRow {
    pub(super) keys: Vec<KeyCell>,
    pub(super) cells: Vec<Cell>,
}

/// Key of a row in one dimension.
pub(super) struct KeyCell {
    pub(super) text: String,
    /// URL of the report narrowed to the key.
    pub(super) narrowed: String,
    /// True if the row above has the same key, and so have the dimensions before.
    pub(super) is_repeated: bool,
}
