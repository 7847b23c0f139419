//! Text tables from CSV files: columns recognised by their headings, and rows applied one by one.

use std::collections::HashMap;

use csv::{ReaderBuilder, StringRecord, Trim};
use encoding_rs::{Encoding, UTF_8, WINDOWS_1252};
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
    /// True if one refused row keeps the whole file from being imported.
    pub is_whole: bool,
}

impl Report {
    /// Number of rows with this outcome.
    #[must_use]
    pub fn count(&self, outcome: Outcome) -> usize {
        self.rows.iter().filter(|row| row.outcome == outcome).count()
    }

    /// Message about the first refused rows, if they keep the file from being imported.
    #[must_use]
    pub fn refusal(&self) -> Option<String> {
        /// Rows that the message names.
        const NAMED_ROWS: usize = 10;
        let refused = self.rows.iter().filter(|row| row.outcome == Outcome::Refused);
        let named: Vec<_> = refused
            .filter(|_| self.is_whole)
            .take(NAMED_ROWS)
            .map(|row| format!("Line {}: {}", row.line, row.problem))
            .collect();
        (!named.is_empty()).then(|| format!("Nothing was imported. {}", named.join(" ")))
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
    /// Rows, each with the line at which it begins.
    records: Vec<(u64, StringRecord)>,
}

/// Cells of a row, by column.
#[derive(Debug, Clone, Copy)]
pub struct Cells<'a> {
    places: &'a HashMap<&'static str, usize>,
    record: &'a StringRecord,
    /// Line of the file at which the row begins.
    line: u64,
}

/// Text of a file as spreadsheets write it: UTF-8, UTF-16 with its mark, or else Windows-1252.
#[must_use]
pub fn decoded(bytes: &[u8]) -> String {
    let encoding = match (Encoding::for_bom(bytes), std::str::from_utf8(bytes)) {
        (Some((encoding, _)), _) => encoding,
        (None, Ok(_)) => UTF_8,
        (None, Err(_)) => WINDOWS_1252,
    };
    encoding.decode(bytes).0.into_owned()
}

impl<'a> Cells<'a> {
    /// Line of the file at which the row begins.
    #[must_use]
    pub fn line(&self) -> u64 {
        self.line
    }

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
        let (delimiter, start) = delimiter(text);
        let body = text.get(start..).unwrap_or_default();
        let mut reader = ReaderBuilder::new()
            .trim(Trim::All)
            // A row of another length is refused on its line; it does not invalidate the file.
            .flexible(true)
            .delimiter(delimiter)
            .from_reader(body.as_bytes());
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
        let mut lines = Lines::of(text);
        let records = records.into_iter().map(|record| {
            let at = record.position().map_or(0, csv::Position::byte);
            (lines.at(start + usize::try_from(at).unwrap_or(0)), record)
        });
        Ok(Self {
            header,
            ignored,
            places,
            records: records.collect(),
        })
    }

    /// Cells of the rows, in their order.
    pub fn rows(&self) -> impl Iterator<Item = Cells<'_>> {
        self.records.iter().map(|(line, record)| Cells {
            places: &self.places,
            record,
            line: *line,
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
            let line = cells.line;
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
            is_whole: false,
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
        match seen.insert(reference, cells.line) {
            Some(earlier) => Err(ChangeError::Conflict(format!(
                "Line {earlier} refers to the same object. Use one row per object."
            ))),
            None => Ok(()),
        }
    }
}

/// Separator, and the byte at which the header begins. A first line `sep=;` names the separator, as Excel writes it;
/// otherwise the header shows it: spreadsheets with many European locales write semicolons, and copied cells have tabs.
fn delimiter(text: &str) -> (u8, usize) {
    let first = text.lines().next().unwrap_or_default();
    let named = first.trim_start_matches('\u{feff}').trim().strip_prefix("sep=");
    if let Some([separator]) = named.map(str::as_bytes) {
        let start = text.find('\n').map_or(text.len(), |end| end + 1);
        return (*separator, start);
    }
    let count = |separator: char| first.matches(separator).count();
    let most = [',', ';', '\t']
        .into_iter()
        .rev()
        .max_by_key(|separator| count(*separator));
    let most = most.and_then(|separator| u8::try_from(separator).ok());
    (most.unwrap_or(b','), 0)
}

/// Lines of a text, counted as a spreadsheet or an editor does.
struct Lines<'a> {
    text: &'a str,
    /// Place up to which line breaks are counted.
    at: usize,
    line: u64,
}

impl<'a> Lines<'a> {
    fn of(text: &'a str) -> Self {
        Self { text, at: 0, line: 1 }
    }

    /// Line of a row that is read up to this place, which may be before the end of the line before it.
    fn at(&mut self, place: usize) -> u64 {
        let rest = self.text.get(place..).unwrap_or_default();
        let place = place + (rest.len() - rest.trim_start_matches(['\r', '\n']).len());
        let passed = self.text.get(self.at..place).unwrap_or_default();
        self.line += u64::try_from(passed.matches('\n').count()).unwrap_or(0);
        self.at = place;
        self.line
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
        let cells = table.rows().next().unwrap();
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
        let cells = table.rows().next().unwrap();
        let old = Draft::with([("name", "Sale".to_owned()), ("auto_approve", "yes".to_owned())]);
        let new = cells.over(old, &["name", "auto_approve"], &["auto_approve"]);
        assert_eq!((new.of("name"), new.is_set("auto_approve")), ("Sale", false));
    }

    #[test]
    fn separators_are_recognised() {
        assert_eq!(delimiter("name;status;tags\na;b;c,d"), (b';', 0));
        assert_eq!(delimiter("name,status"), (b',', 0));
        assert_eq!(delimiter("name"), (b',', 0));
        assert_eq!(delimiter("name\tstatus"), (b'\t', 0));
        assert_eq!(delimiter("sep=|\r\nname|status"), (b'|', 7));
    }

    #[test]
    fn files_of_spreadsheets_are_decoded() {
        assert_eq!(decoded("\u{feff}Müller".as_bytes()), "Müller");
        assert_eq!(decoded("Müller €".as_bytes()), "Müller €");
        assert_eq!(decoded(b"M\xfcller \x80"), "Müller €");
        let wide: Vec<u8> = "Müller".encode_utf16().flat_map(u16::to_le_bytes).collect();
        assert_eq!(decoded(&[&[0xff, 0xfe], &wide[..]].concat()), "Müller");
    }

    #[test]
    fn lines_are_counted_as_an_editor_does() {
        let lines = |text: &str| {
            let table = Table::read(text, &[("name", &[])], &["name"]).unwrap();
            table.rows().map(|cells| cells.line).collect::<Vec<_>>()
        };
        assert_eq!(lines("name\na\nb\n"), [2, 3]);
        assert_eq!(lines("name\r\na\r\nb\r\n"), [2, 3]);
        assert_eq!(lines("name\r\n\r\n\"a\r\nc\"\r\nb\r\n"), [3, 5]);
        assert_eq!(lines("sep=,\r\nname\r\na\r\n"), [3]);
    }
}
