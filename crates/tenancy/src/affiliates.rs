//! Affiliates: the partners who send visitors.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use schema::{
    AffiliateId, GroupId, MembershipId, NetworkConn, NetworkId, Words, affiliate_groups, affiliates,
    text_enum,
};
use serde_json::{Value, json};

use crate::audit::{self, Change};
use crate::author::Author;
use crate::draft::Draft;
use crate::error::{ChangeError, taken};
use crate::memberships;
use crate::parties::{EXTERNAL_ID_TAKEN, PartyDetails, PartyDraft, PartyFilter, narrowed};
use crate::permissions::Scope;
use crate::reference::resolve_reference;

text_enum! {
    /// Business status of an affiliate.
    pub enum AffiliateStatus {
        /// Links redirect and conversions are recorded.
        Active = "active",
        /// Links do not redirect; conversions of earlier clicks are recorded.
        Paused = "paused",
        /// Links do not redirect, and no conversion is recorded.
        Blocked = "blocked",
        /// Like paused, and hidden from lists.
        Archived = "archived",
    }
}

/// An affiliate as stored.
#[derive(Debug, Clone, HasQuery)]
#[diesel(table_name = affiliates)]
pub struct Affiliate {
    /// Affiliate ID.
    pub id: AffiliateId,
    /// Display name.
    pub name: String,
    /// Business status.
    pub status: AffiliateStatus,
    /// Group whose commission rules apply; None if in no group.
    pub group_id: Option<GroupId>,
    /// Member of the staff who manages the affiliate; None if not set.
    pub manager_id: Option<MembershipId>,
    /// Identifier of the affiliate in another system; None if not set.
    pub external_id: Option<String>,
    /// Notes for the network's staff.
    pub notes: String,
    /// Search tags.
    pub tags: Words,
    /// Version for edit conflicts; rises with every change.
    pub version: i32,
    /// Time of creation.
    pub created_at: DateTime<Utc>,
}

/// Validated settings of an affiliate.
#[derive(Debug, Clone, PartialEq, Eq, AsChangeset, Insertable)]
#[diesel(table_name = affiliates, treat_none_as_null = true)]
pub struct AffiliateSettings {
    /// Display name.
    pub name: String,
    /// Business status.
    pub status: AffiliateStatus,
    /// Group whose commission rules apply; None if in no group.
    pub group_id: Option<GroupId>,
    /// Member of the staff who manages the affiliate; None if not set.
    pub manager_id: Option<MembershipId>,
    /// Identifier of the affiliate in another system; None if not set.
    pub external_id: Option<String>,
    /// Notes for the network's staff.
    pub notes: String,
    /// Search tags.
    pub tags: Words,
}

const GROUP_UNKNOWN: &str = "Choose one of your groups.";
const MANAGER_UNKNOWN: &str = "Choose a member of your team.";

impl AffiliateSettings {
    /// Settings of an active affiliate with only a name.
    #[must_use]
    pub fn named(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            status: AffiliateStatus::Active,
            group_id: None,
            manager_id: None,
            external_id: None,
            notes: String::new(),
            tags: Words::default(),
        }
    }

    /// Validates the input of a form, an API request or a CSV row.
    ///
    /// # Errors
    /// [`ChangeError::Fields`].
    pub fn checked(
        draft: &PartyDraft,
        status: &str,
        group: &str,
        manager: &str,
    ) -> Result<Self, ChangeError> {
        let mut draft = draft.with_status(status);
        draft.set("group", group);
        draft.set("manager", manager);
        let settings = Self::check(&mut draft);
        draft.accepted(settings)
    }

    /// Names of the fields in a [`Draft`].
    pub const FIELDS: [&'static str; 7] = [
        "name",
        "status",
        "group",
        "manager",
        "external_id",
        "notes",
        "tags",
    ];

    /// Draft of an active affiliate without a name.
    #[must_use]
    pub fn blank() -> Draft {
        Draft::with([("status", AffiliateStatus::Active.to_string())])
    }

    /// Draft that [`AffiliateSettings::check`] turns into these settings.
    #[must_use]
    pub fn draft(&self) -> Draft {
        let group = self.group_id.map(|id| id.to_string());
        let manager = self.manager_id.map(|id| id.to_string());
        Draft::with([
            ("name", self.name.clone()),
            ("status", self.status.to_string()),
            ("group", group.unwrap_or_default()),
            ("manager", manager.unwrap_or_default()),
            ("external_id", self.external_id.clone().unwrap_or_default()),
            ("notes", self.notes.clone()),
            ("tags", self.tags.on_one_line()),
        ])
    }

    /// Validated settings of a draft; none if a field has an error. `create` and `update` check that the group and the
    /// manager exist.
    pub fn check(draft: &mut Draft) -> Option<Self> {
        let details = PartyDetails::check(draft);
        let status = draft.take("status", str::parse);
        let group_id = draft.take("group", |text| match text.trim() {
            "" => Ok(None),
            text => text.parse().map(Some).map_err(|_| GROUP_UNKNOWN),
        });
        let manager_id = draft.take("manager", |text| match text.trim() {
            "" => Ok(None),
            text => text.parse().map(Some).map_err(|_| MANAGER_UNKNOWN),
        });
        let ((details, status), (group_id, manager_id)) =
            details.zip(status).zip(group_id.zip(manager_id))?;
        Some(Self {
            name: details.name,
            status,
            group_id,
            manager_id,
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
            "manager": self.manager_id.map(|id| id.to_string()),
            "external_id": self.external_id,
            "notes": self.notes,
            "tags": self.tags,
        })
    }
}

impl Affiliate {
    /// Current settings.
    #[must_use]
    pub fn settings(&self) -> AffiliateSettings {
        AffiliateSettings {
            name: self.name.clone(),
            status: self.status,
            group_id: self.group_id,
            manager_id: self.manager_id,
            external_id: self.external_id.clone(),
            notes: self.notes.clone(),
            tags: self.tags.clone(),
        }
    }
}

/// Rejects a group that does not exist in this network with a field error; another network's group reads the same as an
/// absent one.
async fn check_group(conn: &mut NetworkConn, settings: &AffiliateSettings) -> Result<(), ChangeError> {
    let Some(group_id) = settings.group_id else {
        return Ok(());
    };
    let network_id = conn.network_id();
    let known: Option<GroupId> = affiliate_groups::table
        .find((network_id, group_id))
        .select(affiliate_groups::id)
        // Locked, so that the group cannot be deleted before this transaction commits.
        .for_key_share()
        .first(&mut **conn)
        .await
        .optional()?;
    known
        .map(|_| ())
        .ok_or_else(|| ChangeError::field("group", GROUP_UNKNOWN))
}

/// Rejects a manager who is no active member of the staff. One who has left keeps the affiliates until they get another.
async fn check_manager(
    conn: &mut NetworkConn,
    settings: &AffiliateSettings,
    former: Option<MembershipId>,
) -> Result<(), ChangeError> {
    let Some(manager_id) = settings.manager_id.filter(|id| Some(*id) != former) else {
        return Ok(());
    };
    let member = memberships::find(conn, manager_id).await?;
    member
        .filter(|member| member.role.kind().is_staff())
        .map(|_| ())
        .ok_or_else(|| ChangeError::field("manager", MANAGER_UNKNOWN))
}

/// Creates an affiliate.
///
/// # Errors
/// [`ChangeError::Fields`] when the external id is taken, or the group or the manager unknown.
pub async fn create(
    conn: &mut NetworkConn,
    author: &Author,
    settings: &AffiliateSettings,
    now: DateTime<Utc>,
) -> Result<Affiliate, ChangeError> {
    check_group(conn, settings).await?;
    check_manager(conn, settings, None).await?;
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

/// Changes an affiliate; with a version, only if that version is current.
///
/// # Errors
/// [`ChangeError::NotFound`], [`ChangeError::Stale`], [`ChangeError::Fields`] when the external id is taken, or the group or
/// the manager unknown.
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
    check_manager(conn, settings, old.manager_id).await?;
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

/// Affiliate with this ID.
///
/// # Errors
/// Returns an error if the database fails.
pub async fn find(conn: &mut NetworkConn, id: AffiliateId) -> QueryResult<Option<Affiliate>> {
    let network_id = conn.network_id();
    Affiliate::query()
        .filter(affiliates::network_id.eq(network_id).and(affiliates::id.eq(id)))
        .first(&mut **conn)
        .await
        .optional()
}

/// Subquery: IDs of the affiliates that a member manages.
#[diesel::dsl::auto_type(no_type_alias)]
pub fn managed_by(network_id: NetworkId, manager: MembershipId) -> _ {
    affiliates::table
        .filter(affiliates::network_id.eq(network_id))
        .filter(affiliates::manager_id.eq(manager))
        .select(affiliates::id)
}

/// Affiliates that match the filter, of one group if given, at most `limit`.
///
/// # Errors
/// Returns an error if the database fails.
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

/// Active affiliates in scope by name, for select fields.
///
/// # Errors
/// Returns an error if the database fails.
pub async fn active(conn: &mut NetworkConn, scope: Scope) -> QueryResult<Vec<Affiliate>> {
    let filter = PartyFilter {
        status: Some(AffiliateStatus::Active),
        ..PartyFilter::default()
    };
    in_scope(conn, &filter, scope).await
}

/// All affiliates in scope by name, whatever their status: for filters of past activity.
///
/// # Errors
/// Returns an error if the database fails.
pub async fn all(conn: &mut NetworkConn, scope: Scope) -> QueryResult<Vec<Affiliate>> {
    let filter = PartyFilter {
        include_archived: true,
        ..PartyFilter::default()
    };
    in_scope(conn, &filter, scope).await
}

async fn in_scope(
    conn: &mut NetworkConn,
    filter: &PartyFilter<AffiliateStatus, AffiliateId>,
    scope: Scope,
) -> QueryResult<Vec<Affiliate>> {
    let mut found = list(conn, filter, None, 10_000).await?;
    if let Some(manager) = scope.manager {
        found.retain(|affiliate| affiliate.manager_id == Some(manager));
    }
    Ok(found)
}

/// Affiliate with this ID or external ID, or the only one with this name.
///
/// # Errors
/// Returns an error if the database fails.
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
    Ok(resolve_reference(text, found, |affiliate| {
        affiliate.external_id.as_deref()
    }))
}

/// Affiliate that a draft's field refers to: `Some(None)` if the field is empty; an unknown reference adds a field
/// error and returns None.
///
/// # Errors
/// Returns an error if the database fails.
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

/// Affiliate with the settings' external ID, or with the same name if the settings have none: the row that an import of
/// these settings updates.
///
/// # Errors
/// Returns an error if the database fails.
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
