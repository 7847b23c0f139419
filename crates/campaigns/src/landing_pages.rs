//! Landing pages: further destinations of a campaign, chosen by weight or by a link.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use schema::{CampaignId, LandingPageId, NetworkConn, landing_pages, tracking_links};
use serde_json::{Value, json};
use tenancy::audit::{self, Change};
use tenancy::{Author, ChangeError, Draft, check_name};

use crate::destination::{Destination, DestinationError};
use crate::sending::{Sending, check_weight};

/// Maximum number of landing pages of a campaign.
const MAX_LANDING_PAGES: i64 = 200;

/// A landing page as stored.
#[derive(Debug, Clone, PartialEq, Eq, HasQuery)]
#[diesel(table_name = landing_pages)]
pub struct LandingPage {
    /// The landing page.
    pub id: LandingPageId,
    /// The campaign it belongs to.
    pub campaign_id: CampaignId,
    /// Name shown to users.
    pub name: String,
    /// URL as accepted by [`crate::Destination::parse`].
    pub url: String,
    /// Share of the clicks of links without a landing page; 0 for pages used only by links that name them.
    pub weight: i32,
}

/// Settings of a landing page, checked.
#[derive(Debug, Clone, PartialEq, Eq, AsChangeset, Insertable)]
#[diesel(table_name = landing_pages)]
pub struct LandingPageSettings {
    /// Name shown to users; not empty.
    pub name: String,
    /// URL as accepted by [`crate::Destination::parse`].
    pub url: String,
    /// Share of the clicks, 0 to 1000.
    pub weight: i32,
}

impl LandingPageSettings {
    /// Fields of a landing page's [`Draft`].
    pub const FIELDS: [&'static str; 3] = ["name", "url", "weight"];

    /// Draft of a new landing page, with its defaults.
    #[must_use]
    pub fn blank() -> Draft {
        Draft::with([("weight", "1".to_owned())])
    }

    /// The settings as [`LandingPageSettings::check`] reads them.
    #[must_use]
    pub fn draft(&self) -> Draft {
        Draft::with([
            ("name", self.name.clone()),
            ("url", self.url.clone()),
            ("weight", self.weight.to_string()),
        ])
    }

    /// Checks a draft for a campaign with these redirect settings and returns the settings, or `None` with the errors
    /// in the draft.
    pub fn check(draft: &mut Draft, sending: &Sending) -> Option<Self> {
        let name = draft.take("name", check_name);
        let url = draft.take("url", |text| {
            Destination::completed(text, sending)?;
            Ok::<_, DestinationError>(text.to_owned())
        });
        let weight = draft.take("weight", check_weight);
        Some(Self {
            name: name?,
            url: url?,
            weight: weight?,
        })
    }

    fn to_json(&self) -> Value {
        json!({ "name": self.name, "url": self.url, "weight": self.weight })
    }
}

impl LandingPage {
    /// Current settings.
    #[must_use]
    pub fn settings(&self) -> LandingPageSettings {
        LandingPageSettings {
            name: self.name.clone(),
            url: self.url.clone(),
            weight: self.weight,
        }
    }
}

/// Adds a landing page to a campaign.
///
/// # Errors
/// [`ChangeError::Limit`] when the campaign has the maximum number; when the database fails, or the campaign is not of
/// this network (a foreign-key violation).
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
    if made >= MAX_LANDING_PAGES {
        return Err(ChangeError::Limit(format!(
            "The campaign has {made} landing pages, the maximum. Remove one first."
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

/// Changes a landing page. Returns false if no landing page has this id.
///
/// # Errors
/// Database errors.
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
    let old = old.settings();
    if old == *settings {
        return Ok(true);
    }
    let network_id = conn.network_id();
    diesel::update(landing_pages::table.find((network_id, id)))
        .set(settings)
        .execute(&mut **conn)
        .await?;
    let (before, after) = (old.to_json(), settings.to_json());
    let change = Change::between("landing_page.update", id, &settings.name, before, after);
    audit::record(conn, author, change, now).await?;
    Ok(true)
}

/// Removes a landing page; links that lead to it use the campaign's destinations from now on. Returns false if no
/// landing page has this id.
///
/// # Errors
/// Database errors.
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
    .set((
        tracking_links::landing_page_id.eq(None::<LandingPageId>),
        tracking_links::version.eq(tracking_links::version + 1),
    ))
    .returning(tracking_links::alias)
    .get_results(&mut **conn)
    .await?;
    for alias in aliases {
        schema::changes::announce(conn, "link", &alias).await?;
    }
    diesel::delete(landing_pages::table.find((network_id, id)))
        .execute(&mut **conn)
        .await?;
    let before = old.settings().to_json();
    let change = Change::between("landing_page.remove", id, &old.name, before, json!({}));
    audit::record(conn, author, change, now).await?;
    Ok(true)
}

/// The landing page with this id.
///
/// # Errors
/// Database errors.
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

/// Finds a landing page of a campaign by its id or its name.
///
/// # Errors
/// Database errors.
pub async fn known_as(
    conn: &mut NetworkConn,
    campaign_id: CampaignId,
    text: &str,
) -> QueryResult<Option<LandingPage>> {
    let of_campaign = of_campaign(conn, campaign_id).await?;
    let mut found = of_campaign.into_iter();
    Ok(found.find(|page| page.id.to_string() == text || page.name == text))
}

/// Landing pages by id, of one campaign if given: at most `limit`, after this id.
///
/// # Errors
/// Database errors.
pub async fn list(
    conn: &mut NetworkConn,
    campaign_id: Option<CampaignId>,
    after: Option<LandingPageId>,
    limit: i64,
) -> QueryResult<Vec<LandingPage>> {
    let network_id = conn.network_id();
    let mut query = LandingPage::query()
        .filter(landing_pages::network_id.eq(network_id))
        .order(landing_pages::id)
        .limit(limit)
        .into_boxed();
    if let Some(id) = campaign_id {
        query = query.filter(landing_pages::campaign_id.eq(id));
    }
    if let Some(id) = after {
        query = query.filter(landing_pages::id.gt(id));
    }
    query.load(&mut **conn).await
}

/// The landing pages of a campaign, by name.
///
/// # Errors
/// Database errors.
pub async fn of_campaign(conn: &mut NetworkConn, campaign_id: CampaignId) -> QueryResult<Vec<LandingPage>> {
    let network_id = conn.network_id();
    LandingPage::query()
        .filter(landing_pages::network_id.eq(network_id))
        .filter(landing_pages::campaign_id.eq(campaign_id))
        .order((landing_pages::name, landing_pages::id))
        .load(&mut **conn)
        .await
}
