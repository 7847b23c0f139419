//! What lists share: how much of them is asked for, how filters are read, and the page that is answered.

use std::fmt::Display;
use std::str::FromStr;

use serde::Serialize;
use utoipa::ToSchema;

use crate::error::ApiError;

/// Most items of a page.
const MOST: i64 = 200;
/// Items of a page, where no number is asked for.
const USUAL: i64 = 50;
/// Most characters of a filter.
const LONGEST_FILTER: usize = 200;

/// A page of a list.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Page<T> {
    /// In the order of the list.
    items: Vec<T>,
    /// What to send as `after` for the next page; null on the last one.
    #[schema(required)]
    next: Option<String>,
}

/// Something that is listed.
pub(crate) trait Item {
    /// Its id, which the next page comes after.
    fn id(&self) -> String;
}

/// The views that are listed: each has its id in a field of that name.
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

/// How much of a list is asked for.
pub(crate) struct Window<I> {
    limit: usize,
    /// The last item of the page before.
    pub(crate) after: Option<I>,
}

impl<I: FromStr + Display> Window<I> {
    /// As the parameters `limit` and `after` say.
    pub(crate) fn of(limit: Option<i64>, after: Option<&str>) -> Result<Self, ApiError> {
        let limit = limit.unwrap_or(USUAL);
        if !(1..=MOST).contains(&limit) {
            return Err(ApiError::field("limit", format!("Ask for 1 to {MOST} items.")));
        }
        let after = after
            .map(|text| text.parse().map_err(|_| unknown_after()))
            .transpose()?;
        Ok(Self {
            limit: usize::try_from(limit).unwrap_or_default(),
            after,
        })
    }

    /// How many rows to load: one more than are shown, to know whether there is another page.
    pub(crate) fn ask(&self) -> i64 {
        i64::try_from(self.limit).unwrap_or(MOST).saturating_add(1)
    }

    /// The page, of as many rows as were asked for.
    pub(crate) fn page<R, T: Item + From<R>>(&self, rows: Vec<R>) -> Page<T> {
        self.page_by(rows, T::from)
    }

    /// The page, of as many rows as were asked for, each shown like this.
    pub(crate) fn page_by<R, T: Item>(&self, rows: Vec<R>, show: impl FnMut(R) -> T) -> Page<T> {
        let more = rows.len() > self.limit;
        let items: Vec<T> = rows.into_iter().take(self.limit).map(show).collect();
        let next = items.last().filter(|_| more).map(Item::id);
        Page { items, next }
    }

    /// The page of a list that is small enough to be loaded as a whole.
    pub(crate) fn page_of_whole<R, T: Item + From<R>>(&self, rows: Vec<R>) -> Result<Page<T>, ApiError> {
        let mut items: Vec<T> = rows.into_iter().map(T::from).collect();
        if let Some(after) = &self.after {
            let after = after.to_string();
            let place = items.iter().position(|item| item.id() == after);
            items.drain(..=place.ok_or_else(unknown_after)?);
        }
        let more = items.len() > self.limit;
        items.truncate(self.limit);
        let next = items.last().filter(|_| more).map(Item::id);
        Ok(Page { items, next })
    }
}

/// An item to come after that is not there.
pub(crate) fn unknown_after() -> ApiError {
    ApiError::field(
        "after",
        "There is no such item; send what the last page said as “next”.",
    )
}

/// A filter by text; a blank one is none.
pub(crate) fn text(name: &str, value: Option<&str>) -> Result<Option<String>, ApiError> {
    let value = value.unwrap_or_default();
    if value.chars().count() > LONGEST_FILTER || value.chars().any(char::is_control) {
        let message = format!("Use at most {LONGEST_FILTER} characters, and no control characters.");
        return Err(ApiError::field(name, message));
    }
    Ok(Some(value.trim().to_owned()).filter(|text| !text.is_empty()))
}

/// A filter by one of a closed set of words, or by an id.
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
    fn a_full_page_says_what_comes_next() {
        let page: Page<View> = window(2, None).page(vec![1, 2, 3]);
        assert_eq!((page.items.len(), page.next), (2, Some(GroupId(2).to_string())));
        let page: Page<View> = window(2, None).page(vec![1, 2]);
        assert_eq!((page.items.len(), page.next), (2, None));
    }

    #[test]
    fn a_whole_list_is_cut_after_the_item_that_is_named() {
        let page: Page<View> = window(2, Some(1)).page_of_whole(vec![1, 2, 3, 4]).unwrap();
        let ids: Vec<_> = page.items.iter().map(|view| view.id.0).collect();
        assert_eq!((ids, page.next), (vec![2, 3], Some(GroupId(3).to_string())));
        assert!(window(2, Some(9)).page_of_whole::<_, View>(vec![1, 2]).is_err());
    }

    #[test]
    fn a_page_has_one_to_two_hundred_items() {
        for limit in [0, -1, 201, i64::MAX] {
            assert!(Window::<GroupId>::of(Some(limit), None).is_err(), "{limit}");
        }
        assert_eq!(Window::<GroupId>::of(None, None).unwrap().ask(), 51);
        assert!(Window::<GroupId>::of(None, Some("adv_0000010")).is_err());
    }

    #[test]
    fn filters_are_short_and_visible() {
        assert_eq!(text("search", Some(" nova ")).unwrap().as_deref(), Some("nova"));
        assert_eq!(text("search", Some(" ")).unwrap(), None);
        assert!(text("search", Some("a\0b")).is_err() && text("search", Some(&"x".repeat(201))).is_err());
    }
}
