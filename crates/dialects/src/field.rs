//! Canonical fields that parameters can stand for.

use crate::{Amount, Postback};

/// Meaning of a parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Field {
    /// Click ID.
    ClickId,
    /// External ID of the affiliate.
    AffiliateKey,
    /// Sender's ID of the campaign, advertiser, offer or conversion definition.
    Reference,
    /// Goal that was reached.
    Goal,
    /// Goal that must have been reached before.
    ParentGoal,
    /// Order ID.
    OrderId,
    /// Amount of the order.
    Amount,
    /// Discount of the order.
    Discount,
    /// Amount of the order that is left after refunds.
    Remaining,
    /// Currency of the amounts.
    Currency,
    /// Commission of the affiliate.
    Commission,
    /// Commission of the affiliate in per cent of the amount.
    CommissionPercent,
    /// Revenue from the advertiser.
    Revenue,
    /// Status of the conversion.
    Status,
    /// Coupon code.
    Coupon,
    /// Country of the order.
    Country,
    /// Customer ID of the advertiser.
    CustomerId,
    /// New or returning customer.
    CustomerType,
    /// Time of the event.
    EventTime,
    /// Id of the event or refund in the sender's system.
    EventId,
    /// Line items.
    Items,
    /// One of the five sub IDs, counted from 1.
    Sub(u8),
    /// The five sub IDs as a list.
    SubList,
    /// Test flag.
    Test,
    /// Secret token.
    Token,
    /// Signature of the call.
    Signature,
    /// Time that was signed.
    Timestamp,
    /// Personal data; never stored.
    Personal,
    /// Amount to refund, or `all`.
    Refund,
    /// Intent: `update`, `upsert`.
    Action,
    /// Text of the response.
    Return,
    /// Flag for an image as the response.
    Pixel,
    /// Several parameters packed into one: `k=v;k2=v2`.
    Packed,
    /// Commission groups with their amounts: `GROUP:12.50|OTHER:3`.
    Groups,
    /// Click ID in a list of named ids.
    ClickList,
    /// A whole sale as JSON.
    Sale,
    /// Any other parameter, stored as sent.
    Extra,
}

impl Field {
    /// Name shown to users: for most fields, the parameter of our own dialect.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::ClickId | Self::ClickList => "click_id",
            Self::AffiliateKey => "partner_key",
            Self::Reference => "campaign",
            Self::Goal => "goal",
            Self::ParentGoal => "parent_goal",
            Self::OrderId => "order_id",
            Self::Amount => "amount",
            Self::Discount => "discount",
            Self::Remaining => "remaining",
            Self::EventId => "event_id",
            Self::Currency => "currency",
            Self::Commission => "commission",
            Self::CommissionPercent => "commission_percent",
            Self::Revenue => "revenue",
            Self::Status => "status",
            Self::Coupon => "coupon",
            Self::Country => "country",
            Self::CustomerId => "customer_id",
            Self::CustomerType => "customer_type",
            Self::EventTime => "event_time",
            Self::Items | Self::Groups => "items",
            Self::Sub(1) => "sub1",
            Self::Sub(2) => "sub2",
            Self::Sub(3) => "sub3",
            Self::Sub(4) => "sub4",
            Self::Sub(_) => "sub5",
            Self::SubList => "sub1 to sub5",
            Self::Test => "test",
            Self::Token => "token",
            Self::Signature => "signature",
            Self::Timestamp => "timestamp",
            Self::Personal => "personal, never stored",
            Self::Refund => "refund",
            Self::Action => "action",
            Self::Return => "return",
            Self::Pixel => "pixel",
            Self::Packed => "several values in one",
            Self::Sale => "the whole sale",
            Self::Extra => "stored as extra",
        }
    }

    /// True if a placeholder as the value makes the call worthless: it identifies an order, an affiliate or a customer, or
    /// decides about money. Click IDs are checked one by one.
    pub(crate) fn must_be_real(self) -> bool {
        use Field::{
            AffiliateKey, Amount, Commission, CommissionPercent, Coupon, Currency, CustomerId, Discount,
            EventId, Goal, OrderId, ParentGoal, Reference, Refund, Remaining, Revenue, Status, Token,
        };
        matches!(
            self,
            OrderId
                | AffiliateKey
                | Coupon
                | CustomerId
                | Reference
                | Status
                | Amount
                | Goal
                | ParentGoal
                | Currency
                | Token
                | Refund
                | Commission
                | CommissionPercent
                | Revenue
                | Discount
                | EventId
                | Remaining
        )
    }

    /// True for an amount of money in the order's currency.
    pub(crate) fn is_money(self) -> bool {
        matches!(
            self,
            Self::Amount | Self::Discount | Self::Remaining | Self::Commission | Self::Revenue | Self::Refund
        )
    }
}

impl Postback {
    /// Text of a plain-text field; `None` for other fields.
    pub(crate) fn text_mut(&mut self, field: Field) -> Option<&mut Option<String>> {
        Some(match field {
            Field::AffiliateKey => &mut self.affiliate_key,
            Field::Reference => &mut self.reference,
            Field::Goal => &mut self.goal,
            Field::ParentGoal => &mut self.parent_goal,
            Field::OrderId => &mut self.order_id,
            Field::Currency => &mut self.currency,
            Field::Status => &mut self.status,
            Field::Coupon => &mut self.coupon,
            Field::Country => &mut self.country,
            Field::CustomerId => &mut self.customer_id,
            Field::EventId => &mut self.event_id,
            Field::Token => &mut self.token,
            Field::Signature => &mut self.signature,
            Field::Timestamp => &mut self.timestamp,
            Field::Sub(number) => self.subs.get_mut(usize::from(number).checked_sub(1)?)?,
            _ => return None,
        })
    }

    /// Text of a plain-text field; `None` for other fields.
    pub(crate) fn text(&self, field: Field) -> Option<&str> {
        match field {
            Field::AffiliateKey => self.affiliate_key.as_deref(),
            Field::Reference => self.reference.as_deref(),
            Field::Goal => self.goal.as_deref(),
            Field::ParentGoal => self.parent_goal.as_deref(),
            Field::OrderId => self.order_id.as_deref(),
            Field::Currency => self.currency.as_deref(),
            Field::Status => self.status.as_deref(),
            Field::Coupon => self.coupon.as_deref(),
            Field::Country => self.country.as_deref(),
            Field::CustomerId => self.customer_id.as_deref(),
            Field::EventId => self.event_id.as_deref(),
            Field::Token => self.token.as_deref(),
            Field::Signature => self.signature.as_deref(),
            Field::Timestamp => self.timestamp.as_deref(),
            Field::Sub(number) => self.subs.get(usize::from(number).checked_sub(1)?)?.as_deref(),
            _ => None,
        }
    }

    /// Amount of a money field; `None` for other fields.
    pub(crate) fn money_mut(&mut self, field: Field) -> Option<&mut Option<Amount>> {
        Some(match field {
            Field::Amount => &mut self.amount,
            Field::Discount => &mut self.discount,
            Field::Remaining => &mut self.remaining,
            Field::Commission => &mut self.commission,
            Field::Revenue => &mut self.revenue,
            _ => return None,
        })
    }

    /// Amount of a money field; `None` for other fields.
    pub(crate) fn money(&self, field: Field) -> Option<Amount> {
        match field {
            Field::Amount => self.amount,
            Field::Discount => self.discount,
            Field::Remaining => self.remaining,
            Field::Commission => self.commission,
            Field::Revenue => self.revenue,
            _ => None,
        }
    }
}
