//! `clickledger import`: CSV for the API, with the result of each row.

use std::io::{self, Read as _};
use std::path::Path;

use hyper::Method;
use serde_json::Value;

use super::{connect, plain};
use crate::client::Failure;
use crate::commands::{CommandError, WrongUsage};
use crate::config::client::{ImportOptions, ImportedTable, table_path};
use crate::output::Output;

/// Imports a file, or shows the effect.
pub(super) async fn import(options: &ImportOptions, output: Output) -> Result<(), CommandError> {
    let content = read(&options.file)?;
    let client = connect(&options.connection)?;
    let path = match options.table {
        ImportedTable::Corrections => "conversions/corrections/import".to_owned(),
        table => format!("{}/import", table_path(table)),
    };
    let mut query = Vec::new();
    query.extend(options.dry_run.then_some(("dry_run", "true")));
    let content = Some(("text/csv", content));
    let report = client
        .call(Method::POST, &path, &query, content)
        .await?
        .json()
        .await?;
    let (lines, refused) = match options.table {
        ImportedTable::Corrections => corrections(&report),
        _ => rows(&report),
    };
    let mut lines = lines;
    if options.dry_run {
        lines.push("Nothing was changed: this was a dry run.".to_owned());
    }
    output.print(lines.join("\n"), &report)?;
    match refused {
        0 => Ok(()),
        1 => Err(Failure::local("refused", "1 row was refused.").into()),
        refused => Err(Failure::local("refused", &format!("{refused} rows were refused.")).into()),
    }
}

fn read(path: &Path) -> Result<Vec<u8>, WrongUsage> {
    let unreadable = |error: io::Error| WrongUsage(format!("cannot read {}: {error}", path.display()));
    if path == Path::new("-") {
        let mut content = Vec::new();
        io::stdin().lock().read_to_end(&mut content).map_err(unreadable)?;
        return Ok(content);
    }
    std::fs::read(path).map_err(unreadable)
}

/// Result of an import of objects, and the number of refused rows.
fn rows(report: &Value) -> (Vec<String>, usize) {
    let count = |name: &str| plain(&report[name]);
    let mut lines = vec![format!(
        "{} created, {} updated, {} unchanged, {} refused",
        count("created"),
        count("updated"),
        count("unchanged"),
        count("refused")
    )];
    let ignored: Vec<_> = report["ignored_columns"]
        .as_array()
        .into_iter()
        .flatten()
        .map(plain)
        .collect();
    if !ignored.is_empty() {
        lines.push(format!(
            "unknown columns, which are ignored: {}",
            ignored.join(", ")
        ));
    }
    let all = report["rows"].as_array().into_iter().flatten();
    let refused: Vec<_> = all.filter(|row| row["outcome"] == "refused").collect();
    for row in &refused {
        lines.push(format!(
            "line {}  {}  {}",
            row["line"],
            plain(&row["name"]),
            plain(&row["problem"])
        ));
    }
    (lines, refused.len())
}

/// Result of an import of corrections, and the number of refused rows.
fn corrections(report: &Value) -> (Vec<String>, usize) {
    let count = |name: &str| plain(&report[name]);
    let mut lines = vec![format!(
        "{} changed, {} unchanged, {} waiting for a second user",
        count("changed"),
        count("unchanged"),
        count("waiting")
    )];
    for money in report["money"].as_array().into_iter().flatten() {
        lines.push(format!(
            "commission {}, revenue {}",
            plain(&money["commission"]),
            plain(&money["revenue"])
        ));
    }
    if !report["batch"].is_null() {
        lines.push(format!("batch {}", plain(&report["batch"])));
    }
    let refused = report["refused"].as_array().map_or(&[][..], Vec::as_slice);
    for row in refused {
        lines.push(format!("{}  {}", plain(&row["name"]), plain(&row["reason"])));
    }
    (lines, refused.len())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_refused_row_has_a_line_with_its_problem() {
        let report = json!({
            "created": 1, "updated": 0, "unchanged": 0, "refused": 1, "ignored_columns": ["colour"],
            "rows": [
                { "line": 2, "name": "Nova", "outcome": "create", "problem": "" },
                { "line": 3, "name": "", "outcome": "refused", "problem": "name: Enter a name." },
            ],
        });
        let (lines, refused) = rows(&report);
        assert_eq!(refused, 1);
        assert_eq!(lines[0], "1 created, 0 updated, 0 unchanged, 1 refused");
        assert!(
            lines[1].ends_with("colour") && lines[2].ends_with("name: Enter a name."),
            "{lines:?}"
        );
    }
}
