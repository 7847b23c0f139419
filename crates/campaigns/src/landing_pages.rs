//! Landing pages: further destinations of a campaign, chosen by weight or by a link.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use schema::{CampaignId, LandingPageId, NetworkConn, landing_pages, tracking_links};
use serde_json::{Value, json};
use tenancy::audit::{self, Change};
use tenancy::{Author, ChangeError};

/// Most landing pages of a campaign.
const MOST: i64 = 200;

/// A landing page as stored.
#[derive(Debug, Clone, PartialEq, Eq, HasQuery)]
#[diesel(table_name = landing_pages)]
pub struct LandingPage {
    /// The landing page.
    pub id: LandingPageId,
    /// The campaign it belongs to.
    pub campaign_id: CampaignId,
    /// As people see it.
    pub name: String,
    /// What [`crate::Destination::parse`] accepted.
    pub url: String,
    /// Its share of the clicks of links that name no landing page; 0 for links that name it only.
    pub weight: i32,
}

/// What a person may set on a landing page, checked.
#[derive(Debug, Clone, PartialEq, Eq, AsChangeset, Insertable)]
#[diesel(table_name = landing_pages)]
pub struct LandingPageSettings {
    /// As people see it; not empty.
    pub name: String,
    /// What [`crate::Destination::parse`] accepted.
    pub url: String,
    /// 0 to 1000.
    pub weight: i32,
}

impl LandingPageSettings {
    fn to_json(&self) -> Value {
        json!({ "name": self.name, "url": self.url, "weight": self.weight })
    }
}

/// Adds a landing page to a campaign.
///
/// # Errors
/// [`ChangeError::Limit`] when it has as many as it may; when the database fails, or the campaign is not of this network
/// (a foreign-key violation).
pub async fn create(
    conn: &mut NetworkConn,
    author: &Author,
    campaign_id: CampaignId,
    settings: &LandingPageSettings,
    now: DateTime<Utc>,
) -> Result<LandingPage, ChangeError> {
    let network_id = conn.network_id();
    let made: i64 = landing_pages::table
        .filter(landing_pages::network_id.eq(network_id))
        .filter(landing_pages::campaign_id.eq(campaign_id))
        .count()
        .get_result(&mut **conn)
        .await?;
    if made >= MOST {
        return Err(ChangeError::Limit(format!(
            "The campaign has {made} landing pages, as many as it may. Remove one first."
        )));
    }
    let page: LandingPage = diesel::insert_into(landing_pages::table)
        .values((
            landing_pages::network_id.eq(network_id),
            landing_pages::campaign_id.eq(campaign_id),
            landing_pages::created_at.eq(now),
            settings,
        ))
        .returning(LandingPage::as_select())
        .get_result(&mut **conn)
        .await?;
    let change = Change::created("landing_page.create", page.id, &page.name, settings.to_json());
    audit::record(conn, author, change, now).await?;
    Ok(page)
}

/// Changes a landing page. Returns whether there is one with this id.
///
/// # Errors
/// When the database fails.
pub async fn update(
    conn: &mut NetworkConn,
    author: &Author,
    id: LandingPageId,
    settings: &LandingPageSettings,
    now: DateTime<Utc>,
) -> QueryResult<bool> {
    let Some(old) = find(conn, id).await? else {
        return Ok(false);
    };
    let network_id = conn.network_id();
    diesel::update(landing_pages::table.find((network_id, id)))
        .set(settings)
        .execute(&mut **conn)
        .await?;
    let before = json!({ "name": old.name, "url": old.url, "weight": old.weight });
    let change = Change::between(
        "landing_page.update",
        id,
        &settings.name,
        before,
        settings.to_json(),
    );
    audit::record(conn, author, change, now).await?;
    Ok(true)
}

/// Removes a landing page; links that lead to it go to the campaign's destinations from now on. Returns whether there
/// was one.
///
/// # Errors
/// When the database fails.
pub async fn remove(
    conn: &mut NetworkConn,
    author: &Author,
    id: LandingPageId,
    now: DateTime<Utc>,
) -> QueryResult<bool> {
    let Some(old) = find(conn, id).await? else {
        return Ok(false);
    };
    let network_id = conn.network_id();
    let aliases: Vec<String> = diesel::update(
        tracking_links::table
            .filter(tracking_links::network_id.eq(network_id))
            .filter(tracking_links::landing_page_id.eq(id)),
    )
    .set(tracking_links::landing_page_id.eq(None::<LandingPageId>))
    .returning(tracking_links::alias)
    .get_results(&mut **conn)
    .await?;
    for alias in aliases {
        schema::changes::announce(conn, "link", &alias).await?;
    }
    diesel::delete(landing_pages::table.find((network_id, id)))
        .execute(&mut **conn)
        .await?;
    let before = json!({ "url": old.url, "weight": old.weight });
    let change = Change::between("landing_page.remove", id, &old.name, before, json!({}));
    audit::record(conn, author, change, now).await?;
    Ok(true)
}

/// The landing page with this id.
///
/// # Errors
/// When the database fails.
pub async fn find(conn: &mut NetworkConn, id: LandingPageId) -> QueryResult<Option<LandingPage>> {
    let network_id = conn.network_id();
    LandingPage::query()
        .filter(
            landing_pages::network_id
                .eq(network_id)
                .and(landing_pages::id.eq(id)),
        )
        .first(&mut **conn)
        .await
        .optional()
}

/// The landing pages of a campaign, by name.
///
/// # Errors
/// When the database fails.
pub async fn of_campaign(conn: &mut NetworkConn, campaign_id: CampaignId) -> QueryResult<Vec<LandingPage>> {
    let network_id = conn.network_id();
    LandingPage::query()
        .filter(landing_pages::network_id.eq(network_id))
        .filter(landing_pages::campaign_id.eq(campaign_id))
        .order((landing_pages::name, landing_pages::id))
        .load(&mut **conn)
        .await
}
