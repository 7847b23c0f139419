//! Strict decoding of `name=value&…`: invalid encodings are refused with their offset.

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
    encoded
        .split('&')
        .filter(|pair| !pair.is_empty() && !pair.starts_with('='))
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let read = decode(name, Plus::IsSpace).map_err(|flaw| flaw.of(name))?;
            let value = decode(value, Plus::IsSpace).map_err(|flaw| flaw.of(&read))?;
            Ok((read, value))
        })
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

    fn decoded(encoded: &str) -> Result<Vec<(String, String)>, Problem> {
        decode_pairs(encoded).collect()
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
            assert_eq!(decoded(encoded), Err(expected), "{encoded}");
        }
    }

    #[test]
    fn a_nul_byte_is_refused() {
        assert_eq!(
            decoded("b=x%00"),
            Err(Problem::Nul {
                parameter: "b".into()
            })
        );
    }

    #[test]
    fn a_value_is_decoded_once() {
        assert_eq!(decoded("b=%2525"), Ok(vec![("b".into(), "%25".into())]));
    }

    proptest! {
        #[test]
        fn an_encoded_value_survives_a_round_trip(value in "[^\0]{0,60}") {
            let encoded = percent_encoding::utf8_percent_encode(&value, percent_encoding::NON_ALPHANUMERIC);
            prop_assert_eq!(decoded(&format!("v={encoded}")), Ok(vec![("v".to_owned(), value)]));
        }

        #[test]
        fn no_text_causes_a_panic(text in ".{0,200}") {
            let _ = decoded(&text);
        }
    }
}
