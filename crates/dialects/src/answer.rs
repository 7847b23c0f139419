//! The answer to a postback, before a dialect gives it a voice.

use std::fmt;

use serde::Serialize;

/// What became of a postback.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// It made a conversion.
    Accepted,
    /// Its conversion had been made before.
    Duplicate,
    /// It made no conversion; the reason says why.
    Rejected,
    /// It is on disk, and its verdict follows.
    Queued,
    /// Whether it was stored could not be confirmed, through our own fault: it must be sent again.
    Unavailable,
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Accepted => "accepted",
            Self::Duplicate => "duplicate",
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
    /// `live`: nothing else exists yet.
    pub mode: &'static str,
    /// Where the reason is explained.
    pub docs: String,
    /// Where the network's people see this postback.
    pub inspect: Option<String>,
}
