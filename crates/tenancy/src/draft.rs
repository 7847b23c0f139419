//! Unvalidated settings as text by field, with the errors found in them.

use std::collections::BTreeMap;

use crate::error::{ChangeError, FieldErrors};

/// Unvalidated settings as text by field. Forms, API requests and CSV rows are all turned into drafts and validated by
/// one function, so that all three accept and reject the same input.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Draft {
    values: BTreeMap<&'static str, String>,
    /// Validation errors by field.
    pub errors: FieldErrors,
}

impl Draft {
    /// Draft with these values.
    #[must_use]
    pub fn with<const N: usize>(values: [(&'static str, String); N]) -> Self {
        Self {
            values: values.into(),
            errors: FieldErrors::default(),
        }
    }

    /// Draft with these fields, each read by `find`.
    pub fn of_fields(fields: &[&'static str], find: impl Fn(&str) -> String) -> Self {
        Self {
            values: fields.iter().map(|field| (*field, find(field))).collect(),
            errors: FieldErrors::default(),
        }
    }

    /// Value of a field; empty if not set.
    #[must_use]
    pub fn of(&self, field: &str) -> &str {
        self.values.get(field).map_or("", String::as_str)
    }

    /// Error of a field; empty if valid.
    #[must_use]
    pub fn error(&self, field: &str) -> &str {
        self.errors.of(field)
    }

    /// True if a yes/no field is set.
    #[must_use]
    pub fn is_set(&self, field: &str) -> bool {
        !self.of(field).is_empty()
    }

    /// True if one of these fields has a value or an error, so that it must be visible.
    #[must_use]
    pub fn is_any_set(&self, fields: &[&str]) -> bool {
        let has_text = |field: &str| self.is_set(field) || !self.error(field).is_empty();
        fields.iter().copied().any(has_text)
    }

    /// Sets a field.
    pub fn set(&mut self, field: &'static str, value: impl Into<String>) {
        self.values.insert(field, value.into());
    }

    /// Validates a field: returns its value, or adds an error and returns None.
    pub fn take<T, E: ToString>(
        &mut self,
        field: &'static str,
        check: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        let value = check(self.of(field));
        self.errors.take(field, value)
    }

    /// Validated settings, if no field has an error.
    ///
    /// # Errors
    /// [`ChangeError::Fields`] if a field has an error.
    pub fn accepted<T>(self, value: Option<T>) -> Result<T, ChangeError> {
        self.errors.or(value)
    }
}

/// Draft value of a yes/no setting: `yes` or empty.
#[must_use]
pub fn yes_or_empty(yes: bool) -> String {
    if yes { "yes" } else { "" }.to_owned()
}

/// Parses an integer within bounds; an empty text yields `empty`, if given.
///
/// # Errors
/// Error message for the field.
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
