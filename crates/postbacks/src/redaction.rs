//! Redaction of a request before it is stored: of a token the last characters remain, so that it can be identified; of
//! personal data nothing remains.

use std::collections::BTreeSet;

use dialects::Postback;
use memchr::{memchr2_iter, memmem};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// Endings of the names of parameters whose values are secrets.
const SECRET_NAMES: [&str; 4] = ["token", "secret", "password", "api_key"];

/// Maximum number of personal values that are looked for. Of a request with more nothing is kept: no program sends them, and
/// each costs a pass over the request.
const MAX_PERSONAL: usize = 24;

/// Bytes that end a value. The value of a secret parameter also ends at a percent sign, as it may be part of another,
/// encoded value.
const VALUE_ENDS: &[u8] = b"&\\\"', }]<\t\r\n#";

/// Secrets of a request, which must not be stored.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Secrets<'a> {
    /// Token as parsed, whatever its parameter is called.
    pub(crate) token: Option<&'a str>,
    /// Personal data: parameter and value.
    pub(crate) personal: &'a [(String, String)],
}

impl<'a> Secrets<'a> {
    pub(crate) fn of(postback: &'a Postback) -> Self {
        Self {
            token: postback.token.as_deref(),
            personal: &postback.personal,
        }
    }

    /// Redacts the values of parameters and members with the name of a secret, and the parsed token and personal data
    /// wherever they occur.
    ///
    /// Works on the raw bytes, so that unparsable requests are redacted too.
    pub(crate) fn redact(self, raw: &[u8]) -> Vec<u8> {
        let mut redacted = raw.to_vec();
        for name in SECRET_NAMES {
            redacted = redact_named(&redacted, name, false, |value| {
                redact_token(&String::from_utf8_lossy(value))
            });
        }
        if self.personal.len() > MAX_PERSONAL {
            return "…".into();
        }
        // A nested member is found by its last name.
        let members = self
            .personal
            .iter()
            .filter_map(|(name, _)| name.rsplit('.').next());
        for member in members.map(str::to_ascii_lowercase).collect::<BTreeSet<_>>() {
            redacted = redact_named(&redacted, &member, true, |_| "…".to_owned());
        }
        for (_, value) in self.personal {
            redacted = replace_everywhere(&redacted, value, "…");
        }
        match self.token {
            Some(token) => replace_everywhere(&redacted, token, &redact_token(token)),
            None => redacted,
        }
    }

    /// Redacts text, such as a message that quotes the request.
    pub(crate) fn redact_text(self, text: &str) -> String {
        String::from_utf8_lossy(&self.redact(text.as_bytes())).into_owned()
    }
}

/// Replaces a value in its plain and its percent-encoded forms. Values of fewer than four bytes are left, as they match
/// by chance.
fn replace_everywhere(text: &[u8], value: &str, with: &str) -> Vec<u8> {
    if value.len() < 4 {
        return text.to_vec();
    }
    // Encoded by encodeURIComponent, and by strict encoders.
    const COMPONENT: &AsciiSet = &NON_ALPHANUMERIC
        .remove(b'-')
        .remove(b'_')
        .remove(b'.')
        .remove(b'~');
    let mut replaced = replace(text, value.as_bytes(), with.as_bytes());
    for set in [COMPONENT, NON_ALPHANUMERIC] {
        let encoded = utf8_percent_encode(value, set).to_string();
        replaced = replace(&replaced, encoded.as_bytes(), with.as_bytes());
    }
    replaced
}

/// True if the name of a parameter is that of a secret.
pub(crate) fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    SECRET_NAMES.iter().any(|secret| name.ends_with(secret))
}

/// Last four characters of a token; of a token of up to 12 bytes none.
pub(crate) fn redact_token(token: &str) -> String {
    let start = if token.len() > 12 {
        token.char_indices().rev().nth(3).map(|(at, _)| at)
    } else {
        None
    };
    format!("…{}", start.and_then(|at| token.get(at..)).unwrap_or_default())
}

/// Redacts the values of parameters and members with this name, or, unless it must be the `whole` name, with a name
/// that ends in it.
fn redact_named(raw: &[u8], name: &str, whole: bool, redact: impl Fn(&[u8]) -> String) -> Vec<u8> {
    let mut redacted = Vec::with_capacity(raw.len());
    let mut rest = raw;
    while let Some(at) = find_name(rest, name.as_bytes()) {
        let (before, after) = rest.split_at(at + name.len());
        let (separator, value_on) = after.split_at(separator_length(after));
        let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
        let is_whole = !before
            .iter()
            .rev()
            .nth(name.len())
            .or(redacted.last().filter(|_| at == 0))
            .is_some_and(is_part);
        redacted.extend_from_slice(before);
        redacted.extend_from_slice(separator);
        rest = value_on;
        if assigns(separator) && (is_whole || !whole) {
            let end = value_on
                .iter()
                .position(|byte| VALUE_ENDS.contains(byte) || (*byte == b'%' && !whole))
                .unwrap_or(value_on.len());
            let (value, after_value) = value_on.split_at(end);
            if !value.is_empty() {
                redacted.extend_from_slice(redact(value).as_bytes());
            }
            rest = after_value;
        }
    }
    redacted.extend_from_slice(rest);
    redacted
}

/// Position of a name in any letter case.
fn find_name(text: &[u8], name: &[u8]) -> Option<usize> {
    let first = *name.first()?;
    let starts = memchr2_iter(first.to_ascii_lowercase(), first.to_ascii_uppercase(), text);
    let is_here = |at: &usize| {
        let end = at.saturating_add(name.len());
        text.get(*at..end)
            .is_some_and(|found| found.eq_ignore_ascii_case(name))
    };
    starts.into_iter().find(is_here)
}

/// Bytes between a name and its value: in a query, in JSON (encoded twice, or with the wrong quotes), in
/// XML, in a multipart form, or percent-encoded within another value.
fn separator_length(after: &[u8]) -> usize {
    let mut length = 0;
    while let Some(rest) = after.get(length..) {
        length += match rest {
            [
                b'\\' | b'"' | b'\'' | b' ' | b':' | b'=' | b'[' | b'>' | b'\t' | b'\r' | b'\n',
                ..,
            ] => 1,
            [b'%', b'2', b'0' | b'2' | b'7', ..] | [b'%', b'3', b'a' | b'A' | b'd' | b'D', ..] => 3,
            _ => break,
        };
    }
    length
}

/// True if this separator assigns a value to the name before it.
fn assigns(separator: &[u8]) -> bool {
    separator.iter().any(|byte| b":=>%".contains(byte))
        || separator.windows(4).any(|window| window == b"\r\n\r\n")
}

fn replace(text: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let mut replaced = Vec::with_capacity(text.len());
    let mut end = 0;
    for at in memmem::find_iter(text, from) {
        replaced.extend_from_slice(text.get(end..at).unwrap_or_default());
        replaced.extend_from_slice(to);
        end = at + from.len();
    }
    replaced.extend_from_slice(text.get(end..).unwrap_or_default());
    replaced
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TOKEN: &str = "0123456789abcdef";

    fn redact(text: &str) -> String {
        Secrets::default().redact_text(text)
    }

    #[test]
    fn only_the_last_four_characters_of_a_token_are_kept() {
        assert_eq!(
            redact("/postback?a=1&token=0123456789abcdef&b=2"),
            "/postback?a=1&token=…cdef&b=2"
        );
        assert_eq!(redact("Token=0123456789abcdef"), "Token=…cdef");
        assert_eq!(redact("api_token=0123456789abcdef"), "api_token=…cdef");
        assert_eq!(
            redact(r#"{"token": "0123456789abcdef", "a": 1}"#),
            r#"{"token": "…cdef", "a": 1}"#
        );
        assert_eq!(
            redact(r#""{\"token\":\"0123456789abcdef\"}""#),
            r#""{\"token\":\"…cdef\"}""#
        );
        assert_eq!(redact("<token>0123456789abcdef</token>"), "<token>…cdef</token>");
        assert_eq!(redact("{'token':'0123456789abcdef'}"), "{'token':'…cdef'}");
        assert_eq!(
            redact(r#"{"token":["0123456789abcdef"]}"#),
            r#"{"token":["…cdef"]}"#
        );
        assert_eq!(
            redact("name=\"token\"\r\n\r\n0123456789abcdef\r\n--x"),
            "name=\"token\"\r\n\r\n…cdef\r\n--x"
        );
        assert_eq!(
            redact("url=https%3A%2F%2Fx%3Ftoken%3D0123456789abcdef%26a"),
            "url=https%3A%2F%2Fx%3Ftoken%3D…cdef%26a"
        );
        assert_eq!(redact("token=short&x=%FF"), "token=…&x=%FF");
        assert_eq!(redact("a=token&b=1"), "a=token&b=1");
        assert_eq!(redact("/postback?x=1"), "/postback?x=1");
    }

    #[test]
    fn a_parsed_token_is_redacted_wherever_it_occurs() {
        let text = "%74oken=0123456789abcdef&note=0123456789abcdef";
        let secrets = Secrets {
            token: Some(TOKEN),
            personal: &[],
        };
        assert_eq!(secrets.redact_text(text), "%74oken=…cdef&note=…cdef");
    }

    #[test]
    fn nothing_is_left_of_personal_data() {
        let personal = [
            ("email".to_owned(), "jane@shop.example".to_owned()),
            ("name".to_owned(), "Jane".to_owned()),
        ];
        let secrets = Secrets {
            token: None,
            personal: &personal,
        };
        for (raw, redacted) in [
            (
                "email=jane%40shop.example&goal_name=sale",
                "email=…&goal_name=sale",
            ),
            ("note=jane%40shop%2Eexample&a=1", "note=…&a=1"),
            ("note=jane%40shop.example&a=1", "note=…&a=1"),
            (
                r#"{"email":"jane@shop.example","name":"Jane","a":1}"#,
                r#"{"email":"…","name":"…","a":1}"#,
            ),
            ("for=jane@shop.example", "for=…"),
        ] {
            assert_eq!(secrets.redact_text(raw), redacted);
        }
    }

    #[test]
    fn many_personal_values_cost_no_more_than_a_few() {
        let personal = |count: usize| -> Vec<(String, String)> {
            (0..count)
                .map(|number| (format!("{}.email", "a".repeat(240)), format!("{number:a>200}")))
                .collect()
        };
        let body = "a".repeat(64 * 1024);
        let (few, many) = (personal(MAX_PERSONAL), personal(99));
        let redacted = |personal: &[(String, String)]| {
            let secrets = Secrets {
                token: None,
                personal,
            };
            secrets.redact_text(&format!("{body}&email=x"))
        };
        assert!(redacted(&few).ends_with("email=…"));
        assert_eq!(redacted(&many), "…", "nothing of it is kept");
    }

    proptest! {
        #[test]
        fn a_token_never_survives(before in "[a-z=&]{0,20}", after in "(&[a-z=&]{0,20})?") {
            let raw = format!("{before}&token={TOKEN}{after}");
            prop_assert!(!redact(&raw).contains(TOKEN));
        }
    }
}
