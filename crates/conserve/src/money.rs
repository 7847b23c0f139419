//! Money of an order, as it follows from the calls about it: written from the documented rules, apart from the server.

use chrono::{DateTime, Utc};
use rand::{Rng, RngExt};

use crate::events::{Order, Run};

/// First moment of changes, in seconds since 1970: all are before the orders that they change, as the server sees them.
const FIRST_CHANGE: i64 = 1_767_225_600;
/// Days over which the times of changes are spread.
const DAYS: i64 = 100;

/// Status of a conversion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Status {
    /// Undecided.
    Pending,
    /// Accepted by the advertiser.
    Approved,
    /// Refused by the advertiser, or refunded in full.
    Rejected,
    /// The same after an approval.
    Reversed,
}

/// Statement about an order's money or status; sums are in micro-units.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Statement {
    /// Status of the order.
    Status(Status),
    /// Total before refunds.
    Total(i64),
    /// Total after all refunds so far.
    Remaining(i64),
    /// Part that is taken off.
    Refund(i64),
    /// Everything that is left is taken off.
    RefundOfAll,
}

/// Change that an advertiser reports after the order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Change {
    /// Number of the change, which is the ID of a refund.
    pub(crate) n: u64,
    /// Time of the change, in microseconds since 1970.
    pub(crate) at: i64,
    /// Content.
    pub(crate) statement: Statement,
}

/// State of an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct State {
    /// Status.
    pub(crate) status: Status,
    /// Amount after refunds, in micro-units.
    pub(crate) net: i64,
}

impl Status {
    /// Name in the tables.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Approved => "approved",
            Self::Rejected => "rejected",
            Self::Reversed => "reversed",
        }
    }

    /// Returns true if the affiliate earns from it.
    pub(crate) fn earns(self) -> bool {
        matches!(self, Self::Pending | Self::Approved)
    }
}

impl Statement {
    /// Returns the amount of a call with this statement; what is left is no amount.
    pub(crate) fn amount(self) -> Option<i64> {
        match self {
            Self::Total(sum) | Self::Refund(sum) => Some(sum),
            Self::Status(_) | Self::Remaining(_) | Self::RefundOfAll => None,
        }
    }
}

impl Change {
    /// Parameters of the call.
    pub(crate) fn parameters(&self, order: &Order) -> Vec<(&'static str, String)> {
        let time = DateTime::<Utc>::from_timestamp_micros(self.at).unwrap_or_default();
        let mut parameters = vec![("event_time", time.to_rfc3339())];
        let sum = |micros| order.write(micros);
        match self.statement {
            Statement::Status(status) => parameters.push(("status", status.name().to_owned())),
            Statement::Total(total) => {
                parameters.extend([("action", "update".to_owned()), ("amount", sum(total))]);
            }
            Statement::Remaining(left) => {
                parameters.extend([("action", "update".to_owned()), ("remaining", sum(left))]);
            }
            Statement::Refund(part) => {
                parameters.extend([("refund", sum(part)), ("refund_id", self.n.to_string())]);
            }
            Statement::RefundOfAll => parameters.push(("refund", "all".to_owned())),
        }
        parameters
    }
}

impl Run {
    /// Returns change number `n`, of this order.
    pub(crate) fn change(&self, n: u64, order: &Order) -> Change {
        let mut dice = self.dice(3, n);
        let second = FIRST_CHANGE + dice.random_range(0..DAYS * 86_400);
        // No two of the first million changes have the same time.
        let at = second * 1_000_000 + i64::try_from(n % 1_000_000).unwrap_or(0);
        let statement = statement(&mut dice, order);
        Change { n, at, statement }
    }
}

fn statement(dice: &mut impl Rng, order: &Order) -> Statement {
    let coins = order.amount / order.coin;
    match dice.random_range(0..10) {
        0 | 1 => Statement::Status(Status::Approved),
        2 => Statement::Status(Status::Rejected),
        3 => Statement::Status(Status::Pending),
        // Few sums, so that a sum returns.
        4 | 5 => Statement::Total(order.amount + dice.random_range(0..4) * order.coin),
        6 => Statement::Remaining(dice.random_range(0..=coins) * order.coin),
        7 | 8 => Statement::Refund(dice.random_range(1..=coins / 2 + 1) * order.coin),
        _ => Statement::RefundOfAll,
    }
}

/// Returns the state of an order that was reported with this amount, after these changes, in whatever order they
/// arrived. A repeated change counts once. A change counts at its time; the report, which has none, is the first.
pub(crate) fn state(amount: i64, changes: &[Change]) -> State {
    let mut changes = changes.to_vec();
    changes.sort_by_key(|change| (change.at, change.n));
    changes.dedup();
    let mut order = Standing {
        stated: Status::Pending,
        total: amount,
        taken: 0,
        all_taken: false,
    };
    let mut was_approved = false;
    for change in changes {
        was_approved |= order.state().status == Status::Approved;
        order.hear(change.statement);
    }
    let mut state = order.state();
    if state.status == Status::Rejected && was_approved {
        state.status = Status::Reversed;
    }
    state
}

/// Order after the statements so far.
struct Standing {
    stated: Status,
    total: i64,
    taken: i64,
    all_taken: bool,
}

impl Standing {
    fn hear(&mut self, statement: Statement) {
        match statement {
            Statement::Status(status) => self.stated = status,
            // A new total brings back an order that was refunded in full.
            Statement::Total(total) => (self.total, self.all_taken) = (total, false),
            Statement::Refund(part) => self.taken += part,
            // Earlier refunds are contained in what is left.
            Statement::Remaining(left) => (self.total, self.taken, self.all_taken) = (left, 0, left == 0),
            Statement::RefundOfAll => (self.total, self.taken, self.all_taken) = (0, 0, true),
        }
    }

    fn state(&self) -> State {
        let net = if self.all_taken {
            0
        } else {
            (self.total - self.taken).max(0)
        };
        let is_refunded = self.all_taken || (net == 0 && self.taken > 0);
        let status = if is_refunded {
            Status::Rejected
        } else {
            self.stated
        };
        State { status, net }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(statements: &[Statement]) -> (Status, i64) {
        let changes: Vec<_> = (1..)
            .zip(statements)
            .map(|(n, statement)| Change {
                n,
                at: i64::try_from(n).unwrap(),
                statement: *statement,
            })
            .collect();
        let state = state(100, &changes);
        (state.status, state.net)
    }

    #[test]
    fn the_examples_of_the_documentation() {
        use Statement::{Refund, RefundOfAll, Remaining, Total};
        use Status::{Approved, Pending, Rejected, Reversed};
        let status = Statement::Status;
        assert_eq!(after(&[Refund(30), Total(70)]), (Pending, 40));
        assert_eq!(after(&[Refund(30), Remaining(70)]), (Pending, 70));
        assert_eq!(after(&[Total(80), Total(90), Total(80)]), (Pending, 80));
        assert_eq!(after(&[RefundOfAll, status(Approved)]), (Rejected, 0));
        assert_eq!(after(&[status(Approved), RefundOfAll]), (Reversed, 0));
        assert_eq!(after(&[RefundOfAll, Total(50)]), (Pending, 50));
        assert_eq!(after(&[status(Rejected), status(Approved)]), (Approved, 100));
        assert_eq!(after(&[status(Approved), status(Rejected)]), (Reversed, 100));
    }

    #[test]
    fn a_change_that_arrives_twice_or_late_counts_once_at_its_time() {
        let at = |n, statement| Change {
            n,
            at: i64::try_from(n).unwrap(),
            statement,
        };
        let (early, late) = (at(1, Statement::Total(80)), at(2, Statement::Refund(30)));
        let expected = State {
            status: Status::Pending,
            net: 50,
        };
        assert_eq!(state(100, &[early, late]), expected);
        assert_eq!(state(100, &[late, late, early, late]), expected);
    }
}
