//! Recognition and parsing of a call in one pass: its query and body are decoded once.

use crate::collect::pairs;
use crate::recognise::recognise_pairs;
use crate::{Dialect, Postback, Problem, RawCall, systems};

/// Dialect of a call together with everything read from it.
#[derive(Debug, Clone)]
pub struct ParsedCall {
    /// Recognised dialect; ours if the path belongs to none.
    pub dialect: &'static Dialect,
    /// Fields that could be read, also beside a problem. Holds secrets and personal data as sent.
    pub postback: Postback,
    /// First problem in reading order; a call with one must not be acted on. `None` if all of it could be read.
    pub problem: Option<Problem>,
}

/// Recognises the dialect of a call and parses the call by it, as [`of_call`](crate::of_call) and [`Dialect::parse`]
/// do one after the other, but decoding query and body only once. A call whose path belongs to no dialect is parsed by
/// our own: the sender still gets an answer that names the problem.
///
/// ```
/// use dialects::{RawCall, parse_call};
/// let parsed = parse_call(&RawCall::get("/aff_lsr?transaction_id=c1&amount=12,5"));
/// assert_eq!(parsed.dialect.key, "tune");
/// assert_eq!(parsed.postback.click_ids, ["c1"]);
/// assert!(parsed.problem.is_some());
/// ```
#[must_use]
pub fn parse_call(call: &RawCall<'_>) -> ParsedCall {
    let pairs = pairs(call);
    let dialect = recognise_pairs(call.path(), &pairs).unwrap_or(systems::native());
    let (postback, problem) = dialect.parse_pairs(call, pairs);
    ParsedCall {
        dialect,
        postback,
        problem,
    }
}
