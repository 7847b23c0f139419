//! Campaigns: what advertisers want promoted.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use schema::{AdvertiserId, CampaignId, Currency, NetworkConn, Words, advertisers, campaigns, text_enum};
use serde_json::{Value, json};
use tenancy::audit::{self, Change};
use tenancy::{Author, ChangeError, Scope, taken};

use crate::audience::Audience;

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

/// How visitors are sent on.
#[derive(Debug, Clone, PartialEq, Eq, HasQuery, AsChangeset, Insertable)]
#[diesel(table_name = campaigns, treat_none_as_null = true)]
pub struct Sending {
    /// What the destination calls the click id; added to destinations that have no `{click_id}`.
    pub click_parameter: Option<String>,
    /// Parameters added to every destination, as `a=b&c={sub1}`.
    pub extra_parameters: String,
    /// Share of the clicks without a landing page of their own that go to the destination.
    pub destination_weight: i32,
    /// Hosts that links may lead to directly, with what is below them.
    pub deep_link_hosts: Words,
    /// Where visitors go whom the campaign does not want.
    pub fallback_url: Option<String>,
}

impl Default for Sending {
    fn default() -> Self {
        Self {
            click_parameter: None,
            extra_parameters: String::new(),
            destination_weight: 1,
            deep_link_hosts: Words::default(),
            fallback_url: None,
        }
    }
}

/// From when to when a campaign runs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, HasQuery, AsChangeset, Insertable)]
#[diesel(table_name = campaigns, treat_none_as_null = true)]
pub struct Schedule {
    /// From when on visitors are sent.
    pub starts_at: Option<DateTime<Utc>>,
    /// Until when, not included.
    pub ends_at: Option<DateTime<Utc>>,
}

/// What affiliates are told.
#[derive(Debug, Clone, PartialEq, Eq, HasQuery, AsChangeset, Insertable)]
#[diesel(table_name = campaigns)]
pub struct Offer {
    /// Which affiliates may promote it.
    pub access: Access,
    /// Words they find it by.
    pub categories: Words,
    /// What they agree to.
    pub terms: String,
    /// What they should know.
    pub notes: String,
}

impl Default for Offer {
    fn default() -> Self {
        Self {
            access: Access::Open,
            categories: Words::default(),
            terms: String::new(),
            notes: String::new(),
        }
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

/// What a person may set on a campaign, checked.
#[derive(Debug, Clone, PartialEq, Eq, AsChangeset, Insertable)]
#[diesel(table_name = campaigns, treat_none_as_null = true)]
pub struct CampaignSettings {
    /// As people see it; not empty.
    pub name: String,
    /// Whether it runs.
    pub status: CampaignStatus,
    /// What the advertiser or a former system calls it; unique within the network.
    pub external_id: Option<String>,
    /// What [`crate::Destination::parse`] accepted.
    pub destination: String,
    /// How many days after a click a conversion still counts: 1 to 3650.
    pub attribution_days: i32,
    /// How many seconds old a click must be for a conversion to count: 0 to a day.
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

impl CampaignSettings {
    /// A campaign that is live, counts conversions for 30 days, and has nothing else set.
    #[must_use]
    pub fn live(name: &str, destination: &str) -> Self {
        Self {
            name: name.to_owned(),
            status: CampaignStatus::Live,
            external_id: None,
            destination: destination.to_owned(),
            attribution_days: 30,
            attribution_min_seconds: 0,
            sending: Sending::default(),
            schedule: Schedule::default(),
            audience: Audience::default(),
            offer: Offer::default(),
        }
    }

    fn to_json(&self) -> Value {
        json!({
            "name": self.name,
            "status": self.status.as_str(),
            "external_id": self.external_id,
            "destination": self.destination,
            "attribution_days": self.attribution_days,
            "attribution_min_seconds": self.attribution_min_seconds,
            "click_parameter": self.sending.click_parameter,
            "extra_parameters": self.sending.extra_parameters,
            "destination_weight": self.sending.destination_weight,
            "deep_link_hosts": self.sending.deep_link_hosts,
            "fallback_url": self.sending.fallback_url,
            "starts_at": self.schedule.starts_at,
            "ends_at": self.schedule.ends_at,
            "audience": self.audience.to_json(),
            "access": self.offer.access.as_str(),
            "categories": self.offer.categories,
            "terms": self.offer.terms,
            "notes": self.offer.notes,
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
/// [`ChangeError::Fields`] when the external id is taken; when the database fails, or the advertiser is not of this
/// network (a foreign-key violation).
pub async fn create(
    conn: &mut NetworkConn,
    author: &Author,
    advertiser_id: AdvertiserId,
    currency: Currency,
    settings: &CampaignSettings,
    now: DateTime<Utc>,
) -> Result<Campaign, ChangeError> {
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
/// [`ChangeError::Fields`] when the external id is taken; when the database fails.
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
