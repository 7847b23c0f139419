//! Blocked IP addresses of a network, whose clicks are flagged.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::error::FieldErrors;

/// Maximum number of blocked addresses, because every click is compared with all of them.
const MAX_ADDRESSES: usize = 200;

/// Normalises an IP address or a CIDR range: host bits are cleared, and a range of one address becomes that address.
///
/// # Errors
/// Error message for the field.
pub fn check_address(text: &str) -> Result<String, String> {
    let text = text.trim();
    let net = match text.parse::<IpAddr>() {
        Ok(address) => Ok(IpNet::from(address.to_canonical())),
        Err(_) => text.parse::<IpNet>(),
    };
    let net = net
        .map_err(|_| {
            format!("“{text}” is not an address such as 203.0.113.7 or a range such as 203.0.113.0/24.")
        })?
        .trunc();
    Ok(if net.prefix_len() == net.max_prefix_len() {
        net.addr().to_string()
    } else {
        net.to_string()
    })
}

/// Normalises and deduplicates the addresses; adds an error to the field `blocked_addresses` if one is invalid.
pub(super) fn check_addresses(typed: &[String], errors: &mut FieldErrors) -> Vec<String> {
    let mut checked: Vec<String> = Vec::new();
    // Only the first invalid address is reported: users correct the list from the top.
    let mut wrong = None;
    for text in typed {
        match check_address(text) {
            Ok(address) if checked.contains(&address) => {}
            Ok(address) => checked.push(address),
            Err(message) => wrong = wrong.or(Some(message)),
        }
    }
    if let Some(message) = wrong {
        errors.add("blocked_addresses", message);
    }
    if typed.len() > MAX_ADDRESSES {
        errors.add(
            "blocked_addresses",
            format!("Block at most {MAX_ADDRESSES} addresses."),
        );
    }
    checked
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_one_address_are_normalised_alike() {
        for (typed, kept) in [
            (" 203.0.113.7 ", "203.0.113.7"),
            ("203.0.113.7/32", "203.0.113.7"),
            ("203.0.113.7/24", "203.0.113.0/24"),
            ("::ffff:203.0.113.7", "203.0.113.7"),
            ("2001:DB8:0::1", "2001:db8::1"),
            ("2001:db8::1/128", "2001:db8::1"),
            ("2001:db8:1:2::9/64", "2001:db8:1:2::/64"),
        ] {
            assert_eq!(check_address(typed).as_deref(), Ok(kept), "{typed}");
        }
        for wrong in [
            "",
            "203.0.113",
            "203.0.113.0/33",
            "example.com",
            "203.0.113.7:80",
            "1.2.3.4-1.2.3.9",
        ] {
            assert!(
                check_address(wrong).unwrap_err().contains(&format!("“{wrong}”")),
                "{wrong}"
            );
        }
    }

    #[test]
    fn addresses_are_deduplicated_and_limited() {
        let list = |count: usize| {
            (0..count)
                .map(|i| format!("10.0.{}.{}", i / 256, i % 256))
                .collect::<Vec<_>>()
        };
        let mut errors = FieldErrors::default();
        assert_eq!(
            check_addresses(&[list(100), list(100)].concat(), &mut errors),
            list(100)
        );
        assert!(errors.is_empty());
        check_addresses(&list(201), &mut errors);
        assert_eq!(errors.of("blocked_addresses"), "Block at most 200 addresses.");
    }
}
