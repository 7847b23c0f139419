//! Workbook of a report: the lines of the CSV, with numbers as numbers.

use rust_xlsxwriter::{DocProperties, ExcelDateTime, Format, FormatAlign, Workbook, Worksheet};
use schema::Currency;

use crate::csv::currencies;
use crate::{Metric, Report, ReportQuery, Row, Value};

/// Maximum number of lines. A workbook is built in memory; the CSV has no limit.
const MAX_LINES: usize = 50_000;

/// Media type of a workbook.
pub const XLSX_TYPE: &str = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet";

/// Reason why a workbook is not written.
#[derive(Debug, thiserror::Error)]
pub enum XlsxError {
    /// The report has too many lines.
    #[error(
        "A workbook has at most {MAX_LINES} lines. Download the CSV, or choose fewer dimensions or a filter."
    )]
    TooLarge,
    /// The library fails.
    #[error("The workbook was not written: {0}")]
    NotWritten(#[from] rust_xlsxwriter::XlsxError),
}

/// Returns the report as an Excel workbook (Office Open XML): a line per row and currency, as in [`crate::to_csv`]. IDs
/// and names are texts and never formulas; money has the format of its currency.
///
/// # Errors
/// [`XlsxError`].
pub fn to_xlsx(query: &ReportQuery, metrics: &[Metric], report: &Report) -> Result<Vec<u8>, XlsxError> {
    let lines: usize = report
        .rows(0..usize::MAX)
        .map(|row| currencies(&row, metrics).len())
        .sum();
    if lines > MAX_LINES {
        return Err(XlsxError::TooLarge);
    }
    let mut workbook = Workbook::new();
    // Of the same report, the same bytes.
    let created = ExcelDateTime::from_timestamp(0)?;
    workbook.set_properties(&DocProperties::new().set_creation_datetime(&created));
    let sheet = workbook.add_worksheet();
    sheet.set_name("Report")?.set_freeze_panes(1, 0)?;
    let heading = Format::new().set_bold();
    let mut column = 0;
    for dimension in &query.group {
        if dimension.is_object() {
            sheet.write_string_with_format(0, column, format!("{} ID", dimension.label()), &heading)?;
            column += 1;
        }
        sheet.write_string_with_format(0, column, dimension.label(), &heading)?;
        sheet.set_column_width(column, 24)?;
        column += 1;
    }
    let right = heading.clone().set_align(FormatAlign::Right);
    for metric in metrics {
        sheet.write_string_with_format(0, column, metric.label(), &right)?;
        sheet.set_column_width(column, 16)?;
        column += 1;
    }
    sheet.write_string_with_format(0, column, "Currency", &heading)?;
    let mut at = 1;
    for row in report.rows(0..usize::MAX) {
        for (line, currency) in currencies(&row, metrics).into_iter().enumerate() {
            write_line(sheet, at, query, metrics, &row, (line, currency))?;
            at += 1;
        }
    }
    Ok(workbook.save_to_buffer()?)
}

fn write_line(
    sheet: &mut Worksheet,
    at: u32,
    query: &ReportQuery,
    metrics: &[Metric],
    row: &Row,
    (line, currency): (usize, Option<Currency>),
) -> Result<(), rust_xlsxwriter::XlsxError> {
    let mut column = 0;
    for (dimension, key) in query.group.iter().zip(&row.keys) {
        if dimension.is_object() {
            sheet.write_string(at, column, &key.value)?;
            column += 1;
        }
        sheet.write_string(at, column, &key.label)?;
        column += 1;
    }
    for metric in metrics {
        #[expect(
            clippy::cast_precision_loss,
            reason = "a workbook has no other numbers; sums are below 2^53 coins"
        )]
        match row.figures.value(*metric) {
            // Counts stand in the first line of a row alone, so that every column can be summed.
            Value::Count(count) => {
                sheet.write_number(at, column, if line == 0 { count as f64 } else { 0.0 })?;
            }
            Value::Ratio(None) | Value::Duration(None) => {}
            Value::Duration(Some(seconds)) => {
                sheet.write_number(at, column, f64::from(seconds))?;
            }
            Value::Ratio(Some(ratio)) => {
                sheet.write_number_with_format(at, column, ratio, &Format::new().set_num_format("0.00%"))?;
            }
            Value::Money(sums) => {
                let sum = sums.iter().find(|sum| Some(sum.currency) == currency);
                let micros = sum.map_or(0, |sum| sum.micros);
                let format = currency.map_or_else(Format::new, |currency| money(*metric, currency));
                sheet.write_number_with_format(at, column, micros as f64 / 1e6, &format)?;
            }
        }
        column += 1;
    }
    if let Some(currency) = currency {
        sheet.write_string(at, column, currency.code())?;
    }
    Ok(())
}

/// Format of money: with the decimals of its currency, two more per click, and its code.
fn money(metric: Metric, currency: Currency) -> Format {
    let more = match metric {
        Metric::EarningsPerClick | Metric::RevenuePerClick => 2,
        _ => 0,
    };
    let decimals = match currency.decimals() + more {
        0 => String::new(),
        count => format!(".{}", "0".repeat(count)),
    };
    Format::new().set_num_format(format!("#,##0{decimals} \"{}\"", currency.code()))
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use calamine::{Data, Reader as _, Xlsx};
    use schema::CampaignId;

    use super::*;
    use crate::{Figures, Key, Sums};

    /// Report by campaign and first sub ID, from 007 on, with this number of rows.
    fn report(rows: usize) -> (ReportQuery, Report) {
        let query = ReportQuery::parse("group=campaign,sub1", &[], "2026-11-21".parse().unwrap()).unwrap();
        let mut figures = Figures {
            clicks: 8,
            approved: 2,
            ..Figures::default()
        };
        for (currency, commission_micros) in [("EUR", 12_500_000), ("JPY", 300_000_000)] {
            let sums = Sums {
                conversions: 1,
                commission_micros,
                ..Sums::default()
            };
            figures.money.insert(currency.parse().unwrap(), sums);
        }
        let key = |value: &str, label: &str| Key {
            value: value.to_owned(),
            label: label.to_owned(),
        };
        let campaign = key(&CampaignId(7).to_string(), "=1+1");
        let keys: Vec<_> = (7..rows + 7)
            .map(|row| [campaign.clone(), key(&format!("{row:03}"), "")])
            .collect();
        let rows: Vec<_> = keys
            .iter()
            .map(|keys| (keys.as_slice(), figures.clone()))
            .collect();
        let report = Report::of_rows(&query, &rows);
        (query, report)
    }

    #[test]
    fn texts_stay_texts_and_numbers_are_numbers() {
        let (query, report) = report(1);
        let metrics = [
            Metric::Clicks,
            Metric::ConversionRate,
            Metric::Commission,
            Metric::EarningsPerClick,
        ];
        let bytes = to_xlsx(&query, &metrics, &report).unwrap();
        let mut workbook = Xlsx::new(Cursor::new(bytes)).unwrap();
        let sheet = workbook.worksheet_range("Report").unwrap();
        let text = |text: &str| Data::String(text.to_owned());
        let lines: Vec<Vec<Data>> = sheet.rows().map(<[Data]>::to_vec).collect();
        let id = CampaignId(7).to_string();
        assert_eq!(
            lines[0][..3],
            [text("Campaign ID"), text("Campaign"), text("Sub ID 1")]
        );
        assert_eq!(
            lines[1],
            [
                text(&id),
                text("=1+1"),
                text("007"),
                Data::Float(8.0),
                Data::Float(0.25),
                Data::Float(12.5),
                Data::Float(1.5625),
                text("EUR")
            ]
        );
        assert_eq!(
            lines[2][3..6],
            [Data::Float(0.0), Data::Float(0.25), Data::Float(300.0)]
        );
        assert_eq!(lines[2][7], text("JPY"));
        assert!(workbook.worksheet_formula("Report").unwrap().is_empty());
    }

    #[test]
    fn a_workbook_is_bounded() {
        let (query, report) = report(MAX_LINES / 2 + 1);
        let refused = to_xlsx(&query, &[Metric::Commission], &report).unwrap_err();
        assert!(refused.to_string().contains("Download the CSV"), "{refused}");
    }
}
