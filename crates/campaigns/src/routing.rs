//! What the click and postback paths need to know of the configuration, kept in memory.
//!
//! What is asked for is loaded once and kept until [`Changes`] says that its network changed: a change made anywhere is
//! in force everywhere at once, and a link that is clicked a thousand times a second costs no query. While changes
//! cannot be heard, entries are looked up again every second, and used meanwhile; while the database does not answer,
//! the last that was known goes on being used, because refusing visitors over an old entry helps nobody.

mod promotion;
mod remembered;
mod without_click;

use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::time::{Duration, Instant};

use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use quick_cache::Equivalent;
use quick_cache::sync::Cache;
use schema::changes::Changed;
use schema::{
    AdvertiserId, AffiliateId, CampaignId, Changes, Db, DbError, GroupId, LandingPageId, LinkId, NetworkConn,
    NetworkId, affiliates, tracking_links,
};
use tenancy::affiliates::AffiliateStatus;
use tenancy::networks::Network;
use tenancy::unscoped;
use tokio::sync::broadcast::error::RecvError;

use self::promotion::load_promotion;
pub use self::promotion::{Promotion, Weighted};
use self::remembered::{Freshness, Remembered};
pub use self::without_click::Named;
use crate::DestinationError;
use crate::campaigns::Campaign;
use crate::coupons::Coupon;
use crate::integrations::{self, Integrations, TokenHash, TokenOwner};
use crate::links::{Link, is_alias};

/// After how long an entry is looked up again while changes are not heard; and how long something unknown stays unknown.
const UNHEARD: Duration = Duration::from_secs(1);
/// After how long an entry is looked up again although nothing was heard.
const RESYNC: Duration = Duration::from_secs(60);
/// How many tracking links are kept: about 150 bytes each.
const LINKS: usize = 1 << 20;
/// How many entries each other cache holds at most.
const ENTRIES: usize = 100_000;

/// Longest name of a host with its port, in bytes.
const LONGEST_HOST: usize = 260;

/// What clicks and postbacks need to know of an affiliate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// Whether they are worked with.
    pub status: AffiliateStatus,
    /// Whom they are treated with.
    pub group_id: Option<GroupId>,
}

/// A tracking link with all that a click or a postback through it needs.
#[derive(Debug, Clone)]
pub struct Route {
    /// The link.
    pub link_id: LinkId,
    /// Who earns.
    pub affiliate_id: AffiliateId,
    /// How they stand.
    pub affiliate: Standing,
    /// Where it leads, if not to the campaign's destinations by weight.
    pub landing_page_id: Option<LandingPageId>,
    /// What its sub ids are where a visit brings none.
    pub presets: Option<Arc<[Option<String>; 5]>>,
    /// Whether its conversions are tests.
    pub is_test: bool,
    /// What is promoted.
    pub promotion: Arc<Promotion>,
}

impl Route {
    /// The campaign that is promoted.
    #[must_use]
    pub fn campaign(&self) -> &Campaign {
        &self.promotion.campaign
    }
}

/// Why the configuration could not be had.
#[derive(Debug, thiserror::Error)]
pub enum RoutingError {
    /// The database failed.
    #[error(transparent)]
    Db(#[from] DbError),
    /// A destination in the database does not pass the check that every saved one passed.
    #[error("stored destination: {0}")]
    Destination(#[from] DestinationError),
}

impl From<diesel::result::Error> for RoutingError {
    fn from(error: diesel::result::Error) -> Self {
        Self::Db(error.into())
    }
}

/// A link without what is known of its parties.
#[derive(Debug, Clone)]
struct Ends {
    link_id: LinkId,
    affiliate_id: AffiliateId,
    campaign_id: CampaignId,
    landing_page_id: Option<LandingPageId>,
    presets: Option<Arc<[Option<String>; 5]>>,
    is_test: bool,
}

impl From<Link> for Ends {
    fn from(link: Link) -> Self {
        let presets: [Option<String>; 5] = link.presets.into();
        Self {
            link_id: link.id,
            affiliate_id: link.affiliate_id,
            campaign_id: link.campaign_id,
            landing_page_id: link.landing_page_id,
            presets: presets.iter().any(Option::is_some).then(|| Arc::new(presets)),
            is_test: link.is_test,
        }
    }
}

/// The configuration in memory. Cheap to clone; all clones share it.
#[derive(Clone)]
pub struct Routing {
    memory: Arc<Memory>,
}

struct Memory {
    db: Db,
    changes: Changes,
    hosts: Remembered<String, Option<Arc<Network>>>,
    networks: Remembered<NetworkId, Option<Arc<Network>>>,
    slugs: Remembered<String, Option<Arc<Network>>>,
    aliases: Cache<Alias, Ends>,
    unknown_aliases: Cache<Alias, Instant>,
    links: Cache<(NetworkId, LinkId), Ends>,
    unknown_links: Cache<(NetworkId, LinkId), Instant>,
    promotions: Remembered<(NetworkId, CampaignId), Option<Arc<Promotion>>>,
    affiliates: Remembered<(NetworkId, AffiliateId), Option<Standing>>,
    affiliate_keys: Remembered<(NetworkId, String), Option<AffiliateId>>,
    tokens: Remembered<(NetworkId, TokenHash), Option<TokenOwner>>,
    integrations: Remembered<(NetworkId, AdvertiserId), Arc<Integrations>>,
    advertisers: Remembered<(NetworkId, AdvertiserId), Arc<Vec<Named>>>,
    coupons: Remembered<(NetworkId, AdvertiserId, String), Arc<Vec<Coupon>>>,
    oldest_links: Remembered<(NetworkId, AffiliateId, CampaignId), Option<LinkId>>,
}

impl Routing {
    /// Starts empty; fills as it is asked.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    #[must_use]
    pub fn new(db: Db, changes: Changes) -> Self {
        let heard = changes.each();
        let memory = Arc::new(Memory {
            db,
            changes,
            hosts: Remembered::new(ENTRIES),
            networks: Remembered::new(ENTRIES),
            slugs: Remembered::new(ENTRIES),
            aliases: Cache::new(LINKS),
            unknown_aliases: Cache::new(ENTRIES),
            links: Cache::new(LINKS),
            unknown_links: Cache::new(ENTRIES),
            promotions: Remembered::new(ENTRIES),
            affiliates: Remembered::new(ENTRIES),
            affiliate_keys: Remembered::new(ENTRIES),
            tokens: Remembered::new(ENTRIES),
            integrations: Remembered::new(ENTRIES),
            advertisers: Remembered::new(ENTRIES),
            coupons: Remembered::new(ENTRIES),
            oldest_links: Remembered::new(ENTRIES),
        });
        tokio::spawn(forget_links(Arc::downgrade(&memory), heard));
        Self { memory }
    }

    /// The network whose tracking host this is.
    ///
    /// # Errors
    /// When the database fails and nothing was known.
    pub async fn network(&self, host: &str) -> Result<Option<Arc<Network>>, RoutingError> {
        // What no host is like must not fill the memory.
        if host.len() > LONGEST_HOST {
            return Ok(None);
        }
        let load = |memory: Arc<Memory>, host: String| async move {
            Ok(unscoped::network_of_host(&memory.db, &host).await?.map(Arc::new))
        };
        let memory = &self.memory;
        memory
            .hosts
            .get(host, memory, |found, at| memory.freshness(id_of(found), at), load)
            .await
    }

    /// The network that the shared host knows by this slug.
    ///
    /// # Errors
    /// As [`Routing::network`].
    pub async fn network_of_slug(&self, slug: &str) -> Result<Option<Arc<Network>>, RoutingError> {
        let load = |memory: Arc<Memory>, slug: String| async move {
            Ok(unscoped::network_of_slug(&memory.db, &slug).await?.map(Arc::new))
        };
        let memory = &self.memory;
        memory
            .slugs
            .get(slug, memory, |found, at| memory.freshness(id_of(found), at), load)
            .await
    }

    /// The network with this id.
    ///
    /// # Errors
    /// As [`Routing::network`].
    pub async fn network_of_id(&self, id: NetworkId) -> Result<Option<Arc<Network>>, RoutingError> {
        let load = |memory: Arc<Memory>, id: NetworkId| async move {
            Ok(unscoped::network_of_id(&memory.db, id).await?.map(Arc::new))
        };
        let memory = &self.memory;
        memory
            .networks
            .get(&id, memory, |_, at| memory.freshness(Some(id), at), load)
            .await
    }

    /// The link with this alias.
    ///
    /// # Errors
    /// As [`Routing::network`].
    pub async fn alias(&self, network_id: NetworkId, alias: &str) -> Result<Option<Route>, RoutingError> {
        if !is_alias(alias) {
            return Ok(None);
        }
        let memory = &self.memory;
        let key = AliasRef { network_id, alias };
        let ends = match memory.aliases.get(&key) {
            Some(ends) => Some(ends),
            None if memory.is_unknown(network_id, memory.unknown_aliases.get(&key)) => None,
            None => {
                let looked_at = Instant::now();
                let found = Box::pin(memory.look_up(network_id, Wanted::Alias(alias))).await?;
                let key = Alias {
                    network_id,
                    alias: alias.into(),
                };
                match &found {
                    Some(ends) => memory.aliases.insert(key, ends.clone()),
                    None => memory.unknown_aliases.insert(key, looked_at),
                }
                found
            }
        };
        self.complete(network_id, ends).await
    }

    /// The link with this id.
    ///
    /// # Errors
    /// As [`Routing::network`].
    pub async fn route(&self, network_id: NetworkId, link_id: LinkId) -> Result<Option<Route>, RoutingError> {
        let memory = &self.memory;
        let key = (network_id, link_id);
        let ends = match memory.links.get(&key) {
            Some(ends) => Some(ends),
            None if memory.is_unknown(network_id, memory.unknown_links.get(&key)) => None,
            None => {
                let looked_at = Instant::now();
                let found = Box::pin(memory.look_up(network_id, Wanted::Id(link_id))).await?;
                match &found {
                    Some(ends) => memory.links.insert(key, ends.clone()),
                    None => memory.unknown_links.insert(key, looked_at),
                }
                found
            }
        };
        self.complete(network_id, ends).await
    }

    /// Whose postback token has this hash.
    ///
    /// # Errors
    /// As [`Routing::network`].
    pub async fn token_owner(
        &self,
        network_id: NetworkId,
        token: TokenHash,
    ) -> Result<Option<TokenOwner>, RoutingError> {
        let load = |memory: Arc<Memory>, (network_id, token): (NetworkId, TokenHash)| async move {
            let mut conn = memory.db.network(network_id).await?;
            let owner = integrations::owner_of_token(&mut conn, &token).await?;
            conn.commit().await?;
            Ok(owner)
        };
        let memory = &self.memory;
        let freshness = |_: &_, at| memory.freshness(Some(network_id), at);
        memory
            .tokens
            .get(&(network_id, token), memory, freshness, load)
            .await
    }

    /// How an advertiser's server talks to us, for all its campaigns and for those that have an integration of their own.
    ///
    /// # Errors
    /// As [`Routing::network`].
    pub async fn integrations(
        &self,
        network_id: NetworkId,
        advertiser_id: AdvertiserId,
    ) -> Result<Arc<Integrations>, RoutingError> {
        let load = |memory: Arc<Memory>, (network_id, id): (NetworkId, AdvertiserId)| async move {
            let mut conn = memory.db.network(network_id).await?;
            let found = integrations::of_advertiser(&mut conn, id).await?;
            conn.commit().await?;
            Ok(Arc::new(found))
        };
        let memory = &self.memory;
        let freshness = |_: &_, at| memory.freshness(Some(network_id), at);
        memory
            .integrations
            .get(&(network_id, advertiser_id), memory, freshness, load)
            .await
    }

    async fn complete(
        &self,
        network_id: NetworkId,
        ends: Option<Ends>,
    ) -> Result<Option<Route>, RoutingError> {
        let Some(ends) = ends else { return Ok(None) };
        let promotion = self.promotion(network_id, ends.campaign_id).await?;
        let standing = self.standing(network_id, ends.affiliate_id).await?;
        Ok(promotion.zip(standing).map(|(promotion, affiliate)| Route {
            link_id: ends.link_id,
            affiliate_id: ends.affiliate_id,
            affiliate,
            landing_page_id: ends.landing_page_id,
            presets: ends.presets,
            is_test: ends.is_test,
            promotion,
        }))
    }

    /// What a campaign means for its clicks and postbacks.
    ///
    /// # Errors
    /// As [`Routing::network`].
    pub async fn promotion(
        &self,
        network_id: NetworkId,
        campaign_id: CampaignId,
    ) -> Result<Option<Arc<Promotion>>, RoutingError> {
        let load = |memory: Arc<Memory>, (network_id, campaign_id): (NetworkId, CampaignId)| async move {
            let mut conn = memory.db.network(network_id).await?;
            let promotion = load_promotion(&mut conn, campaign_id).await?;
            conn.commit().await?;
            Ok(promotion.map(Arc::new))
        };
        let memory = &self.memory;
        let freshness = |_: &_, at| memory.freshness(Some(network_id), at);
        memory
            .promotions
            .get(&(network_id, campaign_id), memory, freshness, load)
            .await
    }

    async fn standing(
        &self,
        network_id: NetworkId,
        affiliate_id: AffiliateId,
    ) -> Result<Option<Standing>, RoutingError> {
        let load = |memory: Arc<Memory>, (network_id, affiliate_id): (NetworkId, AffiliateId)| async move {
            let mut conn = memory.db.network(network_id).await?;
            let found: Option<(AffiliateStatus, Option<GroupId>)> = affiliates::table
                .find((network_id, affiliate_id))
                .select((affiliates::status, affiliates::group_id))
                .first(&mut *conn)
                .await
                .optional()?;
            conn.commit().await?;
            Ok(found.map(|(status, group_id)| Standing { status, group_id }))
        };
        let memory = &self.memory;
        let freshness = |_: &_, at| memory.freshness(Some(network_id), at);
        memory
            .affiliates
            .get(&(network_id, affiliate_id), memory, freshness, load)
            .await
    }
}

impl Memory {
    /// Asks the database. Boxed by those who call it: it is rare, and whoever finds what they want in memory need not
    /// make room for it.
    async fn look_up(&self, network_id: NetworkId, wanted: Wanted<'_>) -> Result<Option<Ends>, RoutingError> {
        let mut conn = self.db.network(network_id).await?;
        let found = ends(&mut conn, wanted).await?;
        conn.commit().await?;
        Ok(found)
    }

    /// Whether something of this network that was loaded then is still to be believed. What was not found belongs to
    /// nobody, so no change of it is heard.
    fn freshness(&self, network_id: Option<NetworkId>, at: Instant) -> Freshness {
        let heard = network_id.map(|id| self.changes.none_since(id, at));
        match heard {
            Some(false) => Freshness::Stale,
            Some(true) if self.changes.are_heard() => match at.elapsed() < RESYNC {
                true => Freshness::Good,
                false => Freshness::Aged,
            },
            _ if at.elapsed() < UNHEARD => Freshness::Good,
            // Nobody waits for what is likely the same: Postgres is slow, or we would hear.
            Some(true) => Freshness::Aged,
            None => Freshness::Stale,
        }
    }

    /// Whether a link that was looked for then, if ever, and not found, still does not exist.
    fn is_unknown(&self, network_id: NetworkId, looked_for: Option<Instant>) -> bool {
        looked_for.is_some_and(|at| matches!(self.freshness(Some(network_id), at), Freshness::Good))
    }
}

fn id_of(network: &Option<Arc<Network>>) -> Option<NetworkId> {
    network.as_ref().map(|network| network.id)
}

/// Forgets links as changes of them are heard, for as long as anybody uses the memory.
async fn forget_links(memory: std::sync::Weak<Memory>, mut heard: tokio::sync::broadcast::Receiver<Changed>) {
    loop {
        let changed = heard.recv().await;
        let Some(memory) = memory.upgrade() else { return };
        match changed {
            Ok(Changed {
                network_id,
                kind,
                name,
            }) if kind == "link" => {
                let key = AliasRef {
                    network_id,
                    alias: &name,
                };
                if let Some((_, ends)) = memory.aliases.remove(&key) {
                    memory.links.remove(&(network_id, ends.link_id));
                }
            }
            Ok(_) => {}
            // More changes than could be taken in: begin again.
            Err(RecvError::Lagged(_)) => {
                memory.aliases.clear();
                memory.links.clear();
            }
            Err(RecvError::Closed) => return,
        }
    }
}

/// A link by its network and alias.
#[derive(PartialEq, Eq)]
struct Alias {
    network_id: NetworkId,
    alias: Box<str>,
}

/// The same, borrowed: looking a link up allocates nothing.
struct AliasRef<'a> {
    network_id: NetworkId,
    alias: &'a str,
}

impl Hash for Alias {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.network_id, &*self.alias).hash(state);
    }
}

impl Hash for AliasRef<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.network_id, self.alias).hash(state);
    }
}

impl Equivalent<Alias> for AliasRef<'_> {
    fn equivalent(&self, key: &Alias) -> bool {
        self.network_id == key.network_id && *self.alias == *key.alias
    }
}

enum Wanted<'a> {
    Alias(&'a str),
    Id(LinkId),
}

async fn ends(conn: &mut NetworkConn, wanted: Wanted<'_>) -> QueryResult<Option<Ends>> {
    let network_id = conn.network_id();
    let mut query = tracking_links::table
        .filter(tracking_links::network_id.eq(network_id))
        .select(Link::as_select())
        .into_boxed();
    query = match wanted {
        Wanted::Alias(alias) => query.filter(tracking_links::alias.eq(alias)),
        Wanted::Id(id) => query.filter(tracking_links::id.eq(id)),
    };
    let found: Option<Link> = query.first(&mut **conn).await.optional()?;
    Ok(found.map(Ends::from))
}
