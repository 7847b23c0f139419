//! Metrics of a row and their definitions.

use std::collections::BTreeMap;
use std::ops::AddAssign;

use schema::{Currency, Money};

/// Money in one currency.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sums {
    /// Commission of the affiliates, in micro-units.
    pub commission_micros: i64,
    /// Revenue owed by the advertisers, in micro-units.
    pub revenue_micros: i64,
}

/// Metrics of a row. Money is summed per currency and never converted.
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
    /// Money of pending and approved conversions, by currency.
    pub money: BTreeMap<Currency, Sums>,
}

impl Figures {
    /// Returns the number of pending and approved conversions.
    #[must_use]
    pub fn conversions(&self) -> i64 {
        self.pending + self.approved
    }

    /// Returns conversions per click; none without clicks.
    #[must_use]
    #[expect(
        clippy::cast_precision_loss,
        reason = "a rate for people, of counts far below 2^52"
    )]
    pub fn conversion_rate(&self) -> Option<f64> {
        (self.clicks > 0).then(|| self.conversions() as f64 / self.clicks as f64)
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
}

impl AddAssign<&Figures> for Figures {
    fn add_assign(&mut self, other: &Figures) {
        self.clicks += other.clicks;
        self.unique_clicks += other.unique_clicks;
        self.invalid_clicks += other.invalid_clicks;
        self.pending += other.pending;
        self.approved += other.approved;
        self.rejected += other.rejected;
        for (currency, added) in &other.money {
            let sums = self.money.entry(*currency).or_default();
            sums.commission_micros = sums.commission_micros.saturating_add(added.commission_micros);
            sums.revenue_micros = sums.revenue_micros.saturating_add(added.revenue_micros);
        }
    }
}

schema::text_enum! {
    /// Metric of a report.
    pub enum Metric {
        /// Visits through tracking links.
        Clicks = "clicks",
        /// Clicks that were the visitor's first of the day through this affiliate for this campaign.
        UniqueClicks = "unique_clicks",
        /// Clicks that are not valid.
        InvalidClicks = "invalid_clicks",
        /// Pending and approved conversions.
        Conversions = "conversions",
        /// Conversions per click.
        ConversionRate = "conversion_rate",
        /// Pending conversions.
        Pending = "pending",
        /// Approved conversions.
        Approved = "approved",
        /// Rejected and reversed conversions.
        Rejected = "rejected",
        /// Commission of the affiliates.
        Commission = "commission",
        /// Revenue owed by the advertisers.
        Revenue = "revenue",
    }
}

impl Metric {
    /// Returns the label on pages.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Clicks => "Clicks",
            Self::UniqueClicks => "Unique clicks",
            Self::InvalidClicks => "Invalid clicks",
            Self::Conversions => "Conversions",
            Self::ConversionRate => "Conversion rate",
            Self::Pending => "Pending",
            Self::Approved => "Approved",
            Self::Rejected => "Rejected",
            Self::Commission => "Commission",
            Self::Revenue => "Revenue",
        }
    }

    /// Returns the definition: term, formula, time basis.
    #[must_use]
    pub fn definition(self) -> &'static str {
        match self {
            Self::Clicks => "Visits through tracking links, by the time of the visit.",
            Self::UniqueClicks => {
                "Clicks that were the visitor's first of the day through this affiliate for this campaign."
            }
            Self::InvalidClicks => {
                "Clicks by robots, from data centres or blocked addresses, prefetched or repeated. Also included in Clicks."
            }
            Self::Conversions => "Pending plus approved conversions, by the time of the conversion.",
            Self::ConversionRate => "Conversions divided by clicks of the same period.",
            Self::Pending => "Conversions waiting for a decision.",
            Self::Approved => "Approved conversions.",
            Self::Rejected => "Rejected and reversed conversions, included in no other metric.",
            Self::Commission => {
                "Commission of affiliates for pending and approved conversions, per currency."
            }
            Self::Revenue => {
                "Revenue owed by advertisers for pending and approved conversions, per currency."
            }
        }
    }
}
