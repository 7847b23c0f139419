//! Recognition of a call's dialect by its path and, if several dialects share the path, by its parameters.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;
use std::sync::LazyLock;

use crate::collect::{PARAMETER_LIMIT, Pair, pairs};
use crate::dialect::{Dialect, Endpoint};
use crate::field::Field;
use crate::{RawCall, systems};

/// Path of our own dialect; the key of any dialect may follow.
const OWN: &str = "postback";
/// Maximum number of path segments compared with patterns.
const SEGMENT_LIMIT: usize = 64;
/// Maximum number of remembered calls per thread.
const REMEMBERED_CALLS: usize = 1024;
/// Maximum length of the path and names of a remembered call, in bytes.
const REMEMBERED_LENGTH: usize = 512;

/// Recognises the dialect of a call. `None` if the path belongs to no dialect: then the call is no postback.
///
/// `/postback/{key}` names the dialect. Otherwise the path decides, and among dialects with the same path their
/// distinctive parameters; `/postback` without any of those is our own dialect.
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
    recognise(call.path(), || names(&pairs(call)))
}

/// True if a request target (path and query) belongs to a dialect, so that the request is a postback. Decodes the query
/// only of a target whose path does not decide.
///
/// ```
/// use dialects::is_postback_target;
/// assert!(is_postback_target("/postback") && is_postback_target("/?nid=1&transaction_id=2"));
/// assert!(!is_postback_target("/summer-sale") && !is_postback_target("/"));
/// ```
#[must_use]
pub fn is_postback_target(target: &str) -> bool {
    let call = RawCall::get(target);
    let segments = segments(call.path());
    if named(&segments).is_some() {
        return true;
    }
    let candidates = candidates(&segments);
    let needs_parameters = segments.is_empty() || candidates.iter().all(|(_, endpoint)| endpoint.needs_mark);
    !candidates.is_empty() && (!needs_parameters || of_call(&call).is_some())
}

/// Dialect of a path, with the names of the call's parameters decoded only where the path leaves a choice.
fn recognise(path: &str, names: impl FnOnce() -> Names) -> Option<&'static Dialect> {
    let segments = segments(path);
    if let Some(dialect) = named(&segments) {
        return Some(dialect);
    }
    let mut candidates = candidates(&segments);
    match candidates.as_slice() {
        [] => None,
        // The root and a shared path do not identify a dialect without parameters.
        [(only, endpoint)] if !segments.is_empty() && !endpoint.needs_mark => Some(*only),
        _ => {
            let names = names();
            candidates.retain(|(_, endpoint)| !endpoint.needs_mark || names.have(endpoint.marks));
            by_parameters(&names, &candidates, &segments)
        }
    }
}

thread_local! {
    /// Dialects of recent calls by path and parameter names, which are all that recognition depends on. A sender repeats them
    /// with each call.
    static REMEMBERED: RefCell<HashMap<String, &'static Dialect>> = RefCell::new(HashMap::new());
}

/// Dialect of a path and decoded parameters.
pub(crate) fn recognise_pairs(path: &str, pairs: &[Pair]) -> Option<&'static Dialect> {
    let recognised = || recognise(path, || names(pairs));
    let Some(key) = remembered_key(path, pairs) else {
        return recognised();
    };
    if let Some(dialect) = REMEMBERED.with_borrow(|remembered| remembered.get(&key).copied()) {
        return Some(dialect);
    }
    let dialect = recognised()?;
    REMEMBERED.with_borrow_mut(|remembered| {
        if remembered.len() >= REMEMBERED_CALLS {
            remembered.clear();
        }
        remembered.insert(key, dialect);
    });
    Some(dialect)
}

/// Path and names of a call, and which of them have a value; `None` if they are too long. Each has its length, because it may
/// contain any character.
fn remembered_key(path: &str, pairs: &[Pair]) -> Option<String> {
    let mut key = format!("{}:{path}", path.len());
    for (name, value) in pairs.iter().flatten() {
        let mark = if value.is_empty() { '-' } else { '+' };
        let _ = write!(key, "{mark}{}:{name}", name.len());
        if key.len() > REMEMBERED_LENGTH {
            return None;
        }
    }
    Some(key)
}

/// Dialect whose key follows `/postback/`.
fn named(segments: &[&str]) -> Option<&'static Dialect> {
    match segments {
        [OWN, key, ..] => systems::of_key(key),
        _ => None,
    }
}

/// Beginnings of first path segments by which a request may be a postback, if its parameters say so: `SP` of `/SP*`.
pub fn marked_prefixes() -> impl Iterator<Item = &'static str> {
    let endpoints = systems::all().iter().flat_map(|dialect| dialect.endpoints);
    let segments = endpoints.filter_map(|endpoint| endpoint.path.split('/').nth(1));
    segments.filter_map(|segment| segment.strip_suffix('*').filter(|prefix| !prefix.is_empty()))
}

/// First path segments of all dialects, which no tracking link may use.
pub fn reserved_segments() -> impl Iterator<Item = &'static str> {
    let mut named = HashSet::new();
    systems::all()
        .iter()
        .flat_map(|dialect| dialect.endpoints)
        .filter(|endpoint| !endpoint.needs_mark)
        .filter_map(|endpoint| endpoint.path.split('/').find(|segment| !segment.is_empty()))
        .filter(move |segment| *segment != "*" && named.insert(*segment))
}

/// True if a path is one of a dialect's paths, apart from `/postback/{key}`.
pub(crate) fn has_path(dialect: &Dialect, path: &str) -> bool {
    let segments = segments(path);
    dialect
        .endpoints
        .iter()
        .any(|endpoint| fit(endpoint.path, &segments).is_some())
}

/// Endpoint of a dialect for a path, or else its first.
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

/// Number of wildcards needed to match a path with a pattern; `None` without a match.
fn fit(pattern: &str, segments: &[&str]) -> Option<usize> {
    let mut wildcards = 0;
    let mut rest = segments.iter();
    for part in pattern.split('/').filter(|part| !part.is_empty()) {
        match part {
            // Ranks below any number of single wildcards.
            "**" => return Some(wildcards + SEGMENT_LIMIT),
            "*" => {
                rest.next()?;
                wildcards += 1;
            }
            start if start.ends_with('*') => {
                let segment = rest.next()?;
                segment.strip_prefix(start.strip_suffix('*')?)?;
            }
            literal if rest.next() == Some(&literal) => {}
            _ => return None,
        }
    }
    rest.next().is_none().then_some(wildcards)
}

/// Endpoints of all dialects by the first segment of their path, so that a call is compared with few patterns. Those that
/// begin with a wildcard, or with nothing, are under `""`. The number is the position among all.
static BY_FIRST_SEGMENT: LazyLock<HashMap<&str, Vec<(usize, Candidate)>>> = LazyLock::new(|| {
    let all = systems::all().iter();
    let all = all.flat_map(|dialect| dialect.endpoints.iter().map(|endpoint| (*dialect, endpoint)));
    let mut by_first: HashMap<_, Vec<_>> = HashMap::new();
    for (position, candidate) in all.enumerate() {
        let mut parts = candidate.1.path.split('/').filter(|part| !part.is_empty());
        let literal = parts.next().filter(|part| !part.ends_with('*'));
        by_first
            .entry(literal.unwrap_or_default())
            .or_default()
            .push((position, candidate));
    }
    by_first
});

type Candidate = (&'static Dialect, &'static Endpoint);

/// Dialects whose path matches best, each with the matching endpoint.
fn candidates(segments: &[&str]) -> Vec<Candidate> {
    let beginnings = segments.first().into_iter().chain([&""]);
    let comparable = beginnings
        .filter_map(|first| BY_FIRST_SEGMENT.get(first))
        .flatten();
    let mut fitting: Vec<_> = comparable
        .filter_map(|(position, candidate)| Some((fit(candidate.1.path, segments)?, *position, *candidate)))
        .collect();
    // The first of several equal dialects wins.
    fitting.sort_unstable_by_key(|(_, position, _)| *position);
    let best = fitting.iter().map(|(wildcards, ..)| *wildcards).min();
    fitting.retain(|(wildcards, ..)| Some(*wildcards) == best);
    fitting.into_iter().map(|(.., candidate)| candidate).collect()
}

fn by_parameters(
    names: &Names,
    candidates: &[(&'static Dialect, &'static Endpoint)],
    segments: &[&str],
) -> Option<&'static Dialect> {
    let own = systems::native();
    let filled = &names.filled;
    let known = |dialect: &Dialect| {
        let known = filled.iter().filter(|name| dialect.meaning(name) != Field::Extra);
        known.count()
    };
    let has_own = candidates.iter().any(|(dialect, _)| dialect.key == own.key);
    let is_own = has_own && filled.contains("click_id");
    // `?cid=…&order_id=…&amount=…` is our format with a wrong name, although `cid` is another's click.
    let known_to_us = if has_own { known(own) } else { 0 };
    let mut best: Option<(usize, &'static Dialect)> = None;
    for (dialect, endpoint) in candidates {
        // A name of a click alone is no mark here: `known` weighs it.
        let is_mark = |mark: &str| filled.contains(mark) && dialect.meaning(mark) != Field::ClickId;
        let marked = endpoint.marks.iter().any(|mark| is_mark(mark));
        let named = filled.iter().any(|name| dialect.meaning(name) == Field::ClickId);
        let ours = dialect.key == own.key;
        let known = known(dialect);
        if !(marked || (named && (ours || !is_own && known >= known_to_us))) {
            continue;
        }
        if best.is_none_or(|(most, _)| known > most) {
            best = Some((known, dialect));
        }
    }
    let has_empty = |endpoint: &Endpoint| endpoint.marks.iter().any(|mark| names.empty.contains(*mark));
    let by_empty = || candidates.iter().find(|(_, endpoint)| has_empty(endpoint));
    let fallback = || by_empty().or(candidates.first()).map(|(dialect, _)| *dialect);
    match best {
        Some((_, dialect)) => Some(dialect),
        None if segments.is_empty() => None,
        None => fallback(),
    }
}

/// Names of the first parameters of a call.
struct Names {
    /// With a value.
    filled: HashSet<String>,
    /// Without one.
    empty: HashSet<String>,
}

impl Names {
    /// True if one of the names was sent, even without a value.
    fn have(&self, wanted: &[&str]) -> bool {
        wanted
            .iter()
            .any(|name| self.filled.contains(*name) || self.empty.contains(*name))
    }
}

/// Names of the first parameters of a call.
fn names(pairs: &[Pair]) -> Names {
    let mut names = Names {
        filled: HashSet::new(),
        empty: HashSet::new(),
    };
    for (name, value) in pairs.iter().flatten().take(2 * PARAMETER_LIMIT) {
        let set = if value.is_empty() {
            &mut names.empty
        } else {
            &mut names.filled
        };
        if set.len() < PARAMETER_LIMIT {
            set.insert(name.clone());
        }
    }
    names
}
