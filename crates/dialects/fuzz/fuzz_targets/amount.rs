//! Any text as an amount: a parsed amount survives a round trip.
//!
//! `cargo +nightly fuzz run amount` in `crates/dialects`.
#![no_main]

use dialects::Amount;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(amount) = Amount::parse(text) {
        assert_eq!(Amount::parse(&amount.to_string()), Ok(amount));
        assert_eq!(Amount::parse_with_comma(text), Ok(amount));
    }
    let _ = Amount::parse_with_comma(text);
    for currency in [None, Some("EUR"), Some("JPY"), Some("KWD"), Some(text)] {
        if let Ok(amount) = Amount::parse_minor(text, currency) {
            assert!(amount.micros >= 0);
            let _ = amount.to_minor(currency);
        }
    }
    let _ = dialects::is_placeholder(text);
});
