//! Parameters on the wire: query, form, path or JSON.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// Characters to encode in a value: all but the unreserved ones of RFC 3986.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// A value of a call that is being built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Written {
    /// Text, also in JSON.
    Text(String),
    /// A number or a list, literal in JSON.
    Raw(String),
}

/// Parameters of a call that is being built, in order.
pub(crate) type Pairs = Vec<(String, Written)>;

impl Written {
    fn text(&self) -> &str {
        match self {
            Self::Text(text) | Self::Raw(text) => text,
        }
    }

    fn json(&self) -> String {
        match self {
            Self::Text(text) => quoted(text),
            Self::Raw(raw) => raw.clone(),
        }
    }
}

/// Percent-encodes a value.
pub(crate) fn encoded(text: &str) -> String {
    utf8_percent_encode(text, RESERVED).to_string()
}

/// `name=value&…`.
pub(crate) fn query(pairs: &Pairs) -> String {
    let pair = |(name, value): &(String, Written)| format!("{}={}", encoded(name), encoded(value.text()));
    pairs.iter().map(pair).collect::<Vec<_>>().join("&")
}

/// Appends parameters to a URL as its query.
pub(crate) fn append_query(url: &mut String, pairs: &Pairs) {
    if !pairs.is_empty() {
        url.push('?');
        url.push_str(&query(pairs));
    }
}

/// Appends `/key:value` segments to a URL, followed by items in brackets.
pub(crate) fn append_path(url: &mut String, pairs: &Pairs, items: &[Pairs]) {
    let pair = |(name, value): &(String, Written)| format!("{}:{}", encoded(name), encoded(value.text()));
    for one in pairs {
        url.push('/');
        url.push_str(&pair(one));
    }
    if !items.is_empty() {
        url.push('/');
    }
    for item in items {
        let parts: Vec<String> = item.iter().map(pair).collect();
        url.push('[');
        url.push_str(&parts.join("/"));
        url.push(']');
    }
}

/// Writes one JSON object with dotted names nested. Numbers stay as written and never become floats.
pub(crate) fn object(pairs: Pairs) -> String {
    let mut root = Vec::new();
    for (name, value) in pairs {
        insert(&mut root, &name, value.json());
    }
    Node::Object(root).write()
}

/// A JSON value that is being built.
enum Node {
    Raw(String),
    Object(Vec<(String, Node)>),
}

impl Node {
    fn write(&self) -> String {
        match self {
            Self::Raw(raw) => raw.clone(),
            Self::Object(members) => {
                let member = |(name, node): &(String, Self)| format!("{}:{}", quoted(name), node.write());
                let members: Vec<String> = members.iter().map(member).collect();
                format!("{{{}}}", members.join(","))
            }
        }
    }
}

fn insert(object: &mut Vec<(String, Node)>, name: &str, raw: String) {
    let nested = name
        .split_once('.')
        .filter(|(outer, inner)| !outer.is_empty() && !inner.is_empty());
    let Some((outer, inner)) = nested else {
        return object.push((name.to_owned(), Node::Raw(raw)));
    };
    let known = object.iter_mut().find_map(|(known, node)| match node {
        Node::Object(members) if known == outer => Some(members),
        _ => None,
    });
    match known {
        Some(members) => insert(members, inner, raw),
        None => {
            let mut members = Vec::new();
            insert(&mut members, inner, raw);
            object.push((outer.to_owned(), Node::Object(members)));
        }
    }
}

/// Writes a text as a JSON string.
pub(crate) fn quoted(text: &str) -> String {
    #[expect(clippy::expect_used, reason = "serialising a string cannot fail")]
    serde_json::to_string(text).expect("a string serialises")
}
