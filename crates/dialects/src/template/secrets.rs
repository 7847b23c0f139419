//! Secrets in URLs, which are removed before storage.

use crate::is_placeholder;

/// Endings of the names of parameters whose values are secrets.
const NAMES: [&str; 9] = [
    "token",
    "secret",
    "password",
    "api_key",
    "apikey",
    "api-key",
    "auth",
    "signature",
    "secure",
];

/// Placeholder for a removed secret.
const PLACEHOLDER: &str = "YOUR_TOKEN";

/// Parameters of a URL's query whose values are secrets, recognised by name.
pub fn secrets(url: &str) -> impl Iterator<Item = &str> {
    let (_, query) = url.split_once('?').unwrap_or_default();
    let names = query.split('&').filter_map(|pair| pair.split_once('='));
    names.map(|(name, _)| name).filter(|name| is_secret(name))
}

/// URL with a placeholder for every secret. Macros stay, because they are replaced when the call is made.
///
/// ```
/// let url = "https://t.example/postback?click_id={sub1}&token=abc&secret={secret}";
/// let kept = "https://t.example/postback?click_id={sub1}&token=YOUR_TOKEN&secret={secret}";
/// assert_eq!(dialects::template::without_secrets(url), kept);
/// ```
#[must_use]
pub fn without_secrets(url: &str) -> String {
    let Some((before, query)) = url.split_once('?') else {
        return url.to_owned();
    };
    let kept = query.split('&').map(|pair| match pair.split_once('=') {
        Some((name, value)) if is_secret(name) && !value.is_empty() && !is_placeholder(value) => {
            format!("{name}={PLACEHOLDER}")
        }
        _ => pair.to_owned(),
    });
    let kept: Vec<String> = kept.collect();
    format!("{before}?{}", kept.join("&"))
}

/// URL in which each placeholder is replaced by the secret that another URL has in the same parameter.
///
/// ```
/// let shown = "https://t.example/postback?cid={sub2}&token=YOUR_TOKEN";
/// let known = "https://t.example/postback?cid={sub1}&token=abc";
/// let url = "https://t.example/postback?cid={sub2}&token=abc";
/// assert_eq!(dialects::template::with_secrets(shown, known), url);
/// ```
#[must_use]
pub fn with_secrets(url: &str, known: &str) -> String {
    let Some((before, query)) = url.split_once('?') else {
        return url.to_owned();
    };
    let (_, known) = known.split_once('?').unwrap_or_default();
    let value_of = |name: &str| {
        let pairs = known.split('&').filter_map(|pair| pair.split_once('='));
        pairs
            .into_iter()
            .find(|(other, _)| *other == name)
            .map(|(_, value)| value)
    };
    let filled = query.split('&').map(|pair| match pair.split_once('=') {
        Some((name, PLACEHOLDER)) => format!("{name}={}", value_of(name).unwrap_or(PLACEHOLDER)),
        _ => pair.to_owned(),
    });
    let filled: Vec<String> = filled.collect();
    format!("{before}?{}", filled.join("&"))
}

fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    NAMES.iter().any(|secret| name.ends_with(secret))
}
