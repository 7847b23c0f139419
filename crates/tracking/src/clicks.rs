//! Clicks: visits through tracking links.

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use diesel::prelude::*;
use diesel::sql_types::{Array, Inet, Integer, Nullable, Text, Timestamptz, Uuid as SqlUuid};
use diesel_async::RunQueryDsl;
use ipnet::IpNet;
use schema::{
    AffiliateId, CampaignId, ClickKey, LinkId, NetworkConn, affiliates, campaigns, clicks, tracking_links,
};
use tenancy::Scope;

use crate::rollups;

/// A click to store.
#[derive(Debug, Clone)]
pub struct NewClick {
    /// Its key: [`crate::ClickIds::fresh_key`].
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
    /// `User-Agent`, at most 512 characters.
    pub user_agent: Option<String>,
    /// `Referer`, at most 1024 characters.
    pub referrer: Option<String>,
}

/// Stores clicks of one network and adds them to its sums. Durable once the transaction is committed.
///
/// One fixed statement with arrays: any number of rows is one round trip and one plan.
///
/// # Errors
/// When the database fails.
pub async fn store(conn: &mut NetworkConn, time_zone: Tz, new: &[NewClick]) -> QueryResult<()> {
    fn column<'a, T: 'a>(new: &'a [NewClick], value: impl Fn(&'a NewClick) -> T) -> Vec<T> {
        new.iter().map(value).collect()
    }
    let sub = |index: usize| column(new, move |click| click.subs.get(index).and_then(Option::as_deref));
    let network_id = conn.network_id();
    diesel::sql_query(
        "INSERT INTO clicks (network_id, id, clicked_at, link_id, campaign_id, affiliate_id, \
             sub1, sub2, sub3, sub4, sub5, ip_prefix, user_agent, referrer) \
         SELECT $1, * FROM unnest($2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)",
    )
    .bind::<Integer, _>(network_id)
    .bind::<Array<SqlUuid>, _>(column(new, |click| click.key))
    .bind::<Array<Timestamptz>, _>(column(new, |click| click.clicked_at))
    .bind::<Array<Integer>, _>(column(new, |click| click.link_id))
    .bind::<Array<Integer>, _>(column(new, |click| click.campaign_id))
    .bind::<Array<Integer>, _>(column(new, |click| click.affiliate_id))
    .bind::<Array<Nullable<Text>>, _>(sub(0))
    .bind::<Array<Nullable<Text>>, _>(sub(1))
    .bind::<Array<Nullable<Text>>, _>(sub(2))
    .bind::<Array<Nullable<Text>>, _>(sub(3))
    .bind::<Array<Nullable<Text>>, _>(sub(4))
    .bind::<Array<Nullable<Inet>>, _>(column(new, |click| click.ip_prefix))
    .bind::<Array<Nullable<Text>>, _>(column(new, |click| click.user_agent.as_deref()))
    .bind::<Array<Nullable<Text>>, _>(column(new, |click| click.referrer.as_deref()))
    .execute(&mut **conn)
    .await?;
    rollups::add_clicks(conn, time_zone, new).await
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
    /// `User-Agent`.
    pub user_agent: Option<String>,
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
            clicks::user_agent,
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
