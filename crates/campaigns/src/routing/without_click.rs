//! What says whose conversion it is where no click does: an advertiser's campaigns, coupons, affiliates by the names
//! that senders call them.

use std::sync::Arc;

use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use schema::{
    AdvertiserId, AffiliateId, CampaignId, LinkId, NetworkId, affiliates, campaigns as campaign_table,
    tracking_links,
};

use super::{Memory, Routing, RoutingError};
use crate::coupons::{self, Coupon};

/// An advertiser's campaign, as postbacks without a click id name it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    /// The campaign.
    pub id: CampaignId,
    /// What the advertiser calls it.
    pub external_id: Option<String>,
}

impl Routing {
    /// The campaigns of an advertiser.
    ///
    /// # Errors
    /// As [`Routing::network`].
    pub async fn campaigns_of(
        &self,
        network_id: NetworkId,
        advertiser_id: AdvertiserId,
    ) -> Result<Arc<Vec<Named>>, RoutingError> {
        let load = |memory: Arc<Memory>, (network_id, id): (NetworkId, AdvertiserId)| async move {
            let mut conn = memory.db.network(network_id).await?;
            let rows: Vec<(CampaignId, Option<String>)> = campaign_table::table
                .filter(campaign_table::network_id.eq(network_id))
                .filter(campaign_table::advertiser_id.eq(id))
                .order(campaign_table::id)
                .select((campaign_table::id, campaign_table::external_id))
                .load(&mut *conn)
                .await?;
            conn.commit().await?;
            let named = rows
                .into_iter()
                .map(|(id, external_id)| Named { id, external_id });
            Ok(Arc::new(named.collect()))
        };
        let memory = &self.memory;
        let freshness = |_: &_, at| memory.freshness(Some(network_id), at);
        memory
            .advertisers
            .get(&(network_id, advertiser_id), memory, freshness, load)
            .await
    }

    /// The coupons of an advertiser with this code, one per campaign.
    ///
    /// # Errors
    /// As [`Routing::network`].
    pub async fn coupons(
        &self,
        network_id: NetworkId,
        advertiser_id: AdvertiserId,
        code: &str,
    ) -> Result<Arc<Vec<Coupon>>, RoutingError> {
        let load = |memory: Arc<Memory>, (network_id, id, code): (NetworkId, AdvertiserId, String)| async move {
            let mut conn = memory.db.network(network_id).await?;
            let coupons = coupons::of_advertiser(&mut conn, id, &code).await?;
            conn.commit().await?;
            Ok(Arc::new(coupons))
        };
        let memory = &self.memory;
        let freshness = |_: &_, at| memory.freshness(Some(network_id), at);
        let key = (network_id, advertiser_id, code.to_uppercase());
        memory.coupons.get(&key, memory, freshness, load).await
    }

    /// The affiliate that a sender calls so: by our id, or by what another system calls it.
    ///
    /// # Errors
    /// As [`Routing::network`].
    pub async fn affiliate_of_key(
        &self,
        network_id: NetworkId,
        key: &str,
    ) -> Result<Option<AffiliateId>, RoutingError> {
        let load = |memory: Arc<Memory>, (network_id, key): (NetworkId, String)| async move {
            let mut conn = memory.db.network(network_id).await?;
            let mut query = affiliates::table
                .filter(affiliates::network_id.eq(network_id))
                .select(affiliates::id)
                .into_boxed();
            query = match key.parse::<AffiliateId>() {
                Ok(id) => query.filter(affiliates::id.eq(id).or(affiliates::external_id.eq(key))),
                Err(_) => query.filter(affiliates::external_id.eq(key)),
            };
            let found = query.first(&mut *conn).await.optional()?;
            conn.commit().await?;
            Ok(found)
        };
        let memory = &self.memory;
        let freshness = |_: &_, at| memory.freshness(Some(network_id), at);
        let key = (network_id, key.to_owned());
        memory.affiliate_keys.get(&key, memory, freshness, load).await
    }

    /// An affiliate's oldest link to a campaign: whose it is where no click says through which link.
    ///
    /// # Errors
    /// As [`Routing::network`].
    pub async fn oldest_link(
        &self,
        network_id: NetworkId,
        affiliate_id: AffiliateId,
        campaign_id: CampaignId,
    ) -> Result<Option<LinkId>, RoutingError> {
        type Ends = (NetworkId, AffiliateId, CampaignId);
        let load = |memory: Arc<Memory>, (network_id, affiliate_id, campaign_id): Ends| async move {
            let mut conn = memory.db.network(network_id).await?;
            let found = tracking_links::table
                .filter(tracking_links::network_id.eq(network_id))
                .filter(tracking_links::affiliate_id.eq(affiliate_id))
                .filter(tracking_links::campaign_id.eq(campaign_id))
                .filter(tracking_links::is_test.eq(false))
                .order((tracking_links::created_at, tracking_links::id))
                .select(tracking_links::id)
                .first(&mut *conn)
                .await
                .optional()?;
            conn.commit().await?;
            Ok(found)
        };
        let memory = &self.memory;
        let freshness = |_: &_, at| memory.freshness(Some(network_id), at);
        let key = (network_id, affiliate_id, campaign_id);
        memory.oldest_links.get(&key, memory, freshness, load).await
    }
}
