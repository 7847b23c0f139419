//! Tokens in links: shown once, kept as a hash, good for one use.

use schema::{BASE32, NetworkId};
use sha2::{Digest, Sha256};

/// A token in the clear: exists only between its making and its being mailed or shown, and in the link.
#[derive(Clone)]
pub struct OneTimeToken(String);

impl OneTimeToken {
    /// A token of 256 random bits that says nothing.
    #[must_use]
    pub fn fresh() -> Self {
        Self(BASE32.encode(&rand::random::<[u8; 32]>()))
    }

    /// A token of 256 random bits that says which network it belongs to, so that it is looked up behind that
    /// network's wall.
    #[must_use]
    pub fn of_network(network_id: NetworkId) -> Self {
        let random: [u8; 32] = rand::random();
        Self(BASE32.encode(&[network_id.0.to_be_bytes().as_slice(), &random].concat()))
    }

    /// A token as somebody sent it.
    #[must_use]
    pub fn from_link(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// The network it belongs to, if it says one.
    #[must_use]
    pub fn network_id(&self) -> Option<NetworkId> {
        let bytes = BASE32.decode(self.0.as_bytes()).ok()?;
        let (network, random) = bytes.split_first_chunk::<4>()?;
        let number = i32::from_be_bytes(*network);
        (number > 0 && random.len() == 32).then_some(NetworkId(number))
    }

    /// The text to put into the link.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub(crate) fn hash(&self) -> Vec<u8> {
        Sha256::digest(self.0.as_bytes()).to_vec()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_says_its_network_or_none() {
        let token = OneTimeToken::of_network(NetworkId(77));
        assert_eq!(
            OneTimeToken::from_link(token.as_str()).network_id(),
            Some(NetworkId(77))
        );
        for other in [OneTimeToken::fresh().as_str(), "", "x", "0000"] {
            assert_eq!(OneTimeToken::from_link(other).network_id(), None, "{other}");
        }
    }
}
