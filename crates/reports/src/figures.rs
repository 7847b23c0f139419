//! Metrics of a row and their definitions.

use std::collections::BTreeMap;
use std::ops::{AddAssign, SubAssign};

use schema::{Currency, Money};
use tenancy::{Actor, Permission};

/// Pending and approved conversions in one currency, and their money.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sums {
    /// Conversions.
    pub conversions: i64,
    /// Order amounts, in micro-units.
    pub amount_micros: i64,
    /// Commission of the affiliates, in micro-units.
    pub commission_micros: i64,
    /// Revenue owed by the advertisers, in micro-units.
    pub revenue_micros: i64,
}

impl AddAssign for Sums {
    fn add_assign(&mut self, other: Self) {
        self.conversions += other.conversions;
        self.amount_micros = self.amount_micros.saturating_add(other.amount_micros);
        self.commission_micros = self.commission_micros.saturating_add(other.commission_micros);
        self.revenue_micros = self.revenue_micros.saturating_add(other.revenue_micros);
    }
}

/// Counts and sums of a row. Money is summed per currency and never converted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Figures {
    /// Visits through tracking links.
    pub clicks: i64,
    /// Clicks that were the visitor's first of the day through this affiliate for this campaign.
    pub unique_clicks: i64,
    /// Clicks that are not valid.
    pub invalid_clicks: i64,
    /// Pending conversions.
    pub pending: i64,
    /// Approved conversions.
    pub approved: i64,
    /// Rejected and reversed conversions, which are in no other metric.
    pub rejected: i64,
    /// Valid clicks that rates divide by, in a row by what clicks lack, such as the goal: those with its other keys.
    /// `None` for the valid clicks of the row.
    pub base_clicks: Option<i64>,
    /// Pending and approved conversions of goals that follow another goal. A chain counts once in rates: by its first goal.
    pub later_steps: i64,
    /// True for a row of one goal, whose rate counts every conversion of the goal.
    pub is_of_one_goal: bool,
    /// Pending and approved conversions, by currency.
    pub money: BTreeMap<Currency, Sums>,
}

/// Value of a metric.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Number of events.
    Count(i64),
    /// Share of one count in another; `None` if the other is zero.
    Ratio(Option<f64>),
    /// Money per currency, without currencies whose sum is zero.
    Money(Vec<Money>),
}

impl Value {
    /// Number by which rows are sorted: money of several currencies by its first.
    pub(crate) fn sort_key(&self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "an order for people")]
        match self {
            Self::Count(count) => *count as f64,
            Self::Ratio(ratio) => ratio.unwrap_or(-1.0),
            Self::Money(sums) => sums.first().map_or(0.0, |sum| sum.micros as f64),
        }
    }
}

impl Figures {
    /// Returns the number of pending and approved conversions.
    #[must_use]
    pub fn conversions(&self) -> i64 {
        self.pending + self.approved
    }

    /// Returns the number of valid clicks.
    #[must_use]
    pub fn valid_clicks(&self) -> i64 {
        self.clicks - self.invalid_clicks
    }

    /// Returns the number of clicks that rates divide by.
    fn rate_clicks(&self) -> i64 {
        self.base_clicks.unwrap_or_else(|| self.valid_clicks())
    }

    /// Returns conversions per valid click; none without valid clicks. Of a chain of goals, the first counts.
    #[must_use]
    pub fn conversion_rate(&self) -> Option<f64> {
        let later = if self.is_of_one_goal { 0 } else { self.later_steps };
        ratio(self.conversions() - later, self.rate_clicks())
    }

    /// Returns the commission by currency, without currencies whose sum is zero.
    #[must_use]
    pub fn commission(&self) -> Vec<Money> {
        self.sums(|sums| sums.commission_micros)
    }

    /// Returns the revenue by currency, without currencies whose sum is zero.
    #[must_use]
    pub fn revenue(&self) -> Vec<Money> {
        self.sums(|sums| sums.revenue_micros)
    }

    fn sums(&self, micros: impl Fn(&Sums) -> i64) -> Vec<Money> {
        self.money
            .iter()
            .map(|(currency, sums)| Money {
                micros: micros(sums),
                currency: *currency,
            })
            .filter(|money| money.micros != 0)
            .collect()
    }

    /// Sum per event; none without events. Rounded to the nearest share of the currency's minor unit: to `parts` of it.
    fn per(&self, parts: i64, events: impl Fn(&Sums) -> i64, micros: impl Fn(&Sums) -> i64) -> Vec<Money> {
        let averages = self.money.iter().filter(|(_, sums)| events(sums) > 0);
        let averages = averages.map(|(currency, sums)| {
            let step = (currency.minor_unit() / parts).max(1);
            let (sum, whole) = (
                i128::from(micros(sums)),
                i128::from(events(sums)) * i128::from(step),
            );
            let rounded = (2 * sum + whole * sum.signum()) / (2 * whole) * i128::from(step);
            Money {
                micros: i64::try_from(rounded).unwrap_or(i64::MAX),
                currency: *currency,
            }
        });
        averages.filter(|money| money.micros != 0).collect()
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a rate for people, of counts far below 2^52"
)]
fn ratio(part: i64, whole: i64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

impl AddAssign<&Figures> for Figures {
    fn add_assign(&mut self, other: &Figures) {
        self.clicks += other.clicks;
        self.unique_clicks += other.unique_clicks;
        self.invalid_clicks += other.invalid_clicks;
        self.pending += other.pending;
        self.approved += other.approved;
        self.rejected += other.rejected;
        self.later_steps += other.later_steps;
        for (currency, added) in &other.money {
            *self.money.entry(*currency).or_default() += *added;
        }
    }
}

impl SubAssign<&Figures> for Figures {
    fn sub_assign(&mut self, other: &Figures) {
        self.clicks -= other.clicks;
        self.unique_clicks -= other.unique_clicks;
        self.invalid_clicks -= other.invalid_clicks;
        self.pending -= other.pending;
        self.approved -= other.approved;
        self.rejected -= other.rejected;
        self.later_steps -= other.later_steps;
        for (currency, taken) in &other.money {
            let sums = self.money.entry(*currency).or_default();
            sums.conversions -= taken.conversions;
            sums.amount_micros = sums.amount_micros.saturating_sub(taken.amount_micros);
            sums.commission_micros = sums.commission_micros.saturating_sub(taken.commission_micros);
            sums.revenue_micros = sums.revenue_micros.saturating_sub(taken.revenue_micros);
        }
    }
}

schema::text_enum! {
    /// Metric of a report.
    pub enum Metric {
        /// Visits through tracking links.
        Clicks = "clicks",
        /// Clicks that are valid.
        ValidClicks = "valid_clicks",
        /// Clicks that were the visitor's first of the day through this affiliate for this campaign.
        UniqueClicks = "unique_clicks",
        /// Clicks that are not valid.
        InvalidClicks = "invalid_clicks",
        /// Pending and approved conversions.
        Conversions = "conversions",
        /// Conversions per valid click; of a chain of goals, the first counts.
        ConversionRate = "conversion_rate",
        /// Pending conversions.
        Pending = "pending",
        /// Approved conversions.
        Approved = "approved",
        /// Rejected and reversed conversions.
        Rejected = "rejected",
        /// Approved conversions among those that are decided.
        ApprovalRate = "approval_rate",
        /// Order amounts.
        Amount = "amount",
        /// Order amount per conversion.
        AverageOrder = "average_order",
        /// Commission of the affiliates.
        Commission = "commission",
        /// Commission per valid click.
        EarningsPerClick = "earnings_per_click",
        /// Revenue owed by the advertisers.
        Revenue = "revenue",
        /// Revenue per valid click.
        RevenuePerClick = "revenue_per_click",
        /// Revenue less commission.
        Margin = "margin",
    }
}

impl Metric {
    /// Metrics that a report shows if none are chosen.
    pub const USUAL: [Self; 12] = [
        Self::Clicks,
        Self::UniqueClicks,
        Self::InvalidClicks,
        Self::Conversions,
        Self::ConversionRate,
        Self::Pending,
        Self::Approved,
        Self::Rejected,
        Self::Commission,
        Self::EarningsPerClick,
        Self::Revenue,
        Self::Margin,
    ];

    /// Label on pages.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Clicks => "Clicks",
            Self::ValidClicks => "Valid clicks",
            Self::UniqueClicks => "Unique clicks",
            Self::InvalidClicks => "Invalid clicks",
            Self::Conversions => "Conversions",
            Self::ConversionRate => "Conversion rate",
            Self::Pending => "Pending",
            Self::Approved => "Approved",
            Self::Rejected => "Rejected",
            Self::ApprovalRate => "Approval rate",
            Self::Amount => "Order amount",
            Self::AverageOrder => "Average order",
            Self::Commission => "Commission",
            Self::EarningsPerClick => "EPC",
            Self::Revenue => "Revenue",
            Self::RevenuePerClick => "Revenue per click",
            Self::Margin => "Margin",
        }
    }

    /// Definition: term, formula, time basis.
    #[must_use]
    pub fn definition(self) -> &'static str {
        match self {
            Self::Clicks => {
                "Visits through tracking links, by the time of the visit. Clicks of test links are in no figure."
            }
            Self::ValidClicks => "Clicks less invalid clicks.",
            Self::UniqueClicks => {
                "Valid clicks that were the visitor's first of the day through this affiliate for this campaign."
            }
            Self::InvalidClicks => {
                "Clicks by robots, from data centres or blocked addresses, prefetched or repeated. Also included in Clicks."
            }
            Self::Conversions => "Pending plus approved conversions, of all goals.",
            Self::ConversionRate => {
                "Conversions divided by valid clicks of the same period; of goals that follow each other, the first counts. In rows by goal, coupon or another property that clicks lack, by the valid clicks of the other dimensions: the rate of each goal."
            }
            Self::Pending => "Conversions waiting for a decision.",
            Self::Approved => "Approved conversions.",
            Self::Rejected => {
                "Rejected and reversed conversions, included in no other metric but the approval rate."
            }
            Self::ApprovalRate => "Approved conversions divided by approved, rejected and reversed ones.",
            Self::Amount => "Order amounts after refunds of pending and approved conversions, per currency.",
            Self::AverageOrder => "Order amount divided by pending and approved conversions, per currency.",
            Self::Commission => {
                "Commission of affiliates for pending and approved conversions, per currency."
            }
            Self::EarningsPerClick => "Commission divided by valid clicks, per currency.",
            Self::Revenue => {
                "Revenue owed by advertisers for pending and approved conversions, per currency."
            }
            Self::RevenuePerClick => "Revenue divided by valid clicks, per currency.",
            Self::Margin => "Revenue less commission, per currency.",
        }
    }

    /// Unit of the value: `count`, `ratio` or `money`.
    #[must_use]
    pub fn unit(self) -> &'static str {
        match Figures::default().value(self) {
            Value::Count(_) => "count",
            Value::Ratio(_) => "ratio",
            Value::Money(_) => "money",
        }
    }

    /// True if an actor sees it.
    #[must_use]
    pub fn is_visible_to(self, actor: &Actor) -> bool {
        self.permissions().iter().all(|needed| actor.may(*needed))
    }

    /// Permissions that it needs, besides that of reports.
    fn permissions(self) -> &'static [Permission] {
        match self {
            Self::Commission | Self::EarningsPerClick => &[Permission::SeeCommission],
            Self::Revenue | Self::RevenuePerClick => &[Permission::SeeRevenue],
            Self::Margin => &[Permission::SeeCommission, Permission::SeeRevenue],
            _ => &[],
        }
    }
}

impl Figures {
    /// Value of a metric.
    #[must_use]
    pub fn value(&self, metric: Metric) -> Value {
        let per_click = self.rate_clicks();
        match metric {
            Metric::Clicks => Value::Count(self.clicks),
            Metric::ValidClicks => Value::Count(self.valid_clicks()),
            Metric::UniqueClicks => Value::Count(self.unique_clicks),
            Metric::InvalidClicks => Value::Count(self.invalid_clicks),
            Metric::Conversions => Value::Count(self.conversions()),
            Metric::ConversionRate => Value::Ratio(self.conversion_rate()),
            Metric::Pending => Value::Count(self.pending),
            Metric::Approved => Value::Count(self.approved),
            Metric::Rejected => Value::Count(self.rejected),
            Metric::ApprovalRate => Value::Ratio(ratio(self.approved, self.approved + self.rejected)),
            Metric::Amount => Value::Money(self.sums(|sums| sums.amount_micros)),
            Metric::AverageOrder => {
                Value::Money(self.per(1, |sums| sums.conversions, |sums| sums.amount_micros))
            }
            Metric::Commission => Value::Money(self.commission()),
            Metric::EarningsPerClick => {
                Value::Money(self.per(100, |_| per_click, |sums| sums.commission_micros))
            }
            Metric::Revenue => Value::Money(self.revenue()),
            Metric::RevenuePerClick => Value::Money(self.per(100, |_| per_click, |sums| sums.revenue_micros)),
            Metric::Margin => {
                Value::Money(self.sums(|sums| sums.revenue_micros.saturating_sub(sums.commission_micros)))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_and_averages_follow_their_formulas() {
        let mut figures = Figures {
            clicks: 12,
            invalid_clicks: 2,
            pending: 1,
            approved: 3,
            rejected: 1,
            ..Figures::default()
        };
        let eur: Currency = "EUR".parse().unwrap();
        let sums = Sums {
            conversions: 4,
            amount_micros: 100_000_001,
            commission_micros: 10_000_000,
            revenue_micros: 15_000_000,
        };
        figures.money.insert(eur, sums);
        let money = |metric| match figures.value(metric) {
            Value::Money(sums) => sums.iter().map(|sum| sum.micros).collect::<Vec<_>>(),
            _ => Vec::new(),
        };
        assert_eq!(figures.value(Metric::ConversionRate), Value::Ratio(Some(0.4)));
        assert_eq!(figures.value(Metric::ApprovalRate), Value::Ratio(Some(0.75)));
        assert_eq!(money(Metric::AverageOrder), [25_000_000]);
        assert_eq!(money(Metric::EarningsPerClick), [1_000_000]);
        assert_eq!(money(Metric::Margin), [5_000_000]);
        assert_eq!(
            Figures::default().value(Metric::ConversionRate),
            Value::Ratio(None)
        );
        assert_eq!(
            (
                Metric::Clicks.unit(),
                Metric::ApprovalRate.unit(),
                Metric::Margin.unit()
            ),
            ("count", "ratio", "money")
        );
    }
}
