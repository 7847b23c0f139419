//! Facts of an event: the values of macros and the JSON of webhooks.

use campaigns::click_id::{ClickId, ClickIds};
use chrono::{DateTime, SecondsFormat, TimeZone, Utc};
use conversions::{ConversionStatus, EventKind};
use data_encoding::HEXLOWER;
use dialects::template::Macro;
use hmac::{Hmac, KeyInit, Mac};
use schema::{
    AdvertiserId, AffiliateId, CampaignId, ClickKey, ConversionId, Currency, DeliveryId, GoalId, LinkId,
    Money, NetworkId,
};
use serde_json::{Value, json};
use sha2::Sha256;
use tenancy::Secret;
use tenancy::networks::ClickKeyInUse;
use uuid::Uuid;

use crate::value_maps::ValueMaps;

/// Version of the schema of webhooks; it changes when a field is removed or its meaning changes.
pub const SCHEMA_VERSION: u32 = 1;

/// Columns of [`Facts`] behind its delivery: of an event `e` and the tables of [`JOINS`]. The row of a click may follow that
/// of its conversion, because each journal has an applier; an event is incomplete for that time.
pub(crate) const COLUMNS: &str = "e.network_id, e.kind AS event, e.at, e.conversion_id, e.version, c.converted_at,
    e.status, c.advertiser_id, e.affiliate_id, e.campaign_id, m.name AS campaign, e.goal_id, g.code AS goal, e.link_id,
    e.click_id, n.click_key_number::int4 AS click_key_number, n.click_key_since, c.order_id, c.coupon,
    coalesce(c.country, k.country, c.visit[6]) AS country, e.amount_micros, e.commission_micros, e.revenue_micros,
    e.currency, coalesce(k.sub1, c.visit[1]) AS sub1, coalesce(k.sub2, c.visit[2]) AS sub2,
    coalesce(k.sub3, c.visit[3]) AS sub3, coalesce(k.sub4, c.visit[4]) AS sub4, coalesce(k.sub5, c.visit[5]) AS sub5,
    e.click_id IS NOT NULL AND k.id IS NULL AND c.visit IS NULL
        AND coalesce(e.queued_at > now() - interval '60 s', false) AS lacks_click";
/// Tables that [`COLUMNS`] reads beside the event `e`.
pub(crate) const JOINS: &str = "JOIN conversions c ON c.network_id = e.network_id AND c.id = e.conversion_id
    JOIN campaigns m ON m.network_id = e.network_id AND m.id = e.campaign_id
    JOIN goals g ON g.network_id = e.network_id AND g.id = e.goal_id
    JOIN networks n ON n.id = e.network_id
    LEFT JOIN clicks k ON k.network_id = e.network_id AND k.id = e.click_id";

schema::row! {
    /// Event with everything that a delivery can carry.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct Facts(read, query) {
        /// Delivery.
        pub delivery_id: DeliveryId,
        /// Tenant.
        pub network_id: NetworkId,
        /// Kind of the event.
        pub event: EventKind,
        /// Time of the event.
        pub at: DateTime<Utc>,
        /// Conversion.
        pub conversion_id: ConversionId,
        /// Version of the conversion after the event.
        pub version: i32,
        /// Time of the conversion.
        pub converted_at: DateTime<Utc>,
        /// Status after the event.
        pub status: ConversionStatus,
        /// Advertiser.
        pub advertiser_id: AdvertiserId,
        /// Affiliate after the event.
        pub affiliate_id: AffiliateId,
        /// Campaign.
        pub campaign_id: CampaignId,
        /// Name of the campaign.
        pub campaign: String,
        /// Goal.
        pub goal_id: GoalId,
        /// Code of the goal.
        pub goal: String,
        /// Tracking link after the event.
        pub link_id: LinkId,
        /// Click after the event.
        pub click_id: Option<ClickKey>,
        /// Number of the key that signs click IDs.
        pub click_key_number: i32,
        /// Time from which that key signs.
        pub click_key_since: DateTime<Utc>,
        /// Order ID of the advertiser.
        pub order_id: Option<String>,
        /// Coupon code.
        pub coupon: Option<String>,
        /// Country that the advertiser sent, or that of the click.
        pub country: Option<String>,
        /// Order amount after refunds, in micro-units.
        pub amount_micros: Option<i64>,
        /// Commission after the event, in micro-units.
        pub commission_micros: i64,
        /// Revenue after the event, in micro-units.
        pub revenue_micros: i64,
        /// Currency of the amounts.
        pub currency: Currency,
        /// Sub ID 1 of the click.
        pub sub1: Option<String>,
        /// Sub ID 2.
        pub sub2: Option<String>,
        /// Sub ID 3.
        pub sub3: Option<String>,
        /// Sub ID 4.
        pub sub4: Option<String>,
        /// Sub ID 5.
        pub sub5: Option<String>,
        /// True if the row of the click is not stored yet.
        pub lacks_click: bool,
    }
}

/// Rules for the values that a destination gets.
#[derive(Clone, Copy)]
pub struct Wording<'a> {
    /// Words of the receiver.
    pub maps: &'a ValueMaps,
    /// True if order IDs are sent as they are.
    pub sends_order_ids: bool,
    /// Secret of the installation.
    pub secret: &'a Secret,
    /// Writer of click IDs.
    pub click_ids: &'a ClickIds,
}

impl Facts {
    /// Example for tests of a destination.
    #[must_use]
    pub fn sample(
        network_id: NetworkId,
        currency: Currency,
        delivery_id: DeliveryId,
        now: DateTime<Utc>,
    ) -> Self {
        let text = |one: Macro| Some(one.sample().to_owned());
        Self {
            delivery_id,
            network_id,
            event: EventKind::Approved,
            at: now,
            conversion_id: ConversionId(Uuid::nil()),
            version: 1,
            converted_at: now,
            status: ConversionStatus::Approved,
            advertiser_id: AdvertiserId(1),
            affiliate_id: AffiliateId(1),
            campaign_id: CampaignId(1),
            campaign: Macro::Campaign.sample().to_owned(),
            goal_id: GoalId(1),
            goal: Macro::Goal.sample().to_owned(),
            link_id: LinkId(1),
            click_id: Some(ClickIds::fresh_key(LinkId(1), now)),
            click_key_number: 1,
            click_key_since: Utc.timestamp_nanos(0),
            order_id: text(Macro::OrderId),
            coupon: text(Macro::Coupon),
            country: text(Macro::Country),
            amount_micros: Some(99_900_000),
            commission_micros: 12_500_000,
            revenue_micros: 20_000_000,
            currency,
            sub1: text(Macro::Sub1),
            sub2: text(Macro::Sub2),
            sub3: text(Macro::Sub3),
            sub4: text(Macro::Sub4),
            sub5: text(Macro::Sub5),
            lacks_click: false,
        }
    }

    fn decimal(&self, micros: i64) -> String {
        Money {
            micros,
            currency: self.currency,
        }
        .decimal()
    }

    fn click_id_text(&self, click_ids: &ClickIds) -> Option<String> {
        let id = ClickId {
            network_id: self.network_id,
            key: self.click_id?,
        };
        let key_in_use = ClickKeyInUse {
            number: self.click_key_number.try_into().unwrap_or(1),
            since: self.click_key_since,
        };
        Some(click_ids.write(id, key_in_use))
    }

    /// Value of a macro, in the words of the receiver.
    #[must_use]
    pub fn value(&self, one: Macro, wording: Wording<'_>) -> Option<String> {
        let value = match one {
            Macro::AffClickId | Macro::Sub1 => self.sub1.clone(),
            Macro::Sub2 => self.sub2.clone(),
            Macro::Sub3 => self.sub3.clone(),
            Macro::Sub4 => self.sub4.clone(),
            Macro::Sub5 => self.sub5.clone(),
            Macro::Payout | Macro::Commission => Some(self.decimal(self.commission_micros)),
            Macro::Currency => Some(self.currency.to_string()),
            Macro::ConversionId => Some(self.conversion_id.to_string()),
            Macro::DeliveryId => Some(self.delivery_id.to_string()),
            Macro::Event | Macro::Goal => Some(self.goal.clone()),
            Macro::Change => Some(self.event.to_string()),
            Macro::Status => Some(self.status.to_string()),
            Macro::OrderId => self.order_id.as_ref().map(|order_id| {
                if wording.sends_order_ids {
                    order_id.clone()
                } else {
                    hashed(wording.secret, self.network_id, order_id)
                }
            }),
            Macro::Amount => self.amount_micros.map(|micros| self.decimal(micros)),
            Macro::ClickId => self.click_id_text(wording.click_ids),
            Macro::CampaignId => Some(self.campaign_id.to_string()),
            Macro::Campaign => Some(self.campaign.clone()),
            Macro::AffiliateId => Some(self.affiliate_id.to_string()),
            Macro::LinkId => Some(self.link_id.to_string()),
            Macro::Coupon => self.coupon.clone(),
            Macro::Country => self.country.clone(),
            Macro::Timestamp => Some(self.converted_at.timestamp().to_string()),
            Macro::Time => Some(time(self.converted_at)),
        };
        Some(wording.maps.word(one, value?))
    }

    /// Event as JSON, with everything that the network sees.
    #[must_use]
    pub fn to_json(&self, click_ids: &ClickIds) -> Value {
        json!({
            "type": format!("conversion.{}", self.event),
            "timestamp": time(self.at),
            "schema": SCHEMA_VERSION,
            "data": {
                "conversion": self.conversion_id,
                "version": self.version,
                "status": self.status,
                "converted_at": time(self.converted_at),
                "advertiser": self.advertiser_id,
                "affiliate": self.affiliate_id,
                "campaign": self.campaign_id,
                "campaign_name": self.campaign,
                "goal": self.goal_id,
                "goal_code": self.goal,
                "link": self.link_id,
                "click_id": self.click_id_text(click_ids),
                "order_id": self.order_id,
                "coupon": self.coupon,
                "country": self.country,
                "currency": self.currency,
                "amount": self.amount_micros.map(|micros| self.decimal(micros)),
                "commission": self.decimal(self.commission_micros),
                "revenue": self.decimal(self.revenue_micros),
                "sub1": self.sub1,
                "sub2": self.sub2,
                "sub3": self.sub3,
                "sub4": self.sub4,
                "sub5": self.sub5,
            },
        })
    }
}

/// Body of a webhook, for the documentation.
#[must_use]
pub fn example() -> String {
    let at = Utc.timestamp_nanos(1_777_638_600_000_000_000);
    let Ok(currency) = "EUR".parse() else {
        return String::new();
    };
    let facts = Facts {
        click_id: None,
        ..Facts::sample(NetworkId(1), currency, DeliveryId(Uuid::nil()), at)
    };
    let json = facts.to_json(&ClickIds::new(Secret::random()));
    serde_json::to_string_pretty(&json).unwrap_or_default()
}

fn time(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// Keyed hash of an order ID: equal for equal orders of a network, and of no use to others.
fn hashed(secret: &Secret, network_id: NetworkId, order_id: &str) -> String {
    let key = secret.derive(format!("order ids of {network_id}").as_bytes());
    #[expect(clippy::expect_used, reason = "HMAC takes keys of any length")]
    let mut mac = Hmac::<Sha256>::new_from_slice(&key).expect("HMAC takes any key");
    mac.update(order_id.as_bytes());
    let hash: [u8; 32] = mac.finalize().into_bytes().into();
    let (short, _) = hash.split_at(16);
    HEXLOWER.encode(short)
}
