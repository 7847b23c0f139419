//! What a postback says, whatever spelling it came in.

use std::fmt;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{Amount, Wish};

/// Most clicks one postback may name.
pub const CLICK_LIMIT: usize = 10;
/// Most items of a basket.
pub const ITEM_LIMIT: usize = 100;

/// What a postback says, whatever spelling it came in. A parameter that was sent empty counts as not sent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Postback {
    /// The clicks it may belong to, exactly as sent and in that order; at most [`CLICK_LIMIT`].
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub click_ids: Vec<String>,
    /// The affiliate by its own key, for attribution without a click id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub affiliate_key: Option<String>,
    /// The sender's id of the campaign, advertiser, offer or conversion definition.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
    /// Code of the goal reached.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub goal: Option<String>,
    /// Code of the goal that must have been reached before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parent_goal: Option<String>,
    /// The advertiser's order id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub order_id: Option<String>,
    /// The order's amount, or what a refund takes back. `0` is an amount.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub amount: Option<Amount>,
    /// The order's discount.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub discount: Option<Amount>,
    /// Currency of the amounts, as sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub currency: Option<String>,
    /// What the sender says the affiliate earns.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub commission: Option<Amount>,
    /// The same as a share of the amount, in parts per million: 12.5 % is 125 000.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub commission_rate_ppm: Option<u32>,
    /// What the sender says the advertiser owes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revenue: Option<Amount>,
    /// The state, as sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// What the dialect makes of the status; `None` where it knows no such status.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<State>,
    /// What is to be done.
    #[serde(skip_serializing_if = "is_default")]
    pub intent: Intent,
    /// The coupon used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub coupon: Option<String>,
    /// Where the order was placed, as sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub country: Option<String>,
    /// The advertiser's id of its customer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub customer_id: Option<String>,
    /// Whether the customer bought before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub customer_type: Option<CustomerType>,
    /// When it happened, by the sender's clock. A time that cannot be read stands in `extra`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event_time: Option<DateTime<Utc>>,
    /// The basket; at most [`ITEM_LIMIT`].
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub items: Vec<Item>,
    /// The sender's own sub ids.
    #[serde(skip_serializing_if = "is_default")]
    pub subs: [Option<String>; 5],
    /// Whether the sender calls it a test.
    #[serde(skip_serializing_if = "is_default")]
    pub is_test: bool,
    /// The sender's secret, as sent: whoever stores this takes it out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// The signature, as sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signature: Option<String>,
    /// The time that was signed, as sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timestamp: Option<String>,
    /// What the call says of a person (e-mail, name, address, browser): parameter and value, so that the caller can
    /// blank them wherever they stand. Never stored.
    #[serde(skip)]
    pub personal: Vec<(String, String)>,
    /// Everything else, in the order it came.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub extra: Vec<(String, String)>,
    /// What body the sender wants.
    #[serde(skip_serializing_if = "is_default")]
    pub wish: Wish,
    /// Whether it came to our own address for browsers, where whatever is sent is for everybody to read. The pixels of
    /// other systems are taken as those take them.
    #[serde(skip_serializing_if = "is_default")]
    pub is_from_browser: bool,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// One line of a basket.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Item {
    /// The shop's article number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sku: Option<String>,
    /// The category, which may decide the commission.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub category: Option<String>,
    /// What it is called.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// How many pieces.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quantity: Option<u32>,
    /// The whole line's amount: all its pieces together, whatever the dialect sends.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub amount: Option<Amount>,
}

/// The state a conversion is to be in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// It counts, and somebody has yet to approve it.
    Pending,
    /// It is put aside for somebody to look at.
    Held,
    /// It counts and is owed.
    Approved,
    /// It does not count.
    Rejected,
}

impl State {
    /// Its name in our own spelling.
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

/// What a postback wants done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Intent {
    /// Makes a conversion.
    #[default]
    Report,
    /// Changes a conversion that exists, and makes none.
    Update,
    /// Changes a conversion, or makes it.
    Upsert,
    /// Takes `amount` back from a conversion that exists; the whole of it where no amount is given.
    Refund,
}

/// Whether a customer bought before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CustomerType {
    /// The first order.
    New,
    /// Not the first one.
    Existing,
}
