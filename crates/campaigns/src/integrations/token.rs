//! Postback tokens: shown once, stored as hashes.

use schema::BASE32;
use sha2::{Digest, Sha256};

/// A postback token in the clear; never stored.
#[derive(Clone)]
pub struct Token(String);

impl Token {
    /// A token as a caller sent it.
    #[must_use]
    pub fn from_call(text: &str) -> Self {
        Self(text.to_owned())
    }

    pub(super) fn fresh() -> Self {
        Self(BASE32.encode(&rand::random::<[u8; 20]>()))
    }

    /// The text to show, once.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Last four characters, by which users identify a token.
    #[must_use]
    pub fn hint(&self) -> &str {
        let start = self.0.char_indices().rev().nth(3).map_or(0, |(start, _)| start);
        self.0.get(start..).unwrap_or_default()
    }

    /// Hash that is stored.
    #[must_use]
    pub fn hash(&self) -> TokenHash {
        TokenHash(Sha256::digest(self.0.as_bytes()).into())
    }
}

/// SHA-256 of a token, as stored and compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TokenHash(pub [u8; 32]);
