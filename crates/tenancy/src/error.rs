//! Why a change was not made, in words for the person who wanted it; and what is wrong with which field.

use std::collections::BTreeMap;

use crate::actor::NotPermitted;
use crate::passwords::TooBusy;

/// What is wrong with which field, in words for the person who filled it in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FieldErrors(BTreeMap<&'static str, String>);

impl FieldErrors {
    /// Notes what is wrong with a field.
    pub fn add(&mut self, field: &'static str, message: impl Into<String>) {
        self.0.insert(field, message.into());
    }

    /// Keeps the value of a field, or notes what is wrong with it.
    pub fn take<T, E: ToString>(&mut self, field: &'static str, value: Result<T, E>) -> Option<T> {
        value.map_err(|error| self.add(field, error.to_string())).ok()
    }

    /// What is wrong with a field; empty if nothing is.
    #[must_use]
    pub fn of(&self, field: &str) -> &str {
        self.0.get(field).map_or("", String::as_str)
    }

    /// Whether nothing is wrong.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Every field with what is wrong with it, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.0.iter().map(|(field, message)| (*field, message.as_str()))
    }

    /// The value, if nothing is wrong.
    ///
    /// # Errors
    /// [`ChangeError::Fields`] otherwise.
    pub fn or<T>(self, value: Option<T>) -> Result<T, ChangeError> {
        match value {
            Some(value) if self.is_empty() => Ok(value),
            _ => Err(ChangeError::Fields(self)),
        }
    }
}

/// Why a change was not made.
#[derive(Debug, thiserror::Error)]
pub enum ChangeError {
    /// There is no such thing in this network.
    #[error("not found")]
    NotFound,
    /// Somebody else changed it since it was read.
    #[error("Somebody changed this while you were editing. Load it again and repeat your change.")]
    Stale,
    /// Fields that cannot be accepted.
    #[error("{}", .0.iter().map(|(field, message)| format!("{field}: {message}")).collect::<Vec<_>>().join(" "))]
    Fields(FieldErrors),
    /// It makes no sense now.
    #[error("{0}")]
    Conflict(String),
    /// A limit of the network is reached.
    #[error("{0}")]
    Limit(String),
    /// Not with this role.
    #[error(transparent)]
    NotPermitted(#[from] NotPermitted),
    /// Too many passwords at once.
    #[error(transparent)]
    TooBusy(#[from] TooBusy),
    /// The database failed.
    #[error("database: {0}")]
    Db(#[from] diesel::result::Error),
}

impl ChangeError {
    /// One field that cannot be accepted.
    #[must_use]
    pub fn field(field: &'static str, message: impl Into<String>) -> Self {
        let mut errors = FieldErrors::default();
        errors.add(field, message);
        Self::Fields(errors)
    }
}

/// A unique violation of this constraint as a field that is taken; any other error as it is.
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

/// A name: not empty, at most 120 characters, no control characters.
///
/// # Errors
/// What is wrong, for the person who typed it.
pub fn check_name(text: &str) -> Result<String, &'static str> {
    let text = text.trim();
    match text.chars().count() {
        0 => Err("Enter a name."),
        1..=120 if text.chars().any(is_hidden) => Err("Use no control characters."),
        1..=120 => Ok(text.to_owned()),
        _ => Err("Use at most 120 characters."),
    }
}

/// What cannot be seen and changes how the rest is read: control characters, and those that turn the direction of
/// writing, with which one name can be made to look like another.
fn is_hidden(c: char) -> bool {
    c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// A longer text: at most 4,000 characters, no control characters but line breaks and tabs.
///
/// # Errors
/// What is wrong, for the person who typed it.
pub fn check_text(text: &str) -> Result<String, &'static str> {
    let text = text.trim().replace("\r\n", "\n");
    let odd = |c: char| c.is_control() && c != '\n' && c != '\t';
    if text.chars().count() > 4_000 {
        Err("Use at most 4,000 characters.")
    } else if text.chars().any(odd) {
        Err("Use no control characters.")
    } else {
        Ok(text)
    }
}

/// An e-mail address as far as that can be told, in lower case.
///
/// # Errors
/// What is wrong, for the person who typed it.
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
