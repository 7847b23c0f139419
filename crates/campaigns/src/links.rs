//! Tracking links: each leads the visitors of one affiliate to one campaign.

use std::collections::HashSet;
use std::sync::LazyLock;

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use schema::{
    AffiliateId, BASE32, CampaignId, LandingPageId, LinkId, NetworkConn, affiliates, campaigns, networks,
    tracking_links,
};
use serde_json::{Value, json};
use tenancy::affiliates::{self as affiliate_table, AffiliateStatus, managed_by};
use tenancy::audit::{self, Change};
use tenancy::{Author, ChangeError, Draft, Scope, taken, yes_or_empty};

use crate::campaigns::Campaign;
use crate::{landing_pages, promoters};

/// First path segments no tracking link may use, besides those of dialects.
const OWN_RESERVED: [&str; 4] = ["postback", "health", "static", "docs"];

/// All reserved segments.
static RESERVED: LazyLock<HashSet<&'static str>> = LazyLock::new(|| {
    OWN_RESERVED
        .into_iter()
        .chain(dialects::reserved_segments())
        .collect()
});

/// True if no tracking link may have this alias, because postbacks or pages of ours use the path.
#[must_use]
pub fn is_reserved(alias: &str) -> bool {
    RESERVED.contains(alias)
}

/// A tracking link as stored.
#[derive(Debug, Clone, HasQuery)]
#[diesel(table_name = tracking_links)]
pub struct Link {
    /// The link.
    pub id: LinkId,
    /// Path on the tracking host; case-sensitive.
    pub alias: String,
    /// Affiliate that earns the commission.
    pub affiliate_id: AffiliateId,
    /// Campaign that is promoted.
    pub campaign_id: CampaignId,
    /// Landing page; `None` for the campaign's destinations by weight.
    pub landing_page_id: Option<LandingPageId>,
    /// Default sub IDs.
    #[diesel(embed)]
    pub presets: Presets,
    /// True if its conversions are tests, which are never paid.
    pub is_test: bool,
    /// Version, counted up by each change.
    pub version: i32,
}

/// Default sub IDs of a link, for visits that bring none.
#[derive(Debug, Clone, Default, PartialEq, Eq, HasQuery, Insertable, AsChangeset)]
#[diesel(table_name = tracking_links, treat_none_as_null = true)]
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

/// Settings of a link that may change, checked. Affiliate, campaign, alias and test flag never change, because earlier
/// clicks carry them.
#[derive(Debug, Clone, PartialEq, Eq, AsChangeset)]
#[diesel(table_name = tracking_links, treat_none_as_null = true)]
pub struct LinkSettings {
    /// Landing page of the campaign; `None` for the campaign's destinations by weight.
    pub landing_page_id: Option<LandingPageId>,
    /// Default sub IDs.
    #[diesel(embed)]
    pub presets: Presets,
}

impl LinkSettings {
    /// Fields of a link's [`Draft`] that may change.
    pub const FIELDS: [&'static str; 6] = ["landing_page", "sub1", "sub2", "sub3", "sub4", "sub5"];

    /// Checks a draft for a link to this campaign and returns the settings, or `None` with the errors in the draft.
    ///
    /// # Errors
    /// Database errors.
    pub async fn check(
        conn: &mut NetworkConn,
        draft: &mut Draft,
        campaign_id: CampaignId,
    ) -> QueryResult<Option<Self>> {
        let landing_page = match draft.of("landing_page") {
            "" => Ok(None),
            text => landing_pages::known_as(conn, campaign_id, text)
                .await?
                .map(|page| Some(page.id))
                .ok_or("Choose one of the campaign's landing pages."),
        };
        let landing_page_id = draft.errors.take("landing_page", landing_page);
        let mut subs: [Option<String>; 5] = Default::default();
        for (field, sub) in SUBS.into_iter().zip(&mut subs) {
            *sub = draft.take(field, check_sub).flatten();
        }
        Ok(landing_page_id
            .filter(|_| draft.errors.is_empty())
            .map(|landing_page_id| Self {
                landing_page_id,
                presets: subs.into(),
            }))
    }

    fn to_json(&self) -> Value {
        let subs: [Option<String>; 5] = self.presets.clone().into();
        let mut fields = serde_json::Map::new();
        let landing_page = self.landing_page_id.map(|id| id.to_string());
        fields.insert("landing_page".to_owned(), landing_page.into());
        for (field, sub) in SUBS.into_iter().zip(subs) {
            fields.insert(field.to_owned(), sub.into());
        }
        Value::Object(fields)
    }
}

/// A link to create.
#[derive(Debug, Clone, Insertable)]
#[diesel(table_name = tracking_links)]
pub struct NewLink {
    /// Affiliate that earns the commission.
    pub affiliate_id: AffiliateId,
    /// Campaign that is promoted.
    pub campaign_id: CampaignId,
    /// Alias as accepted by [`is_alias`].
    pub alias: String,
    /// Landing page of the campaign; `None` for the campaign's destinations by weight.
    pub landing_page_id: Option<LandingPageId>,
    /// Default sub IDs.
    #[diesel(embed)]
    pub presets: Presets,
    /// True if its conversions are tests.
    pub is_test: bool,
}

impl NewLink {
    /// Settings that may change later.
    #[must_use]
    pub fn settings(&self) -> LinkSettings {
        LinkSettings {
            landing_page_id: self.landing_page_id,
            presets: self.presets.clone(),
        }
    }

    /// A link with nothing else set.
    #[must_use]
    pub fn plain(affiliate_id: AffiliateId, campaign_id: CampaignId, alias: &str) -> Self {
        Self {
            affiliate_id,
            campaign_id,
            alias: alias.to_owned(),
            landing_page_id: None,
            presets: Presets::default(),
            is_test: false,
        }
    }

    /// Fields of a link's [`Draft`].
    pub const FIELDS: [&'static str; 9] = [
        "affiliate",
        "alias",
        "landing_page",
        "sub1",
        "sub2",
        "sub3",
        "sub4",
        "sub5",
        "is_test",
    ];

    /// Checks a draft and returns the link, or `None` with the errors in the draft. The affiliate must be allowed to
    /// promote the campaign, unless the link is a test link. An empty alias becomes a random one.
    ///
    /// # Errors
    /// Database errors.
    pub async fn check(
        conn: &mut NetworkConn,
        draft: &mut Draft,
        campaign: &Campaign,
    ) -> QueryResult<Option<Self>> {
        let is_test = draft.is_set("is_test");
        let affiliate = match affiliate_table::known_as(conn, draft.of("affiliate")).await? {
            None => Err("Choose one of your affiliates."),
            Some(found) if found.status != AffiliateStatus::Active => {
                Err("This affiliate is not active: its links are inactive.")
            }
            Some(found) if !is_test && !promoters::may_promote(conn, campaign, found.id).await? => Err(
                "This affiliate may not promote the campaign. Approve the affiliate in the campaign's settings first.",
            ),
            Some(found) => Ok(found.id),
        };
        let affiliate_id = draft.errors.take("affiliate", affiliate);
        let alias = draft.take("alias", check_alias);
        let settings = LinkSettings::check(conn, draft, campaign.id).await?;
        Ok(affiliate_id
            .zip(alias)
            .zip(settings)
            .map(|((affiliate_id, alias), settings)| Self {
                affiliate_id,
                campaign_id: campaign.id,
                alias,
                landing_page_id: settings.landing_page_id,
                presets: settings.presets,
                is_test,
            }))
    }
}

impl Link {
    /// True if alias, affiliate, campaign and test flag are those of `wanted`.
    #[must_use]
    pub fn is_way_of(&self, wanted: &NewLink) -> bool {
        self.alias == wanted.alias
            && self.affiliate_id == wanted.affiliate_id
            && self.campaign_id == wanted.campaign_id
            && self.is_test == wanted.is_test
    }

    /// Current settings.
    #[must_use]
    pub fn settings(&self) -> LinkSettings {
        LinkSettings {
            landing_page_id: self.landing_page_id,
            presets: self.presets.clone(),
        }
    }

    /// The link as [`NewLink::check`] reads it.
    #[must_use]
    pub fn draft(&self) -> Draft {
        let presets: [Option<String>; 5] = self.presets.clone().into();
        let mut draft = Draft::with([
            ("affiliate", self.affiliate_id.to_string()),
            ("alias", self.alias.clone()),
            (
                "landing_page",
                self.landing_page_id.map(|id| id.to_string()).unwrap_or_default(),
            ),
            ("is_test", yes_or_empty(self.is_test)),
        ]);
        for (field, preset) in SUBS.into_iter().zip(presets) {
            draft.set(field, preset.unwrap_or_default());
        }
        draft
    }
}

/// Fields of the sub IDs in a link's [`Draft`].
pub const SUBS: [&str; 5] = ["sub1", "sub2", "sub3", "sub4", "sub5"];

/// Checks an alias; an empty text makes a random one.
fn check_alias(text: &str) -> Result<String, &'static str> {
    match text {
        "" => Ok(random_alias()),
        _ if !is_alias(text) => Err("Use at most 64 letters, digits, - and _."),
        _ if is_reserved(text) => Err("This word is reserved; choose a different one."),
        _ => Ok(text.to_owned()),
    }
}

/// Checks a sub ID; `None` for an empty text.
fn check_sub(text: &str) -> Result<Option<String>, &'static str> {
    match text.len() {
        0 => Ok(None),
        ..=256 if !text.contains(char::is_control) => Ok(Some(text.to_owned())),
        _ => Err("Use at most 256 characters, and no control characters."),
    }
}

/// True if a text is 1 to 64 letters, digits, `-` and `_`.
#[must_use]
pub fn is_alias(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    (1..=64).contains(&text.len()) && text.bytes().all(plain)
}

/// Returns a new alias of 10 random characters, so that links cannot be guessed from one another.
#[must_use]
pub fn random_alias() -> String {
    let mut alias = BASE32.encode(&rand::random::<[u8; 7]>());
    alias.truncate(10);
    alias
}

/// Creates a link.
///
/// # Errors
/// [`ChangeError::Fields`] when the alias is taken, [`ChangeError::Limit`] when the network has the maximum number of
/// links; when the database fails, or affiliate or campaign are not of this network (a foreign-key violation).
pub async fn create(
    conn: &mut NetworkConn,
    author: &Author,
    link: &NewLink,
    now: DateTime<Utc>,
) -> Result<Link, ChangeError> {
    if !author.scope.includes_affiliate(conn, link.affiliate_id).await? {
        return Err(ChangeError::field("affiliate", "Choose one of your affiliates."));
    }
    let network_id = conn.network_id();
    // Locked, so that concurrent requests cannot exceed the limit.
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
            "The network has the maximum number of tracking links ({made}). Ask the operator of this installation to raise the limit."
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
    let change = Change::created("link.create", made.id, &made.alias, after);
    audit::record(conn, author, change, now).await?;
    Ok(made)
}

/// Changes the landing page and default sub IDs of a link, from the next click on. If `version` is given, it must be
/// the current one.
///
/// # Errors
/// [`ChangeError::NotFound`] if no link has this id, [`ChangeError::Stale`] on an edit conflict; when the database
/// fails, or the landing page is not of this network (a foreign-key violation).
pub async fn update(
    conn: &mut NetworkConn,
    author: &Author,
    id: LinkId,
    version: Option<i32>,
    settings: &LinkSettings,
    now: DateTime<Utc>,
) -> Result<Link, ChangeError> {
    let network_id = conn.network_id();
    let old = find_visible(conn, author.scope, id).await?;
    if old.settings() == *settings {
        return Ok(old);
    }
    let updated: Link = diesel::update(
        tracking_links::table
            .find((network_id, id))
            .filter(tracking_links::version.eq(version.unwrap_or(old.version))),
    )
    .set((settings, tracking_links::version.eq(tracking_links::version + 1)))
    .returning(Link::as_select())
    .get_result(&mut **conn)
    .await
    .optional()?
    .ok_or(ChangeError::Stale)?;
    let (before, after) = (old.settings().to_json(), settings.to_json());
    let change = Change::between("link.update", id, &updated.alias, before, after);
    audit::record(conn, author, change, now).await?;
    Ok(updated)
}

/// The link with this id.
///
/// # Errors
/// Database errors.
pub async fn find(conn: &mut NetworkConn, id: LinkId) -> QueryResult<Option<Link>> {
    let network_id = conn.network_id();
    Link::query()
        .filter(
            tracking_links::network_id
                .eq(network_id)
                .and(tracking_links::id.eq(id)),
        )
        .first(&mut **conn)
        .await
        .optional()
}

/// The link with this alias.
///
/// # Errors
/// Database errors.
pub async fn of_alias(conn: &mut NetworkConn, alias: &str) -> QueryResult<Option<Link>> {
    let network_id = conn.network_id();
    Link::query()
        .filter(
            tracking_links::network_id
                .eq(network_id)
                .and(tracking_links::alias.eq(alias)),
        )
        .first(&mut **conn)
        .await
        .optional()
}

/// Filter of a list of links.
#[derive(Debug, Clone, Copy, Default)]
pub struct LinkFilter {
    /// Data the actor may see.
    pub scope: Scope,
    /// Only the link with this id.
    pub id: Option<LinkId>,
    /// Only links of this campaign.
    pub campaign_id: Option<CampaignId>,
    /// Only links of this affiliate.
    pub affiliate_id: Option<AffiliateId>,
    /// Only links after this id.
    pub after: Option<LinkId>,
}

/// Links by id: at most `limit`.
///
/// # Errors
/// Database errors.
pub async fn list(conn: &mut NetworkConn, filter: &LinkFilter, limit: i64) -> QueryResult<Vec<Link>> {
    let network_id = conn.network_id();
    let mut query = Link::query()
        .filter(tracking_links::network_id.eq(network_id))
        .order(tracking_links::id)
        .limit(limit)
        .into_boxed();
    if let Some(id) = filter.id {
        query = query.filter(tracking_links::id.eq(id));
    }
    if let Some(id) = filter.campaign_id {
        query = query.filter(tracking_links::campaign_id.eq(id));
    }
    for id in [filter.affiliate_id, filter.scope.affiliate]
        .into_iter()
        .flatten()
    {
        query = query.filter(tracking_links::affiliate_id.eq(id));
    }
    if let Some(id) = filter.scope.manager {
        query = query.filter(tracking_links::affiliate_id.eq_any(managed_by(network_id, id)));
    }
    if let Some(id) = filter.scope.advertiser {
        let theirs = campaigns::table
            .filter(campaigns::network_id.eq(network_id))
            .filter(campaigns::advertiser_id.eq(id))
            .select(campaigns::id);
        query = query.filter(tracking_links::campaign_id.eq_any(theirs));
    }
    if let Some(id) = filter.after {
        query = query.filter(tracking_links::id.gt(id));
    }
    query.load(&mut **conn).await
}

/// Link with this id, if it is within the scope.
///
/// # Errors
/// [`ChangeError::NotFound`] outside the scope, as for an id that does not exist; when the database fails.
pub async fn find_visible(conn: &mut NetworkConn, scope: Scope, id: LinkId) -> Result<Link, ChangeError> {
    let filter = LinkFilter {
        scope,
        id: Some(id),
        ..LinkFilter::default()
    };
    list(conn, &filter, 1).await?.pop().ok_or(ChangeError::NotFound)
}

/// Finds a link by its id or its alias.
///
/// # Errors
/// Database errors.
pub async fn known_as(conn: &mut NetworkConn, text: &str) -> QueryResult<Option<Link>> {
    let by_id = match text.parse() {
        Ok(id) => find(conn, id).await?,
        Err(_) => None,
    };
    match by_id {
        Some(link) => Ok(Some(link)),
        None => of_alias(conn, text).await,
    }
}

/// A link with the names of its affiliate and campaign.
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
/// Database errors.
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
    if let Some(manager) = scope.manager {
        query = query.filter(affiliates::manager_id.eq(manager));
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
