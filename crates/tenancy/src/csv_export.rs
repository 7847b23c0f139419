//! CSV that spreadsheets open safely: no cell of a text starts a formula. [`crate::import`] reads it back unchanged.

use std::borrow::Cow;

use csv::{QuoteStyle, WriterBuilder};

use crate::advertisers::Advertiser;
use crate::affiliates::Affiliate;
use crate::groups::Group;

/// What a spreadsheet takes for the start of a formula, also in the full width of East Asian keyboards.
const FORMULA: [char; 8] = ['=', '+', '-', '@', '＝', '＋', '－', '＠'];
/// White space that separates cells or lines in some of them.
const BREAKS: [char; 3] = ['\t', '\r', '\n'];

/// A text as a cell: with an apostrophe before it where a spreadsheet would otherwise calculate.
#[must_use]
pub fn csv_cell(text: &str) -> Cow<'_, str> {
    if is_dangerous(text) {
        Cow::Owned(format!("'{text}"))
    } else {
        Cow::Borrowed(text)
    }
}

/// The text of a cell that [`csv_cell`] wrote.
pub(crate) fn plain(cell: &str) -> &str {
    match cell.strip_prefix('\'') {
        Some(text) if is_dangerous(text) => text,
        _ => cell,
    }
}

/// Whether a text would be calculated; apostrophes in front are looked through, so that one more can be taken away
/// again without doubt.
fn is_dangerous(text: &str) -> bool {
    let text = text.trim_start_matches('\'');
    text.starts_with(BREAKS) || text.trim_start().starts_with(FORMULA)
}

/// A file of texts: a header, and rows of as many cells.
#[must_use]
pub fn to_csv<R, C>(header: &[&str], rows: R) -> String
where
    R: IntoIterator<Item = Vec<C>>,
    C: AsRef<str>,
{
    let mut writer = WriterBuilder::new()
        .quote_style(QuoteStyle::Necessary)
        .flexible(true)
        .from_writer(Vec::new());
    // Writing into memory fails only for rows of uneven length, and the writer is told to take them.
    let _ = writer.write_record(header);
    for row in rows {
        let _ = writer.write_record(row.iter().map(|cell| csv_cell(cell.as_ref()).into_owned()));
    }
    writer
        .into_inner()
        .ok()
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .unwrap_or_default()
}

/// Advertisers, in the columns that the import understands.
#[must_use]
pub fn advertisers(list: &[Advertiser]) -> String {
    let rows = list.iter().map(|it| {
        vec![
            it.name.clone(),
            it.external_id.clone().unwrap_or_default(),
            it.status.to_string(),
            it.notes.clone(),
            it.tags.on_one_line(),
        ]
    });
    to_csv(&["name", "external_id", "status", "notes", "tags"], rows)
}

/// Affiliates, in the columns that the import understands; groups by their names.
#[must_use]
pub fn affiliates(list: &[Affiliate], groups: &[Group]) -> String {
    let group_name = |it: &Affiliate| {
        groups
            .iter()
            .find(|group| Some(group.id) == it.group_id)
            .map(|group| group.name.clone())
            .unwrap_or_default()
    };
    let rows = list.iter().map(|it| {
        vec![
            it.name.clone(),
            it.external_id.clone().unwrap_or_default(),
            it.status.to_string(),
            group_name(it),
            it.notes.clone(),
            it.tags.on_one_line(),
        ]
    });
    to_csv(&["name", "external_id", "status", "group", "notes", "tags"], rows)
}

#[cfg(test)]
mod tests {
    use csv::ReaderBuilder;
    use schema::{AdvertiserId, Words, clock};

    use super::*;
    use crate::advertisers::AdvertiserStatus;

    const HARD: [&str; 22] = [
        "Nova",
        "=1+1",
        "+48 22",
        "-5",
        "@SUM(A1)",
        " =1",
        "\u{a0}=1",
        "\t=1",
        "\rx",
        "\nx",
        "'=1",
        "''=1",
        "'",
        "'x",
        "＝1",
        "a,b",
        "a;b",
        "\"quoted\"",
        "two\nlines",
        "a\n=1",
        "O'Neill",
        "",
    ];

    #[test]
    fn no_cell_starts_a_formula_and_every_text_comes_back() {
        for text in HARD {
            let cell = csv_cell(text);
            assert!(
                !cell.trim_start().starts_with(FORMULA) && !cell.starts_with(BREAKS),
                "{text:?}"
            );
            assert_eq!(plain(&cell), text, "{text:?}");
        }
        assert_eq!(csv_cell("=1"), "'=1");
        assert_eq!(csv_cell("Nova"), "Nova");
    }

    #[test]
    fn a_file_reads_back_row_by_row() {
        let file = to_csv(&["name", "notes"], HARD.map(|text| vec!["x", text]));
        let mut reader = ReaderBuilder::new().from_reader(file.as_bytes());
        let read: Vec<String> = reader
            .records()
            .map(|row| plain(&row.unwrap()[1]).to_owned())
            .collect();
        assert_eq!(read, HARD);
    }

    #[test]
    fn an_advertiser_is_written_in_the_columns_of_the_import() {
        let advertiser = Advertiser {
            id: AdvertiserId(1),
            name: "=Nova".to_owned(),
            status: AdvertiserStatus::Archived,
            external_id: Some("77".to_owned()),
            notes: "first\nsecond".to_owned(),
            tags: Words(vec!["a".to_owned(), "b".to_owned()]),
            version: 1,
            created_at: clock::now(),
            paused_at: None,
        };
        assert_eq!(
            advertisers(&[advertiser]),
            "name,external_id,status,notes,tags\n'=Nova,77,archived,\"first\nsecond\",\"a, b\"\n"
        );
    }
}
