//! `clickledger export`: tables and reports of the API as files.

use std::fs::File;
use std::io::{self, BufWriter, IsTerminal as _, Write as _};
use std::path::Path;
use std::time::Duration;

use hyper::Method;
use serde_json::{Value, json};
use tokio::time::sleep;

use super::{connect, text};
use crate::client::{Answer, Client, CopyError, Failure};
use crate::commands::{CommandError, WrongUsage};
use crate::config::client::{ExportOptions, ExportedTable, ReportFormat, table_path};
use crate::output::Output;

/// Time between two looks at a file that the server prepares.
const FILE_INTERVAL: Duration = Duration::from_secs(1);

/// Writes a table or a report to a file or to standard output.
pub(super) async fn export(options: &ExportOptions, output: Output) -> Result<(), CommandError> {
    check(options)?;
    let client = connect(&options.connection)?;
    let answer = match options.table {
        ExportedTable::Report => report(&client, options).await?,
        table => {
            let path = format!("{}/export", table_path(table));
            let mut query = Vec::new();
            query.extend(options.bom.then_some(("bom", "true")));
            query.extend(options.archived.then_some(("archived", "true")));
            client.call(Method::GET, &path, &query, None).await?
        }
    };
    let Some(file) = &options.out else {
        answer.copy_to(&mut io::stdout().lock()).await.map_err(failed)?;
        return Ok(());
    };
    let bytes = write(answer, file).await?;
    let written = json!({ "file": file.display().to_string(), "bytes": bytes });
    Ok(output.print(format!("{}: {bytes} bytes", file.display()), &written)?)
}

/// Refuses options that do not belong to the table.
fn check(options: &ExportOptions) -> Result<(), WrongUsage> {
    let is_report = options.table == ExportedTable::Report;
    let is_party = [ExportedTable::Affiliates, ExportedTable::Advertisers].contains(&options.table);
    if !is_report && (options.query.is_some() || options.format == ReportFormat::Xlsx) {
        return Err(WrongUsage(
            "--query and --format belong to `export report`".to_owned(),
        ));
    }
    if options.archived && !is_party {
        return Err(WrongUsage(
            "--archived belongs to affiliates and advertisers".to_owned(),
        ));
    }
    if options.format == ReportFormat::Xlsx && options.out.is_none() && io::stdout().is_terminal() {
        return Err(WrongUsage("a workbook is no text: add --out FILE".to_owned()));
    }
    Ok(())
}

fn failed(error: CopyError) -> CommandError {
    match error {
        CopyError::Read(failure) => failure.into(),
        CopyError::Write(error) => error.into(),
    }
}

/// Writes a body beside the file, which it replaces at the end: an interrupted export leaves the earlier file.
async fn write(answer: Answer, path: &Path) -> Result<u64, CommandError> {
    let unwritable = |error: io::Error| format!("{}: {error}", path.display());
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".part");
    let part = path.with_file_name(name);
    let mut file = BufWriter::new(File::create(&part).map_err(unwritable)?);
    let bytes = answer.copy_to(&mut file).await;
    drop(file);
    match bytes {
        Ok(bytes) => {
            std::fs::rename(&part, path).map_err(unwritable)?;
            Ok(bytes)
        }
        Err(error) => {
            let _ = std::fs::remove_file(&part);
            Err(failed(error))
        }
    }
}

/// Report at once, or as a file that the server prepares if it has too many rows.
async fn report(client: &Client, options: &ExportOptions) -> Result<Answer, CommandError> {
    let query = options.query.as_deref().unwrap_or_default();
    let query = query.rsplit_once('?').map_or(query, |(_, query)| query);
    let format = match options.format {
        ReportFormat::Csv => "csv",
        ReportFormat::Xlsx => "xlsx",
    };
    let mut parts = vec![query.to_owned(), format!("format={format}")];
    parts.extend((options.bom && options.format == ReportFormat::Csv).then(|| "bom=true".to_owned()));
    parts.retain(|part| !part.is_empty());
    match client.get_report("reports/export", &parts.join("&")).await {
        Err(failure) if is_too_large(&failure) => {
            if options.bom {
                eprintln!("clickledger: the prepared file has no byte-order mark.");
            }
            prepared(client, query, format).await
        }
        other => Ok(other?),
    }
}

/// True if the API refuses the number of rows: the field is named, and the message names the way out.
fn is_too_large(failure: &Failure) -> bool {
    let rows = failure.fields.get("group").or(failure.fields.get("format"));
    failure.code == "invalid"
        && rows.is_some_and(|message| message.contains("rows") || message.contains("lines"))
}

async fn prepared(client: &Client, query: &str, format: &str) -> Result<Answer, CommandError> {
    let created = client
        .post("report-files", &json!({ "query": query, "format": format }))
        .await?;
    let id = text(&created["id"]);
    let mut progress = Progress::new();
    loop {
        let file = client.get(&format!("report-files/{id}"), &[]).await?;
        progress.show(&file);
        match file["status"].as_str() {
            Some("ready") => break,
            Some("failed") => return Err(Failure::local("failed", &text(&file["problem"])).into()),
            _ => sleep(FILE_INTERVAL).await,
        }
    }
    progress.end();
    Ok(client
        .call(Method::GET, &format!("report-files/{id}/content"), &[], None)
        .await?)
}

/// Progress on standard error: one line that changes on a terminal, otherwise a line per status.
struct Progress {
    is_terminal: bool,
    last: String,
}

impl Progress {
    fn new() -> Self {
        Self {
            is_terminal: io::stderr().is_terminal(),
            last: String::new(),
        }
    }

    fn show(&mut self, file: &Value) {
        let (status, sentence) = (text(&file["status"]), sentence(file));
        if self.is_terminal {
            eprint!("\r\x1b[K{sentence}");
            let _ = io::stderr().flush();
        } else if self.last != status {
            eprintln!("clickledger: {sentence}");
        }
        self.last = status;
    }

    fn end(&self) {
        if self.is_terminal {
            eprintln!();
        }
    }
}

fn sentence(file: &Value) -> String {
    let status = text(&file["status"]);
    match file["rows_total"].as_i64() {
        Some(total) => format!(
            "the report's file is {status}: {} of {total} rows",
            file["rows_written"]
        ),
        None => format!("the report's file is {status}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_names_the_rows_once_they_are_counted() {
        let mut file = json!({ "status": "waiting", "rows_total": null, "rows_written": 0 });
        assert_eq!(sentence(&file), "the report's file is waiting");
        file = json!({ "status": "running", "rows_total": 250_000, "rows_written": 1_000 });
        assert_eq!(
            sentence(&file),
            "the report's file is running: 1000 of 250000 rows"
        );
    }

    #[test]
    fn only_the_number_of_rows_leads_to_a_prepared_file() {
        let refused = |field: &str, message: &str| {
            let mut failure = Failure::local("invalid", message);
            failure.fields.insert(field.to_owned(), message.to_owned());
            is_too_large(&failure)
        };
        assert!(refused(
            "group",
            "The report has 100001 rows, more than 100000. Have a file prepared."
        ));
        assert!(!refused("group", "Unknown dimension."));
        assert!(!refused("period", "Unknown period."));
    }
}
