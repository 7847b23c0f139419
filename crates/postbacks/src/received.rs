//! A postback on its way to a decision.

use schema::{AdvertiserId, CampaignId};

use crate::answered::AnsweredVerdict;
use crate::record::PostbackRecord;

/// Origin of a postback that is decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    /// New, from the journal.
    Journal,
    /// Held, and ready to be decided again.
    Held,
    /// Held, and overdue: it is not held any longer.
    Overdue,
    /// Rejected, and replayed.
    Replay,
}

/// Sender of a postback as identified when it arrived; its token or secret may be replaced since.
#[derive(Debug, Clone, Copy)]
pub(crate) struct KnownSender {
    pub(crate) advertiser_id: AdvertiserId,
    /// Campaign whose own integration authenticated it; `None` for the advertiser's.
    pub(crate) campaign_id: Option<CampaignId>,
    /// True if a token, a signature or an allowed address identified it.
    pub(crate) is_authenticated: bool,
}

/// A postback to be decided.
#[derive(Debug)]
pub struct Received {
    pub(crate) record: PostbackRecord,
    pub(crate) origin: Origin,
    /// Sender of a held or replayed postback; `None` if it is to be authenticated.
    pub(crate) sender: Option<KnownSender>,
    /// Verdict that its sender received before the database was restored.
    pub(crate) answered: Option<Box<AnsweredVerdict>>,
}

impl Received {
    /// New postback from the journal.
    #[must_use]
    pub fn from_journal(record: PostbackRecord) -> Self {
        // A user of the network needs no other proof; the walls of the network were checked when it was entered.
        let sender = record.entered_for.map(|advertiser_id| KnownSender {
            advertiser_id,
            campaign_id: None,
            is_authenticated: true,
        });
        Self {
            record,
            origin: Origin::Journal,
            sender,
            answered: None,
        }
    }

    /// The same postback, whose sender received this verdict before the database was restored.
    #[must_use]
    pub fn answered_with(self, answered: Option<AnsweredVerdict>) -> Self {
        Self {
            answered: answered.map(Box::new),
            ..self
        }
    }
}
