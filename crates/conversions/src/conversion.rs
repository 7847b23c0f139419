//! Conversions: postbacks that were accepted for a goal, each made once.

use campaigns::AttributedBy;
use chrono::{DateTime, Utc};
use diesel::prelude::*;
use schema::{
    AdvertiserId, AffiliateId, CampaignId, ClickKey, ConversionId, Currency, GoalId, LinkId, Money,
    NetworkId, PostbackId, conversions, text_enum,
};
use serde::Deserialize;
use serde_json::Value;

use crate::pricing::Pricing;

text_enum! {
    /// Status of a conversion.
    pub enum ConversionStatus {
        /// Waits for a decision or for the end of its hold period.
        Pending = "pending",
        /// Counts.
        Approved = "approved",
        /// Does not count; its ledger entries are taken back.
        Rejected = "rejected",
        /// Counted once, and was taken back.
        Reversed = "reversed",
    }
}

impl ConversionStatus {
    /// True if the conversion earns its commission and revenue.
    #[must_use]
    pub fn counts(self) -> bool {
        matches!(self, Self::Pending | Self::Approved)
    }
}

text_enum! {
    /// Reason for the manual review of a conversion.
    pub enum ReviewBecause {
        /// Its amount after refunds is above the goal's limit.
        Amount = "amount",
        /// It is in a currency that cannot be compared with the goal's limit.
        Currency = "currency",
        /// The commission that the advertiser sent is more than the revenue or the order.
        Commission = "commission",
        /// It exceeds a cap of the campaign, or is in a currency that a cap does not limit.
        Cap = "cap",
        /// Its parent conversion does not count any more.
        Parent = "parent",
        /// A user put it on hold.
        Person = "person",
    }
}

schema::row! {
    /// Conversion as stored.
    #[derive(Debug, Clone, PartialEq, Eq, HasQuery)]
    #[diesel(table_name = conversions)]
    pub struct Conversion(read) {
        /// Tenant.
        pub network_id: NetworkId,
        /// Identifier; the same as that of the postback that made it.
        pub id: ConversionId,
        /// Arrival of the postback.
        pub converted_at: DateTime<Utc>,
        /// Advertiser, who owes the revenue.
        pub advertiser_id: AdvertiserId,
        /// Campaign of the link.
        pub campaign_id: CampaignId,
        /// Goal that was reached.
        pub goal_id: GoalId,
        /// Affiliate, who earns the commission.
        pub affiliate_id: AffiliateId,
        /// Tracking link that brought the customer.
        pub link_id: LinkId,
        /// Click; `None` where a coupon, a customer or the sender attributed it.
        pub click_id: Option<ClickKey>,
        /// Proof that attributed it.
        pub attributed_by: AttributedBy,
        /// Conversion of the parent goal that came first.
        pub parent_id: Option<ConversionId>,
        /// Postback that made it.
        pub postback_id: PostbackId,
        /// Value that the goal deduplicates by: order ID, click, customer ID or postback.
        pub unique_key: String,
        /// The advertiser's order ID.
        pub order_id: Option<String>,
        /// Order amount after refunds, in micro-units; `None` if no amount was sent.
        pub amount_micros: Option<i64>,
        /// Currency of all three amounts.
        pub currency: Currency,
        /// Commission of the affiliate, in micro-units.
        pub commission_micros: i64,
        /// Revenue that the advertiser owes, in micro-units.
        pub revenue_micros: i64,
        /// Status.
        pub status: ConversionStatus,
        /// The advertiser's customer ID.
        pub customer_id: Option<String>,
        /// Coupon code that was used.
        pub coupon: Option<String>,
        /// Categories of the items, sorted and separated by commas; `None` if none was sent.
        pub item_categories: Option<String>,
        /// Country that the advertiser sent.
        pub country: Option<String>,
        /// Reason for paying nothing although the goal pays; `None` if it is paid.
        pub unpaid_because: Option<String>,
        /// End of its hold period, when it is approved automatically.
        pub hold_until: Option<DateTime<Utc>>,
        /// [`Pricing`] as JSON.
        pub terms: Value,
        /// Reason for its manual review; `None` if it needs none, or had it.
        pub review_because: Option<ReviewBecause>,
        /// Number of changes, from 1 for the report; a user's decision names the one that it is based on.
        pub version: i32,
        /// Time of the last change.
        pub changed_at: DateTime<Utc>,
    }
}

impl Conversion {
    /// Terms that the conversion was made with.
    ///
    /// # Errors
    /// Returns an error if the stored terms cannot be parsed.
    pub fn pricing(&self) -> Result<Pricing, serde_json::Error> {
        Pricing::deserialize(&self.terms)
    }

    /// Commission and revenue that it adds to accounts in its status, in micro-units.
    #[must_use]
    pub fn worth(&self) -> (i64, i64) {
        if self.status.counts() {
            (self.commission_micros, self.revenue_micros)
        } else {
            (0, 0)
        }
    }

    /// Commission and revenue that it makes payable in its status, in micro-units.
    #[must_use]
    pub fn payable(&self) -> (i64, i64) {
        match self.status {
            ConversionStatus::Approved => self.worth(),
            ConversionStatus::Pending | ConversionStatus::Rejected | ConversionStatus::Reversed => (0, 0),
        }
    }

    /// True if caps and tiers count it: it counts, and is paid.
    #[must_use]
    pub fn is_paid(&self) -> bool {
        self.status.counts() && self.unpaid_because.is_none()
    }

    /// Order amount; `None` if no amount was sent.
    #[must_use]
    pub fn amount(&self) -> Option<Money> {
        self.amount_micros.map(|micros| self.money(micros))
    }

    /// Commission of the affiliate.
    #[must_use]
    pub fn commission(&self) -> Money {
        self.money(self.commission_micros)
    }

    /// Revenue that the advertiser owes.
    #[must_use]
    pub fn revenue(&self) -> Money {
        self.money(self.revenue_micros)
    }

    fn money(&self, micros: i64) -> Money {
        Money {
            micros,
            currency: self.currency,
        }
    }
}
