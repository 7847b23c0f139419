//! The answer to a postback, before a dialect gives it a voice.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What became of a postback.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// It made a conversion, or changed one.
    Accepted,
    /// Its conversion had been made before.
    Duplicate,
    /// It is kept until its parent arrives or somebody has looked at it (HTTP 202).
    Held,
    /// It made no conversion; the reason says why.
    Rejected,
    /// It is on disk, and its verdict follows.
    Queued,
    /// Whether it was stored could not be confirmed, through our own fault: it must be sent again.
    Unavailable,
}

impl Status {
    /// Whether the sender has done its part: nothing is to be corrected or sent again.
    #[must_use]
    pub fn is_success(self) -> bool {
        !matches!(self, Self::Rejected | Self::Unavailable)
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Accepted => "accepted",
            Self::Duplicate => "duplicate",
            Self::Held => "held",
            Self::Rejected => "rejected",
            Self::Queued => "queued",
            Self::Unavailable => "unavailable",
        })
    }
}

/// What we tell the sender.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Answer {
    /// What became of it.
    pub status: Status,
    /// The reason code, stable for programs.
    pub reason: String,
    /// What happened, in a sentence.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
    /// The receipt (`pb_…`).
    pub request_id: String,
    /// The conversion made, or the first one for a duplicate.
    pub conversion_id: Option<String>,
    /// `live` or `test`.
    pub mode: &'static str,
    /// Where the reason is explained.
    pub docs: String,
    /// Where the network's people see this postback.
    pub inspect: Option<String>,
}

/// What body the sender wants.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Wish {
    /// Whatever the integration says.
    #[default]
    Usual,
    /// A transparent image of one pixel.
    Pixel,
    /// This text where the call succeeded: at most 64 printable ASCII characters.
    Text(String),
}

impl Wish {
    /// A wish for a text, unless it is longer or other than what is echoed to anyone who asks.
    #[must_use]
    pub fn for_text(text: &str) -> Self {
        match text.len() {
            1..=64 if text.bytes().all(|byte| matches!(byte, b' '..=b'~')) => Self::Text(text.to_owned()),
            _ => Self::Usual,
        }
    }
}

/// In whose voice an integration is answered.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AnswerFormat {
    /// In ours: JSON, or one line of text.
    #[default]
    Ours,
    /// In that of the system whose spelling the call is in.
    Dialect,
    /// In ours, and always with HTTP 200, for senders that would otherwise repeat a rejected call for ever.
    AlwaysOk,
    /// A transparent image of one pixel.
    Gif,
}

/// An answer as it goes over the wire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rendered {
    /// The HTTP status.
    pub http_status: u16,
    /// The `Content-Type` header.
    pub content_type: &'static str,
    /// The body.
    pub body: Vec<u8>,
}
