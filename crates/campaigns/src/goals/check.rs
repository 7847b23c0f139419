//! Parsing of a goal's fields.

use dialects::Amount;
use schema::{GoalId, Words};
use tenancy::check_number;

/// Parses the code of a goal.
///
/// # Errors
/// Message to show beside the field.
pub fn check_code(text: &str) -> Result<String, &'static str> {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-".contains(&byte);
    if (1..=40).contains(&text.len()) && text.bytes().all(plain) {
        Ok(text.to_owned())
    } else {
        Err("Use 1 to 40 lower-case letters, digits, _ and -, such as sale.")
    }
}

/// Parses an amount of money; `None` for an empty text.
pub(super) fn check_amount(text: &str) -> Result<Option<i64>, String> {
    match text {
        "" => Ok(None),
        _ => Amount::parse(text)
            .map(|amount| Some(amount.micros))
            .map_err(|problem| format!("“{text}” {problem}.")),
    }
}

pub(super) fn check_parameters(text: &str) -> Result<Words, String> {
    let names = Words::typed(text);
    let plain = |name: &String| {
        name.len() <= 64
            && name
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"_.-[]".contains(&byte))
    };
    match names.0.iter().find(|name| !plain(name)) {
        Some(odd) => Err(format!("“{odd}” is not a valid parameter name.")),
        None if names.0.len() > 30 => Err("Name at most 30 parameters.".to_owned()),
        None => Ok(names),
    }
}

pub(super) fn check_goal_id(text: &str) -> Result<Option<GoalId>, &'static str> {
    match text {
        "" => Ok(None),
        _ => text
            .parse()
            .map(Some)
            .map_err(|_| "Choose one of the campaign's goals."),
    }
}

/// Parses a count above 0; `None` for an empty text.
pub(crate) fn check_times(text: &str) -> Result<Option<i32>, String> {
    match text {
        "" => Ok(None),
        _ => check_number(text, None, 1..=10_000).map(Some),
    }
}
