//! The numbers of a row, and what each of them means.

use std::collections::BTreeMap;
use std::ops::AddAssign;

use schema::{Currency, Money};

/// Money of one currency.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sums {
    /// What affiliates earn, in micro-units.
    pub commission_micros: i64,
    /// What advertisers owe, in micro-units.
    pub revenue_micros: i64,
}

/// The numbers of a row. Money is summed per currency and never converted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Figures {
    /// Visits through tracking links.
    pub clicks: i64,
    /// Those of them that were the visitor's first of the day through this affiliate for this campaign.
    pub unique_clicks: i64,
    /// Those of them that are not valid ones.
    pub invalid_clicks: i64,
    /// Conversions waiting for a decision.
    pub pending: i64,
    /// Conversions that count.
    pub approved: i64,
    /// Conversions that were rejected; in no other number.
    pub rejected: i64,
    /// Money of pending and approved conversions, by currency.
    pub money: BTreeMap<Currency, Sums>,
}

impl Figures {
    /// Conversions that count or may yet count.
    #[must_use]
    pub fn conversions(&self) -> i64 {
        self.pending + self.approved
    }

    /// Conversions per click; none where there were no clicks.
    #[must_use]
    #[expect(
        clippy::cast_precision_loss,
        reason = "a rate for people, of counts far below 2^52"
    )]
    pub fn conversion_rate(&self) -> Option<f64> {
        (self.clicks > 0).then(|| self.conversions() as f64 / self.clicks as f64)
    }

    /// What affiliates earn, by currency; currencies without any are left out.
    #[must_use]
    pub fn commission(&self) -> Vec<Money> {
        self.sums(|sums| sums.commission_micros)
    }

    /// What advertisers owe, by currency; currencies without any are left out.
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
        for (currency, sums) in &other.money {
            let mine = self.money.entry(*currency).or_default();
            mine.commission_micros = mine.commission_micros.saturating_add(sums.commission_micros);
            mine.revenue_micros = mine.revenue_micros.saturating_add(sums.revenue_micros);
        }
    }
}

schema::text_enum! {
    /// A number that reports show.
    pub enum Metric {
        /// Visits through tracking links.
        Clicks = "clicks",
        /// The visitor's first of the day through this affiliate for this campaign.
        UniqueClicks = "unique_clicks",
        /// Clicks that are not valid ones.
        InvalidClicks = "invalid_clicks",
        /// Pending and approved conversions.
        Conversions = "conversions",
        /// Conversions per click.
        ConversionRate = "conversion_rate",
        /// Conversions waiting for a decision.
        Pending = "pending",
        /// Conversions that count.
        Approved = "approved",
        /// Conversions that were rejected, or taken back after they had counted.
        Rejected = "rejected",
        /// What affiliates earn.
        Commission = "commission",
        /// What advertisers owe.
        Revenue = "revenue",
    }
}

impl Metric {
    /// As pages and CSV headers name it.
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

    /// What it means: term, formula, time basis.
    #[must_use]
    pub fn definition(self) -> &'static str {
        match self {
            Self::Clicks => "Visits through tracking links, by the time of the visit.",
            Self::UniqueClicks => {
                "Clicks that were the visitor's first of the day through this affiliate for this campaign."
            }
            Self::InvalidClicks => {
                "Clicks by robots, from data centres or blocked addresses, fetched in advance or repeated; they are in Clicks too."
            }
            Self::Conversions => "Pending plus approved conversions, by the time of the conversion.",
            Self::ConversionRate => "Conversions divided by clicks of the same period.",
            Self::Pending => "Conversions waiting for a decision.",
            Self::Approved => "Conversions that count.",
            Self::Rejected => "Conversions that were rejected; they are in no other number.",
            Self::Commission => "What affiliates earn from pending and approved conversions, per currency.",
            Self::Revenue => "What advertisers owe for pending and approved conversions, per currency.",
        }
    }
}
