//! Verdict that the sender of a postback received, as journaled: JSON. It is on disk before the response.
//!
//! After a restore, the postback is decided again. A rejection is kept as the sender received it; any other difference is
//! stored for a user ([`crate::contradictions`]).

use dialects::Status;
use schema::{ConversionId, PostbackId};
use serde::{Deserialize, Serialize};

use crate::verdict::{Reason, Reply, Verdict};

/// Verdict that a sender received.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AnsweredVerdict {
    /// Number of the postback in the journal of postbacks.
    pub seq: u64,
    /// Postback.
    pub postback: PostbackId,
    /// Reason code.
    reason: String,
    /// Conversion that was made or changed, or the first one for a duplicate.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    conversion: Option<ConversionId>,
    /// Result, in a sentence; `None` unless it is a rejection.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    message: Option<String>,
    /// Instruction for the sender.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    hint: Option<String>,
}

impl AnsweredVerdict {
    /// Verdict of a reply; `None` for one that announces the verdict for later.
    #[must_use]
    pub fn of(seq: u64, postback: PostbackId, reply: &Reply) -> Option<Self> {
        let verdict = &reply.verdict;
        let is_rejection = match verdict.reason.status() {
            Status::Accepted | Status::Duplicate => false,
            Status::Rejected => true,
            // Recorded already, and waits for a user only.
            Status::Held if verdict.conversion_id.is_some() => false,
            Status::Held | Status::Queued | Status::Unavailable => return None,
        };
        Some(Self {
            seq,
            postback,
            reason: verdict.reason.code().to_owned(),
            conversion: verdict.conversion_id,
            message: is_rejection.then(|| verdict.message.clone()),
            hint: verdict.hint.clone().filter(|_| is_rejection),
        })
    }

    /// Appends the record to a buffer.
    pub fn write(&self, buffer: &mut Vec<u8>) {
        #[expect(
            clippy::expect_used,
            reason = "strings and numbers always serialize, and a Vec takes all"
        )]
        serde_json::to_writer(buffer, self).expect("strings and numbers serialize");
    }

    /// Reads a record.
    ///
    /// # Errors
    /// A sentence about the problem.
    pub fn read(record: &[u8]) -> Result<Self, String> {
        serde_json::from_slice(record).map_err(|error| format!("not a verdict: {error}"))
    }

    /// Reason code.
    pub(crate) fn reason(&self) -> &str {
        &self.reason
    }

    /// Conversion in the verdict.
    pub(crate) fn conversion(&self) -> Option<ConversionId> {
        self.conversion
    }

    /// The verdict, if it is a rejection.
    pub(crate) fn rejection(&self) -> Option<Verdict> {
        let reason = Reason::of_code(&self.reason)?;
        let message = self.message.clone()?;
        let verdict = Verdict {
            hint: self.hint.clone(),
            ..Verdict::with_message(reason, message).with_their_names()
        };
        Some(match self.conversion {
            Some(conversion) => verdict.about(conversion),
            None => verdict,
        })
    }

    /// True if a decision has the same result.
    pub(crate) fn is_confirmed_by(&self, verdict: &Verdict) -> bool {
        self.reason == verdict.reason.code() && self.conversion == verdict.conversion_id
    }
}

#[cfg(test)]
mod tests {
    use schema::clock;

    use super::*;

    fn answered(verdict: Verdict) -> Option<AnsweredVerdict> {
        AnsweredVerdict::of(7, PostbackId::fresh(clock::now()), &Reply::native(verdict))
    }

    #[test]
    fn a_verdict_reads_back_and_a_rejection_with_its_words() {
        let sent =
            Verdict::with_message(Reason::GoalUnknown, "The campaign has no goal sale.").with_hint("Ask.");
        let record = answered(sent.clone()).unwrap();
        let mut buffer = Vec::new();
        record.write(&mut buffer);
        assert_eq!(AnsweredVerdict::read(&buffer), Ok(record.clone()));
        assert_eq!(record.rejection(), Some(sent.clone().with_their_names()));
        assert!(record.is_confirmed_by(&sent));
        assert!(!record.is_confirmed_by(&Verdict::of(Reason::ClickNotFound)));
        let accepted = answered(Verdict::of(Reason::Accepted)).unwrap();
        assert_eq!(accepted.rejection(), None);
    }

    #[test]
    fn a_reply_without_a_verdict_is_not_journaled() {
        for reason in [Reason::Queued, Reason::WaitingForParent, Reason::Unavailable] {
            assert_eq!(answered(Verdict::of(reason)), None, "{reason:?}");
        }
    }
}
