//! One-time tokens in links: shown or mailed once, stored as a hash, used up by one use.

use schema::{BASE32, NetworkId};
use sha2::{Digest, Sha256};

/// A one-time token in plain text: exists from creation until it is mailed or shown, and in the link.
#[derive(Clone)]
pub struct OneTimeToken(String);

impl OneTimeToken {
    /// Fresh token of 256 random bits, without a network.
    #[must_use]
    pub fn fresh() -> Self {
        Self(BASE32.encode(&rand::random::<[u8; 32]>()))
    }

    /// Fresh token of 256 random bits that starts with its network's ID, so that it can be looked up with that
    /// network's rows only.
    #[must_use]
    pub fn of_network(network_id: NetworkId) -> Self {
        let random: [u8; 32] = rand::random();
        Self(BASE32.encode(&[network_id.0.to_be_bytes().as_slice(), &random].concat()))
    }

    /// Token from a link, unchecked.
    #[must_use]
    pub fn from_link(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// Network of the token; None if it names none.
    #[must_use]
    pub fn network_id(&self) -> Option<NetworkId> {
        let bytes = BASE32.decode(self.0.as_bytes()).ok()?;
        let (network, random) = bytes.split_first_chunk::<4>()?;
        let number = i32::from_be_bytes(*network);
        (number > 0 && random.len() == 32).then_some(NetworkId(number))
    }

    /// Token text for the link.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Hash of the token, as it is stored.
    #[must_use]
    pub fn hash(&self) -> Vec<u8> {
        Sha256::digest(self.0.as_bytes()).to_vec()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_carries_its_network_or_none() {
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
