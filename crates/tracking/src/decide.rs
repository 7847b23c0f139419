//! The decision on a postback: pure, from what it says and what is configured.

use campaigns::Route;
use campaigns::campaigns::CampaignStatus;
use campaigns::goals::{Goal, UniqueBy};
use chrono::{DateTime, TimeDelta, Utc};
use dialects::Postback;
use schema::{AdvertiserId, Currency, Money};
use tenancy::affiliates::AffiliateStatus;

use crate::click_id::ClickId;
use crate::conversions::ConversionStatus;
use crate::verdict::{Reason, Verdict};

/// Everything a decision depends on.
#[derive(Debug, Clone, Copy)]
pub struct Case<'a> {
    /// What the postback says.
    pub postback: &'a Postback,
    /// Whose token it carried.
    pub advertiser_id: AdvertiserId,
    /// The click it names, proved genuine.
    pub click: ClickId,
    /// The link of that click, as configured now.
    pub route: &'a Route,
    /// When the postback reached us.
    pub received_at: DateTime<Utc>,
}

/// A conversion that the postback asks for and is entitled to, unless it has been made before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision<'a> {
    /// The goal reached.
    pub goal: &'a Goal,
    /// What the goal is unique by.
    pub unique_key: String,
    /// The order amount, if one was sent.
    pub amount_micros: Option<i64>,
    /// Currency of amount, commission and revenue.
    pub currency: Currency,
    /// What the affiliate earns.
    pub commission: Money,
    /// What the advertiser owes.
    pub revenue: Money,
    /// What the conversion starts as.
    pub status: ConversionStatus,
}

/// Decides a postback whose sender and click are known.
///
/// # Errors
/// The verdict, when it makes no conversion. The first rule that is broken is the one that is told.
pub fn decide<'a>(case: &Case<'a>) -> Result<Decision<'a>, Verdict> {
    let campaign = case.route.campaign();
    if campaign.advertiser_id != case.advertiser_id {
        return Err(Verdict::of(Reason::WrongCampaign));
    }
    if campaign.status == CampaignStatus::Paused {
        return Err(Verdict::of(Reason::CampaignInactive));
    }
    if case.route.affiliate_status == AffiliateStatus::Blocked {
        return Err(Verdict::of(Reason::AffiliateBlocked));
    }
    check_window(case)?;
    let goal = find_goal(case)?;
    let unique_key = unique_key(case, goal)?;
    let currency = find_currency(case, goal)?;
    if case.postback.amount.is_none() && goal.needs_amount() {
        return Err(Verdict::of(Reason::AmountMissing));
    }
    let amount_micros = case.postback.amount.map(|amount| amount.micros);
    let (commission, revenue) = goal.pay(Money {
        micros: amount_micros.unwrap_or(0),
        currency,
    });
    let status = match goal.auto_approve {
        true => ConversionStatus::Approved,
        false => ConversionStatus::Pending,
    };
    Ok(Decision {
        goal,
        unique_key,
        amount_micros,
        currency,
        commission,
        revenue,
        status,
    })
}

fn check_window(case: &Case<'_>) -> Result<(), Verdict> {
    let days = case.route.campaign().attribution_days;
    let age = case.received_at - case.click.clicked_at();
    if age <= TimeDelta::days(days.into()) {
        return Ok(());
    }
    let message = format!(
        "The click is more than {days} days old, which is as long as the campaign counts conversions."
    );
    Err(Verdict::saying(Reason::ClickExpired, message))
}

/// The goal that is named; where none is named and the campaign has only one, that one.
fn find_goal<'a>(case: &Case<'a>) -> Result<&'a Goal, Verdict> {
    let goals = &case.route.promotion.goals;
    let named = case.postback.goal.as_deref();
    let found = match (named, goals.as_slice()) {
        (Some(code), _) => goals.iter().find(|goal| goal.code == code),
        (None, [only]) => Some(only),
        (None, _) => None,
    };
    found.ok_or_else(|| {
        let codes: Vec<_> = goals.iter().map(|goal| goal.code.as_str()).collect();
        let message = match named {
            Some(code) => format!("The campaign has no goal “{code}”."),
            None => "goal is missing, and the campaign has more than one.".to_owned(),
        };
        Verdict::saying(Reason::GoalUnknown, message).advising(format!("Send one of: {}.", codes.join(", ")))
    })
}

fn unique_key(case: &Case<'_>, goal: &Goal) -> Result<String, Verdict> {
    match goal.unique_by {
        UniqueBy::Order => case
            .postback
            .order_id
            .clone()
            .ok_or_else(|| Verdict::of(Reason::OrderIdMissing)),
        UniqueBy::Click => Ok(case.click.key.to_string()),
    }
}

fn find_currency(case: &Case<'_>, goal: &Goal) -> Result<Currency, Verdict> {
    let ours = case.route.campaign().currency;
    let Some(sent) = case.postback.currency.as_deref() else {
        return Ok(ours);
    };
    let currency: Currency = sent
        .parse()
        .map_err(|unknown| Verdict::saying(Reason::CurrencyUnknown, format!("currency {unknown}.")))?;
    if currency != ours && goal.has_fixed_sum() {
        let message = format!("The goal pays a fixed sum in {ours}, and the order is in {currency}.");
        return Err(Verdict::saying(Reason::CurrencyMismatch, message));
    }
    Ok(currency)
}

#[cfg(test)]
mod tests {
    use campaigns::audience::Audience;
    use std::sync::Arc;

    use campaigns::campaigns::Campaign;
    use campaigns::goals::{Commission, Revenue};
    use campaigns::{Destination, Promotion};
    use dialects::Amount;
    use schema::{AffiliateId, CampaignId, GoalId, LinkId, NetworkId};

    use super::*;
    use crate::ClickIds;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    fn goal(code: &str, unique_by: UniqueBy, fixed_micros: i64, rate_ppm: i32) -> Goal {
        Goal {
            id: GoalId(1),
            campaign_id: CampaignId(1),
            code: code.into(),
            name: code.into(),
            unique_by,
            auto_approve: false,
            commission: Commission {
                fixed_micros,
                rate_ppm,
            },
            revenue: Revenue {
                fixed_micros: fixed_micros * 2,
                rate_ppm: rate_ppm * 2,
            },
        }
    }

    fn route() -> Route {
        Route {
            link_id: LinkId(1),
            affiliate_id: AffiliateId(1),
            affiliate_status: AffiliateStatus::Active,
            promotion: Arc::new(Promotion {
                campaign: Campaign {
                    id: CampaignId(1),
                    advertiser_id: AdvertiserId(1),
                    name: "Nova".into(),
                    status: CampaignStatus::Live,
                    destination: String::new(),
                    currency: "EUR".parse().unwrap(),
                    attribution_days: 30,
                    audience: Audience::default(),
                },
                destination: Destination::parse("https://shop.example/?c={click_id}").unwrap(),
                goals: vec![
                    goal("sale", UniqueBy::Order, 0, 100_000),
                    goal("lead", UniqueBy::Click, 5_000_000, 0),
                ],
            }),
        }
    }

    fn sale() -> Postback {
        Postback {
            goal: Some("sale".into()),
            order_id: Some("A-1".into()),
            amount: Some(Amount { micros: 49_990_000 }),
            ..Postback::default()
        }
    }

    fn case<'a>(route: &'a Route, postback: &'a Postback) -> Case<'a> {
        Case {
            postback,
            advertiser_id: AdvertiserId(1),
            click: ClickId {
                network_id: NetworkId(1),
                key: ClickIds::fresh_key(LinkId(1), at("2026-11-01T00:00:00Z")),
            },
            route,
            received_at: at("2026-11-21T00:00:00Z"),
        }
    }

    fn reason(case: &Case<'_>) -> Reason {
        decide(case).unwrap_err().reason
    }

    #[test]
    fn only_a_blocked_affiliates_earlier_clicks_do_not_count() {
        let mut route = route();
        let postback = sale();
        for (status, expected) in [
            (AffiliateStatus::Active, None),
            (AffiliateStatus::Paused, None),
            (AffiliateStatus::Archived, None),
            (AffiliateStatus::Blocked, Some(Reason::AffiliateBlocked)),
        ] {
            route.affiliate_status = status;
            assert_eq!(
                decide(&case(&route, &postback)).err().map(|it| it.reason),
                expected,
                "{status}"
            );
        }
    }

    #[test]
    fn a_sale_earns_its_share_in_its_currency() {
        let (route, mut postback) = (route(), sale());
        let decided = |postback: &Postback| {
            let decision = decide(&case(&route, postback)).unwrap();
            (
                decision.commission.to_string(),
                decision.revenue.to_string(),
                decision.unique_key,
            )
        };
        assert_eq!(
            decided(&postback),
            ("5.00 EUR".into(), "10.00 EUR".into(), "A-1".into())
        );
        postback.currency = Some("USD".into());
        assert_eq!(decided(&postback).0, "5.00 USD");
        postback.amount = Some(Amount { micros: 0 });
        assert_eq!(decided(&postback).0, "0.00 USD");
    }

    #[test]
    fn a_lead_needs_neither_order_nor_amount_and_counts_once_per_click() {
        let route = route();
        let postback = Postback {
            goal: Some("lead".into()),
            ..Postback::default()
        };
        let case = case(&route, &postback);
        let decision = decide(&case).unwrap();
        assert_eq!(decision.commission.to_string(), "5.00 EUR");
        assert_eq!(
            (decision.amount_micros, decision.unique_key),
            (None, case.click.key.to_string())
        );
    }

    #[test]
    fn what_breaks_a_rule_is_rejected_with_that_rule() {
        let route = route();
        let with = |change: fn(&mut Postback)| {
            let mut postback = sale();
            change(&mut postback);
            reason(&case(&route, &postback))
        };
        assert_eq!(with(|p| p.goal = Some("install".into())), Reason::GoalUnknown);
        assert_eq!(with(|p| p.goal = None), Reason::GoalUnknown);
        assert_eq!(with(|p| p.order_id = None), Reason::OrderIdMissing);
        assert_eq!(with(|p| p.amount = None), Reason::AmountMissing);
        assert_eq!(with(|p| p.currency = Some("eur".into())), Reason::CurrencyUnknown);
        let lead_in_dollars = |p: &mut Postback| {
            p.goal = Some("lead".into());
            p.currency = Some("USD".into());
        };
        assert_eq!(with(lead_in_dollars), Reason::CurrencyMismatch);
    }

    #[test]
    fn the_campaign_decides_who_when_and_whether() {
        let (mut route, postback) = (route(), sale());
        let stranger = Case {
            advertiser_id: AdvertiserId(2),
            ..case(&route, &postback)
        };
        assert_eq!(reason(&stranger), Reason::WrongCampaign);
        let on_time = Case {
            received_at: at("2026-12-01T00:00:00Z"),
            ..case(&route, &postback)
        };
        assert!(decide(&on_time).is_ok());
        let late = Case {
            received_at: at("2026-12-01T00:00:01Z"),
            ..case(&route, &postback)
        };
        assert_eq!(reason(&late), Reason::ClickExpired);
        Arc::get_mut(&mut route.promotion).unwrap().campaign.status = CampaignStatus::Paused;
        assert_eq!(reason(&case(&route, &postback)), Reason::CampaignInactive);
    }

    #[test]
    fn an_only_goal_need_not_be_named() {
        let mut route = route();
        Arc::get_mut(&mut route.promotion).unwrap().goals.truncate(1);
        let postback = Postback { goal: None, ..sale() };
        assert_eq!(decide(&case(&route, &postback)).unwrap().goal.code, "sale");
    }
}
