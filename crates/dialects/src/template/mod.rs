//! URLs with macros that people write: of an affiliate's tracker, with our macros in it, `…?cid={aff_click_id}`; and ours,
//! with the macros of another system.

mod incoming;
mod macros;
mod outgoing;
mod secrets;

use std::fmt;

use crate::wire;

pub use incoming::{Incoming, IncomingProblem};
pub use macros::Macro;
pub use outgoing::{Outgoing, outgoing};
pub use secrets::{secrets, without_secrets};

/// Longest template, in bytes.
pub const TEMPLATE_LIMIT: usize = 2048;

/// A URL with macros, every one of which is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Macro(Macro),
}

/// Why a text is not a template, and the byte it is about, counted from 0.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TemplateProblem {
    /// It does not begin with `http://` or `https://` and a host.
    NotAUrl,
    /// It is longer than [`TEMPLATE_LIMIT`].
    TooLong,
    /// A macro stands in scheme, host or port, so that a value could send the call elsewhere.
    MacroInHost {
        /// Where.
        at: usize,
    },
    /// There is no such macro.
    Unknown {
        /// Its name, at most 64 characters of it.
        name: String,
        /// Where.
        at: usize,
    },
    /// A brace that opens is never closed.
    Unclosed {
        /// Where.
        at: usize,
    },
    /// A brace closes what was not opened.
    Stray {
        /// Where.
        at: usize,
    },
    /// A character that no URL may have.
    NotInUrls {
        /// Where.
        at: usize,
    },
}

impl fmt::Display for TemplateProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAUrl => f.write_str("It must begin with https:// and a host."),
            Self::TooLong => write!(f, "It has more than {TEMPLATE_LIMIT} bytes."),
            Self::MacroInHost { at } => write!(f, "At {at}: a macro may not stand in the host."),
            Self::Unknown { name, at } => write!(f, "At {at}: there is no macro {{{name}}}."),
            Self::Unclosed { at } => write!(f, "At {at}: this {{ is never closed."),
            Self::Stray { at } => write!(f, "At {at}: this }} closes nothing; write %7D for a brace."),
            Self::NotInUrls { at } => write!(f, "At {at}: this character must be percent-encoded in a URL."),
        }
    }
}

impl std::error::Error for TemplateProblem {}

impl Template {
    /// Reads a template.
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
    /// [`TemplateProblem`], which names what is wrong and its place.
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

    /// The macros in it, in order, as often as they stand there.
    pub fn macros(&self) -> impl Iterator<Item = Macro> {
        self.parts.iter().filter_map(|part| match part {
            Part::Macro(one) => Some(*one),
            Part::Text(_) => None,
        })
    }

    /// The URL with every macro's value in place, percent-encoded; nothing where there is no value.
    #[must_use]
    pub fn expand(&self, value: &dyn Fn(Macro) -> Option<String>) -> String {
        let text = |part: &Part| match part {
            Part::Text(text) => text.clone(),
            Part::Macro(one) => wire::encoded(&value(*one).unwrap_or_default()),
        };
        self.parts.iter().map(text).collect()
    }

    /// The URL with a sample for every macro.
    #[must_use]
    pub fn preview(&self) -> String {
        self.expand(&|one| Some(one.sample().to_owned()))
    }
}

/// The text it was read from.
impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.parts.iter().try_for_each(|part| match part {
            Part::Text(text) => f.write_str(text),
            Part::Macro(one) => write!(f, "{{{}}}", one.name()),
        })
    }
}

/// Where scheme, host and port end.
fn host_end(text: &str) -> Result<usize, TemplateProblem> {
    let scheme = ["https://", "http://"]
        .iter()
        .find(|scheme| {
            text.get(..scheme.len())
                .is_some_and(|start| start.eq_ignore_ascii_case(scheme))
        })
        .ok_or(TemplateProblem::NotAUrl)?;
    let rest = text.get(scheme.len()..).unwrap_or_default();
    // A backslash ends the host too, for those who read URLs as browsers do.
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

/// The macro that a text begins with, and its length with braces.
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
