//! Any query, in every dialect: parsed without a panic, and the result can be built for any system.
//!
//! `cargo +nightly fuzz run query` in `crates/dialects`.
#![no_main]

use dialects::{RawCall, all, parse_call};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|query: &str| {
    let target = format!("/postback?{query}");
    let call = RawCall::get(&target);
    let _ = parse_call(&call);
    for dialect in all() {
        let (read, problem) = dialect.parse(&call);
        assert!(read.click_ids.len() <= dialects::CLICK_LIMIT && read.items.len() <= dialects::ITEM_LIMIT);
        if let Some(built) = dialect.build("https://t.example", &read) {
            assert!(!built.url.contains(['\r', '\n', ' ']));
        }
        let _ = problem.map(|problem| (problem.message(), problem.hint()));
    }
});
