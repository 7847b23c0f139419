//! Candidate dialects of a call, scored by host, path and parameters.

use crate::collect::collect;
use crate::detect::PastedCall;
use crate::field::Field;
use crate::{Dialect, all, of_call, recognise};

/// Minimum score of a candidate.
const MIN_SCORE: u8 = 25;
/// Maximum number of candidates.
const MAX_CANDIDATES: usize = 5;

/// A dialect that a call may be in.
#[derive(Debug, Clone)]
pub struct Candidate {
    /// The dialect.
    pub dialect: &'static Dialect,
    /// Score, 0 to 100.
    pub score: u8,
    /// Reasons for the score, in one sentence.
    pub why: String,
}

/// Candidates, the most likely first.
pub(crate) fn of(call: &PastedCall) -> Vec<Candidate> {
    let mut candidates: Vec<Candidate> = all().iter().map(|dialect| score(dialect, call)).collect();
    candidates.retain(|candidate| candidate.score >= MIN_SCORE);
    // Stable: among equal scores the earlier dialect comes first, as when a call is recognised.
    candidates.sort_by_key(|candidate| std::cmp::Reverse(candidate.score));
    candidates.truncate(MAX_CANDIDATES);
    candidates
}

fn score(dialect: &'static Dialect, call: &PastedCall) -> Candidate {
    let raw = call.raw();
    let mut score = 0;
    let mut reasons = Vec::new();
    let key = format!("/postback/{}", dialect.key);
    if raw.path() == key || raw.path().starts_with(&format!("{key}/")) {
        score += 50;
        reasons.push("the path names the system".to_owned());
    }
    if let Some(host) = call.host.as_deref().filter(|host| is_host(dialect, host)) {
        score += 30;
        reasons.push(format!(
            "{} is its host",
            host.chars().take(64).collect::<String>()
        ));
    }
    if recognise::has_path(dialect, raw.path()) {
        let alone = of_call(&raw).is_some_and(|recognised| recognised.key == dialect.key);
        score += if alone { 25 } else { 8 };
        reasons.push(if alone {
            "path and parameters match this system only".to_owned()
        } else {
            "the path is one of its paths".to_owned()
        });
    }
    let sent = collect(dialect, &raw).sent;
    let known = sent
        .iter()
        .filter(|one| one.claim.is_some() || dialect.meaning(&one.name) != Field::Extra)
        .count();
    if known > 0 {
        // At most 30 of 100.
        score += u8::try_from(30 * known / sent.len().max(1)).unwrap_or(30);
        reasons.push(format!("{known} of {} parameters are documented", sent.len()));
        if missing(dialect, call).is_empty() {
            score += 15;
            reasons.push("no required parameter is missing".to_owned());
        }
    }
    Candidate {
        dialect,
        score: score.min(100),
        why: sentence(&reasons),
    }
}

fn sentence(reasons: &[String]) -> String {
    let mut sentence = reasons.join("; ");
    if let Some(first) = sentence.get(..1).map(str::to_ascii_uppercase) {
        sentence.replace_range(..1, &first);
        sentence.push('.');
    }
    sentence
}

fn is_host(dialect: &Dialect, host: &str) -> bool {
    dialect.hosts.iter().any(|own| {
        host.strip_suffix(own)
            .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
    })
}

/// Required parameters that the call lacks; `a|b` if either is enough.
pub(crate) fn missing(dialect: &Dialect, call: &PastedCall) -> Vec<&'static str> {
    let sent = collect(dialect, &call.raw()).sent;
    let has = |name: &str| {
        sent.iter()
            .any(|one| !one.value.is_empty() && same(dialect, name, &one.name))
    };
    let required = dialect.required().iter().copied();
    required.filter(|names| !names.split('|').any(has)).collect()
}

/// True if a name is the required one, an alias of it, or a part of it.
fn same(dialect: &Dialect, required: &str, name: &str) -> bool {
    let place = |name| dialect.place_of(name).map(|(place, _)| place);
    let part = || {
        name.strip_prefix(required)
            .is_some_and(|rest| rest.starts_with('.'))
    };
    required.eq_ignore_ascii_case(name)
        || (place(required).is_some() && place(required) == place(name))
        || part()
}
