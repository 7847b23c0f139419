//! Random lives of orders over two nodes, against the model that was written from the rules.

use std::fmt::Write as _;

use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;
use rand::{Rng, RngExt as _, SeedableRng as _};
use schema::Currency;

use self::model::{By, Money, Rate, ReviewRule, Statement, Status};
use super::*;

#[expect(dead_code, reason = "users, holds and parents are compared in `conversions/tests/lives`")]
#[path = "../../crates/conversions/tests/lives/model.rs"]
#[rustfmt::skip]
mod model;

const ORDERS: u64 = 80;
/// Currencies with 0, 2, 3 and 4 decimals.
const CURRENCIES: [&str; 4] = ["JPY", "EUR", "KWD", "CLF"];
/// First moment of the lives, in microseconds since 1970.
const START: i64 = 1_763_683_200_000_000;
const HOUR: i64 = 3_600_000_000;

/// An order with its statements, of which the first is its report.
struct Life {
    order: String,
    currency: Currency,
    statements: Vec<Statement>,
}

impl Life {
    fn random(number: u64, dice: &mut impl Rng) -> Self {
        let currency: Currency = CURRENCIES[dice.random_range(0..CURRENCIES.len())]
            .parse()
            .unwrap();
        let coin = currency.minor_unit();
        let mut statements = vec![Statement {
            money: Some(Money::Total(dice.random_range(1..20_000) * coin)),
            event_time: dice.random_bool(0.5).then_some(START + 50 * HOUR),
            ..Statement::new(By::Report, START + 100 * HOUR, 0)
        }];
        for n in 1..=dice.random_range(1..7) {
            // No two have the same time: some are before the report, some later.
            let at = START + dice.random_range(0..100) * HOUR + i64::try_from(n).unwrap();
            let new = Statement {
                event_time: Some(at),
                ..Statement::new(By::Sender, at, n)
            };
            let sum = dice.random_range(1..10_000) * coin;
            statements.push(match dice.random_range(0..7) {
                0 | 1 => Statement {
                    status: Some(Status::Approved),
                    ..new
                },
                2 => Statement {
                    status: Some(Status::Rejected),
                    ..new
                },
                3 => Statement {
                    money: Some(Money::Total(sum)),
                    ..new
                },
                4 => Statement {
                    money: Some(Money::Remaining(sum)),
                    ..new
                },
                5 => Statement {
                    money: Some(Money::Remaining(0)),
                    ..new
                },
                _ => Statement {
                    money: Some(Money::Refund(sum, true)),
                    ..new
                },
            });
        }
        Self {
            order: format!("life-{number}"),
            currency,
            statements,
        }
    }

    /// Parameters of the call with this statement, besides those that name the order.
    fn parameters(&self, statement: &Statement) -> Vec<(&'static str, String)> {
        let mut parameters = vec![("currency", self.currency.to_string())];
        let written = |micros: i64| format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000);
        if let Some(at) = statement.event_time {
            let at = DateTime::from_timestamp_micros(at).unwrap();
            parameters.push(("event_time", at.to_rfc3339()));
        }
        match (statement.by, statement.money) {
            (By::Report, Some(Money::Total(sum))) => parameters.push(("amount", written(sum))),
            (_, Some(Money::Total(sum))) => {
                parameters.extend([("action", "update".to_owned()), ("amount", written(sum))]);
            }
            (_, Some(Money::Remaining(sum))) => {
                parameters.extend([("action", "update".to_owned()), ("remaining", written(sum))]);
            }
            (_, Some(Money::Refund(sum, _))) => {
                parameters.extend([
                    ("refund", written(sum)),
                    ("refund_id", statement.number.to_string()),
                ]);
            }
            (_, None) => {}
        }
        if let Some(status) = statement.status {
            // As an update it waits for its order.
            let status = format!("{status:?}").to_lowercase();
            parameters.extend([("action", "update".to_owned()), ("status", status)]);
        }
        parameters
    }

    /// Line of the order as it should be in the table.
    fn expected(&self) -> String {
        let share = |percent: i64| Rate {
            fixed: 0,
            ppm: percent * 10_000,
        };
        let terms = model::Terms {
            initial: Status::Pending,
            commission: share(10),
            revenue: share(15),
            review: ReviewRule::None,
            unpaid: false,
            has_hold: false,
            coin: self.currency.minor_unit(),
            report_proven: true,
        };
        let state = model::state(&self.statements, &terms);
        format!(
            "{} {:?} {} {} {}",
            self.order,
            state.status,
            state.net.unwrap(),
            state.commission,
            state.revenue
        )
        .to_lowercase()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn random_lives_over_two_nodes_are_those_of_the_model() {
    // The scene's goal, whose terms were always the same: an order is priced by what was in force at its time.
    let app = TestApp::spawn().await;
    let click = app.visitor().click("").await.id;
    let world = World { app, click };
    let second = world.app.another_node().await;
    let mut dice = StdRng::seed_from_u64(7);
    let lives: Vec<Life> = (0..ORDERS)
        .map(|number| Life::random(number, &mut dice))
        .collect();
    // In any order, every fourth twice, each at either node.
    let mut calls: Vec<(&Life, &Statement)> = Vec::new();
    for life in &lives {
        for statement in &life.statements {
            let times = if dice.random_ratio(1, 4) { 2 } else { 1 };
            calls.extend((0..times).map(|_| (life, statement)));
        }
    }
    calls.shuffle(&mut dice);
    for batch in calls.chunks(64) {
        let sent = batch.iter().map(|(life, statement)| {
            let server = if dice.random() {
                world.app.advertiser()
            } else {
                world.app.advertiser_of(&second)
            };
            let named = [("click_id", &world.click), ("order_id", &life.order)];
            let parameters = life.parameters(statement);
            async move {
                let parameters: Vec<_> = named
                    .into_iter()
                    .chain(parameters.iter().map(|(name, value)| (*name, value)))
                    .map(|(name, value)| (name, value.as_str()))
                    .collect();
                let answer = server.postback(&parameters).await;
                assert!(answer.status.is_success(), "{parameters:?}: {}", answer.text);
            }
        });
        futures_util::future::join_all(sent).await;
    }
    world
        .app
        .eventually("SELECT count(*)::text FROM postbacks WHERE status = 'held'", "0")
        .await;
    let found = world
        .app
        .text(
            "SELECT string_agg(concat_ws(' ', order_id, status, amount_micros, commission_micros, revenue_micros), E'\n'
                               ORDER BY substr(order_id, 6)::int)
             FROM conversions",
        )
        .await;
    let expected = lives.iter().fold(String::new(), |mut lines, life| {
        writeln!(lines, "{}", life.expected()).unwrap();
        lines
    });
    for (found, (expected, life)) in found.lines().zip(expected.lines().zip(&lives)) {
        assert_eq!(found, expected, "{:#?}", life.statements);
    }
    assert_eq!(found.lines().count(), lives.len());
    second.stop().await;
    world.finish().await;
}
