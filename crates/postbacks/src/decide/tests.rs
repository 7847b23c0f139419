//! Decisions, case by case.

use std::sync::Arc;

use campaigns::campaigns::{Campaign, CampaignSettings};
use campaigns::goals::{GoalKind, GoalSettings};
use campaigns::terms::{Pay, Terms};
use campaigns::{AffiliateState, Promotion};
use dialects::Amount;
use schema::{AffiliateId, CampaignId, GoalId, LinkId, Words};

use super::*;
use campaigns::ClickIds;

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
        has_other_keys: false,
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
        customer_days: 365,
        attribution_min_seconds: 0,
        attribution_order: settings.attribution_order,
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
                goal(1, "sale", UniqueBy::Order, 0, 100_000).into(),
                goal(2, "lead", UniqueBy::Click, 5_000_000, 0).into(),
                goal(3, "visit", UniqueBy::Fire, 1_000, 0).into(),
                goal(4, "customer", UniqueBy::Customer, 1_000, 0).into(),
            ],
            former_terms: Vec::new(),
            rules: Vec::new(),
            rules_since: at("2026-01-01T00:00:00Z"),
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
    postback: Postback,
    received_at: DateTime<Utc>,
    advertiser_id: AdvertiserId,
}

impl World {
    fn new(postback: Postback) -> Self {
        Self {
            route: route(),
            integration: integration(),
            postback,
            received_at: at("2026-11-21T00:00:00Z"),
            advertiser_id: AdvertiserId(1),
        }
    }

    fn promotion(&mut self) -> &mut Promotion {
        Arc::get_mut(&mut self.route.promotion).unwrap()
    }

    fn goal(&mut self) -> &mut Goal {
        Arc::get_mut(&mut self.promotion().goals[0]).unwrap()
    }

    fn case(&self) -> Case<'_> {
        let clicked_at = at("2026-11-01T00:00:00Z");
        Case {
            postback: &self.postback,
            postback_id: PostbackId::fresh(self.received_at),
            advertiser_id: self.advertiser_id,
            integration: &self.integration,
            click: Some(ClickIds::fresh_key(LinkId(1), clicked_at)),
            clicked_at: Some(clicked_at),
            by: AttributedBy::Click,
            customer_at: None,
            dialect: dialects::native(),
            is_by_order: false,
            is_authenticated: true,
            route: &self.route,
            received_at: self.received_at,
            signature: None,
        }
    }

    fn claim(&self) -> (String, Option<i64>, Action) {
        let case = self.case();
        let claim = decide(&case, &mut Trace::default()).unwrap();
        (claim.unique_key, claim.amount_micros, claim.action)
    }

    fn reason(&self) -> Option<Reason> {
        let case = self.case();
        match decide(&case, &mut Trace::default()) {
            Ok(claim) => claim.blocks_creation.map(|verdict| verdict.reason),
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
        Action::Create(ConversionStatus::Pending),
    );
    assert_eq!(world.claim(), expected);
}

#[test]
fn each_goal_deduplicates_by_its_own_key() {
    let key = |goal: &str, change: fn(&mut Postback)| {
        let mut postback = Postback {
            goal: Some(goal.to_owned()),
            ..Postback::default()
        };
        change(&mut postback);
        let world = World::new(postback);
        let case = world.case();
        let claim = decide(&case, &mut Trace::default());
        (
            claim
                .map(|claim| claim.unique_key)
                .map_err(|verdict| verdict.reason),
            case,
        )
            .0
    };
    assert!(key("lead", |_| {}).is_ok_and(|key| key.starts_with("clk_")));
    assert!(key("visit", |_| {}).is_ok_and(|key| key.starts_with("pb_")));
    assert_eq!(
        key("visit", |postback| postback.order_id = Some("7".into())),
        Ok("7".to_owned())
    );
    assert_eq!(
        key("customer", |postback| postback.customer_id = Some("k".into())),
        Ok("k".to_owned())
    );
    assert_eq!(key("customer", |_| {}), Err(Reason::CustomerIdMissing));
}

#[test]
fn the_first_broken_rule_is_the_reason() {
    assert_eq!(
        reason(|world| world.postback.goal = Some("install".into())),
        Some(Reason::GoalUnknown)
    );
    assert_eq!(
        reason(|world| world.postback.goal = None),
        Some(Reason::GoalUnknown)
    );
    assert_eq!(
        reason(|world| world.postback.order_id = None),
        Some(Reason::OrderIdMissing)
    );
    assert_eq!(
        reason(|world| world.postback.amount = None),
        Some(Reason::AmountMissing)
    );
    assert_eq!(
        reason(|world| world.postback.currency = Some("eur".into())),
        Some(Reason::CurrencyUnknown)
    );
    assert_eq!(
        reason(|world| world.postback.is_test = true),
        Some(Reason::WrongMode)
    );
    assert_eq!(
        reason(|world| world.postback.status = Some("ping".into())),
        Some(Reason::StatusIgnored)
    );
    assert_eq!(
        reason(|world| world.advertiser_id = AdvertiserId(2)),
        Some(Reason::WrongCampaign)
    );
    assert_eq!(
        reason(|world| world.received_at = at("2026-12-01T00:00:00Z")),
        None
    );
    assert_eq!(
        reason(|world| world.received_at = at("2026-12-01T00:00:01Z")),
        Some(Reason::ClickExpired)
    );
    let young = |world: &mut World| {
        world.promotion().campaign.attribution_min_seconds = 60;
        world.received_at = at("2026-11-01T00:00:59Z");
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
fn a_goal_requires_and_forbids_parameters() {
    let demanding = |world: &mut World| {
        let demands = &mut world.goal().settings.demands;
        demands.required_parameters = Words(vec!["coupon".into(), "shop".into()]);
        demands.forbidden_parameters = Words(vec!["sub2".into()]);
    };
    let mut world = World::new(sale());
    demanding(&mut world);
    assert_eq!(world.reason(), Some(Reason::ParamMissing));
    world.postback.coupon = Some("X".into());
    world.postback.extra = vec![("shop".into(), "berlin".into())];
    assert_eq!(world.reason(), None);
    world.postback.subs[1] = Some("y".into());
    assert_eq!(world.reason(), Some(Reason::ParamForbidden));
}

#[test]
fn the_senders_ids_must_not_contradict_the_click() {
    let with = |reference: &str| {
        let mut world = World::new(Postback {
            reference: Some(reference.to_owned()),
            ..sale()
        });
        world.promotion().campaign.external_id = Some("10l1234".into());
        world.goal().settings.external_id = Some("conv-7".into());
        world.reason()
    };
    assert_eq!(with("10l1234"), None);
    assert_eq!(with(&CampaignId(1).to_string()), None);
    assert_eq!(with("conv-7"), None);
    assert_eq!(with("other"), Some(Reason::WrongCampaign));
    let unset = |world: &mut World| world.postback.reference = Some("other".into());
    assert_eq!(reason(unset), None, "nothing to compare with");
    let by_reference = |world: &mut World| {
        world.postback.goal = None;
        world.postback.reference = Some("conv-7".into());
        world.goal().settings.external_id = Some("conv-7".into());
    };
    assert_eq!(reason(by_reference), None, "the external ID of a goal names it");
}

#[test]
fn intent_and_status_yield_the_action() {
    use ConversionStatus::{Approved, Pending, Rejected};
    let upsert = |sent| Action::Upsert {
        initial: Pending,
        sent,
    };
    let action = |intent, state, status: Option<&str>| {
        let world = World::new(Postback {
            intent,
            state,
            status: status.map(str::to_owned),
            ..sale()
        });
        world.claim().2
    };
    assert_eq!(action(Intent::Report, None, None), Action::Create(Pending));
    assert_eq!(
        action(Intent::Report, Some(State::Approved), None),
        upsert(Some(Approved))
    );
    assert_eq!(action(Intent::Report, None, Some("paid")), upsert(Some(Approved)));
    assert_eq!(
        action(Intent::Report, Some(State::Held), None),
        upsert(Some(Pending))
    );
    assert_eq!(
        action(Intent::Update, Some(State::Rejected), None),
        Action::Update(Some(Rejected))
    );
    assert_eq!(action(Intent::Upsert, None, None), upsert(None));
    assert_eq!(action(Intent::Refund, None, None), Action::Refund);
}

#[test]
fn the_amount_is_the_one_sent_or_the_sum_of_the_items_or_the_default() {
    let mut world = World::new(Postback {
        amount: None,
        ..sale()
    });
    world.goal().settings.demands.default_amount_micros = Some(7);
    assert_eq!(world.claim().1, Some(7));
    let item = |micros| dialects::Item {
        amount: Some(Amount { micros }),
        ..dialects::Item::default()
    };
    world.postback.items = vec![item(5), item(6)];
    assert_eq!(world.claim().1, Some(11));
    world.postback.amount = Some(Amount { micros: 0 });
    assert_eq!(world.claim().1, Some(0));
}
