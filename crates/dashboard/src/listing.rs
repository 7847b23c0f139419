//! Filters, tabs and paging of lists.

use std::fmt::Display;
use std::str::FromStr;

use crate::error::PageError;

/// Rows per page.
const ROWS: usize = 50;

/// Rows to query: one more than a page shows, to know if another page follows.
pub(crate) const QUERIED: i64 = 51;

/// Filter by a word of a closed set. None for an empty text.
pub(crate) fn word<T: FromStr<Err = String>>(text: &str) -> Result<Option<T>, PageError> {
    (!text.is_empty())
        .then(|| text.parse().map_err(PageError::BadRequest))
        .transpose()
}

/// Filter by id. None for an empty text.
pub(crate) fn id<T: FromStr>(text: &str) -> Result<Option<T>, PageError> {
    (!text.is_empty())
        .then(|| text.parse().map_err(|_| PageError::NotFound))
        .transpose()
}

/// Filter by text. None for an empty text.
pub(crate) fn text(text: &str) -> Option<String> {
    Some(text.trim().to_owned()).filter(|text| !text.is_empty())
}

/// Rows of one page, and the URL of the next page with the same filters, before the last row's id. No URL on the last page.
pub(crate) fn cut<T, I: Display>(
    found: Vec<T>,
    path: &str,
    filters: &[(&str, &str)],
    id_of: impl Fn(&T) -> I,
) -> (Vec<T>, Option<String>) {
    cut_at("before", found, path, filters, id_of)
}

/// Variant of [`cut`] for lists that are not sorted newest first: the next page begins after the last row.
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

/// URL with the filters that are not empty.
pub(crate) fn with_query(path: &str, filters: &[(&str, &str)]) -> String {
    let query = form_urlencoded::Serializer::new(String::new())
        .extend_pairs(filters.iter().filter(|(_, value)| !value.is_empty()))
        .finish();
    match query.as_str() {
        "" => path.to_owned(),
        query => format!("{path}?{query}"),
    }
}

/// Tab: label, URL, and true if it is the current one.
pub(crate) type Tab = (String, String, bool);

/// Tabs of the filter `status`: all, and one for each word.
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
    fn a_full_page_links_to_the_next_one_with_the_same_filters() {
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
