//! Finding the call in a pasted text.

use crate::detect::{PastedCall, curl};

/// Finds the call: a curl command, a raw HTTP request, an image tag, a JSON body, a URL or a query string.
pub(crate) fn read(pasted: &str) -> Option<PastedCall> {
    let text = pasted.trim().trim_start_matches('\u{FEFF}');
    let text = text.strip_prefix("$ ").unwrap_or(text);
    if text.is_empty() {
        return None;
    }
    if text.starts_with("curl ") || text.starts_with("curl\t") {
        return curl::read(text);
    }
    if let Some(call) = request(text) {
        return Some(call);
    }
    match text.chars().next() {
        Some('{') => Some(json(text)),
        Some('<') => url(&attribute(text)?),
        _ => url(unquoted(text)).or_else(|| query(unquoted(text))),
    }
}

fn unquoted(text: &str) -> &str {
    let inner = |quote| text.strip_prefix(quote)?.strip_suffix(quote);
    inner('"')
        .or_else(|| inner('\''))
        .or_else(|| inner('`'))
        .unwrap_or(text)
}

fn json(text: &str) -> PastedCall {
    PastedCall {
        method: "POST".to_owned(),
        target: "/".to_owned(),
        content_type: Some("application/json".to_owned()),
        body: text.to_owned(),
        ..PastedCall::default()
    }
}

/// Parses a URL, with or without scheme and host. The URL ends at the first white space.
pub(crate) fn url(text: &str) -> Option<PastedCall> {
    let text = text.split_ascii_whitespace().next()?;
    let (https, rest) = match text.split_once("://") {
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("https") => (Some(true), rest),
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => (Some(false), rest),
        _ => (None, text.strip_prefix("//").unwrap_or(text)),
    };
    let path = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, target) = rest.split_at_checked(path)?;
    // Without a scheme, a host contains a dot, and the name of a parameter contains no `=`.
    if https.is_none() && (authority.contains('=') || (!authority.is_empty() && !authority.contains('.'))) {
        return None;
    }
    let target = target.split('#').next().unwrap_or_default();
    if authority.is_empty() && target.is_empty() {
        return None;
    }
    let host = authority.rsplit('@').next().unwrap_or_default();
    let host = host.split(':').next().unwrap_or_default().to_ascii_lowercase();
    Some(PastedCall {
        method: "GET".to_owned(),
        https,
        host: Some(host).filter(|host| !host.is_empty()),
        target: if target.starts_with('/') {
            target.to_owned()
        } else {
            format!("/{target}")
        },
        ..PastedCall::default()
    })
}

/// Parses a bare query string.
fn query(text: &str) -> Option<PastedCall> {
    let text = text.trim_start_matches(['?', '&']);
    let name = text.split_once('=').map(|(name, _)| name)?;
    let plausible = !name.is_empty() && !name.contains(char::is_whitespace) && !text.contains('\n');
    plausible.then(|| PastedCall {
        method: "GET".to_owned(),
        target: format!("/?{text}"),
        ..PastedCall::default()
    })
}

/// Finds the `src` or `href` of a tag.
fn attribute(text: &str) -> Option<String> {
    let at = ["src=", "href="]
        .iter()
        .find_map(|name| Some(text.find(name)? + name.len()))?;
    let rest = text.get(at..)?;
    let value = match rest.chars().next()? {
        quote @ ('"' | '\'') => rest.get(1..)?.split(quote).next()?,
        _ => rest.split([' ', '>']).next()?,
    };
    Some(value.replace("&amp;", "&"))
}

/// Parses a raw HTTP request: request line, headers, and the body after an empty line.
fn request(text: &str) -> Option<PastedCall> {
    let (head, body) = text
        .split_once("\r\n\r\n")
        .or_else(|| text.split_once("\n\n"))
        .unwrap_or((text, ""));
    let mut lines = head.lines();
    let mut words = lines.next()?.split_ascii_whitespace();
    let (method, target) = (words.next()?, words.next()?);
    let shouted = !method.is_empty() && method.bytes().all(|byte| byte.is_ascii_uppercase());
    let version = words.next();
    if !shouted || !(version.is_none() || version.is_some_and(|version| version.starts_with("HTTP/"))) {
        return None;
    }
    let mut call = url(target)?;
    method.clone_into(&mut call.method);
    body.clone_into(&mut call.body);
    for line in lines {
        if let Some((name, value)) = line.split_once(':') {
            header(&mut call, name, value);
        }
    }
    Some(call)
}

/// Applies a header that matters for parsing.
pub(crate) fn header(call: &mut PastedCall, name: &str, value: &str) {
    let value = value.trim().to_owned();
    match name.trim().to_ascii_lowercase().as_str() {
        "host" => {
            let host = value.split(':').next().unwrap_or_default();
            call.host = Some(host.to_ascii_lowercase());
        }
        "content-type" => call.content_type = Some(value),
        "authorization" => call.authorization = Some(value),
        "x-api-key" | "api-key" => call.api_key = Some(value),
        _ => {}
    }
}
