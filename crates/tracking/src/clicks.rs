//! Clicks: visits through tracking links.

use ::campaigns::ClickFlag;
use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use ipnet::IpNet;
use schema::{
    AffiliateId, CampaignId, ClickKey, LinkId, NetworkConn, affiliates, campaigns, clicks, tracking_links,
};
use tenancy::Scope;
use visitors::{Agent, Country};

/// A click to store.
#[derive(Debug, Clone)]
pub struct NewClick {
    /// Its key: [`campaigns::ClickIds::fresh_key`].
    pub key: ClickKey,
    /// When it reached us.
    pub clicked_at: DateTime<Utc>,
    /// The tracking link.
    pub link_id: LinkId,
    /// The link's campaign.
    pub campaign_id: CampaignId,
    /// The link's affiliate.
    pub affiliate_id: AffiliateId,
    /// `sub1` … `sub5`.
    pub subs: [Option<String>; 5],
    /// The visitor's network, never the full address.
    pub ip_prefix: Option<IpNet>,
    /// `Referer`, at most 1024 characters.
    pub referrer: Option<String>,
    /// What is known of the visitor.
    pub visitor: Visitor,
}

/// What is known of whoever clicked.
#[derive(Debug, Clone)]
pub struct Visitor {
    /// Keyed hash of address and browser; none where there is no address.
    pub hash: Option<u64>,
    /// The visitor's first of the day through this affiliate for this campaign.
    pub is_unique: bool,
    /// Why the click is not a valid one.
    pub flag: Option<ClickFlag>,
    /// ISO 3166-1 code.
    pub country: Option<Country>,
    /// Number of the autonomous system.
    pub asn: Option<u32>,
    /// Device, system and browser.
    pub agent: Agent,
}

/// `sub1` … `sub5` as a row has them.
pub type Subs = (
    Option<String>,
    Option<String>,
    Option<String>,
    Option<String>,
    Option<String>,
);

/// A click with the names of its parties.
#[derive(Debug, Clone, Queryable)]
pub struct ClickDetail {
    /// Its key.
    pub key: ClickKey,
    /// When it reached us.
    pub clicked_at: DateTime<Utc>,
    /// `sub1` … `sub5`.
    pub subs: Subs,
    /// The visitor's network.
    pub ip_prefix: Option<IpNet>,
    /// Whether it was the visitor's first of the day.
    pub is_unique: bool,
    /// Why it is not a valid one.
    pub flag: Option<ClickFlag>,
    /// ISO 3166-1 code.
    pub country: Option<String>,
    /// Number of the autonomous system.
    pub asn: Option<i64>,
    /// Kind of device.
    pub device: String,
    /// Family of the operating system.
    pub os: Option<String>,
    /// Family of the browser.
    pub browser: Option<String>,
    /// `Referer`.
    pub referrer: Option<String>,
    /// The affiliate's name.
    pub affiliate: String,
    /// The campaign.
    pub campaign_id: CampaignId,
    /// The campaign's name.
    pub campaign: String,
    /// The link's alias.
    pub alias: String,
}

/// The click with this key, if it is in scope.
///
/// # Errors
/// When the database fails.
pub async fn find(conn: &mut NetworkConn, scope: Scope, key: ClickKey) -> QueryResult<Option<ClickDetail>> {
    let network_id = conn.network_id();
    let mut query = clicks::table
        .inner_join(
            affiliates::table.on(affiliates::network_id
                .eq(clicks::network_id)
                .and(affiliates::id.eq(clicks::affiliate_id))),
        )
        .inner_join(
            campaigns::table.on(campaigns::network_id
                .eq(clicks::network_id)
                .and(campaigns::id.eq(clicks::campaign_id))),
        )
        .inner_join(
            tracking_links::table.on(tracking_links::network_id
                .eq(clicks::network_id)
                .and(tracking_links::id.eq(clicks::link_id))),
        )
        .filter(clicks::network_id.eq(network_id).and(clicks::id.eq(key)))
        .select((
            clicks::id,
            clicks::clicked_at,
            (
                clicks::sub1,
                clicks::sub2,
                clicks::sub3,
                clicks::sub4,
                clicks::sub5,
            ),
            clicks::ip_prefix,
            clicks::is_unique,
            clicks::flag,
            clicks::country,
            clicks::asn,
            clicks::device,
            clicks::os,
            clicks::browser,
            clicks::referrer,
            affiliates::name,
            campaigns::id,
            campaigns::name,
            tracking_links::alias,
        ))
        .into_boxed();
    if let Some(advertiser_id) = scope.advertiser {
        query = query.filter(campaigns::advertiser_id.eq(advertiser_id));
    }
    if let Some(affiliate_id) = scope.affiliate {
        query = query.filter(clicks::affiliate_id.eq(affiliate_id));
    }
    query.first(&mut **conn).await.optional()
}
