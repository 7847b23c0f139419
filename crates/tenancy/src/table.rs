//! Tables of text from CSV files: columns found by their titles, and rows made true one by one.

use std::collections::HashMap;

use csv::{ReaderBuilder, StringRecord, Trim};
use schema::{NetworkConn, text_enum};

use crate::csv_export;
use crate::draft::Draft;
use crate::error::ChangeError;

/// Most rows of one file.
pub const MOST_ROWS: usize = 5_000;

text_enum! {
    /// What a row does.
    pub enum Outcome {
        /// It makes a new one.
        Create = "create",
        /// It changes one that is there.
        Update = "update",
        /// It says what is so already.
        Unchanged = "unchanged",
        /// It cannot be accepted.
        Refused = "refused",
    }
}

/// What became, or would become, of a row.
#[derive(Debug, Clone)]
pub struct Row {
    /// Its line in the file.
    pub line: u64,
    /// Its fields as they were.
    pub fields: Vec<String>,
    /// What it is called, as far as that could be read.
    pub name: String,
    /// What it does.
    pub outcome: Outcome,
    /// Why it cannot be accepted, or empty.
    pub problem: String,
}

/// What became, or would become, of a file.
#[derive(Debug, Clone)]
pub struct Report {
    /// The columns as they are called in the file.
    pub header: Vec<String>,
    /// Those that are not understood, and were passed over.
    pub ignored: Vec<String>,
    /// Row by row.
    pub rows: Vec<Row>,
}

impl Report {
    /// How many rows have this outcome.
    #[must_use]
    pub fn count(&self, outcome: Outcome) -> usize {
        self.rows.iter().filter(|row| row.outcome == outcome).count()
    }
}

/// A column that is understood, with the other words for it that exports of other systems use.
pub type Column = (&'static str, &'static [&'static str]);

/// A file cut into rows.
#[derive(Debug)]
pub struct Table {
    header: StringRecord,
    ignored: Vec<String>,
    places: HashMap<&'static str, usize>,
    records: Vec<StringRecord>,
}

/// The cells of a row.
#[derive(Debug, Clone, Copy)]
pub struct Cells<'a> {
    places: &'a HashMap<&'static str, usize>,
    record: &'a StringRecord,
}

impl<'a> Cells<'a> {
    /// The cell of a column; empty where there is none.
    #[must_use]
    pub fn get(&self, column: &str) -> &'a str {
        self.places
            .get(column)
            .and_then(|place| self.record.get(*place))
            .map(csv_export::plain)
            .unwrap_or_default()
    }

    /// What the row says, over what is so: empty cells leave a field as it is. `no` is no to a yes-or-no field.
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
    /// Reads a file of these columns, some of which it must have.
    ///
    /// # Errors
    /// [`ChangeError::Fields`] for a file that is no CSV, has not those columns, or is too long.
    pub fn read(text: &str, columns: &[Column], needed: &[&str]) -> Result<Self, ChangeError> {
        let unreadable = |error: csv::Error| ChangeError::field("csv", format!("This is not CSV: {error}."));
        let mut reader = ReaderBuilder::new()
            .trim(Trim::All)
            // A row of another length is refused by itself, not with the whole file.
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
            let message =
                format!("The first line must name the columns, and one of them must be “{missing}”.");
            return Err(ChangeError::field("csv", message));
        }
        let records: Vec<StringRecord> = reader
            .records()
            .take(MOST_ROWS + 1)
            .collect::<Result<_, _>>()
            .map_err(unreadable)?;
        if records.len() > MOST_ROWS {
            let message = format!("A file may have at most {MOST_ROWS} rows. Split it.");
            return Err(ChangeError::field("csv", message));
        }
        Ok(Self {
            header,
            ignored,
            places,
            records,
        })
    }

    /// Makes every row true that can be accepted, each by itself: what one writes before it is refused is taken back.
    /// `named` says what a row is called, `meant` what it is about, which only one row may be.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn make_true(
        &self,
        conn: &mut NetworkConn,
        named: impl Fn(&Cells<'_>) -> String,
        meant: impl Fn(&Cells<'_>) -> String,
        mut make: impl AsyncFnMut(&mut NetworkConn, &Cells<'_>) -> Result<Outcome, ChangeError>,
    ) -> Result<Report, ChangeError> {
        let mut rows = Vec::new();
        let mut seen: HashMap<String, u64> = HashMap::new();
        for record in &self.records {
            let cells = Cells {
                places: &self.places,
                record,
            };
            let line = cells.line();
            let made = match self.check(&cells, meant(&cells), &mut seen) {
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

    /// Refuses a row that has not as many cells as the header, and one about something that an earlier row was about.
    fn check(
        &self,
        cells: &Cells<'_>,
        meant: String,
        seen: &mut HashMap<String, u64>,
    ) -> Result<(), ChangeError> {
        let (found, wanted) = (cells.record.len(), self.header.len());
        if found != wanted {
            return Err(ChangeError::Conflict(format!(
                "This row has {found} cells, and the header {wanted}."
            )));
        }
        match seen.insert(meant, cells.line()) {
            Some(earlier) => Err(ChangeError::Conflict(format!(
                "Line {earlier} is about the same one; only one row each."
            ))),
            None => Ok(()),
        }
    }
}

/// Spreadsheets of half of Europe write semicolons.
fn guess_delimiter(text: &str) -> u8 {
    let first = text.lines().next().unwrap_or_default();
    match first.matches(';').count() > first.matches(',').count() {
        true => b';',
        false => b',',
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_found_by_the_words_other_systems_use() {
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
    fn empty_cells_leave_a_field_as_it_is() {
        let columns: &[Column] = &[("name", &[]), ("auto_approve", &[])];
        let table = Table::read("name,auto_approve\n,no\n", columns, &[]).unwrap();
        let cells = Cells {
            places: &table.places,
            record: &table.records[0],
        };
        let old = Draft::with([("name", "Sale".to_owned()), ("auto_approve", "yes".to_owned())]);
        let new = cells.over(old, &["name", "auto_approve"], &["auto_approve"]);
        assert_eq!((new.of("name"), new.says_yes("auto_approve")), ("Sale", false));
    }

    #[test]
    fn semicolons_are_recognised() {
        assert_eq!(guess_delimiter("name;status;tags\na;b;c,d"), b';');
        assert_eq!(guess_delimiter("name,status"), b',');
    }
}
