//! Configuration that clicks and postbacks need, cached in memory.
//!
//! An entry is loaded on first use and cached until [`Changes`](schema::Changes) notifies a change of its network: a change
//! takes effect everywhere at once, and a link clicked a thousand times a second costs no query. While notifications are
//! lost, entries are reloaded every second; while the database does not answer, the last known entry stays in use,
//! because refusing visitors would be worse than an outdated entry.

mod error;
mod kept;
mod memory;
mod promotion;
mod refreshing_cache;
mod without_click;

use std::sync::Arc;
use std::time::Instant;

use chrono::{DateTime, Utc};

use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use schema::{
    AdvertiserId, AffiliateId, CampaignId, GoalId, GroupId, LandingPageId, LinkId, NetworkId, affiliates,
};
use tenancy::affiliates::AffiliateStatus;
use tenancy::networks::Network;
use tenancy::unscoped;

pub use self::error::RoutingError;
pub use self::kept::{Keeper, Kept, KeptError};
pub use self::memory::{AffiliateState, Named, Routing};
use self::memory::{AliasRef, CachedLink, Memory, Wanted};
use self::promotion::load_promotion;
pub use self::promotion::{Promotion, Weighted};
use crate::campaigns::Campaign;
use crate::integrations::{self, Integrations, TokenHash, TokenOwner};
use crate::links::is_alias;
use crate::rules::{self, Rule};

/// Maximum length of a host name with its port, in bytes.
const MAX_HOST_LENGTH: usize = 260;

/// A tracking link with all configuration that a click or a postback through it needs.
#[derive(Debug, Clone)]
pub struct Route {
    /// The link.
    pub link_id: LinkId,
    /// Affiliate that earns the commission.
    pub affiliate_id: AffiliateId,
    /// State of the affiliate.
    pub affiliate: AffiliateState,
    /// Landing page; `None` for the campaign's destinations by weight.
    pub landing_page_id: Option<LandingPageId>,
    /// Default sub IDs; `None` if all are empty.
    pub presets: Option<Arc<[Option<String>; 5]>>,
    /// True if its conversions are tests.
    pub is_test: bool,
    /// Configuration of the campaign.
    pub promotion: Arc<Promotion>,
}

impl Route {
    /// Campaign that is promoted.
    #[must_use]
    pub fn campaign(&self) -> &Campaign {
        &self.promotion.campaign
    }
}

/// Use of configuration.
#[derive(Clone, Copy)]
enum Use {
    /// Redirect of a visitor: while the database does not answer, by what this node kept.
    Click,
    /// Decision about a postback, which waits for the database.
    Decision,
}

impl Use {
    fn kept(self, memory: &Memory) -> Option<Arc<Kept>> {
        match self {
            Self::Click => Some(memory.kept()),
            Self::Decision => None,
        }
    }
}

impl Routing {
    /// Network with this tracking host, if the host is served.
    ///
    /// # Errors
    /// [`RoutingError`] if the database fails and no cached entry exists.
    pub async fn network(&self, host: &str) -> Result<Option<Arc<Network>>, RoutingError> {
        // Overlong names must not fill the cache.
        if host.len() > MAX_HOST_LENGTH {
            return Ok(None);
        }
        let load = |memory: Arc<Memory>, host: String| async move {
            Ok(unscoped::network_of_host(&memory.db, &host, memory.served_hosts)
                .await?
                .map(Arc::new))
        };
        let memory = &self.memory;
        memory
            .hosts
            .get_or(
                host,
                memory,
                |found, at| memory.freshness(id_of(found), at),
                || memory.kept().hosts.get(host).cloned().map(Some),
                load,
            )
            .await
    }

    /// Network with this slug on the shared host.
    ///
    /// # Errors
    /// The same as [`Routing::network`].
    pub async fn network_of_slug(&self, slug: &str) -> Result<Option<Arc<Network>>, RoutingError> {
        let load = |memory: Arc<Memory>, slug: String| async move {
            Ok(unscoped::network_of_slug(&memory.db, &slug).await?.map(Arc::new))
        };
        let memory = &self.memory;
        memory
            .slugs
            .get_or(
                slug,
                memory,
                |found, at| memory.freshness(id_of(found), at),
                || memory.kept().slugs.get(slug).cloned().map(Some),
                load,
            )
            .await
    }

    /// The network with this id.
    ///
    /// # Errors
    /// The same as [`Routing::network`].
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
    /// The same as [`Routing::network`].
    pub async fn alias(&self, network_id: NetworkId, alias: &str) -> Result<Option<Route>, RoutingError> {
        if !is_alias(alias) {
            return Ok(None);
        }
        let memory = &self.memory;
        let key = AliasRef { network_id, alias };
        let link = match memory.aliases.get(&key) {
            Some(link) => Some(link),
            None if memory.is_unknown(network_id, memory.unknown_aliases.get(&key)) => None,
            None => {
                let kept = memory.kept().links.get(&(network_id, alias.into())).cloned();
                let querying = Box::pin(memory.query_alias(network_id, alias));
                match kept {
                    Some(kept) => memory.loads.or(Some(kept), querying).await,
                    None => querying.await?,
                }
            }
        };
        self.complete(network_id, link, Use::Click).await
    }

    /// The link with this id.
    ///
    /// # Errors
    /// The same as [`Routing::network`].
    pub async fn route(&self, network_id: NetworkId, link_id: LinkId) -> Result<Option<Route>, RoutingError> {
        let memory = &self.memory;
        let key = (network_id, link_id);
        let link = match memory.links.get(&key) {
            Some(link) => Some(link),
            None if memory.is_unknown(network_id, memory.unknown_links.get(&key)) => None,
            None => {
                let queried_at = Instant::now();
                let found = Box::pin(memory.query_link(network_id, Wanted::Id(link_id))).await?;
                match &found {
                    Some(link) => memory.links.insert(key, link.clone()),
                    None => memory.unknown_links.insert(key, queried_at),
                }
                found
            }
        };
        self.complete(network_id, link, Use::Decision).await
    }

    /// Owner of the postback token with this hash.
    ///
    /// # Errors
    /// The same as [`Routing::network`].
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

    /// True if the token with this hash was that of an advertiser when it was used last on this node.
    #[must_use]
    pub fn remembers_token(&self, network_id: NetworkId, token: TokenHash) -> bool {
        let found = self.memory.tokens.peek(&(network_id, token));
        found.flatten().is_some()
    }

    /// Integrations of an advertiser: the general one and those of single campaigns.
    ///
    /// # Errors
    /// The same as [`Routing::network`].
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
        link: Option<CachedLink>,
        used_for: Use,
    ) -> Result<Option<Route>, RoutingError> {
        let Some(link) = link else { return Ok(None) };
        let promotion = self.promotion_for(network_id, link.campaign_id, used_for).await?;
        let affiliate_state = self
            .affiliate_state(network_id, link.affiliate_id, used_for)
            .await?;
        Ok(promotion
            .zip(affiliate_state)
            .map(|(promotion, affiliate)| Route {
                link_id: link.link_id,
                affiliate_id: link.affiliate_id,
                affiliate,
                landing_page_id: link.landing_page_id,
                presets: link.presets,
                is_test: link.is_test,
                promotion,
            }))
    }

    /// Configuration of a campaign that its clicks and postbacks need.
    ///
    /// # Errors
    /// The same as [`Routing::network`].
    pub async fn promotion(
        &self,
        network_id: NetworkId,
        campaign_id: CampaignId,
    ) -> Result<Option<Arc<Promotion>>, RoutingError> {
        self.promotion_for(network_id, campaign_id, Use::Decision).await
    }

    async fn promotion_for(
        &self,
        network_id: NetworkId,
        campaign_id: CampaignId,
        used_for: Use,
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
            .get_or(
                &(network_id, campaign_id),
                memory,
                freshness,
                || {
                    let kept = used_for.kept(memory)?;
                    kept.promotions.get(&(network_id, campaign_id)).cloned().map(Some)
                },
                load,
            )
            .await
    }

    /// Commission rules of a goal that were in force at a moment, by position: for orders that are older than the rules in
    /// memory.
    ///
    /// # Errors
    /// Returns an error if the database fails.
    pub async fn rules_at(
        &self,
        network_id: NetworkId,
        goal_id: GoalId,
        at: DateTime<Utc>,
    ) -> Result<Vec<Rule>, RoutingError> {
        let mut conn = self.memory.db.network(network_id).await?;
        let found = rules::of_goal_at(&mut conn, goal_id, at).await?;
        conn.commit().await?;
        Ok(found)
    }

    async fn affiliate_state(
        &self,
        network_id: NetworkId,
        affiliate_id: AffiliateId,
        used_for: Use,
    ) -> Result<Option<AffiliateState>, RoutingError> {
        let load = |memory: Arc<Memory>, (network_id, affiliate_id): (NetworkId, AffiliateId)| async move {
            let mut conn = memory.db.network(network_id).await?;
            let found: Option<(AffiliateStatus, Option<GroupId>)> = affiliates::table
                .find((network_id, affiliate_id))
                .select((affiliates::status, affiliates::group_id))
                .first(&mut *conn)
                .await
                .optional()?;
            conn.commit().await?;
            Ok(found.map(|(status, group_id)| AffiliateState { status, group_id }))
        };
        let memory = &self.memory;
        let freshness = |_: &_, at| memory.freshness(Some(network_id), at);
        memory
            .affiliates
            .get_or(
                &(network_id, affiliate_id),
                memory,
                freshness,
                || {
                    let kept = used_for.kept(memory)?;
                    kept.affiliates
                        .get(&(network_id, affiliate_id))
                        .copied()
                        .map(Some)
                },
                load,
            )
            .await
    }
}

fn id_of(network: &Option<Arc<Network>>) -> Option<NetworkId> {
    network.as_ref().map(|network| network.id)
}
