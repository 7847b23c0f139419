//! Which system's spelling a call is in, told by its path and, where systems share one, by its parameters.

use std::collections::HashSet;

use crate::collect::{PARAMETER_LIMIT, pairs};
use crate::dialect::{Dialect, Endpoint};
use crate::field::Field;
use crate::{RawCall, systems};

/// The path of our own spelling; a dialect's key after it names the dialect.
const OWN: &str = "postback";
/// Deepest path that any pattern is compared with.
const SEGMENT_LIMIT: usize = 64;

/// Which system's spelling a call is in. `None` where its path belongs to none: then it is no postback.
///
/// `/postback/{key}` names it. Otherwise the path does, and where several share it, the one whose distinctive
/// parameters are there; `/postback` with nothing distinctive is our own.
///
/// ```
/// use dialects::{RawCall, of_call};
/// let key = |target| of_call(&RawCall::get(target)).map(|dialect| dialect.key);
/// assert_eq!(key("/postback?click_id=1"), Some("clickledger"));
/// assert_eq!(key("/postback/tune?anything=1"), Some("tune"));
/// assert_eq!(key("/summer-sale"), None);
/// ```
#[must_use]
pub fn of_call(call: &RawCall<'_>) -> Option<&'static Dialect> {
    let segments = segments(call.path());
    if let [OWN, key, ..] = segments.as_slice()
        && let Some(dialect) = systems::of_key(key)
    {
        return Some(dialect);
    }
    let candidates = candidates(&segments);
    match candidates.as_slice() {
        [] => None,
        // On their own the root and a shared path say nothing.
        [(only, _)] if !segments.is_empty() => Some(*only),
        _ => by_parameters(call, &candidates, &segments),
    }
}

/// First path segments that belong to dialects, so that no tracking link may be called like that.
pub fn reserved_segments() -> impl Iterator<Item = &'static str> {
    let mut named = HashSet::new();
    systems::all()
        .iter()
        .flat_map(|dialect| dialect.paths())
        .filter_map(|path| path.split('/').find(|segment| !segment.is_empty()))
        .filter(move |segment| *segment != "*" && named.insert(*segment))
}

/// Whether a path is one of a dialect's own, a key in front aside.
pub(crate) fn speaks_at(dialect: &Dialect, path: &str) -> bool {
    let segments = segments(path);
    dialect
        .endpoints
        .iter()
        .any(|endpoint| fit(endpoint.path, &segments).is_some())
}

/// The endpoint of a dialect that a path is, else its first.
pub(crate) fn endpoint<'d>(dialect: &'d Dialect, path: &str) -> Option<&'d Endpoint> {
    let mut segments = segments(path);
    if let [OWN, key, ..] = segments.as_slice()
        && *key == dialect.key
    {
        segments.drain(..2);
    }
    let best = dialect
        .endpoints
        .iter()
        .filter_map(|endpoint| Some((fit(endpoint.path, &segments)?, endpoint)))
        .min_by_key(|(wildcards, _)| *wildcards);
    best.map(|(_, endpoint)| endpoint)
        .or_else(|| dialect.endpoints.first())
}

fn segments(path: &str) -> Vec<&str> {
    path.split('/')
        .filter(|segment| !segment.is_empty())
        .take(SEGMENT_LIMIT)
        .collect()
}

/// How many wildcards it takes to fit a path into a pattern; `None` where it does not fit.
fn fit(pattern: &str, segments: &[&str]) -> Option<usize> {
    let mut wildcards = 0;
    let mut rest = segments.iter();
    for part in pattern.split('/').filter(|part| !part.is_empty()) {
        match part {
            // Worse than any number of single ones.
            "**" => return Some(wildcards + SEGMENT_LIMIT),
            "*" => {
                rest.next()?;
                wildcards += 1;
            }
            literal if rest.next() == Some(&literal) => {}
            _ => return None,
        }
    }
    rest.next().is_none().then_some(wildcards)
}

/// The dialects whose path fits best, each with the endpoint that fits.
fn candidates(segments: &[&str]) -> Vec<(&'static Dialect, &'static Endpoint)> {
    let mut fitting = Vec::new();
    for dialect in systems::all() {
        for endpoint in dialect.endpoints {
            if let Some(wildcards) = fit(endpoint.path, segments) {
                fitting.push((wildcards, (*dialect, endpoint)));
            }
        }
    }
    let best = fitting.iter().map(|(wildcards, _)| *wildcards).min();
    fitting.retain(|(wildcards, _)| Some(*wildcards) == best);
    fitting.into_iter().map(|(_, candidate)| candidate).collect()
}

fn by_parameters(
    call: &RawCall<'_>,
    candidates: &[(&'static Dialect, &'static Endpoint)],
    segments: &[&str],
) -> Option<&'static Dialect> {
    let names = names(call);
    let own = systems::native();
    let is_own = names.contains("click_id") && candidates.iter().any(|(dialect, _)| dialect.key == own.key);
    let mut best: Option<(usize, &'static Dialect)> = None;
    for (dialect, endpoint) in candidates {
        let marked = endpoint.marks.iter().any(|mark| names.contains(*mark));
        let named = names.iter().any(|name| dialect.meaning(name) == Field::ClickId);
        let ours = dialect.key == own.key;
        if !(marked || (named && (ours || !is_own))) {
            continue;
        }
        let known = names
            .iter()
            .filter(|name| dialect.meaning(name) != Field::Extra)
            .count();
        if best.is_none_or(|(most, _)| known > most) {
            best = Some((known, dialect));
        }
    }
    let fallback = || candidates.first().map(|(dialect, _)| *dialect);
    match best {
        Some((_, dialect)) => Some(dialect),
        None if segments.is_empty() => None,
        None => fallback(),
    }
}

/// The names of the parameters that were not sent empty.
fn names(call: &RawCall<'_>) -> HashSet<String> {
    let mut names = HashSet::new();
    pairs(call, &mut |pair| {
        if let Ok((name, value)) = pair
            && !value.is_empty()
            && names.len() < PARAMETER_LIMIT
        {
            names.insert(name);
        }
    });
    names
}
