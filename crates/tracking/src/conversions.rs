//! Conversions: postbacks that were accepted for a goal, each made once for ever.

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use schema::{
    AdvertiserId, AffiliateId, CampaignId, ClickKey, ConversionId, Currency, GoalId, LinkId, Money,
    NetworkConn, PostbackId, affiliates, campaigns, conversions, goals, text_enum,
};
use serde_json::{Value, json};
use tenancy::audit::{self, Change};
use tenancy::{Author, Scope};

use crate::pricing::Pricing;
use crate::{changes, ledger, rollups};

text_enum! {
    /// Where a conversion stands.
    pub enum ConversionStatus {
        /// Waiting for the network's decision.
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
    /// Whether it is worth its commission and revenue.
    #[must_use]
    pub fn counts(self) -> bool {
        matches!(self, Self::Pending | Self::Approved)
    }
}

text_enum! {
    /// What says whose conversion it is.
    pub enum AttributedBy {
        /// The click that the call names.
        Click = "click",
        /// An earlier conversion of the same customer.
        Customer = "customer",
        /// A coupon code.
        Coupon = "coupon",
        /// The sender, who names the affiliate.
        Affiliate = "affiliate",
    }
}

text_enum! {
    /// Why somebody of the network must look at a conversion before it is approved.
    pub enum ReviewBecause {
        /// Its amount is above the goal's limit.
        Amount = "amount",
        /// It is in a currency that cannot be compared with the goal's limit.
        Currency = "currency",
    }
}

/// A conversion as stored.
#[derive(Debug, Clone, PartialEq, Eq, HasQuery)]
#[diesel(table_name = conversions)]
pub struct Conversion {
    /// The conversion.
    pub id: ConversionId,
    /// When the postback reached us.
    pub converted_at: DateTime<Utc>,
    /// Who owes.
    pub advertiser_id: AdvertiserId,
    /// The campaign of the click.
    pub campaign_id: CampaignId,
    /// The goal reached.
    pub goal_id: GoalId,
    /// Who earns.
    pub affiliate_id: AffiliateId,
    /// The tracking link of the click.
    pub link_id: LinkId,
    /// The click, where one says whose it is.
    pub click_id: Option<ClickKey>,
    /// What says whose it is.
    pub attributed_by: AttributedBy,
    /// The conversion of the parent goal it came after.
    pub parent_id: Option<ConversionId>,
    /// The postback that made it.
    pub postback_id: PostbackId,
    /// What the goal is unique by.
    pub unique_key: String,
    /// The advertiser's order id.
    pub order_id: Option<String>,
    /// Order amount, if one was sent.
    pub amount_micros: Option<i64>,
    /// Currency of all three amounts.
    pub currency: Currency,
    /// What the affiliate earns.
    pub commission_micros: i64,
    /// What the advertiser owes.
    pub revenue_micros: i64,
    /// Where it stands.
    pub status: ConversionStatus,
    /// The advertiser's own id of the customer.
    pub customer_id: Option<String>,
    /// The coupon code it came with.
    pub coupon: Option<String>,
    /// The country it came from, as the advertiser says.
    pub country: Option<String>,
    /// Why it pays nothing although the goal does.
    pub unpaid_because: Option<String>,
    /// When it approves itself.
    pub hold_until: Option<DateTime<Utc>>,
    /// How the money was computed: [`Pricing`] as JSON.
    pub terms: Value,
    /// Why it is pending until somebody of the network has looked, if so.
    pub review_because: Option<ReviewBecause>,
}

impl Conversion {
    /// How the money was computed; the conversion's own sums where it is from before that was kept.
    #[must_use]
    pub fn pricing(&self) -> Pricing {
        let kept: Option<Pricing> = serde_json::from_value(self.terms.clone()).ok();
        kept.filter(|pricing| !pricing.parts.is_empty())
            .unwrap_or_else(|| Pricing::of_sums(self))
    }

    /// What it adds to accounts as it stands: commission and revenue, in micro-units.
    #[must_use]
    pub fn worth(&self) -> (i64, i64) {
        match self.status.counts() {
            true => (self.commission_micros, self.revenue_micros),
            false => (0, 0),
        }
    }

    /// The order amount, if one was sent.
    #[must_use]
    pub fn amount(&self) -> Option<Money> {
        self.amount_micros.map(|micros| self.money(micros))
    }

    /// What the affiliate earns.
    #[must_use]
    pub fn commission(&self) -> Money {
        self.money(self.commission_micros)
    }

    /// What the advertiser owes.
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

/// Approves or rejects a pending conversion, with its ledger entries and its sums: who does has looked at it. Returns it as
/// it is now; `None` when there is no pending conversion with this id.
///
/// # Errors
/// When the database fails.
pub async fn settle(
    conn: &mut NetworkConn,
    author: &Author,
    time_zone: Tz,
    id: ConversionId,
    approve: bool,
    now: DateTime<Utc>,
) -> QueryResult<Option<Conversion>> {
    let network_id = conn.network_id();
    let status = if approve {
        ConversionStatus::Approved
    } else {
        ConversionStatus::Rejected
    };
    let settled: Option<Conversion> = diesel::update(conversions::table.find((network_id, id)))
        .filter(conversions::status.eq(ConversionStatus::Pending))
        .set((
            conversions::status.eq(status),
            conversions::review_because.eq(None::<ReviewBecause>),
        ))
        .returning(Conversion::as_returning())
        .get_result(&mut **conn)
        .await
        .optional()?;
    let Some(conversion) = settled else {
        return Ok(None);
    };
    let before = Conversion {
        status: ConversionStatus::Pending,
        ..conversion.clone()
    };
    changes::note_decision(conn, &before, status, now).await?;
    ledger::book(conn, &before, &conversion, now).await?;
    rollups::move_conversion(conn, time_zone, &before, &conversion).await?;
    let change = Change::between(
        "conversion.decide",
        conversion.id,
        conversion.order_id.as_deref().unwrap_or_default(),
        json!({ "status": "pending" }),
        json!({
            "status": status.as_str(),
            "commission": conversion.commission().to_string(),
            "revenue": conversion.revenue().to_string(),
        }),
    );
    audit::record(conn, author, change, now).await?;
    Ok(Some(conversion))
}

/// A conversion with the names people know its parties by.
#[derive(Debug, Clone, Queryable)]
pub struct NamedConversion {
    /// The conversion.
    pub conversion: Conversion,
    /// The affiliate's name.
    pub affiliate: String,
    /// The campaign's name.
    pub campaign: String,
    /// The goal's name.
    pub goal: String,
}

/// Which conversions a list shows.
#[derive(Debug, Clone, Default)]
pub struct ConversionFilter {
    /// Whose.
    pub scope: Scope,
    /// Only of this status.
    pub status: Option<ConversionStatus>,
    /// Only those that somebody of the network must look at.
    pub in_review: bool,
    /// Only this one.
    pub id: Option<ConversionId>,
    /// Only of this order.
    pub order_id: Option<String>,
    /// Only of this click.
    pub click: Option<ClickKey>,
    /// Only of this campaign.
    pub campaign_id: Option<CampaignId>,
    /// Only of this affiliate.
    pub affiliate_id: Option<AffiliateId>,
    /// Only older than this one: the last of the page before.
    pub before: Option<ConversionId>,
}

/// Conversions, newest first: at most `limit`.
///
/// # Errors
/// When the database fails.
pub async fn list(
    conn: &mut NetworkConn,
    filter: &ConversionFilter,
    limit: i64,
) -> QueryResult<Vec<NamedConversion>> {
    let network_id = conn.network_id();
    let mut query = conversions::table
        .inner_join(
            affiliates::table.on(affiliates::network_id
                .eq(conversions::network_id)
                .and(affiliates::id.eq(conversions::affiliate_id))),
        )
        .inner_join(
            campaigns::table.on(campaigns::network_id
                .eq(conversions::network_id)
                .and(campaigns::id.eq(conversions::campaign_id))),
        )
        .inner_join(
            goals::table.on(goals::network_id
                .eq(conversions::network_id)
                .and(goals::id.eq(conversions::goal_id))),
        )
        .filter(conversions::network_id.eq(network_id))
        .order(conversions::id.desc())
        .limit(limit)
        .select((
            Conversion::as_select(),
            affiliates::name,
            campaigns::name,
            goals::name,
        ))
        .into_boxed();
    if let Some(id) = filter.scope.advertiser {
        query = query.filter(conversions::advertiser_id.eq(id));
    }
    if let Some(id) = filter.scope.affiliate {
        query = query.filter(conversions::affiliate_id.eq(id));
    }
    if let Some(status) = filter.status {
        query = query.filter(conversions::status.eq(status));
    }
    if filter.in_review {
        query = query.filter(conversions::review_because.is_not_null());
    }
    if let Some(id) = filter.id {
        query = query.filter(conversions::id.eq(id));
    }
    if let Some(order_id) = &filter.order_id {
        query = query.filter(conversions::order_id.eq(order_id));
    }
    if let Some(key) = filter.click {
        query = query.filter(conversions::click_id.eq(key));
    }
    if let Some(id) = filter.campaign_id {
        query = query.filter(conversions::campaign_id.eq(id));
    }
    if let Some(id) = filter.affiliate_id {
        query = query.filter(conversions::affiliate_id.eq(id));
    }
    if let Some(id) = filter.before {
        query = query.filter(conversions::id.lt(id));
    }
    query.load(&mut **conn).await
}
