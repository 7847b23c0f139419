//! CSV of a report: the rows of the page, one line per row and currency.

use schema::Money;
use tenancy::csv_export::csv_cell;

use crate::{Dimension, Key, Metric, Report, ReportQuery};

/// Returns the report as CSV (RFC 4180) with a header line. A row with money in several currencies takes one line for
/// each; its counts are in the first of them only, so that every column can be summed.
///
/// `metrics` chooses and orders the columns; the currency of all money in a line is in the column `currency`.
#[must_use]
pub fn to_csv(query: &ReportQuery, metrics: &[Metric], report: &Report) -> String {
    let mut writer = csv::WriterBuilder::new()
        .terminator(csv::Terminator::CRLF)
        .from_writer(Vec::new());
    let header: Vec<_> = query
        .group
        .iter()
        .flat_map(|dimension| match dimension {
            Dimension::Day => vec!["day"],
            Dimension::Campaign => vec!["campaign_id", "campaign"],
            Dimension::Affiliate => vec!["affiliate_id", "affiliate"],
        })
        .chain(metrics.iter().map(|metric| metric.as_str()))
        .chain(["currency"])
        .collect();
    write(&mut writer, &header);
    for row in &report.rows {
        let currencies: Vec<_> = row.figures.money.keys().copied().map(Some).collect();
        let lines = if currencies.is_empty() {
            vec![None]
        } else {
            currencies
        };
        for (line, currency) in lines.into_iter().enumerate() {
            let mut record: Vec<String> = row.keys.iter().flat_map(key_cells).collect();
            let sums = currency
                .and_then(|currency| row.figures.money.get(&currency).copied())
                .unwrap_or_default();
            let count = |count: i64| {
                if line == 0 {
                    count.to_string()
                } else {
                    "0".to_owned()
                }
            };
            let money =
                |micros| currency.map_or("0".to_owned(), |currency| Money { micros, currency }.decimal());
            record.extend(metrics.iter().map(|metric| {
                match metric {
                    Metric::Clicks => count(row.figures.clicks),
                    Metric::UniqueClicks => count(row.figures.unique_clicks),
                    Metric::InvalidClicks => count(row.figures.invalid_clicks),
                    Metric::Conversions => count(row.figures.conversions()),
                    Metric::ConversionRate => row
                        .figures
                        .conversion_rate()
                        .map_or(String::new(), |rate| format!("{rate:.6}")),
                    Metric::Pending => count(row.figures.pending),
                    Metric::Approved => count(row.figures.approved),
                    Metric::Rejected => count(row.figures.rejected),
                    Metric::Commission => money(sums.commission_micros),
                    Metric::Revenue => money(sums.revenue_micros),
                }
            }));
            record.push(currency.map_or(String::new(), |currency| currency.to_string()));
            write(&mut writer, &record);
        }
    }
    finish(writer)
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

fn key_cells(key: &Key) -> Vec<String> {
    match key {
        Key::Day(day) => vec![day.0.to_string()],
        Key::Campaign(name, id) => vec![id.to_string(), csv_cell(name).into_owned()],
        Key::Affiliate(name, id) => vec![id.to_string(), csv_cell(name).into_owned()],
    }
}

#[cfg(test)]
mod tests {
    use schema::{AffiliateId, CampaignId};

    use super::*;
    use crate::{Figures, Row, Sums};

    #[test]
    fn a_line_per_currency_sums_to_the_report() {
        let query = ReportQuery::parse("group=campaign,affiliate", "2026-11-21".parse().unwrap()).unwrap();
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
            };
            figures.money.insert(currency.parse().unwrap(), sums);
        }
        let keys = vec![
            Key::Campaign("=HYPERLINK(\"x\"), “a”".into(), CampaignId(7)),
            Key::Affiliate("Best, Deals".into(), AffiliateId(9)),
        ];
        let report = Report {
            total: figures.clone(),
            rows: vec![Row { keys, figures }],
        };
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
