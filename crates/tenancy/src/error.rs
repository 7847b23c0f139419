//! Reasons for rejecting a change, as messages for users, and validation errors by field.

use std::collections::BTreeMap;

use crate::passwords::TooBusy;
use crate::permissions::NotPermitted;

/// Validation errors by field, as messages for users.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FieldErrors(BTreeMap<&'static str, String>);

impl FieldErrors {
    /// Adds an error to a field.
    pub fn add(&mut self, field: &'static str, message: impl Into<String>) {
        self.0.insert(field, message.into());
    }

    /// Returns a valid value; otherwise adds the error to the field and returns None.
    pub fn take<T, E: ToString>(&mut self, field: &'static str, value: Result<T, E>) -> Option<T> {
        match value {
            Ok(value) => Some(value),
            Err(error) => {
                self.add(field, error.to_string());
                None
            }
        }
    }

    /// Error of a field; empty if valid.
    #[must_use]
    pub fn of(&self, field: &str) -> &str {
        self.0.get(field).map_or("", String::as_str)
    }

    /// True if no field has an error.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Errors with their fields, in the order of field names.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.0.iter().map(|(field, message)| (*field, message.as_str()))
    }

    /// The value, if no field has an error.
    ///
    /// # Errors
    /// [`ChangeError::Fields`] if a field has an error, or the value is missing.
    pub fn or<T>(self, value: Option<T>) -> Result<T, ChangeError> {
        match value {
            Some(value) if self.is_empty() => Ok(value),
            _ => Err(ChangeError::Fields(self)),
        }
    }
}

/// Reason for rejecting a change.
#[derive(Debug, thiserror::Error)]
pub enum ChangeError {
    /// No such object in this network.
    #[error("not found")]
    NotFound,
    /// Edit conflict: another user changed the object since it was loaded.
    #[error("Another user changed this while you were editing. Reload the page and repeat your change.")]
    Stale,
    /// Validation errors.
    #[error("{}", .0.iter().map(|(field, message)| format!("{field}: {message}")).collect::<Vec<_>>().join(" "))]
    Fields(FieldErrors),
    /// Conflicts with the current state.
    #[error("{0}")]
    Conflict(String),
    /// Limit of the network reached.
    #[error("{0}")]
    Limit(String),
    /// Insufficient permission.
    #[error(transparent)]
    NotPermitted(#[from] NotPermitted),
    /// Too many password checks at the same time.
    #[error(transparent)]
    TooBusy(#[from] TooBusy),
    /// The database failed.
    #[error("database: {0}")]
    Db(#[from] diesel::result::Error),
}

impl ChangeError {
    /// Validation error of a single field.
    #[must_use]
    pub fn field(field: &'static str, message: impl Into<String>) -> Self {
        let mut errors = FieldErrors::default();
        errors.add(field, message);
        Self::Fields(errors)
    }
}

/// Turns a unique violation of this constraint into a field error; passes on other errors.
pub fn taken(
    constraint: &'static str,
    field: &'static str,
    message: &'static str,
) -> impl FnOnce(diesel::result::Error) -> ChangeError {
    move |error| match &error {
        diesel::result::Error::DatabaseError(_, details) if details.constraint_name() == Some(constraint) => {
            ChangeError::field(field, message)
        }
        _ => ChangeError::Db(error),
    }
}

/// Validates a name: not empty, at most 120 characters, no control characters.
///
/// # Errors
/// Error message for the field.
pub fn check_name(text: &str) -> Result<String, &'static str> {
    let text = text.trim();
    match text.chars().count() {
        0 => Err("Enter a name."),
        1..=120 if text.chars().any(is_hidden) => Err("Remove control characters."),
        1..=120 => Ok(text.to_owned()),
        _ => Err("Use at most 120 characters."),
    }
}

/// True for control characters and for direction overrides, which could make one name look like another.
fn is_hidden(c: char) -> bool {
    c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Validates a longer text: at most 4,000 characters, no control characters except line breaks and tabs.
///
/// # Errors
/// Error message for the field.
pub fn check_text(text: &str) -> Result<String, &'static str> {
    let text = text.trim().replace("\r\n", "\n");
    let odd = |c: char| c.is_control() && c != '\n' && c != '\t';
    if text.chars().count() > 4_000 {
        Err("Use at most 4,000 characters.")
    } else if text.chars().any(odd) {
        Err("Remove control characters.")
    } else {
        Ok(text)
    }
}

/// Validates an e-mail address by its form and returns it in lower case.
///
/// # Errors
/// Error message for the field.
pub fn check_email(text: &str) -> Result<String, &'static str> {
    let text = text.trim().to_lowercase();
    let plain = text.len() <= 254
        && text.is_ascii()
        && text
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && !b"<>()[],;:\\\"".contains(&byte));
    match text.split_once('@') {
        Some((name, domain))
            if plain
                && !name.is_empty()
                && !domain.contains('@')
                && domain.contains('.')
                && domain.split('.').all(|label| !label.is_empty()) =>
        {
            Ok(text)
        }
        _ => Err("Enter an e-mail address, such as me@example.com."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_needs_a_name_and_a_domain() {
        assert_eq!(check_email(" Me@Example.com ").as_deref(), Ok("me@example.com"));
        for wrong in [
            "",
            "me",
            "@example.com",
            "me@",
            "me@localhost",
            "me@a..b",
            "a b@example.com",
            "a@b@c.d",
            "<a@b.c>",
        ] {
            assert!(check_email(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn names_have_limits() {
        assert_eq!(check_name("  Nova  ").as_deref(), Ok("Nova"));
        assert!(
            check_name(&"x".repeat(121)).is_err()
                && check_name("a\u{7}b").is_err()
                && check_name("\u{202e}evil").is_err()
                && check_name(" ").is_err()
        );
        assert_eq!(check_text("a\r\nb").as_deref(), Ok("a\nb"));
    }
}
