//! Detection of a pasted call: its dialect, the meaning of its parameters, and what to correct.

mod candidates;
mod curl;
mod paste;
mod warnings;

use crate::collect::collect;
use crate::field::Field;
use crate::{Dialect, RawCall, recognise};

pub use candidates::Candidate;
pub use warnings::{Warning, WarningCode};

/// Maximum length of a pasted text, in bytes.
pub const PASTE_LIMIT: usize = 64 * 1024;
/// Maximum length of a shown value, in characters.
const SHOWN: usize = 256;

/// Result of a detection.
#[derive(Debug, Clone, Default)]
pub struct Detection {
    /// Call in the text; `None` if the text contains no call.
    pub call: Option<PastedCall>,
    /// Dialects the call may be in, the most likely first; at most five.
    pub candidates: Vec<Candidate>,
    /// Meaning of the parameters in the most likely dialect, in the order sent.
    pub parameters: Vec<Meaning>,
    /// Problems of the call, current or likely.
    pub warnings: Vec<Warning>,
}

impl Detection {
    /// Most likely dialect; `None` without candidates.
    #[must_use]
    pub fn dialect(&self) -> Option<&'static Dialect> {
        self.candidates.first().map(|candidate| candidate.dialect)
    }
}

/// A pasted call.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PastedCall {
    /// Method, such as `GET` or `POST`.
    pub method: String,
    /// True for https, false for http; `None` without a scheme.
    pub https: Option<bool>,
    /// Host in lower case; `None` without a host.
    pub host: Option<String>,
    /// Path and query.
    pub target: String,
    /// `Content-Type` header; `None` if absent.
    pub content_type: Option<String>,
    /// `Authorization` header; `None` if absent.
    pub authorization: Option<String>,
    /// `X-Api-Key` or `Api-Key` header; `None` if absent.
    pub api_key: Option<String>,
    /// Body; may be empty.
    pub body: String,
}

impl PastedCall {
    /// Call as it would be received.
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

/// Meaning of a parameter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Meaning {
    /// Name, as sent.
    pub parameter: String,
    /// Decoded value, at most 256 characters; empty for a secret.
    pub value: String,
    /// Field; `None` for a parameter with a fixed value.
    pub field: Option<Field>,
}

/// Detects a pasted URL, curl command, raw HTTP request, image tag, JSON body or query string.
///
/// ```
/// let found = dialects::detect("curl -X POST https://prf.hn/conversion/tracking_mode:api/clickref:abc");
/// assert_eq!(found.dialect().map(|dialect| dialect.key), Some("partnerize"));
/// ```
#[must_use]
pub fn detect(pasted: &str) -> Detection {
    detect_with(pasted, &|_| false)
}

/// Detects a pasted call as [`detect`] does; `looks_like_click_id` recognises click ids of this installation.
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
        let same =
            |(name, value): &(&str, &str)| name.eq_ignore_ascii_case(&sent.name) && *value == sent.value;
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
