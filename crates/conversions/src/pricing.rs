//! Pricing of a conversion: the goal's terms or those of the first matching rule, for the whole order or for each part of
//! the basket. Stored with all inputs, so that a changed amount is priced the same way.

use campaigns::goals::Goal;
use campaigns::rules::{Occasion, Rule};
use campaigns::terms::{Pay, Terms};
use schema::{Currency, Money, RuleId};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::conversion::{Conversion, ReviewBecause};

/// Reason for paying nothing for a conversion that counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unpaid {
    /// A cap of the campaign is reached.
    CapReached,
    /// The click did not match the targeting of the campaign.
    NotTargeted,
}

impl Unpaid {
    /// Word in the database.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::CapReached => "cap_reached",
            Self::NotTargeted => "not_targeted",
        }
    }
}

/// Condition under which a conversion needs a manual review before it is approved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Review {
    /// Its amount is above this limit, in micro-units of its currency.
    Above(i64),
    /// Any amount: its currency cannot be compared with the goal's limit.
    Any,
}

impl Review {
    /// True if an amount needs a review.
    #[must_use]
    pub fn applies_to(self, amount: Option<i64>) -> bool {
        let most = match self {
            Self::Above(most) => most,
            Self::Any => 0,
        };
        amount.is_some_and(|amount| amount > most)
    }

    /// Reason to store.
    #[must_use]
    pub fn because(self) -> ReviewBecause {
        match self {
            Self::Above(_) => ReviewBecause::Amount,
            Self::Any => ReviewBecause::Currency,
        }
    }
}

/// Computation of the money of a conversion.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Pricing {
    /// Parts of the order that different rules pay; one if no rule distinguishes items.
    pub parts: Vec<Part>,
    /// Version of the goal's terms.
    pub goal_version: i32,
    /// Number of the conversion among the affiliate's of this goal and month; `None` if no rule has tiers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub number_in_month: Option<i64>,
    /// Reason for paying nothing; `None` if it pays.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unpaid: Option<Unpaid>,
    /// Review condition of the goal when the conversion was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub review: Option<Review>,
}

/// Part of an order that one rule pays.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// Share of the amount, in micro-units.
    pub amount: i64,
    /// Share of the amount that the conversion was made with, by which changed amounts are divided.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub first: Option<i64>,
    /// Rule and its version; `None` for the goal's terms.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub rule: Option<(RuleId, i32)>,
    /// Fixed micro-units and parts per million for the affiliate.
    pub commission: (i64, i32),
    /// Fixed micro-units and parts per million from the advertiser.
    pub revenue: (i64, i32),
    /// True if the advertiser sent the commission, because that of the rule was zero.
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

    /// Terms that pay it.
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
    /// Pricing of an order by the first matching rule; part by part if a rule names categories and the items add up to no
    /// more than the order. `items` are categories and amounts in micro-units.
    #[must_use]
    pub fn of<'a>(
        goal: &Goal,
        rules: impl Iterator<Item = &'a Rule>,
        occasion: &Occasion<'_>,
        items: &[Item<'_>],
        amount: i64,
    ) -> Self {
        let rules: Vec<&Rule> = rules.collect();
        let find = |category: Option<&str>| rules.iter().copied().find(|rule| rule.fits(occasion, category));
        let by_category = rules
            .iter()
            .any(|rule| rule.settings.conditions.category.is_some());
        let items = item_sums(items, amount).filter(|_| by_category);
        let mut parts: Vec<Part> = Vec::new();
        let mut add = |amount: i64, rule: Option<&Rule>| {
            let id = rule.map(|rule| (rule.id, rule.version));
            match parts.iter_mut().find(|part| part.rule == id) {
                // A fixed sum counts once per rule, however many items the rule pays.
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
        let has_tiers = rules
            .iter()
            .any(|rule| rule.settings.conditions.month_from.is_some());
        Self {
            parts,
            goal_version: goal.version,
            number_in_month: has_tiers.then_some(occasion.number_in_month),
            unpaid: None,
            review: None,
        }
    }

    /// Pricing of a conversion older than stored pricings: its sums, as fixed sums.
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

    /// JSON to store with the conversion.
    #[must_use]
    pub fn to_terms(&self) -> Value {
        #[expect(clippy::expect_used, reason = "numbers and words always serialize")]
        serde_json::to_value(self).expect("numbers and words serialize")
    }

    /// Replaces the commission by one that the advertiser sent, if the commission of every part is zero: `fixed` in
    /// micro-units, or else `rate` in parts per million.
    pub fn apply_advertiser_commission(&mut self, fixed: Option<i64>, rate: Option<u32>) {
        let is_zero = self.parts.iter().all(|part| part.commission == (0, 0));
        let fixed = fixed.filter(|micros| *micros > 0);
        let rate = rate
            .and_then(|rate| i32::try_from(rate).ok())
            .filter(|rate| (1..=1_000_000).contains(rate));
        // A rate counts only if the fixed sum is zero.
        let sent = match (fixed, rate) {
            (Some(fixed), _) => (fixed, 0),
            (None, Some(rate)) => (0, rate),
            (None, None) => return,
        };
        if !is_zero {
            return;
        }
        for (at, part) in self.parts.iter_mut().enumerate() {
            // A fixed sum pays the whole order.
            part.commission = if at == 0 { sent } else { (0, sent.1) };
            part.sent = true;
            // The advertiser owes at least the commission that it sent.
            if part.revenue == (0, 0) {
                part.revenue = part.commission;
            }
        }
    }

    /// True if any part pays a fixed sum in the campaign's currency.
    #[must_use]
    pub fn has_fixed_sum(&self) -> bool {
        let is_fixed = |part: &Part| {
            if part.sent {
                // A commission that the advertiser sent is in the currency of the order.
                part.revenue.0 > 0 && part.revenue != part.commission
            } else {
                part.terms().have_fixed_sum()
            }
        };
        self.parts.iter().any(is_fixed)
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

    /// The same pricing of another amount: each part keeps its share.
    #[must_use]
    pub fn with_amount(&self, amount: i64) -> Self {
        let mut changed = self.clone();
        // Divided by the first amount, not the last: so the order of changes does not matter.
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

/// Category and amount in micro-units of an item.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Item<'a> {
    /// Category; `None` if none was sent.
    pub category: Option<&'a str>,
    /// Amount in micro-units; `None` if none was sent.
    pub amount_micros: Option<i64>,
}

/// Category and amount in micro-units.
type CategorySum<'a> = (Option<&'a str>, i64);

/// Categories with the amounts of their items, and the rest of the order; `None` if an item has no amount, or if the
/// items add up to more than the order.
fn item_sums<'a>(items: &[Item<'a>], amount: i64) -> Option<(Vec<CategorySum<'a>>, i64)> {
    let sums: Option<Vec<_>> = items
        .iter()
        .map(|item| Some((item.category, item.amount_micros?)))
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

    fn basket<'a>(items: &[(&'a str, i64)]) -> Vec<Item<'a>> {
        let item = |(category, units): &(&'a str, i64)| Item {
            category: Some(*category),
            amount_micros: Some(units * 1_000_000),
        };
        items.iter().map(item).collect()
    }

    #[test]
    fn the_first_matching_rule_pays() {
        let german = Conditions {
            country: Some("DE".into()),
            ..Conditions::default()
        };
        let rules = [
            rule(1, category("x"), 1),
            rule(2, german, 200_000),
            rule(3, Conditions::default(), 300_000),
        ];
        let pricing = Pricing::of(&goal(0, 100_000), rules.iter(), &occasion(), &[], 50_000_000);
        assert_eq!(pricing.parts[0].rule, Some((RuleId(2), 1)));
        assert_eq!(pricing.pay(eur()), (10_000_000, 10_000_000));
        let none = Pricing::of(&goal(1_000_000, 100_000), [].iter(), &occasion(), &[], 50_000_000);
        assert_eq!((none.pay(eur()), none.goal_version), ((6_000_000, 12_000_000), 3));
    }

    #[test]
    fn items_are_paid_by_the_rules_of_their_categories() {
        let rules = [rule(1, category("shoes"), 200_000)];
        let items = basket(&[("shoes", 30), ("hats", 10), ("Shoes", 20)]);
        let pricing = Pricing::of(&goal(0, 100_000), rules.iter(), &occasion(), &items, 70_000_000);
        let parts: Vec<_> = pricing
            .parts
            .iter()
            .map(|part| (part.amount, part.rule.is_some()))
            .collect();
        assert_eq!(
            parts,
            [(50_000_000, true), (20_000_000, false)],
            "the goal's terms pay the rest"
        );
        assert_eq!(pricing.pay(eur()).0, 10_000_000 + 2_000_000);
        let too_much = Pricing::of(&goal(0, 100_000), rules.iter(), &occasion(), &items, 40_000_000);
        assert_eq!(
            too_much.parts.len(),
            1,
            "items worth more than the order are ignored"
        );
    }

    #[test]
    fn an_advertisers_commission_counts_only_if_the_goal_pays_none_and_a_rate_only_without_a_fixed_sum() {
        let paid = |goal: &Goal, fixed: Option<i64>, rate: Option<u32>| {
            let mut pricing = Pricing::of(goal, [].iter(), &occasion(), &[], 50_000_000);
            pricing.apply_advertiser_commission(fixed, rate);
            pricing.pay(eur()).0
        };
        assert_eq!(paid(&goal(0, 0), Some(3_000_000), Some(500_000)), 3_000_000);
        assert_eq!(paid(&goal(0, 0), Some(0), Some(500_000)), 25_000_000);
        assert_eq!(paid(&goal(0, 0), None, None), 0);
        assert_eq!(paid(&goal(1_000_000, 0), Some(3_000_000), None), 1_000_000);
        assert_eq!(
            paid(&goal(0, 0), None, Some(2_000_000)),
            0,
            "a rate above 100 % is ignored"
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
