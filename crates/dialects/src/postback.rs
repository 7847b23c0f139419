//! Canonical postback, independent of the dialect.

use std::fmt;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{Amount, Wish};

/// Maximum number of click IDs of a postback.
pub const CLICK_LIMIT: usize = 10;
/// Maximum number of line items.
pub const ITEM_LIMIT: usize = 100;

/// Canonical postback, independent of the dialect. An empty parameter counts as not sent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Postback {
    /// Click IDs exactly as sent, in order; at most [`CLICK_LIMIT`].
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub click_ids: Vec<String>,
    /// True if the parameter of the click ID was sent without a value.
    #[serde(skip_serializing_if = "is_default")]
    pub is_click_empty: bool,
    /// External ID of the affiliate, for attribution without a click id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub affiliate_key: Option<String>,
    /// Sender's ID of the campaign, advertiser, offer or conversion definition.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
    /// Code of the goal that was reached.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub goal: Option<String>,
    /// Code of the goal that must have been reached before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parent_goal: Option<String>,
    /// Order ID of the advertiser.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub order_id: Option<String>,
    /// Amount of the order, or amount to refund. `0` is an amount.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub amount: Option<Amount>,
    /// Discount of the order.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub discount: Option<Amount>,
    /// Amount of the order that is left after refunds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remaining: Option<Amount>,
    /// Currency of the amounts, as sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub currency: Option<String>,
    /// Commission of the affiliate, as sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub commission: Option<Amount>,
    /// Commission as a share of the amount, in parts per million: 12.5 % is 125 000.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub commission_rate_ppm: Option<u32>,
    /// Revenue from the advertiser, as sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revenue: Option<Amount>,
    /// Status, as sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// State that the status stands for in the dialect; `None` for an undocumented status.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<State>,
    /// Sales channel that the sender credits in place of an affiliate; `None` if it names none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub other_channel: Option<String>,
    /// Change that the postback requests.
    #[serde(skip_serializing_if = "is_default")]
    pub intent: Intent,
    /// Coupon code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub coupon: Option<String>,
    /// Country of the order, as sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub country: Option<String>,
    /// Customer ID of the advertiser.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub customer_id: Option<String>,
    /// New or returning customer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub customer_type: Option<CustomerType>,
    /// Time of the event by the sender's clock. A time that cannot be parsed is in `extra`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event_time: Option<DateTime<Utc>>,
    /// Id of the event or refund in the sender's system, by which it tells repetitions from new events.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event_id: Option<String>,
    /// Line items; at most [`ITEM_LIMIT`].
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub items: Vec<Item>,
    /// Sub IDs of the sender.
    #[serde(skip_serializing_if = "is_default")]
    pub subs: [Option<String>; 5],
    /// True if the sender marks the postback as a test.
    #[serde(skip_serializing_if = "is_default")]
    pub is_test: bool,
    /// Secret token, as sent. Must be removed before storage.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// Signature, as sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signature: Option<String>,
    /// Time that was signed, as sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timestamp: Option<String>,
    /// Personal data in the call (e-mail, name, address, browser) as parameter and value, so that the caller can redact
    /// the values wherever they occur. Never stored.
    #[serde(skip)]
    pub personal: Vec<(String, String)>,
    /// Other parameters, in the order sent.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub extra: Vec<(String, String)>,
    /// Response body that the sender requests.
    #[serde(skip_serializing_if = "is_default")]
    pub wish: Wish,
    /// True if the amounts were sent in the minor unit of a currency that was not named, and read as hundredths:
    /// [`Self::with_decimals`] reads them in the currency that the receiver assumes.
    #[serde(skip_serializing_if = "is_default")]
    pub is_in_hundredths: bool,
    /// True if an amount was sent with more decimals than a micro-unit and rounded.
    #[serde(skip_serializing_if = "is_default")]
    pub is_rounded: bool,
    /// True if the postback came to our own endpoint for browsers, where everything sent is public. The pixel endpoints
    /// of other systems count as those systems' own.
    #[serde(skip_serializing_if = "is_default")]
    pub is_from_browser: bool,
}

impl Postback {
    /// The same postback in a currency with this number of decimals, if its amounts were sent in the minor unit of a
    /// currency that was not named.
    pub fn with_decimals(&mut self, decimals: usize) {
        if !std::mem::take(&mut self.is_in_hundredths) {
            return;
        }
        let power = |exponent: usize| 10_i64.saturating_pow(u32::try_from(exponent).unwrap_or(u32::MAX));
        let (up, down) = (
            power(2_usize.saturating_sub(decimals)),
            power(decimals.saturating_sub(2)),
        );
        let items = self.items.iter_mut().map(|item| &mut item.amount);
        let sums = [
            &mut self.amount,
            &mut self.discount,
            &mut self.remaining,
            &mut self.commission,
            &mut self.revenue,
        ];
        for amount in sums.into_iter().chain(items).flatten() {
            amount.micros = amount.micros.saturating_mul(up) / down;
        }
    }
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// A line item.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Item {
    /// Article number of the shop.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sku: Option<String>,
    /// Category; commission rules can depend on the category.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub category: Option<String>,
    /// Name of the article.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Number of pieces.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quantity: Option<u32>,
    /// Amount of the whole line: all pieces together, in every dialect. Negative for a discount.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub amount: Option<Amount>,
}

/// State of a conversion.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Counts, but is not yet approved.
    Pending,
    /// Waits for a manual review.
    Held,
    /// Counts and is owed.
    Approved,
    /// Does not count.
    Rejected,
}

impl State {
    /// Name in our own dialect.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Held => "held",
            Self::Approved => "approved",
            Self::Rejected => "rejected",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

/// Change that a postback requests.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Intent {
    /// Creates a conversion.
    #[default]
    Report,
    /// Changes an existing conversion.
    Update,
    /// Changes a conversion, or creates one.
    Upsert,
    /// Refunds `amount` of an existing conversion, or all of it without an amount.
    Refund,
}

/// New or returning customer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CustomerType {
    /// First order of the customer.
    New,
    /// Later order of the customer.
    Existing,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hundredths_are_read_in_the_currency_that_is_assumed() {
        for (decimals, micros) in [(0, 5_000_000_000), (2, 50_000_000), (3, 5_000_000), (4, 500_000)] {
            let mut postback = Postback {
                amount: Some(Amount { micros: 50_000_000 }),
                is_in_hundredths: true,
                ..Postback::default()
            };
            postback.with_decimals(decimals);
            assert_eq!(
                postback.amount,
                Some(Amount { micros }),
                "5000 with {decimals} decimals"
            );
            postback.with_decimals(decimals);
            assert_eq!(postback.amount, Some(Amount { micros }), "once");
        }
    }
}
