//! Whose spelling a call may be, scored by host, path and parameters.

use crate::collect::collect;
use crate::detect::PastedCall;
use crate::field::Field;
use crate::{Dialect, all, of_call, recognise};

/// Fewer points than this are a coincidence.
const ENOUGH: u8 = 25;
/// Most candidates named.
const MOST: usize = 5;

/// A system whose spelling a call may be.
#[derive(Debug, Clone)]
pub struct Candidate {
    /// The system.
    pub dialect: &'static Dialect,
    /// How much speaks for it, of a hundred.
    pub score: u8,
    /// What speaks for it, in a sentence.
    pub why: String,
}

/// The candidates, the likeliest first.
pub(crate) fn of(call: &PastedCall) -> Vec<Candidate> {
    let mut candidates: Vec<Candidate> = all().iter().map(|dialect| score(dialect, call)).collect();
    candidates.retain(|candidate| candidate.score >= ENOUGH);
    // Stable: where two score the same, the earlier in the list is meant, as when a call comes in.
    candidates.sort_by_key(|candidate| std::cmp::Reverse(candidate.score));
    candidates.truncate(MOST);
    candidates
}

fn score(dialect: &'static Dialect, call: &PastedCall) -> Candidate {
    let raw = call.raw();
    let mut score = 0;
    let mut reasons = Vec::new();
    let key = format!("/postback/{}", dialect.key);
    if raw.path() == key || raw.path().starts_with(&format!("{key}/")) {
        score += 50;
        reasons.push("the path names it".to_owned());
    }
    if let Some(host) = call.host.as_deref().filter(|host| is_host(dialect, host)) {
        score += 30;
        reasons.push(format!(
            "{} is its host",
            host.chars().take(64).collect::<String>()
        ));
    }
    if recognise::speaks_at(dialect, raw.path()) {
        let alone = of_call(&raw).is_some_and(|recognised| recognised.key == dialect.key);
        score += if alone { 25 } else { 8 };
        reasons.push(match alone {
            true => "path and parameters together are its own".to_owned(),
            false => "it has such a path".to_owned(),
        });
    }
    let sent = collect(dialect, &raw).sent;
    let known = sent
        .iter()
        .filter(|one| one.claim.is_some() || dialect.meaning(&one.name) != Field::Extra)
        .count();
    if known > 0 {
        // At most 30 of a hundred.
        score += u8::try_from(30 * known / sent.len().max(1)).unwrap_or(30);
        reasons.push(format!("{known} of {} parameters are known to it", sent.len()));
        if missing(dialect, call).is_empty() {
            score += 15;
            reasons.push("nothing it requires is missing".to_owned());
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

/// What the system requires and the call has not; `a|b` where either would do.
pub(crate) fn missing(dialect: &Dialect, call: &PastedCall) -> Vec<&'static str> {
    let sent = collect(dialect, &call.raw()).sent;
    let has = |name: &str| {
        sent.iter()
            .any(|one| !one.value.is_empty() && same(dialect, name, &one.name))
    };
    let required = dialect.required().iter().copied();
    required.filter(|names| !names.split('|').any(has)).collect()
}

/// Whether a name is the required one, an alias of it, or a part of it.
fn same(dialect: &Dialect, required: &str, name: &str) -> bool {
    let place = |name| dialect.place_of(name).map(|(place, _)| place);
    let part = || {
        name.strip_prefix(required)
            .is_some_and(|rest| rest.starts_with('.'))
    };
    dialect.same_name(required, name)
        || (place(required).is_some() && place(required) == place(name))
        || part()
}
