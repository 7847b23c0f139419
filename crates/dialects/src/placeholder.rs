//! Placeholders: values in which a template's macro was never replaced.

use percent_encoding::percent_decode_str;

/// Words that programs write for a missing value, or documents for a value to insert.
const WORDS: [&str; 18] = [
    "%s",
    "undefined",
    "null",
    "NULL",
    "(null)",
    "nil",
    "NaN",
    "None",
    "[object Object]",
    "REPLACE",
    "REPLACE_ME",
    "REPLACEME",
    "CLICK_ID",
    "CLICKID",
    "CLICK-ID",
    "TRANSACTION_ID",
    "ORDER_ID",
    "EXAMPLE_ID",
];

/// Delimiters of macros, the longest first.
const DELIMITERS: [(&str, &str); 16] = [
    ("{{", "}}"),
    ("{%", "%}"),
    ("[[", "]]"),
    ("<%", "%>"),
    ("%%", "%%"),
    ("__", "__"),
    ("${", "}"),
    ("#{", "}"),
    ("{", "}"),
    ("[", "]"),
    ("<", ">"),
    ("#", "#"),
    ("%", "%"),
    ("$", "$"),
    ("!", "!"),
    ("*|", "|*"),
];

/// True if a value is a placeholder: a name in any delimiters that trackers use, plain or percent-encoded up to two
/// times, or a word for a missing value.
///
/// ```
/// assert!(dialects::is_placeholder("{click_id}") && dialects::is_placeholder("%7Bclick_id%7D"));
/// assert!(!dialects::is_placeholder("A-1"));
/// ```
#[must_use]
pub fn is_placeholder(value: &str) -> bool {
    let mut text = value.to_owned();
    for _ in 0..3 {
        if is_plain_placeholder(&text) {
            return true;
        }
        match percent_decode_str(&text).decode_utf8() {
            Ok(decoded) if decoded != text => text = decoded.into_owned(),
            _ => return false,
        }
    }
    false
}

/// True for an opaque id in the delimiters of a macro, such as `{6f1c…}`: someone left the brackets around a real value.
pub(crate) fn is_wrapped_id(value: &str) -> bool {
    let inner = value.trim_matches(|c: char| c.is_ascii_punctuation());
    let is_opaque = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    inner.len() >= 20 && inner.bytes().all(is_opaque) && inner.bytes().any(|byte| byte.is_ascii_digit())
}

fn is_plain_placeholder(value: &str) -> bool {
    WORDS.contains(&value) || is_variable(value) || is_instruction(value) || is_delimited(value)
}

/// True for the name of a variable, as in `$click_id`.
fn is_variable(value: &str) -> bool {
    let name = value.strip_prefix('$').unwrap_or_default();
    name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// True for instructions in capitals: `YOUR_CLICK_ID`, `INSERT_ORDER_HERE`.
fn is_instruction(value: &str) -> bool {
    let is_upper_case = value
        .bytes()
        .all(|byte| byte.is_ascii_uppercase() || byte == b'_' || byte == b'-');
    let is_instruction = (value.starts_with("INSERT_") && value.ends_with("_HERE"))
        || value.strip_prefix("YOUR_").is_some_and(|name| !name.is_empty());
    is_upper_case && is_instruction
}

fn is_delimited(value: &str) -> bool {
    DELIMITERS.iter().any(|(open, close)| {
        value
            .strip_prefix(open)
            .and_then(|rest| rest.strip_suffix(close))
            .is_some_and(|name| !name.trim().is_empty())
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn placeholders_are_recognised_in_all_delimiters() {
        for value in [
            "{click_id}",
            "[clickid]",
            "<id>",
            "#reqid#",
            "%id%",
            "$id$",
            "${id}",
            "[[subid]]",
            "REPLACE",
            "CLICK_ID",
            "CLICKID",
            "YOUR_CLICK_ID",
            "undefined",
            "null",
            "NaN",
            "None",
            "[object Object]",
            "INSERT_CLICK_ID_HERE",
            "{{x}}",
            "{%x%}",
            "__X__",
            "!x!",
            "%%x%%",
            "#{x}",
            "<%= x %>",
            "%7Bclick_id%7D",
            "%257Bclick_id%257D",
            "%5BCLICK%5D",
            "{{ x }}",
            "*|ID|*",
        ] {
            assert!(is_placeholder(value), "{value}");
        }
    }

    #[test]
    fn ids_are_not_placeholders() {
        for value in [
            "",
            "{}",
            "abc",
            "a{b}",
            "12.50",
            "#1",
            "None of these",
            "nullable",
            "NAN",
            "A%20B",
            "100%",
            "____",
            "YOUR_",
            "Your_order",
            "CLICK_ID_7",
            "_x_",
            "[ ]",
        ] {
            assert!(!is_placeholder(value), "{value}");
        }
    }

    proptest! {
        #[test]
        fn letters_and_digits_are_never_a_placeholder(value in "[a-z0-9]{1,40}") {
            prop_assume!(value != "undefined" && value != "null");
            prop_assert!(!is_placeholder(&value));
        }

        #[test]
        fn no_text_causes_a_panic(value in ".{0,60}") {
            let _ = is_placeholder(&value);
        }
    }
}
