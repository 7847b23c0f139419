//! The rules of money: the state of a conversion that follows from its changes and its terms.
//!
//! A pure function of the *set* of changes: statements with a time give the same state in whatever order they arrive;
//! those without one count in the order of their arrival.
//!
//! * **Authority.** Users of the network stand above the advertiser, an authenticated sender above one that is not. A user's
//!   decision on the status holds until a user releases it. A user's amount holds, but for refunds and lower amounts of the
//!   advertiser. Nothing that a user or an authenticated sender states is changed by an unauthenticated sender: its
//!   statements count until one of the others states anything. An authenticated sender's status or total replaces those
//!   that came before, too.
//! * **Time.** Within one authority the latest statement wins. The report comes first, unless it has a time.
//! * **Refunds** are money taken off, not a status. A full refund takes off what is left; only a later total or a user's
//!   amount brings it back. While nothing is left, the conversion does not count.
//! * **Undo.** A correction that a user undoes, and the undoing itself, do not count.
//! * **Review.** It is pending while its amount after refunds, its commission, a cap or its parent asks for a review that no
//!   user has given for at least this amount and commission. Approving it, or setting its sums, is a review.

use chrono::{DateTime, Utc};
use schema::{AffiliateId, ClickKey, Currency, LinkId, Money};
use serde::Deserialize;
use serde_json::Value;

use crate::basket::{self, Line};
use crate::changes::{Change, Matter, Place, REPETITION, Source};
use crate::conversion::{Conversion, ConversionStatus, ReviewBecause};
use crate::pricing::Pricing;

/// State of a conversion that follows from its changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// Status.
    pub status: ConversionStatus,
    /// Order amount after refunds, in micro-units; `None` if no change has an amount.
    pub amount_micros: Option<i64>,
    /// Commission in micro-units.
    pub commission_micros: i64,
    /// Revenue in micro-units.
    pub revenue_micros: i64,
    /// Reason for a manual review; `None` if it needs none.
    pub review_because: Option<ReviewBecause>,
    /// End of the hold period, at which it is approved; `None` if it is decided, on hold, or has no such period.
    pub hold_until: Option<DateTime<Utc>>,
    /// True if it is refunded in full.
    pub is_refunded: bool,
    /// Affiliate, link and click that it was reported for, or that a user moved it to.
    pub moved_to: Option<(AffiliateId, LinkId, Option<ClickKey>)>,
}

impl Outcome {
    /// Gives a conversion this state.
    pub fn apply_to(&self, conversion: &mut Conversion) {
        conversion.status = self.status;
        conversion.amount_micros = self.amount_micros;
        conversion.commission_micros = self.commission_micros;
        conversion.revenue_micros = self.revenue_micros;
        conversion.review_because = self.review_because;
        conversion.hold_until = self.hold_until;
        if let Some((affiliate, link, click)) = self.moved_to {
            conversion.affiliate_id = affiliate;
            conversion.link_id = link;
            conversion.click_id = click;
        }
    }
}

/// Folds changes into the state of their conversion.
#[must_use]
pub fn outcome(changes: &[Change], pricing: &Pricing, currency: Currency) -> Outcome {
    let is_undone = |change: &&Change| changes.iter().any(|undo| undo.undoes == Some(change.id));
    let mut ordered: Vec<&Change> = changes
        .iter()
        .filter(|change| change.undoes.is_none() && !is_undone(change))
        .collect();
    ordered.sort_by_key(|change| change.place());
    let mut state = state(&ordered, pricing, currency);
    let was_approved = |length: usize| {
        let before = ordered.get(..length).unwrap_or_default();
        before.iter().any(|change| change.source == Source::Report)
            && status(before, pricing) == ConversionStatus::Approved
            && self::state(before, pricing, currency).status == ConversionStatus::Approved
    };
    if state.status == ConversionStatus::Rejected && (1..ordered.len()).any(was_approved) {
        state.status = ConversionStatus::Reversed;
    }
    state
}

/// State after these changes, in order of time; `Rejected` also where it was approved before.
fn state(ordered: &[&Change], pricing: &Pricing, currency: Currency) -> Outcome {
    let order = Order::walk(&counting(ordered, Matter::Money), pricing);
    let amount = order.amount();
    let (commission_micros, revenue_micros) = order.pay(pricing, currency);
    let status = if order.is_gone() {
        ConversionStatus::Rejected
    } else {
        status(ordered, pricing)
    };
    let asks =
        review(ordered, pricing, &order, commission_micros, revenue_micros).filter(|_| status.counts());
    let is_pending = status == ConversionStatus::Pending;
    let is_held = is_pending && last_decision(ordered).is_some();
    let is_over = ordered.iter().any(|change| change.source == Source::Hold);
    Outcome {
        status: if asks.is_some() {
            ConversionStatus::Pending
        } else {
            status
        },
        amount_micros: amount,
        commission_micros,
        revenue_micros,
        review_because: asks.or(is_held.then_some(ReviewBecause::Person)),
        hold_until: pricing.hold_until.filter(|_| is_pending && !is_held && !is_over),
        is_refunded: order.is_gone(),
        moved_to: moved_to(ordered),
    }
}

/// Changes that count in a matter. A statement of an unauthenticated sender counts only if it arrived before all those of
/// users and authenticated senders, and only until an authenticated sender states the status or the total.
fn counting<'a>(ordered: &[&'a Change], matter: Matter) -> Vec<&'a Change> {
    let proven = || ordered.iter().filter(|change| change.is_proven);
    let is_statement = |change: &&&Change| change.is_of_sender() || change.source == Source::Person;
    let first_proven = proven().filter(is_statement).map(|change| change.arrival()).min();
    let is_replaced = proven()
        .filter(|change| change.is_of_sender())
        .any(|change| match matter {
            Matter::Status => change.status.is_some(),
            Matter::Money => total_of(change).is_some(),
        });
    let counts = |change: &&Change| {
        let is_unopposed = || !is_replaced && first_proven.is_none_or(|first| change.arrival() < first);
        change.is_about(matter) && (change.is_proven || change.source == Source::Report || is_unopposed())
    };
    ordered.iter().copied().filter(counts).collect()
}

/// The user's decision on the status that is in force.
fn last_decision<'a>(ordered: &[&'a Change]) -> Option<&'a Change> {
    ordered
        .iter()
        .copied()
        .filter(|change| change.source == Source::Person && change.is_about(Matter::Status))
        .max_by_key(|change| change.arrival())
        .filter(|change| !change.is_released)
}

fn status(ordered: &[&Change], pricing: &Pricing) -> ConversionStatus {
    if let Some(decided) = last_decision(ordered).and_then(|decision| decision.status) {
        return decided;
    }
    let held = ordered.iter().find(|change| change.source == Source::Hold);
    let initial = if pricing.auto_approve || held.is_some() {
        ConversionStatus::Approved
    } else {
        ConversionStatus::Pending
    };
    // The hold period ends in spite of a “pending”, which is no decision.
    let is_over = |change: &&Change| {
        let was_pending = change.status == Some(ConversionStatus::Pending);
        !(was_pending && held.is_some_and(|held| change.changed_at <= held.changed_at))
    };
    counting(ordered, Matter::Status)
        .into_iter()
        .filter(|change| change.is_of_sender())
        .rfind(is_over)
        .and_then(|change| change.status)
        .unwrap_or(initial)
}

/// Money of an order while its changes are walked.
#[derive(Debug, Clone, Default)]
struct Order<'a> {
    total: Option<i64>,
    /// Latest items of the whole order, with the total that they were sent with.
    items: Option<(&'a Value, i64)>,
    refunds: i64,
    /// Returned items, with the refund that they were sent with.
    returned: Vec<(&'a Value, i64)>,
    is_refunded: bool,
    commission: Option<Stated>,
    revenue: Option<Stated>,
}

/// Sum that was stated for the whole order.
#[derive(Debug, Clone, Copy)]
struct Stated {
    micros: i64,
    /// Order amount that it was stated for.
    base: Option<i64>,
    by_user: bool,
    place: Place,
}

impl Stated {
    /// The sum for what is left of the order: it shrinks with the order, and does not grow.
    fn of(self, amount: Option<i64>, currency: Currency) -> i64 {
        let (value, base) = (i128::from(self.micros), self.base.unwrap_or(0));
        match amount {
            Some(amount) if base > 0 && amount < base => {
                Money::rounded(value * i128::from(amount), i128::from(base), currency).micros
            }
            _ => Money::rounded(value, 1, currency).micros,
        }
    }
}

impl<'a> Order<'a> {
    /// Walks changes in order of time; a user's amount ends what arrived before it.
    fn walk(changes: &[&'a Change], pricing: &Pricing) -> Self {
        let figure = changes
            .iter()
            .copied()
            .filter(|change| change.source == Source::Person && total_of(change).is_some())
            .max_by_key(|change| change.arrival());
        let arrived_later =
            |change: &&&Change| figure.is_none_or(|figure| change.arrival() > figure.arrival());
        let later = changes.iter().filter(arrived_later);
        let mut order = match figure {
            Some(figure) => {
                let earlier = |change: &&&Change| change.arrival() < figure.arrival();
                let earlier: Vec<&'a Change> = changes.iter().filter(earlier).copied().collect();
                let mut order = Self::walk(&earlier, pricing);
                order.apply(figure);
                order.state_commission(figure, pricing);
                order
            }
            None => Self::default(),
        };
        let mut last: Option<&Change> = None;
        for change in later.copied() {
            let is_lower = figure.is_none_or(|figure| total_of(change) < total_of(figure));
            let is_money = total_of(change).is_some() || change.refund_micros.is_some();
            if is_money && is_lower {
                if !last.is_some_and(|last| is_same_refund(last, change)) {
                    order.apply(change);
                }
                last = Some(change);
            }
            order.state_commission(change, pricing);
        }
        order
    }

    fn apply(&mut self, change: &'a Change) {
        if let Some(refund) = change.refund_micros {
            self.refunds = self.refunds.saturating_add(refund);
            self.returned
                .extend(change.items.as_ref().map(|items| (items, refund)));
            return;
        }
        let Some(total) = total_of(change) else { return };
        if change.remaining_micros.is_some() || change.source == Source::Person {
            self.refunds = 0;
            self.returned.clear();
        }
        self.is_refunded = change.remaining_micros == Some(0);
        self.total = Some(total);
        if let Some(items) = &change.items {
            self.items = Some((items, total));
        }
    }

    fn state_commission(&mut self, change: &Change, pricing: &Pricing) {
        let by_user = change.source == Source::Person;
        let seen = change.seen_amount_micros.filter(|_| by_user);
        let stated = |micros: i64| Stated {
            micros,
            // A total that is sent with it is its base, even if refunds were taken off.
            base: seen.or(total_of(change)).or(self.amount()),
            by_user,
            place: change.place(),
        };
        let (commission, revenue) = (
            change.commission_micros.map(stated),
            change.revenue_micros.map(stated),
        );
        let overrides = |known: &Option<Stated>| {
            known.is_none_or(|known| (known.by_user, known.place) <= (by_user, change.place()))
        };
        if (by_user || pricing.takes_commission) && overrides(&self.commission) {
            self.commission = commission.or(self.commission);
        }
        if by_user {
            self.revenue = revenue.or(self.revenue);
        }
    }

    /// Amount after refunds.
    fn amount(&self) -> Option<i64> {
        self.total.map(|total| total.saturating_sub(self.refunds).max(0))
    }

    /// True if nothing is left of it.
    fn is_gone(&self) -> bool {
        self.is_refunded || self.refunds > 0 && self.amount() == Some(0)
    }

    /// The rest of the order by category; `None` if the terms do not depend on categories.
    fn lines(&self, pricing: &Pricing, net: i64) -> Option<Vec<Line>> {
        let (items, stated) = self.items.filter(|_| pricing.has_categories())?;
        let read = |items: &Value| Vec::<Line>::deserialize(items).ok();
        let mut lines = basket::reconciled(read(items)?, stated);
        let total = self.total.unwrap_or(stated);
        if total != stated {
            basket::scale(&mut lines, total);
        }
        for (items, refund) in &self.returned {
            lines = basket::returned(lines, &basket::refunded(read(items)?, *refund));
        }
        if lines.is_empty() {
            lines.push(Line::rest(net));
        }
        basket::scale(&mut lines, net);
        Some(lines)
    }

    /// Commission and revenue in micro-units.
    fn pay(&self, pricing: &Pricing, currency: Currency) -> (i64, i64) {
        let amount = self.amount();
        let net = amount.unwrap_or(0);
        let lines = self.lines(pricing, net);
        let (mut commission, mut revenue) = pricing.pay(&pricing.parts(lines.as_deref(), net), currency);
        if pricing.unpaid.is_none()
            && let Some(stated) = self.commission
        {
            commission = stated.of(amount, currency);
            // The advertiser owes at least the commission that it sent.
            if !stated.by_user && pricing.revenue_is_free() {
                revenue = commission;
            }
        }
        if pricing.unpaid.is_none()
            && let Some(stated) = self.revenue
        {
            revenue = stated.of(amount, currency);
        }
        (commission, revenue)
    }
}

/// Total of the order that a change states, before or after refunds.
fn total_of(change: &Change) -> Option<i64> {
    change.amount_micros.or(change.remaining_micros)
}

/// True for a refund without an id that repeats the one before it.
fn is_same_refund(before: &Change, refund: &Change) -> bool {
    refund.refund_micros.is_some()
        && before.refund_micros == refund.refund_micros
        && before.event_id.is_none()
        && refund.event_id.is_none()
        && refund.time() - before.time() < REPETITION
}

/// Reason for a review that no user has given.
fn review(
    ordered: &[&Change],
    pricing: &Pricing,
    order: &Order<'_>,
    commission: i64,
    revenue: i64,
) -> Option<ReviewBecause> {
    let is_review =
        |change: &&&Change| change.source == Source::Person && change.seen_commission_micros.is_some();
    let reviews = || ordered.iter().filter(is_review);
    let seen_at = reviews().map(|change| change.changed_at).max();
    let is_unseen = |change: &&&Change| seen_at.is_none_or(|seen| seen < change.changed_at);
    let mut unseen = ordered.iter().filter(is_unseen);
    if unseen.clone().any(|change| change.source == Source::Parent) {
        return Some(ReviewBecause::Parent);
    }
    if pricing.unpaid.is_some() {
        return None;
    }
    if unseen.any(|change| change.exceeds_cap) {
        return Some(ReviewBecause::Cap);
    }
    let amount = order.amount();
    let covered = reviews()
        .max_by_key(|change| change.arrival())
        .is_some_and(|seen| {
            amount.unwrap_or(0) <= seen.seen_amount_micros.unwrap_or(0)
                && Some(commission) <= seen.seen_commission_micros
        });
    if covered {
        return None;
    }
    let limit = pricing.review.filter(|review| review.applies_to(amount));
    let is_sent = order.commission.is_some_and(|stated| !stated.by_user)
        || order.commission.is_none() && pricing.has_sent_rate();
    let is_too_high = is_sent && (commission > revenue || amount.is_some_and(|amount| commission > amount));
    limit
        .map(crate::pricing::Review::because)
        .or(is_too_high.then_some(ReviewBecause::Commission))
}

fn moved_to(ordered: &[&Change]) -> Option<(AffiliateId, LinkId, Option<ClickKey>)> {
    let moves = ordered.iter().filter_map(|change| {
        Some((
            change.changed_at,
            change.affiliate_id?,
            change.link_id?,
            change.click_id,
        ))
    });
    let (_, affiliate, link, click) = moves.max_by_key(|(at, ..)| *at)?;
    Some((affiliate, link, click))
}
