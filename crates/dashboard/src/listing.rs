//! What lists share: filters from the URL, tabs, and the pages they are cut into.

use std::fmt::Display;
use std::str::FromStr;

use crate::error::PageError;

/// Rows of a page.
const ROWS: usize = 50;

/// How many rows to ask for: one more than a page shows, to know whether there is another page.
pub(crate) const ASK: i64 = 51;

/// A filter with a closed set of words; empty where it was not set.
pub(crate) fn word<T: FromStr<Err = String>>(text: &str) -> Result<Option<T>, PageError> {
    (!text.is_empty())
        .then(|| text.parse().map_err(PageError::BadRequest))
        .transpose()
}

/// A filter by id; empty where it was not set.
pub(crate) fn id<T: FromStr>(text: &str) -> Result<Option<T>, PageError> {
    (!text.is_empty())
        .then(|| text.parse().map_err(|_| PageError::NotFound))
        .transpose()
}

/// A filter by text; empty where it was not set.
pub(crate) fn text(text: &str) -> Option<String> {
    Some(text.trim().to_owned()).filter(|text| !text.is_empty())
}

/// One page of what was found, and the address of the next one, if there is one: the same filters, before the last
/// row's id.
pub(crate) fn cut<T, I: Display>(
    found: Vec<T>,
    path: &str,
    filters: &[(&str, &str)],
    id_of: impl Fn(&T) -> I,
) -> (Vec<T>, Option<String>) {
    cut_at("before", found, path, filters, id_of)
}

/// The same for lists that are not sorted from the newest on: the next page comes after the last row.
pub(crate) fn cut_after<T, I: Display>(
    found: Vec<T>,
    path: &str,
    filters: &[(&str, &str)],
    id_of: impl Fn(&T) -> I,
) -> (Vec<T>, Option<String>) {
    cut_at("after", found, path, filters, id_of)
}

fn cut_at<T, I: Display>(
    edge: &str,
    mut found: Vec<T>,
    path: &str,
    filters: &[(&str, &str)],
    id_of: impl Fn(&T) -> I,
) -> (Vec<T>, Option<String>) {
    let more = found.len() > ROWS;
    found.truncate(ROWS);
    let next = found.last().filter(|_| more).map(|last| {
        let id = id_of(last).to_string();
        let pairs: Vec<_> = filters.iter().copied().chain([(edge, id.as_str())]).collect();
        with_query(path, &pairs)
    });
    (found, next)
}

/// An address with these filters, without those that are not set.
pub(crate) fn with_query(path: &str, filters: &[(&str, &str)]) -> String {
    let query = form_urlencoded::Serializer::new(String::new())
        .extend_pairs(filters.iter().filter(|(_, value)| !value.is_empty()))
        .finish();
    match query.as_str() {
        "" => path.to_owned(),
        query => format!("{path}?{query}"),
    }
}

/// A tab: its label, where it leads, whether it is the current one.
pub(crate) type Tab = (String, String, bool);

/// Tabs for a filter called `status`: all, and each of its words.
pub(crate) fn tabs<T: Copy + PartialEq + Display>(path: &str, all: &[T], chosen: Option<T>) -> Vec<Tab> {
    let each = all.iter().map(|status| {
        let word = status.to_string();
        let (first, rest) = word.split_at_checked(1).unwrap_or((&word, ""));
        let label = format!("{}{rest}", first.to_uppercase());
        (label, format!("{path}?status={word}"), chosen == Some(*status))
    });
    std::iter::once(("All".to_owned(), path.to_owned(), chosen.is_none()))
        .chain(each)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_page_leads_to_the_next_one_with_the_same_filters() {
        let (rows, older) = cut(
            (0..51).collect(),
            "/list",
            &[("status", "a b"), ("reason", "")],
            |row| *row,
        );
        assert_eq!(
            (rows.len(), older.as_deref()),
            (50, Some("/list?status=a+b&before=49"))
        );
        assert_eq!(cut((0..50).collect(), "/list", &[], |row: &i32| *row).1, None);
        assert_eq!(
            cut(Vec::<i32>::new(), "/list", &[], |row| *row),
            (Vec::new(), None)
        );
    }
}
