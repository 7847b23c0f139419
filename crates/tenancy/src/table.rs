//! Text tables from CSV files: columns recognised by their headings, and rows applied one by one.

use std::collections::HashMap;

use csv::{ReaderBuilder, StringRecord, Trim};
use schema::{NetworkConn, text_enum};

use crate::csv_export;
use crate::draft::Draft;
use crate::error::ChangeError;

/// Maximum size of a file, in bytes.
pub const MAX_BYTES: usize = 2 * 1024 * 1024;

/// Error message for a file beyond [`MAX_BYTES`].
pub const TOO_LARGE: &str = "The file is larger than 2 MiB. Split it.";

/// Maximum number of rows per file.
pub const MAX_ROWS: usize = 5_000;

text_enum! {
    /// Effect of a row.
    pub enum Outcome {
        /// Creates an object.
        Create = "create",
        /// Updates an existing object.
        Update = "update",
        /// Matches the existing object.
        Unchanged = "unchanged",
        /// Invalid; not applied.
        Refused = "refused",
    }
}

/// Result of a row, applied or previewed.
#[derive(Debug, Clone)]
pub struct Row {
    /// Line number in the file.
    pub line: u64,
    /// Cells as read from the file.
    pub fields: Vec<String>,
    /// Name of the object, if readable.
    pub name: String,
    /// Effect.
    pub outcome: Outcome,
    /// Reason for refusing the row; empty otherwise.
    pub problem: String,
}

/// Result of a file, applied or previewed.
#[derive(Debug, Clone)]
pub struct Report {
    /// Column headings as in the file.
    pub header: Vec<String>,
    /// Headings of columns that were not recognised, and are ignored.
    pub ignored: Vec<String>,
    /// Results by row.
    pub rows: Vec<Row>,
}

impl Report {
    /// Number of rows with this outcome.
    #[must_use]
    pub fn count(&self, outcome: Outcome) -> usize {
        self.rows.iter().filter(|row| row.outcome == outcome).count()
    }
}

/// Column by name, with the names that exports of other systems use for it.
pub type Column = (&'static str, &'static [&'static str]);

/// A parsed CSV file.
#[derive(Debug)]
pub struct Table {
    header: StringRecord,
    ignored: Vec<String>,
    places: HashMap<&'static str, usize>,
    records: Vec<StringRecord>,
}

/// Cells of a row, by column.
#[derive(Debug, Clone, Copy)]
pub struct Cells<'a> {
    places: &'a HashMap<&'static str, usize>,
    record: &'a StringRecord,
}

impl<'a> Cells<'a> {
    /// Cell of a column; empty if the column is absent.
    #[must_use]
    pub fn get(&self, column: &str) -> &'a str {
        self.places
            .get(column)
            .and_then(|place| self.record.get(*place))
            .map(csv_export::plain)
            .unwrap_or_default()
    }

    /// Applies the row to a draft of existing settings. Empty cells leave a field unchanged; `no`, `false` and `0`
    /// clear a yes/no field.
    #[must_use]
    pub fn over(&self, mut draft: Draft, fields: &[&'static str], yes_or_no: &[&str]) -> Draft {
        for field in fields {
            match self.get(field) {
                "" => {}
                "no" | "false" | "0" if yes_or_no.contains(field) => draft.set(field, ""),
                text => draft.set(field, text),
            }
        }
        draft
    }

    fn line(&self) -> u64 {
        self.record.position().map_or(0, csv::Position::line)
    }
}

impl Table {
    /// Parses a CSV file with these columns, of which `needed` must be present.
    ///
    /// # Errors
    /// [`ChangeError::Fields`] if the text is too large, is not CSV, lacks a needed column, or has too many rows.
    pub fn read(text: &str, columns: &[Column], needed: &[&str]) -> Result<Self, ChangeError> {
        if text.len() > MAX_BYTES {
            return Err(ChangeError::field("csv", TOO_LARGE));
        }
        let unreadable =
            |error: csv::Error| ChangeError::field("csv", format!("The file is not valid CSV: {error}."));
        let mut reader = ReaderBuilder::new()
            .trim(Trim::All)
            // A row of another length is refused on its line; it does not invalidate the file.
            .flexible(true)
            .delimiter(guess_delimiter(text))
            .from_reader(text.as_bytes());
        let header = reader.headers().map_err(unreadable)?.clone();
        let (mut places, mut ignored) = (HashMap::new(), Vec::new());
        for (place, title) in header.iter().enumerate() {
            let word = title
                .trim_start_matches('\u{feff}')
                .trim()
                .to_lowercase()
                .replace([' ', '-'], "_");
            let known = columns
                .iter()
                .find(|(name, others)| *name == word || others.contains(&word.as_str()));
            match known {
                Some((name, _)) if !places.contains_key(name) => {
                    places.insert(*name, place);
                }
                _ => ignored.push(title.to_owned()),
            }
        }
        if let Some(missing) = needed.iter().find(|name| !places.contains_key(*name)) {
            let message = format!("The first line must contain the column names, including “{missing}”.");
            return Err(ChangeError::field("csv", message));
        }
        let records: Vec<StringRecord> = reader
            .records()
            .take(MAX_ROWS + 1)
            .collect::<Result<_, _>>()
            .map_err(unreadable)?;
        if records.len() > MAX_ROWS {
            let message = format!("The file has more than {MAX_ROWS} rows. Split it into smaller files.");
            return Err(ChangeError::field("csv", message));
        }
        Ok(Self {
            header,
            ignored,
            places,
            records,
        })
    }

    /// Cells of the rows, in their order.
    pub fn rows(&self) -> impl Iterator<Item = Cells<'_>> {
        self.records.iter().map(|record| Cells {
            places: &self.places,
            record,
        })
    }

    /// Applies every valid row in a savepoint: a refused row leaves nothing behind. `named` returns the name of a row's
    /// object, `reference` its key, which only one row of the file may have.
    ///
    /// # Errors
    /// Returns an error if the database fails.
    pub async fn apply_rows(
        &self,
        conn: &mut NetworkConn,
        named: impl Fn(&Cells<'_>) -> String,
        reference: impl Fn(&Cells<'_>) -> String,
        mut make: impl AsyncFnMut(&mut NetworkConn, &Cells<'_>) -> Result<Outcome, ChangeError>,
    ) -> Result<Report, ChangeError> {
        let mut rows = Vec::new();
        let mut seen: HashMap<String, u64> = HashMap::new();
        for cells in self.rows() {
            let record = cells.record;
            let line = cells.line();
            let made = match self.check(&cells, reference(&cells), &mut seen) {
                Err(refusal) => Err(refusal),
                Ok(()) => conn.attempt(async |conn| make(conn, &cells).await).await,
            };
            let (outcome, problem) = match made {
                Ok(outcome) => (outcome, String::new()),
                Err(ChangeError::Db(error)) => return Err(ChangeError::Db(error)),
                Err(refusal) => (Outcome::Refused, refusal.to_string()),
            };
            rows.push(Row {
                line,
                name: named(&cells),
                fields: record.iter().map(str::to_owned).collect(),
                outcome,
                problem,
            });
        }
        Ok(Report {
            header: self.header.iter().map(str::to_owned).collect(),
            ignored: self.ignored.clone(),
            rows,
        })
    }

    /// Refuses a row whose length differs from the header's, and one with the key of an earlier row.
    fn check(
        &self,
        cells: &Cells<'_>,
        reference: String,
        seen: &mut HashMap<String, u64>,
    ) -> Result<(), ChangeError> {
        let (found, wanted) = (cells.record.len(), self.header.len());
        if found != wanted {
            return Err(ChangeError::Conflict(format!(
                "This row has {found} cells, but the header has {wanted}."
            )));
        }
        match seen.insert(reference, cells.line()) {
            Some(earlier) => Err(ChangeError::Conflict(format!(
                "Line {earlier} refers to the same object. Use one row per object."
            ))),
            None => Ok(()),
        }
    }
}

/// Guesses the separator from the header: spreadsheets with many European locales write semicolons.
fn guess_delimiter(text: &str) -> u8 {
    let first = text.lines().next().unwrap_or_default();
    if first.matches(';').count() > first.matches(',').count() {
        b';'
    } else {
        b','
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_found_by_the_names_of_other_systems() {
        let columns: &[Column] = &[("name", &["partner"]), ("external_id", &["publisher_id"])];
        let text = "\u{feff}Publisher ID,Partner,Country\n77,'=Blog,PL\n";
        let table = Table::read(text, columns, &["name"]).unwrap();
        let cells = Cells {
            places: &table.places,
            record: &table.records[0],
        };
        assert_eq!((cells.get("external_id"), cells.get("name")), ("77", "=Blog"));
        assert_eq!(cells.get("group"), "");
        assert_eq!(table.ignored, ["Country"]);
        let nameless = Table::read("id\n1\n", columns, &["name"]).unwrap_err();
        assert!(nameless.to_string().contains("“name”"), "{nameless}");
    }

    #[test]
    fn empty_cells_leave_a_field_unchanged() {
        let columns: &[Column] = &[("name", &[]), ("auto_approve", &[])];
        let table = Table::read("name,auto_approve\n,no\n", columns, &[]).unwrap();
        let cells = Cells {
            places: &table.places,
            record: &table.records[0],
        };
        let old = Draft::with([("name", "Sale".to_owned()), ("auto_approve", "yes".to_owned())]);
        let new = cells.over(old, &["name", "auto_approve"], &["auto_approve"]);
        assert_eq!((new.of("name"), new.is_set("auto_approve")), ("Sale", false));
    }

    #[test]
    fn semicolons_are_recognised() {
        assert_eq!(guess_delimiter("name;status;tags\na;b;c,d"), b';');
        assert_eq!(guess_delimiter("name,status"), b',');
    }
}
