//! Advertisers: the brands whose servers send postbacks.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use schema::{AdvertiserId, NetworkConn, Words, advertisers, text_enum};
use serde_json::{Value, json};

use crate::audit::{self, Change};
use crate::author::Author;
use crate::draft::Draft;
use crate::error::{ChangeError, taken};
use crate::parties::{EXTERNAL_ID_TAKEN, PartyDetails, PartyDraft, PartyFilter, narrowed};
use crate::permissions::Scope;
use crate::reference::resolve_reference;

text_enum! {
    /// Business status of an advertiser.
    pub enum AdvertiserStatus {
        /// Campaigns run and conversions are recorded.
        Active = "active",
        /// Temporarily stopped: visitors are not sent to its campaigns, and no conversion is recorded for it.
        Paused = "paused",
        /// Not offered for new campaigns; its running campaigns continue.
        Archived = "archived",
    }
}

/// An advertiser as stored.
#[derive(Debug, Clone, HasQuery)]
#[diesel(table_name = advertisers)]
pub struct Advertiser {
    /// Advertiser ID.
    pub id: AdvertiserId,
    /// Display name.
    pub name: String,
    /// Business status.
    pub status: AdvertiserStatus,
    /// Identifier of the advertiser in another system; None if not set.
    pub external_id: Option<String>,
    /// Notes for the network's staff.
    pub notes: String,
    /// Search tags.
    pub tags: Words,
    /// Version for edit conflicts; rises with every change.
    pub version: i32,
    /// Time of creation.
    pub created_at: DateTime<Utc>,
    /// Time since which the advertiser is paused; None if not paused.
    pub paused_at: Option<DateTime<Utc>>,
}

/// Validated settings of an advertiser.
#[derive(Debug, Clone, PartialEq, Eq, AsChangeset, Insertable)]
#[diesel(table_name = advertisers, treat_none_as_null = true)]
pub struct AdvertiserSettings {
    /// Display name.
    pub name: String,
    /// Business status.
    pub status: AdvertiserStatus,
    /// Identifier of the advertiser in another system; None if not set.
    pub external_id: Option<String>,
    /// Notes for the network's staff.
    pub notes: String,
    /// Search tags.
    pub tags: Words,
}

impl AdvertiserSettings {
    /// Settings of an active advertiser with only a name.
    #[must_use]
    pub fn named(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            status: AdvertiserStatus::Active,
            external_id: None,
            notes: String::new(),
            tags: Words::default(),
        }
    }

    /// Validates the input of a form, an API request or a CSV row.
    ///
    /// # Errors
    /// [`ChangeError::Fields`].
    pub fn checked(draft: &PartyDraft, status: &str) -> Result<Self, ChangeError> {
        let mut draft = draft.with_status(status);
        let settings = Self::check(&mut draft);
        draft.accepted(settings)
    }

    /// Names of the fields in a [`Draft`].
    pub const FIELDS: [&'static str; 5] = ["name", "status", "external_id", "notes", "tags"];

    /// Draft of an active advertiser without a name.
    #[must_use]
    pub fn blank() -> Draft {
        Draft::with([("status", AdvertiserStatus::Active.to_string())])
    }

    /// Draft that [`AdvertiserSettings::check`] turns into these settings.
    #[must_use]
    pub fn draft(&self) -> Draft {
        Draft::with([
            ("name", self.name.clone()),
            ("status", self.status.to_string()),
            ("external_id", self.external_id.clone().unwrap_or_default()),
            ("notes", self.notes.clone()),
            ("tags", self.tags.on_one_line()),
        ])
    }

    /// Validated settings of a draft; none if a field has an error.
    pub fn check(draft: &mut Draft) -> Option<Self> {
        let details = PartyDetails::check(draft);
        let status = draft.take("status", str::parse);
        let (details, status) = details.zip(status)?;
        Some(Self {
            name: details.name,
            status,
            external_id: details.external_id,
            notes: details.notes,
            tags: details.tags,
        })
    }

    /// Time since which an advertiser with these settings is paused: `since` if already paused, otherwise `now`.
    fn paused_at(&self, since: Option<DateTime<Utc>>, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        (self.status == AdvertiserStatus::Paused).then(|| since.unwrap_or(now))
    }

    fn to_json(&self) -> Value {
        json!({
            "name": self.name,
            "status": self.status.as_str(),
            "external_id": self.external_id,
            "notes": self.notes,
            "tags": self.tags,
        })
    }
}

impl Advertiser {
    /// Current settings.
    #[must_use]
    pub fn settings(&self) -> AdvertiserSettings {
        AdvertiserSettings {
            name: self.name.clone(),
            status: self.status,
            external_id: self.external_id.clone(),
            notes: self.notes.clone(),
            tags: self.tags.clone(),
        }
    }
}

/// Creates an advertiser.
///
/// # Errors
/// [`ChangeError::Fields`] when the external id is taken.
pub async fn create(
    conn: &mut NetworkConn,
    author: &Author,
    settings: &AdvertiserSettings,
    now: DateTime<Utc>,
) -> Result<Advertiser, ChangeError> {
    let network_id = conn.network_id();
    let made = diesel::insert_into(advertisers::table)
        .values((
            advertisers::network_id.eq(network_id),
            settings,
            advertisers::version.eq(1),
            advertisers::created_at.eq(now),
            advertisers::paused_at.eq(settings.paused_at(None, now)),
        ))
        .returning(Advertiser::as_select())
        .get_result(&mut **conn)
        .await
        .map_err(taken(
            "advertisers_network_id_external_id_key",
            "external_id",
            EXTERNAL_ID_TAKEN,
        ))?;
    let change = Change::created("advertiser.create", made.id, &made.name, settings.to_json());
    audit::record(conn, author, change, now).await?;
    Ok(made)
}

/// Changes an advertiser; with a version, only if that version is current.
///
/// # Errors
/// [`ChangeError::NotFound`], [`ChangeError::Stale`], [`ChangeError::Fields`] when the external id is taken.
pub async fn update(
    conn: &mut NetworkConn,
    author: &Author,
    id: AdvertiserId,
    version: Option<i32>,
    settings: &AdvertiserSettings,
    now: DateTime<Utc>,
) -> Result<Advertiser, ChangeError> {
    let network_id = conn.network_id();
    let old = find(conn, id).await?.ok_or(ChangeError::NotFound)?;
    if old.settings() == *settings {
        return Ok(old);
    }
    let updated = diesel::update(
        advertisers::table
            .find((network_id, id))
            .filter(advertisers::version.eq(version.unwrap_or(old.version))),
    )
    .set((
        settings,
        advertisers::version.eq(advertisers::version + 1),
        advertisers::paused_at.eq(settings.paused_at(old.paused_at, now)),
    ))
    .returning(Advertiser::as_select())
    .get_result(&mut **conn)
    .await
    .optional()
    .map_err(taken(
        "advertisers_network_id_external_id_key",
        "external_id",
        EXTERNAL_ID_TAKEN,
    ))?
    .ok_or(ChangeError::Stale)?;
    let (before, after) = (old.settings().to_json(), settings.to_json());
    let change = Change::between("advertiser.update", id, &updated.name, before, after);
    audit::record(conn, author, change, now).await?;
    Ok(updated)
}

/// Advertiser with this ID.
///
/// # Errors
/// Returns an error if the database fails.
pub async fn find(conn: &mut NetworkConn, id: AdvertiserId) -> QueryResult<Option<Advertiser>> {
    let network_id = conn.network_id();
    Advertiser::query()
        .filter(advertisers::network_id.eq(network_id).and(advertisers::id.eq(id)))
        .first(&mut **conn)
        .await
        .optional()
}

/// Advertiser with this ID, if it is within the scope.
///
/// # Errors
/// [`ChangeError::NotFound`] outside the scope, as for an ID that does not exist; when the database fails.
pub async fn find_visible(
    conn: &mut NetworkConn,
    scope: Scope,
    id: AdvertiserId,
) -> Result<Advertiser, ChangeError> {
    let found = find(conn, id).await?;
    found
        .filter(|advertiser| scope.includes_advertiser(advertiser.id))
        .ok_or(ChangeError::NotFound)
}

/// Advertisers that match the filter, at most `limit`.
///
/// # Errors
/// Returns an error if the database fails.
pub async fn list(
    conn: &mut NetworkConn,
    filter: &PartyFilter<AdvertiserStatus, AdvertiserId>,
    limit: i64,
) -> QueryResult<Vec<Advertiser>> {
    let network_id = conn.network_id();
    let last = match filter.after {
        Some(id) => find(conn, id).await?,
        None => None,
    };
    let mut query = Advertiser::query()
        .filter(advertisers::network_id.eq(network_id))
        .limit(limit)
        .into_boxed();
    query = narrowed!(advertisers, AdvertiserStatus::Archived, query, filter, last);
    query.load(&mut **conn).await
}

/// Active advertisers by name, for select fields.
///
/// # Errors
/// Returns an error if the database fails.
pub async fn active(conn: &mut NetworkConn) -> QueryResult<Vec<Advertiser>> {
    let filter = PartyFilter {
        status: Some(AdvertiserStatus::Active),
        ..PartyFilter::default()
    };
    list(conn, &filter, 10_000).await
}

/// Advertiser with this ID or external ID, or the only one with this name.
///
/// # Errors
/// Returns an error if the database fails.
pub async fn known_as(conn: &mut NetworkConn, text: &str) -> QueryResult<Option<Advertiser>> {
    if let Ok(id) = text.parse() {
        return find(conn, id).await;
    }
    let network_id = conn.network_id();
    let found: Vec<Advertiser> = Advertiser::query()
        .filter(advertisers::network_id.eq(network_id))
        .filter(advertisers::external_id.eq(text).or(advertisers::name.eq(text)))
        .limit(3)
        .load(&mut **conn)
        .await?;
    Ok(resolve_reference(text, found, |advertiser| {
        advertiser.external_id.as_deref()
    }))
}

/// Advertiser with the settings' external ID, or with the same name if the settings have none: the row that an import
/// of these settings updates.
///
/// # Errors
/// Returns an error if the database fails.
pub async fn matching(
    conn: &mut NetworkConn,
    settings: &AdvertiserSettings,
) -> QueryResult<Option<Advertiser>> {
    let network_id = conn.network_id();
    let query = Advertiser::query().filter(advertisers::network_id.eq(network_id));
    match &settings.external_id {
        Some(external_id) => {
            query
                .filter(advertisers::external_id.eq(external_id))
                .first(&mut **conn)
                .await
        }
        None => {
            query
                .filter(advertisers::name.eq(&settings.name))
                .first(&mut **conn)
                .await
        }
    }
    .optional()
}
