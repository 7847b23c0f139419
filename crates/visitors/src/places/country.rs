//! Countries by their two-letter codes.

use std::fmt;
use std::str::FromStr;

/// A country: its ISO 3166-1 alpha-2 code in upper case. Any two letters are accepted, for `XK` and future codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Country([u8; 2]);

/// The text is not two ASCII letters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a country is two letters, like DE")]
pub struct NotACountry;

impl Country {
    /// Code, like `DE`.
    #[must_use]
    #[expect(clippy::expect_used, reason = "a country has two ASCII letters only")]
    pub fn as_str(&self) -> &str {
        str::from_utf8(&self.0).expect("ASCII letters are UTF-8")
    }
}

impl FromStr for Country {
    type Err = NotACountry;

    fn from_str(text: &str) -> Result<Self, NotACountry> {
        let letters: [u8; 2] = text.as_bytes().try_into().map_err(|_| NotACountry)?;
        // Proxies write XX where they do not know the country, and T1 for Tor.
        if letters.iter().all(u8::is_ascii_alphabetic) && !letters.eq_ignore_ascii_case(b"XX") {
            Ok(Self(letters.map(|letter| letter.to_ascii_uppercase())))
        } else {
            Err(NotACountry)
        }
    }
}

impl fmt::Display for Country {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_country_is_two_letters_in_upper_case() {
        assert_eq!(
            "de".parse::<Country>().map(|c| c.to_string()),
            Ok("DE".to_owned())
        );
        for bad in ["", "D", "DEU", "D1", "é", " D"] {
            assert_eq!(bad.parse::<Country>(), Err(NotACountry), "{bad}");
        }
    }
}
