//! Any text as a template: a parsed template survives a round trip, and no value changes its host.
//!
//! `cargo +nightly fuzz run template` in `crates/dialects`.
#![no_main]

use dialects::Template;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (&str, &str)| {
    let (text, value) = input;
    for text in [text.to_owned(), format!("https://t.example/{text}")] {
        if let Ok(template) = Template::parse(&text) {
            assert_eq!(template.to_string(), text);
            let url = template.expand(&|_| Some(value.to_owned()));
            assert!(url.is_ascii() && !url.contains(['\r', '\n', ' ']));
            let host = |url: &str| url.splitn(4, '/').nth(2).map(str::to_owned);
            assert_eq!(host(&url), host(&template.expand(&|_| None)));
        }
    }
});
