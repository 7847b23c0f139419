//! Strict decoding of `name=value&…`: invalid encodings are refused with their offset.

use std::iter;

use percent_encoding::percent_decode_str;

use crate::Problem;

/// Decodes percent-encoded pairs (a query string or a form body) one by one; `+` is a space. Pairs without a name are
/// skipped. A name or value that is not text is [`Problem::Undecodable`] or [`Problem::Nul`]; the problem names a
/// parameter whose name does not decode as sent.
///
/// ```
/// let pairs: Result<Vec<_>, _> = dialects::decode_pairs("click_id=abc&note=caf%C3%A9+au+lait").collect();
/// assert_eq!(pairs.unwrap()[1], ("note".to_owned(), "café au lait".to_owned()));
/// ```
pub fn decode_pairs(encoded: &str) -> impl Iterator<Item = Result<(String, String), Problem>> {
    decode_or_repair(encoded).map(|pair| pair.map_err(|broken| broken.problem))
}

/// Decodes pairs for a reader that must not fail, such as the redirect of a visitor: broken bytes become `�`.
///
/// ```
/// let mut pairs = dialects::decode_lossy("sub1=caf%E9&sub2=100%");
/// assert_eq!(pairs.next(), Some(("sub1".to_owned(), "caf\u{FFFD}".to_owned())));
/// assert_eq!(pairs.next(), Some(("sub2".to_owned(), "100%".to_owned())));
/// ```
pub fn decode_lossy(encoded: &str) -> impl Iterator<Item = (String, String)> {
    decode_or_repair(encoded).filter_map(|pair| match pair {
        Ok(pair) => Some(pair),
        Err(broken) => broken.repaired,
    })
}

/// Parameter that does not decode.
#[derive(Debug)]
pub(crate) struct Broken {
    pub(crate) problem: Problem,
    /// Name and value with `�` in place of the broken bytes; `None` if the problem is not about one parameter.
    pub(crate) repaired: Option<(String, String)>,
}

impl From<Problem> for Broken {
    fn from(problem: Problem) -> Self {
        Self {
            problem,
            repaired: None,
        }
    }
}

/// Decodes pairs like [`decode_pairs`], with what is left of broken ones.
pub(crate) fn decode_or_repair(encoded: &str) -> impl Iterator<Item = Result<(String, String), Broken>> {
    encoded
        .split('&')
        // HTML that was never decoded: `&amp;order_id=1`.
        .map(|pair| pair.strip_prefix("amp;").unwrap_or(pair))
        .flat_map(at_second_question_mark)
        .filter(|pair| !pair.is_empty() && !pair.starts_with('='))
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            decoded(name, value).map_err(|problem| Broken {
                problem,
                repaired: Some((repaired(name), repaired(value))),
            })
        })
}

/// Parts of a pair around the `?` of a program that appends to a URL as if it had no query: `campaign=x?order_id=1`. The
/// `?` of an address or of a text stays.
fn at_second_question_mark(pair: &str) -> impl Iterator<Item = &str> {
    let is_name = |text: &str| {
        let is_of_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
        text.starts_with(|first: char| first.is_ascii_alphabetic()) && text.bytes().all(is_of_name)
    };
    let parts = pair.split_once('?').filter(|(before, after)| {
        let name = after.split_once('=').map_or("", |(name, _)| name);
        is_name(name) && !before.contains(['/', ':', '%', '+'])
    });
    let (first, second) = parts.map_or((pair, None), |(first, second)| (first, Some(second)));
    iter::once(first).chain(second)
}

fn decoded(name: &str, value: &str) -> Result<(String, String), Problem> {
    let read = decode(name, Plus::IsSpace).map_err(|flaw| flaw.of(name))?;
    let value = decode(value, Plus::IsSpace).map_err(|flaw| flaw.of(&read))?;
    Ok((read, value))
}

fn repaired(encoded: &str) -> String {
    let spaced = encoded.replace('+', " ");
    let text = percent_decode_str(&spaced).decode_utf8_lossy();
    text.replace('\0', "\u{FFFD}")
}

/// Decodes one name and value of a path, where `+` is literal.
pub(crate) fn decode_segment(name: &str, value: &str) -> Result<(String, String), Problem> {
    let read = decode(name, Plus::IsItself).map_err(|flaw| flaw.of(name))?;
    let value = decode(value, Plus::IsItself).map_err(|flaw| flaw.of(&read))?;
    Ok((read, value))
}

/// Meaning of a `+`.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Plus {
    IsSpace,
    IsItself,
}

enum Flaw {
    At(usize),
    Nul,
}

impl Flaw {
    fn of(self, parameter: &str) -> Problem {
        let parameter = parameter.chars().take(64).collect();
        match self {
            Self::At(offset) => Problem::Undecodable { parameter, offset },
            Self::Nul => Problem::Nul { parameter },
        }
    }
}

fn decode(encoded: &str, plus: Plus) -> Result<String, Flaw> {
    let mut bytes = Vec::with_capacity(encoded.len());
    // Offset in the encoded text of each decoded byte, to locate invalid UTF-8.
    let mut origins = Vec::with_capacity(encoded.len());
    let mut rest = encoded.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let offset = encoded.len() - rest.len();
        let (byte, next) = match (first, after) {
            (b'%', [high, low, next @ ..]) => match (hex(*high), hex(*low)) {
                (Some(high), Some(low)) => (high << 4 | low, next),
                _ => return Err(Flaw::At(offset)),
            },
            (b'%', _) => return Err(Flaw::At(offset)),
            (b'+', next) if plus == Plus::IsSpace => (b' ', next),
            (byte, next) => (byte, next),
        };
        bytes.push(byte);
        origins.push(offset);
        rest = next;
    }
    if bytes.contains(&0) {
        return Err(Flaw::Nul);
    }
    String::from_utf8(bytes).map_err(|broken| {
        let at = broken.utf8_error().valid_up_to();
        Flaw::At(origins.get(at).copied().unwrap_or(encoded.len()))
    })
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit)
        .to_digit(16)
        .and_then(|value| u8::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pairs(encoded: &str) -> Result<Vec<(String, String)>, Problem> {
        decode_pairs(encoded).collect()
    }

    #[test]
    fn broken_values_are_repaired() {
        let mut repaired = decode_or_repair("title=50%+off&name=caf%E9&nul=a%00b");
        let mut next = || repaired.next().unwrap().unwrap_err().repaired.unwrap().1;
        assert_eq!(
            (next(), next(), next()),
            (
                "50% off".to_owned(),
                "caf\u{FFFD}".to_owned(),
                "a\u{FFFD}b".to_owned()
            )
        );
        assert_eq!(pairs("a=1&amp;b=2").unwrap().len(), 2);
        assert_eq!(pairs("a=1?b=2&c=3"), pairs("a=1&b=2&c=3"));
        for whole in ["page=https://x.example/?b=2", "note=why?", "note=a?b%20c=1"] {
            assert_eq!(pairs(whole).unwrap().len(), 1, "{whole}");
        }
    }

    #[test]
    fn a_value_that_does_not_decode_is_named_with_its_offset() {
        for (encoded, parameter, offset) in [
            ("a=1&b=x%FFy", "b", 1),
            ("b=%C0%80", "b", 0),
            ("b=caf%C3", "b", 3),
            ("b=%ED%A0%80", "b", 0),
            ("b=50%", "b", 2),
            ("b=50%zz", "b", 2),
            ("b=%4", "b", 0),
            ("%FF=1", "%FF", 0),
        ] {
            let expected = Problem::Undecodable {
                parameter: parameter.into(),
                offset,
            };
            assert_eq!(pairs(encoded), Err(expected), "{encoded}");
        }
    }

    #[test]
    fn a_nul_byte_is_refused() {
        assert_eq!(
            pairs("b=x%00"),
            Err(Problem::Nul {
                parameter: "b".into()
            })
        );
    }

    #[test]
    fn a_value_is_decoded_once() {
        assert_eq!(pairs("b=%2525"), Ok(vec![("b".into(), "%25".into())]));
    }

    proptest! {
        #[test]
        fn an_encoded_value_survives_a_round_trip(value in "[^\0]{0,60}") {
            let encoded = percent_encoding::utf8_percent_encode(&value, percent_encoding::NON_ALPHANUMERIC);
            prop_assert_eq!(pairs(&format!("v={encoded}")), Ok(vec![("v".to_owned(), value)]));
        }

        #[test]
        fn no_text_causes_a_panic(text in ".{0,200}") {
            let _ = pairs(&text);
        }
    }
}
