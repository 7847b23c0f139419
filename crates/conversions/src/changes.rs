//! Changes: everything that a postback, a user or the end of a period states about a conversion.

use chrono::{DateTime, TimeDelta, Utc};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use schema::{
    AffiliateId, ClickKey, ConversionId, LinkId, NetworkConn, NetworkId, PostbackId, conversion_changes,
    text_enum,
};
use serde_json::Value;
use uuid::Uuid;

use crate::conversion::{Conversion, ConversionStatus};

/// Period in which a repeated statement without an id is the same one.
pub(crate) const REPETITION: TimeDelta = TimeDelta::days(1);
/// Maximum number of changes of a conversion by its advertiser, and by users.
pub(crate) const MAX_CHANGES: usize = 250;
/// Maximum number of changes of a conversion by its advertiser, for a change that takes money off.
const MAX_DEDUCTIONS: usize = 1_000;

text_enum! {
    /// Origin of a change.
    pub enum Source {
        /// The report that made the conversion.
        Report = "report",
        /// A later postback of the advertiser.
        Postback = "postback",
        /// A user of the network.
        Person = "person",
        /// The end of the hold period.
        Hold = "hold",
        /// The parent conversion, which does not count any more.
        Parent = "parent",
    }
}

text_enum! {
    /// Reason for a decision of a user; affiliates see it.
    pub enum ReasonCode {
        /// The order was cancelled, or the goods were returned.
        Returned = "returned",
        /// The payment failed.
        PaymentFailed = "payment_failed",
        /// The order was a test.
        Test = "test",
        /// The order was reported twice.
        Duplicate = "duplicate",
        /// Another channel is credited with it.
        OtherChannel = "other_channel",
        /// The voucher was not allowed.
        Voucher = "voucher",
        /// The terms of the campaign were broken.
        TermsBroken = "terms_broken",
        /// The order is fraudulent.
        Fraud = "fraud",
        /// The parties agreed on it.
        Agreement = "agreement",
        /// The values were wrong before.
        Correction = "correction",
    }
}

schema::row! {
    /// Change of a conversion, as stored.
    #[derive(Debug, Clone, PartialEq, Eq, HasQuery)]
    #[diesel(table_name = conversion_changes)]
    pub struct Change(read, bind) {
        /// Tenant.
        pub network_id: NetworkId,
        /// Conversion.
        pub conversion_id: ConversionId,
        /// Identifier: that of its postback, or a generated one. Sorts by arrival.
        pub id: Uuid,
        /// Arrival.
        pub changed_at: DateTime<Utc>,
        /// Time of the event by an authenticated sender's clock; `None` if it gave none.
        pub event_time: Option<DateTime<Utc>>,
        /// Origin.
        pub source: Source,
        /// True unless its sender was not authenticated.
        pub is_proven: bool,
        /// New status; `None` if it says nothing about it. A user's `pending` puts the conversion on hold.
        pub status: Option<ConversionStatus>,
        /// True if a user gives the decision on the status back to the advertiser.
        pub is_released: bool,
        /// New total of the order before refunds, in micro-units.
        pub amount_micros: Option<i64>,
        /// New total of the order after refunds, in micro-units; 0 for a full refund.
        pub remaining_micros: Option<i64>,
        /// Part of the order that is taken off, in micro-units.
        pub refund_micros: Option<i64>,
        /// Items of the total or of the refund: an array of [`Line`](crate::basket::Line); `None` if none were sent.
        pub items: Option<Value>,
        /// Commission of the whole order in micro-units, sent by the advertiser or set by a user.
        pub commission_micros: Option<i64>,
        /// Revenue of the whole order in micro-units, set by a user.
        pub revenue_micros: Option<i64>,
        /// The sender's id of the event or refund.
        pub event_id: Option<String>,
        /// True if it exceeded a cap of the campaign.
        pub exceeds_cap: bool,
        /// Order amount after a user's decision, which the user thus has seen, in micro-units.
        pub seen_amount_micros: Option<i64>,
        /// Commission after a user's decision, in micro-units.
        pub seen_commission_micros: Option<i64>,
        /// Affiliate that it is reported for, or that a user moves it to.
        pub affiliate_id: Option<AffiliateId>,
        /// Tracking link that it is reported for, or that a user moves it to.
        pub link_id: Option<LinkId>,
        /// Click that it is reported for, or that a user moves it to.
        pub click_id: Option<ClickKey>,
        /// Postback that made it; `None` for other origins.
        pub postback_id: Option<PostbackId>,
        /// Name of the user who made it.
        pub author: Option<String>,
        /// The user's reason.
        pub reason_code: Option<ReasonCode>,
        /// The user's reason in words.
        pub reason: Option<String>,
        /// Id of the user's corrections that were made together.
        pub batch: Option<Uuid>,
        /// Change of a user that this one undoes: both do not count.
        pub undoes: Option<Uuid>,
    }
}

/// Place of a change in the order of time: its time, then its arrival.
pub(crate) type Place = (DateTime<Utc>, DateTime<Utc>, Uuid);

/// Subject of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Matter {
    Status,
    Money,
}

/// Relation of a change to the history that it is to be added to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Novelty {
    /// It says something new.
    New,
    /// It repeats an earlier change.
    Repeated,
    /// Its id was used for something else.
    Conflict,
    /// The history is as long as it may be.
    TooMany,
}

impl Change {
    /// Change of a conversion that arrives now and says nothing yet.
    #[must_use]
    pub fn of(conversion: &Conversion, source: Source, now: DateTime<Utc>) -> Self {
        Self {
            network_id: conversion.network_id,
            conversion_id: conversion.id,
            id: ConversionId::fresh(now).0,
            changed_at: now,
            event_time: None,
            source,
            is_proven: true,
            status: None,
            is_released: false,
            amount_micros: None,
            remaining_micros: None,
            refund_micros: None,
            items: None,
            commission_micros: None,
            revenue_micros: None,
            event_id: None,
            exceeds_cap: false,
            seen_amount_micros: None,
            seen_commission_micros: None,
            affiliate_id: None,
            link_id: None,
            click_id: None,
            postback_id: None,
            author: None,
            reason_code: None,
            reason: None,
            batch: None,
            undoes: None,
        }
    }

    /// Report of a conversion, as its row has it.
    #[must_use]
    pub fn report(conversion: &Conversion, is_proven: bool) -> Self {
        Self {
            // The report has the conversion's own identifier.
            id: conversion.id.0,
            is_proven,
            amount_micros: conversion.amount_micros,
            affiliate_id: Some(conversion.affiliate_id),
            link_id: Some(conversion.link_id),
            click_id: conversion.click_id,
            postback_id: Some(conversion.postback_id),
            ..Self::of(conversion, Source::Report, conversion.converted_at)
        }
    }

    /// True if the row of the conversion does not have all that a report says.
    #[must_use]
    pub fn is_more_than_its_conversion(&self) -> bool {
        self.event_time.is_some()
            || self.status.is_some()
            || self.items.is_some()
            || self.commission_micros.is_some()
            || self.event_id.is_some()
            || self.exceeds_cap
    }

    /// Time at which it holds: that of the event, or else of its arrival.
    #[must_use]
    pub fn time(&self) -> DateTime<Utc> {
        self.event_time.unwrap_or(self.changed_at)
    }

    /// Place among the changes of its conversion: by time, then by arrival. A report without a time comes first.
    pub(crate) fn place(&self) -> Place {
        let is_first = self.source == Source::Report && self.event_time.is_none();
        let time = if is_first {
            DateTime::<Utc>::MIN_UTC
        } else {
            self.time()
        };
        (time, self.changed_at, self.id)
    }

    /// Order of arrival.
    pub(crate) fn arrival(&self) -> (DateTime<Utc>, Uuid) {
        (self.changed_at, self.id)
    }

    /// True if it comes from the advertiser.
    pub(crate) fn is_of_sender(&self) -> bool {
        matches!(self.source, Source::Report | Source::Postback)
    }

    pub(crate) fn is_about(&self, matter: Matter) -> bool {
        match matter {
            Matter::Status => self.status.is_some() || self.is_released,
            Matter::Money => {
                self.amount_micros.is_some()
                    || self.remaining_micros.is_some()
                    || self.refund_micros.is_some()
                    || self.commission_micros.is_some()
                    || self.revenue_micros.is_some()
            }
        }
    }

    /// True if it takes money off.
    fn is_deduction(&self) -> bool {
        self.refund_micros.is_some()
            || self.remaining_micros.is_some()
            || self.status == Some(ConversionStatus::Rejected)
    }

    /// True if both say the same, whenever they were sent.
    fn says_the_same(&self, other: &Self) -> bool {
        let content = |change: &Self| {
            (
                (change.source == Source::Person, change.status, change.is_proven),
                (
                    change.amount_micros,
                    change.remaining_micros,
                    change.refund_micros,
                ),
                (change.items.clone(), change.commission_micros),
            )
        };
        content(self) == content(other)
    }

    /// Relation of an advertiser's change to this history.
    ///
    /// It is a repetition if its id was seen with the same values; without an id, if the last change of its subject says the
    /// same, at the same time, and arrived within a day.
    #[must_use]
    pub fn novelty(&self, history: &[Self]) -> Novelty {
        // An unauthenticated sender can neither use up the ids nor the number of changes of an authenticated one.
        let is_peer = |known: &&Self| known.is_of_sender() && (known.is_proven || !self.is_proven);
        let of_sender = || history.iter().filter(is_peer);
        if self.event_id.is_some() {
            match of_sender().find(|known| known.event_id == self.event_id) {
                Some(known) if known.says_the_same(self) => return Novelty::Repeated,
                Some(_) => return Novelty::Conflict,
                None => {}
            }
        }
        if history.iter().any(|known| known.id == self.id) {
            return Novelty::Repeated;
        }
        let most = if self.is_proven && self.is_deduction() {
            MAX_DEDUCTIONS
        } else {
            MAX_CHANGES
        };
        if of_sender().count() >= most {
            return Novelty::TooMany;
        }
        let shares_a_matter = |known: &&Self| {
            [Matter::Status, Matter::Money]
                .iter()
                .any(|matter| known.is_about(*matter) && self.is_about(*matter))
        };
        let last = history
            .iter()
            .filter(shares_a_matter)
            .max_by_key(|known| known.arrival());
        let is_repeated = last.is_some_and(|last| {
            last.is_of_sender()
                && last.event_id.is_none()
                && self.event_id.is_none()
                && last.event_time == self.event_time
                && (self.changed_at - last.changed_at).abs() < REPETITION
                && last.says_the_same(self)
        });
        if is_repeated {
            Novelty::Repeated
        } else {
            Novelty::New
        }
    }
}

/// Stored changes of a conversion, oldest first.
///
/// # Errors
/// Returns an error if the database fails.
pub async fn history(conn: &mut NetworkConn, id: ConversionId) -> QueryResult<Vec<Change>> {
    let network_id = conn.network_id();
    Change::query()
        .filter(
            conversion_changes::network_id
                .eq(network_id)
                .and(conversion_changes::conversion_id.eq(id)),
        )
        .order((conversion_changes::changed_at, conversion_changes::id))
        .load(&mut **conn)
        .await
}
