//! CSV export that is safe to open in spreadsheets: no text cell starts a formula. [`crate::import`] reads the texts
//! back unchanged.

use std::borrow::Cow;

use csv::{QuoteStyle, WriterBuilder};

use crate::advertisers::Advertiser;
use crate::affiliates::Affiliate;
use crate::groups::Group;
use crate::memberships::Member;

/// First character of a CSV file by which spreadsheets recognise UTF-8.
pub const BYTE_ORDER_MARK: &str = "\u{feff}";

/// Characters that start a formula in a spreadsheet, including their full-width forms.
const FORMULA: [char; 8] = ['=', '+', '-', '@', '＝', '＋', '－', '＠'];
/// White space that some spreadsheets treat as a cell or line separator.
const BREAKS: [char; 3] = ['\t', '\r', '\n'];

/// Text as a CSV cell, prefixed with an apostrophe if a spreadsheet would read it as a formula.
#[must_use]
pub fn csv_cell(text: &str) -> Cow<'_, str> {
    if is_dangerous(text) {
        Cow::Owned(format!("'{text}"))
    } else {
        Cow::Borrowed(text)
    }
}

/// Text of a cell that [`csv_cell`] wrote.
pub(crate) fn plain(cell: &str) -> &str {
    match cell.strip_prefix('\'') {
        Some(text) if is_dangerous(text) => text,
        _ => cell,
    }
}

/// True if a spreadsheet would evaluate the text. Leading apostrophes are ignored, so that a text that already has one
/// gets another and the escape stays reversible.
fn is_dangerous(text: &str) -> bool {
    let text = text.trim_start_matches('\'');
    text.starts_with(BREAKS) || text.trim_start().starts_with(FORMULA)
}

/// CSV file with a header row and text cells.
#[must_use]
#[expect(
    clippy::expect_used,
    reason = "writing UTF-8 to memory fails only for rows of uneven length, which `flexible` allows"
)]
pub fn to_csv<R, C>(header: &[&str], rows: R) -> String
where
    R: IntoIterator<Item = Vec<C>>,
    C: AsRef<str>,
{
    let mut writer = WriterBuilder::new()
        .quote_style(QuoteStyle::Necessary)
        .flexible(true)
        .from_writer(Vec::new());
    writer.write_record(header).expect("a write to memory");
    for row in rows {
        let cells = row.iter().map(|cell| csv_cell(cell.as_ref()).into_owned());
        writer.write_record(cells).expect("a write to memory");
    }
    let bytes = writer.into_inner().expect("a write to memory");
    String::from_utf8(bytes).expect("UTF-8 cells and ASCII separators")
}

/// Advertisers as CSV, in the columns of the import.
#[must_use]
pub fn advertisers(list: &[Advertiser]) -> String {
    let rows = list.iter().map(|advertiser| {
        vec![
            advertiser.name.clone(),
            advertiser.external_id.clone().unwrap_or_default(),
            advertiser.status.to_string(),
            advertiser.notes.clone(),
            advertiser.tags.on_one_line(),
        ]
    });
    to_csv(&["name", "external_id", "status", "notes", "tags"], rows)
}

/// Affiliates as CSV, in the columns of the import; groups by name, managers among the `staff` by e-mail address.
#[must_use]
pub fn affiliates(list: &[Affiliate], groups: &[Group], staff: &[Member]) -> String {
    let group_name = |affiliate: &Affiliate| {
        groups
            .iter()
            .find(|group| Some(group.id) == affiliate.group_id)
            .map(|group| group.name.clone())
            .unwrap_or_default()
    };
    let manager = |affiliate: &Affiliate| {
        staff
            .iter()
            .find(|member| Some(member.id) == affiliate.manager_id)
            .map(|member| member.email.clone())
            .unwrap_or_default()
    };
    let rows = list.iter().map(|affiliate| {
        vec![
            affiliate.name.clone(),
            affiliate.external_id.clone().unwrap_or_default(),
            affiliate.status.to_string(),
            group_name(affiliate),
            manager(affiliate),
            affiliate.notes.clone(),
            affiliate.tags.on_one_line(),
        ]
    });
    to_csv(
        &[
            "name",
            "external_id",
            "status",
            "group",
            "manager",
            "notes",
            "tags",
        ],
        rows,
    )
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
    fn no_cell_starts_a_formula_and_every_text_is_read_back() {
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
    fn a_written_file_is_read_back_row_by_row() {
        let file = to_csv(&["name", "notes"], HARD.map(|text| vec!["x", text]));
        let mut reader = ReaderBuilder::new().from_reader(file.as_bytes());
        let read: Vec<String> = reader
            .records()
            .map(|row| plain(&row.unwrap()[1]).to_owned())
            .collect();
        assert_eq!(read, HARD);
    }

    #[test]
    fn advertisers_are_written_in_the_columns_of_the_import() {
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
