//! Any JSON body, in every dialect.
//!
//! `cargo +nightly fuzz run json` in `crates/dialects`.
#![no_main]

use dialects::{RawCall, all};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|body: &[u8]| {
    let call = RawCall {
        method: "POST",
        target: "/postback",
        content_type: Some("application/json"),
        body,
        ..RawCall::default()
    };
    for dialect in all() {
        let (read, _) = dialect.parse(&call);
        assert!(read.items.len() <= dialects::ITEM_LIMIT && read.extra.len() <= 200);
    }
});
