//! Any pasted text.
//!
//! `cargo +nightly fuzz run detect` in `crates/dialects`.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    for text in [text.to_owned(), format!("curl {text}")] {
        let found = dialects::detect::detect_with(&text, &|value| value.len() > 3);
        assert!(found.candidates.len() <= 5 && found.warnings.len() <= 50);
    }
});
