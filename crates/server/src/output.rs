//! Results of commands on standard output: text for people, or JSON for programs.

use std::fmt::Display;
use std::io::{self, Write as _};

use serde_json::Value;

/// Form of the results.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Output {
    /// Text for people.
    Text,
    /// One JSON value per line.
    Json,
}

impl Output {
    /// Form that the option `--json` selects.
    #[must_use]
    pub fn of(is_json: bool) -> Self {
        if is_json { Self::Json } else { Self::Text }
    }

    /// Prints a result as a line of text, or as a line of JSON.
    pub(crate) fn print(self, text: impl Display, value: &Value) -> io::Result<()> {
        let mut out = io::stdout().lock();
        match self {
            Self::Text => writeln!(out, "{text}")?,
            Self::Json => writeln!(out, "{value}")?,
        }
        out.flush()
    }

    /// Prints a line for people only.
    pub(crate) fn note(self, text: impl Display) -> io::Result<()> {
        match self {
            Self::Text => writeln!(io::stdout().lock(), "{text}"),
            Self::Json => Ok(()),
        }
    }
}
