//! Tracking links: one affiliate's way into one campaign.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use schema::{
    AffiliateId, BASE32, CampaignId, LandingPageId, LinkId, NetworkConn, affiliates, campaigns, networks,
    tracking_links,
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
    /// Where it leads; the campaign's destinations by weight if none.
    pub landing_page_id: Option<LandingPageId>,
    /// What its sub ids are where a visit brings none.
    #[diesel(embed)]
    pub presets: Presets,
    /// Whether its conversions are tests, which are never paid.
    pub is_test: bool,
}

/// What a link's sub ids are where a visit brings none.
#[derive(Debug, Clone, Default, PartialEq, Eq, HasQuery, Insertable)]
#[diesel(table_name = tracking_links)]
pub struct Presets {
    /// `sub1`
    pub sub1: Option<String>,
    /// `sub2`
    pub sub2: Option<String>,
    /// `sub3`
    pub sub3: Option<String>,
    /// `sub4`
    pub sub4: Option<String>,
    /// `sub5`
    pub sub5: Option<String>,
}

impl From<[Option<String>; 5]> for Presets {
    fn from([sub1, sub2, sub3, sub4, sub5]: [Option<String>; 5]) -> Self {
        Self {
            sub1,
            sub2,
            sub3,
            sub4,
            sub5,
        }
    }
}

impl From<Presets> for [Option<String>; 5] {
    fn from(presets: Presets) -> Self {
        [
            presets.sub1,
            presets.sub2,
            presets.sub3,
            presets.sub4,
            presets.sub5,
        ]
    }
}

/// A link to create.
#[derive(Debug, Clone, Insertable)]
#[diesel(table_name = tracking_links)]
pub struct NewLink<'a> {
    /// Who earns.
    pub affiliate_id: AffiliateId,
    /// What is promoted.
    pub campaign_id: CampaignId,
    /// What [`is_alias`] accepts.
    pub alias: &'a str,
    /// Where it leads: a landing page of the campaign, or none.
    pub landing_page_id: Option<LandingPageId>,
    /// What its sub ids are where a visit brings none.
    #[diesel(embed)]
    pub presets: Presets,
    /// Whether its conversions are tests.
    pub is_test: bool,
}

impl<'a> NewLink<'a> {
    /// A link with nothing else set.
    #[must_use]
    pub fn plain(affiliate_id: AffiliateId, campaign_id: CampaignId, alias: &'a str) -> Self {
        Self {
            affiliate_id,
            campaign_id,
            alias,
            landing_page_id: None,
            presets: Presets::default(),
            is_test: false,
        }
    }
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
    link: &NewLink<'_>,
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
    let made: Link = diesel::insert_into(tracking_links::table)
        .values((
            tracking_links::network_id.eq(network_id),
            tracking_links::created_at.eq(now),
            link,
        ))
        .returning(Link::as_select())
        .get_result(&mut **conn)
        .await
        .map_err(taken(
            "tracking_links_network_id_alias_key",
            "alias",
            "Another link has this alias; choose a different one.",
        ))?;
    let after = json!({
        "affiliate": link.affiliate_id.to_string(),
        "campaign": link.campaign_id.to_string(),
        "landing_page": link.landing_page_id.map(|id| id.to_string()),
        "is_test": link.is_test,
    });
    let change = Change::created("link.create", made.id, link.alias, after);
    audit::record(conn, author, change, now).await?;
    Ok(made)
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
