//! Campaigns: what advertisers want promoted.

mod settings;

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use schema::{AdvertiserId, CampaignId, Currency, NetworkConn, advertisers, campaigns, text_enum};
use tenancy::audit::{self, Change};
use tenancy::{Author, ChangeError, Scope, resolve_reference, taken};

pub use self::settings::{CampaignSettings, Offer, Schedule, Sending, check_window};
pub(crate) use self::settings::{check_external_id, check_weight};
use crate::audience::Audience;
use crate::destination::Destination;
use crate::promoters::PromoterStatus;
use crate::{going_live, landing_pages};

text_enum! {
    /// Whether a campaign runs.
    pub enum CampaignStatus {
        /// Being set up: nobody is sent.
        Draft = "draft",
        /// Test links only; nothing is paid.
        Testing = "testing",
        /// Clicks are sent on and conversions count.
        Live = "live",
        /// Clicks get a page that says so; those made before still convert.
        Paused = "paused",
        /// Neither clicks nor conversions.
        Ended = "ended",
    }
}

impl CampaignStatus {
    /// Whether conversions count for real: what comes after the tests.
    #[must_use]
    pub fn pays(self) -> bool {
        matches!(self, Self::Live | Self::Paused)
    }
}

text_enum! {
    /// Which affiliates may promote a campaign.
    pub enum Access {
        /// Every one.
        Open = "open",
        /// Who asked and was let.
        Approval = "approval",
        /// Who was invited.
        Private = "private",
    }
}

/// A campaign as stored.
#[derive(Debug, Clone, HasQuery)]
#[diesel(table_name = campaigns)]
pub struct Campaign {
    /// The campaign.
    pub id: CampaignId,
    /// Whose it is.
    pub advertiser_id: AdvertiserId,
    /// Of fixed commissions, and of postbacks that name none.
    pub currency: Currency,
    /// As people see it.
    pub name: String,
    /// Whether it runs.
    pub status: CampaignStatus,
    /// What the advertiser or a former system calls it.
    pub external_id: Option<String>,
    /// Where clicks are sent; what [`crate::Destination::parse`] accepted.
    pub destination: String,
    /// How many days after a click a conversion still counts.
    pub attribution_days: i32,
    /// How many seconds old a click must be for a conversion to count.
    pub attribution_min_seconds: i32,
    /// How visitors are sent on.
    #[diesel(embed)]
    pub sending: Sending,
    /// From when to when.
    #[diesel(embed)]
    pub schedule: Schedule,
    /// Whom it wants.
    #[diesel(embed)]
    pub audience: Audience,
    /// What affiliates are told.
    #[diesel(embed)]
    pub offer: Offer,
}

impl Campaign {
    /// What may be set on it, as it is.
    #[must_use]
    pub fn settings(&self) -> CampaignSettings {
        CampaignSettings {
            name: self.name.clone(),
            status: self.status,
            external_id: self.external_id.clone(),
            destination: self.destination.clone(),
            attribution_days: self.attribution_days,
            attribution_min_seconds: self.attribution_min_seconds,
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
/// # Errors
/// [`ChangeError::Fields`] when the external id is taken, or the network wants tests before it is live; when the database
/// fails, or the advertiser is not of this network (a foreign-key violation).
pub async fn create(
    conn: &mut NetworkConn,
    author: &Author,
    advertiser_id: AdvertiserId,
    currency: Currency,
    settings: &CampaignSettings,
    now: DateTime<Utc>,
) -> Result<Campaign, ChangeError> {
    if settings.status.pays() {
        going_live::check(conn, None).await?;
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

/// Changes a campaign. Returns whether there is one with this id.
///
/// # Errors
/// [`ChangeError::Fields`] when the external id is taken, a landing page would not work any more, or tests are wanted
/// before it is live; when the database fails.
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
        going_live::check(conn, Some(id)).await?;
    }
    let pages = landing_pages::of_campaign(conn, id).await?;
    let mut pages = pages.iter();
    if let Some(page) = pages.find(|page| Destination::completed(&page.url, &settings.sending).is_err()) {
        let message = format!(
            "With this, the landing page “{}” would not work any more.",
            page.name
        );
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
/// When the database fails.
pub async fn find(conn: &mut NetworkConn, id: CampaignId) -> QueryResult<Option<Campaign>> {
    let network_id = conn.network_id();
    Campaign::query()
        .filter(campaigns::network_id.eq(network_id).and(campaigns::id.eq(id)))
        .first(&mut **conn)
        .await
        .optional()
}

/// The campaign with this id; nobody else changes it until the transaction ends.
///
/// # Errors
/// When the database fails.
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

/// The campaign that somebody means by its id, its external id, or a name that no other has.
///
/// # Errors
/// When the database fails.
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
    Ok(resolve_reference(text, found, |it| it.external_id.as_deref()))
}

/// Campaigns, of one advertiser if one is given, by id: at most `limit`, after this one.
///
/// # Errors
/// When the database fails.
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

/// Campaigns with the names of their advertisers, by name, or only the one with this id. An advertiser sees its own; an
/// affiliate those it has a link to or may promote, and of those that run, what it may promote or ask for.
///
/// # Errors
/// When the database fails.
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
        let let_in = promoters::table
            .filter(promoters::network_id.eq(network_id))
            .filter(promoters::affiliate_id.eq(affiliate_id))
            .filter(promoters::status.eq(PromoterStatus::Approved))
            .select(promoters::campaign_id);
        let turned_away = promoters::table
            .filter(promoters::network_id.eq(network_id))
            .filter(promoters::affiliate_id.eq(affiliate_id))
            .filter(promoters::status.eq(PromoterStatus::Declined))
            .select(promoters::campaign_id);
        let offered = campaigns::access
            .ne(Access::Private)
            .and(campaigns::status.eq(CampaignStatus::Live))
            .and(campaigns::id.ne_all(turned_away));
        query = query.filter(
            campaigns::id
                .eq_any(promoted)
                .or(campaigns::id.eq_any(let_in))
                .or(offered),
        );
    }
    query.load(&mut **conn).await
}
