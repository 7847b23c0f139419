//! What a pasted call is: whose spelling, what each parameter means, and what is wrong with it.

mod candidates;
mod curl;
mod paste;
mod warnings;

use crate::collect::collect;
use crate::field::Field;
use crate::{Dialect, RawCall, recognise};

pub use candidates::Candidate;
pub use warnings::{Warning, WarningCode};

/// Longest text looked at, in bytes.
pub const PASTE_LIMIT: usize = 64 * 1024;
/// Longest value shown, in characters.
const SHOWN: usize = 256;

/// What a pasted text turned out to be.
#[derive(Debug, Clone, Default)]
pub struct Detection {
    /// The call in it; `None` where there is none.
    pub call: Option<PastedCall>,
    /// Whose spelling it may be, the likeliest first; at most five.
    pub candidates: Vec<Candidate>,
    /// What its parameters mean to the likeliest, in the order sent.
    pub parameters: Vec<Meaning>,
    /// What is wrong with it or about to be.
    pub warnings: Vec<Warning>,
}

impl Detection {
    /// The likeliest system.
    #[must_use]
    pub fn dialect(&self) -> Option<&'static Dialect> {
        self.candidates.first().map(|candidate| candidate.dialect)
    }
}

/// A call as it was pasted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PastedCall {
    /// `GET`, `POST` or whatever was named.
    pub method: String,
    /// Whether it is encrypted; `None` where no scheme was pasted.
    pub https: Option<bool>,
    /// The host, lower case; `None` where none was pasted.
    pub host: Option<String>,
    /// Path and query.
    pub target: String,
    /// The `Content-Type` header.
    pub content_type: Option<String>,
    /// The `Authorization` header.
    pub authorization: Option<String>,
    /// The `X-Api-Key` or `Api-Key` header.
    pub api_key: Option<String>,
    /// The body.
    pub body: String,
}

impl PastedCall {
    /// The same as it comes over the wire.
    #[must_use]
    pub fn raw(&self) -> RawCall<'_> {
        RawCall {
            method: &self.method,
            target: &self.target,
            content_type: self.content_type.as_deref(),
            authorization: self.authorization.as_deref(),
            api_key: self.api_key.as_deref(),
            body: self.body.as_bytes(),
        }
    }
}

/// What one parameter means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Meaning {
    /// Its name, as sent.
    pub parameter: String,
    /// Its value, decoded, at most 256 characters of it; empty for a secret.
    pub value: String,
    /// What it stands for; `None` where it always has this value and says nothing.
    pub field: Option<Field>,
}

/// Looks at a pasted URL, curl command, raw HTTP request, image tag, JSON body or query string.
///
/// ```
/// let found = dialects::detect("curl -X POST https://prf.hn/conversion/tracking_mode:api/clickref:abc");
/// assert_eq!(found.dialect().map(|dialect| dialect.key), Some("partnerize"));
/// ```
#[must_use]
pub fn detect(pasted: &str) -> Detection {
    detect_with(pasted, &|_| false)
}

/// The same, by someone who knows a click id when it is seen.
#[must_use]
pub fn detect_with(pasted: &str, looks_like_click_id: &dyn Fn(&str) -> bool) -> Detection {
    if pasted.len() > PASTE_LIMIT {
        return Detection {
            warnings: vec![warnings::too_large()],
            ..Detection::default()
        };
    }
    let Some(call) = paste::read(pasted) else {
        return Detection::default();
    };
    let candidates = candidates::of(&call);
    let best = candidates
        .first()
        .map_or_else(crate::native, |candidate| candidate.dialect);
    let parameters = meanings(best, &call.raw());
    let warnings = warnings::of(best, &call, &parameters, looks_like_click_id);
    let shown = |parameter: Meaning| Meaning {
        value: match parameter.field {
            Some(Field::Token) => String::new(),
            _ => parameter.value.chars().take(SHOWN).collect(),
        },
        ..parameter
    };
    Detection {
        candidates,
        parameters: parameters.into_iter().map(shown).collect(),
        warnings,
        call: Some(call),
    }
}

fn meanings(dialect: &Dialect, call: &RawCall<'_>) -> Vec<Meaning> {
    let endpoint = recognise::endpoint(dialect, call.path());
    let meaning = |sent: crate::collect::Sent| {
        let same = |(name, value): &(&str, &str)| dialect.same_name(name, &sent.name) && *value == sent.value;
        let fixed = endpoint.is_some_and(|endpoint| endpoint.fixed.iter().any(same));
        let field = match sent.claim {
            Some(_) => Field::Items,
            None => dialect.meaning(&sent.name),
        };
        Meaning {
            parameter: sent.name,
            value: sent.value,
            field: (!fixed).then_some(field),
        }
    };
    collect(dialect, call).sent.into_iter().map(meaning).collect()
}
