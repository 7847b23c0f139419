//! Shared state of [`Routing`]: one cache per kind of look-up, and their invalidation.

use std::hash::{Hash, Hasher};
use std::sync::{Arc, PoisonError, RwLock, Weak};
use std::time::{Duration, Instant};

use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use ipnet::IpNet;
use quick_cache::Equivalent;
use quick_cache::sync::Cache;
use schema::changes::Changed;
use schema::{
    AdvertiserId, AffiliateId, CampaignId, Changes, Db, GroupId, LandingPageId, LinkId, NetworkConn,
    NetworkId, tracking_links,
};
use serde::{Deserialize, Serialize};
use tenancy::affiliates::AffiliateStatus;
use tenancy::networks::{Network, ServedHosts};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tracing::{Instrument, debug_span};

use super::error::RoutingError;
use super::kept::Kept;
use super::promotion::Promotion;
use super::refreshing_cache::{Freshness, Loads, RefreshingCache};
use crate::coupons::Coupon;
use crate::integrations::{Integrations, TokenHash, TokenOwner};
use crate::links::Link;

/// Age at which an entry is reloaded while change notifications are lost; also the lifetime of an unknown key.
const UNNOTIFIED_RELOAD_AGE: Duration = Duration::from_secs(1);
/// Age at which an entry is reloaded without a notification.
const RELOAD_AGE: Duration = Duration::from_secs(60);
/// Maximum number of cached tracking links, about 150 bytes each.
const MAX_LINKS: usize = 1 << 20;
/// Maximum number of entries of each other cache.
const MAX_ENTRIES: usize = 100_000;

/// State of an affiliate that clicks and postbacks need.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct AffiliateState {
    /// Status of the affiliate.
    pub status: AffiliateStatus,
    /// Group whose commission rules apply; `None` for none.
    pub group_id: Option<GroupId>,
}

/// An advertiser's campaign, as postbacks without a click id name it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    /// The campaign.
    pub id: CampaignId,
    /// Identifier in the advertiser's system; `None` for none.
    pub external_id: Option<String>,
}

/// A cached link, without the configuration of its campaign and affiliate.
#[derive(Debug, Clone)]
pub(super) struct CachedLink {
    pub(super) link_id: LinkId,
    pub(super) affiliate_id: AffiliateId,
    pub(super) campaign_id: CampaignId,
    pub(super) landing_page_id: Option<LandingPageId>,
    pub(super) presets: Option<Arc<[Option<String>; 5]>>,
    pub(super) is_test: bool,
}

impl From<Link> for CachedLink {
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

/// The configuration in memory. Cheap to clone; all clones share one memory.
#[derive(Clone)]
pub struct Routing {
    pub(super) memory: Arc<Memory>,
}

pub(super) struct Memory {
    pub(super) db: Db,
    pub(super) changes: Changes,
    /// Tracking hosts of networks that are served.
    pub(super) served_hosts: ServedHosts,
    /// Configuration that this node kept for clicks.
    kept: RwLock<Arc<Kept>>,
    pub(super) loads: Arc<Loads>,
    pub(super) hosts: RefreshingCache<String, Option<Arc<Network>>>,
    pub(super) networks: RefreshingCache<NetworkId, Option<Arc<Network>>>,
    pub(super) slugs: RefreshingCache<String, Option<Arc<Network>>>,
    pub(super) aliases: Cache<Alias, CachedLink>,
    pub(super) unknown_aliases: Cache<Alias, Instant>,
    pub(super) links: Cache<(NetworkId, LinkId), CachedLink>,
    pub(super) unknown_links: Cache<(NetworkId, LinkId), Instant>,
    pub(super) promotions: RefreshingCache<(NetworkId, CampaignId), Option<Arc<Promotion>>>,
    pub(super) affiliates: RefreshingCache<(NetworkId, AffiliateId), Option<AffiliateState>>,
    pub(super) affiliate_keys: RefreshingCache<(NetworkId, String), Option<AffiliateId>>,
    pub(super) references: RefreshingCache<(NetworkId, String), Option<AdvertiserId>>,
    pub(super) allowed_addresses: RefreshingCache<NetworkId, Arc<Vec<(IpNet, AdvertiserId)>>>,
    pub(super) tokens: RefreshingCache<(NetworkId, TokenHash), Option<TokenOwner>>,
    pub(super) integrations: RefreshingCache<(NetworkId, AdvertiserId), Arc<Integrations>>,
    pub(super) advertisers: RefreshingCache<(NetworkId, AdvertiserId), Arc<Vec<Named>>>,
    pub(super) coupons: RefreshingCache<(NetworkId, AdvertiserId, String), Arc<Vec<Coupon>>>,
    pub(super) oldest_links: RefreshingCache<(NetworkId, AffiliateId, CampaignId), Option<LinkId>>,
}

impl Routing {
    /// Creates an empty memory, filled by look-ups. All tracking hosts of networks are served.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    #[must_use]
    pub fn new(db: Db, changes: Changes) -> Self {
        Self::with_kept(db, changes, Kept::default(), ServedHosts::All)
    }

    /// Creates a memory filled by look-ups, with a substitute for clicks while the database does not answer: what this node
    /// kept.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    #[must_use]
    pub fn with_kept(db: Db, changes: Changes, kept: Kept, served_hosts: ServedHosts) -> Self {
        let notifications = changes.each();
        let loads = Arc::<Loads>::default();
        let memory = Arc::new(Memory {
            kept: RwLock::new(Arc::new(kept)),
            db,
            changes,
            served_hosts,
            hosts: RefreshingCache::new("hosts", MAX_ENTRIES, &loads),
            networks: RefreshingCache::new("networks", MAX_ENTRIES, &loads),
            slugs: RefreshingCache::new("slugs", MAX_ENTRIES, &loads),
            aliases: Cache::new(MAX_LINKS),
            unknown_aliases: Cache::new(MAX_ENTRIES),
            links: Cache::new(MAX_LINKS),
            unknown_links: Cache::new(MAX_ENTRIES),
            promotions: RefreshingCache::new("promotions", MAX_ENTRIES, &loads),
            affiliates: RefreshingCache::new("affiliates", MAX_ENTRIES, &loads),
            affiliate_keys: RefreshingCache::new("affiliate_keys", MAX_ENTRIES, &loads),
            references: RefreshingCache::new("references", MAX_ENTRIES, &loads),
            allowed_addresses: RefreshingCache::new("allowed_addresses", MAX_ENTRIES, &loads),
            tokens: RefreshingCache::new("tokens", MAX_ENTRIES, &loads),
            integrations: RefreshingCache::new("integrations", MAX_ENTRIES, &loads),
            advertisers: RefreshingCache::new("advertisers", MAX_ENTRIES, &loads),
            coupons: RefreshingCache::new("coupons", MAX_ENTRIES, &loads),
            oldest_links: RefreshingCache::new("oldest_links", MAX_ENTRIES, &loads),
            loads,
        });
        tokio::spawn(invalidate_links(Arc::downgrade(&memory), notifications));
        Self { memory }
    }
}

impl Memory {
    /// Configuration that this node kept for clicks.
    pub(super) fn kept(&self) -> Arc<Kept> {
        let kept = self.kept.read().unwrap_or_else(PoisonError::into_inner);
        kept.clone()
    }

    pub(super) fn keep(&self, kept: Arc<Kept>) {
        *self.kept.write().unwrap_or_else(PoisonError::into_inner) = kept;
    }

    /// Queries a link. Callers box the future: misses are rare, and hits should not pay for its size.
    pub(super) async fn query_link(
        &self,
        network_id: NetworkId,
        wanted: Wanted<'_>,
    ) -> Result<Option<CachedLink>, RoutingError> {
        let span = debug_span!("routing_miss", cache = "links", network = %network_id, ?wanted);
        let query = async {
            let mut conn = self.db.network(network_id).await?;
            let found = find_link(&mut conn, wanted).await?;
            conn.commit().await?;
            Ok(found)
        };
        query.instrument(span).await
    }

    /// Queries a link by its alias, and remembers it.
    pub(super) async fn query_alias(
        &self,
        network_id: NetworkId,
        alias: &str,
    ) -> Result<Option<CachedLink>, RoutingError> {
        let queried_at = Instant::now();
        let found = self.query_link(network_id, Wanted::Alias(alias)).await?;
        let key = Alias {
            network_id,
            alias: alias.into(),
        };
        match &found {
            Some(link) => self.aliases.insert(key, link.clone()),
            None => self.unknown_aliases.insert(key, queried_at),
        }
        self.loads.add();
        Ok(found)
    }

    /// Freshness of an entry of this network loaded at this time. `None` stands for a key that was not found: it belongs
    /// to no network, so no notification can announce its change.
    pub(super) fn freshness(&self, network_id: Option<NetworkId>, at: Instant) -> Freshness {
        let is_unchanged = network_id.map(|id| self.changes.none_since(id, at));
        match is_unchanged {
            Some(false) => Freshness::Stale,
            Some(true) if self.changes.are_heard() => {
                if at.elapsed() < RELOAD_AGE {
                    Freshness::Good
                } else {
                    Freshness::Aged
                }
            }
            _ if at.elapsed() < UNNOTIFIED_RELOAD_AGE => Freshness::Good,
            // Callers do not wait for a value that is probably the same: Postgres is slow, or notifications would arrive.
            Some(true) => Freshness::Aged,
            None => Freshness::Stale,
        }
    }

    /// True if a link was queried at this time, not found, and still cannot exist.
    pub(super) fn is_unknown(&self, network_id: NetworkId, queried_at: Option<Instant>) -> bool {
        queried_at.is_some_and(|at| matches!(self.freshness(Some(network_id), at), Freshness::Good))
    }
}

/// Drops links from the memory when their changes are notified. Ends when the memory is dropped.
async fn invalidate_links(memory: Weak<Memory>, mut notifications: Receiver<Changed>) {
    loop {
        let changed = notifications.recv().await;
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
                if let Some((_, link)) = memory.aliases.remove(&key) {
                    memory.links.remove(&(network_id, link.link_id));
                }
            }
            Ok(_) => {}
            // Notifications were missed: any link may have changed.
            Err(RecvError::Lagged(_)) => {
                memory.aliases.clear();
                memory.links.clear();
            }
            Err(RecvError::Closed) => return,
        }
    }
}

/// Network and alias of a link.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Alias {
    pub(super) network_id: NetworkId,
    pub(super) alias: Box<str>,
}

/// Borrowed [`Alias`], so that a look-up allocates nothing.
pub(super) struct AliasRef<'a> {
    pub(super) network_id: NetworkId,
    pub(super) alias: &'a str,
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

/// Key of a queried link.
#[derive(Debug)]
pub(super) enum Wanted<'a> {
    Alias(&'a str),
    Id(LinkId),
}

async fn find_link(conn: &mut NetworkConn, wanted: Wanted<'_>) -> QueryResult<Option<CachedLink>> {
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
    Ok(found.map(CachedLink::from))
}
