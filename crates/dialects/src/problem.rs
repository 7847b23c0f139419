//! Why a call could not be understood, in words for the person who has to fix it.

use crate::amount::AmountProblem;

/// Why a call could not be understood. Each has a sentence that says what was wrong and a hint that says
/// what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Problem {
    /// A value is not percent-encoded UTF-8 text.
    Undecodable {
        /// Which parameter.
        parameter: String,
        /// Byte of its value, counted from 0 as it was sent.
        offset: usize,
    },
    /// A value contains a NUL byte, which no text may.
    Nul {
        /// Which parameter.
        parameter: String,
    },
    /// A parameter came twice, and guessing which one counts would be guessing about money.
    Repeated {
        /// Which parameter.
        parameter: String,
    },
    /// A value is longer than its limit.
    TooLong {
        /// Which parameter.
        parameter: String,
        /// Its length in bytes.
        length: usize,
        /// The limit in bytes.
        limit: usize,
    },
    /// There are more parameters than anyone needs.
    TooMany {
        /// The limit.
        limit: usize,
    },
    /// The body is neither a form nor a JSON object.
    Body {
        /// What is wrong and where.
        detail: String,
    },
    /// An amount is not a plain decimal number.
    Amount {
        /// Which parameter.
        parameter: String,
        /// As sent.
        text: String,
        /// What is wrong with it.
        problem: AmountProblem,
    },
    /// A value is still the template's placeholder.
    MacroUnreplaced {
        /// Which parameter.
        parameter: String,
        /// As sent; empty for a secret, which may be a real one in brackets.
        value: String,
    },
    /// A value that has parts (items, a list, packed parameters) cannot be taken apart.
    Malformed {
        /// Which parameter.
        parameter: String,
        /// What is wrong and where, without quoting it.
        detail: String,
    },
}

impl Problem {
    /// What was wrong, in a sentence.
    #[must_use]
    pub fn message(&self) -> String {
        match self {
            Self::Undecodable { parameter, offset } => {
                format!(
                    "{parameter} is not percent-encoded UTF-8: it breaks at offset {offset} of its value."
                )
            }
            Self::Nul { parameter } => format!("{parameter} contains a NUL byte."),
            Self::Repeated { parameter } => format!("{parameter} was sent more than once."),
            Self::TooLong {
                parameter,
                length,
                limit,
            } => {
                format!("{parameter} has {length} bytes; at most {limit} are taken.")
            }
            Self::TooMany { limit } => format!("There are more than {limit} parameters."),
            Self::Body { detail } => format!("The body could not be read: {detail}."),
            Self::Amount {
                parameter,
                text,
                problem,
            } => format!("{parameter} “{text}” {problem}."),
            Self::Malformed { parameter, detail } => format!("{parameter} could not be read: {detail}."),
            Self::MacroUnreplaced { parameter, value } if value.is_empty() => {
                format!("{parameter} is a placeholder that was never replaced.")
            }
            Self::MacroUnreplaced { parameter, value } => {
                format!("{parameter} is “{value}”: a placeholder that was never replaced.")
            }
        }
    }

    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::Undecodable { .. } => {
                "Encode each value once with your language's URL encoder, from UTF-8 text.".into()
            }
            Self::Nul { .. } => "Remove the NUL byte (%00).".into(),
            Self::Repeated { parameter } => format!("Send {parameter} once, in the query or in the body."),
            Self::TooLong { parameter, .. } => format!("Send a shorter {parameter}."),
            Self::TooMany { .. } => "Send only the parameters you need.".into(),
            Self::Body { .. } => {
                "Send application/x-www-form-urlencoded, or application/json with one object.".into()
            }
            Self::Amount { problem, .. } => problem.hint().into(),
            Self::Malformed { parameter, .. } => {
                format!("Write {parameter} as the system whose spelling you use documents it.")
            }
            Self::MacroUnreplaced { parameter, .. } => {
                format!("Put the real value of {parameter} into the call before sending it.")
            }
        }
    }
}
