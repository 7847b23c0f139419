//! Problems of parsing a call, each with a message and a hint for the sender.

use crate::amount::AmountProblem;

/// Reason a call could not be parsed. Each has a message that names the problem and a hint that names the correction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Problem {
    /// A value is not percent-encoded UTF-8 text.
    Undecodable {
        /// Name of the parameter.
        parameter: String,
        /// Byte of the value as sent, counted from 0.
        offset: usize,
    },
    /// A value contains a NUL byte, which no text may contain.
    Nul {
        /// Name of the parameter.
        parameter: String,
    },
    /// A parameter was sent twice; choosing one could mean guessing about money.
    Repeated {
        /// Name of the parameter.
        parameter: String,
    },
    /// A value is longer than its limit.
    TooLong {
        /// Name of the parameter.
        parameter: String,
        /// Length of the value in bytes.
        length: usize,
        /// Limit in bytes.
        limit: usize,
    },
    /// The call has too many parameters.
    TooMany {
        /// Maximum number of parameters.
        limit: usize,
    },
    /// The body is neither a form nor a JSON object.
    Body {
        /// Description and position of the problem.
        detail: String,
    },
    /// An amount is not a plain decimal number.
    Amount {
        /// Name of the parameter.
        parameter: String,
        /// Text, as sent.
        text: String,
        /// Reason the text is not an amount.
        problem: AmountProblem,
    },
    /// A value is a placeholder that was never replaced.
    MacroUnreplaced {
        /// Name of the parameter.
        parameter: String,
        /// Value as sent; empty for a secret, which may be a real one in brackets.
        value: String,
    },
    /// A parameter that the system's document demands is missing or empty.
    Missing {
        /// Name of the parameter.
        parameter: &'static str,
        /// Name of the system.
        system: &'static str,
    },
    /// A value with parts (items, a list, packed parameters) cannot be split.
    Malformed {
        /// Name of the parameter.
        parameter: String,
        /// Description and position of the problem, without quoting the value.
        detail: String,
    },
}

impl Problem {
    /// Message: names the problem in one sentence.
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
                format!("{parameter} has {length} bytes; the limit is {limit}.")
            }
            Self::TooMany { limit } => format!("The request has more than {limit} parameters."),
            Self::Body { detail } => format!("The body could not be read: {detail}."),
            Self::Amount {
                parameter,
                text,
                problem,
            } => format!("{parameter} “{text}” {problem}."),
            Self::Malformed { parameter, detail } => format!("{parameter} could not be read: {detail}."),
            Self::Missing { parameter, system } => {
                format!("{parameter} is missing or empty, and the format of {system} demands it.")
            }
            Self::MacroUnreplaced { parameter, value } if value.is_empty() => {
                format!("{parameter} is a placeholder that was never replaced.")
            }
            Self::MacroUnreplaced { parameter, value } => {
                format!("{parameter} is “{value}”: a placeholder that was never replaced.")
            }
        }
    }

    /// Hint: names the correction in one sentence.
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
            Self::Missing { parameter, .. } => format!("Send {parameter}; 0 is an amount."),
            Self::Malformed { parameter, .. } => {
                format!("Write {parameter} as your system documents it.")
            }
            Self::MacroUnreplaced { parameter, .. } => {
                format!(
                    "Replace the placeholder with the real value of {parameter} before you send the request."
                )
            }
        }
    }
}
