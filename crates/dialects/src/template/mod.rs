//! URLs with macros that users write: URLs of an affiliate's tracker with our macros, `…?cid={aff_click_id}`; and URLs
//! of ours with the macros of another system.

mod incoming;
mod macros;
mod outgoing;
mod secrets;

use std::fmt;

use crate::wire;

pub use incoming::{Incoming, IncomingProblem};
pub use macros::Macro;
pub use outgoing::{Outgoing, outgoing};
pub use secrets::{secrets, with_secrets, without_secrets};

/// Maximum length of a template, in bytes.
pub const TEMPLATE_LIMIT: usize = 2048;

/// A URL with macros, all of them known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Macro(Macro),
}

/// Reason a text is not a template, with the byte offset counted from 0.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TemplateProblem {
    /// The text does not begin with `http://` or `https://` and a host.
    NotAUrl,
    /// The text is longer than [`TEMPLATE_LIMIT`].
    TooLong,
    /// A macro in scheme, host or port, where its value could redirect the call to another host.
    MacroInHost {
        /// Byte offset of the macro.
        at: usize,
    },
    /// An unknown macro.
    Unknown {
        /// Name, at most 64 characters.
        name: String,
        /// Byte offset of the macro.
        at: usize,
    },
    /// An opening brace without a closing one.
    Unclosed {
        /// Byte offset of the brace.
        at: usize,
    },
    /// A closing brace without an opening one.
    Stray {
        /// Byte offset of the brace.
        at: usize,
    },
    /// A character that is not allowed in a URL.
    NotInUrls {
        /// Byte offset of the character.
        at: usize,
    },
}

impl fmt::Display for TemplateProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAUrl => f.write_str("The URL must begin with https:// and a host."),
            Self::TooLong => write!(f, "The URL has more than {TEMPLATE_LIMIT} bytes."),
            Self::MacroInHost { at } => write!(f, "At {at}: a macro is not allowed in the host."),
            Self::Unknown { name, at } => write!(f, "At {at}: {{{name}}} is not a macro."),
            Self::Unclosed { at } => write!(f, "At {at}: this {{ has no closing brace."),
            Self::Stray { at } => write!(
                f,
                "At {at}: this }} has no opening brace; write %7D for a literal brace."
            ),
            Self::NotInUrls { at } => write!(f, "At {at}: this character must be percent-encoded in a URL."),
        }
    }
}

impl std::error::Error for TemplateProblem {}

impl Template {
    /// Parses a template.
    ///
    /// ```
    /// use dialects::{Template, TemplateProblem};
    /// let template = Template::parse("https://t.example/postback?cid={aff_click_id}").unwrap();
    /// assert_eq!(template.expand(&|_| Some("a b".into())), "https://t.example/postback?cid=a%20b");
    /// let wrong = Template::parse("https://t.example/?x={nothing}");
    /// assert_eq!(wrong, Err(TemplateProblem::Unknown { name: "nothing".into(), at: 21 }));
    /// ```
    ///
    /// # Errors
    /// [`TemplateProblem`], which names the problem and its offset.
    pub fn parse(text: &str) -> Result<Self, TemplateProblem> {
        if text.len() > TEMPLATE_LIMIT {
            return Err(TemplateProblem::TooLong);
        }
        let host_end = host_end(text)?;
        let mut parts = Vec::new();
        let mut at = 0;
        while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
            match rest.find(['{', '}']) {
                None => {
                    parts.push(literal(rest, at)?);
                    break;
                }
                Some(0) => {
                    let (one, length) = read_macro(rest, at)?;
                    if at < host_end {
                        return Err(TemplateProblem::MacroInHost { at });
                    }
                    parts.push(Part::Macro(one));
                    at += length;
                }
                Some(length) => {
                    parts.push(literal(rest.get(..length).unwrap_or_default(), at)?);
                    at += length;
                }
            }
        }
        Ok(Self { parts })
    }

    /// Macros in order, with repetitions.
    pub fn macros(&self) -> impl Iterator<Item = Macro> {
        self.parts.iter().filter_map(|part| match part {
            Part::Macro(one) => Some(*one),
            Part::Text(_) => None,
        })
    }

    /// URL with the percent-encoded value of every macro; empty for a macro without a value.
    #[must_use]
    pub fn expand(&self, value: &dyn Fn(Macro) -> Option<String>) -> String {
        let text = |part: &Part| match part {
            Part::Text(text) => text.clone(),
            Part::Macro(one) => wire::encoded(&value(*one).unwrap_or_default()),
        };
        self.parts.iter().map(text).collect()
    }

    /// URL with a sample for every macro.
    #[must_use]
    pub fn preview(&self) -> String {
        self.expand(&|one| Some(one.sample().to_owned()))
    }
}

/// The text that was parsed.
impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.parts.iter().try_for_each(|part| match part {
            Part::Text(text) => f.write_str(text),
            Part::Macro(one) => write!(f, "{{{}}}", one.name()),
        })
    }
}

/// Offset at which scheme, host and port end.
fn host_end(text: &str) -> Result<usize, TemplateProblem> {
    let scheme = ["https://", "http://"]
        .iter()
        .find(|scheme| {
            text.get(..scheme.len())
                .is_some_and(|start| start.eq_ignore_ascii_case(scheme))
        })
        .ok_or(TemplateProblem::NotAUrl)?;
    let rest = text.get(scheme.len()..).unwrap_or_default();
    // Browsers end the host at a backslash too.
    match rest.find(['/', '?', '#', '\\']).unwrap_or(rest.len()) {
        0 => Err(TemplateProblem::NotAUrl),
        length => Ok(scheme.len() + length),
    }
}

fn literal(text: &str, at: usize) -> Result<Part, TemplateProblem> {
    let wrong = |(_, character): &(usize, char)| {
        !character.is_ascii_graphic() || matches!(character, '"' | '<' | '>' | '\\' | '^' | '`' | '|')
    };
    match text.char_indices().find(wrong) {
        Some((offset, _)) => Err(TemplateProblem::NotInUrls { at: at + offset }),
        None => Ok(Part::Text(text.to_owned())),
    }
}

/// Macro at the start of a text, and its length with braces.
fn read_macro(text: &str, at: usize) -> Result<(Macro, usize), TemplateProblem> {
    let inner = text.strip_prefix('{').ok_or(TemplateProblem::Stray { at })?;
    let name = match inner.find(['{', '}']) {
        Some(end) if inner.get(end..).is_some_and(|rest| rest.starts_with('}')) => {
            inner.get(..end).unwrap_or_default()
        }
        _ => return Err(TemplateProblem::Unclosed { at }),
    };
    let unknown = || TemplateProblem::Unknown {
        name: name.chars().take(64).collect(),
        at,
    };
    Ok((Macro::of_name(name).ok_or_else(unknown)?, name.len() + 2))
}
