//! Text and file of a scheduled mail.

use chrono::TimeDelta;
use schema::clock;
use tenancy::{Attachment, Mail};

use super::settings::FileFormat;
use crate::{Figures, Metric, Report, ReportQuery, Value, XLSX_TYPE, to_csv, to_xlsx};

/// Number of rows in the text; the file has all.
const TOP_ROWS: usize = 10;

/// Report as one recipient may see it.
pub(super) struct Letter {
    pub(super) query: ReportQuery,
    pub(super) metrics: Vec<Metric>,
    pub(super) report: Report,
    /// Name of the view.
    pub(super) view: String,
    /// Name of the network.
    pub(super) network: String,
    /// Name of the time zone of the report.
    pub(super) zone: &'static str,
    /// Name of the user who scheduled the mail.
    pub(super) owner: String,
    pub(super) format: FileFormat,
    /// Address of the recipient.
    pub(super) email: String,
    /// Base URL of the dashboard.
    pub(super) dashboard_url: String,
    /// URL that stops the mail for the recipient.
    pub(super) stop_url: String,
}

impl Letter {
    /// The mail with its file. Large files take long: not to be called on a thread that serves requests.
    pub(super) fn to_mail(&self) -> Mail {
        let (attachment, note) = self.attachment();
        Mail {
            to: self.email.clone(),
            subject: format!("{}: {}, {}", self.network, self.view, self.days()),
            text: self.text(&note),
            attachment,
            stop_url: Some(self.stop_url.clone()),
        }
    }

    fn days(&self) -> String {
        if self.query.from == self.query.to {
            self.query.from.to_string()
        } else {
            format!("{} to {}", self.query.from, self.query.to)
        }
    }

    /// File of the report, and a sentence about it.
    fn attachment(&self) -> (Option<Attachment>, String) {
        let file = match self.format {
            FileFormat::Csv => Ok(to_csv(&self.query, &self.metrics, &self.report).into_bytes()),
            FileFormat::Xlsx => to_xlsx(&self.query, &self.metrics, &self.report),
        };
        let count = self.report.row_count();
        // Short, so that the header of the file fits on one line.
        let name = format!("report_{}.{}", self.query.to, self.format);
        match file {
            Ok(content) => {
                let media_type = match self.format {
                    FileFormat::Csv => "text/csv; charset=utf-8",
                    FileFormat::Xlsx => XLSX_TYPE,
                };
                let file = Attachment {
                    name,
                    media_type,
                    content,
                };
                (Some(file), format!("The attached file has all rows: {count}."))
            }
            Err(error) => (None, format!("No file is attached: {error}.")),
        }
    }

    fn text(&self, note: &str) -> String {
        let mut text = format!(
            "{} ({})\n{}, {}\n\nTotal\n",
            self.view,
            self.network,
            self.days(),
            self.zone
        );
        for metric in &self.metrics {
            text.push_str(&format!(
                "  {}: {}\n",
                metric.label(),
                words(&self.report.total, *metric)
            ));
        }
        if self.report.row_count() == 0 {
            text.push_str("\nThis period has no data.\n");
        } else {
            let dimensions: Vec<_> = self
                .query
                .group
                .iter()
                .map(|dimension| dimension.label())
                .collect();
            text.push_str(&format!("\nRows by {}\n", dimensions.join(", ")));
        }
        for row in self.report.rows(0..TOP_ROWS) {
            let keys = row.keys.iter().map(|key| match key.label.as_str() {
                "" => "—",
                label => label,
            });
            let keys: Vec<_> = keys.collect();
            let figures: Vec<_> = self
                .metrics
                .iter()
                .map(|metric| format!("{} {}", metric.label(), words(&row.figures, *metric)))
                .collect();
            text.push_str(&format!("  {}: {}\n", keys.join(" / "), figures.join(" · ")));
        }
        text.push_str(&format!(
            "\n{note}\n\nOpen the report:\n{}/reports?{}\n\n{} scheduled this mail. Stop getting it:\n{}\n",
            self.dashboard_url,
            self.query.to_query_string(),
            self.owner,
            self.stop_url
        ));
        text
    }
}

/// Value of a metric as text; money of several currencies separated by commas.
fn words(figures: &Figures, metric: Metric) -> String {
    match figures.value(metric) {
        Value::Count(count) => count.to_string(),
        Value::Ratio(None) => "—".to_owned(),
        Value::Ratio(Some(ratio)) => format!("{:.2} %", ratio * 100.0),
        Value::Duration(None) => "—".to_owned(),
        Value::Duration(Some(seconds)) => clock::in_words(TimeDelta::seconds(seconds.into())),
        Value::Money(sums) if sums.is_empty() => "0".to_owned(),
        Value::Money(sums) => {
            let sums: Vec<_> = sums.iter().map(ToString::to_string).collect();
            sums.join(", ")
        }
    }
}

/// Notice to the owner of a mail about recipients who were skipped.
pub(super) fn notice(
    to: &str,
    network: &str,
    view: &str,
    dashboard_url: &str,
    skipped: &[(String, String)],
) -> Mail {
    let lines: String = skipped
        .iter()
        .map(|(name, reason)| format!("  {name}: {reason}\n"))
        .collect();
    Mail {
        to: to.to_owned(),
        subject: format!("{network}: {view} was not mailed to every recipient"),
        text: format!(
            "These recipients of {view} ({network}) were skipped:\n\n{lines}\nChange the view or the recipients:\n\
             {dashboard_url}/reports/mails\n\nYou receive this mail because you scheduled the report.\n"
        ),
        ..Mail::default()
    }
}
