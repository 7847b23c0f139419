//! What is decided, case by case.

use std::sync::Arc;

use campaigns::campaigns::{Campaign, CampaignSettings};
use campaigns::goals::{GoalKind, GoalSettings};
use campaigns::terms::{Pay, Terms};
use campaigns::{AffiliateState, Promotion};
use dialects::Amount;
use schema::{AffiliateId, CampaignId, GoalId, LinkId, Words};

use super::*;
use crate::ClickIds;

fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

fn goal(id: i32, code: &str, unique_by: UniqueBy, fixed_micros: i64, rate_ppm: i32) -> Goal {
    let commission = Pay {
        fixed_micros,
        rate_ppm,
    };
    let terms = Terms {
        commission,
        revenue: commission,
    };
    Goal {
        id: GoalId(id),
        campaign_id: CampaignId(1),
        version: 1,
        changed_at: at("2026-01-01T00:00:00Z"),
        settings: GoalSettings {
            unique_by,
            ..GoalSettings::new(code, code, GoalKind::Sale, terms)
        },
    }
}

fn campaign() -> Campaign {
    let settings = CampaignSettings::live("Nova", "https://shop.example/?c={click_id}");
    Campaign {
        id: CampaignId(1),
        advertiser_id: AdvertiserId(1),
        currency: "EUR".parse().unwrap(),
        name: settings.name,
        status: settings.status,
        external_id: None,
        destination: settings.destination,
        attribution_days: 30,
        attribution_min_seconds: 0,
        sending: settings.sending,
        schedule: settings.schedule,
        audience: settings.audience,
        offer: settings.offer,
    }
}

fn route() -> Route {
    Route {
        link_id: LinkId(1),
        affiliate_id: AffiliateId(1),
        affiliate: AffiliateState {
            status: AffiliateStatus::Active,
            group_id: None,
        },
        landing_page_id: None,
        presets: None,
        is_test: false,
        promotion: Arc::new(Promotion {
            campaign: campaign(),
            paused_at: None,
            destinations: Vec::new(),
            goals: vec![
                goal(1, "sale", UniqueBy::Order, 0, 100_000),
                goal(2, "lead", UniqueBy::Click, 5_000_000, 0),
                goal(3, "visit", UniqueBy::Fire, 1_000, 0),
                goal(4, "customer", UniqueBy::Customer, 1_000, 0),
            ],
            rules: Vec::new(),
            caps: Vec::new(),
        }),
    }
}

fn integration() -> Integration {
    let mut integration = Integration::unset(AdvertiserId(1));
    integration.settings.status_map = serde_json::json!({ "paid": "approved", "ping": "ignored" });
    integration
}

fn sale() -> Postback {
    Postback {
        goal: Some("sale".into()),
        order_id: Some("A-1".into()),
        amount: Some(Amount { micros: 49_990_000 }),
        ..Postback::default()
    }
}

struct World {
    route: Route,
    integration: Integration,
    said: Postback,
    received_at: DateTime<Utc>,
    advertiser_id: AdvertiserId,
}

impl World {
    fn new(said: Postback) -> Self {
        Self {
            route: route(),
            integration: integration(),
            said,
            received_at: at("2026-11-21T00:00:00Z"),
            advertiser_id: AdvertiserId(1),
        }
    }

    fn promotion(&mut self) -> &mut Promotion {
        Arc::get_mut(&mut self.route.promotion).unwrap()
    }

    fn case(&self) -> Case<'_> {
        let clicked_at = at("2026-11-01T00:00:00Z");
        Case {
            said: &self.said,
            postback_id: PostbackId::fresh(self.received_at),
            advertiser_id: self.advertiser_id,
            integration: &self.integration,
            attributed_by: AttributedBy::Click,
            click: Some(ClickIds::fresh_key(LinkId(1), clicked_at)),
            clicked_at: Some(clicked_at),
            route: &self.route,
            received_at: self.received_at,
            signature: None,
        }
    }

    fn claim(&self) -> (String, Option<i64>, Wants) {
        let case = self.case();
        let claim = decide(&case, &mut Trace::default()).unwrap();
        (claim.unique_key, claim.amount_micros, claim.wants)
    }

    fn reason(&self) -> Option<Reason> {
        let case = self.case();
        match decide(&case, &mut Trace::default()) {
            Ok(claim) => claim.unless_there.map(|it| it.reason),
            Err(verdict) => Some(verdict.reason),
        }
    }
}

fn reason(change: fn(&mut World)) -> Option<Reason> {
    let mut world = World::new(sale());
    change(&mut world);
    world.reason()
}

#[test]
fn a_sale_claims_its_order() {
    let world = World::new(sale());
    let expected = (
        "A-1".to_owned(),
        Some(49_990_000),
        Wants::New(ConversionStatus::Pending),
    );
    assert_eq!(world.claim(), expected);
}

#[test]
fn each_goal_has_its_own_idea_of_the_same_thing_again() {
    let key = |goal: &str, change: fn(&mut Postback)| {
        let mut said = Postback {
            goal: Some(goal.to_owned()),
            ..Postback::default()
        };
        change(&mut said);
        let world = World::new(said);
        let case = world.case();
        let claim = decide(&case, &mut Trace::default());
        (claim.map(|claim| claim.unique_key).map_err(|it| it.reason), case).0
    };
    assert!(key("lead", |_| {}).is_ok_and(|key| key.starts_with("clk_")));
    assert!(key("visit", |_| {}).is_ok_and(|key| key.starts_with("pb_")));
    assert_eq!(
        key("visit", |it| it.order_id = Some("7".into())),
        Ok("7".to_owned())
    );
    assert_eq!(
        key("customer", |it| it.customer_id = Some("k".into())),
        Ok("k".to_owned())
    );
    assert_eq!(key("customer", |_| {}), Err(Reason::CustomerIdMissing));
}

#[test]
fn what_breaks_a_rule_is_rejected_with_that_rule() {
    assert_eq!(
        reason(|it| it.said.goal = Some("install".into())),
        Some(Reason::GoalUnknown)
    );
    assert_eq!(reason(|it| it.said.goal = None), Some(Reason::GoalUnknown));
    assert_eq!(reason(|it| it.said.order_id = None), Some(Reason::OrderIdMissing));
    assert_eq!(reason(|it| it.said.amount = None), Some(Reason::AmountMissing));
    assert_eq!(
        reason(|it| it.said.currency = Some("eur".into())),
        Some(Reason::CurrencyUnknown)
    );
    assert_eq!(reason(|it| it.said.is_test = true), Some(Reason::WrongMode));
    assert_eq!(
        reason(|it| it.said.status = Some("ping".into())),
        Some(Reason::StatusIgnored)
    );
    assert_eq!(
        reason(|it| it.advertiser_id = AdvertiserId(2)),
        Some(Reason::WrongCampaign)
    );
    assert_eq!(reason(|it| it.received_at = at("2026-12-01T00:00:00Z")), None);
    assert_eq!(
        reason(|it| it.received_at = at("2026-12-01T00:00:01Z")),
        Some(Reason::ClickExpired)
    );
    let young = |it: &mut World| {
        it.promotion().campaign.attribution_min_seconds = 60;
        it.received_at = at("2026-11-01T00:00:59Z");
    };
    assert_eq!(reason(young), Some(Reason::TooFast));
}

#[test]
fn the_status_of_campaign_and_affiliate_decides() {
    use CampaignStatus::{Draft, Ended, Live, Paused, Testing};
    for (status, expected) in [
        (Live, None),
        (Paused, None),
        (Testing, None),
        (Draft, Some(Reason::CampaignInactive)),
        (Ended, Some(Reason::CampaignInactive)),
    ] {
        let mut world = World::new(sale());
        world.promotion().campaign.status = status;
        assert_eq!(world.reason(), expected, "{status}");
    }
    for (status, expected) in [
        (AffiliateStatus::Active, None),
        (AffiliateStatus::Paused, None),
        (AffiliateStatus::Archived, None),
        (AffiliateStatus::Blocked, Some(Reason::AffiliateBlocked)),
    ] {
        let mut world = World::new(sale());
        world.route.affiliate.status = status;
        assert_eq!(world.reason(), expected, "{status}");
    }
    for (is_test, expected) in [(false, Some(Reason::AdvertiserPaused)), (true, None)] {
        let mut world = World::new(sale());
        world.promotion().paused_at = Some(at("2026-11-20T00:00:00Z"));
        world.route.is_test = is_test;
        assert_eq!(world.reason(), expected, "{is_test}");
    }
}

#[test]
fn a_goal_demands_and_forbids_parameters() {
    let demanding = |it: &mut World| {
        let demands = &mut it.promotion().goals[0].settings.demands;
        demands.required_parameters = Words(vec!["coupon".into(), "shop".into()]);
        demands.forbidden_parameters = Words(vec!["sub2".into()]);
    };
    let mut world = World::new(sale());
    demanding(&mut world);
    assert_eq!(world.reason(), Some(Reason::ParamMissing));
    world.said.coupon = Some("X".into());
    world.said.extra = vec![("shop".into(), "berlin".into())];
    assert_eq!(world.reason(), None);
    world.said.subs[1] = Some("y".into());
    assert_eq!(world.reason(), Some(Reason::ParamForbidden));
}

#[test]
fn the_senders_own_ids_must_not_speak_against_the_click() {
    let with = |reference: &str| {
        let mut world = World::new(Postback {
            reference: Some(reference.to_owned()),
            ..sale()
        });
        world.promotion().campaign.external_id = Some("10l1234".into());
        world.promotion().goals[0].settings.external_id = Some("conv-7".into());
        world.reason()
    };
    assert_eq!(with("10l1234"), None);
    assert_eq!(with(&CampaignId(1).to_string()), None);
    assert_eq!(with("conv-7"), None);
    assert_eq!(with("other"), Some(Reason::WrongCampaign));
    let unset = |it: &mut World| it.said.reference = Some("other".into());
    assert_eq!(reason(unset), None, "nothing to compare with");
    let by_reference = |it: &mut World| {
        it.said.goal = None;
        it.said.reference = Some("conv-7".into());
        it.promotion().goals[0].settings.external_id = Some("conv-7".into());
    };
    assert_eq!(
        reason(by_reference),
        None,
        "the conversion's own id names its goal"
    );
}

#[test]
fn the_status_and_the_address_say_what_is_wanted() {
    use ConversionStatus::{Approved, Pending, Rejected};
    let new_or = |said| Wants::NewOrChanged {
        starts: Pending,
        said,
    };
    let wants = |intent, state, status: Option<&str>| {
        let world = World::new(Postback {
            intent,
            state,
            status: status.map(str::to_owned),
            ..sale()
        });
        world.claim().2
    };
    assert_eq!(wants(Intent::Report, None, None), Wants::New(Pending));
    assert_eq!(
        wants(Intent::Report, Some(State::Approved), None),
        new_or(Some(Approved))
    );
    assert_eq!(wants(Intent::Report, None, Some("paid")), new_or(Some(Approved)));
    assert_eq!(
        wants(Intent::Report, Some(State::Held), None),
        new_or(Some(Pending))
    );
    assert_eq!(
        wants(Intent::Update, Some(State::Rejected), None),
        Wants::Changed(Some(Rejected))
    );
    assert_eq!(wants(Intent::Upsert, None, None), new_or(None));
    assert_eq!(wants(Intent::Refund, None, None), Wants::Refunded);
}

#[test]
fn an_amount_is_the_one_sent_or_that_of_the_items_or_the_goals_own() {
    let mut world = World::new(Postback {
        amount: None,
        ..sale()
    });
    world.promotion().goals[0].settings.demands.default_amount_micros = Some(7);
    assert_eq!(world.claim().1, Some(7));
    let item = |micros| dialects::Item {
        amount: Some(Amount { micros }),
        ..dialects::Item::default()
    };
    world.said.items = vec![item(5), item(6)];
    assert_eq!(world.claim().1, Some(11));
    world.said.amount = Some(Amount { micros: 0 });
    assert_eq!(world.claim().1, Some(0));
}
