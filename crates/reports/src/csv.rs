//! CSV of a report: the rows of the page, one line per row and currency.

use std::ops::Range;

use schema::{Currency, Money};
use tenancy::csv_export::csv_cell;

use crate::{Dimension, Key, Metric, Report, ReportQuery, Row, Value};

/// Returns the report as CSV (RFC 4180) with a header line. A row with money in several currencies takes one line for
/// each; its counts are in the first of them only, so that every column can be summed.
///
/// `metrics` chooses and orders the columns; the currency of all money in a line is in the column `currency`.
#[must_use]
pub fn to_csv(query: &ReportQuery, metrics: &[Metric], report: &Report) -> String {
    header(query, metrics) + &lines(query, metrics, report, 0..usize::MAX)
}

/// Header line.
pub(crate) fn header(query: &ReportQuery, metrics: &[Metric]) -> String {
    let header: Vec<String> = query
        .group
        .iter()
        .flat_map(|dimension| match dimension.object() {
            Some(_) => vec![format!("{dimension}_id"), dimension.to_string()],
            // The currency of the money has the column of this name.
            None if *dimension == Dimension::Currency => vec!["conversion_currency".to_owned()],
            None => vec![dimension.to_string()],
        })
        .chain(metrics.iter().map(ToString::to_string))
        .chain(["currency".to_owned()])
        .collect();
    let mut writer = writer();
    write(&mut writer, &header);
    finish(writer)
}

/// Lines of the rows in a range.
pub(crate) fn lines(query: &ReportQuery, metrics: &[Metric], report: &Report, rows: Range<usize>) -> String {
    let mut writer = writer();
    for row in report.rows(rows) {
        for (line, currency) in currencies(&row, metrics).into_iter().enumerate() {
            let keys = query.group.iter().zip(&row.keys);
            let mut record: Vec<String> = keys
                .flat_map(|(dimension, key)| key_cells(*dimension, key))
                .collect();
            let metrics = metrics
                .iter()
                .map(|metric| cell(row.figures.value(*metric), line, currency));
            record.extend(metrics);
            record.push(currency.map_or(String::new(), |currency| currency.to_string()));
            write(&mut writer, &record);
        }
    }
    finish(writer)
}

fn writer() -> csv::Writer<Vec<u8>> {
    csv::WriterBuilder::new()
        .terminator(csv::Terminator::CRLF)
        .from_writer(Vec::new())
}

/// Currency of each line of a row with these metrics; none in the single line of a row without money.
pub(crate) fn currencies(row: &Row, metrics: &[Metric]) -> Vec<Option<Currency>> {
    let currencies: Vec<_> = row.figures.money.keys().copied().map(Some).collect();
    let has_money = metrics.iter().any(|metric| metric.unit() == "money");
    if currencies.is_empty() || !has_money {
        vec![None]
    } else {
        currencies
    }
}

fn cell(value: Value, line: usize, currency: Option<Currency>) -> String {
    match value {
        Value::Count(count) if line == 0 => count.to_string(),
        Value::Count(_) => "0".to_owned(),
        Value::Ratio(ratio) => ratio.map_or(String::new(), |ratio| format!("{ratio:.6}")),
        Value::Duration(seconds) => seconds.map_or(String::new(), |seconds| seconds.to_string()),
        Value::Money(sums) => {
            let sum = sums.iter().find(|sum| Some(sum.currency) == currency);
            match (sum, currency) {
                (Some(sum), _) => sum.decimal(),
                (None, Some(currency)) => Money { micros: 0, currency }.decimal(),
                (None, None) => "0".to_owned(),
            }
        }
    }
}

/// Writes a record to memory, which cannot fail while all records have as many cells.
#[expect(clippy::expect_used, reason = "every record has the cells of the header")]
fn write(writer: &mut csv::Writer<Vec<u8>>, record: &[impl AsRef<[u8]>]) {
    writer.write_record(record).expect("records of equal length");
}

#[expect(
    clippy::expect_used,
    reason = "memory takes every byte, and every cell is text"
)]
fn finish(writer: csv::Writer<Vec<u8>>) -> String {
    let bytes = writer.into_inner().expect("memory takes every byte");
    String::from_utf8(bytes).expect("cells of text")
}

fn key_cells(dimension: Dimension, key: &Key) -> Vec<String> {
    let label = csv_cell(&key.label).into_owned();
    match dimension.object() {
        Some(_) => vec![key.value.clone(), label],
        None => vec![label],
    }
}

#[cfg(test)]
mod tests {
    use schema::{AffiliateId, CampaignId};

    use super::*;
    use crate::{Figures, Sums};

    #[test]
    fn a_line_per_currency_sums_to_the_report() {
        let query =
            ReportQuery::parse("group=campaign,affiliate", &[], "2026-11-21".parse().unwrap()).unwrap();
        let mut figures = Figures {
            clicks: 10,
            unique_clicks: 7,
            invalid_clicks: 2,
            pending: 2,
            approved: 1,
            ..Figures::default()
        };
        for (currency, commission_micros) in [("EUR", 12_500_000), ("USD", 3_000_000)] {
            let sums = Sums {
                commission_micros,
                revenue_micros: commission_micros * 2,
                ..Sums::default()
            };
            figures.money.insert(currency.parse().unwrap(), sums);
        }
        let key = |value: String, label: &str| Key {
            value,
            label: label.to_owned(),
        };
        let keys = vec![
            key(CampaignId(7).to_string(), "=HYPERLINK(\"x\"), “a”"),
            key(AffiliateId(9).to_string(), "Best, Deals"),
        ];
        let report = Report::of_rows(&query, &[(&keys, figures)]);
        let (campaign, affiliate) = (CampaignId(7), AffiliateId(9));
        let names = format!("{campaign},\"'=HYPERLINK(\"\"x\"\"), “a”\",{affiliate},\"Best, Deals\"");
        assert_eq!(
            to_csv(
                &query,
                &[
                    Metric::Clicks,
                    Metric::UniqueClicks,
                    Metric::InvalidClicks,
                    Metric::Conversions,
                    Metric::Commission
                ],
                &report
            ),
            format!(
                "campaign_id,campaign,affiliate_id,affiliate,clicks,unique_clicks,invalid_clicks,conversions,commission,currency\r\n\
                 {names},10,7,2,3,12.50,EUR\r\n{names},0,0,0,0,3.00,USD\r\n"
            )
        );
    }
}
