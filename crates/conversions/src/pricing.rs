//! Pricing of a conversion: the terms that were in force for it, and the money that follows from them.
//!
//! The terms are fixed when the conversion is made and stored with it, so that every later statement is priced the same
//! way. Commission and revenue are computed exactly and rounded once, half to even, to the currency's minor unit.

use campaigns::rules::{Occasion, Rule};
use campaigns::terms::{Pay, Terms};
use chrono::{DateTime, Utc};
use schema::{Currency, Money, RuleId};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::basket::Line;
use crate::conversion::ReviewBecause;

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
    /// Its amount after refunds is above this limit, in micro-units of its currency.
    Above(i64),
    /// Any amount: its currency cannot be compared with the goal's limit.
    Any,
}

impl Review {
    /// True if an amount after refunds needs a review.
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

/// Terms of a conversion, stored with it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Pricing {
    /// Rates: the first for the whole order or the rest of its basket, the others for the categories that rules name.
    pub rates: Vec<Rate>,
    /// Version of the goal's terms.
    pub goal_version: i32,
    /// Number among the affiliate's paid conversions of the goal in the month; `None` if no rule has tiers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub number_in_month: Option<i64>,
    /// Reason for paying nothing; `None` if it pays.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unpaid: Option<Unpaid>,
    /// Review condition of the goal when the conversion was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub review: Option<Review>,
    /// True if it is approved unless someone decides otherwise; else it is pending until then.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub auto_approve: bool,
    /// End of the hold period, at which it is approved; `None` if it has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hold_until: Option<DateTime<Utc>>,
    /// True if a commission that the advertiser sends counts.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub takes_commission: bool,
    /// True if the sender of the report was not authenticated.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub is_unproven: bool,
}

/// Rate for the whole order, or for the items of a category.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rate {
    /// Category of the items; `None` for everything else.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub category: Option<String>,
    /// Rule and its version; `None` for the goal's terms.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub rule: Option<(RuleId, i32)>,
    /// Fixed micro-units and parts per million for the affiliate.
    pub commission: (i64, i32),
    /// Fixed micro-units and parts per million from the advertiser.
    pub revenue: (i64, i32),
    /// True if the advertiser sent the commission rate, because that of the rule was zero.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub is_sent: bool,
}

impl Rate {
    fn new(category: Option<&str>, terms: Terms, rule: Option<&Rule>) -> Self {
        let terms = rule.map_or(terms, Rule::terms);
        let flat = |pay: Pay| (pay.fixed_micros, pay.rate_ppm);
        Self {
            category: category.map(str::to_owned),
            rule: rule.map(|rule| (rule.id, rule.version)),
            commission: flat(terms.commission),
            revenue: flat(terms.revenue),
            is_sent: false,
        }
    }

    /// The rate as terms.
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

/// Part of an order that one rate pays.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part<'a> {
    /// Rate.
    pub rate: &'a Rate,
    /// Amount in micro-units.
    pub amount: i64,
}

impl Pricing {
    /// Terms of an order: for each category that rules name, and for everything else, those of the first rule that
    /// matches, or else the goal's `terms` of this version.
    #[must_use]
    pub fn of<'a>(
        terms: Terms,
        version: i32,
        rules: impl Iterator<Item = &'a Rule>,
        occasion: &Occasion<'_>,
    ) -> Self {
        let rules: Vec<&Rule> = rules.filter(|rule| rule.is_valid(occasion.at)).collect();
        let find = |category: Option<&str>| rules.iter().copied().find(|rule| rule.fits(occasion, category));
        let mut rates = vec![Rate::new(None, terms, find(None))];
        for rule in &rules {
            let Some(category) = rule.settings.conditions.category.as_deref() else {
                continue;
            };
            let is_new = !rates.iter().any(|rate| rate.is_for(category));
            if is_new && find(Some(category)).is_some() {
                rates.push(Rate::new(Some(category), terms, find(Some(category))));
            }
        }
        let has_tiers = rules
            .iter()
            .any(|rule| rule.settings.conditions.month_from.is_some());
        Self {
            rates,
            goal_version: version,
            number_in_month: has_tiers.then_some(occasion.number_in_month),
            ..Self::default()
        }
    }

    /// True if the items of a basket matter.
    #[must_use]
    pub fn has_categories(&self) -> bool {
        self.rates.len() > 1
    }

    /// JSON to store with the conversion.
    #[must_use]
    pub fn to_terms(&self) -> Value {
        #[expect(clippy::expect_used, reason = "numbers and words always serialize")]
        serde_json::to_value(self).expect("numbers and words serialize")
    }

    /// Lets a commission that the advertiser sends count, if the goal itself pays none. `rate` in parts per million takes
    /// the place of the goal's; a fixed sum is a separate statement.
    pub fn take_commission(&mut self, rate: Option<u32>) {
        self.takes_commission = self.rates.iter().all(|rate| rate.commission == (0, 0));
        let rate = rate
            .and_then(|rate| i32::try_from(rate).ok())
            .filter(|rate| (1..=1_000_000).contains(rate));
        let Some(sent) = rate.filter(|_| self.takes_commission) else {
            return;
        };
        for rate in &mut self.rates {
            rate.commission = (0, sent);
            rate.is_sent = true;
            // The advertiser owes at least the commission that it sent.
            if rate.revenue == (0, 0) {
                rate.revenue = rate.commission;
            }
        }
    }

    /// True if the terms from the advertiser are zero: it owes what it says that the affiliate earns.
    #[must_use]
    pub(crate) fn revenue_is_free(&self) -> bool {
        self.rates.iter().all(|rate| rate.revenue == (0, 0))
    }

    /// True if the advertiser sent the commission rate.
    #[must_use]
    pub(crate) fn has_sent_rate(&self) -> bool {
        self.rates.iter().any(|rate| rate.is_sent)
    }

    /// True if any rate pays a fixed sum in the campaign's currency.
    #[must_use]
    pub fn has_fixed_sum(&self) -> bool {
        self.rates.iter().any(|rate| rate.terms().have_fixed_sum())
    }

    /// Parts of an order by rate: of its lines, or of the whole amount if none are given.
    #[must_use]
    pub fn parts(&self, lines: Option<&[Line]>, amount: i64) -> Vec<Part<'_>> {
        let whole = [Line::rest(amount)];
        let mut parts: Vec<Part<'_>> = Vec::new();
        for line in lines.unwrap_or(&whole) {
            let Some(rate) = self.rate_of(line.category.as_deref()) else {
                continue;
            };
            // A fixed sum counts once per rule, however many items the rule pays.
            match parts.iter_mut().find(|part| part.rate.rule == rate.rule) {
                Some(part) => part.amount = part.amount.saturating_add(line.amount),
                None => parts.push(Part {
                    rate,
                    amount: line.amount,
                }),
            }
        }
        parts
    }

    fn rate_of(&self, category: Option<&str>) -> Option<&Rate> {
        let named = category.and_then(|category| self.rates.iter().find(|rate| rate.is_for(category)));
        named.or(self.rates.first())
    }

    /// Commission and revenue of these parts, in micro-units; each exact, and rounded once.
    #[must_use]
    pub fn pay(&self, parts: &[Part<'_>], currency: Currency) -> (i64, i64) {
        if self.unpaid.is_some() {
            return (0, 0);
        }
        let sum = |side: fn(&Rate) -> (i64, i32)| {
            let exact = parts.iter().fold(0_i128, |sum, part| {
                let (fixed, rate) = side(part.rate);
                sum + i128::from(fixed) * 1_000_000 + i128::from(part.amount) * i128::from(rate)
            });
            Money::rounded(exact, 1_000_000, currency).micros
        };
        (sum(|rate| rate.commission), sum(|rate| rate.revenue))
    }
}

impl Rate {
    fn is_for(&self, category: &str) -> bool {
        let own = self.category.as_deref();
        own.is_some_and(|own| own.eq_ignore_ascii_case(category))
    }
}

#[cfg(test)]
mod tests {
    use campaigns::rules::{Conditions, RuleSettings};
    use schema::{AffiliateId, GoalId};

    use super::*;
    use crate::basket::{self, Item};

    fn terms(fixed: i64, rate: i32) -> Terms {
        Terms {
            commission: Pay {
                fixed_micros: fixed,
                rate_ppm: rate,
            },
            revenue: Pay {
                fixed_micros: fixed * 2,
                rate_ppm: rate * 2,
            },
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

    fn category(name: &str) -> Conditions {
        Conditions {
            category: Some(name.to_owned()),
            ..Conditions::default()
        }
    }

    fn pay(pricing: &Pricing, lines: Option<&[Line]>, units: i64) -> (i64, i64) {
        pricing.pay(&pricing.parts(lines, units * 1_000_000), "EUR".parse().unwrap())
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
        let pricing = Pricing::of(terms(0, 100_000), 3, rules.iter(), &occasion());
        assert_eq!(pricing.rates[0].rule, Some((RuleId(2), 1)));
        assert_eq!(pay(&pricing, None, 50), (10_000_000, 10_000_000));
        let none = Pricing::of(terms(1_000_000, 100_000), 3, [].iter(), &occasion());
        assert_eq!(
            (pay(&none, None, 50), none.goal_version),
            ((6_000_000, 12_000_000), 3)
        );
    }

    #[test]
    fn items_are_paid_by_the_rules_of_their_categories_and_a_fixed_sum_once_per_rule() {
        let rules = [rule(1, category("shoes"), 200_000)];
        let pricing = Pricing::of(terms(1_000_000, 100_000), 1, rules.iter(), &occasion());
        let item = |category, units: i64| Item {
            category: Some(category),
            amount_micros: Some(units * 1_000_000),
        };
        let items = [
            item("shoes", 30),
            item("hats", 10),
            item("Shoes", 20),
            item("bags", 10),
        ];
        let lines = basket::lines(&items).unwrap();
        assert_eq!(
            pay(&pricing, Some(&lines), 70).0,
            10_000_000 + 1_000_000 + 2_000_000,
            "20 % of the shoes, and once 1.00 and 10 % of everything else"
        );
    }

    #[test]
    fn a_commission_rate_that_is_sent_counts_only_if_the_goal_pays_none() {
        let paid = |terms: Terms, rate: Option<u32>| {
            let mut pricing = Pricing::of(terms, 1, [].iter(), &occasion());
            pricing.take_commission(rate);
            (pricing.takes_commission, pay(&pricing, None, 50).0)
        };
        assert_eq!(paid(terms(0, 0), Some(500_000)), (true, 25_000_000));
        assert_eq!(paid(terms(0, 0), None), (true, 0));
        assert_eq!(paid(terms(1_000_000, 0), Some(500_000)), (false, 1_000_000));
        assert_eq!(paid(terms(0, 0), Some(2_000_000)), (true, 0), "above 100 %");
    }
}
