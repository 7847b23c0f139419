//! Parser of the server's ids, written from their published description alone.

use std::sync::LazyLock;

use data_encoding::{Encoding, Specification};

/// Lower-case Crockford base32.
pub(crate) static BASE32: LazyLock<Encoding> = LazyLock::new(|| {
    let mut specification = Specification::new();
    specification.symbols.push_str("0123456789abcdefghjkmnpqrstvwxyz");
    #[expect(
        clippy::expect_used,
        reason = "a constant alphabet of 32 distinct symbols is valid"
    )]
    specification.encoding().expect("32 symbols")
});

/// Content of a click id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ClickId {
    /// Network of the click.
    pub(crate) network: i32,
    /// Key of the click's row: time, link, random.
    pub(crate) key: u128,
}

/// Parses a click id: version, time (6 bytes), network (4), link (4), random (6), MAC (6).
pub(crate) fn click_id(text: &str) -> Option<ClickId> {
    let bytes: [u8; 27] = BASE32.decode(text.as_bytes()).ok()?.try_into().ok()?;
    let (version, rest) = bytes.split_first()?;
    let (time, rest) = rest.split_at_checked(6)?;
    let (network, rest) = rest.split_at_checked(4)?;
    let (link_and_random, _mac) = rest.split_at_checked(10)?;
    let key = [time, link_and_random].concat().try_into().ok()?;
    (*version == 1).then_some(ClickId {
        network: i32::from_be_bytes(network.try_into().ok()?),
        key: u128::from_be_bytes(key),
    })
}

/// Parses the receipt of a postback, `pb_…`.
pub(crate) fn receipt(text: &str) -> Option<u128> {
    let bytes = BASE32.decode(text.strip_prefix("pb_")?.as_bytes()).ok()?;
    bytes.try_into().ok().map(u128::from_be_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_click_id_is_read_by_its_description() {
        let mut bytes = vec![1, 0, 0, 0, 0, 0, 9, 0, 0, 0, 7, 0, 0, 0, 5, 1, 2, 3, 4, 5, 6];
        bytes.extend([0xff; 6]);
        let key = u128::from_be_bytes([0, 0, 0, 0, 0, 9, 0, 0, 0, 5, 1, 2, 3, 4, 5, 6]);
        assert_eq!(
            click_id(&BASE32.encode(&bytes)),
            Some(ClickId { network: 7, key })
        );
        bytes[0] = 2;
        assert_eq!(click_id(&BASE32.encode(&bytes)), None);
        assert_eq!(click_id("0"), None);
    }

    #[test]
    fn a_receipt_is_read() {
        let text = format!("pb_{}", BASE32.encode(&77_u128.to_be_bytes()));
        assert_eq!(receipt(&text), Some(77));
        assert_eq!(receipt("cnv_0"), None);
    }
}
