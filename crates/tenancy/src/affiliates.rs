//! Affiliates: the partners who send visitors.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use schema::{AffiliateId, GroupId, NetworkConn, Words, affiliate_groups, affiliates, text_enum};
use serde_json::{Value, json};

use crate::actor::Author;
use crate::audit::{self, Change};
use crate::draft::Draft;
use crate::error::{ChangeError, taken};
use crate::parties::{EXTERNAL_ID_TAKEN, PartyDetails, PartyDraft, PartyFilter, narrowed};
use crate::reference::meant;

text_enum! {
    /// Whether an affiliate is worked with.
    pub enum AffiliateStatus {
        /// It is.
        Active = "active",
        /// Its links send nobody on; conversions of earlier clicks count.
        Paused = "paused",
        /// Its links send nobody on, and no conversion counts.
        Blocked = "blocked",
        /// As paused, and left out of the lists.
        Archived = "archived",
    }
}

/// An affiliate as stored.
#[derive(Debug, Clone, HasQuery)]
#[diesel(table_name = affiliates)]
pub struct Affiliate {
    /// The affiliate.
    pub id: AffiliateId,
    /// As people see it.
    pub name: String,
    /// Whether it is worked with.
    pub status: AffiliateStatus,
    /// The group it is treated with.
    pub group_id: Option<GroupId>,
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
}

/// What may be set on an affiliate, checked.
#[derive(Debug, Clone, PartialEq, Eq, AsChangeset, Insertable)]
#[diesel(table_name = affiliates, treat_none_as_null = true)]
pub struct AffiliateSettings {
    /// As people see it.
    pub name: String,
    /// Whether it is worked with.
    pub status: AffiliateStatus,
    /// The group it is treated with.
    pub group_id: Option<GroupId>,
    /// What another system calls it.
    pub external_id: Option<String>,
    /// For the network's own people.
    pub notes: String,
    /// Words to find it by.
    pub tags: Words,
}

const GROUP_UNKNOWN: &str = "Choose one of your groups.";

impl AffiliateSettings {
    /// An active one with nothing but a name.
    #[must_use]
    pub fn named(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            status: AffiliateStatus::Active,
            group_id: None,
            external_id: None,
            notes: String::new(),
            tags: Words::default(),
        }
    }

    /// What was typed or sent, if everything in it can be accepted.
    ///
    /// # Errors
    /// [`ChangeError::Fields`].
    pub fn checked(draft: &PartyDraft, status: &str, group: &str) -> Result<Self, ChangeError> {
        let mut draft = draft.with_status(status);
        draft.set("group", group);
        let settings = Self::check(&mut draft);
        draft.accepted(settings)
    }

    /// Names of the fields in a [`Draft`].
    pub const FIELDS: [&'static str; 6] = ["name", "status", "group", "external_id", "notes", "tags"];

    /// Draft of an active affiliate without a name.
    #[must_use]
    pub fn blank() -> Draft {
        Draft::with([("status", AffiliateStatus::Active.to_string())])
    }

    /// Draft that [`AffiliateSettings::check`] turns into these settings.
    #[must_use]
    pub fn draft(&self) -> Draft {
        let group = self.group_id.map(|id| id.to_string());
        Draft::with([
            ("name", self.name.clone()),
            ("status", self.status.to_string()),
            ("group", group.unwrap_or_default()),
            ("external_id", self.external_id.clone().unwrap_or_default()),
            ("notes", self.notes.clone()),
            ("tags", self.tags.on_one_line()),
        ])
    }

    /// Validated settings of a draft; none if a field has an error. `create` and `update` check that the group exists.
    pub fn check(draft: &mut Draft) -> Option<Self> {
        let details = PartyDetails::check(draft);
        let status = draft.take("status", str::parse);
        let group_id = draft.take("group", |text| match text.trim() {
            "" => Ok(None),
            text => text.parse().map(Some).map_err(|_| GROUP_UNKNOWN),
        });
        let ((details, status), group_id) = details.zip(status).zip(group_id)?;
        Some(Self {
            name: details.name,
            status,
            group_id,
            external_id: details.external_id,
            notes: details.notes,
            tags: details.tags,
        })
    }

    fn to_json(&self) -> Value {
        json!({
            "name": self.name,
            "status": self.status.as_str(),
            "group": self.group_id.map(|id| id.to_string()),
            "external_id": self.external_id,
            "notes": self.notes,
            "tags": self.tags,
        })
    }
}

impl Affiliate {
    /// What may be set on it, as it is.
    #[must_use]
    pub fn settings(&self) -> AffiliateSettings {
        AffiliateSettings {
            name: self.name.clone(),
            status: self.status,
            group_id: self.group_id,
            external_id: self.external_id.clone(),
            notes: self.notes.clone(),
            tags: self.tags.clone(),
        }
    }
}

/// A group of another network, or none at all, is told like a field that was not chosen.
async fn check_group(conn: &mut NetworkConn, settings: &AffiliateSettings) -> Result<(), ChangeError> {
    let Some(group_id) = settings.group_id else {
        return Ok(());
    };
    let network_id = conn.network_id();
    let known: Option<GroupId> = affiliate_groups::table
        .find((network_id, group_id))
        .select(affiliate_groups::id)
        // Held, so that nobody removes it before this is committed.
        .for_key_share()
        .first(&mut **conn)
        .await
        .optional()?;
    known
        .map(|_| ())
        .ok_or_else(|| ChangeError::field("group", GROUP_UNKNOWN))
}

/// Creates an affiliate.
///
/// # Errors
/// [`ChangeError::Fields`] when the external id is taken or the group unknown.
pub async fn create(
    conn: &mut NetworkConn,
    author: &Author,
    settings: &AffiliateSettings,
    now: DateTime<Utc>,
) -> Result<Affiliate, ChangeError> {
    check_group(conn, settings).await?;
    let network_id = conn.network_id();
    let made = diesel::insert_into(affiliates::table)
        .values((
            affiliates::network_id.eq(network_id),
            settings,
            affiliates::version.eq(1),
            affiliates::created_at.eq(now),
        ))
        .returning(Affiliate::as_select())
        .get_result(&mut **conn)
        .await
        .map_err(taken(
            "affiliates_network_id_external_id_key",
            "external_id",
            EXTERNAL_ID_TAKEN,
        ))?;
    let change = Change::created("affiliate.create", made.id, &made.name, settings.to_json());
    audit::record(conn, author, change, now).await?;
    Ok(made)
}

/// Changes an affiliate; with a version, only if nobody else has since.
///
/// # Errors
/// [`ChangeError::NotFound`], [`ChangeError::Stale`], [`ChangeError::Fields`] when the external id is taken.
pub async fn update(
    conn: &mut NetworkConn,
    author: &Author,
    id: AffiliateId,
    version: Option<i32>,
    settings: &AffiliateSettings,
    now: DateTime<Utc>,
) -> Result<Affiliate, ChangeError> {
    let network_id = conn.network_id();
    let old = find(conn, id).await?.ok_or(ChangeError::NotFound)?;
    if old.settings() == *settings {
        return Ok(old);
    }
    check_group(conn, settings).await?;
    let updated = diesel::update(
        affiliates::table
            .find((network_id, id))
            .filter(affiliates::version.eq(version.unwrap_or(old.version))),
    )
    .set((settings, affiliates::version.eq(affiliates::version + 1)))
    .returning(Affiliate::as_select())
    .get_result(&mut **conn)
    .await
    .optional()
    .map_err(taken(
        "affiliates_network_id_external_id_key",
        "external_id",
        EXTERNAL_ID_TAKEN,
    ))?
    .ok_or(ChangeError::Stale)?;
    let (before, after) = (old.settings().to_json(), settings.to_json());
    let change = Change::between("affiliate.update", id, &updated.name, before, after);
    audit::record(conn, author, change, now).await?;
    Ok(updated)
}

/// The affiliate with this id.
///
/// # Errors
/// When the database fails.
pub async fn find(conn: &mut NetworkConn, id: AffiliateId) -> QueryResult<Option<Affiliate>> {
    let network_id = conn.network_id();
    Affiliate::query()
        .filter(affiliates::network_id.eq(network_id).and(affiliates::id.eq(id)))
        .first(&mut **conn)
        .await
        .optional()
}

/// Affiliates, of one group if one is given, at most `limit`.
///
/// # Errors
/// When the database fails.
pub async fn list(
    conn: &mut NetworkConn,
    filter: &PartyFilter<AffiliateStatus, AffiliateId>,
    group_id: Option<GroupId>,
    limit: i64,
) -> QueryResult<Vec<Affiliate>> {
    let network_id = conn.network_id();
    let last = match filter.after {
        Some(id) => find(conn, id).await?,
        None => None,
    };
    let mut query = Affiliate::query()
        .filter(affiliates::network_id.eq(network_id))
        .limit(limit)
        .into_boxed();
    if let Some(group_id) = group_id {
        query = query.filter(affiliates::group_id.eq(group_id));
    }
    query = narrowed!(affiliates, AffiliateStatus::Archived, query, filter, last);
    query.load(&mut **conn).await
}

/// The affiliates that are worked with, by name: for choices.
///
/// # Errors
/// When the database fails.
pub async fn active(conn: &mut NetworkConn) -> QueryResult<Vec<Affiliate>> {
    let filter = PartyFilter {
        status: Some(AffiliateStatus::Active),
        ..PartyFilter::default()
    };
    list(conn, &filter, None, 10_000).await
}

/// All affiliates by name, whatever their status: for filters over what happened.
///
/// # Errors
/// When the database fails.
pub async fn all(conn: &mut NetworkConn) -> QueryResult<Vec<Affiliate>> {
    let filter = PartyFilter {
        archived_too: true,
        ..PartyFilter::default()
    };
    list(conn, &filter, None, 10_000).await
}

/// The affiliate that somebody means by its id, its external id, or a name that no other has.
///
/// # Errors
/// When the database fails.
pub async fn known_as(conn: &mut NetworkConn, text: &str) -> QueryResult<Option<Affiliate>> {
    if let Ok(id) = text.parse() {
        return find(conn, id).await;
    }
    let network_id = conn.network_id();
    let found: Vec<Affiliate> = Affiliate::query()
        .filter(affiliates::network_id.eq(network_id))
        .filter(affiliates::external_id.eq(text).or(affiliates::name.eq(text)))
        .limit(3)
        .load(&mut **conn)
        .await?;
    Ok(meant(text, found, |it| it.external_id.as_deref()))
}

/// The affiliate that a field of a draft names, if it names one; whom nobody is called is noted in the draft.
///
/// # Errors
/// When the database fails.
pub async fn named(
    conn: &mut NetworkConn,
    draft: &mut Draft,
    field: &'static str,
) -> QueryResult<Option<Option<AffiliateId>>> {
    let named = match draft.of(field) {
        "" => Ok(None),
        text => known_as(conn, text)
            .await?
            .map(|found| Some(found.id))
            .ok_or("Choose one of your affiliates."),
    };
    Ok(draft.errors.take(field, named))
}

/// The affiliate with this external id, or else this very name: what somebody means who
/// describes one that may be there already.
///
/// # Errors
/// When the database fails.
pub async fn matching(
    conn: &mut NetworkConn,
    settings: &AffiliateSettings,
) -> QueryResult<Option<Affiliate>> {
    let network_id = conn.network_id();
    let query = Affiliate::query().filter(affiliates::network_id.eq(network_id));
    match &settings.external_id {
        Some(external_id) => {
            query
                .filter(affiliates::external_id.eq(external_id))
                .first(&mut **conn)
                .await
        }
        None => {
            query
                .filter(affiliates::name.eq(&settings.name))
                .first(&mut **conn)
                .await
        }
    }
    .optional()
}
