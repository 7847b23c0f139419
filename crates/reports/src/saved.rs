//! Saved views: reports under a name, for their owner, for the users of one advertiser or affiliate, or for the team.
//!
//! A view decides about the query alone. Its figures are those that the viewer's role sees, and a query with a part that
//! the role may not see is refused when the view is opened.

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use diesel::dsl::count_star;
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use schema::{
    AdvertiserId, AffiliateId, MembershipId, NetworkConn, PersonId, SavedReportId, Words, memberships,
    people, report_defaults, report_mails, saved_reports, text_enum,
};
use serde_json::{Value, json};
use tenancy::audit::{self, Change};
use tenancy::{Actor, ChangeError, Draft, NotPermitted, Permission, RoleKind, check_name};

use crate::period::{Period, StoredQuery};

/// Maximum number of views of one member.
const MAX_OF_OWNER: i64 = 100;
/// Maximum number of views of a list.
const MAX_LISTED: i64 = 500;

text_enum! {
    /// Members who see a view.
    pub enum Audience {
        /// Its owner.
        Personal = "personal",
        /// Users of the advertiser or affiliate of its owner.
        Party = "party",
        /// Members of the network with one of its roles.
        Team = "team",
    }
}

impl Audience {
    /// Label on pages.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Personal => "Only me",
            Self::Party => "Users of my company",
            Self::Team => "Members with these roles",
        }
    }

    /// Audiences that an actor may choose.
    #[must_use]
    pub fn of_actor(actor: &Actor) -> Vec<Self> {
        let scope = actor.scope();
        let may_choose = |audience: &Self| match audience {
            Self::Personal => true,
            Self::Party => !scope.is_staff(),
            Self::Team => actor.may(Permission::Configure),
        };
        Self::ALL.iter().copied().filter(may_choose).collect()
    }
}

/// Roles that see reports: a view of the team is offered to some of them.
#[must_use]
pub fn roles() -> Vec<RoleKind> {
    Permission::SeeReports.roles().to_vec()
}

/// Saved view as stored.
#[derive(Debug, Clone, PartialEq, Eq, HasQuery)]
#[diesel(table_name = saved_reports)]
pub struct SavedReport {
    /// Identifier.
    pub id: SavedReportId,
    /// Membership of the user who saved it.
    pub owner_id: MembershipId,
    /// Name on pages.
    pub name: String,
    /// Members who see it.
    pub audience: Audience,
    /// Roles that a view of the team is offered to; empty for other audiences.
    pub roles: Words,
    /// Relative period; `None` for the days of the query.
    pub period: Option<Period>,
    /// Query string of the report.
    pub query: String,
    /// Time of creation.
    pub created_at: DateTime<Utc>,
    /// Time of the last change.
    pub updated_at: DateTime<Utc>,
}

impl SavedReport {
    /// Query of the view.
    #[must_use]
    pub fn stored(&self) -> StoredQuery {
        StoredQuery {
            period: self.period,
            text: self.query.clone(),
        }
    }

    fn to_json(&self) -> Value {
        json!({
            "name": self.name,
            "audience": self.audience.as_str(),
            "roles": self.roles,
            "period": self.period.map(Period::as_str),
            "query": self.query,
        })
    }

    /// The view as a draft.
    #[must_use]
    pub fn draft(&self) -> Draft {
        Draft::with([
            ("name", self.name.clone()),
            ("audience", self.audience.to_string()),
            ("roles", self.roles.on_one_line()),
            ("period", self.period.map_or("fixed", Period::as_str).to_owned()),
            ("query", self.query.clone()),
        ])
    }
}

/// View as an actor sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct View {
    /// The view.
    pub report: SavedReport,
    /// Name of its owner.
    pub owner: String,
    /// True if the actor saved it.
    pub is_own: bool,
    /// True if the actor may change and delete it.
    pub may_change: bool,
    /// Roles that open it by default.
    pub default_for: Vec<RoleKind>,
}

/// Settings of a view, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SavedReportSettings {
    name: String,
    audience: Audience,
    roles: Vec<RoleKind>,
    query: StoredQuery,
}

impl SavedReportSettings {
    /// Fields of the [`Draft`] of a view.
    pub const FIELDS: [&'static str; 5] = ["name", "audience", "roles", "period", "query"];

    /// Checks a draft for an actor, in the time zone of the network, and returns the settings, or `None` with the errors
    /// in the draft.
    pub fn check(draft: &mut Draft, actor: &Actor, now: DateTime<Utc>, zone: Tz) -> Option<Self> {
        let name = draft.take("name", check_name);
        let audience = draft.take("audience", |text| check_audience(text, actor));
        let roles = draft.take("roles", |text| check_roles(text, audience));
        let query = StoredQuery::of_draft(draft, actor, now, zone);
        Some(Self {
            name: name?,
            audience: audience?,
            roles: roles?,
            query: query?,
        })
    }
}

fn check_audience(text: &str, actor: &Actor) -> Result<Audience, String> {
    let audience = match text {
        "" => Audience::Personal,
        text => text.parse()?,
    };
    if Audience::of_actor(actor).contains(&audience) {
        return Ok(audience);
    }
    Err(match audience {
        Audience::Team => NotPermitted(Permission::Configure).to_string(),
        _ => "Only users of an advertiser or affiliate can choose this.".to_owned(),
    })
}

/// Roles of a view of the team, all of them by default; none of another view.
fn check_roles(text: &str, audience: Option<Audience>) -> Result<Vec<RoleKind>, String> {
    let offered = roles();
    let mut chosen = Vec::new();
    for word in Words::typed(text).0 {
        let role: RoleKind = word.parse()?;
        if !offered.contains(&role) {
            return Err(format!("The role “{role}” sees no reports."));
        }
        chosen.push(role);
    }
    if audience != Some(Audience::Team) {
        return Ok(Vec::new());
    }
    Ok(if chosen.is_empty() { offered } else { chosen })
}

fn words(roles: &[RoleKind]) -> Words {
    Words(roles.iter().map(|role| role.as_str().to_owned()).collect())
}

/// View with its owner: person, advertiser and affiliate of the membership, name.
type Owned = (
    SavedReport,
    PersonId,
    Option<AdvertiserId>,
    Option<AffiliateId>,
    String,
);

/// Views that an actor sees, by name: at most 500.
///
/// # Errors
/// Returns an error if the database fails.
pub async fn list(conn: &mut NetworkConn, actor: &Actor) -> QueryResult<Vec<View>> {
    select(conn, actor, None).await
}

/// View with this id, if the actor sees it.
///
/// # Errors
/// Returns an error if the database fails.
pub async fn find(conn: &mut NetworkConn, actor: &Actor, id: SavedReportId) -> QueryResult<Option<View>> {
    Ok(select(conn, actor, Some(id)).await?.pop())
}

async fn select(conn: &mut NetworkConn, actor: &Actor, id: Option<SavedReportId>) -> QueryResult<Vec<View>> {
    let network_id = conn.network_id();
    let scope = actor.scope();
    let of_party = memberships::advertiser_id
        .is_not_distinct_from(scope.advertiser)
        .and(memberships::affiliate_id.is_not_distinct_from(scope.affiliate));
    // A person whose staff role changes has another membership, and keeps the views.
    let is_own = memberships::person_id.eq(actor.person_id).and(of_party);
    let is_for_party = saved_reports::audience.eq(Audience::Party).and(of_party);
    let mut query = saved_reports::table
        .inner_join(
            memberships::table.on(memberships::network_id
                .eq(saved_reports::network_id)
                .and(memberships::id.eq(saved_reports::owner_id))),
        )
        .inner_join(people::table.on(people::id.eq(memberships::person_id)))
        .filter(saved_reports::network_id.eq(network_id))
        .order((saved_reports::name, saved_reports::id))
        .limit(MAX_LISTED)
        .select((
            SavedReport::as_select(),
            memberships::person_id,
            memberships::advertiser_id,
            memberships::affiliate_id,
            people::name,
        ))
        .into_boxed();
    let is_for_team = saved_reports::audience.eq(Audience::Team);
    query = if actor.may(Permission::Configure) {
        query.filter(is_own.or(is_for_party).or(is_for_team))
    } else {
        let role = Words(vec![actor.role.as_str().to_owned()]);
        let is_offered = is_for_team.and(saved_reports::roles.contains(role));
        query.filter(is_own.or(is_for_party).or(is_offered))
    };
    if let Some(id) = id {
        query = query.filter(saved_reports::id.eq(id));
    }
    let found: Vec<Owned> = query.load(&mut **conn).await?;
    let defaults: Vec<(String, SavedReportId)> = report_defaults::table
        .filter(report_defaults::network_id.eq(network_id))
        .order(report_defaults::role)
        .select((report_defaults::role, report_defaults::saved_report_id))
        .load(&mut **conn)
        .await?;
    let view = |(report, person_id, advertiser, affiliate, owner): Owned| {
        let is_own =
            person_id == actor.person_id && (advertiser, affiliate) == (scope.advertiser, scope.affiliate);
        let may_change = actor.may(Permission::SaveReports)
            && match report.audience {
                Audience::Team => actor.may(Permission::Configure),
                Audience::Personal | Audience::Party => is_own,
            };
        let of_view = defaults.iter().filter(|(_, id)| *id == report.id);
        View {
            default_for: of_view.filter_map(|(role, _)| role.parse().ok()).collect(),
            report,
            owner,
            is_own,
            may_change,
        }
    };
    Ok(found.into_iter().map(view).collect())
}

/// View that the page of reports opens for an actor; `None` if the role has no default.
///
/// # Errors
/// Returns an error if the database fails.
pub async fn default_of(conn: &mut NetworkConn, actor: &Actor) -> QueryResult<Option<SavedReportId>> {
    let network_id = conn.network_id();
    report_defaults::table
        .find((network_id, actor.role.as_str()))
        .select(report_defaults::saved_report_id)
        .first(&mut **conn)
        .await
        .optional()
}

/// Saves a view of the actor.
///
/// # Errors
/// [`ChangeError::Limit`] if the actor has too many views, [`ChangeError::NotPermitted`].
pub async fn create(
    conn: &mut NetworkConn,
    actor: &Actor,
    settings: &SavedReportSettings,
    now: DateTime<Utc>,
) -> Result<View, ChangeError> {
    check_may_save(actor)?;
    let network_id = conn.network_id();
    let count: i64 = saved_reports::table
        .filter(saved_reports::network_id.eq(network_id))
        .filter(saved_reports::owner_id.eq(actor.membership_id))
        .select(count_star())
        .first(&mut **conn)
        .await?;
    if count >= MAX_OF_OWNER {
        let message = format!("You have {MAX_OF_OWNER} views. Delete one first.");
        return Err(ChangeError::Limit(message));
    }
    let created: SavedReport = diesel::insert_into(saved_reports::table)
        .values((
            saved_reports::network_id.eq(network_id),
            saved_reports::owner_id.eq(actor.membership_id),
            saved_reports::name.eq(&settings.name),
            saved_reports::audience.eq(settings.audience),
            saved_reports::roles.eq(words(&settings.roles)),
            saved_reports::period.eq(settings.query.period),
            saved_reports::query.eq(&settings.query.text),
            saved_reports::created_at.eq(now),
            saved_reports::updated_at.eq(now),
        ))
        .returning(SavedReport::as_select())
        .get_result(&mut **conn)
        .await?;
    let change = Change::created(
        "saved_report.create",
        created.id,
        &created.name,
        created.to_json(),
    );
    audit::record(conn, &actor.author(), change, now).await?;
    Ok(View {
        report: created,
        owner: actor.person_name.clone(),
        is_own: true,
        may_change: true,
        default_for: Vec::new(),
    })
}

/// Changes a view. Roles that it is no longer offered to lose it as their default.
///
/// # Errors
/// [`ChangeError::NotFound`], [`ChangeError::NotPermitted`], [`ChangeError::Conflict`] for another member's view that
/// would no longer be the team's.
pub async fn update(
    conn: &mut NetworkConn,
    actor: &Actor,
    id: SavedReportId,
    settings: &SavedReportSettings,
    now: DateTime<Utc>,
) -> Result<View, ChangeError> {
    let old = changeable(conn, actor, id).await?;
    if settings.audience != Audience::Team && !old.is_own {
        let message = format!("This view belongs to {}. It stays a view of the team.", old.owner);
        return Err(ChangeError::Conflict(message));
    }
    let network_id = conn.network_id();
    let updated: SavedReport = diesel::update(saved_reports::table.find((network_id, id)))
        .set((
            saved_reports::name.eq(&settings.name),
            saved_reports::audience.eq(settings.audience),
            saved_reports::roles.eq(words(&settings.roles)),
            saved_reports::period.eq(settings.query.period),
            saved_reports::query.eq(&settings.query.text),
            saved_reports::updated_at.eq(now),
        ))
        .returning(SavedReport::as_select())
        .get_result(&mut **conn)
        .await?;
    diesel::delete(report_defaults::table)
        .filter(report_defaults::network_id.eq(network_id))
        .filter(report_defaults::saved_report_id.eq(id))
        .filter(report_defaults::role.ne_all(settings.roles.iter().map(|role| role.as_str())))
        .execute(&mut **conn)
        .await?;
    let (before, after) = (old.report.to_json(), updated.to_json());
    let change = Change::between("saved_report.update", id, &updated.name, before, after);
    audit::record(conn, &actor.author(), change, now).await?;
    find(conn, actor, id).await?.ok_or(ChangeError::NotFound)
}

/// Deletes a view, with its scheduled mails.
///
/// # Errors
/// [`ChangeError::NotFound`], [`ChangeError::NotPermitted`].
pub async fn remove(
    conn: &mut NetworkConn,
    actor: &Actor,
    id: SavedReportId,
    now: DateTime<Utc>,
) -> Result<(), ChangeError> {
    let old = changeable(conn, actor, id).await?;
    let network_id = conn.network_id();
    let mails: i64 = report_mails::table
        .filter(report_mails::network_id.eq(network_id))
        .filter(report_mails::saved_report_id.eq(id))
        .select(count_star())
        .first(&mut **conn)
        .await?;
    diesel::delete(saved_reports::table.find((network_id, id)))
        .execute(&mut **conn)
        .await?;
    let mut before = old.report.to_json();
    if let Value::Object(fields) = &mut before {
        fields.insert("scheduled_mails".to_owned(), json!(mails));
    }
    let change = Change::between("saved_report.remove", id, &old.report.name, before, json!({}));
    Ok(audit::record(conn, &actor.author(), change, now).await?)
}

/// Makes a view the default of these roles, and of no others.
///
/// # Errors
/// [`ChangeError::NotFound`], [`ChangeError::NotPermitted`], or an error at the field `roles` for a role that the view
/// is not offered to.
pub async fn set_default(
    conn: &mut NetworkConn,
    actor: &Actor,
    id: SavedReportId,
    roles: &[RoleKind],
    now: DateTime<Utc>,
) -> Result<View, ChangeError> {
    let old = find(conn, actor, id).await?.ok_or(ChangeError::NotFound)?;
    for needed in [Permission::SaveReports, Permission::ManageNetwork] {
        if !actor.may(needed) {
            return Err(NotPermitted(needed).into());
        }
    }
    if let Some(role) = roles
        .iter()
        .find(|role| !old.report.roles.0.iter().any(|word| word == role.as_str()))
    {
        let message = format!("The view is not offered to the role “{role}”.");
        return Err(ChangeError::field("roles", message));
    }
    let network_id = conn.network_id();
    diesel::delete(report_defaults::table)
        .filter(report_defaults::network_id.eq(network_id))
        .filter(report_defaults::saved_report_id.eq(id))
        .execute(&mut **conn)
        .await?;
    for role in roles {
        diesel::insert_into(report_defaults::table)
            .values((
                report_defaults::network_id.eq(network_id),
                report_defaults::role.eq(role.as_str()),
                report_defaults::saved_report_id.eq(id),
            ))
            .on_conflict((report_defaults::network_id, report_defaults::role))
            .do_update()
            .set(report_defaults::saved_report_id.eq(id))
            .execute(&mut **conn)
            .await?;
    }
    let change = Change::between(
        "saved_report.set_default",
        id,
        &old.report.name,
        json!({ "default_for": words(&old.default_for) }),
        json!({ "default_for": words(roles) }),
    );
    audit::record(conn, &actor.author(), change, now).await?;
    find(conn, actor, id).await?.ok_or(ChangeError::NotFound)
}

/// View that the actor sees and may change, locked.
async fn changeable(conn: &mut NetworkConn, actor: &Actor, id: SavedReportId) -> Result<View, ChangeError> {
    let network_id = conn.network_id();
    let _locked: Option<SavedReportId> = saved_reports::table
        .find((network_id, id))
        .select(saved_reports::id)
        .for_update()
        .first(&mut **conn)
        .await
        .optional()?;
    let view = find(conn, actor, id).await?.ok_or(ChangeError::NotFound)?;
    check_may_save(actor)?;
    if view.may_change {
        Ok(view)
    } else {
        // Views of others that an actor sees are the team's, or those of the actor's own advertiser or affiliate.
        match view.report.audience {
            Audience::Team => Err(NotPermitted(Permission::Configure).into()),
            _ => Err(ChangeError::Conflict(format!(
                "Only {} can change this view.",
                view.owner
            ))),
        }
    }
}

pub(crate) fn check_may_save(actor: &Actor) -> Result<(), ChangeError> {
    if actor.may(Permission::SaveReports) {
        Ok(())
    } else {
        Err(NotPermitted(Permission::SaveReports).into())
    }
}
