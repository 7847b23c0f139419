//! What was said of a conversion after it was made, and what it is because of it.
//!
//! A conversion is the fold of the *set* of what was said: in whatever order a report, an approval, an adjustment and a
//! refund arrive, and however often each is repeated, the result is the same.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use schema::{ConversionId, NetworkConn, conversion_changes, text_enum};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::conversions::{Conversion, ConversionStatus, ReviewBecause};
use crate::pricing::Review;

text_enum! {
    /// Who said it.
    pub enum Source {
        /// What the conversion was made with.
        Report = "report",
        /// The advertiser changed it.
        Postback = "postback",
        /// Somebody of the network did.
        Person = "person",
        /// Its time on hold was over.
        Hold = "hold",
    }
}

/// One thing that was said of a conversion.
#[derive(Debug, Clone, Copy, PartialEq, Eq, HasQuery, Insertable)]
#[diesel(table_name = conversion_changes)]
pub struct Change {
    /// The same for the same thing said twice.
    pub id: Uuid,
    /// When it reached us.
    pub changed_at: DateTime<Utc>,
    /// When it happened, as the sender says.
    pub said_at: Option<DateTime<Utc>>,
    /// Who said it.
    pub source: Source,
    /// The status it was given.
    pub status: Option<ConversionStatus>,
    /// The amount it was given, in micro-units.
    pub amount_micros: Option<i64>,
    /// How much of the amount was taken back.
    pub refund_micros: Option<i64>,
}

impl Change {
    /// What a conversion was made with: this status, where the call said none.
    #[must_use]
    pub(crate) fn report(conversion: &Conversion, status: ConversionStatus) -> Self {
        Self {
            // It is the first thing ever said of it: its own number will do.
            id: conversion.id.0,
            changed_at: conversion.converted_at,
            said_at: None,
            source: Source::Report,
            status: Some(status),
            amount_micros: conversion.amount_micros,
            refund_micros: None,
        }
    }

    /// Gives it the number that the same thing said again would have.
    #[must_use]
    pub(crate) fn numbered(self, conversion_id: ConversionId, key: &str) -> Self {
        let content = match key {
            "" => format!(
                "{conversion_id} {:?} {:?} {:?} {:?}",
                self.said_at, self.status, self.amount_micros, self.refund_micros
            ),
            // It has a name of its own, whatever else is said with it.
            key => format!("{conversion_id} {key}"),
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

/// Notes that a person decided on a conversion that waited.
pub(crate) async fn note_decision(
    conn: &mut NetworkConn,
    conversion: &Conversion,
    status: ConversionStatus,
    now: DateTime<Utc>,
) -> QueryResult<()> {
    let network_id = conn.network_id();
    let decision = Change {
        id: Uuid::nil(),
        changed_at: now,
        said_at: Some(now),
        source: Source::Person,
        status: Some(status),
        amount_micros: None,
        refund_micros: None,
    };
    let rows = [
        Change::report(conversion, conversion.status),
        // Each one counts: what is looked at a second time is decided a second time.
        decision.numbered(conversion.id, &format!("person {now}")),
    ]
    .map(|change| {
        (
            conversion_changes::network_id.eq(network_id),
            conversion_changes::conversion_id.eq(conversion.id),
            change,
        )
    });
    // What it was made with stands already, if anything was said of it before.
    diesel::insert_into(conversion_changes::table)
        .values(rows.to_vec())
        .on_conflict_do_nothing()
        .execute(&mut **conn)
        .await?;
    Ok(())
}

/// What was said of a conversion, oldest first.
///
/// # Errors
/// When the database fails.
pub async fn of_conversion(conn: &mut NetworkConn, id: ConversionId) -> QueryResult<Vec<Change>> {
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

/// What a conversion is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outcome {
    /// Where it stands.
    pub status: ConversionStatus,
    /// Its amount, what was taken back taken away; none where none was ever said.
    pub amount_micros: Option<i64>,
    /// Why somebody of the network must look at it before it is approved, if so.
    pub review_because: Option<ReviewBecause>,
}

/// What a conversion is after all that was said of it.
///
/// * Status: what a later time says beats what an earlier one said; among statuses without a time, and between those
///   with and without, a rejection beats an approval, which beats waiting. What it was made with counts least.
///   A rejection that came after a person's approval is later than that, whatever its time says: a person decides by what
///   is there. What was wholly taken back does not count.
/// * Amount: the last one given, by the sender's time or by ours; what it was made with only where no other was.
///   Refunds add up; they never take more than there is.
/// * Review: while the amount is one that somebody of the network must look at, nothing but a person's approval counts as
///   one, given when that amount was there. A rejection needs no look.
#[must_use]
pub fn outcome(changes: &[Change], review: Option<Review>) -> Outcome {
    let status = fold_status(changes);
    let status = match is_rejected_after_all(changes) {
        true => ConversionStatus::Rejected,
        false => status,
    };
    let given = changes
        .iter()
        .filter(|change| change.amount_micros.is_some())
        .max_by_key(|change| {
            let is_later = change.source != Source::Report;
            (is_later, change.said_at.unwrap_or(change.changed_at), change.id)
        });
    let amount = given.and_then(|change| change.amount_micros);
    let review = review.filter(|review| review.asks(amount));
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
    let is_looked_at = |given: &Change| {
        let decided = changes.iter().filter(|change| change.source == Source::Person);
        decided.map(|change| change.changed_at).max() >= Some(given.changed_at)
    };
    let waits_for = review.filter(|_| status.counts() && !given.is_some_and(is_looked_at));
    Outcome {
        status: match status {
            ConversionStatus::Rejected if was_approved => ConversionStatus::Reversed,
            ConversionStatus::Approved if waits_for.is_some() => ConversionStatus::Pending,
            status => status,
        },
        review_because: waits_for.map(Review::because),
        amount_micros: amount.map(|amount| amount.saturating_sub(refunded).max(0)),
    }
}

/// Whether the advertiser rejected it after a person had approved it.
fn is_rejected_after_all(changes: &[Change]) -> bool {
    let approved = changes
        .iter()
        .filter(|it| it.source == Source::Person && it.status == Some(ConversionStatus::Approved))
        .map(|it| it.changed_at)
        .max();
    let rejected =
        |it: &Change| it.source == Source::Postback && it.status == Some(ConversionStatus::Rejected);
    approved.is_some_and(|approved| changes.iter().any(|it| rejected(it) && it.changed_at > approved))
}

fn fold_status(changes: &[Change]) -> ConversionStatus {
    let later = || changes.iter().filter(|change| change.source != Source::Report);
    let timed = later()
        .filter_map(|change| Some((change.said_at?, change.status?)))
        .max_by_key(|(at, status)| (*at, severity(*status)))
        .map(|(_, status)| status);
    let untimed = later()
        .filter(|change| change.said_at.is_none())
        .filter_map(|change| change.status)
        .max_by_key(|status| severity(*status));
    let made_with = changes
        .iter()
        .filter(|change| change.source == Source::Report)
        .find_map(|change| change.status);
    timed
        .into_iter()
        .chain(untimed)
        .max_by_key(|status| severity(*status))
        .or(made_with)
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
            id: Uuid::from_u128(number),
            changed_at: start + TimeDelta::seconds(i64::try_from(number).unwrap()),
            said_at: None,
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

    fn says(number: u128, status: ConversionStatus) -> Change {
        Change {
            status: Some(status),
            ..change(number, Source::Postback)
        }
    }

    #[test]
    fn what_was_said_last_by_the_senders_clock_stands() {
        use ConversionStatus::{Approved, Pending, Rejected, Reversed};
        let at = |change: Change, time: &str| Change {
            said_at: time.parse().ok(),
            ..change
        };
        let status = |changes: &[Change]| outcome(changes, None).status;
        assert_eq!(status(&[report(100)]), Pending);
        assert_eq!(status(&[report(100), says(2, Approved)]), Approved);
        assert_eq!(status(&[report(100), says(2, Rejected)]), Rejected);
        assert_eq!(
            status(&[report(100), says(3, Rejected), says(2, Approved)]),
            Reversed
        );
        let early = at(says(2, Rejected), "2026-11-20T00:00:00Z");
        let late = at(says(3, Approved), "2026-11-21T00:00:00Z");
        assert_eq!(status(&[report(100), late, early]), Approved);
        assert_eq!(status(&[report(100), late, early, says(4, Rejected)]), Reversed);
    }

    #[test]
    fn refunds_add_up_and_take_no_more_than_there_is() {
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
    fn what_must_be_looked_at_is_approved_by_a_person_only_and_by_what_was_there_then() {
        use ConversionStatus::{Approved, Pending, Rejected, Reversed};
        let amount = |number, micros| Change {
            amount_micros: Some(micros),
            ..change(number, Source::Postback)
        };
        let person = |number, status| {
            let decided = change(number, Source::Person);
            Change {
                said_at: Some(decided.changed_at),
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
        let waits = (Pending, true);
        assert_eq!(of(&[report(100)]), (Pending, false));
        assert_eq!(of(&[report(101)]), waits);
        // Neither the advertiser nor time approves it.
        assert_eq!(of(&[report(101), says(2, Approved), held]), waits);
        assert_eq!(of(&[report(101), says(2, Rejected)]), (Rejected, false));
        assert_eq!(
            of(&[report(101), says(2, Approved), says(3, Rejected)]),
            (Rejected, false)
        );
        assert_eq!(of(&[report(101), person(5, Approved)]), (Approved, false));
        assert_eq!(of(&[report(101), person(5, Rejected)]), (Rejected, false));
        assert_eq!(
            of(&[report(101), person(5, Approved), says(6, Rejected)]),
            (Reversed, false)
        );
        // A lower amount need not be looked at, a higher one must be once more.
        assert_eq!(
            of(&[report(101), says(2, Approved), amount(3, 50)]),
            (Approved, false)
        );
        assert_eq!(of(&[report(101), person(5, Approved), amount(6, 500)]), waits);
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
        // Nobody compares what cannot be compared.
        let foreign = outcome(&[report(1)], Some(Review::Any));
        assert_eq!(foreign.review_because, Some(ReviewBecause::Currency));
        assert_eq!(outcome(&[report(0)], Some(Review::Any)).review_because, None);
    }

    proptest! {
        /// All orders of what is said of a conversion come to the same, repetitions or not.
        #[test]
        fn the_order_of_arrival_does_not_matter(
            statuses in prop::collection::vec((0_u8..3, prop::option::of(0_i64..5)), 0..5),
            adjusted in prop::option::of((1_i64..200, prop::option::of(0_i64..5))),
            refunds in prop::collection::vec(1_i64..60, 0..3),
            review in prop::option::of((0_i64..200).prop_map(Review::Above)),
            seed in any::<u64>(),
        ) {
            let time = |offset: Option<i64>| offset.and_then(|hours| DateTime::from_timestamp(hours * 3600, 0));
            let mut said = vec![report(100)];
            for (number, (status, at)) in statuses.into_iter().enumerate() {
                let status = [ConversionStatus::Pending, ConversionStatus::Approved, ConversionStatus::Rejected][usize::from(status)];
                said.push(Change { said_at: time(at), ..says(10 + number as u128, status) });
            }
            if let Some((amount, at)) = adjusted {
                said.push(Change { amount_micros: Some(amount), said_at: time(at), ..change(20, Source::Postback) });
            }
            for (number, micros) in refunds.into_iter().enumerate() {
                said.push(Change { refund_micros: Some(micros), ..change(30 + number as u128, Source::Postback) });
            }
            let expected = outcome(&said, review);
            let mut shuffled = said.clone();
            let mut state = seed;
            for at in (1..shuffled.len()).rev() {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                shuffled.swap(at, usize::try_from(state >> 33).unwrap() % (at + 1));
            }
            // What differs by order of arrival is the time of arrival.
            for (at, change) in shuffled.iter_mut().enumerate() {
                change.changed_at += TimeDelta::seconds(i64::try_from(at).unwrap() * 100);
            }
            prop_assert_eq!(outcome(&shuffled, review), expected);
        }
    }
}
