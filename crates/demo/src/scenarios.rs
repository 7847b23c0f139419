//! Further features of a network, as small scenarios beside the traffic: a goal chain with commission rules and a coupon,
//! a campaign in testing, and rejected postbacks of today.

use campaigns::ClickId;
use campaigns::campaigns::{self as campaign_table, CampaignSettings, CampaignStatus};
use campaigns::coupons::{self, Coupon};
use campaigns::goals::{self, Chain, GoalKind, GoalSettings, UniqueBy};
use campaigns::integrations;
use campaigns::links::{self, NewLink};
use campaigns::rules::{self, Conditions, RuleSettings};
use campaigns::terms::{Pay, Terms};
use chrono::{DateTime, TimeDelta, Utc};
use futures_util::future::{join_all, try_join_all};
use postbacks::InboundRequest;
use rand::SeedableRng;
use rand::rngs::StdRng;
use schema::{CampaignId, Currency, GoalId, NetworkConn};
use serde_json::{Value, json};
use tenancy::advertisers::{self, AdvertiserSettings};
use tenancy::affiliates::{self, Affiliate};
use tenancy::networks::Network;
use tenancy::{Author, groups};
use tracking::Intake;
use tracking::clicks::NewClick;

use crate::DemoError;
use crate::description::Named;
use crate::dialect::{Dialect, PostbackValues};
use crate::history::{call, new_click};
use crate::network::{DemoNetwork, LinkTraffic};

/// Customers of the language courses.
const LEARNERS: i64 = 30;
/// Coupon of an affiliate.
const COUPON: &str = "LUMEN15";

/// Campaigns of the scenarios.
pub(crate) struct Scenarios {
    /// Goal chain: customers sign up, then buy, then renew.
    pub(crate) courses: Scenario,
    /// Campaign in testing.
    pub(crate) bikes: Scenario,
}

/// Campaign with its links.
pub(crate) struct Scenario {
    name: &'static str,
    campaign_id: CampaignId,
    links: Vec<LinkTraffic>,
}

impl Scenario {
    pub(crate) fn named(&self) -> Named<CampaignId> {
        Named {
            id: self.campaign_id,
            name: self.name.to_owned(),
        }
    }
}

/// Creates the campaigns of the scenarios.
pub(crate) async fn set_up(
    conn: &mut NetworkConn,
    partners: &[Affiliate],
    now: DateTime<Utc>,
) -> Result<Scenarios, DemoError> {
    Ok(Scenarios {
        courses: set_up_courses(conn, partners, now).await?,
        bikes: set_up_bikes(conn, partners, now).await?,
    })
}

/// Creates the language courses: customers sign up, then buy, then renew, or buy a gift card with a coupon.
async fn set_up_courses(
    conn: &mut NetworkConn,
    partners: &[Affiliate],
    now: DateTime<Utc>,
) -> Result<Scenario, DemoError> {
    let author = Author::system();
    let courses = CampaignPlan {
        advertiser: "Lumen Language Courses",
        campaign: "Lumen: a language in ninety days",
        destination: "https://lumen-courses.example/start?c={click_id}",
        status: CampaignStatus::Live,
    };
    let courses = courses
        .create(conn, partners.get(..3).unwrap_or_default(), now)
        .await?;
    let signup = GoalSettings {
        unique_by: UniqueBy::Customer,
        auto_approve: true,
        ..GoalSettings::new(
            "signup",
            "Sign-up",
            GoalKind::Lead,
            pays((2_000_000, 0), (3_000_000, 0)),
        )
    };
    let signup = goals::create(conn, &author, courses.campaign_id, &signup, now).await?;
    let purchase = GoalSettings {
        chain: after(signup.id),
        ..GoalSettings::new(
            "purchase",
            "First purchase",
            GoalKind::Sale,
            pays((0, 200_000), (0, 270_000)),
        )
    };
    let purchase = goals::create(conn, &author, courses.campaign_id, &purchase, now).await?;
    let renewal = GoalSettings {
        chain: after(purchase.id),
        ..GoalSettings::new(
            "renewal",
            "Renewal",
            GoalKind::Sale,
            pays((0, 100_000), (0, 140_000)),
        )
    };
    goals::create(conn, &author, courses.campaign_id, &renewal, now).await?;
    let gift = GoalSettings::new(
        "gift",
        "Gift card",
        GoalKind::Sale,
        pays((0, 120_000), (0, 160_000)),
    );
    goals::create(conn, &author, courses.campaign_id, &gift, now).await?;
    set_up_rules(conn, partners, purchase.id, now).await?;
    if let Some(partner) = partners.get(1) {
        let coupon = Coupon {
            campaign_id: courses.campaign_id,
            code: COUPON.to_owned(),
            affiliate_id: partner.id,
        };
        coupons::create(conn, &author, &coupon, now).await?;
    }
    Ok(courses)
}

/// Creates the commission rules of first purchases: for an item category, for a group, and from the third sale on.
async fn set_up_rules(
    conn: &mut NetworkConn,
    partners: &[Affiliate],
    goal_id: GoalId,
    now: DateTime<Utc>,
) -> Result<(), DemoError> {
    let author = Author::system();
    let group = groups::create(conn, &author, "Premium partners", now).await?;
    for partner in [partners.first(), partners.get(7)].into_iter().flatten() {
        let mut settings = partner.settings();
        settings.group_id = Some(group.id);
        affiliates::update(conn, &author, partner.id, None, &settings, now).await?;
    }
    let rules = [
        (
            "Certificates",
            Conditions {
                category: Some("exam".to_owned()),
                ..Conditions::default()
            },
            350_000,
            450_000,
        ),
        (
            "Premium partners",
            Conditions {
                group_id: Some(group.id),
                ..Conditions::default()
            },
            280_000,
            360_000,
        ),
        (
            "From the third sale of a month on",
            Conditions {
                month_from: Some(3),
                ..Conditions::default()
            },
            240_000,
            320_000,
        ),
    ];
    for (position, (name, conditions, commission, revenue)) in (1..).zip(rules) {
        let rule = RuleSettings {
            name: name.to_owned(),
            position,
            conditions,
            commission_fixed_micros: 0,
            commission_rate_ppm: commission,
            revenue_fixed_micros: 0,
            revenue_rate_ppm: revenue,
        };
        rules::create(conn, &author, goal_id, &rule, now).await?;
    }
    Ok(())
}

/// Creates the bicycle campaign, which is in testing.
async fn set_up_bikes(
    conn: &mut NetworkConn,
    partners: &[Affiliate],
    now: DateTime<Utc>,
) -> Result<Scenario, DemoError> {
    let author = Author::system();
    let bikes = CampaignPlan {
        advertiser: "Fjord Bikes AS",
        campaign: "Fjord Bikes: electric, delivered assembled",
        destination: "https://fjord-bikes.example/?click={click_id}",
        status: CampaignStatus::Testing,
    };
    let bikes = bikes
        .create(conn, partners.get(..1).unwrap_or_default(), now)
        .await?;
    for goal in [
        GoalSettings::new("sale", "Sale", GoalKind::Sale, pays((0, 60_000), (0, 80_000))),
        GoalSettings {
            unique_by: UniqueBy::Click,
            ..GoalSettings::new(
                "test-ride",
                "Test ride",
                GoalKind::Lead,
                pays((8_000_000, 0), (11_000_000, 0)),
            )
        },
    ] {
        goals::create(conn, &author, bikes.campaign_id, &goal, now).await?;
    }
    Ok(bikes)
}

/// Returns terms of commission and revenue: fixed micro-units, parts per million.
fn pays(commission: (i64, i32), revenue: (i64, i32)) -> Terms {
    let pay = |(fixed_micros, rate_ppm)| Pay {
        fixed_micros,
        rate_ppm,
    };
    Terms {
        commission: pay(commission),
        revenue: pay(revenue),
    }
}

fn after(parent: GoalId) -> Chain {
    Chain {
        parent_goal_id: Some(parent),
        ..Chain::default()
    }
}

/// Campaign to create.
struct CampaignPlan {
    advertiser: &'static str,
    campaign: &'static str,
    destination: &'static str,
    status: CampaignStatus,
}

impl CampaignPlan {
    /// Creates the advertiser, its campaign in EUR, and a link for each of these affiliates: test links if the campaign is
    /// in testing.
    async fn create(
        self,
        conn: &mut NetworkConn,
        partners: &[Affiliate],
        now: DateTime<Utc>,
    ) -> Result<Scenario, DemoError> {
        let author = Author::system();
        #[expect(clippy::expect_used, reason = "EUR is a currency")]
        let currency: Currency = "EUR".parse().expect("EUR is a currency");
        let settings = AdvertiserSettings::named(self.advertiser);
        let advertiser = advertisers::create(conn, &author, &settings, now).await?;
        let token = integrations::new_token(conn, &author, advertiser.id, TimeDelta::zero(), now).await?;
        let settings = CampaignSettings {
            status: self.status,
            ..CampaignSettings::live(self.campaign, self.destination)
        };
        let campaign = campaign_table::create(conn, &author, advertiser.id, currency, &settings, now).await?;
        let mut links_with_traffic = Vec::new();
        for partner in partners {
            let link = NewLink {
                is_test: self.status == CampaignStatus::Testing,
                ..NewLink::plain(partner.id, campaign.id, &links::random_alias())
            };
            let link = links::create(conn, &author, &link, now).await?;
            links_with_traffic.push(LinkTraffic {
                link_id: link.id,
                affiliate_id: partner.id,
                campaign_id: campaign.id,
                weight: 0,
                per_thousand: 0,
                order: (0, 0),
                currency,
                goal: "sale",
                needs_order: true,
                token: token.clone(),
                dialect: Dialect::Native,
                daily_cap: None,
            });
        }
        Ok(Scenario {
            name: self.campaign,
            campaign_id: campaign.id,
            links: links_with_traffic,
        })
    }
}

/// Runs the scenarios up to now.
pub(crate) async fn play(intake: &Intake, demo: &DemoNetwork, now: DateTime<Utc>) -> Result<(), DemoError> {
    let mut player = Player {
        intake,
        network: &demo.network,
        random: StdRng::seed_from_u64(13),
        now,
    };
    player.learn(&demo.scenarios.courses).await?;
    player.test(&demo.scenarios.bikes).await?;
    match demo.links.first() {
        Some(shop) => player.make_mistakes(shop).await,
        None => Ok(()),
    }
}

/// Sender of clicks and postbacks with times in the past.
struct Player<'a> {
    intake: &'a Intake,
    network: &'a Network,
    random: StdRng,
    now: DateTime<Utc>,
}

impl Player<'_> {
    /// Records clicks together and returns their click ids.
    async fn click(
        &mut self,
        visits: impl IntoIterator<Item = (&LinkTraffic, DateTime<Utc>)>,
    ) -> Result<Vec<String>, DemoError> {
        let visits = visits.into_iter();
        let clicks: Vec<NewClick> = visits
            .map(|(link, at)| {
                let mut click = new_click(&mut self.random, at, link);
                click.visitor.flag = None;
                click
            })
            .collect();
        try_join_all(clicks.iter().map(|click| self.intake.record(self.network, click))).await?;
        // The commission may depend on the click, which must be stored before its postback.
        self.intake.tracker().settled().await;
        let written = |click: &NewClick| {
            let id = ClickId {
                network_id: self.network.id,
                key: click.key,
            };
            self.intake
                .tracker()
                .click_ids()
                .write(id, self.network.click_key)
        };
        Ok(clicks.iter().map(written).collect())
    }

    /// Sends postbacks together, without those whose time lies in the future.
    async fn report(&self, calls: impl IntoIterator<Item = InboundRequest>) {
        let due = calls.into_iter().filter(|call| call.received_at < self.now);
        let receive = |request: InboundRequest| {
            let parsed = request.parse();
            self.intake.receive(self.network, request, parsed)
        };
        join_all(due.map(receive)).await;
    }

    /// Customers sign up, some of them buy, some of those renew; later postbacks carry the customer id only.
    async fn learn(&mut self, courses: &Scenario) -> Result<(), DemoError> {
        let (Some(first), Some(second)) = (courses.links.first(), courses.links.get(1)) else {
            return Ok(());
        };
        let token = first.token.as_str();
        let (mut signups, mut purchases, mut renewals) = (Vec::new(), Vec::new(), Vec::new());
        let clicked_at = |number: i64| self.now - TimeDelta::hours(28 * 24 - number * 21);
        let visits = (0..LEARNERS).zip(courses.links.iter().cycle());
        let visits: Vec<_> = visits.map(|(number, link)| (link, clicked_at(number))).collect();
        let clicks = self.click(visits.iter().copied()).await?;
        for ((number, click_id), (_, clicked)) in (0..LEARNERS).zip(clicks).zip(visits) {
            let customer = format!("learner-{number:03}");
            let signup =
                json!({ "goal": "signup", "click_id": click_id, "customer_id": customer, "token": token });
            signups.push(json_call(clicked + TimeDelta::minutes(25), &signup));
            let bought = clicked + TimeDelta::hours(49);
            let items = match number % 3 {
                0 => {
                    json!([{ "sku": "A1", "category": "course", "amount": "89.00" }, { "sku": "X1", "category": "exam", "amount": "45.00" }])
                }
                _ => json!([{ "sku": "A1", "category": "course", "amount": "89.00" }]),
            };
            let order = format!("LU-{}", 7_000 + number);
            let purchase = json!({
                "goal": "purchase", "customer_id": customer, "order_id": order, "items": items, "currency": "EUR",
                "token": token,
            });
            if number % 2 == 0 {
                purchases.push(json_call(bought, &purchase));
            }
            let renewal = json!({
                "goal": "renewal", "customer_id": customer, "order_id": format!("{order}-R"), "amount": "29.00",
                "currency": "EUR", "token": token,
            });
            if number % 4 == 0 {
                renewals.push(json_call(bought + TimeDelta::days(14), &renewal));
            }
        }
        for calls in [signups, purchases, renewals] {
            self.report(calls).await;
        }
        self.overtake(first, second).await?;
        self.give(first).await;
        Ok(())
    }

    /// One purchase arrives before its sign-up and is held for it; the sign-up of another is still missing.
    async fn overtake(&mut self, first: &LinkTraffic, second: &LinkTraffic) -> Result<(), DemoError> {
        let now = self.now;
        let hours_ago = |hours| now - TimeDelta::hours(hours);
        let visits = [(second, hours_ago(30)), (first, hours_ago(9))];
        let clicks = self.click(visits).await?;
        let [early, late] = clicks.as_slice() else {
            return Ok(());
        };
        let token = first.token.as_str();
        let purchase = |click_id: &str, customer: &str, order: &str| {
            json!({
                "goal": "purchase", "click_id": click_id, "customer_id": customer, "order_id": order, "amount": "89.00",
                "currency": "EUR", "token": token,
            })
        };
        let signup =
            json!({ "goal": "signup", "click_id": early, "customer_id": "learner-early", "token": token });
        let before = purchase(early, "learner-early", "LU-7900");
        let missing = purchase(late, "learner-late", "LU-7901");
        for (hours, parameters) in [(26, before), (25, signup), (3, missing)] {
            self.report([json_call(hours_ago(hours), &parameters)]).await;
        }
        Ok(())
    }

    /// Customers use an affiliate's coupon instead of a link.
    async fn give(&self, link: &LinkTraffic) {
        let gifts = (0..3).map(|number| {
            let gift = json!({
                "goal": "gift", "coupon": COUPON, "customer_id": format!("giver-{number}"), "amount": "60.00",
                "order_id": format!("LU-G{number}"), "currency": "EUR", "token": link.token.as_str(),
            });
            json_call(self.now - TimeDelta::hours(20 + 31 * number), &gift)
        });
        self.report(gifts.collect::<Vec<_>>()).await;
    }

    /// The advertiser's developer sends test postbacks: one is accepted, the other names an unknown goal.
    async fn test(&mut self, bikes: &Scenario) -> Result<(), DemoError> {
        let Some(link) = bikes.links.first() else {
            return Ok(());
        };
        let clicks = self.click([(link, self.now - TimeDelta::hours(6))]).await?;
        let Some(click_id) = clicks.first() else {
            return Ok(());
        };
        let calls = [("test_drive", "FB-TEST-1", 5), ("sale", "FB-TEST-2", 4)];
        let calls = calls.map(|(goal, order, hours)| {
            let values = PostbackValues {
                goal,
                order_id: Some(order),
                amount: Some("2490.00"),
                ..values_of(link, click_id)
            };
            call(self.now - TimeDelta::hours(hours), &link.dialect.target(&values))
        });
        self.report(calls).await;
        Ok(())
    }

    /// Sends the common mistakes with click ids, all within the last hour, so that they are easy to find.
    async fn make_mistakes(&mut self, shop: &LinkTraffic) -> Result<(), DemoError> {
        let ago = [52_i64, 41, 33];
        let clicked = ago.map(|minutes| (shop, self.now - TimeDelta::minutes(minutes + 20)));
        let clicks = self.click(clicked).await?;
        let mut calls = Vec::new();
        for ((number, minutes), click_id) in (1..).zip(ago).zip(clicks) {
            let sent = match number {
                1 => click_id.to_uppercase(),
                2 => click_id.chars().take(click_id.len().saturating_sub(6)).collect(),
                _ => "{click_id}".to_owned(),
            };
            let order = format!("NS-WRONG-{number}");
            let values = PostbackValues {
                order_id: Some(&order),
                amount: Some("49.90"),
                ..values_of(shop, &sent)
            };
            calls.push(call(
                self.now - TimeDelta::minutes(minutes),
                &shop.dialect.target(&values),
            ));
        }
        self.report(calls).await;
        Ok(())
    }
}

/// Returns the values of a postback for a click of this link.
fn values_of<'a>(link: &'a LinkTraffic, click_id: &'a str) -> PostbackValues<'a> {
    PostbackValues {
        click_id,
        goal: link.goal,
        order_id: None,
        amount: None,
        currency: link.currency.code(),
        token: link.token.as_str(),
    }
}

/// Returns a postback whose parameters are a JSON object.
fn json_call(at: DateTime<Utc>, parameters: &Value) -> InboundRequest {
    InboundRequest {
        method: "POST".to_owned(),
        content_type: Some("application/json".to_owned()),
        body: parameters.to_string().into_bytes(),
        ..call(at, "/postback")
    }
}
