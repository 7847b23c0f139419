//! Clicks: visits through tracking links.

use std::collections::HashMap;

use ::campaigns::ClickFlag;
use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use ipnet::IpNet;
use schema::{
    AdvertiserId, AffiliateId, CampaignId, ClickKey, LandingPageId, LinkId, NetworkConn, affiliates,
    campaigns, clicks, landing_pages, tracking_links,
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
    /// Landing page that was chosen for the click; `None` for the campaign's own destination.
    pub landing_page_id: Option<LandingPageId>,
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

/// Columns of [`Subs`].
const SUBS: (
    clicks::sub1,
    clicks::sub2,
    clicks::sub3,
    clicks::sub4,
    clicks::sub5,
) = (
    clicks::sub1,
    clicks::sub2,
    clicks::sub3,
    clicks::sub4,
    clicks::sub5,
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
    /// Affiliate.
    pub affiliate_id: AffiliateId,
    /// Name of the affiliate.
    pub affiliate: String,
    /// Campaign.
    pub campaign_id: CampaignId,
    /// Name of the campaign.
    pub campaign: String,
    /// Tracking link.
    pub link_id: LinkId,
    /// Alias of the link.
    pub alias: String,
    /// Landing page that was chosen for the click; `None` for the campaign's own destination.
    pub landing_page_id: Option<LandingPageId>,
    /// Name of the landing page; `None` if it was removed.
    pub landing_page: Option<String>,
}

/// Filter of a list; every given field must match.
#[derive(Debug, Clone, Default)]
pub struct ClickFilter {
    /// Rows that the actor may see.
    pub scope: Scope,
    /// Identifier.
    pub key: Option<ClickKey>,
    /// Campaign.
    pub campaign_id: Option<CampaignId>,
    /// Affiliate.
    pub affiliate_id: Option<AffiliateId>,
    /// Advertiser.
    pub advertiser_id: Option<AdvertiserId>,
    /// Tracking link.
    pub link_id: Option<LinkId>,
    /// First sub ID.
    pub sub1: Option<String>,
    /// True for valid clicks only, false for invalid ones only.
    pub is_valid: Option<bool>,
    /// Received at this moment or later.
    pub since: Option<DateTime<Utc>>,
    /// Received before this moment.
    pub until: Option<DateTime<Utc>>,
    /// Last click of the previous page: only older ones are listed.
    pub before: Option<ClickKey>,
}

/// Click with this key, if it is in scope.
///
/// # Errors
/// Returns an error if the database fails.
pub async fn find(conn: &mut NetworkConn, scope: Scope, key: ClickKey) -> QueryResult<Option<ClickDetail>> {
    let filter = ClickFilter {
        scope,
        key: Some(key),
        ..ClickFilter::default()
    };
    Ok(list(conn, &filter, 1).await?.pop())
}

/// Clicks, newest first: at most `limit`.
///
/// # Errors
/// Returns an error if the database fails.
pub async fn list(conn: &mut NetworkConn, filter: &ClickFilter, limit: i64) -> QueryResult<Vec<ClickDetail>> {
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
        .left_join(
            landing_pages::table.on(landing_pages::network_id
                .eq(clicks::network_id)
                .and(landing_pages::id.nullable().eq(clicks::landing_page_id))),
        )
        .filter(clicks::network_id.eq(network_id))
        .order(clicks::id.desc())
        .limit(limit)
        .select((
            clicks::id,
            clicks::clicked_at,
            SUBS,
            clicks::ip_prefix,
            clicks::is_unique,
            clicks::flag,
            clicks::country,
            clicks::asn,
            clicks::device,
            clicks::os,
            clicks::browser,
            clicks::referrer,
            affiliates::id,
            affiliates::name,
            campaigns::id,
            campaigns::name,
            tracking_links::id,
            tracking_links::alias,
            clicks::landing_page_id,
            landing_pages::name.nullable(),
        ))
        .into_boxed();
    for id in [filter.scope.advertiser, filter.advertiser_id]
        .into_iter()
        .flatten()
    {
        query = query.filter(campaigns::advertiser_id.eq(id));
    }
    for id in [filter.scope.affiliate, filter.affiliate_id]
        .into_iter()
        .flatten()
    {
        query = query.filter(clicks::affiliate_id.eq(id));
    }
    if let Some(id) = filter.scope.manager {
        query = query.filter(affiliates::manager_id.eq(id));
    }
    if let Some(key) = filter.key {
        query = query.filter(clicks::id.eq(key));
    }
    if let Some(id) = filter.campaign_id {
        query = query.filter(clicks::campaign_id.eq(id));
    }
    if let Some(id) = filter.link_id {
        query = query.filter(clicks::link_id.eq(id));
    }
    if let Some(sub) = &filter.sub1 {
        query = query.filter(clicks::sub1.eq(sub));
    }
    match filter.is_valid {
        Some(true) => query = query.filter(clicks::flag.is_null()),
        Some(false) => query = query.filter(clicks::flag.is_not_null()),
        None => {}
    }
    // The key begins with the time, so that the primary key and the partitions serve ranges of time.
    if let Some(since) = filter.since {
        query = query.filter(clicks::id.ge(ClickKey::lowest(since)));
    }
    if let Some(until) = filter.until {
        query = query.filter(clicks::id.lt(ClickKey::lowest(until)));
    }
    if let Some(key) = filter.before {
        query = query.filter(clicks::id.lt(key));
    }
    query.load(&mut **conn).await
}

/// Times and sub IDs of clicks, by their keys; those whose row was dropped with its month are left out.
///
/// # Errors
/// Returns an error if the database fails.
pub async fn subs_of(
    conn: &mut NetworkConn,
    keys: &[ClickKey],
) -> QueryResult<HashMap<ClickKey, (DateTime<Utc>, Subs)>> {
    if keys.is_empty() {
        return Ok(HashMap::new());
    }
    let network_id = conn.network_id();
    let rows: Vec<(ClickKey, DateTime<Utc>, Subs)> = clicks::table
        .filter(clicks::network_id.eq(network_id).and(clicks::id.eq_any(keys)))
        .select((clicks::id, clicks::clicked_at, SUBS))
        .load(&mut **conn)
        .await?;
    Ok(rows
        .into_iter()
        .map(|(key, at, subs)| (key, (at, subs)))
        .collect())
}
