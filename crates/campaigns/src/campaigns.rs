//! Campaigns: what advertisers want promoted.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use schema::{AdvertiserId, CampaignId, Currency, NetworkConn, advertisers, campaigns, text_enum};
use serde_json::{Value, json};
use tenancy::audit::{self, Change};
use tenancy::{Author, Scope};

use crate::audience::Audience;

text_enum! {
    /// Whether a campaign runs.
    pub enum CampaignStatus {
        /// Clicks are sent on and conversions count.
        Live = "live",
        /// Clicks get a page that says so; conversions are rejected.
        Paused = "paused",
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
    /// As people see it.
    pub name: String,
    /// Whether it runs.
    pub status: CampaignStatus,
    /// Where clicks are sent; what [`crate::Destination::parse`] accepted.
    pub destination: String,
    /// Of fixed commissions, and of postbacks that name none.
    pub currency: Currency,
    /// How many days after a click a conversion still counts.
    pub attribution_days: i32,
    /// Whom it wants.
    #[diesel(embed)]
    pub audience: Audience,
}

/// What a person may set on a campaign, checked.
#[derive(Debug, Clone, PartialEq, Eq, AsChangeset, Insertable)]
#[diesel(table_name = campaigns)]
pub struct CampaignSettings {
    /// As people see it; not empty.
    pub name: String,
    /// Whether it runs.
    pub status: CampaignStatus,
    /// What [`crate::Destination::parse`] accepted.
    pub destination: String,
    /// How many days after a click a conversion still counts: 1 to 3650.
    pub attribution_days: i32,
    /// Whom it wants.
    #[diesel(embed)]
    pub audience: Audience,
}

impl CampaignSettings {
    fn to_json(&self) -> Value {
        json!({
            "name": self.name,
            "status": self.status.as_str(),
            "destination": self.destination,
            "attribution_days": self.attribution_days,
            "audience": self.audience.to_json(),
        })
    }
}

impl Campaign {
    /// What may be set on it, as it is.
    #[must_use]
    pub fn settings(&self) -> CampaignSettings {
        CampaignSettings {
            name: self.name.clone(),
            status: self.status,
            destination: self.destination.clone(),
            attribution_days: self.attribution_days,
            audience: self.audience.clone(),
        }
    }
}

/// Creates a campaign of an advertiser.
///
/// # Errors
/// When the database fails, or the advertiser is not of this network (a foreign-key violation).
pub async fn create(
    conn: &mut NetworkConn,
    author: &Author,
    advertiser_id: AdvertiserId,
    currency: Currency,
    settings: &CampaignSettings,
    now: DateTime<Utc>,
) -> QueryResult<Campaign> {
    let network_id = conn.network_id();
    let made: Campaign = diesel::insert_into(campaigns::table)
        .values((
            campaigns::network_id.eq(network_id),
            campaigns::advertiser_id.eq(advertiser_id),
            campaigns::currency.eq(currency),
            campaigns::created_at.eq(now),
            settings,
        ))
        .returning(Campaign::as_select())
        .get_result(&mut **conn)
        .await?;
    let change = Change::created("campaign.create", made.id, &made.name, settings.to_json());
    audit::record(conn, author, change, now).await?;
    Ok(made)
}

/// Changes a campaign. Returns whether there is one with this id.
///
/// # Errors
/// When the database fails.
pub async fn update(
    conn: &mut NetworkConn,
    author: &Author,
    id: CampaignId,
    settings: &CampaignSettings,
    now: DateTime<Utc>,
) -> QueryResult<bool> {
    let Some(old) = find(conn, id).await? else {
        return Ok(false);
    };
    let old = old.settings();
    if old == *settings {
        return Ok(true);
    }
    let network_id = conn.network_id();
    diesel::update(campaigns::table.find((network_id, id)))
        .set(settings)
        .execute(&mut **conn)
        .await?;
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

/// Campaigns with the names of their advertisers, by name, or only the one with this id. An advertiser sees its own,
/// an affiliate those it has a link to.
///
/// # Errors
/// When the database fails.
pub async fn visible(
    conn: &mut NetworkConn,
    scope: Scope,
    only: Option<CampaignId>,
) -> QueryResult<Vec<(Campaign, String)>> {
    use schema::tracking_links;
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
        query = query.filter(campaigns::id.eq_any(promoted));
    }
    query.load(&mut **conn).await
}
