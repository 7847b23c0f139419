//! Random lives of orders: the rules of money against a model that was written apart from them.
//!
//! `./x lives` runs a million.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a failed step fails the test"
)]
#![expect(clippy::disallowed_methods, reason = "`./x lives` sets the number of lives")]

#[rustfmt::skip]
mod model;
#[rustfmt::skip]
mod rules;

use chrono::{DateTime, TimeDelta, Utc};
use conversions::pricing::{Pricing, Rate, Review, Unpaid};
use conversions::{Change, ConversionStatus, ReviewBecause, Source, outcome};
use proptest::prelude::*;
use schema::{ConversionId, Currency, NetworkId};
use uuid::Uuid;

use self::model::{By, Money, ReviewRule, Seen, Statement, Status, Terms};

/// Currencies with 0, 2, 3 and 4 decimals.
const CURRENCIES: [&str; 4] = ["JPY", "EUR", "KWD", "CLF"];
/// Minutes between two arrivals: some statements repeat one another within a day, some do not.
const STEP: i64 = 7 * 60;

fn status() -> impl Strategy<Value = Status> {
    prop_oneof![
        Just(Status::Pending),
        Just(Status::Approved),
        Just(Status::Rejected)
    ]
}

fn money() -> impl Strategy<Value = Money> {
    // Few different sums, so that repetitions are likely.
    let sum = || {
        prop::sample::select(vec![
            1,
            10_000,
            1_000_000,
            7_770_000,
            10_000_000,
            99_990_000,
            250_000_001,
        ])
    };
    prop_oneof![
        sum().prop_map(Money::Total),
        Just(Money::Total(0)),
        sum().prop_map(Money::Remaining),
        Just(Money::Remaining(0)),
        (sum(), any::<bool>()).prop_map(|(sum, has_id)| Money::Refund(sum, has_id)),
    ]
}

prop_compose! {
    fn later()(
        by in prop_oneof![6 => Just(By::Sender), 3 => Just(By::Person), 1 => Just(By::Hold), 1 => Just(By::Parent)],
        status in prop::option::of(status()),
        money in prop::option::of(money()),
        commission in prop::option::weighted(0.2, 0_i64..30_000_000),
        revenue in prop::option::weighted(0.2, 0_i64..30_000_000),
        proven in prop::bool::weighted(0.8),
        event_time in prop::option::of(-20_i64..20),
        (releases, over_cap, sees) in (prop::bool::weighted(0.2), prop::bool::weighted(0.1), any::<bool>()),
        seen in (0_i64..20_000_000, 0_i64..20_000_000),
    ) -> Statement {
        let new = Statement::new(by, 0, 0);
        let at = |hours: i64| start().timestamp_micros() + hours * 3_600_000_000;
        match by {
            By::Sender => Statement {
                proven, status, money, commission, over_cap,
                event_time: event_time.filter(|_| proven).map(at),
                ..new
            },
            // A user says one thing at a time, and sets the amount after refunds.
            By::Person => {
                let seen = sees.then_some(Seen { net: Some(seen.0), commission: seen.1 });
                match (status, money) {
                    _ if releases => Statement { releases: true, seen, ..new },
                    (Some(status), _) => Statement { status: Some(status), seen, ..new },
                    (None, Some(Money::Total(sum) | Money::Remaining(sum) | Money::Refund(sum, _))) =>
                        Statement { money: Some(Money::Remaining(sum)), seen, ..new },
                    (None, None) => Statement { commission, revenue, seen, ..new },
                }
            }
            _ => new,
        }
    }
}

prop_compose! {
    fn life()(
        mut report in later().prop_map(|statement| Statement { by: By::Report, ..statement }),
        is_timed in any::<bool>(),
        report_proven in prop::bool::weighted(0.7),
        statements in prop::collection::vec(later(), 0..8),
        order in prop::collection::vec(any::<u16>(), 9),
    ) -> (Vec<Statement>, bool) {
        report.releases = false;
        report.revenue = None;
        report.seen = None;
        report.proven = report_proven;
        report.event_time = report.event_time.filter(|_| is_timed && report_proven);
        report.money = report.money.map(|money| match money {
            Money::Total(sum) | Money::Remaining(sum) | Money::Refund(sum, _) => Money::Total(sum),
        });
        let mut life = vec![report];
        for statement in statements {
            // At most one hold period ends.
            if statement.by != By::Hold || life.iter().all(|known| known.by != By::Hold) {
                life.push(statement);
            }
        }
        // They arrive in any order.
        let mut positions: Vec<usize> = (0..life.len()).collect();
        positions.sort_by_key(|at| order[*at]);
        for (number, at) in positions.into_iter().enumerate() {
            let number = i64::try_from(number).unwrap();
            life[at].number = number.unsigned_abs();
            life[at].received = (start() + TimeDelta::minutes(number * STEP)).timestamp_micros();
        }
        (life, report_proven)
    }
}

prop_compose! {
    fn terms()(
        initial in prop_oneof![Just(Status::Pending), Just(Status::Approved)],
        commission in (prop_oneof![Just(0), 0_i64..5_000], prop_oneof![Just(0), 0_i64..300_000]),
        revenue in (prop_oneof![Just(0), 0_i64..5_000], prop_oneof![Just(0), 0_i64..300_000]),
        takes_commission in any::<bool>(),
        review in prop_oneof![
            Just(ReviewRule::None), Just(ReviewRule::Any), (0_i64..30_000_000).prop_map(ReviewRule::Above),
        ],
        unpaid in prop::bool::weighted(0.1),
        has_hold in any::<bool>(),
        currency in prop::sample::select(CURRENCIES.to_vec()),
    ) -> (Terms, Currency, bool) {
        let currency: Currency = currency.parse().unwrap();
        let coin = currency.minor_unit();
        let rate = |(coins, ppm)| model::Rate { fixed: coins * coin, ppm };
        let none = model::Rate { fixed: 0, ppm: 0 };
        let terms = Terms {
            initial,
            commission: if takes_commission { none } else { rate(commission) },
            revenue: rate(revenue),
            review,
            unpaid,
            has_hold,
            coin,
            report_proven: true,
        };
        (terms, currency, takes_commission)
    }
}

fn start() -> DateTime<Utc> {
    "2026-11-21T00:00:00Z".parse().unwrap()
}

fn at(micros: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_micros(micros).unwrap()
}

fn known(status: Status) -> ConversionStatus {
    match status {
        Status::Pending => ConversionStatus::Pending,
        Status::Approved => ConversionStatus::Approved,
        Status::Rejected => ConversionStatus::Rejected,
        Status::Reversed => ConversionStatus::Reversed,
    }
}

/// The statement as the product stores it.
fn change(statement: &Statement, report_proven: bool, takes_commission: bool) -> Change {
    let (amount, remaining, refund, has_id) = match statement.money {
        Some(Money::Total(sum)) => (Some(sum), None, None, false),
        Some(Money::Remaining(sum)) => (None, Some(sum), None, false),
        Some(Money::Refund(sum, has_id)) => (None, None, Some(sum), has_id),
        None => (None, None, None, false),
    };
    let source = match statement.by {
        By::Report => Source::Report,
        By::Sender => Source::Postback,
        By::Person => Source::Person,
        By::Hold => Source::Hold,
        By::Parent => Source::Parent,
    };
    let by_person = source == Source::Person;
    Change {
        network_id: NetworkId(1),
        conversion_id: ConversionId(Uuid::nil()),
        id: Uuid::from_u128(statement.number.into()),
        changed_at: at(statement.received),
        event_time: statement.event_time.map(at),
        source,
        is_proven: if source == Source::Report {
            report_proven
        } else {
            statement.proven
        },
        status: statement.status.map(known),
        is_released: statement.releases,
        amount_micros: amount,
        remaining_micros: remaining,
        refund_micros: refund,
        items: None,
        commission_micros: statement.commission.filter(|_| by_person || takes_commission),
        revenue_micros: statement.revenue.filter(|_| by_person),
        event_id: has_id.then(|| statement.number.to_string()),
        exceeds_cap: statement.over_cap,
        seen_amount_micros: statement.seen.and_then(|seen| seen.net),
        seen_commission_micros: statement.seen.map(|seen| seen.commission),
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

fn pricing(terms: &Terms, takes_commission: bool) -> Pricing {
    let flat = |rate: model::Rate| (rate.fixed, i32::try_from(rate.ppm).unwrap());
    Pricing {
        rates: vec![Rate {
            commission: flat(terms.commission),
            revenue: flat(terms.revenue),
            ..Rate::default()
        }],
        unpaid: terms.unpaid.then_some(Unpaid::CapReached),
        hold_until: terms.has_hold.then(start),
        review: match terms.review {
            ReviewRule::None => None,
            ReviewRule::Above(limit) => Some(Review::Above(limit)),
            ReviewRule::Any => Some(Review::Any),
        },
        auto_approve: terms.initial == Status::Approved,
        takes_commission,
        is_unproven: !terms.report_proven,
        ..Pricing::default()
    }
}

fn cases() -> ProptestConfig {
    let cases = std::env::var("LIVES").ok().and_then(|cases| cases.parse().ok());
    ProptestConfig {
        cases: cases.unwrap_or(1_000),
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn the_state_of_a_conversion_is_that_of_the_model(
        (life, report_proven) in life(), (terms, currency, takes_commission) in terms(),
    ) {
        let terms = Terms { report_proven, ..terms };
        let life: Vec<Statement> = life
            .into_iter()
            .map(|statement| Statement {
                commission: statement.commission.filter(|_| takes_commission || statement.by == By::Person),
                ..statement
            })
            .collect();
        let changes: Vec<Change> =
            life.iter().map(|statement| change(statement, report_proven, takes_commission)).collect();
        let expected = model::state(&life, &terms);
        let found = outcome(&changes, &pricing(&terms, takes_commission), currency);
        let review = found.review_because.filter(|because| *because != ReviewBecause::Person);
        let because = expected.review.map(|review| match review {
            model::Review::Cap => ReviewBecause::Cap,
            model::Review::Parent => ReviewBecause::Parent,
            model::Review::Amount => ReviewBecause::Amount,
            model::Review::Currency => ReviewBecause::Currency,
            model::Review::Commission => ReviewBecause::Commission,
        });
        prop_assert_eq!(
            (
                (found.status, found.amount_micros, found.commission_micros, found.revenue_micros),
                (review, found.hold_until.is_some()),
            ),
            (
                (known(expected.status), expected.net, expected.commission, expected.revenue),
                (because, expected.waits),
            ),
            "{:#?}\n{:#?}", life, terms
        );
    }

    #[test]
    fn timed_statements_give_the_same_state_in_any_order_of_arrival(
        (life, _) in life(), (terms, currency, takes_commission) in terms(), seed in any::<u64>(),
    ) {
        let of_sender = |statement: &Statement| matches!(statement.by, By::Report | By::Sender);
        let mut changes: Vec<Change> = life
            .iter()
            .filter(|statement| of_sender(statement))
            .map(|statement| Change {
                is_proven: true,
                event_time: Some(at(statement.event_time.unwrap_or(statement.received))),
                ..change(statement, true, takes_commission)
            })
            .collect();
        // Two statements of one moment are in the order of their arrival.
        changes.sort_by_key(|change| change.event_time);
        changes.dedup_by_key(|change| change.event_time);
        prop_assume!(changes.iter().any(|change| change.source == Source::Report));
        let pricing = pricing(&terms, takes_commission);
        let expected = outcome(&changes, &pricing, currency);
        let arrivals: Vec<_> = changes.iter().map(|change| change.changed_at).collect();
        let mut state = seed;
        let mut order: Vec<usize> = (0..changes.len()).collect();
        for at in (1..order.len()).rev() {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            order.swap(at, usize::try_from(state >> 33).unwrap() % (at + 1));
        }
        for (change, at) in changes.iter_mut().zip(order) {
            change.changed_at = arrivals[at];
        }
        prop_assert_eq!(outcome(&changes, &pricing, currency), expected);
    }
}
