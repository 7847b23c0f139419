//! Addresses whose clicks a network does not take for valid ones.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::error::FieldErrors;

/// Most addresses of a network: each click is compared with all of them.
const MOST: usize = 200;

/// An address or a network (CIDR) in its usual spelling: without what a network's own bits leave out, and a network of
/// one address as that address.
///
/// # Errors
/// What is wrong, for the person who typed it.
pub fn check_address(text: &str) -> Result<String, String> {
    let text = text.trim();
    let net = match text.parse::<IpAddr>() {
        Ok(address) => Ok(IpNet::from(address.to_canonical())),
        Err(_) => text.parse::<IpNet>(),
    };
    let net = net
        .map_err(|_| {
            format!("“{text}” is not an address such as 203.0.113.7, or a network such as 203.0.113.0/24.")
        })?
        .trunc();
    Ok(match net.prefix_len() == net.max_prefix_len() {
        true => net.addr().to_string(),
        false => net.to_string(),
    })
}

/// All of them checked, each once; what is wrong stands under `blocked_addresses`.
pub(super) fn check_addresses(typed: &[String], errors: &mut FieldErrors) -> Vec<String> {
    let mut checked: Vec<String> = Vec::new();
    // The first that is wrong is told: people mend them from the top.
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
    if typed.len() > MOST {
        errors.add("blocked_addresses", format!("Block at most {MOST} addresses."));
    }
    checked
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_the_same_however_it_is_spelled() {
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
    fn each_address_is_kept_once_and_there_are_not_too_many() {
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
