//! Configuration that identifies the sender of a postback and attributes it without a click: an advertiser's campaigns,
//! references, allowed addresses and coupons, and affiliates by external ID.

use std::sync::Arc;

use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use ipnet::IpNet;
use schema::{
    AdvertiserId, AffiliateId, CampaignId, LinkId, NetworkId, affiliates, campaigns as campaign_table,
    tracking_links,
};

use super::error::RoutingError;
use super::memory::{Memory, Named, Routing};
use crate::coupons::{self, Coupon};
use crate::integrations;

impl Routing {
    /// Campaigns of an advertiser.
    ///
    /// # Errors
    /// The same as [`Routing::network`].
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

    /// Coupons of an advertiser with this code, at most one per campaign.
    ///
    /// # Errors
    /// The same as [`Routing::network`].
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

    /// Advertiser that a sender names: by our ID of the advertiser or of a campaign, or by the external ID of a campaign that
    /// no other advertiser's campaign has.
    ///
    /// # Errors
    /// The same as [`Routing::network`].
    pub async fn advertiser_of_reference(
        &self,
        network_id: NetworkId,
        reference: &str,
    ) -> Result<Option<AdvertiserId>, RoutingError> {
        let load = |memory: Arc<Memory>, (network_id, reference): (NetworkId, String)| async move {
            let mut conn = memory.db.network(network_id).await?;
            let mut query = campaign_table::table
                .filter(campaign_table::network_id.eq(network_id))
                .select(campaign_table::advertiser_id)
                .distinct()
                .limit(2)
                .into_boxed();
            query = match (reference.parse::<AdvertiserId>(), reference.parse::<CampaignId>()) {
                (Ok(id), _) => query.filter(campaign_table::advertiser_id.eq(id)),
                (_, Ok(id)) => query.filter(campaign_table::id.eq(id)),
                _ => query.filter(campaign_table::external_id.eq(reference)),
            };
            let found: Vec<AdvertiserId> = query.load(&mut *conn).await?;
            conn.commit().await?;
            Ok(match found.as_slice() {
                [only] => Some(*only),
                _ => None,
            })
        };
        let memory = &self.memory;
        let freshness = |_: &_, at| memory.freshness(Some(network_id), at);
        let key = (network_id, reference.to_owned());
        memory.references.get(&key, memory, freshness, load).await
    }

    /// Advertiser whose integrations allow this address; `None` if those of no advertiser or of several do.
    ///
    /// # Errors
    /// The same as [`Routing::network`].
    pub async fn advertiser_of_address(
        &self,
        network_id: NetworkId,
        address: IpNet,
    ) -> Result<Option<AdvertiserId>, RoutingError> {
        let load = |memory: Arc<Memory>, network_id: NetworkId| async move {
            let mut conn = memory.db.network(network_id).await?;
            let allowed = integrations::allowed_addresses(&mut conn).await?;
            conn.commit().await?;
            Ok(Arc::new(allowed))
        };
        let memory = &self.memory;
        let freshness = |_: &_, at| memory.freshness(Some(network_id), at);
        let cache = &memory.allowed_addresses;
        let allowed = cache.get(&network_id, memory, freshness, load).await?;
        let mut found = allowed.iter().filter(|(net, _)| net.contains(&address));
        let first = found.next().map(|(_, advertiser)| *advertiser);
        Ok(first.filter(|first| found.all(|(_, other)| other == first)))
    }

    /// Affiliate with this key: our id or its external id.
    ///
    /// # Errors
    /// The same as [`Routing::network`].
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

    /// Oldest link of an affiliate to a campaign, to which conversions without a click are attributed.
    ///
    /// # Errors
    /// The same as [`Routing::network`].
    pub async fn oldest_link(
        &self,
        network_id: NetworkId,
        affiliate_id: AffiliateId,
        campaign_id: CampaignId,
    ) -> Result<Option<LinkId>, RoutingError> {
        type Key = (NetworkId, AffiliateId, CampaignId);
        let load = |memory: Arc<Memory>, (network_id, affiliate_id, campaign_id): Key| async move {
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
