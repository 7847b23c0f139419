//! Partnerize's grammar: parameters as `key:value` segments of the path, items in brackets at its end.
//!
//! ```text
//! path  = segment *("/" segment) [ ["/"] 1*item ]
//! item  = "[" key ":" value *("/" key ":" value) "]"
//! ```
//! The grammar applies to the raw request target: `%2F`, `%3A`, `%5B` and `%5D` in a value are part of the value.

use crate::Problem;
use crate::decode::decode_segment;
use crate::postback::ITEM_LIMIT;

/// One `key:value` and the number of its item from 0; `None` outside of items.
pub(crate) type PathPair = (Option<usize>, Result<(String, String), Problem>);

/// Passes the pairs of a raw path to `sink`. Segments without a colon (`conversion`, a custom string) are skipped.
///
/// Brackets around items may be percent-encoded, as some libraries do: no key begins with a bracket.
pub(crate) fn pairs(path: &str, sink: &mut dyn FnMut(PathPair)) {
    let mut rest = path;
    let mut number = 0;
    while let Some((before, opened, encoded)) = next_item(rest) {
        segments(before, None, sink);
        if number == ITEM_LIMIT {
            return sink((None, Err(too_many())));
        }
        let Some((item, after)) = close(opened, encoded) else {
            return sink((None, Err(unclosed(number))));
        };
        segments(item, Some(number), sink);
        number += 1;
        rest = after;
    }
    // Not in the grammar, but dropping a parameter after the items would be guessing.
    segments(rest, None, sink);
}

/// Text before the next item, text after its bracket, and true if the bracket was percent-encoded.
fn next_item(text: &str) -> Option<(&str, &str, bool)> {
    let plain = text.find('[');
    let encoded = ["/%5B", "/%5b"]
        .iter()
        .filter_map(|bracket| text.find(bracket))
        .min();
    // Directly after a closed item.
    let next = text
        .get(..3)
        .is_some_and(|start| start.eq_ignore_ascii_case("%5B"));
    match (next, plain, encoded) {
        (true, ..) => Some(("", text.get(3..)?, true)),
        (_, Some(plain), encoded) if encoded.is_none_or(|encoded| plain < encoded) => {
            Some((text.get(..plain)?, text.get(plain + 1..)?, false))
        }
        (_, _, Some(encoded)) => Some((text.get(..encoded)?, text.get(encoded + 4..)?, true)),
        _ => None,
    }
}

/// Splits at the bracket that closes an item: a percent-encoded one only at the end of its segment.
fn close(opened: &str, encoded: bool) -> Option<(&str, &str)> {
    if !encoded {
        return opened.split_once(']');
    }
    let ends = |at: &usize| {
        let after = opened.get(at + 3..).unwrap_or_default();
        let next = after
            .get(..3)
            .is_some_and(|start| start.eq_ignore_ascii_case("%5B"));
        after.is_empty() || after.starts_with(['/', '[']) || next
    };
    let at = opened
        .match_indices('%')
        .map(|(at, _)| at)
        .filter(|at| {
            opened
                .get(*at..at + 3)
                .is_some_and(|code| code.eq_ignore_ascii_case("%5D"))
        })
        .find(ends)?;
    Some((opened.get(..at)?, opened.get(at + 3..)?))
}

fn too_many() -> Problem {
    Problem::Malformed {
        parameter: "items".to_owned(),
        detail: format!("the path has more than {ITEM_LIMIT} items"),
    }
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
