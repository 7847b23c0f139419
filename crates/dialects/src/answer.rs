//! Response to a postback, before a dialect renders it.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Status of a postback.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Created or changed a conversion.
    Accepted,
    /// Repeats a conversion that already exists.
    Duplicate,
    /// Held for its parent or for a manual review (HTTP 202).
    Held,
    /// Created no conversion, for a reason.
    Rejected,
    /// Stored on disk; the verdict follows.
    Queued,
    /// Not confirmed as stored, because of our own fault; the sender must send the postback again.
    Unavailable,
}

impl Status {
    /// True if the sender has nothing to correct or send again.
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

/// Response to the sender.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Answer {
    /// Status of the postback.
    pub status: Status,
    /// Reason code, stable for programs.
    pub reason: String,
    /// Description of the reason, one sentence.
    pub message: String,
    /// Correction the sender can make; `None` if none is needed.
    pub hint: Option<String>,
    /// Values that were understood and are not used, each with the reason; left out if empty.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// Receipt (`pb_…`).
    pub request_id: String,
    /// Conversion that was created, or the first one for a duplicate; `None` for none.
    pub conversion_id: Option<String>,
    /// `live` or `test`.
    pub mode: &'static str,
    /// URL of the reason's documentation.
    pub docs: String,
    /// URL of the postback for users of the network; `None` if not stored.
    pub inspect: Option<String>,
}

/// Response body that the sender requests.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Wish {
    /// Body of the integration's response format.
    #[default]
    Usual,
    /// A 1×1 transparent GIF.
    Pixel,
    /// This text if the postback succeeded: at most 64 printable ASCII characters.
    Text(String),
}

impl Wish {
    /// Returns the wish for a text, or [`Wish::Usual`] if the text is too long or not printable ASCII: any caller can
    /// choose it.
    #[must_use]
    pub fn for_text(text: &str) -> Self {
        match text.len() {
            1..=64 if text.bytes().all(|byte| matches!(byte, b' '..=b'~')) => Self::Text(text.to_owned()),
            _ => Self::Usual,
        }
    }
}

/// Response format of an integration.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AnswerFormat {
    /// Our own: JSON, or one line of text.
    #[default]
    Ours,
    /// Format of the sender's dialect.
    Dialect,
    /// Our own, always with HTTP 200: for senders that would retry a rejected postback for ever.
    AlwaysOk,
    /// A 1×1 transparent GIF.
    Gif,
}

/// A rendered response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rendered {
    /// HTTP status.
    pub http_status: u16,
    /// `Content-Type` header.
    pub content_type: &'static str,
    /// Body.
    pub body: Vec<u8>,
}
