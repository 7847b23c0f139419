//! What a conversion is worth: the goal's terms or those of the first rule that fits, for the whole order or for each
//! part of the basket; kept with everything that went in, so that a changed amount is priced the same way.

use campaigns::goals::Goal;
use campaigns::rules::{Occasion, Rule};
use campaigns::terms::{Pay, Terms};
use dialects::{Item, Postback};
use schema::{Currency, Money, RuleId};
use serde::{Deserialize, Serialize};

use crate::conversions::{Conversion, ReviewBecause};

/// Why a conversion that counts pays nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unpaid {
    /// The campaign has had as much as it wants.
    CapReached,
    /// It came through a click that the campaign did not want.
    NotTargeted,
}

impl Unpaid {
    /// The word in the database.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::CapReached => "cap_reached",
            Self::NotTargeted => "not_targeted",
        }
    }
}

/// When somebody of the network must look at a conversion before it is approved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Review {
    /// Where its amount is above this, in micro-units of its own currency.
    Above(i64),
    /// Whatever its amount is: it is in a currency that the goal's limit cannot be compared with.
    Any,
}

impl Review {
    /// Whether an amount is to be looked at.
    #[must_use]
    pub fn asks(self, amount: Option<i64>) -> bool {
        let most = match self {
            Self::Above(most) => most,
            Self::Any => 0,
        };
        amount.is_some_and(|amount| amount > most)
    }

    /// Why.
    #[must_use]
    pub fn because(self) -> ReviewBecause {
        match self {
            Self::Above(_) => ReviewBecause::Amount,
            Self::Any => ReviewBecause::Currency,
        }
    }
}

/// How the money of a conversion is computed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Pricing {
    /// The parts of the order that are paid by different rules; one where nothing sets items apart.
    pub parts: Vec<Part>,
    /// Version of the goal's own terms.
    pub goal_version: i32,
    /// Which conversion of the goal it was for the affiliate in its month, where a rule asks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub number_in_month: Option<i64>,
    /// Why it pays nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unpaid: Option<Unpaid>,
    /// When somebody must look at it, as the goal said when it was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub review: Option<Review>,
}

/// A part of an order that is paid by one rule.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// Its share of the amount, in micro-units.
    pub amount: i64,
    /// Its share of the amount that the conversion was made with, by which other amounts are shared out.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub first: Option<i64>,
    /// The rule and its version; the goal's own terms if none.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub rule: Option<(RuleId, i32)>,
    /// Fixed micro-units and parts per million for the affiliate.
    pub commission: (i64, i32),
    /// Fixed micro-units and parts per million from the advertiser.
    pub revenue: (i64, i32),
    /// Whether the commission is the advertiser's own, because ours was zero.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub sent: bool,
}

impl Part {
    fn new(amount: i64, goal: &Goal, rule: Option<&Rule>) -> Self {
        let terms = rule.map_or_else(|| goal.terms(), Rule::terms);
        let flat = |pay: Pay| (pay.fixed_micros, pay.rate_ppm);
        Self {
            amount,
            first: None,
            rule: rule.map(|rule| (rule.id, rule.version)),
            commission: flat(terms.commission),
            revenue: flat(terms.revenue),
            sent: false,
        }
    }

    /// What it pays.
    #[must_use]
    pub fn terms(&self) -> Terms {
        let pay = |(fixed_micros, rate_ppm)| Pay {
            fixed_micros,
            rate_ppm,
        };
        Terms {
            commission: pay(self.commission),
            revenue: pay(self.revenue),
        }
    }
}

impl Pricing {
    /// The terms for an order: the first rule that fits, part by part where a rule names categories and the basket's
    /// items add up to no more than the order.
    #[must_use]
    pub fn of<'a>(
        goal: &Goal,
        rules: impl Iterator<Item = &'a Rule>,
        occasion: &Occasion<'_>,
        said: &Postback,
        amount: i64,
    ) -> Self {
        let rules: Vec<&Rule> = rules.collect();
        let find = |category: Option<&str>| rules.iter().copied().find(|rule| rule.fits(occasion, category));
        let by_category = rules
            .iter()
            .any(|rule| rule.settings.conditions.category.is_some());
        let items = item_sums(&said.items, amount).filter(|_| by_category);
        let mut parts: Vec<Part> = Vec::new();
        let mut add = |amount: i64, rule: Option<&Rule>| {
            let id = rule.map(|rule| (rule.id, rule.version));
            match parts.iter_mut().find(|part| part.rule == id) {
                // So that a fixed sum counts once per rule, however many items it is for.
                Some(part) => part.amount += amount,
                None => parts.push(Part::new(amount, goal, rule)),
            }
        };
        match items {
            Some((items, rest)) => {
                for (category, amount) in items {
                    add(amount, find(category));
                }
                if rest > 0 {
                    add(rest, find(None));
                }
            }
            None => add(amount, find(None)),
        }
        let asks = rules
            .iter()
            .any(|rule| rule.settings.conditions.month_from.is_some());
        Self {
            parts,
            goal_version: goal.version,
            number_in_month: asks.then_some(occasion.number_in_month),
            unpaid: None,
            review: None,
        }
    }

    /// What a conversion from before this was kept was worth, as sums and not as shares.
    pub(crate) fn of_sums(conversion: &Conversion) -> Self {
        let part = Part {
            amount: conversion.amount_micros.unwrap_or(0),
            commission: (conversion.commission_micros, 0),
            revenue: (conversion.revenue_micros, 0),
            ..Part::default()
        };
        Self {
            parts: vec![part],
            ..Self::default()
        }
    }

    /// Takes the commission that the advertiser sent, where ours is zero in every part.
    pub(crate) fn take_sent(&mut self, said: &Postback) {
        let is_zero = self.parts.iter().all(|part| part.commission == (0, 0));
        let fixed = said.commission.map(|amount| amount.micros).filter(|it| *it > 0);
        let rate = said
            .commission_rate_ppm
            .and_then(|rate| i32::try_from(rate).ok())
            .filter(|rate| (1..=1_000_000).contains(rate));
        // A percentage counts only where the fixed sum is zero.
        let sent = match (fixed, rate) {
            (Some(fixed), _) => (fixed, 0),
            (None, Some(rate)) => (0, rate),
            (None, None) => return,
        };
        if !is_zero {
            return;
        }
        for (at, part) in self.parts.iter_mut().enumerate() {
            // A fixed sum is for the order as a whole.
            part.commission = if at == 0 { sent } else { (0, sent.1) };
            part.sent = true;
            // The advertiser owes at least what it says the affiliate earns.
            if part.revenue == (0, 0) {
                part.revenue = part.commission;
            }
        }
    }

    /// Whether any part pays a fixed sum, which is of the campaign's currency.
    #[must_use]
    pub fn has_fixed_sum(&self) -> bool {
        let ours = |part: &Part| match part.sent {
            // What the advertiser sends is in the order's own currency.
            true => part.revenue.0 > 0 && part.revenue != part.commission,
            false => part.terms().have_fixed_sum(),
        };
        self.parts.iter().any(ours)
    }

    /// Commission and revenue, in micro-units.
    #[must_use]
    pub fn pay(&self, currency: Currency) -> (i64, i64) {
        if self.unpaid.is_some() {
            return (0, 0);
        }
        let sum = |side: fn(Terms) -> Pay| {
            self.parts.iter().fold(0_i64, |sum, part| {
                let amount = Money {
                    micros: part.amount,
                    currency,
                };
                sum.saturating_add(side(part.terms()).of(amount).micros)
            })
        };
        (sum(|terms| terms.commission), sum(|terms| terms.revenue))
    }

    /// The same for another amount: each part keeps its share of it.
    #[must_use]
    pub fn with_amount(&self, amount: i64) -> Self {
        let mut changed = self.clone();
        // By what it was made with, not by what it was changed to: so the order of changes does not matter.
        let first = |part: &Part| part.first.unwrap_or(part.amount);
        let before: i128 = self.parts.iter().map(|part| i128::from(first(part))).sum();
        let mut left = amount;
        let last = changed.parts.len().saturating_sub(1);
        for (at, part) in changed.parts.iter_mut().enumerate() {
            let share = match before {
                _ if at == last => left,
                0 => 0,
                before => {
                    i64::try_from(i128::from(first(part)) * i128::from(amount) / before).unwrap_or(left)
                }
            };
            part.first = Some(first(part));
            part.amount = share;
            left -= share;
        }
        changed
    }
}

/// Category and amount of an item.
type ItemSum<'a> = (Option<&'a str>, i64);

/// Categories and amounts of a basket, and what of the order is in none of them; none where the items have no amounts,
/// or more than the order.
fn item_sums(items: &[Item], amount: i64) -> Option<(Vec<ItemSum<'_>>, i64)> {
    let sums: Option<Vec<_>> = items
        .iter()
        .map(|item| Some((item.category.as_deref(), item.amount?.micros)))
        .collect();
    let sums = sums.filter(|sums| !sums.is_empty())?;
    let total = sums
        .iter()
        .try_fold(0_i64, |sum, (_, amount)| sum.checked_add(*amount))?;
    let rest = amount.checked_sub(total).filter(|rest| *rest >= 0)?;
    Some((sums, rest))
}

#[cfg(test)]
mod tests {
    use campaigns::goals::{GoalKind, GoalSettings};
    use campaigns::rules::{Conditions, RuleSettings};
    use dialects::Amount;
    use proptest::prelude::*;
    use schema::{AffiliateId, CampaignId, GoalId};

    use super::*;

    fn goal(fixed: i64, rate: i32) -> Goal {
        let pay = Pay {
            fixed_micros: fixed,
            rate_ppm: rate,
        };
        let terms = Terms {
            commission: pay,
            revenue: Pay {
                fixed_micros: fixed * 2,
                rate_ppm: rate * 2,
            },
        };
        Goal {
            id: GoalId(1),
            campaign_id: CampaignId(1),
            version: 3,
            changed_at: "2026-01-01T00:00:00Z".parse().unwrap(),
            settings: GoalSettings::new("sale", "Sale", GoalKind::Sale, terms),
        }
    }

    fn rule(id: i32, conditions: Conditions, rate: i32) -> Rule {
        Rule {
            id: RuleId(id),
            version: 1,
            goal_id: GoalId(1),
            settings: RuleSettings {
                name: String::new(),
                position: id,
                conditions,
                commission_fixed_micros: 0,
                commission_rate_ppm: rate,
                revenue_fixed_micros: 0,
                revenue_rate_ppm: rate,
            },
            valid_from: "2026-01-01T00:00:00Z".parse().unwrap(),
            valid_to: None,
        }
    }

    fn occasion<'a>() -> Occasion<'a> {
        Occasion {
            at: "2026-11-21T00:00:00Z".parse().unwrap(),
            affiliate_id: AffiliateId(1),
            group_id: None,
            subs: [None; 5],
            country: Some("DE"),
            coupon: None,
            number_in_month: 5,
        }
    }

    fn eur() -> Currency {
        "EUR".parse().unwrap()
    }

    fn category(name: &str) -> Conditions {
        Conditions {
            category: Some(name.to_owned()),
            ..Conditions::default()
        }
    }

    fn basket(items: &[(&str, i64)]) -> Postback {
        let item = |(category, units): &(&str, i64)| Item {
            category: Some((*category).to_owned()),
            amount: Some(Amount {
                micros: units * 1_000_000,
            }),
            ..Item::default()
        };
        Postback {
            items: items.iter().map(item).collect(),
            ..Postback::default()
        }
    }

    #[test]
    fn the_first_rule_that_fits_pays() {
        let german = Conditions {
            country: Some("DE".into()),
            ..Conditions::default()
        };
        let rules = [
            rule(1, category("x"), 1),
            rule(2, german, 200_000),
            rule(3, Conditions::default(), 300_000),
        ];
        let pricing = Pricing::of(
            &goal(0, 100_000),
            rules.iter(),
            &occasion(),
            &Postback::default(),
            50_000_000,
        );
        assert_eq!(pricing.parts[0].rule, Some((RuleId(2), 1)));
        assert_eq!(pricing.pay(eur()), (10_000_000, 10_000_000));
        let none = Pricing::of(
            &goal(1_000_000, 100_000),
            [].iter(),
            &occasion(),
            &Postback::default(),
            50_000_000,
        );
        assert_eq!((none.pay(eur()), none.goal_version), ((6_000_000, 12_000_000), 3));
    }

    #[test]
    fn items_are_paid_by_the_rules_of_their_categories() {
        let rules = [rule(1, category("shoes"), 200_000)];
        let said = basket(&[("shoes", 30), ("hats", 10), ("Shoes", 20)]);
        let pricing = Pricing::of(&goal(0, 100_000), rules.iter(), &occasion(), &said, 70_000_000);
        let parts: Vec<_> = pricing
            .parts
            .iter()
            .map(|part| (part.amount, part.rule.is_some()))
            .collect();
        assert_eq!(
            parts,
            [(50_000_000, true), (20_000_000, false)],
            "the rest goes by the goal's own terms"
        );
        assert_eq!(pricing.pay(eur()).0, 10_000_000 + 2_000_000);
        let too_much = Pricing::of(&goal(0, 100_000), rules.iter(), &occasion(), &said, 40_000_000);
        assert_eq!(
            too_much.parts.len(),
            1,
            "items worth more than the order say nothing"
        );
    }

    #[test]
    fn what_the_advertiser_sends_counts_only_where_ours_is_zero_and_a_share_only_where_the_sum_is() {
        let said = |commission: Option<i64>, rate: Option<u32>| Postback {
            commission: commission.map(|micros| Amount { micros }),
            commission_rate_ppm: rate,
            ..Postback::default()
        };
        let paid = |goal: &Goal, said: &Postback| {
            let mut pricing = Pricing::of(goal, [].iter(), &occasion(), said, 50_000_000);
            pricing.take_sent(said);
            pricing.pay(eur()).0
        };
        assert_eq!(
            paid(&goal(0, 0), &said(Some(3_000_000), Some(500_000))),
            3_000_000
        );
        assert_eq!(paid(&goal(0, 0), &said(Some(0), Some(500_000))), 25_000_000);
        assert_eq!(paid(&goal(0, 0), &said(None, None)), 0);
        assert_eq!(paid(&goal(1_000_000, 0), &said(Some(3_000_000), None)), 1_000_000);
        assert_eq!(
            paid(&goal(0, 0), &said(None, Some(2_000_000))),
            0,
            "more than all of it is nonsense"
        );
    }

    proptest! {
        #[test]
        fn the_parts_always_add_up_to_the_amount(
            amounts in prop::collection::vec(0_i64..1_000_000_000, 1..6), changed in 0_i64..10_000_000_000,
        ) {
            let parts = amounts.iter().map(|amount| Part { amount: *amount, ..Part::default() }).collect();
            let pricing = Pricing { parts, ..Pricing::default() }.with_amount(changed);
            prop_assert_eq!(pricing.parts.iter().map(|part| part.amount).sum::<i64>(), changed);
            prop_assert!(pricing.parts.iter().all(|part| part.amount >= 0));
        }

        #[test]
        fn only_the_last_amount_counts(
            amounts in prop::collection::vec(0_i64..1_000_000_000, 1..6), between in 0_i64..1_000_000, last in 0_i64..10_000_000_000,
        ) {
            let parts = amounts.iter().map(|amount| Part { amount: *amount, ..Part::default() }).collect();
            let pricing = Pricing { parts, ..Pricing::default() };
            prop_assert_eq!(pricing.with_amount(between).with_amount(last), pricing.with_amount(last));
        }
    }
}
