//! Change events of a conversion, and the fold that yields its state.
//!
//! The state is a fold of the *set* of changes: in whatever order a report, an approval, an adjustment and a refund
//! arrive, and however often each is repeated, the result is the same.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use schema::{ConversionId, NetworkConn, NetworkId, conversion_changes, text_enum};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::conversion::{Conversion, ConversionStatus, ReviewBecause};
use crate::pricing::Review;

text_enum! {
    /// Origin of a change.
    pub enum Source {
        /// The report that made the conversion.
        Report = "report",
        /// A postback of the advertiser.
        Postback = "postback",
        /// A user of the network.
        Person = "person",
        /// The end of the hold period.
        Hold = "hold",
    }
}

schema::row! {
    /// Change of a conversion, as stored.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, HasQuery)]
    #[diesel(table_name = conversion_changes)]
    pub struct Change(read, bind) {
        /// Tenant.
        pub network_id: NetworkId,
        /// Conversion.
        pub conversion_id: ConversionId,
        /// Identifier, derived from the content: a repeated change has the same one.
        pub id: Uuid,
        /// Arrival.
        pub changed_at: DateTime<Utc>,
        /// Time of the event by the sender's clock; `None` if the sender gave none.
        pub event_time: Option<DateTime<Utc>>,
        /// Origin.
        pub source: Source,
        /// New status; `None` if it does not change.
        pub status: Option<ConversionStatus>,
        /// New amount in micro-units; `None` if it does not change.
        pub amount_micros: Option<i64>,
        /// Refunded part of the amount, in micro-units.
        pub refund_micros: Option<i64>,
    }
}

impl Change {
    /// Empty change of a conversion that arrives now, to be completed and [identified](Self::identified).
    #[must_use]
    pub fn of(conversion: &Conversion, source: Source, now: DateTime<Utc>) -> Self {
        Self {
            network_id: conversion.network_id,
            conversion_id: conversion.id,
            id: Uuid::nil(),
            changed_at: now,
            event_time: None,
            source,
            status: None,
            amount_micros: None,
            refund_micros: None,
        }
    }

    /// The same change with a status.
    #[must_use]
    pub fn with_status(self, status: ConversionStatus) -> Self {
        Self {
            status: Some(status),
            ..self
        }
    }

    /// Report that made a conversion, with the status it starts with if the report gives none.
    #[must_use]
    pub fn report(conversion: &Conversion, status: ConversionStatus) -> Self {
        Self {
            // The first change of a conversion has the conversion's own identifier.
            id: conversion.id.0,
            status: Some(status),
            amount_micros: conversion.amount_micros,
            ..Self::of(conversion, Source::Report, conversion.converted_at)
        }
    }

    /// The same change with the identifier that it has whenever it is repeated: derived from `key` where the sender
    /// identifies it, from its content otherwise.
    #[must_use]
    pub fn identified(self, key: &str) -> Self {
        let conversion_id = self.conversion_id;
        let content = if key.is_empty() {
            format!(
                "{conversion_id} {:?} {:?} {:?} {:?}",
                self.event_time, self.status, self.amount_micros, self.refund_micros
            )
        } else {
            format!("{conversion_id} {key}")
        };
        let hash: [u8; 32] = Sha256::digest(content.as_bytes()).into();
        let mut bytes = [0; 16];
        bytes.copy_from_slice(hash.split_at(16).0);
        Self {
            id: Uuid::from_bytes(bytes),
            ..self
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

/// State of a conversion that follows from its changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outcome {
    /// Status.
    pub status: ConversionStatus,
    /// Amount less refunds, in micro-units; `None` if no change has an amount.
    pub amount_micros: Option<i64>,
    /// Reason for a manual review before it is approved; `None` if it needs none.
    pub review_because: Option<ReviewBecause>,
}

/// Folds changes into the state of their conversion.
///
/// * Status: a status with a later event time beats one with an earlier; among statuses without a time, and between those
///   with and without, a rejection beats an approval, which beats pending. The report counts least. A rejection that
///   arrives after a user's approval beats it, whatever its event time: the user decided by what was known. A conversion
///   that is refunded completely does not count.
/// * Amount: the last one, by event time or else by arrival; that of the report only if no other change has one. Refunds
///   add up; they never take more than the amount.
/// * Review: while the amount needs a review, only a user's approval counts, given after that amount arrived. A rejection
///   needs no review.
#[must_use]
pub fn outcome(changes: &[Change], review: Option<Review>) -> Outcome {
    let status = fold_status(changes);
    let status = if is_rejected_after_approval(changes) {
        ConversionStatus::Rejected
    } else {
        status
    };
    let given = changes
        .iter()
        .filter(|change| change.amount_micros.is_some())
        .max_by_key(|change| {
            let is_later = change.source != Source::Report;
            (
                is_later,
                change.event_time.unwrap_or(change.changed_at),
                change.id,
            )
        });
    let amount = given.and_then(|change| change.amount_micros);
    let review = review.filter(|review| review.applies_to(amount));
    let was_approved = changes.iter().any(|change| {
        let counts = review.is_none() || change.source == Source::Person;
        counts && change.status == Some(ConversionStatus::Approved)
    });
    let refunded = changes
        .iter()
        .filter_map(|change| change.refund_micros)
        .fold(0_i64, i64::saturating_add);
    let is_gone = refunded > 0 && amount.is_none_or(|amount| refunded >= amount);
    let status = if is_gone {
        ConversionStatus::Rejected
    } else {
        status
    };
    let is_reviewed = |given: &Change| {
        let decided = changes.iter().filter(|change| change.source == Source::Person);
        decided.map(|change| change.changed_at).max() >= Some(given.changed_at)
    };
    let needs_review = review.filter(|_| status.counts() && !given.is_some_and(is_reviewed));
    Outcome {
        status: match status {
            ConversionStatus::Rejected if was_approved => ConversionStatus::Reversed,
            ConversionStatus::Approved if needs_review.is_some() => ConversionStatus::Pending,
            status => status,
        },
        review_because: needs_review.map(Review::because),
        amount_micros: amount.map(|amount| amount.saturating_sub(refunded).max(0)),
    }
}

/// True if the advertiser rejected it after a user approved it.
fn is_rejected_after_approval(changes: &[Change]) -> bool {
    let approved = changes
        .iter()
        .filter(|change| change.source == Source::Person && change.status == Some(ConversionStatus::Approved))
        .map(|change| change.changed_at)
        .max();
    let rejected = |change: &Change| {
        change.source == Source::Postback && change.status == Some(ConversionStatus::Rejected)
    };
    approved.is_some_and(|approved| {
        changes
            .iter()
            .any(|change| rejected(change) && change.changed_at > approved)
    })
}

fn fold_status(changes: &[Change]) -> ConversionStatus {
    let later = || changes.iter().filter(|change| change.source != Source::Report);
    let timed = later()
        .filter_map(|change| Some((change.event_time?, change.status?)))
        .max_by_key(|(at, status)| (*at, severity(*status)))
        .map(|(_, status)| status);
    let untimed = later()
        .filter(|change| change.event_time.is_none())
        .filter_map(|change| change.status)
        .max_by_key(|status| severity(*status));
    let reported = changes
        .iter()
        .filter(|change| change.source == Source::Report)
        .find_map(|change| change.status);
    timed
        .into_iter()
        .chain(untimed)
        .max_by_key(|status| severity(*status))
        .or(reported)
        .unwrap_or(ConversionStatus::Pending)
}

fn severity(status: ConversionStatus) -> u8 {
    match status {
        ConversionStatus::Pending => 0,
        ConversionStatus::Approved => 1,
        ConversionStatus::Rejected | ConversionStatus::Reversed => 2,
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;
    use proptest::prelude::*;

    use super::*;

    fn change(number: u128, source: Source) -> Change {
        let start: DateTime<Utc> = "2026-11-21T00:00:00Z".parse().unwrap();
        Change {
            network_id: NetworkId(1),
            conversion_id: ConversionId(Uuid::nil()),
            id: Uuid::from_u128(number),
            changed_at: start + TimeDelta::seconds(i64::try_from(number).unwrap()),
            event_time: None,
            source,
            status: None,
            amount_micros: None,
            refund_micros: None,
        }
    }

    fn report(amount: i64) -> Change {
        Change {
            status: Some(ConversionStatus::Pending),
            amount_micros: Some(amount),
            ..change(1, Source::Report)
        }
    }

    fn postback(number: u128, status: ConversionStatus) -> Change {
        Change {
            status: Some(status),
            ..change(number, Source::Postback)
        }
    }

    #[test]
    fn the_status_with_the_latest_event_time_wins() {
        use ConversionStatus::{Approved, Pending, Rejected, Reversed};
        let at = |change: Change, time: &str| Change {
            event_time: time.parse().ok(),
            ..change
        };
        let status = |changes: &[Change]| outcome(changes, None).status;
        assert_eq!(status(&[report(100)]), Pending);
        assert_eq!(status(&[report(100), postback(2, Approved)]), Approved);
        assert_eq!(status(&[report(100), postback(2, Rejected)]), Rejected);
        assert_eq!(
            status(&[report(100), postback(3, Rejected), postback(2, Approved)]),
            Reversed
        );
        let early = at(postback(2, Rejected), "2026-11-20T00:00:00Z");
        let late = at(postback(3, Approved), "2026-11-21T00:00:00Z");
        assert_eq!(status(&[report(100), late, early]), Approved);
        assert_eq!(
            status(&[report(100), late, early, postback(4, Rejected)]),
            Reversed
        );
    }

    #[test]
    fn refunds_add_up_to_the_amount_at_most() {
        let refund = |number, micros| Change {
            refund_micros: Some(micros),
            ..change(number, Source::Postback)
        };
        let adjusted = Change {
            amount_micros: Some(80),
            ..change(9, Source::Postback)
        };
        let amount = |changes: &[Change]| outcome(changes, None).amount_micros;
        assert_eq!(amount(&[report(100), refund(2, 30), refund(3, 20)]), Some(50));
        assert_eq!(amount(&[refund(2, 30), adjusted, report(100)]), Some(50));
        assert_eq!(amount(&[report(100), refund(2, 300)]), Some(0));
        assert_eq!(amount(&[change(1, Source::Report), refund(2, 30)]), None);
        let status = |changes: &[Change]| outcome(changes, None).status;
        assert_eq!(status(&[report(100), refund(2, 30)]), ConversionStatus::Pending);
        assert_eq!(
            status(&[report(100), refund(2, 30), refund(3, 70)]),
            ConversionStatus::Rejected
        );
    }

    #[test]
    fn a_review_is_passed_by_a_users_approval_of_the_current_amount_only() {
        use ConversionStatus::{Approved, Pending, Rejected, Reversed};
        let amount = |number, micros| Change {
            amount_micros: Some(micros),
            ..change(number, Source::Postback)
        };
        let person = |number, status| {
            let decided = change(number, Source::Person);
            Change {
                event_time: Some(decided.changed_at),
                status: Some(status),
                ..decided
            }
        };
        let of = |changes: &[Change]| {
            let outcome = outcome(changes, Some(Review::Above(100)));
            (outcome.status, outcome.review_because.is_some())
        };
        let held = Change {
            status: Some(Approved),
            ..change(4, Source::Hold)
        };
        let in_review = (Pending, true);
        assert_eq!(of(&[report(100)]), (Pending, false));
        assert_eq!(of(&[report(101)]), in_review);
        // Neither the advertiser nor the hold period approves it.
        assert_eq!(of(&[report(101), postback(2, Approved), held]), in_review);
        assert_eq!(of(&[report(101), postback(2, Rejected)]), (Rejected, false));
        assert_eq!(
            of(&[report(101), postback(2, Approved), postback(3, Rejected)]),
            (Rejected, false)
        );
        assert_eq!(of(&[report(101), person(5, Approved)]), (Approved, false));
        assert_eq!(of(&[report(101), person(5, Rejected)]), (Rejected, false));
        assert_eq!(
            of(&[report(101), person(5, Approved), postback(6, Rejected)]),
            (Reversed, false)
        );
        // A lower amount needs no review, a higher one needs another.
        assert_eq!(
            of(&[report(101), postback(2, Approved), amount(3, 50)]),
            (Approved, false)
        );
        assert_eq!(of(&[report(101), person(5, Approved), amount(6, 500)]), in_review);
        assert_eq!(
            of(&[report(101), amount(4, 500), person(5, Approved)]),
            (Approved, false)
        );
        let again = [
            report(101),
            person(5, Approved),
            amount(6, 500),
            person(7, Approved),
        ];
        assert_eq!(of(&again), (Approved, false));
        // An amount in another currency cannot be compared.
        let foreign = outcome(&[report(1)], Some(Review::Any));
        assert_eq!(foreign.review_because, Some(ReviewBecause::Currency));
        assert_eq!(outcome(&[report(0)], Some(Review::Any)).review_because, None);
    }

    proptest! {
        /// Every order of arrival yields the same state.
        #[test]
        fn the_order_of_arrival_does_not_matter(
            statuses in prop::collection::vec((0_u8..3, prop::option::of(0_i64..5)), 0..5),
            adjusted in prop::option::of((1_i64..200, prop::option::of(0_i64..5))),
            refunds in prop::collection::vec(1_i64..60, 0..3),
            review in prop::option::of((0_i64..200).prop_map(Review::Above)),
            seed in any::<u64>(),
        ) {
            let time = |offset: Option<i64>| offset.and_then(|hours| DateTime::from_timestamp(hours * 3600, 0));
            let mut changes = vec![report(100)];
            for (number, (status, at)) in statuses.into_iter().enumerate() {
                let status = [ConversionStatus::Pending, ConversionStatus::Approved, ConversionStatus::Rejected][usize::from(status)];
                changes.push(Change { event_time: time(at), ..postback(10 + number as u128, status) });
            }
            if let Some((amount, at)) = adjusted {
                changes.push(Change { amount_micros: Some(amount), event_time: time(at), ..change(20, Source::Postback) });
            }
            for (number, micros) in refunds.into_iter().enumerate() {
                changes.push(Change { refund_micros: Some(micros), ..change(30 + number as u128, Source::Postback) });
            }
            let expected = outcome(&changes, review);
            let mut shuffled = changes.clone();
            let mut state = seed;
            for at in (1..shuffled.len()).rev() {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                shuffled.swap(at, usize::try_from(state >> 33).unwrap() % (at + 1));
            }
            // Only the time of arrival differs.
            for (at, change) in shuffled.iter_mut().enumerate() {
                change.changed_at += TimeDelta::seconds(i64::try_from(at).unwrap() * 100);
            }
            prop_assert_eq!(outcome(&shuffled, review), expected);
        }
    }
}
