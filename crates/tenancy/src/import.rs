//! Import of advertisers and affiliates from CSV. A dry run is the import itself in a transaction that is not
//! committed, so a preview cannot differ from what it previews.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use csv::{ReaderBuilder, StringRecord, Trim};
use schema::{GroupId, NetworkConn, text_enum};

use crate::actor::Author;
use crate::advertisers::{self, AdvertiserSettings};
use crate::affiliates::{self, AffiliateSettings};
use crate::error::ChangeError;
use crate::parties::PartyDraft;
use crate::{csv_export, groups};

/// Most rows of one file.
pub const MOST_ROWS: usize = 5_000;

text_enum! {
    /// What a file lists.
    pub enum Party {
        /// Advertisers.
        Advertisers = "advertisers",
        /// Affiliates.
        Affiliates = "affiliates",
    }
}

text_enum! {
    /// What a row does.
    pub enum Outcome {
        /// It makes a new one.
        Create = "create",
        /// It changes one that is there: with its external id, or, where it has none, its name.
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

/// The columns that are understood, with the other words for them that exports of other systems use.
const COLUMNS: [(&str, &[&str]); 6] = [
    (
        "name",
        &[
            "advertiser",
            "affiliate",
            "publisher",
            "partner",
            "merchant",
            "company",
        ],
    ),
    (
        "external_id",
        &[
            "id",
            "advertiser_id",
            "affiliate_id",
            "publisher_id",
            "partner_id",
        ],
    ),
    ("status", &[]),
    ("group", &["affiliate_group"]),
    ("notes", &["note", "comment"]),
    ("tags", &["labels"]),
];

/// Which column of the file each field is read from.
struct Mapping(HashMap<&'static str, usize>);

impl Mapping {
    fn of(header: &StringRecord) -> (Self, Vec<String>) {
        let (mut mapping, mut ignored) = (HashMap::new(), Vec::new());
        for (index, title) in header.iter().enumerate() {
            let word = title
                .trim_start_matches('\u{feff}')
                .trim()
                .to_lowercase()
                .replace([' ', '-'], "_");
            let known = COLUMNS
                .iter()
                .find(|(name, others)| *name == word || others.contains(&word.as_str()))
                .map(|(name, _)| *name);
            match known {
                Some(name) if !mapping.contains_key(name) => {
                    mapping.insert(name, index);
                }
                _ => ignored.push(title.to_owned()),
            }
        }
        (Self(mapping), ignored)
    }

    fn get<'a>(&self, record: &'a StringRecord, name: &str) -> &'a str {
        self.0
            .get(name)
            .and_then(|index| record.get(*index))
            .map(csv_export::plain)
            .unwrap_or_default()
    }

    /// Refuses a row that has not as many cells as the header, and one whose party an earlier row was about.
    fn check(
        &self,
        record: &StringRecord,
        columns: usize,
        seen: &mut HashMap<String, u64>,
    ) -> Result<(), ChangeError> {
        if record.len() != columns {
            return Err(ChangeError::Conflict(format!(
                "This row has {} cells, and the header {columns}.",
                record.len()
            )));
        }
        let meant = match self.get(record, "external_id") {
            "" => format!("name {}", self.get(record, "name")),
            id => format!("id {id}"),
        };
        let line = record.position().map_or(0, csv::Position::line);
        match seen.insert(meant, line) {
            Some(earlier) => Err(ChangeError::Conflict(format!(
                "Line {earlier} is about the same one; only one row each."
            ))),
            None => Ok(()),
        }
    }

    fn draft(&self, record: &StringRecord) -> PartyDraft {
        PartyDraft {
            name: self.get(record, "name").to_owned(),
            external_id: self.get(record, "external_id").to_owned(),
            notes: self.get(record, "notes").to_owned(),
            // In a cell, tags stand with semicolons between as often as with commas.
            tags: self.get(record, "tags").replace(';', ","),
        }
    }
}

/// Reads a file and makes every row of it true that can be accepted. Columns that are not in the file leave what is
/// there as it is.
///
/// # Errors
/// [`ChangeError::Fields`] for a file that is no CSV with a column `name`, or is too long.
pub async fn run(
    conn: &mut NetworkConn,
    author: &Author,
    party: Party,
    text: &str,
    now: DateTime<Utc>,
) -> Result<Report, ChangeError> {
    let unreadable = |error: csv::Error| ChangeError::field("csv", format!("This is not CSV: {error}."));
    let delimiter = guess_delimiter(text);
    let mut reader = ReaderBuilder::new()
        .trim(Trim::All)
        // A row of another length is refused by itself, below, not with the whole file.
        .flexible(true)
        .delimiter(delimiter)
        .from_reader(text.as_bytes());
    let header = reader.headers().map_err(unreadable)?.clone();
    let (mapping, ignored) = Mapping::of(&header);
    if !mapping.0.contains_key("name") {
        let message = "The first line must name the columns, and one of them must be “name”.";
        return Err(ChangeError::field("csv", message));
    }
    let groups: HashMap<String, GroupId> = groups::all(conn)
        .await?
        .into_iter()
        .map(|group| (group.name.to_lowercase(), group.id))
        .collect();
    let records: Vec<StringRecord> = reader
        .records()
        .take(MOST_ROWS + 1)
        .collect::<Result<_, _>>()
        .map_err(unreadable)?;
    if records.len() > MOST_ROWS {
        let message = format!("A file may have at most {MOST_ROWS} rows. Split it.");
        return Err(ChangeError::field("csv", message));
    }
    let mut rows = Vec::new();
    let mut seen: HashMap<String, u64> = HashMap::new();
    for record in records {
        let line = record.position().map_or(0, csv::Position::line);
        let made = match (mapping.check(&record, header.len(), &mut seen), party) {
            (Err(refusal), _) => Err(refusal),
            (Ok(()), Party::Advertisers) => advertiser(conn, author, &mapping, &record, now).await,
            (Ok(()), Party::Affiliates) => affiliate(conn, author, &mapping, &groups, &record, now).await,
        };
        let (outcome, problem) = match made {
            Ok(outcome) => (outcome, String::new()),
            Err(ChangeError::Db(error)) => return Err(ChangeError::Db(error)),
            Err(refusal) => (Outcome::Refused, refusal.to_string()),
        };
        rows.push(Row {
            line,
            name: mapping.get(&record, "name").to_owned(),
            fields: record.iter().map(str::to_owned).collect(),
            outcome,
            problem,
        });
    }
    Ok(Report {
        header: header.iter().map(str::to_owned).collect(),
        ignored,
        rows,
    })
}

/// Spreadsheets of half of Europe write semicolons.
fn guess_delimiter(text: &str) -> u8 {
    let first = text.lines().next().unwrap_or_default();
    match first.matches(';').count() > first.matches(',').count() {
        true => b';',
        false => b',',
    }
}

fn status(mapping: &Mapping, record: &StringRecord) -> String {
    match mapping.get(record, "status") {
        "" => "active".to_owned(),
        word => word.to_lowercase(),
    }
}

async fn advertiser(
    conn: &mut NetworkConn,
    author: &Author,
    mapping: &Mapping,
    record: &StringRecord,
    now: DateTime<Utc>,
) -> Result<Outcome, ChangeError> {
    let draft = mapping.draft(record);
    let mut settings = AdvertiserSettings::checked(&draft, &status(mapping, record))?;
    let Some(known) = advertisers::matching(conn, &settings).await? else {
        advertisers::create(conn, author, &settings, now).await?;
        return Ok(Outcome::Create);
    };
    let present = known.settings();
    let absent = |column: &str| mapping.get(record, column).is_empty();
    if absent("status") {
        settings.status = present.status;
    }
    if absent("external_id") {
        settings.external_id.clone_from(&present.external_id);
    }
    if absent("notes") {
        settings.notes.clone_from(&present.notes);
    }
    if absent("tags") {
        settings.tags.clone_from(&present.tags);
    }
    if settings == present {
        return Ok(Outcome::Unchanged);
    }
    advertisers::update(conn, author, known.id, None, &settings, now).await?;
    Ok(Outcome::Update)
}

async fn affiliate(
    conn: &mut NetworkConn,
    author: &Author,
    mapping: &Mapping,
    groups: &HashMap<String, GroupId>,
    record: &StringRecord,
    now: DateTime<Utc>,
) -> Result<Outcome, ChangeError> {
    let draft = mapping.draft(record);
    let group = match mapping.get(record, "group") {
        "" => String::new(),
        name => groups
            .get(&name.to_lowercase())
            .map(ToString::to_string)
            .ok_or_else(|| {
                ChangeError::field("group", format!("No group is called “{name}”; make it first."))
            })?,
    };
    let mut settings = AffiliateSettings::checked(&draft, &status(mapping, record), &group)?;
    let Some(known) = affiliates::matching(conn, &settings).await? else {
        affiliates::create(conn, author, &settings, now).await?;
        return Ok(Outcome::Create);
    };
    let present = known.settings();
    let absent = |column: &str| mapping.get(record, column).is_empty();
    if absent("status") {
        settings.status = present.status;
    }
    if absent("group") {
        settings.group_id = present.group_id;
    }
    if absent("external_id") {
        settings.external_id.clone_from(&present.external_id);
    }
    if absent("notes") {
        settings.notes.clone_from(&present.notes);
    }
    if absent("tags") {
        settings.tags.clone_from(&present.tags);
    }
    if settings == present {
        return Ok(Outcome::Unchanged);
    }
    affiliates::update(conn, author, known.id, None, &settings, now).await?;
    Ok(Outcome::Update)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_found_by_the_words_other_systems_use() {
        let header = StringRecord::from(vec!["\u{feff}Publisher ID", "Partner", "Country", "Labels"]);
        let (mapping, ignored) = Mapping::of(&header);
        let record = StringRecord::from(vec!["77", "Blog", "PL", "a;b"]);
        let draft = mapping.draft(&record);
        assert_eq!(
            (
                draft.external_id.as_str(),
                draft.name.as_str(),
                draft.tags.as_str()
            ),
            ("77", "Blog", "a,b")
        );
        assert_eq!(ignored, ["Country"]);
    }

    #[test]
    fn semicolons_are_recognised() {
        assert_eq!(guess_delimiter("name;status;tags\na;b;c,d"), b';');
        assert_eq!(guess_delimiter("name,status"), b',');
    }
}
