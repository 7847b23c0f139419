//! Blanks tokens in a call before it is stored: enough is left to tell which token it was.

/// The bytes with every value of a parameter or member whose name ends in `token` cut down to its last characters,
/// and the token that was understood (`known`, however it was spelled or encoded) wherever else it stands.
///
/// Works on the raw bytes, so that calls nobody can parse are blanked too.
pub(crate) fn blank_tokens(raw: &[u8], known: Option<&str>) -> Vec<u8> {
    let blanked = blank_named(raw);
    match known.filter(|token| token.len() >= 4) {
        Some(token) => replace(&blanked, token.as_bytes(), blank_token(token).as_bytes()),
        None => blanked,
    }
}

/// The same for text of our own making, such as a message that quotes the call.
pub(crate) fn blank_text(text: &str, known: Option<&str>) -> String {
    String::from_utf8_lossy(&blank_tokens(text.as_bytes(), known)).into_owned()
}

/// Whether the value of this parameter is a secret, to go by its name.
pub(crate) fn is_secret(name: &str) -> bool {
    name.to_ascii_lowercase().ends_with("token")
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

fn blank_named(raw: &[u8]) -> Vec<u8> {
    const NAME: &[u8] = b"token";
    let mut blanked = Vec::with_capacity(raw.len());
    let mut rest = raw;
    while let Some(at) = rest
        .windows(NAME.len())
        .position(|window| window.eq_ignore_ascii_case(NAME))
    {
        let (before, after) = rest.split_at(at + NAME.len());
        let (separator, value_on) = after.split_at(separator_length(after));
        blanked.extend_from_slice(before);
        blanked.extend_from_slice(separator);
        rest = value_on;
        if assigns(separator) {
            let end = value_on
                .iter()
                .position(|byte| b"&\\\"', }]<%\t\r\n#".contains(byte))
                .unwrap_or(value_on.len());
            let (value, after_value) = value_on.split_at(end);
            if !value.is_empty() {
                blanked.extend_from_slice(blank_token(&String::from_utf8_lossy(value)).as_bytes());
            }
            rest = after_value;
        }
    }
    blanked.extend_from_slice(rest);
    blanked
}

/// Bytes between the name `token` and its value: in a query, in JSON (encoded twice, or with the wrong quotes), in
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
        blank_text(text, None)
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
        assert_eq!(blank_text(text, Some(TOKEN)), "%74oken=…cdef&note=…cdef");
    }

    proptest! {
        #[test]
        fn a_token_never_survives(before in "[a-z=&]{0,20}", after in "(&[a-z=&]{0,20})?") {
            let raw = format!("{before}&token={TOKEN}{after}");
            prop_assert!(!blank(&raw).contains(TOKEN));
        }
    }
}
