//! Any path: its dialect, and Partnerize's grammar.
//!
//! `cargo +nightly fuzz run path` in `crates/dialects`.
#![no_main]

use dialects::{RawCall, of_key, parse_call};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|path: &str| {
    let _ = parse_call(&RawCall::get(path));
    let target = format!("/conversion/{path}");
    if let Some(partnerize) = of_key("partnerize") {
        let (read, problem) = partnerize.parse(&RawCall::get(&target));
        assert!(read.items.len() <= dialects::ITEM_LIMIT);
        // A call built from any parsed postback parses without a problem.
        if problem.is_none() && let Some(built) = partnerize.build("", &read) {
            assert_eq!(partnerize.parse(&built.as_received("")).1, None);
        }
    }
});
