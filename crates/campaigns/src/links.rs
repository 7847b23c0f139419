//! Tracking links: one affiliate's way into one campaign.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use schema::{
    AffiliateId, BASE32, CampaignId, LinkId, NetworkConn, affiliates, campaigns, networks, tracking_links,
};
use serde_json::json;
use tenancy::audit::{self, Change};
use tenancy::{Author, ChangeError, Scope, taken};

/// A tracking link as stored.
#[derive(Debug, Clone, HasQuery)]
#[diesel(table_name = tracking_links)]
pub struct Link {
    /// The link.
    pub id: LinkId,
    /// Its path on the tracking host; case counts.
    pub alias: String,
    /// Who earns.
    pub affiliate_id: AffiliateId,
    /// What is promoted.
    pub campaign_id: CampaignId,
}

/// Whether a text can be an alias: 1 to 64 letters, digits, `-` and `_`.
#[must_use]
pub fn is_alias(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    (1..=64).contains(&text.len()) && text.bytes().all(plain)
}

/// A fresh alias: 10 random characters, so that links cannot be guessed from one another.
#[must_use]
pub fn random_alias() -> String {
    let mut alias = BASE32.encode(&rand::random::<[u8; 7]>());
    alias.truncate(10);
    alias
}

/// Creates a link.
///
/// # Errors
/// [`ChangeError::Fields`] when the alias is taken, [`ChangeError::Limit`] when the network has as many links as it
/// may; when the database fails, or affiliate or campaign are not of this network (a foreign-key violation).
pub async fn create(
    conn: &mut NetworkConn,
    author: &Author,
    affiliate_id: AffiliateId,
    campaign_id: CampaignId,
    alias: &str,
    now: DateTime<Utc>,
) -> Result<Link, ChangeError> {
    let network_id = conn.network_id();
    // Locked: two who make the last link at once meet.
    let most: i32 = networks::table
        .find(network_id)
        .select(networks::max_links)
        .for_update()
        .first(&mut **conn)
        .await?;
    let made: i64 = tracking_links::table
        .filter(tracking_links::network_id.eq(network_id))
        .count()
        .get_result(&mut **conn)
        .await?;
    if made >= i64::from(most) {
        return Err(ChangeError::Limit(format!(
            "The network has {made} tracking links, as many as it may. Ask whoever runs this installation for more."
        )));
    }
    let link: Link = diesel::insert_into(tracking_links::table)
        .values((
            tracking_links::network_id.eq(network_id),
            tracking_links::affiliate_id.eq(affiliate_id),
            tracking_links::campaign_id.eq(campaign_id),
            tracking_links::alias.eq(alias),
            tracking_links::created_at.eq(now),
        ))
        .returning(Link::as_select())
        .get_result(&mut **conn)
        .await
        .map_err(taken(
            "tracking_links_network_id_alias_key",
            "alias",
            "Another link has this alias; choose a different one.",
        ))?;
    let after = json!({ "affiliate": affiliate_id.to_string(), "campaign": campaign_id.to_string() });
    audit::record(
        conn,
        author,
        Change::created("link.create", link.id, alias, after),
        now,
    )
    .await?;
    Ok(link)
}

/// A link with the names people know its parties by.
#[derive(Debug, Clone)]
pub struct NamedLink {
    /// The link.
    pub link: Link,
    /// The affiliate's name.
    pub affiliate: String,
    /// The campaign's name.
    pub campaign: String,
}

/// Links with names, by campaign and affiliate: at most `limit`, only those in scope, only of one campaign if given.
///
/// # Errors
/// When the database fails.
pub async fn all(
    conn: &mut NetworkConn,
    scope: Scope,
    campaign_id: Option<CampaignId>,
    limit: i64,
) -> QueryResult<Vec<NamedLink>> {
    let network_id = conn.network_id();
    let mut query = tracking_links::table
        .inner_join(
            affiliates::table.on(affiliates::network_id
                .eq(tracking_links::network_id)
                .and(affiliates::id.eq(tracking_links::affiliate_id))),
        )
        .inner_join(
            campaigns::table.on(campaigns::network_id
                .eq(tracking_links::network_id)
                .and(campaigns::id.eq(tracking_links::campaign_id))),
        )
        .filter(tracking_links::network_id.eq(network_id))
        .order((campaigns::name, affiliates::name, tracking_links::id))
        .limit(limit)
        .select((Link::as_select(), affiliates::name, campaigns::name))
        .into_boxed();
    if let Some(campaign_id) = campaign_id {
        query = query.filter(tracking_links::campaign_id.eq(campaign_id));
    }
    if let Some(affiliate_id) = scope.affiliate {
        query = query.filter(tracking_links::affiliate_id.eq(affiliate_id));
    }
    if let Some(advertiser_id) = scope.advertiser {
        query = query.filter(campaigns::advertiser_id.eq(advertiser_id));
    }
    let rows: Vec<(Link, String, String)> = query.load(&mut **conn).await?;
    Ok(rows
        .into_iter()
        .map(|(link, affiliate, campaign)| NamedLink {
            link,
            affiliate,
            campaign,
        })
        .collect())
}
