//! Campaigns: rows and queries.

mod settings;

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use schema::{AdvertiserId, CampaignId, Currency, NetworkConn, Words, advertisers, campaigns};
use serde::{Deserialize, Serialize};
use tenancy::audit::{self, Change};
use tenancy::{Author, ChangeError, Scope, resolve_reference, taken};

pub use self::settings::{CampaignSettings, CampaignStatus, Offer, Schedule, check_window};
pub use crate::access::Access;
use crate::access::PromoterStatus;
use crate::attribution_order::AttributedBy;
use crate::audience::Audience;
use crate::destination::Destination;
pub use crate::sending::Sending;
use crate::{landing_pages, test_orders};

/// A campaign as stored.
#[derive(Debug, Clone, HasQuery, Serialize, Deserialize)]
#[diesel(table_name = campaigns)]
pub struct Campaign {
    /// The campaign.
    pub id: CampaignId,
    /// Advertiser that owns the campaign.
    pub advertiser_id: AdvertiserId,
    /// Currency of fixed commissions, and of postbacks without a currency.
    pub currency: Currency,
    /// Name shown to users.
    pub name: String,
    /// Lifecycle of the campaign.
    pub status: CampaignStatus,
    /// Identifier in the advertiser's system or in a former one.
    pub external_id: Option<String>,
    /// Destination of clicks, as accepted by [`crate::Destination::parse`].
    pub destination: String,
    /// Attribution window in days: maximum age of the click of a conversion.
    pub attribution_days: i32,
    /// Customer window in days: maximum age of the customer's latest conversion, for an order without a click.
    pub customer_days: i32,
    /// Minimum age of the click of a conversion, in seconds.
    pub attribution_min_seconds: i32,
    /// Proofs that attribute a postback, the first that holds.
    pub attribution_order: Words,
    /// Redirects of visitors.
    #[diesel(embed)]
    pub sending: Sending,
    /// First and last moment of the campaign.
    #[diesel(embed)]
    pub schedule: Schedule,
    /// Targeting.
    #[diesel(embed)]
    pub audience: Audience,
    /// Description for affiliates.
    #[diesel(embed)]
    pub offer: Offer,
}

impl Campaign {
    /// Proofs that attribute a postback, the first that holds.
    #[must_use]
    pub fn proofs(&self) -> Vec<AttributedBy> {
        let words = &self.attribution_order.0;
        words.iter().filter_map(|word| word.parse().ok()).collect()
    }

    /// True if this proof decides before the click, or in its place.
    #[must_use]
    pub fn comes_before_click(&self, by: AttributedBy) -> bool {
        let proofs = self.proofs();
        let click = proofs.iter().position(|proof| *proof == AttributedBy::Click);
        let own = proofs.iter().position(|proof| *proof == by);
        own.is_some_and(|own| click.is_none_or(|click| own < click))
    }

    /// Current settings.
    #[must_use]
    pub fn settings(&self) -> CampaignSettings {
        CampaignSettings {
            name: self.name.clone(),
            status: self.status,
            external_id: self.external_id.clone(),
            destination: self.destination.clone(),
            attribution_days: self.attribution_days,
            customer_days: self.customer_days,
            attribution_min_seconds: self.attribution_min_seconds,
            attribution_order: self.attribution_order.clone(),
            sending: self.sending.clone(),
            schedule: self.schedule,
            audience: self.audience.clone(),
            offer: self.offer.clone(),
        }
    }
}

fn external_id_is_free<T>(result: QueryResult<T>) -> Result<T, ChangeError> {
    result.map_err(taken(
        "campaigns_network_id_external_id_key",
        "external_id",
        "Another campaign has this external id.",
    ))
}

/// Creates a campaign of an advertiser.
///
/// [`ChangeError::Fields`] when the external id is taken, or the network requires tests before a campaign is live; when
/// the database fails, or the advertiser is not of this network (a foreign-key violation).
pub async fn create(
    conn: &mut NetworkConn,
    author: &Author,
    advertiser_id: AdvertiserId,
    currency: Currency,
    settings: &CampaignSettings,
    now: DateTime<Utc>,
) -> Result<Campaign, ChangeError> {
    if settings.status.pays() {
        test_orders::check(conn, None).await?;
    }
    let network_id = conn.network_id();
    let made: QueryResult<Campaign> = diesel::insert_into(campaigns::table)
        .values((
            campaigns::network_id.eq(network_id),
            campaigns::advertiser_id.eq(advertiser_id),
            campaigns::currency.eq(currency),
            campaigns::created_at.eq(now),
            settings,
        ))
        .returning(Campaign::as_select())
        .get_result(&mut **conn)
        .await;
    let made = external_id_is_free(made)?;
    let change = Change::created("campaign.create", made.id, &made.name, settings.to_json());
    audit::record(conn, author, change, now).await?;
    Ok(made)
}

/// Changes a campaign. Returns false if no campaign has this id.
///
/// [`ChangeError::Fields`] when the external id is taken, a landing page would become invalid, or the network requires
/// tests before a campaign is live; when the database fails.
pub async fn update(
    conn: &mut NetworkConn,
    author: &Author,
    id: CampaignId,
    settings: &CampaignSettings,
    now: DateTime<Utc>,
) -> Result<bool, ChangeError> {
    let Some(old) = find(conn, id).await? else {
        return Ok(false);
    };
    let old = old.settings();
    if old == *settings {
        return Ok(true);
    }
    if !old.status.pays() && settings.status.pays() {
        test_orders::check(conn, Some(id)).await?;
    }
    let pages = landing_pages::of_campaign(conn, id).await?;
    let mut pages = pages.iter();
    if let Some(page) = pages.find(|page| Destination::completed(&page.url, &settings.sending).is_err()) {
        let message = format!("This change would break the landing page “{}”.", page.name);
        return Err(ChangeError::field("click_parameter", message));
    }
    let network_id = conn.network_id();
    let updated = diesel::update(campaigns::table.find((network_id, id)))
        .set(settings)
        .execute(&mut **conn)
        .await;
    external_id_is_free(updated)?;
    let (before, after) = (old.to_json(), settings.to_json());
    let change = Change::between("campaign.update", id, &settings.name, before, after);
    audit::record(conn, author, change, now).await?;
    Ok(true)
}

/// The campaign with this id.
///
/// # Errors
/// Database errors.
pub async fn find(conn: &mut NetworkConn, id: CampaignId) -> QueryResult<Option<Campaign>> {
    let network_id = conn.network_id();
    Campaign::query()
        .filter(campaigns::network_id.eq(network_id).and(campaigns::id.eq(id)))
        .first(&mut **conn)
        .await
        .optional()
}

/// Campaign with this id, if its advertiser is within the scope: for its integration and its tests. [`visible`] decides
/// which campaigns an affiliate sees.
///
/// # Errors
/// [`ChangeError::NotFound`] outside the scope, as for an id that does not exist; when the database fails.
pub async fn find_visible(
    conn: &mut NetworkConn,
    scope: Scope,
    id: CampaignId,
) -> Result<Campaign, ChangeError> {
    let found = find(conn, id).await?;
    found
        .filter(|campaign| scope.includes_advertiser(campaign.advertiser_id))
        .ok_or(ChangeError::NotFound)
}

/// Finds the campaign with this id and locks its row until the transaction ends.
///
/// # Errors
/// Database errors.
pub async fn lock(conn: &mut NetworkConn, id: CampaignId) -> QueryResult<Option<Campaign>> {
    let network_id = conn.network_id();
    campaigns::table
        .find((network_id, id))
        .select(Campaign::as_select())
        .for_update()
        .first(&mut **conn)
        .await
        .optional()
}

/// Finds a campaign by its id, its external id, or a name that is unique within the network.
///
/// # Errors
/// Database errors.
pub async fn known_as(conn: &mut NetworkConn, text: &str) -> QueryResult<Option<Campaign>> {
    if let Ok(id) = text.parse() {
        return find(conn, id).await;
    }
    let network_id = conn.network_id();
    let found: Vec<Campaign> = Campaign::query()
        .filter(campaigns::network_id.eq(network_id))
        .filter(campaigns::external_id.eq(text).or(campaigns::name.eq(text)))
        .limit(3)
        .load(&mut **conn)
        .await?;
    Ok(resolve_reference(text, found, |campaign| {
        campaign.external_id.as_deref()
    }))
}

/// Campaigns by id, of one advertiser if given: at most `limit`, after this id.
///
/// # Errors
/// Database errors.
pub async fn list(
    conn: &mut NetworkConn,
    advertiser_id: Option<AdvertiserId>,
    after: Option<CampaignId>,
    limit: i64,
) -> QueryResult<Vec<Campaign>> {
    let network_id = conn.network_id();
    let mut query = Campaign::query()
        .filter(campaigns::network_id.eq(network_id))
        .order(campaigns::id)
        .limit(limit)
        .into_boxed();
    if let Some(id) = advertiser_id {
        query = query.filter(campaigns::advertiser_id.eq(id));
    }
    if let Some(id) = after {
        query = query.filter(campaigns::id.gt(id));
    }
    query.load(&mut **conn).await
}

/// Campaigns with the names of their advertisers, by name, or only the one with this id. An advertiser sees only the
/// campaigns it owns; an affiliate those it has a link to or may promote, and live ones it may promote or apply for.
///
/// # Errors
/// Database errors.
pub async fn visible(
    conn: &mut NetworkConn,
    scope: Scope,
    only: Option<CampaignId>,
) -> QueryResult<Vec<(Campaign, String)>> {
    use schema::{promoters, tracking_links};
    let network_id = conn.network_id();
    let mut query = campaigns::table
        .inner_join(
            advertisers::table.on(advertisers::network_id
                .eq(campaigns::network_id)
                .and(advertisers::id.eq(campaigns::advertiser_id))),
        )
        .filter(campaigns::network_id.eq(network_id))
        .order((campaigns::name, campaigns::id))
        .select((Campaign::as_select(), advertisers::name))
        .into_boxed();
    if let Some(id) = only {
        query = query.filter(campaigns::id.eq(id));
    }
    if let Some(advertiser_id) = scope.advertiser {
        query = query.filter(campaigns::advertiser_id.eq(advertiser_id));
    }
    if let Some(affiliate_id) = scope.affiliate {
        let promoted = tracking_links::table
            .filter(tracking_links::network_id.eq(network_id))
            .filter(tracking_links::affiliate_id.eq(affiliate_id))
            .select(tracking_links::campaign_id);
        let approved = promoters::table
            .filter(promoters::network_id.eq(network_id))
            .filter(promoters::affiliate_id.eq(affiliate_id))
            .filter(promoters::status.eq(PromoterStatus::Approved))
            .select(promoters::campaign_id);
        let declined = promoters::table
            .filter(promoters::network_id.eq(network_id))
            .filter(promoters::affiliate_id.eq(affiliate_id))
            .filter(promoters::status.eq(PromoterStatus::Declined))
            .select(promoters::campaign_id);
        let offered = campaigns::access
            .ne(Access::Private)
            .and(campaigns::status.eq(CampaignStatus::Live))
            .and(campaigns::id.ne_all(declined));
        query = query.filter(
            campaigns::id
                .eq_any(promoted)
                .or(campaigns::id.eq_any(approved))
                .or(offered),
        );
    }
    query.load(&mut **conn).await
}
