//! Reference model: how the state of a conversion follows from its statements. Written from the rules of money, apart from
//! the code that it checks, and for obviousness.

/// A day in microseconds.
pub(crate) const DAY: i64 = 86_400_000_000;

/// Origin of a statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum By {
    Report, // The report with which the conversion begins.
    Sender, // A later call of the advertiser.
    Person, // A user of the network.
    Hold, // The end of the hold period.
    Parent, // The parent conversion fell.
}
/// A status; `Reversed` occurs only in results, never in a statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    Pending, // Not decided yet.
    Approved, // Accepted.
    Rejected, // Refused.
    Reversed, // Refused after having been approved.
}
/// Content of a statement on the order's money, in micros.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Money {
    Total(i64), // The total before refunds.
    Remaining(i64), // The total after refunds; 0 is a refund in full.
    Refund(i64, bool), // A part taken off, and whether the refund has an id.
}
/// Sums that a person saw or set when making a statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) net: Option<i64>, // The net amount, if it was known.
    pub(crate) commission: i64, // The commission.
}
/// Statement about the conversion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Statement {
    pub(crate) by: By, // Who says it.
    pub(crate) received: i64, // Time of arrival in microseconds.
    pub(crate) number: u64, // Unique, grows with arrival; breaks ties.
    pub(crate) event_time: Option<i64>, // When it happened according to a proven sender, in microseconds.
    pub(crate) proven: bool, // Whether a `Sender` is proven (for the report see `Terms::report_proven`).
    pub(crate) status: Option<Status>, // Pending, approved or rejected.
    pub(crate) releases: bool, // A person gives the status back to the advertiser.
    pub(crate) money: Option<Money>, // Total, remaining total or refund.
    pub(crate) commission: Option<i64>, // Fixed commission of the whole order.
    pub(crate) revenue: Option<i64>, // Fixed revenue of the whole order (persons only).
    pub(crate) over_cap: bool, // On arrival it exceeded a cap.
    pub(crate) seen: Option<Seen>, // What the person saw or set (persons only).
}

impl Statement {
    /// A proven statement that says nothing yet.
    pub(crate) fn new(by: By, received: i64, number: u64) -> Statement {
        Statement {
            by, received, number, event_time: None, proven: true, status: None, releases: false,
            money: None, commission: None, revenue: None, over_cap: false, seen: None,
        }
    }
    /// The time of the statement.
    fn time(&self) -> i64 { self.event_time.unwrap_or(self.received) }
    /// Sorts by time; a report without an event time comes before everything.
    fn time_order(&self) -> (bool, i64, i64, u64) {
        let first = self.by == By::Report && self.event_time.is_none();
        (!first, self.time(), self.received, self.number)
    }
    /// Sorts by arrival.
    fn arrival(&self) -> (i64, u64) { (self.received, self.number) }
    /// It is about the status.
    fn on_status(&self) -> bool { self.status.is_some() || (self.by == By::Person && self.releases) }
    /// It is about money.
    fn on_money(&self) -> bool {
        let revenue = self.by == By::Person && self.revenue.is_some();
        self.money.is_some() || self.commission.is_some() || revenue
    }
}
/// An amount that is a fixed part and a part of the net amount.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rate {
    pub(crate) fixed: i64, // Fixed part in micros.
    pub(crate) ppm: i64, // Parts per million of the net amount.
}
/// Net amounts that a person has to look at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ReviewRule {
    None, // None.
    Above(i64), // Those greater than the limit.
    Any, // All greater than zero.
}
/// The terms of the conversion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Terms {
    pub(crate) initial: Status, // Status without any word on it: pending or approved.
    pub(crate) commission: Rate, // Commission by rate.
    pub(crate) revenue: Rate, // Revenue by rate.
    pub(crate) review: ReviewRule, // When the amount needs a review.
    pub(crate) unpaid: bool, // Nothing is paid for this conversion.
    pub(crate) has_hold: bool, // It has a hold period.
    pub(crate) coin: i64, // Smallest coin of the currency in micros.
    pub(crate) report_proven: bool, // The report is proven.
}
/// Reason for which a person has to look at the conversion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Review {
    Cap, // A statement exceeded a cap.
    Parent, // The parent conversion fell.
    Amount, // The net amount is above the limit.
    Currency, // The net amount is not zero, and any such amount is reviewed.
    Commission, // The sender's commission exceeds the revenue or the net amount.
}
/// Result of the statements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct State {
    pub(crate) status: Status, // Where the conversion stands.
    pub(crate) total: Option<i64>, // Total before refunds, if known.
    pub(crate) net: Option<i64>, // Total after refunds, if known.
    pub(crate) commission: i64, // Commission, whether or not the conversion counts.
    pub(crate) revenue: i64, // Revenue, whether or not the conversion counts.
    pub(crate) review: Option<Review>, // The first reason for a review, if it is in review.
    pub(crate) waits: bool, // The end of its hold period approves it.
}
/// The state of a conversion: all rules. `statements` may come in any order, with one report.
pub(crate) fn state(statements: &[Statement], terms: &Terms) -> State {
    let mut ordered: Vec<Statement> = statements.to_vec();
    ordered.sort_by_key(|s| s.time_order());
    let mut result = before_reversal(&ordered, terms);
    // Rule 10. A prefix without the report is not a conversion yet.
    let was_approved = (1..ordered.len()).map(|n| &ordered[..n]).any(|prefix| {
        prefix.iter().any(|s| s.by == By::Report)
            && before_reversal(prefix, terms).status == Status::Approved
    });
    if result.status == Status::Rejected && was_approved {
        result.status = Status::Reversed;
    }
    result
}
/// Subject of a statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Matter {
    Status,
    Money,
}
/// Rules 1 to 9, for statements in order of time.
fn before_reversal(ordered: &[Statement], terms: &Terms) -> State {
    let money = counting(ordered, terms, Matter::Money);
    let walk = walk(&money);
    let net = walk.net();
    // Rules 6 and 7: commission.
    let set_commission = last_by_person(&money, |s| s.commission.is_some())
        .or_else(|| last_by_advertiser(&money, |s| s.commission.is_some()));
    let from_sender = set_commission.is_some_and(|s| s.by != By::Person);
    let mut commission = match set_commission {
        Some(s) => shrunk(s.commission.unwrap(), base(&s, &money), net, terms.coin),
        None => by_rate(terms.commission, net, terms.coin),
    };
    // Rules 6 and 7: revenue.
    let mut revenue = match last_by_person(&money, |s| s.revenue.is_some()) {
        Some(s) => shrunk(s.revenue.unwrap(), base(&s, &money), net, terms.coin),
        None if from_sender && terms.revenue == (Rate { fixed: 0, ppm: 0 }) => commission,
        None => by_rate(terms.revenue, net, terms.coin),
    };
    if terms.unpaid {
        (commission, revenue) = (0, 0);
    }
    // Rules 2 and 8: status.
    let mut status = status_by_words(ordered, terms);
    if walk.gone() {
        status = Status::Rejected;
    }
    // Rule 11: the hold period goes on while it is pending, was not put on hold by a person, and has not ended.
    let held = last_by_person(ordered, Statement::on_status).is_some_and(|s| s.status.is_some());
    let over = ordered.iter().any(|s| s.by == By::Hold);
    let waits = terms.has_hold && status == Status::Pending && !held && !over;
    // Rule 9: review; the first that applies.
    let too_much = from_sender && (commission > revenue || net.is_some_and(|n| commission > n));
    let review = match amount_review(terms.review, net) {
        _ if status == Status::Rejected => None,
        _ if unanswered(ordered, |s| s.by == By::Parent) => Some(Review::Parent),
        _ if terms.unpaid => None,
        _ if unanswered(ordered, |s| s.over_cap) => Some(Review::Cap),
        _ if is_covered(ordered, net, commission) => None,
        Some(reason) => Some(reason),
        None if too_much => Some(Review::Commission),
        None => None,
    };
    if review.is_some() && status == Status::Approved {
        status = Status::Pending;
    }
    State { status, total: walk.total, net, commission, revenue, review, waits }
}
/// Rule 1: the statements of report, senders and persons that count in a matter, in order of time. An unproven sender is
/// silenced by any earlier statement of a person or a proven sender, and by a status or total of a proven sender at any time.
fn counting(ordered: &[Statement], terms: &Terms, matter: Matter) -> Vec<Statement> {
    let proven = |s: &Statement| match s.by {
        By::Report => terms.report_proven,
        By::Sender => s.proven,
        By::Person | By::Hold | By::Parent => false,
    };
    let strong = |s: &Statement| proven(s) || s.by == By::Person;
    let first = ordered.iter().filter(|s| strong(s)).map(|s| s.arrival()).min();
    let replaced = ordered.iter().any(|s| proven(s) && match matter {
        Matter::Status => s.status.is_some(),
        Matter::Money => figure(s).is_some(),
    });
    let on = |s: &Statement| match matter {
        Matter::Status => s.on_status(),
        Matter::Money => s.on_money(),
    };
    let counts = |s: &Statement| match s.by {
        By::Report | By::Person => true,
        By::Sender => s.proven || (!replaced && first.is_none_or(|f| f > s.arrival())),
        By::Hold | By::Parent => false,
    };
    ordered.iter().copied().filter(|s| on(s) && counts(s)).collect()
}
/// The last statement of a person, by arrival, of which `what` is true.
fn last_by_person(list: &[Statement], what: impl Fn(&Statement) -> bool) -> Option<Statement> {
    list.iter().copied().filter(|s| s.by == By::Person && what(s)).max_by_key(|s| s.arrival())
}
/// The last statement of report or sender, by time, of which `what` is true.
fn last_by_advertiser(list: &[Statement], what: impl Fn(&Statement) -> bool) -> Option<Statement> {
    let theirs = list.iter().copied().filter(|s| matches!(s.by, By::Report | By::Sender) && what(s));
    theirs.max_by_key(|s| s.time_order())
}
/// Rule 2: the status by the words alone.
fn status_by_words(ordered: &[Statement], terms: &Terms) -> Status {
    let words = counting(ordered, terms, Matter::Status);
    // A person's word decides; a release has none and leaves it to the advertiser.
    if let Some(word) = last_by_person(&words, |_| true).and_then(|s| s.status) {
        return word;
    }
    let hold = ordered.iter().filter(|s| s.by == By::Hold).map(|s| s.arrival()).max();
    let lapsed = |s: &Statement| s.status == Some(Status::Pending) && Some(s.arrival()) < hold;
    let initial = if hold.is_some() { Status::Approved } else { terms.initial };
    let last = last_by_advertiser(&words, |s| s.status.is_some() && !lapsed(s));
    last.and_then(|s| s.status).unwrap_or(initial)
}
/// State of a walk along the money statements.
struct Walk {
    total: Option<i64>, // The total, if any was stated.
    refunds: i128, // Refunds that apply to the total.
    full_refund: bool, // The last total or remaining was remaining = 0.
    before: Option<Statement>, // The last statement with money.
    nets: Vec<(u64, Option<i64>)>, // The net amount right after each statement, by its number.
}

impl Walk {
    /// Rule 5: total less refunds, not below zero.
    fn net(&self) -> Option<i64> { self.total.map(|t| to_i64((i128::from(t) - self.refunds).max(0))) }
    /// Rule 5: refunded in full.
    fn gone(&self) -> bool { self.full_refund || (self.net() == Some(0) && self.refunds > 0) }
    /// Rule 4: goes past one statement.
    fn step(&mut self, s: &Statement) {
        match s.money {
            Some(Money::Total(amount)) => {
                (self.total, self.full_refund) = (Some(amount), false);
            }
            Some(Money::Remaining(amount)) => {
                (self.total, self.refunds, self.full_refund) = (Some(amount), 0, amount == 0);
            }
            Some(Money::Refund(amount, has_id)) => {
                let repetition = !has_id && self.before.is_some_and(|b| {
                    b.money == Some(Money::Refund(amount, false)) && (s.time() - b.time()).abs() < DAY
                });
                if !repetition {
                    self.refunds += i128::from(amount);
                }
            }
            None => {}
        }
        if s.money.is_some() {
            self.before = Some(*s);
        }
    }
}
/// The amount of a total or remaining.
fn figure(s: &Statement) -> Option<i64> {
    match s.money {
        Some(Money::Total(amount)) | Some(Money::Remaining(amount)) => Some(amount),
        _ => None,
    }
}
/// The last person's statement with a total or remaining, by arrival.
fn person_figure(money: &[Statement]) -> Option<Statement> {
    last_by_person(money, |s| figure(s).is_some())
}
/// Rules 3 and 4: walks along counting money statements, given in order of time.
fn walk(money: &[Statement]) -> Walk {
    let mut walk = Walk { total: None, refunds: 0, full_refund: false, before: None, nets: vec![] };
    let person = person_figure(money);
    if let Some(p) = person {
        walk.step(&p);
        walk.nets.push((p.number, walk.net()));
    }
    for s in money {
        if person.is_some_and(|p| s.arrival() <= p.arrival()) {
            continue; // The person's figure stands for all that arrived before it.
        }
        // A total or remaining must be lower than the person's figure.
        let too_high = person.is_some_and(|p| figure(s).is_some() && figure(s) >= figure(&p));
        if !too_high {
            walk.step(s);
        }
        walk.nets.push((s.number, walk.net()));
    }
    walk
}
/// Rule 6: the net amount to which a set commission or revenue belongs, if known.
fn base(s: &Statement, money: &[Statement]) -> Option<i64> {
    if let Some(seen) = s.seen.filter(|_| s.by == By::Person) {
        return seen.net;
    }
    if figure(s).is_some() {
        return figure(s); // A total that is stated with it.
    }
    match person_figure(money) {
        // A person set a figure after it: go back to how things stood before that.
        Some(p) if s.arrival() < p.arrival() => {
            let earlier: Vec<Statement> =
                money.iter().copied().filter(|m| m.arrival() < p.arrival()).collect();
            base(s, &earlier)
        }
        _ => walk(money).nets.iter().find(|(number, _)| *number == s.number).and_then(|(_, net)| *net),
    }
}
/// Rule 6: a set value shrinks with the order and does not grow.
fn shrunk(value: i64, base: Option<i64>, net: Option<i64>, coin: i64) -> i64 {
    match (base, net) {
        (Some(b), Some(n)) if n < b => rounded(i128::from(value) * i128::from(n), i128::from(b), coin),
        _ => rounded(i128::from(value), 1, coin),
    }
}
/// Rule 7: fixed part and part of the net amount.
fn by_rate(rate: Rate, net: Option<i64>, coin: i64) -> i64 {
    let part = i128::from(rate.ppm) * i128::from(net.unwrap_or(0));
    rounded(i128::from(rate.fixed) * 1_000_000 + part, 1_000_000, coin)
}
/// `numerator / denominator`, rounded half to even to the coin.
pub(crate) fn rounded(numerator: i128, denominator: i128, coin: i64) -> i64 {
    let divisor = denominator * i128::from(coin);
    let coins = numerator.div_euclid(divisor);
    let twice_rest = numerator.rem_euclid(divisor) * 2;
    let up = twice_rest > divisor || (twice_rest == divisor && coins % 2 != 0);
    to_i64((coins + i128::from(up)) * i128::from(coin))
}
/// Narrows an amount; the model is not meant for amounts beyond i64.
fn to_i64(amount: i128) -> i64 {
    assert!((i64::MIN as i128..=i64::MAX as i128).contains(&amount), "amount beyond i64");
    amount as i64
}
/// Rule 9: such a statement exists, and no person's review arrived at or after it.
fn unanswered(ordered: &[Statement], what: impl Fn(&Statement) -> bool) -> bool {
    let answer = last_by_person(ordered, |s| s.seen.is_some()).map(|s| s.arrival());
    ordered.iter().any(|s| what(s) && Some(s.arrival()) > answer)
}
/// Rule 9: the review asked for the net amount.
fn amount_review(rule: ReviewRule, net: Option<i64>) -> Option<Review> {
    match (rule, net) {
        (ReviewRule::Above(limit), Some(n)) if n > limit => Some(Review::Amount),
        (ReviewRule::Any, Some(n)) if n > 0 => Some(Review::Currency),
        _ => None,
    }
}
/// Rule 9: a person has seen at least as much. An unknown net is less than any known one.
fn is_covered(ordered: &[Statement], net: Option<i64>, commission: i64) -> bool {
    last_by_person(ordered, |s| s.seen.is_some())
        .and_then(|s| s.seen)
        .is_some_and(|seen| net <= seen.net && commission <= seen.commission)
}
