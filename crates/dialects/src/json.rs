//! JSON as parameters: the members of an object in order, nested ones under dotted names, lists as written.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::Problem;
use crate::collect::PARAMETER_LIMIT;

/// Maximum depth of nested objects.
const DEPTH_LIMIT: usize = 6;

/// Parses one object as parameters.
pub(crate) fn parameters(text: &str, sink: &mut dyn FnMut(Result<(String, String), Problem>)) {
    let unreadable = |detail| Err(Problem::Body { detail });
    match serde_json::from_str::<JsonObject<'_>>(text) {
        Ok(object) => flatten("", object, DEPTH_LIMIT, sink),
        Err(error) if error.is_data() => sink(unreadable("it is JSON, but not one object".to_owned())),
        Err(error) => sink(unreadable(format!("it is invalid JSON at {}", place(&error)))),
    }
}

fn flatten(
    prefix: &str,
    object: JsonObject<'_>,
    depth: usize,
    sink: &mut dyn FnMut(Result<(String, String), Problem>),
) {
    for (member, value) in object.0 {
        let name = match prefix {
            "" => member,
            _ => format!("{prefix}.{member}"),
        };
        match value.get() {
            nested if nested.starts_with('{') => match (depth.checked_sub(1), serde_json::from_str(nested)) {
                (Some(depth), Ok(object)) => flatten(&name, object, depth, sink),
                (None, _) => sink(Err(Problem::Body {
                    detail: format!("it nests more than {DEPTH_LIMIT} objects"),
                })),
                (_, Err(error)) => sink(Err(Problem::Body {
                    detail: format!("a nested object is invalid at {}", place(&error)),
                })),
            },
            _ => {
                if let Some(read) = scalar(name, value.get()) {
                    sink(read);
                }
            }
        }
    }
}

/// Value as text: a string unquoted, anything else as written, so that the amount `12.10` never becomes a float. `null`
/// counts as not sent.
fn scalar(name: String, written: &str) -> Option<Result<(String, String), Problem>> {
    if name.contains('\0') {
        return Some(Err(Problem::Nul {
            parameter: name.replace('\0', ""),
        }));
    }
    let text = match written {
        "null" => return None,
        quoted if quoted.starts_with('"') => match serde_json::from_str::<String>(quoted) {
            Ok(text) => text,
            Err(error) => {
                let detail = format!("the text of its member {name} is invalid at {}", place(&error));
                return Some(Err(Problem::Body { detail }));
            }
        },
        plain => plain.to_owned(),
    };
    if text.contains('\0') {
        return Some(Err(Problem::Nul { parameter: name }));
    }
    Some(Ok((name, text)))
}

/// Parses a list of at most `limit` texts or numbers; `None` for anything else.
pub(crate) fn texts(written: &str, limit: usize) -> Option<Vec<String>> {
    let JsonList(entries) = serde_json::from_str(written).ok()?;
    let text = |entry: &&RawValue| match scalar(String::new(), entry.get()) {
        Some(Ok((_, text))) if !entry.get().starts_with(['{', '[']) => Some(text),
        _ => None,
    };
    (entries.len() <= limit).then(|| entries.iter().map(text).collect())?
}

/// Parses a list of objects with their members; the error names the problem and its position.
pub(crate) fn objects(written: &str, limit: usize) -> Result<Vec<Vec<(String, String)>>, String> {
    let JsonList(entries) = serde_json::from_str(written)
        .map_err(|error| format!("it is an invalid JSON list at {}", place(&error)))?;
    if entries.len() > limit {
        return Err(format!("it has more than {limit} entries"));
    }
    let read = |(number, entry): (usize, &&RawValue)| {
        let wrong = |_| format!("entry {number} is not one object");
        let object: JsonObject<'_> = serde_json::from_str(entry.get()).map_err(wrong)?;
        let mut members = Vec::new();
        let mut problem = None;
        flatten("", object, DEPTH_LIMIT, &mut |member| match member {
            Ok(_) if members.len() == PARAMETER_LIMIT => {}
            Ok(member) => members.push(member),
            Err(_) => problem = Some(format!("entry {number} has a member that is not text")),
        });
        problem.map_or(Ok(members), Err)
    };
    entries.iter().enumerate().map(read).collect()
}

/// Position of a syntax error. The parser's message could quote the body, with its secrets.
fn place(error: &serde_json::Error) -> String {
    format!("line {} column {}", error.line(), error.column())
}

/// A JSON object with its members in order, repeated names included: a map would drop one of two amounts.
pub(crate) struct JsonObject<'a>(pub(crate) Vec<(String, &'a RawValue)>);

impl<'de> Deserialize<'de> for JsonObject<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;

        impl<'de> Visitor<'de> for Members {
            type Value = JsonObject<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry::<String, &'de RawValue>()? {
                    // One member above the limit is enough to detect the excess.
                    if members.len() <= PARAMETER_LIMIT {
                        members.push(member);
                    }
                }
                Ok(JsonObject(members))
            }
        }

        deserializer.deserialize_map(Members)
    }
}

/// A JSON list of unparsed entries.
struct JsonList<'a>(Vec<&'a RawValue>);

impl<'de> Deserialize<'de> for JsonList<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries;

        impl<'de> Visitor<'de> for Entries {
            type Value = JsonList<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = list.next_element::<&'de RawValue>()? {
                    // Above every limit of callers, which report the excess.
                    if entries.len() <= 1_000 {
                        entries.push(entry);
                    }
                }
                Ok(JsonList(entries))
            }
        }

        deserializer.deserialize_seq(Entries)
    }
}
