//! `clickledger rates`: reference rates of installations that do not fetch them.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use schema::clock;
use serde_json::json;
use tenancy::exchange_rates::{RateSource, parse_csv, parse_ecb, store_reference_rates};
use tenancy::{Author, operators, table};

use super::{CommandError, WrongUsage, open, pool};
use crate::config::ImportRatesOptions;
use crate::output::Output;
use crate::reference_rates::MAX_FILE_BYTES;

/// Imports reference rates from a file: XML of the European Central Bank, or CSV.
///
/// # Errors
/// [`WrongUsage`] for a file that cannot be read; another error if the database fails.
pub async fn import_rates(options: ImportRatesOptions, output: Output) -> Result<(), CommandError> {
    let now = clock::now();
    let text = text_of(&options.file)?;
    let (rates, unknown, source) = if text.trim_start_matches('\u{feff}').trim_start().starts_with('<') {
        let file = parse_ecb(&text, now.date_naive()).map_err(|error| WrongUsage(error.to_string()))?;
        (file.rates, file.unknown, RateSource::Ecb)
    } else {
        let rates = parse_csv(&text, now.date_naive()).map_err(|error| WrongUsage(error.to_string()))?;
        (rates, Default::default(), RateSource::Csv)
    };
    let database = open(&options.store).await?;
    let db = pool(&database, 1);
    let mut conn = db.operator().await?;
    let changed = store_reference_rates(&mut conn, &rates, source, now).await?;
    let detail = format!("{} rates, {changed} new or changed", rates.len());
    operators::record(
        &mut conn,
        &Author::command_line(),
        "reference_rates.import",
        None,
        &detail,
        now,
    )
    .await?;
    conn.commit().await?;
    let codes: Vec<_> = unknown.into_iter().collect();
    let imported = json!({ "rates": rates.len(), "changed": changed, "unknown_currencies": codes });
    output.print(detail, &imported)?;
    if !codes.is_empty() {
        output.note(format!(
            "left out, because these are no currencies today: {}",
            codes.join(", ")
        ))?;
    }
    Ok(())
}

/// Text of a file of at most [`MAX_FILE_BYTES`].
fn text_of(path: &Path) -> Result<String, CommandError> {
    let unreadable = |error: std::io::Error| WrongUsage(format!("cannot read {}: {error}", path.display()));
    let file = File::open(path).map_err(unreadable)?;
    let mut bytes = Vec::new();
    let limit = u64::try_from(MAX_FILE_BYTES).unwrap_or(u64::MAX);
    file.take(limit.saturating_add(1))
        .read_to_end(&mut bytes)
        .map_err(unreadable)?;
    if bytes.len() > MAX_FILE_BYTES {
        return Err(WrongUsage(format!(
            "{} is larger than {MAX_FILE_BYTES} bytes",
            path.display()
        ))
        .into());
    }
    Ok(table::decoded(&bytes))
}
