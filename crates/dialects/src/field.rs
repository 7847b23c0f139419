//! The canonical fields that a parameter can stand for.

use crate::{Amount, Postback};

/// What a parameter means, in our words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Field {
    /// The click it belongs to.
    ClickId,
    /// The affiliate's own key.
    AffiliateKey,
    /// The sender's id of campaign, advertiser, offer or conversion definition.
    Reference,
    /// The goal reached.
    Goal,
    /// The goal that came before.
    ParentGoal,
    /// The order.
    OrderId,
    /// The order's amount.
    Amount,
    /// The order's discount.
    Discount,
    /// The currency of the amounts.
    Currency,
    /// The affiliate's commission.
    Commission,
    /// The affiliate's commission in per cent of the amount.
    CommissionPercent,
    /// What the advertiser owes.
    Revenue,
    /// The state the conversion is to be in.
    Status,
    /// The coupon used.
    Coupon,
    /// The country of the order.
    Country,
    /// The advertiser's customer.
    CustomerId,
    /// Whether the customer bought before.
    CustomerType,
    /// When it happened.
    EventTime,
    /// The basket.
    Items,
    /// One of the five sub ids, counted from 1.
    Sub(u8),
    /// The five sub ids as a list.
    SubList,
    /// Whether it is a test.
    Test,
    /// The sender's secret.
    Token,
    /// The signature of the call.
    Signature,
    /// The time that was signed.
    Timestamp,
    /// Something about a person; never stored.
    Personal,
    /// The amount to take back, or `all`.
    Refund,
    /// What is to be done: `update`, `upsert`.
    Action,
    /// The text to be answered.
    Return,
    /// Whether an image is to be answered.
    Pixel,
    /// Further parameters packed into one: `k=v;k2=v2`.
    Packed,
    /// Commission groups with their amounts: `GROUP:12.50|OTHER:3`.
    Groups,
    /// The click as one of a list of named ids.
    ClickList,
    /// One whole sale as JSON.
    Sale,
    /// Anything else, kept as it came.
    Extra,
}

impl Field {
    /// Its name for people, which for most is the parameter's name in our own spelling.
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
            Self::Extra => "kept as extra",
        }
    }

    /// Whether a placeholder in it makes the call worthless: it names an order, money or a secret. Click ids do too,
    /// and are looked at one by one.
    pub(crate) fn must_be_real(self) -> bool {
        use Field::{
            Amount, Commission, CommissionPercent, Currency, Discount, Goal, OrderId, ParentGoal, Refund,
            Revenue, Token,
        };
        matches!(
            self,
            OrderId
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
        )
    }

    /// Whether it is an amount of money in the order's currency.
    pub(crate) fn is_money(self) -> bool {
        matches!(
            self,
            Self::Amount | Self::Discount | Self::Commission | Self::Revenue | Self::Refund
        )
    }
}

impl Postback {
    /// The text a field stands in, for the fields that are plain text.
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
            Field::Token => &mut self.token,
            Field::Signature => &mut self.signature,
            Field::Timestamp => &mut self.timestamp,
            Field::Sub(number) => self.subs.get_mut(usize::from(number).checked_sub(1)?)?,
            _ => return None,
        })
    }

    /// The text of a field that is plain text.
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
            Field::Token => self.token.as_deref(),
            Field::Signature => self.signature.as_deref(),
            Field::Timestamp => self.timestamp.as_deref(),
            Field::Sub(number) => self.subs.get(usize::from(number).checked_sub(1)?)?.as_deref(),
            _ => None,
        }
    }

    /// The amount a field stands in, for the fields that are money.
    pub(crate) fn money_mut(&mut self, field: Field) -> Option<&mut Option<Amount>> {
        Some(match field {
            Field::Amount => &mut self.amount,
            Field::Discount => &mut self.discount,
            Field::Commission => &mut self.commission,
            Field::Revenue => &mut self.revenue,
            _ => return None,
        })
    }

    /// The amount of a field that is money.
    pub(crate) fn money(&self, field: Field) -> Option<Amount> {
        match field {
            Field::Amount => self.amount,
            Field::Discount => self.discount,
            Field::Commission => self.commission,
            Field::Revenue => self.revenue,
            _ => None,
        }
    }
}
