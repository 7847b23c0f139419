//! Metrics of a row and their definitions.

use std::collections::BTreeMap;
use std::ops::AddAssign;

use schema::{Currency, Money};

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

/// Numbers of postbacks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Postbacks {
    /// Postbacks that were received.
    pub received: i64,
    /// Rejected ones among them.
    pub rejected: i64,
    /// Ones among them that wait.
    pub held: i64,
}

impl AddAssign for Postbacks {
    fn add_assign(&mut self, other: Self) {
        self.received += other.received;
        self.rejected += other.rejected;
        self.held += other.held;
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
    /// Seconds from the click to each pending or approved conversion, in any order; empty if no metric asks for them.
    pub times: Vec<i32>,
    /// Seconds from the conversion or click before, likewise.
    pub step_times: Vec<i32>,
    /// In a row of one goal: conversions of the goal that it follows, or valid clicks; `None` for other rows.
    pub base_step: Option<i64>,
    /// Postbacks; zeros if no metric asks for them.
    pub postbacks: Postbacks,
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
    /// Seconds; `None` without an event.
    Duration(Option<i32>),
}

impl Value {
    /// Number by which rows are sorted: money of several currencies by its first.
    pub(crate) fn sort_key(&self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "an order for people")]
        match self {
            Self::Count(count) => *count as f64,
            Self::Ratio(ratio) => ratio.unwrap_or(-1.0),
            Self::Money(sums) => sums.first().map_or(0.0, |sum| sum.micros as f64),
            Self::Duration(seconds) => seconds.map_or(-1.0, f64::from),
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
    pub(crate) fn rate_clicks(&self) -> i64 {
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

    pub(crate) fn sums(&self, micros: impl Fn(&Sums) -> i64) -> Vec<Money> {
        // Sums are whole coins, but for those that are converted.
        let coins = |(currency, sums): (&Currency, &Sums)| Money::rounded(micros(sums).into(), 1, *currency);
        self.money
            .iter()
            .map(coins)
            .filter(|money| money.micros != 0)
            .collect()
    }

    /// Sum per event; none without events. Rounded to the nearest share of the currency's minor unit: to `parts` of it.
    pub(crate) fn per(
        &self,
        parts: i64,
        events: impl Fn(&Sums) -> i64,
        micros: impl Fn(&Sums) -> i64,
    ) -> Vec<Money> {
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

/// The smallest of some values that is at least as large as `share` hundredths of them; none without values.
pub(crate) fn quantile(values: &[i32], share: usize) -> Option<i32> {
    let rank = (values.len() * share).div_ceil(100).max(1) - 1;
    let mut values = values.to_vec();
    (rank < values.len()).then(|| *values.select_nth_unstable(rank).1)
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a rate for people, of counts far below 2^52"
)]
pub(crate) fn ratio(part: i64, whole: i64) -> Option<f64> {
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
        self.times.extend(&other.times);
        self.step_times.extend(&other.step_times);
        self.postbacks += other.postbacks;
    }
}
