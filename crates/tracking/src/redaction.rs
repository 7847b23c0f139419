//! Blanks the token in a raw call before it is stored: enough is left to tell which token it was.

/// The bytes with every value of a parameter or member called `token` cut down to its last four characters.
///
/// Works on the raw bytes, so that calls nobody can parse are blanked too.
pub(crate) fn blank_tokens(raw: &[u8]) -> Vec<u8> {
    const NAME: &[u8] = b"token";
    let mut blanked = Vec::with_capacity(raw.len());
    let mut rest = raw;
    while let Some(at) = rest.windows(NAME.len()).position(|window| window == NAME) {
        let (before, after) = rest.split_at(at + NAME.len());
        let value_at = after
            .iter()
            .position(|byte| !b"\" :=\t\r\n".contains(byte))
            .unwrap_or(after.len());
        let (separator, value_on) = after.split_at(value_at);
        blanked.extend_from_slice(before);
        blanked.extend_from_slice(separator);
        rest = value_on;
        if separator.iter().any(|byte| b":=".contains(byte)) {
            let end = value_on
                .iter()
                .position(|byte| b"&\"', }\t\r\n#".contains(byte))
                .unwrap_or(value_on.len());
            let (value, after_value) = value_on.split_at(end);
            let keep = if value.len() > 12 {
                value.len() - 4
            } else {
                value.len()
            };
            blanked.extend_from_slice("…".as_bytes());
            blanked.extend_from_slice(value.split_at(keep).1);
            rest = after_value;
        }
    }
    blanked.extend_from_slice(rest);
    blanked
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn blank(text: &str) -> String {
        String::from_utf8(blank_tokens(text.as_bytes())).unwrap()
    }

    #[test]
    fn only_the_last_four_characters_of_a_token_are_kept() {
        assert_eq!(
            blank("/postback?a=1&token=0123456789abcdef&b=2"),
            "/postback?a=1&token=…cdef&b=2"
        );
        assert_eq!(blank("token=0123456789abcdef"), "token=…cdef");
        assert_eq!(
            blank(r#"{"token": "0123456789abcdef", "a": 1}"#),
            r#"{"token": "…cdef", "a": 1}"#
        );
        assert_eq!(blank("token=short&x=%FF"), "token=…&x=%FF");
        assert_eq!(blank("token="), "token=…");
        assert_eq!(blank("a=token&b=1"), "a=token&b=1");
        assert_eq!(blank("/postback?x=1"), "/postback?x=1");
    }

    proptest! {
        #[test]
        fn a_token_never_survives(before in "[a-z=&]{0,20}", after in "(&[a-z=&]{0,20})?") {
            let token = "0123456789abcdefghjk";
            let raw = format!("{before}&token={token}{after}");
            prop_assert!(!blank(&raw).contains(token));
        }
    }
}
