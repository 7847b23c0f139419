//! The rules of money through the public endpoints: amounts, refunds, statuses, times, ids.
//!
//! The rules are in `crates/conversions/src/outcome.rs`, and for users in `/docs/postback` and `/docs/earnings`.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test stops where something is not as it should be"
)]

#[path = "money/amounts.rs"]
mod amounts;
#[path = "money/limits.rs"]
mod limits;
#[path = "money/lives.rs"]
mod lives;
#[path = "money/orders.rs"]
mod orders;
#[path = "money/people.rs"]
mod people;
#[path = "money/statements.rs"]
mod statements;

use campaigns::campaigns::CampaignStatus;
use campaigns::caps::{self, CapPeriod, Metric, NewCap};
use campaigns::goals::{Goal, GoalKind, GoalSettings, UniqueBy};
use campaigns::rules::{self, Conditions, RuleSettings};
use campaigns::terms::{Pay, Terms};
use chrono::{DateTime, TimeDelta};
use monitoring::verify::{self, Period};
use schema::clock;
use serde_json::json;
use tenancy::{Author, RoleKind};
use testkit::{Answer, TestApp};

/// 10 % for the affiliate, 13 % from the advertiser.
fn ten_and_thirteen() -> Terms {
    Terms {
        commission: percent(10),
        revenue: percent(13),
    }
}

fn percent(percent: i32) -> Pay {
    Pay {
        fixed_micros: 0,
        rate_ppm: percent * 10_000,
    }
}

fn fixed(units: i64) -> Pay {
    Pay {
        fixed_micros: units * 1_000_000,
        rate_ppm: 0,
    }
}

/// An installation with one click, whose goal pays 10 % and takes 13 %.
struct World {
    app: TestApp,
    click: String,
}

impl World {
    async fn new() -> Self {
        let app = TestApp::spawn().await;
        app.change_sale(|sale| sale.terms = ten_and_thirteen().into())
            .await;
        let click = app.visitor().click("").await.id;
        Self { app, click }
    }

    /// Sends a postback of an order with the token.
    async fn send(&self, order: &str, parameters: &[(&str, &str)]) -> Answer {
        let named = [
            ("click_id", self.click.as_str()),
            ("goal", "sale"),
            ("order_id", order),
        ];
        self.app
            .advertiser()
            .postback(&[&named, parameters].concat())
            .await
    }

    /// Sends it, and returns its reason.
    async fn reason(&self, order: &str, parameters: &[(&str, &str)]) -> String {
        self.send(order, parameters).await.reason().to_owned()
    }

    /// Sends one after the other, all of which must be taken.
    async fn all(&self, order: &str, calls: &[&[(&str, &str)]]) {
        for call in calls {
            let answer = self.send(order, call).await;
            assert!(answer.status.is_success(), "{order} {call:?}: {}", answer.text);
        }
    }

    /// Status, amount and commission of an order.
    async fn order(&self, order: &str) -> String {
        self.app
            .text(&format!(
                "SELECT string_agg(concat_ws(' ', status, trim_scale(amount_micros / 1000000.0),
                                             trim_scale(commission_micros / 1000000.0)), ', ' ORDER BY id)
                 FROM conversions WHERE order_id = '{order}'"
            ))
            .await
    }

    /// Commission, pending and payable, that the ledger has for an order.
    async fn ledger(&self, order: &str) -> String {
        self.app
            .text(&format!(
                "SELECT concat_ws(' ', trim_scale(sum(commission_pending_micros) / 1000000.0),
                                  trim_scale(sum(commission_payable_micros) / 1000000.0))
                 FROM ledger_entries l JOIN conversions c ON c.id = l.conversion_id WHERE order_id = '{order}'"
            ))
            .await
    }

    /// Kinds of the ledger entries of an order, in their order.
    async fn kinds(&self, order: &str) -> String {
        self.app
            .text(&format!(
                "SELECT string_agg(kind, ' ' ORDER BY l.id)
                 FROM ledger_entries l JOIN conversions c ON c.id = l.conversion_id WHERE order_id = '{order}'"
            ))
            .await
    }

    async fn id(&self, order: &str) -> String {
        let program = self.app.program(&self.app.scene.owner).await;
        let found = program.get(&format!("/conversions?order_id={order}")).await;
        found
            .json
            .pointer("/items/0/id")
            .unwrap()
            .as_str()
            .unwrap()
            .to_owned()
    }

    /// Corrects an order as the owner of the network; returns the HTTP status.
    async fn correct(&self, order: &str, correction: serde_json::Value) -> u16 {
        let id = self.id(order).await;
        let program = self.app.program(&self.app.scene.owner).await;
        let path = format!("/conversions/{id}/corrections");
        program.post(&path, &correction).await.status.as_u16()
    }

    /// Adds a sign-up that counts once per customer, and a renewal behind it, at most this often; returns the renewal.
    async fn add_chain(&self, times_per_parent: Option<i32>) -> Goal {
        let signup = GoalSettings {
            unique_by: UniqueBy::Customer,
            ..GoalSettings::new("signup", "Sign-up", GoalKind::Lead, ten_and_thirteen())
        };
        let signup = self.app.add_goal(&signup).await;
        let mut renewal = GoalSettings::new("renewal", "Renewal", GoalKind::Sale, ten_and_thirteen());
        renewal.chain.parent_goal_id = Some(signup.id);
        renewal.chain.times_per_parent = times_per_parent;
        self.app.add_goal(&renewal).await
    }

    /// Adds a live campaign of the advertiser in this currency, whose sale pays 10 % and takes 13 %, with a link of this
    /// alias; returns a click.
    async fn click_in_another_campaign(&self, currency: &str, alias: &str) -> String {
        let owner = self.app.program(&self.app.scene.owner).await;
        let make = async |path: &str, body: serde_json::Value| {
            let made = owner.post(path, &body).await;
            assert!(made.status.is_success(), "{path}: {}", made.text);
            made.get("id").to_owned()
        };
        let advertiser = self.app.scene.campaign.advertiser_id.to_string();
        let affiliate = self.app.scene.affiliate_id.to_string();
        let campaign = json!({
            "advertiser": advertiser, "name": alias, "currency": currency, "status": "live",
            "destination": "https://shop.example/?id={click_id}",
        });
        let campaign = make("/campaigns", campaign).await;
        let goal = json!({
            "campaign": campaign, "code": "sale", "name": "Sale", "kind": "sale", "unique_by": "order",
            "commission": "10 %", "revenue": "13 %",
        });
        make("/goals", goal).await;
        make(
            "/links",
            json!({ "campaign": campaign, "affiliate": affiliate, "alias": alias }),
        )
        .await;
        self.app.visitor_of(alias).click("").await.id
    }

    async fn rule(&self, category: &str, terms: Terms) {
        self.add_rule(
            Conditions {
                category: Some(category.to_owned()),
                ..Conditions::default()
            },
            terms,
        )
        .await;
    }

    async fn add_rule(&self, conditions: Conditions, terms: Terms) {
        let settings = RuleSettings {
            name: "Rule".to_owned(),
            position: 1,
            conditions,
            commission_fixed_micros: terms.commission.fixed_micros,
            commission_rate_ppm: terms.commission.rate_ppm,
            revenue_fixed_micros: terms.revenue.fixed_micros,
            revenue_rate_ppm: terms.revenue.rate_ppm,
        };
        let mut conn = self.app.network().await;
        let goal = self.app.scene.sale_id;
        rules::create(&mut conn, &Author::command_line(), goal, &settings, clock::now())
            .await
            .unwrap();
        conn.commit().await.unwrap();
    }

    async fn cap(&self, metric: Metric, most: i64) {
        let cap = NewCap {
            campaign_id: self.app.scene.campaign.id,
            affiliate_id: None,
            metric,
            period: CapPeriod::Day,
            most,
            currency: None,
        };
        let mut conn = self.app.network().await;
        caps::create(&mut conn, &Author::command_line(), &cap, clock::now())
            .await
            .unwrap();
        conn.commit().await.unwrap();
    }

    /// Claims that `clickledger verify` finds violated.
    async fn differing(&self) -> Vec<String> {
        let now = clock::now();
        let always = Period {
            from: DateTime::UNIX_EPOCH,
            to: now + TimeDelta::days(1),
        };
        let mut conn = self.app.network().await;
        let network = &self.app.scene.network;
        let found = verify::verify(&mut conn, network, self.app.journal.path(), always, now)
            .await
            .unwrap();
        conn.commit().await.unwrap();
        let differing = found.checks.into_iter().filter(|check| !check.holds());
        differing.map(|check| check.claim).collect()
    }

    async fn finish(self) {
        self.app.finish().await;
    }
}
