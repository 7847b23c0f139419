//! Pagination and filters of lists.

use std::fmt::Display;
use std::str::FromStr;

use serde::Serialize;
use utoipa::ToSchema;

use crate::error::ApiError;

/// Maximum items of a page.
const MAX_LIMIT: u8 = 200;
/// Items of a page by default.
const DEFAULT_LIMIT: i64 = 50;
/// Maximum length of a text filter, in characters.
const MAX_FILTER_LENGTH: usize = 200;

/// A page of a list.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Page<T> {
    /// Items in the order of the list.
    items: Vec<T>,
    /// Value of `after` for the next page; null on the last page.
    #[schema(required)]
    next: Option<String>,
}

/// Item of a list.
pub(crate) trait Item {
    /// ID of the item, by which the next page continues.
    fn id(&self) -> String;
}

/// Implements [`Item`] for views with a field `id`.
macro_rules! items {
    ($($view:ty),+ $(,)?) => {
        $(impl $crate::page::Item for $view {
            fn id(&self) -> String {
                self.id.to_string()
            }
        })+
    };
}
pub(crate) use items;

/// Requested part of a list.
pub(crate) struct Window<I> {
    limit: u8,
    /// ID of the last item of the previous page.
    pub(crate) after: Option<I>,
}

impl<I: FromStr + Display> Window<I> {
    /// Window of the parameters `limit` and `after`.
    pub(crate) fn of(limit: Option<i64>, after: Option<&str>) -> Result<Self, ApiError> {
        let limit = u8::try_from(limit.unwrap_or(DEFAULT_LIMIT))
            .ok()
            .filter(|limit| (1..=MAX_LIMIT).contains(limit))
            .ok_or_else(|| ApiError::field("limit", format!("Enter a number from 1 to {MAX_LIMIT}.")))?;
        let after = after
            .map(|text| text.parse().map_err(|_| unknown_after()))
            .transpose()?;
        Ok(Self { limit, after })
    }

    /// Number of items of a page.
    pub(crate) fn items(&self) -> usize {
        usize::from(self.limit)
    }

    /// Number of rows to load: one more than the page has, which reveals if another page follows.
    pub(crate) fn rows(&self) -> i64 {
        i64::from(self.limit) + 1
    }

    /// Page of the loaded rows.
    pub(crate) fn page<R, T: Item + From<R>>(&self, rows: Vec<R>) -> Page<T> {
        self.page_by(rows, T::from)
    }

    /// Page of the loaded rows, converted by `view`.
    pub(crate) fn page_by<R, T: Item>(&self, rows: Vec<R>, view: impl FnMut(R) -> T) -> Page<T> {
        let limit = usize::from(self.limit);
        let has_more = rows.len() > limit;
        let items: Vec<T> = rows.into_iter().take(limit).map(view).collect();
        let next = items.last().filter(|_| has_more).map(Item::id);
        Page { items, next }
    }

    /// Page of a list that is loaded completely because it is short.
    pub(crate) fn page_of_all<R, T: Item + From<R>>(&self, rows: Vec<R>) -> Result<Page<T>, ApiError> {
        let mut items: Vec<T> = rows.into_iter().map(T::from).collect();
        if let Some(after) = &self.after {
            let after = after.to_string();
            let position = items.iter().position(|item| item.id() == after);
            items.drain(..=position.ok_or_else(unknown_after)?);
        }
        let limit = usize::from(self.limit);
        let has_more = items.len() > limit;
        items.truncate(limit);
        let next = items.last().filter(|_| has_more).map(Item::id);
        Ok(Page { items, next })
    }
}

/// Error for an unknown item in `after`.
pub(crate) fn unknown_after() -> ApiError {
    ApiError::field("after", "Unknown item. Send `next` of the previous page.")
}

/// Filter by text; none if it is blank.
pub(crate) fn text(name: &str, value: Option<&str>) -> Result<Option<String>, ApiError> {
    let value = value.unwrap_or_default();
    if value.chars().count() > MAX_FILTER_LENGTH || value.chars().any(char::is_control) {
        let message = format!("Use at most {MAX_FILTER_LENGTH} characters, and no control characters.");
        return Err(ApiError::field(name, message));
    }
    Ok(Some(value.trim().to_owned()).filter(|text| !text.is_empty()))
}

/// Filter by an enum value or an ID.
pub(crate) fn word<T: FromStr<Err: Display>>(name: &str, value: Option<&str>) -> Result<Option<T>, ApiError> {
    value
        .map(|word| {
            word.parse()
                .map_err(|error: T::Err| ApiError::field(name, error.to_string()))
        })
        .transpose()
}

#[cfg(test)]
mod tests {
    use schema::GroupId;

    use super::*;

    struct View {
        id: GroupId,
    }

    impl From<i32> for View {
        fn from(number: i32) -> Self {
            Self { id: GroupId(number) }
        }
    }

    items!(View);

    fn window(limit: i64, after: Option<i32>) -> Window<GroupId> {
        let after = after.map(|number| GroupId(number).to_string());
        Window::of(Some(limit), after.as_deref()).unwrap()
    }

    #[test]
    fn a_full_page_has_the_cursor_of_the_next() {
        let page: Page<View> = window(2, None).page(vec![1, 2, 3]);
        assert_eq!((page.items.len(), page.next), (2, Some(GroupId(2).to_string())));
        let page: Page<View> = window(2, None).page(vec![1, 2]);
        assert_eq!((page.items.len(), page.next), (2, None));
    }

    #[test]
    fn a_completely_loaded_list_continues_after_the_item() {
        let page: Page<View> = window(2, Some(1)).page_of_all(vec![1, 2, 3, 4]).unwrap();
        let ids: Vec<_> = page.items.iter().map(|view| view.id.0).collect();
        assert_eq!((ids, page.next), (vec![2, 3], Some(GroupId(3).to_string())));
        assert!(window(2, Some(9)).page_of_all::<_, View>(vec![1, 2]).is_err());
    }

    #[test]
    fn a_page_has_one_to_two_hundred_items() {
        for limit in [0, -1, 201, i64::MAX] {
            assert!(Window::<GroupId>::of(Some(limit), None).is_err(), "{limit}");
        }
        assert_eq!(Window::<GroupId>::of(None, None).unwrap().rows(), 51);
        assert!(Window::<GroupId>::of(None, Some("adv_0000010")).is_err());
    }

    #[test]
    fn text_filters_are_short_and_printable() {
        assert_eq!(text("search", Some(" nova ")).unwrap().as_deref(), Some("nova"));
        assert_eq!(text("search", Some(" ")).unwrap(), None);
        assert!(text("search", Some("a\0b")).is_err() && text("search", Some(&"x".repeat(201))).is_err());
    }
}
