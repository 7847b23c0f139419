//! Click IDs: passed to the advertiser and returned in postbacks, verified without a database.
//!
//! 27 bytes, written as 44 characters of lower-case Crockford base32:
//!
//! | bytes | field |
//! |---|---|
//! | 1 | number of the signing key, 1 to 127 |
//! | 6 | time of the click, in milliseconds since 1970 |
//! | 4 | network |
//! | 4 | tracking link |
//! | 6 | random |
//! | 6 | MAC: HMAC-SHA256 of all before it, under the network's key, cut to 48 bits |
//!
//! A network's key can be replaced: the new key signs from a time on at which every node has loaded it, and click IDs
//! under an earlier key are valid only for clicks before that time. So a click ID is alphanumeric, sorts by time,
//! identifies its link (a postback is attributed even after the click's row was dropped), and cannot be forged. The key
//! of the click's row is time · link · random.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use hmac::{Hmac, KeyInit, Mac};
use quick_cache::sync::Cache;
use schema::{BASE32, ClickKey, LinkId, NetworkId};
use sha2::Sha256;
use subtle::ConstantTimeEq;
use tenancy::Secret;
use tenancy::networks::ClickKeyInUse;
use uuid::Uuid;

const BYTES: usize = 27;
const SIGNED: usize = 21;

/// Length of a click ID in characters.
pub const LENGTH: usize = 44;

/// Genuine click ID: its MAC is valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClickId {
    /// Network that issued it.
    pub network_id: NetworkId,
    /// Key of the click's row.
    pub key: ClickKey,
}

impl ClickId {
    /// Tracking link that was clicked.
    #[must_use]
    pub fn link_id(self) -> LinkId {
        let [_, _, _, _, _, _, a, b, c, d, ..] = self.key.0.into_bytes();
        LinkId(i32::from_be_bytes([a, b, c, d]))
    }

    /// Time of the click, to the millisecond.
    #[must_use]
    pub fn clicked_at(self) -> DateTime<Utc> {
        let [a, b, c, d, e, f, ..] = self.key.0.into_bytes();
        let millis = i64::from_be_bytes([0, 0, a, b, c, d, e, f]);
        #[expect(clippy::expect_used, reason = "48 bits of milliseconds end in the year 10889")]
        DateTime::from_timestamp_millis(millis).expect("a time of 48 bits is valid")
    }
}

/// Reason why a text is no valid click ID.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClickIdFlaw {
    /// Valid except for its letter case.
    LetterCase {
        /// Click ID as issued.
        correct: String,
    },
    /// Valid except for white space or quotes around it.
    Padded,
    /// Valid characters, but too few or too many; with their number.
    Length(usize),
    /// Valid format, but never issued or altered: the MAC or the time does not match the key.
    NotGenuine,
    /// Genuine click ID of another network.
    OtherNetwork,
    /// No resemblance to a click ID.
    NotOurs,
}

/// Issues and verifies click IDs, with keys derived from the installation's secret.
#[derive(Clone)]
pub struct ClickIds {
    secret: Secret,
    /// Derived keys by network and number, copied for each signature.
    keys: Arc<Cache<(NetworkId, u8), Hmac<Sha256>>>,
}

impl ClickIds {
    /// Creates the click IDs of an installation.
    #[must_use]
    pub fn new(secret: Secret) -> Self {
        Self {
            secret,
            keys: Arc::new(Cache::new(10_000)),
        }
    }

    /// Key for a new click: time, link, and random bits.
    #[must_use]
    pub fn fresh_key(link_id: LinkId, at: DateTime<Utc>) -> ClickKey {
        let millis = u64::try_from(at.timestamp_millis()).unwrap_or(0).to_be_bytes();
        let link = link_id.0.to_be_bytes();
        let random: [u8; 6] = rand::random();
        let mut bytes = [0; 16];
        let parts = millis.iter().skip(2).chain(&link).chain(&random);
        bytes.iter_mut().zip(parts).for_each(|(byte, part)| *byte = *part);
        ClickKey(Uuid::from_bytes(bytes))
    }

    /// Text of a click ID, 44 characters, signed with the key in use, or the previous one for a click before its time.
    #[must_use]
    pub fn write(&self, id: ClickId, key_in_use: ClickKeyInUse) -> String {
        let mut bytes = Vec::with_capacity(BYTES);
        let is_earlier = key_in_use.number > 1 && id.clicked_at() < key_in_use.since;
        let number = key_number(key_in_use) - u8::from(is_earlier);
        let key = id.key.0.into_bytes();
        let (time, link_and_random) = key.split_at(6);
        bytes.push(number);
        bytes.extend_from_slice(time);
        bytes.extend_from_slice(&id.network_id.0.to_be_bytes());
        bytes.extend_from_slice(link_and_random);
        let mac = self.mac(id.network_id, number, &bytes);
        bytes.extend_from_slice(&mac);
        BASE32.encode(&bytes)
    }

    /// Verifies a click ID of this network, which must be exactly as issued.
    ///
    /// # Errors
    /// [`ClickIdFlaw`]: the most specific one.
    pub fn read(
        &self,
        text: &str,
        network_id: NetworkId,
        key_in_use: ClickKeyInUse,
    ) -> Result<ClickId, ClickIdFlaw> {
        let is_in_time = |id: ClickId, number: u8| {
            let in_use = key_number(key_in_use);
            number == in_use || number < in_use && id.clicked_at() < key_in_use.since
        };
        let flaw = match self.genuine(text) {
            Ok((id, _)) if id.network_id != network_id => return Err(ClickIdFlaw::OtherNetwork),
            Ok((id, number)) if is_in_time(id, number) => return Ok(id),
            Ok(_) => return Err(ClickIdFlaw::NotGenuine),
            Err(flaw) => flaw,
        };
        let is_valid = |text: &str| {
            let genuine = self.genuine(text);
            genuine.is_ok_and(|(id, number)| id.network_id == network_id && is_in_time(id, number))
        };
        let lower = text.to_ascii_lowercase();
        if is_valid(&lower) {
            return Err(ClickIdFlaw::LetterCase { correct: lower });
        }
        let bare = text.trim_matches(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '“' | '”'));
        if bare != text && is_valid(&bare.to_ascii_lowercase()) {
            return Err(ClickIdFlaw::Padded);
        }
        Err(flaw)
    }

    /// Genuine click ID, and the number of the key that signed it.
    fn genuine(&self, text: &str) -> Result<(ClickId, u8), ClickIdFlaw> {
        if text.len() != LENGTH {
            let has_alphabet = text
                .bytes()
                .all(|byte| BASE32.specification().symbols.as_bytes().contains(&byte));
            // Click IDs begin with a key's number below 128 and a time of this century, whose first bits are zero;
            // texts of another length that begin differently come from another system.
            let begins_like_ours = text
                .as_bytes()
                .first()
                .is_some_and(|byte| (b'0'..=b'f').contains(byte))
                && text.as_bytes().get(2) == Some(&b'0');
            return Err(if has_alphabet && begins_like_ours && text.len() > 8 {
                ClickIdFlaw::Length(text.len())
            } else {
                ClickIdFlaw::NotOurs
            });
        }
        let bytes: [u8; BYTES] = BASE32
            .decode(text.as_bytes())
            .ok()
            .and_then(|bytes| bytes.try_into().ok())
            .ok_or(ClickIdFlaw::NotOurs)?;
        let (signed, mac) = bytes.split_at(SIGNED);
        let (header, link_and_random) = signed.split_at(11);
        let [number, a, b, c, d, e, f, network @ ..] = header else {
            return Err(ClickIdFlaw::NotOurs);
        };
        let network = network
            .try_into()
            .map(i32::from_be_bytes)
            .map_err(|_| ClickIdFlaw::NotOurs)?;
        if !(1..=127).contains(number) {
            return Err(ClickIdFlaw::NotOurs);
        }
        let network_id = NetworkId(network);
        if !bool::from(self.mac(network_id, *number, signed).ct_eq(mac)) {
            return Err(ClickIdFlaw::NotGenuine);
        }
        let mut key = vec![*a, *b, *c, *d, *e, *f];
        key.extend_from_slice(link_and_random);
        let key = Uuid::from_slice(&key).map_err(|_| ClickIdFlaw::NotOurs)?;
        let key = ClickKey(key);
        Ok((ClickId { network_id, key }, *number))
    }

    fn mac(&self, network_id: NetworkId, number: u8, signed: &[u8]) -> [u8; 6] {
        let mut mac = match self.keys.get(&(network_id, number)) {
            Some(key) => key,
            None => {
                let key = self.key(network_id, number);
                self.keys.insert((network_id, number), key.clone());
                key
            }
        };
        mac.update(signed);
        let [a, b, c, d, e, f, ..] = <[u8; 32]>::from(mac.finalize().into_bytes());
        [a, b, c, d, e, f]
    }

    fn key(&self, network_id: NetworkId, number: u8) -> Hmac<Sha256> {
        let mut purpose = b"click id ".to_vec();
        purpose.extend_from_slice(&network_id.0.to_be_bytes());
        // The first key is derived without its number, because click IDs were signed with it before keys had numbers.
        purpose.extend((number > 1).then_some(number));
        #[expect(clippy::expect_used, reason = "HMAC takes keys of any length")]
        Hmac::new_from_slice(&self.secret.derive(&purpose)).expect("HMAC takes any key")
    }
}

/// Number of the key; the database limits it to 1 to 127.
fn key_number(key: ClickKeyInUse) -> u8 {
    u8::try_from(key.number).unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NETWORK: NetworkId = NetworkId(1_580_030_173);

    const KEY: ClickKeyInUse = ClickKeyInUse {
        number: 1,
        since: DateTime::UNIX_EPOCH,
    };

    fn ids() -> ClickIds {
        ClickIds::new(Secret::from_text(&"0".repeat(52)).unwrap())
    }

    fn id(millis: i64, link: i32) -> ClickId {
        let at = DateTime::from_timestamp_millis(millis).unwrap();
        ClickId {
            network_id: NETWORK,
            key: ClickIds::fresh_key(LinkId(link), at),
        }
    }

    #[test]
    fn an_id_contains_its_link_and_its_time() {
        let id = id(1_795_000_000_123, 7);
        assert_eq!(
            (id.link_id(), id.clicked_at().timestamp_millis()),
            (LinkId(7), 1_795_000_000_123)
        );
    }

    #[test]
    fn flaws_are_distinguished() {
        let ids = ids();
        let good = ids.write(id(1_795_000_000_000, 7), KEY);
        let flaw = |text: &str| ids.read(text, NETWORK, KEY).unwrap_err();
        assert_eq!(
            flaw(&good.to_uppercase()),
            ClickIdFlaw::LetterCase {
                correct: good.clone()
            }
        );
        assert_eq!(flaw(&format!(" {good}")), ClickIdFlaw::Padded);
        assert_eq!(flaw(&format!("\"{good}\"")), ClickIdFlaw::Padded);
        assert_eq!(flaw(&good[..43]), ClickIdFlaw::Length(43));
        assert_eq!(flaw(&format!("{good}0")), ClickIdFlaw::Length(45));
        assert_eq!(flaw("4f2a-11"), ClickIdFlaw::NotOurs);
        assert_eq!(flaw(""), ClickIdFlaw::NotOurs);
        assert_eq!(ids.read(&good, NetworkId(2), KEY), Err(ClickIdFlaw::OtherNetwork));
        let other_installation = ClickIds::new(Secret::random());
        assert_eq!(
            other_installation.read(&good, NETWORK, KEY),
            Err(ClickIdFlaw::NotGenuine)
        );
    }

    #[test]
    fn no_flipped_bit_is_accepted() {
        let ids = ids();
        let bytes = BASE32
            .decode(ids.write(id(1_795_000_000_000, 7), KEY).as_bytes())
            .unwrap();
        for bit in 0..BYTES * 8 {
            let mut forged = bytes.clone();
            forged[bit / 8] ^= 1 << (bit % 8);
            assert!(
                ids.read(&BASE32.encode(&forged), NETWORK, KEY).is_err(),
                "bit {bit}"
            );
        }
    }

    #[test]
    fn ids_under_a_replaced_key_are_valid_only_for_earlier_clicks() {
        let ids = ids();
        let since = DateTime::from_timestamp_millis(1_795_000_000_000).unwrap();
        let second = ClickKeyInUse { number: 2, since };
        let (before, after) = (id(1_794_999_999_999, 7), id(1_795_000_000_000, 7));
        assert_eq!(ids.read(&ids.write(before, KEY), NETWORK, second), Ok(before));
        assert_eq!(
            ids.read(&ids.write(after, KEY), NETWORK, second),
            Err(ClickIdFlaw::NotGenuine)
        );
        assert_eq!(ids.read(&ids.write(after, second), NETWORK, second), Ok(after));
        // Nodes with and without the new key accept each other's click IDs until it signs.
        assert_eq!(ids.write(before, second), ids.write(before, KEY));
        // A key that is not in use yet signs nothing.
        assert_eq!(
            ids.read(&ids.write(after, second), NETWORK, KEY),
            Err(ClickIdFlaw::NotGenuine)
        );
        let cut = ids.write(after, second);
        assert_eq!(
            ids.read(&cut[..40], NETWORK, second),
            Err(ClickIdFlaw::Length(40))
        );
    }

    proptest! {
        #[test]
        fn a_written_id_reads_back(millis in 0..4_102_444_800_000_i64, link in 1..i32::MAX) {
            let id = id(millis, link);
            let text = ids().write(id, KEY);
            prop_assert_eq!(text.len(), LENGTH);
            prop_assert!(text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit()));
            prop_assert_eq!(ids().read(&text, NETWORK, KEY), Ok(id));
        }

        #[test]
        fn ids_sort_by_time(early in 0..2_000_000_000_000_i64, later in 1..1_000_000_i64) {
            prop_assert!(ids().write(id(early, 9), KEY) < ids().write(id(early + later, 3), KEY));
        }

        #[test]
        fn no_text_makes_the_reader_panic(text in ".{0,80}") {
            prop_assert!(ids().read(&text, NETWORK, KEY).is_err());
        }
    }
}
