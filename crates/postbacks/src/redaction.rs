//! Blanks secrets in a call before it is stored: enough of a token is left to tell which it was, nothing of what is said
//! about a person.

use dialects::Postback;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// What names of parameters end in whose values are secrets, to go by the name.
const SECRETS: [&str; 4] = ["token", "secret", "password", "api_key"];

/// What ends a value. Where names are secrets, so does a percent sign: the value may stand within another one.
const ENDS: &[u8] = b"&\\\"', }]<\t\r\n#";

/// What must not be kept of a call.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Secrets<'a> {
    /// The token that was understood, however it was spelled.
    pub(crate) token: Option<&'a str>,
    /// What was said about a person: parameter and value.
    pub(crate) personal: &'a [(String, String)],
}

impl<'a> Secrets<'a> {
    pub(crate) fn of(said: &'a Postback) -> Self {
        Self {
            token: said.token.as_deref(),
            personal: &said.personal,
        }
    }

    /// The bytes with every value of a parameter or member whose name says that it is a secret cut down to its last
    /// characters, and what was understood to be one wherever else it stands.
    ///
    /// Works on the raw bytes, so that calls nobody can parse are blanked too.
    pub(crate) fn blank(self, raw: &[u8]) -> Vec<u8> {
        let mut blanked = raw.to_vec();
        for name in SECRETS {
            blanked = blank_named(&blanked, name, false, |value| {
                blank_token(&String::from_utf8_lossy(value))
            });
        }
        for (name, value) in self.personal {
            blanked = blank_named(&blanked, name, true, |_| "…".to_owned());
            blanked = replace_everywhere(&blanked, value, "…");
        }
        match self.token {
            Some(token) => replace_everywhere(&blanked, token, &blank_token(token)),
            None => blanked,
        }
    }

    /// The same for text of our own making, such as a message that quotes the call.
    pub(crate) fn blank_text(self, text: &str) -> String {
        String::from_utf8_lossy(&self.blank(text.as_bytes())).into_owned()
    }
}

/// As it is and as it is percent-encoded.
fn replace_everywhere(text: &[u8], value: &str, with: &str) -> Vec<u8> {
    if value.len() < 4 {
        return text.to_vec();
    }
    // As encodeURIComponent writes it, and as strict encoders do.
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

/// Whether the value of this parameter is a secret, to go by its name.
pub(crate) fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    SECRETS.iter().any(|secret| name.ends_with(secret))
}

/// The last four characters of a token, or nothing of a short one.
pub(crate) fn blank_token(token: &str) -> String {
    let keep = if token.len() > 12 {
        token.char_indices().rev().nth(3).map(|(at, _)| at)
    } else {
        None
    };
    format!("…{}", keep.and_then(|at| token.get(at..)).unwrap_or_default())
}

/// Every value of a parameter or member of this name, or of a name that ends in it if it need not be `whole`.
fn blank_named(raw: &[u8], name: &str, whole: bool, blank: impl Fn(&[u8]) -> String) -> Vec<u8> {
    let mut blanked = Vec::with_capacity(raw.len());
    let mut rest = raw;
    while let Some(at) = rest
        .windows(name.len().max(1))
        .position(|window| window.eq_ignore_ascii_case(name.as_bytes()))
    {
        let (before, after) = rest.split_at(at + name.len());
        let (separator, value_on) = after.split_at(separator_length(after));
        let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
        let is_whole = !before
            .iter()
            .rev()
            .nth(name.len())
            .or(blanked.last().filter(|_| at == 0))
            .is_some_and(is_part);
        blanked.extend_from_slice(before);
        blanked.extend_from_slice(separator);
        rest = value_on;
        if assigns(separator) && (is_whole || !whole) {
            let end = value_on
                .iter()
                .position(|byte| ENDS.contains(byte) || (*byte == b'%' && !whole))
                .unwrap_or(value_on.len());
            let (value, after_value) = value_on.split_at(end);
            if !value.is_empty() {
                blanked.extend_from_slice(blank(value).as_bytes());
            }
            rest = after_value;
        }
    }
    blanked.extend_from_slice(rest);
    blanked
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

/// Whether what stands between gives the name a value.
fn assigns(separator: &[u8]) -> bool {
    separator.iter().any(|byte| b":=>%".contains(byte))
        || separator.windows(4).any(|window| window == b"\r\n\r\n")
}

fn replace(text: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let mut replaced = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.windows(from.len()).position(|window| window == from) {
        let (before, after) = rest.split_at(at);
        replaced.extend_from_slice(before);
        replaced.extend_from_slice(to);
        rest = after.get(from.len()..).unwrap_or_default();
    }
    replaced.extend_from_slice(rest);
    replaced
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TOKEN: &str = "0123456789abcdef";

    fn blank(text: &str) -> String {
        Secrets::default().blank_text(text)
    }

    #[test]
    fn only_the_last_four_characters_of_a_token_are_kept() {
        assert_eq!(
            blank("/postback?a=1&token=0123456789abcdef&b=2"),
            "/postback?a=1&token=…cdef&b=2"
        );
        assert_eq!(blank("Token=0123456789abcdef"), "Token=…cdef");
        assert_eq!(blank("api_token=0123456789abcdef"), "api_token=…cdef");
        assert_eq!(
            blank(r#"{"token": "0123456789abcdef", "a": 1}"#),
            r#"{"token": "…cdef", "a": 1}"#
        );
        assert_eq!(
            blank(r#""{\"token\":\"0123456789abcdef\"}""#),
            r#""{\"token\":\"…cdef\"}""#
        );
        assert_eq!(blank("<token>0123456789abcdef</token>"), "<token>…cdef</token>");
        assert_eq!(blank("{'token':'0123456789abcdef'}"), "{'token':'…cdef'}");
        assert_eq!(
            blank(r#"{"token":["0123456789abcdef"]}"#),
            r#"{"token":["…cdef"]}"#
        );
        assert_eq!(
            blank("name=\"token\"\r\n\r\n0123456789abcdef\r\n--x"),
            "name=\"token\"\r\n\r\n…cdef\r\n--x"
        );
        assert_eq!(
            blank("url=https%3A%2F%2Fx%3Ftoken%3D0123456789abcdef%26a"),
            "url=https%3A%2F%2Fx%3Ftoken%3D…cdef%26a"
        );
        assert_eq!(blank("token=short&x=%FF"), "token=…&x=%FF");
        assert_eq!(blank("a=token&b=1"), "a=token&b=1");
        assert_eq!(blank("/postback?x=1"), "/postback?x=1");
    }

    #[test]
    fn a_token_that_was_understood_is_blanked_wherever_it_stands() {
        let text = "%74oken=0123456789abcdef&note=0123456789abcdef";
        let secrets = Secrets {
            token: Some(TOKEN),
            personal: &[],
        };
        assert_eq!(secrets.blank_text(text), "%74oken=…cdef&note=…cdef");
    }

    #[test]
    fn nothing_is_left_of_what_is_said_about_a_person() {
        let personal = [
            ("email".to_owned(), "jane@shop.example".to_owned()),
            ("name".to_owned(), "Jane".to_owned()),
        ];
        let secrets = Secrets {
            token: None,
            personal: &personal,
        };
        for (raw, blanked) in [
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
            assert_eq!(secrets.blank_text(raw), blanked);
        }
    }

    proptest! {
        #[test]
        fn a_token_never_survives(before in "[a-z=&]{0,20}", after in "(&[a-z=&]{0,20})?") {
            let raw = format!("{before}&token={TOKEN}{after}");
            prop_assert!(!blank(&raw).contains(TOKEN));
        }
    }
}
