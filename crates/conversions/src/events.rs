//! Events of conversions, for those who are to be notified of them.

use chrono::{DateTime, Utc};
use schema::{AffiliateId, text_enum};

use crate::conversion::{Conversion, ConversionStatus};

text_enum! {
    /// Kind of an event.
    pub enum EventKind {
        /// The conversion was made.
        Created = "created",
        /// It was approved.
        Approved = "approved",
        /// It was rejected before it was approved.
        Rejected = "rejected",
        /// It was taken back after it was approved.
        Reversed = "reversed",
        /// It is pending again: it needs a review.
        Reopened = "reopened",
        /// Its amount, commission, revenue or affiliate changed, and its status did not.
        Adjusted = "adjusted",
    }
}

/// Event of a conversion, yielded by the transaction that stores it; true only once that is committed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Kind.
    pub kind: EventKind,
    /// Time of the event.
    pub at: DateTime<Utc>,
    /// Conversion after the event.
    pub conversion: Conversion,
}

impl Event {
    /// Event of a step from one state of a conversion (`None` if it is new) to another; `None` if nothing changed that
    /// others see.
    pub(crate) fn between(
        before: Option<&Conversion>,
        after: &Conversion,
        at: DateTime<Utc>,
    ) -> Option<Self> {
        let kind = match before {
            None => EventKind::Created,
            Some(before) if before.status != after.status => match after.status {
                ConversionStatus::Pending => EventKind::Reopened,
                ConversionStatus::Approved => EventKind::Approved,
                ConversionStatus::Rejected => EventKind::Rejected,
                ConversionStatus::Reversed => EventKind::Reversed,
            },
            Some(before) if money(before) != money(after) => EventKind::Adjusted,
            Some(_) => return None,
        };
        Some(Self {
            kind,
            at,
            conversion: after.clone(),
        })
    }
}

fn money(conversion: &Conversion) -> (AffiliateId, Option<i64>, i64, i64) {
    (
        conversion.affiliate_id,
        conversion.amount_micros,
        conversion.commission_micros,
        conversion.revenue_micros,
    )
}
