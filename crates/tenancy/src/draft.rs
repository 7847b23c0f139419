//! Settings on their way in: what somebody wants to set, field by field as text, and what is wrong with each.

use std::collections::BTreeMap;

use crate::error::{ChangeError, FieldErrors};

/// What somebody wants to set, field by field as text. A page's form, the object of an API call and a row of a file all
/// become one, and one function checks it, so that all three take and refuse the same.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Draft {
    values: BTreeMap<&'static str, String>,
    /// What is wrong with which field.
    pub errors: FieldErrors,
}

impl Draft {
    /// A draft of these values.
    #[must_use]
    pub fn with<const N: usize>(values: [(&'static str, String); N]) -> Self {
        Self {
            values: values.into(),
            errors: FieldErrors::default(),
        }
    }

    /// A draft of these fields, as they are found.
    pub fn of_fields(fields: &[&'static str], find: impl Fn(&str) -> String) -> Self {
        Self {
            values: fields.iter().map(|field| (*field, find(field))).collect(),
            errors: FieldErrors::default(),
        }
    }

    /// A field; empty where nothing is said of it.
    #[must_use]
    pub fn of(&self, field: &str) -> &str {
        self.values.get(field).map_or("", String::as_str)
    }

    /// What is wrong with a field; empty if nothing is.
    #[must_use]
    pub fn error(&self, field: &str) -> &str {
        self.errors.of(field)
    }

    /// Whether a yes-or-no field says yes.
    #[must_use]
    pub fn says_yes(&self, field: &str) -> bool {
        !self.of(field).is_empty()
    }

    /// Says something else of a field.
    pub fn set(&mut self, field: &'static str, value: impl Into<String>) {
        self.values.insert(field, value.into());
    }

    /// The value of a field, checked; or what is wrong with it is noted.
    pub fn take<T, E: ToString>(
        &mut self,
        field: &'static str,
        check: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        let value = check(self.of(field));
        self.errors.take(field, value)
    }

    /// What was checked, if nothing is wrong with any field.
    ///
    /// # Errors
    /// [`ChangeError::Fields`] otherwise.
    pub fn accepted<T>(self, value: Option<T>) -> Result<T, ChangeError> {
        self.errors.or(value)
    }
}

/// A yes-or-no setting as a draft says it.
#[must_use]
pub fn yes_or_nothing(yes: bool) -> String {
    if yes { "yes" } else { "" }.to_owned()
}

/// A whole number within bounds; `empty` where nothing is said.
///
/// # Errors
/// A sentence for the person who typed it.
pub fn check_number<T>(text: &str, empty: Option<T>, range: std::ops::RangeInclusive<T>) -> Result<T, String>
where
    T: std::str::FromStr + PartialOrd + std::fmt::Display,
{
    match (text, empty) {
        ("", Some(empty)) => Ok(empty),
        _ => text
            .parse()
            .ok()
            .filter(|number| range.contains(number))
            .ok_or_else(|| format!("Enter a whole number from {} to {}.", range.start(), range.end())),
    }
}
