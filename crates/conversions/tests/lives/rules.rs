//! Tests of the model: each rule of money by an example.

use super::Money::*;
use super::Status::*;
use super::model::*;

const E: i64 = 1_000_000; // one euro

fn terms() -> Terms {
    Terms {
        initial: Pending,
        commission: Rate { fixed: 0, ppm: 100_000 },
        revenue: Rate { fixed: 0, ppm: 200_000 },
        review: ReviewRule::None,
        unpaid: false,
        has_hold: false,
        coin: 10_000,
        report_proven: false,
    }
}

fn initial_approved() -> Terms {
    Terms { initial: Approved, ..terms() }
}

/// A statement whose number is its time.
fn st(by: By, t: i64) -> Statement {
    Statement::new(by, t, t as u64)
}

fn report(total: i64) -> Statement {
    Statement { money: Some(Total(total)), proven: false, ..st(By::Report, 1) }
}

fn word(by: By, t: i64, status: Status) -> Statement {
    Statement { status: Some(status), ..st(by, t) }
}

fn cash(by: By, t: i64, money: Money) -> Statement {
    Statement { money: Some(money), ..st(by, t) }
}

fn unproven(s: Statement) -> Statement {
    Statement { proven: false, ..s }
}

fn seen(s: Statement, net: i64, commission: i64) -> Statement {
    Statement { seen: Some(Seen { net: Some(net), commission }), ..s }
}

fn status(list: &[Statement], terms: &Terms) -> Status {
    state(list, terms).status
}

fn net(list: &[Statement]) -> Option<i64> {
    state(list, &terms()).net
}

#[test]
fn report_alone() {
    let s = state(&[report(100 * E)], &terms());
    let expected = State {
        status: Pending, total: Some(100 * E), net: Some(100 * E),
        commission: 10 * E, revenue: 20 * E, review: None, waits: false,
    };
    assert_eq!(s, expected);
}

#[test]
fn order_of_input_is_irrelevant() {
    let a = word(By::Sender, 2, Approved);
    let b = word(By::Sender, 3, Pending);
    assert_eq!(status(&[b, a, report(E)], &terms()), Pending);
    assert_eq!(status(&[report(E), a, b], &terms()), Pending);
}

#[test]
fn event_time_orders_senders_and_received_then_number_break_ties() {
    let late = Statement { event_time: Some(-5), ..word(By::Sender, 9, Rejected) };
    assert_eq!(status(&[report(E), word(By::Sender, 2, Approved), late], &terms()), Approved);
    let a = Statement { event_time: Some(5), ..word(By::Sender, 8, Approved) };
    let b = Statement { event_time: Some(5), ..word(By::Sender, 7, Pending) };
    assert_eq!(status(&[report(E), a, b], &terms()), Approved);
    let c = Statement { received: 8, number: 99, ..b };
    assert_eq!(status(&[report(E), a, c], &terms()), Pending);
}

#[test]
fn untimed_report_is_first_timed_report_takes_its_place() {
    let early = Statement { event_time: Some(-9), ..word(By::Sender, 5, Approved) };
    let mut r = report(E);
    r.status = Some(Pending);
    assert_eq!(status(&[r, early], &terms()), Approved);
    r.event_time = Some(0);
    assert_eq!(status(&[r, early], &terms()), Pending);
}

#[test]
fn unproven_counts_until_others_speak() {
    let u = unproven(word(By::Sender, 2, Approved));
    assert_eq!(status(&[report(E), u], &terms()), Approved);
    assert_eq!(status(&[report(E), u], &Terms { report_proven: true, ..terms() }), Pending);
    // A proven word, though earlier, replaces it in status.
    let p = Statement { event_time: Some(0), ..word(By::Sender, 3, Pending) };
    assert_eq!(status(&[report(E), u, p], &terms()), Pending);
    // A proven total replaces unproven money, and silences everything unproven that follows.
    let m = cash(By::Sender, 4, Total(7 * E));
    let um = unproven(cash(By::Sender, 3, Total(3 * E)));
    let late = unproven(word(By::Sender, 5, Rejected));
    let s = state(&[report(E), u, um, m, late], &terms());
    assert_eq!((s.status, s.net), (Approved, Some(7 * E)));
    // A person's word does not take back what came before it.
    let refund = unproven(cash(By::Sender, 2, Refund(30 * E, true)));
    let person = Statement { commission: Some(E), ..st(By::Person, 3) };
    assert_eq!(net(&[report(100 * E), refund, person]), Some(70 * E));
    // An unproven sender does not raise an order that a person or a proven sender approved.
    for by in [By::Person, By::Sender] {
        let raise = unproven(cash(By::Sender, 4, Total(9_999 * E)));
        assert_eq!(net(&[report(10 * E), word(by, 3, Approved), raise]), Some(10 * E));
    }
}

#[test]
fn a_hold_period_goes_on_while_it_is_pending() {
    let t = Terms { has_hold: true, ..terms() };
    let waits = |list: &[Statement]| state(list, &t).waits;
    let hold = word(By::Person, 2, Pending);
    let release = Statement { releases: true, ..st(By::Person, 3) };
    assert!(waits(&[report(E)]));
    assert!(!waits(&[report(E), hold]));
    assert!(waits(&[report(E), hold, release]));
    assert!(!waits(&[report(E), word(By::Sender, 2, Rejected)]));
    assert!(waits(&[report(E), word(By::Sender, 2, Rejected), word(By::Sender, 3, Pending)]));
    assert!(waits(&[report(E), cash(By::Sender, 2, Remaining(0)), cash(By::Sender, 3, Total(E))]));
    assert!(!waits(&[report(E), st(By::Hold, 2), word(By::Sender, 3, Pending)]));
}

#[test]
fn person_decides_and_releases() {
    let sender = word(By::Sender, 9, Approved);
    let hold = st(By::Hold, 10);
    let mut list = vec![report(E), word(By::Person, 2, Pending), sender, hold];
    assert_eq!(status(&list, &terms()), Pending);
    list.push(word(By::Person, 11, Rejected));
    assert_eq!(status(&list, &terms()), Rejected);
    list.push(Statement { releases: true, ..st(By::Person, 12) });
    assert_eq!(status(&list, &terms()), Approved);
    // A release does not take back an unproven word from before.
    let released = [report(E), unproven(sender), Statement { releases: true, ..st(By::Person, 12) }];
    assert_eq!(status(&released, &terms()), Approved);
}

#[test]
fn hold_approves_unless_pending_later_or_rejected() {
    let hold = st(By::Hold, 5);
    assert_eq!(status(&[report(E), hold], &terms()), Approved);
    assert_eq!(status(&[report(E), word(By::Sender, 4, Pending), hold], &terms()), Approved);
    assert_eq!(status(&[report(E), word(By::Sender, 6, Pending), hold], &terms()), Pending);
    // By arrival, not by event time.
    let back = Statement { event_time: Some(2), ..word(By::Sender, 6, Pending) };
    assert_eq!(status(&[report(E), back, hold], &terms()), Pending);
    assert_eq!(status(&[report(E), word(By::Sender, 4, Rejected), hold], &terms()), Rejected);
}

#[test]
fn persons_figure() {
    let before = cash(By::Sender, 2, Refund(10 * E, true));
    let figure = cash(By::Person, 5, Total(80 * E));
    let base = [report(100 * E), before, figure];
    let with = |more: Statement| net(&[&base[..], &[more]].concat());
    assert_eq!(net(&base), Some(80 * E));
    assert_eq!(with(cash(By::Sender, 6, Total(90 * E))), Some(80 * E));
    assert_eq!(with(cash(By::Sender, 6, Total(80 * E))), Some(80 * E));
    assert_eq!(with(cash(By::Sender, 6, Total(70 * E))), Some(70 * E));
    assert_eq!(with(cash(By::Sender, 6, Remaining(60 * E))), Some(60 * E));
    // Arrived later though it happened earlier: counts, after the figure.
    let back = Statement { event_time: Some(3), ..cash(By::Sender, 6, Refund(5 * E, true)) };
    assert_eq!(with(back), Some(75 * E));
    assert_eq!(with(cash(By::Person, 7, Remaining(95 * E))), Some(95 * E));
}

#[test]
fn walk_total_remaining_refund() {
    let r = report(100 * E);
    let refund = cash(By::Sender, 2, Refund(30 * E, true));
    assert_eq!(net(&[r, refund]), Some(70 * E));
    let s = state(&[r, refund, cash(By::Sender, 3, Total(200 * E))], &terms());
    assert_eq!((s.total, s.net), (Some(200 * E), Some(170 * E)));
    let s = state(&[r, refund, cash(By::Sender, 3, Remaining(50 * E))], &terms());
    assert_eq!((s.total, s.net), (Some(50 * E), Some(50 * E)));
    // A new total voids a full refund.
    let full = cash(By::Sender, 3, Remaining(0));
    let s = state(&[r, full, cash(By::Sender, 4, Total(40 * E))], &terms());
    assert_eq!((s.net, s.status), (Some(40 * E), Pending));
    // Net is not negative, and unknown without a total.
    assert_eq!(net(&[r, cash(By::Sender, 2, Refund(300 * E, true))]), Some(0));
    assert_eq!(net(&[st(By::Report, 1), refund]), None);
}

#[test]
fn repeated_refunds() {
    let r = report(100 * E);
    let no_id = |t| cash(By::Sender, t, Refund(10 * E, false));
    assert_eq!(net(&[r, no_id(2), no_id(3)]), Some(90 * E));
    assert_eq!(net(&[r, no_id(2), no_id(2 + DAY - 1)]), Some(90 * E));
    assert_eq!(net(&[r, no_id(2), no_id(2 + DAY)]), Some(80 * E));
    // A chain of repetitions.
    assert_eq!(net(&[r, no_id(2), no_id(DAY), no_id(DAY + DAY / 2)]), Some(90 * E));
    let id = cash(By::Sender, 3, Refund(10 * E, true));
    assert_eq!(net(&[r, no_id(2), id, no_id(4)]), Some(70 * E));
    let other = cash(By::Sender, 3, Refund(5 * E, false));
    assert_eq!(net(&[r, no_id(2), other, no_id(4)]), Some(75 * E));
    // A commission alone is no money statement in between.
    let commission = Statement { commission: Some(E), ..st(By::Sender, 3) };
    assert_eq!(net(&[r, no_id(2), commission, no_id(4)]), Some(90 * E));
}

#[test]
fn gone_is_rejected_then_reversed() {
    let r = report(100 * E);
    let approve = word(By::Person, 2, Approved);
    let full = cash(By::Sender, 3, Remaining(0));
    let all = cash(By::Sender, 3, Refund(100 * E, false));
    assert_eq!(status(&[r, full], &terms()), Rejected);
    assert_eq!(status(&[r, all], &terms()), Rejected);
    assert_eq!(status(&[r, approve, all], &terms()), Reversed);
    assert_eq!(status(&[st(By::Report, 1), approve, full], &terms()), Reversed);
    assert_eq!(status(&[report(0), approve], &terms()), Approved);
    assert_eq!(status(&[r, approve, cash(By::Person, 4, Total(0))], &terms()), Approved);
    assert_eq!(status(&[r, approve, cash(By::Person, 4, Remaining(0))], &terms()), Reversed);
    // A rejected conversion still reports what follows from the net amount.
    let s = state(&[r, word(By::Sender, 2, Rejected)], &terms());
    assert_eq!((s.status, s.commission, s.revenue), (Rejected, 10 * E, 20 * E));
}

#[test]
fn set_commission_shrinks() {
    let set = |t, c| Statement { commission: Some(c), ..st(By::Sender, t) };
    let c = |list: &[Statement]| state(list, &terms()).commission;
    let r = report(100 * E);
    let refund = cash(By::Sender, 5, Refund(50 * E, true));
    assert_eq!(c(&[r, set(2, 8 * E), refund]), 4 * E);
    // The base is the net amount after its own money.
    let own = Statement { money: Some(Total(200 * E)), ..set(2, 8 * E) };
    assert_eq!(c(&[r, own, refund]), 6 * E);
    // A total that is sent again after a refund is the base, not what is left of it.
    let again = Statement { money: Some(Total(100 * E)), ..set(7, 12 * E) };
    assert_eq!(c(&[r, cash(By::Sender, 5, Refund(30 * E, true)), again]), 8_400_000);
    assert_eq!(c(&[r, set(6, 8 * E), refund]), 8 * E);
    assert_eq!(c(&[r, set(2, 8 * E), cash(By::Sender, 5, Total(300 * E))]), 8 * E);
    // No base, no shrinking.
    assert_eq!(c(&[st(By::Report, 1), set(2, 8 * E), cash(By::Sender, 3, Total(E)), refund]), 8 * E);
    // A person's comes first; its base is what the person saw.
    let person = seen(Statement { commission: Some(6 * E), ..st(By::Person, 3) }, 100 * E, 6 * E);
    assert_eq!(c(&[r, person, set(4, 8 * E), refund]), 3 * E);
    // A person's later figure shrinks the commission of the sender.
    assert_eq!(c(&[r, set(2, 8 * E), cash(By::Person, 3, Total(50 * E))]), 4 * E);
}

#[test]
fn revenue() {
    let set = Statement { commission: Some(8 * E), ..st(By::Sender, 2) };
    let free = Terms { revenue: Rate { fixed: 0, ppm: 0 }, ..terms() };
    let r = report(100 * E);
    assert_eq!(state(&[r, set], &terms()).revenue, 20 * E);
    assert_eq!(state(&[r, set], &free).revenue, 8 * E);
    assert_eq!(state(&[r], &free).revenue, 0);
    let person = seen(Statement { revenue: Some(6 * E), ..st(By::Person, 3) }, 100 * E, 8 * E);
    let refund = cash(By::Sender, 5, Refund(50 * E, true));
    assert_eq!(state(&[r, set, person, refund], &free).revenue, 3 * E);
    // Only persons set a revenue.
    assert_eq!(state(&[r, Statement { revenue: Some(E), ..set }], &terms()).revenue, 20 * E);
}

#[test]
fn rates_rounding_and_unpaid() {
    assert_eq!(rounded(25_000, 1, 10_000), 20_000);
    assert_eq!(rounded(35_000, 1, 10_000), 40_000);
    assert_eq!(rounded(25_001, 1, 10_000), 30_000);
    assert_eq!(rounded(-25_000, 1, 10_000), -20_000);
    assert_eq!(rounded(5_000_000, 2, 1_000_000), 2_000_000);
    // 0.005 fixed and 10 % of 0.20: one rounding, of 0.025.
    let t = Terms { commission: Rate { fixed: 5_000, ppm: 100_000 }, ..terms() };
    assert_eq!(state(&[report(200_000)], &t).commission, 20_000);
    assert_eq!(state(&[st(By::Report, 1)], &t).commission, 0); // 0.005, half to even
    let set = Statement { commission: Some(8 * E), ..st(By::Sender, 2) };
    let s = state(&[report(E), set], &Terms { unpaid: true, ..terms() });
    assert_eq!((s.commission, s.revenue, s.review), (0, 0, None));
}

#[test]
fn review_of_amount_and_cover() {
    let t = Terms { review: ReviewRule::Above(100 * E), ..initial_approved() };
    assert_eq!(status(&[report(100 * E)], &t), Approved);
    let s = state(&[report(101 * E)], &t);
    assert_eq!((s.status, s.review), (Pending, Some(Review::Amount)));
    let any = Terms { review: ReviewRule::Any, ..t };
    assert_eq!(state(&[report(1)], &any).review, Some(Review::Currency));
    assert_eq!(state(&[report(0)], &any).review, None);
    let person = seen(word(By::Person, 2, Approved), 200 * E, 20 * E);
    let s = state(&[report(200 * E), person], &t);
    assert_eq!((s.status, s.review), (Approved, None));
    let s = state(&[report(200 * E), person, cash(By::Sender, 3, Total(201 * E))], &t);
    assert_eq!((s.status, s.review), (Pending, Some(Review::Amount)));
    // The person did not see as much commission.
    let s = state(&[report(200 * E), seen(word(By::Person, 2, Approved), 200 * E, 19 * E)], &t);
    assert_eq!((s.status, s.review), (Pending, Some(Review::Amount)));
}

#[test]
fn review_of_commission() {
    let t = initial_approved();
    let set = |c| Statement { commission: Some(c), ..st(By::Sender, 2) };
    let review = |c, t: &Terms| state(&[report(100 * E), set(c)], t).review;
    assert_eq!(review(20 * E, &t), None);
    assert_eq!(review(21 * E, &t), Some(Review::Commission));
    let free = Terms { revenue: Rate { fixed: 0, ppm: 0 }, ..t };
    assert_eq!(review(100 * E, &free), None);
    assert_eq!(review(101 * E, &free), Some(Review::Commission));
    assert_eq!(state(&[st(By::Report, 1), set(101 * E)], &free).review, None);
    let person = seen(st(By::Person, 3), 100 * E, 21 * E);
    assert_eq!(state(&[report(100 * E), set(21 * E), person], &t).review, None);
    // A person's commission needs no review.
    let person = Statement { by: By::Person, ..set(50 * E) };
    assert_eq!(state(&[report(100 * E), person], &t).review, None);
}

#[test]
fn review_of_cap_and_parent() {
    let t = Terms { review: ReviewRule::Any, ..initial_approved() };
    let capped = Statement { over_cap: true, ..report(100 * E) };
    let parent = st(By::Parent, 5);
    assert_eq!(state(&[capped], &t).review, Some(Review::Cap));
    let s = state(&[capped, parent], &t);
    assert_eq!((s.status, s.review), (Pending, Some(Review::Parent)));
    let early = seen(word(By::Person, 4, Approved), 100 * E, 10 * E);
    let late = seen(word(By::Person, 6, Approved), 100 * E, 10 * E);
    let s = state(&[capped, early, parent], &t);
    assert_eq!((s.status, s.review), (Pending, Some(Review::Parent)));
    let s = state(&[capped, late, parent], &t);
    assert_eq!((s.status, s.review), (Approved, None));
    // Unpaid: only the parent. Rejected: never.
    let unpaid = Terms { unpaid: true, ..t };
    assert_eq!(state(&[capped], &unpaid).review, None);
    assert_eq!(state(&[capped, parent], &unpaid).review, Some(Review::Parent));
    assert_eq!(state(&[capped, parent, word(By::Sender, 7, Rejected)], &t).review, None);
}

#[test]
fn reversed_looks_at_prefixes_in_order_of_time() {
    let a = word(By::Sender, 2, Approved);
    let r = word(By::Sender, 3, Rejected);
    assert_eq!(status(&[report(E), a, r], &terms()), Reversed);
    assert_eq!(status(&[report(E), r], &terms()), Rejected);
    assert_eq!(status(&[report(E), r], &initial_approved()), Reversed);
    // Arrived after the approval, but happened before it: stays approved.
    let back = Statement { event_time: Some(2), ..word(By::Sender, 9, Rejected) };
    let a = word(By::Sender, 5, Approved);
    assert_eq!(status(&[report(E), a, back], &terms()), Approved);
    // In review it was never approved.
    let t = Terms { review: ReviewRule::Any, ..initial_approved() };
    assert_eq!(status(&[report(E), r], &t), Rejected);
    // Before the report there was no conversion.
    let early = Statement { event_time: Some(0), ..cash(By::Sender, 3, Refund(E, true)) };
    let timed = Statement { event_time: Some(1), ..report(E) };
    assert_eq!(status(&[timed, early], &initial_approved()), Rejected);
}
