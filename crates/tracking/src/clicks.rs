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

/// Click to journal.
#[derive(Debug, Clone)]
pub struct NewClick {
    /// Key, from [`::campaigns::ClickIds::fresh_key`].
    pub key: ClickKey,
    /// Time of arrival.
    pub clicked_at: DateTime<Utc>,
    /// Tracking link.
    pub link_id: LinkId,
    /// Campaign of the link.
    pub campaign_id: CampaignId,
    /// Affiliate of the link.
    pub affiliate_id: AffiliateId,
    /// `sub1` … `sub5`.
    pub subs: [Option<String>; 5],
    /// Network part of the visitor's address: /24 of IPv4, /48 of IPv6; `None` if the address is unknown.
    pub ip_prefix: Option<IpNet>,
    /// `Referer`, at most 1024 characters; `None` if the browser sent none.
    pub referrer: Option<String>,
    /// Classified visitor.
    pub visitor: Visitor,
}

/// Classified visitor of a click.
#[derive(Debug, Clone)]
pub struct Visitor {
    /// Keyed hash of address and User-Agent; `None` if the address is unknown or the key cannot be stored.
    pub hash: Option<u64>,
    /// True for the visitor's first click of the day for this campaign and affiliate.
    pub is_unique: bool,
    /// Reason why the click is invalid; `None` if it is valid.
    pub flag: Option<ClickFlag>,
    /// ISO 3166-1 code of the country; `None` if unknown.
    pub country: Option<Country>,
    /// Number of the autonomous system; `None` if unknown.
    pub asn: Option<u32>,
    /// Device, operating system and browser.
    pub agent: Agent,
}

/// `sub1` … `sub5` of a row.
pub type Subs = (
    Option<String>,
    Option<String>,
    Option<String>,
    Option<String>,
    Option<String>,
);

/// Click with the names of its campaign, affiliate and link.
#[derive(Debug, Clone, Queryable)]
pub struct ClickDetail {
    /// Key.
    pub key: ClickKey,
    /// Time of arrival.
    pub clicked_at: DateTime<Utc>,
    /// `sub1` … `sub5`.
    pub subs: Subs,
    /// Network part of the visitor's address; `None` if the address is unknown.
    pub ip_prefix: Option<IpNet>,
    /// True for the visitor's first click of the day for this campaign and affiliate.
    pub is_unique: bool,
    /// Reason why the click is invalid; `None` if it is valid.
    pub flag: Option<ClickFlag>,
    /// ISO 3166-1 code of the country; `None` if unknown.
    pub country: Option<String>,
    /// Number of the autonomous system; `None` if unknown.
    pub asn: Option<i64>,
    /// Kind of device.
    pub device: String,
    /// Family of the operating system; `None` if unknown.
    pub os: Option<String>,
    /// Family of the browser; `None` if unknown.
    pub browser: Option<String>,
    /// `Referer`; `None` if the browser sent none.
    pub referrer: Option<String>,
    /// Name of the affiliate.
    pub affiliate: String,
    /// Campaign.
    pub campaign_id: CampaignId,
    /// Name of the campaign.
    pub campaign: String,
    /// Alias of the link.
    pub alias: String,
}

/// Click with this key, if it is in scope.
///
/// # Errors
/// Returns an error if the database fails.
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
