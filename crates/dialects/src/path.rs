//! Partnerize's grammar: parameters as `key:value` segments of the path, items in brackets at its end.
//!
//! ```text
//! path  = segment *("/" segment) [ ["/"] 1*item ]
//! item  = "[" key ":" value *("/" key ":" value) "]"
//! ```
//! It is read from the raw request target: `%2F`, `%3A`, `%5B` and `%5D` in a value are part of the value.

use crate::Problem;
use crate::decode::decode_segment;

/// One `key:value`, and the item it belongs to, if any, counted from 0.
pub(crate) type PathPair = (Option<usize>, Result<(String, String), Problem>);

/// Hands out the pairs of a raw path. Segments without a colon (`conversion`, a custom string) are skipped.
pub(crate) fn pairs(path: &str, sink: &mut dyn FnMut(PathPair)) {
    let (order, basket) = match path.find('[') {
        Some(at) => path.split_at_checked(at).unwrap_or((path, "")),
        None => (path, ""),
    };
    segments(order, None, sink);
    let mut rest = basket;
    let mut number = 0;
    while let Some(opened) = rest.trim_start_matches('/').strip_prefix('[') {
        let Some((item, after)) = opened.split_once(']') else {
            return sink((None, Err(unclosed(number))));
        };
        segments(item, Some(number), sink);
        number += 1;
        rest = after;
    }
    // A parameter behind the items is not in the grammar, and dropping it would be guessing.
    segments(rest, None, sink);
}

fn unclosed(number: usize) -> Problem {
    Problem::Malformed {
        parameter: format!("item {number}"),
        detail: "it has no closing ]".to_owned(),
    }
}

fn segments(text: &str, item: Option<usize>, sink: &mut dyn FnMut(PathPair)) {
    for segment in text.split('/') {
        if let Some((name, value)) = segment.split_once(':') {
            sink((item, decode_segment(name, value)));
        }
    }
}
