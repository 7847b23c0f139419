//! Advertisers: the brands whose servers send postbacks.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use schema::{AdvertiserId, NetworkConn, Words, advertisers, text_enum};
use serde_json::{Value, json};

use crate::actor::Author;
use crate::audit::{self, Change};
use crate::draft::Draft;
use crate::error::{ChangeError, taken};
use crate::parties::{EXTERNAL_ID_TAKEN, PartyDetails, PartyDraft, PartyFilter, narrowed};
use crate::reference::meant;

text_enum! {
    /// Whether an advertiser is worked with.
    pub enum AdvertiserStatus {
        /// It is.
        Active = "active",
        /// Not for now: nobody is sent to its campaigns, and no conversion is made for it.
        Paused = "paused",
        /// Not offered for new campaigns; its running ones go on.
        Archived = "archived",
    }
}

/// An advertiser as stored.
#[derive(Debug, Clone, HasQuery)]
#[diesel(table_name = advertisers)]
pub struct Advertiser {
    /// The advertiser.
    pub id: AdvertiserId,
    /// As people see it.
    pub name: String,
    /// Whether it is worked with.
    pub status: AdvertiserStatus,
    /// What another system calls it.
    pub external_id: Option<String>,
    /// For the network's own people.
    pub notes: String,
    /// Words to find it by.
    pub tags: Words,
    /// Counts changes.
    pub version: i32,
    /// When it was created.
    pub created_at: DateTime<Utc>,
    /// Since when it is paused, if it is.
    pub paused_at: Option<DateTime<Utc>>,
}

/// What may be set on an advertiser, checked.
#[derive(Debug, Clone, PartialEq, Eq, AsChangeset, Insertable)]
#[diesel(table_name = advertisers, treat_none_as_null = true)]
pub struct AdvertiserSettings {
    /// As people see it.
    pub name: String,
    /// Whether it is worked with.
    pub status: AdvertiserStatus,
    /// What another system calls it.
    pub external_id: Option<String>,
    /// For the network's own people.
    pub notes: String,
    /// Words to find it by.
    pub tags: Words,
}

impl AdvertiserSettings {
    /// An active one with nothing but a name.
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

    /// What was typed or sent, if everything in it can be accepted.
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

    /// Since when one with these settings is paused: since it was, or from now on.
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
    /// What may be set on it, as it is.
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

/// Changes an advertiser; with a version, only if nobody else has since.
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

/// The advertiser with this id.
///
/// # Errors
/// When the database fails.
pub async fn find(conn: &mut NetworkConn, id: AdvertiserId) -> QueryResult<Option<Advertiser>> {
    let network_id = conn.network_id();
    Advertiser::query()
        .filter(advertisers::network_id.eq(network_id).and(advertisers::id.eq(id)))
        .first(&mut **conn)
        .await
        .optional()
}

/// Advertisers, at most `limit`.
///
/// # Errors
/// When the database fails.
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

/// The advertisers that are worked with, by name: for choices.
///
/// # Errors
/// When the database fails.
pub async fn active(conn: &mut NetworkConn) -> QueryResult<Vec<Advertiser>> {
    let filter = PartyFilter {
        status: Some(AdvertiserStatus::Active),
        ..PartyFilter::default()
    };
    list(conn, &filter, 10_000).await
}

/// The advertiser that somebody means by its id, its external id, or a name that no other has.
///
/// # Errors
/// When the database fails.
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
    Ok(meant(text, found, |it| it.external_id.as_deref()))
}

/// The advertiser with this external id, or else this very name: what somebody means who
/// describes one that may be there already.
///
/// # Errors
/// When the database fails.
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
