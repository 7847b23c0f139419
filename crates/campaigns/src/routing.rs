//! What the click and postback paths need to know of the configuration, kept in memory.
//!
//! Entries live for a second: a change made anywhere is in force everywhere within that time, an unknown alias costs
//! one query a second, and a link that is clicked a thousand times a second costs one too.

use std::sync::Arc;
use std::time::Duration;

use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use moka::future::Cache;
use schema::{
    AdvertiserId, AffiliateId, Db, DbError, LinkId, NetworkConn, NetworkId, affiliates, tracking_links,
};
use tenancy::affiliates::AffiliateStatus;
use tenancy::networks::Network;
use tenancy::unscoped;

use crate::campaigns::{self, Campaign};
use crate::goals::{self, Goal};
use crate::integrations::{self, Token};
use crate::links::{Link, is_alias};
use crate::{Destination, DestinationError};

/// How long an entry is believed.
const FRESH: Duration = Duration::from_secs(1);
/// How many entries each cache holds at most.
const ENTRIES: u64 = 100_000;

/// A network as the tracking paths know it.
pub type NetworkRoute = Network;

/// A tracking link with all that a click or a postback through it needs.
#[derive(Debug, Clone)]
pub struct Route {
    /// The link.
    pub link_id: LinkId,
    /// Who earns.
    pub affiliate_id: AffiliateId,
    /// Whether it is worked with.
    pub affiliate_status: AffiliateStatus,
    /// What is promoted.
    pub campaign: Campaign,
    /// Where clicks go.
    pub destination: Destination,
    /// What counts.
    pub goals: Vec<Goal>,
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

/// The configuration in memory. Cheap to clone; all clones share it.
#[derive(Clone)]
pub struct Routing {
    db: Db,
    networks: Cache<String, Option<Arc<NetworkRoute>>>,
    slugs: Cache<String, Option<Arc<NetworkRoute>>>,
    aliases: Cache<(NetworkId, String), Option<LinkId>>,
    routes: Cache<(NetworkId, LinkId), Option<Arc<Route>>>,
    tokens: Cache<(NetworkId, Vec<u8>), Option<AdvertiserId>>,
}

impl Routing {
    /// Starts empty; fills as it is asked.
    #[must_use]
    pub fn new(db: Db) -> Self {
        Self {
            db,
            networks: cache(),
            slugs: cache(),
            aliases: cache(),
            routes: cache(),
            tokens: cache(),
        }
    }

    /// The network whose tracking host this is.
    ///
    /// # Errors
    /// When the database fails; shared by all callers that waited for the same answer.
    pub async fn network(&self, host: &str) -> Result<Option<Arc<NetworkRoute>>, Arc<RoutingError>> {
        let load = async {
            let network = unscoped::network_of_host(&self.db, host).await?;
            Ok::<_, RoutingError>(network.map(Arc::new))
        };
        self.networks.try_get_with_by_ref(host, load).await
    }

    /// The network that the shared host knows by this slug.
    ///
    /// # Errors
    /// As [`Routing::network`].
    pub async fn network_of_slug(&self, slug: &str) -> Result<Option<Arc<NetworkRoute>>, Arc<RoutingError>> {
        let load = async {
            let network = unscoped::network_of_slug(&self.db, slug).await?;
            Ok::<_, RoutingError>(network.map(Arc::new))
        };
        self.slugs.try_get_with_by_ref(slug, load).await
    }

    /// The link with this alias.
    ///
    /// # Errors
    /// As [`Routing::network`].
    pub async fn alias(
        &self,
        network_id: NetworkId,
        alias: &str,
    ) -> Result<Option<Arc<Route>>, Arc<RoutingError>> {
        if !is_alias(alias) {
            return Ok(None);
        }
        let load = async {
            let mut conn = self.db.network(network_id).await?;
            let found = tracking_links::table
                .filter(
                    tracking_links::network_id
                        .eq(network_id)
                        .and(tracking_links::alias.eq(alias)),
                )
                .select(tracking_links::id)
                .first(&mut *conn)
                .await
                .optional()
                .map_err(DbError::from)?;
            conn.commit().await?;
            Ok::<_, RoutingError>(found)
        };
        match self
            .aliases
            .try_get_with((network_id, alias.to_owned()), load)
            .await?
        {
            Some(link_id) => self.route(network_id, link_id).await,
            None => Ok(None),
        }
    }

    /// The link with this id.
    ///
    /// # Errors
    /// As [`Routing::network`].
    pub async fn route(
        &self,
        network_id: NetworkId,
        link_id: LinkId,
    ) -> Result<Option<Arc<Route>>, Arc<RoutingError>> {
        let load = async {
            let mut conn = self.db.network(network_id).await?;
            let route = load_route(&mut conn, link_id).await?;
            conn.commit().await?;
            Ok::<_, RoutingError>(route.map(Arc::new))
        };
        self.routes.try_get_with((network_id, link_id), load).await
    }

    /// The advertiser whose postback token this is.
    ///
    /// # Errors
    /// As [`Routing::network`].
    pub async fn advertiser(
        &self,
        network_id: NetworkId,
        token: &Token,
    ) -> Result<Option<AdvertiserId>, Arc<RoutingError>> {
        let hash = token.hash();
        let load = async {
            let mut conn = self.db.network(network_id).await?;
            let advertiser = integrations::advertiser_of_token(&mut conn, &hash)
                .await
                .map_err(DbError::from)?;
            conn.commit().await?;
            Ok::<_, RoutingError>(advertiser)
        };
        self.tokens.try_get_with((network_id, hash.clone()), load).await
    }
}

fn cache<K, V>() -> Cache<K, V>
where
    K: std::hash::Hash + Eq + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
{
    Cache::builder().max_capacity(ENTRIES).time_to_live(FRESH).build()
}

async fn load_route(conn: &mut NetworkConn, link_id: LinkId) -> Result<Option<Route>, RoutingError> {
    let network_id = conn.network_id();
    let found: Option<(Link, AffiliateStatus)> = tracking_links::table
        .inner_join(
            affiliates::table.on(affiliates::network_id
                .eq(tracking_links::network_id)
                .and(affiliates::id.eq(tracking_links::affiliate_id))),
        )
        .filter(
            tracking_links::network_id
                .eq(network_id)
                .and(tracking_links::id.eq(link_id)),
        )
        .select((Link::as_select(), affiliates::status))
        .first(&mut **conn)
        .await
        .optional()
        .map_err(DbError::from)?;
    let Some((link, affiliate_status)) = found else {
        return Ok(None);
    };
    let Some(campaign) = campaigns::find(conn, link.campaign_id)
        .await
        .map_err(DbError::from)?
    else {
        return Ok(None);
    };
    let goals = goals::of_campaign(conn, link.campaign_id)
        .await
        .map_err(DbError::from)?;
    let destination = Destination::parse(&campaign.destination)?;
    Ok(Some(Route {
        link_id,
        affiliate_id: link.affiliate_id,
        affiliate_status,
        campaign,
        destination,
        goals,
    }))
}
