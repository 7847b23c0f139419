//! Share links: secret addresses under which visitors without an account see one report.
//!
//! A link runs with the scope and the permissions that its owner has at the time of each view, and its query is fixed.

use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;
use diesel::dsl::count_star;
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use schema::{
    Db, DbError, MembershipId, NetworkConn, NetworkId, ReportLinkId, memberships, people, report_links,
};
use serde_json::json;
use tenancy::audit::{self, Change};
use tenancy::{
    Actor, ChangeError, Draft, OneTimeToken, PasswordHash, Permission, Via, check_name, check_number,
    unscoped,
};

use crate::ReportQuery;
use crate::period::{Period, StoredQuery};
use crate::saved::check_may_save;

/// Validity of a link by default, in days.
pub const DEFAULT_DAYS: i64 = 30;
/// Maximum validity of a link, in days.
pub const MAX_DAYS: i64 = 365;
/// Maximum number of live links of one member.
const MAX_OF_OWNER: i64 = 100;
/// Maximum number of links of a list.
const MAX_LISTED: i64 = 500;
/// Precision of the time of the last view.
const VIEW_INTERVAL: TimeDelta = TimeDelta::minutes(1);

/// Share link as stored, without its token.
#[derive(Debug, Clone, HasQuery)]
#[diesel(table_name = report_links)]
pub struct ReportLink {
    /// Identifier.
    pub id: ReportLinkId,
    /// Membership of the user who made the link.
    pub owner_id: MembershipId,
    /// Name of the report on its page.
    pub name: String,
    password_hash: Option<String>,
    /// Relative period; `None` for the days of the query.
    pub period: Option<Period>,
    /// Query string of the report.
    pub query: String,
    /// Time of creation.
    pub created_at: DateTime<Utc>,
    /// End of validity.
    pub expires_at: DateTime<Utc>,
    /// Time at which a user revoked it.
    pub revoked_at: Option<DateTime<Utc>>,
    /// Time of the last view, to the minute.
    pub last_used_at: Option<DateTime<Utc>>,
}

impl ReportLink {
    /// True if visitors have to enter a password.
    #[must_use]
    pub fn has_password(&self) -> bool {
        self.password_hash.is_some()
    }

    /// Hash of the password; `None` without one.
    #[must_use]
    pub fn password(&self) -> Option<PasswordHash> {
        self.password_hash.clone().map(PasswordHash::from_stored)
    }

    /// True until it is revoked or expires.
    #[must_use]
    pub fn is_live(&self, now: DateTime<Utc>) -> bool {
        self.revoked_at.is_none() && self.expires_at > now
    }
}

/// Settings of a link, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkSettings {
    name: String,
    query: StoredQuery,
    days: i64,
}

impl LinkSettings {
    /// Fields of the [`Draft`] of a link. Its password is no part of it.
    pub const FIELDS: [&'static str; 4] = ["name", "period", "query", "expires_in_days"];

    /// Checks a draft for an actor, in the time zone of the network, and returns the settings, or `None` with the errors
    /// in the draft.
    pub fn check(draft: &mut Draft, actor: &Actor, now: DateTime<Utc>, zone: Tz) -> Option<Self> {
        let name = draft.take("name", check_name);
        let days = draft.take("expires_in_days", |text| {
            check_number(text, Some(DEFAULT_DAYS), 1..=MAX_DAYS)
        });
        let query = StoredQuery::of_draft(draft, actor, now, zone);
        Some(Self {
            name: name?,
            query: query?,
            days: days?,
        })
    }
}

/// Makes a link. The token is shown once.
///
/// # Errors
/// [`ChangeError::Limit`] if the actor has too many live links, [`ChangeError::NotPermitted`].
pub async fn create(
    conn: &mut NetworkConn,
    actor: &Actor,
    settings: &LinkSettings,
    password: Option<&PasswordHash>,
    now: DateTime<Utc>,
) -> Result<(ReportLink, OneTimeToken), ChangeError> {
    check_may_save(actor)?;
    let network_id = conn.network_id();
    let live: i64 = report_links::table
        .filter(report_links::network_id.eq(network_id))
        .filter(report_links::owner_id.eq(actor.membership_id))
        .filter(report_links::revoked_at.is_null())
        .filter(report_links::expires_at.gt(now))
        .select(count_star())
        .first(&mut **conn)
        .await?;
    if live >= MAX_OF_OWNER {
        let message = format!("You have {MAX_OF_OWNER} share links. Revoke one first.");
        return Err(ChangeError::Limit(message));
    }
    let token = OneTimeToken::of_network(network_id);
    let created: ReportLink = diesel::insert_into(report_links::table)
        .values((
            report_links::network_id.eq(network_id),
            report_links::owner_id.eq(actor.membership_id),
            report_links::name.eq(&settings.name),
            report_links::token_hash.eq(token.hash()),
            report_links::password_hash.eq(password.map(PasswordHash::as_str)),
            report_links::period.eq(settings.query.period),
            report_links::query.eq(&settings.query.text),
            report_links::created_at.eq(now),
            report_links::expires_at.eq(now + TimeDelta::days(settings.days)),
        ))
        .returning(ReportLink::as_select())
        .get_result(&mut **conn)
        .await?;
    let after = json!({
        "name": created.name,
        "period": created.period.map(Period::as_str),
        "query": created.query,
        "has_password": created.has_password(),
        "expires_at": created.expires_at,
    });
    let change = Change::created("report_link.create", created.id, &created.name, after);
    audit::record(conn, &actor.author(), change, now).await?;
    Ok((created, token))
}

/// Links of an actor, or of every member if the actor may change the settings of the network, each with the name of its
/// owner; the newest first.
///
/// # Errors
/// Returns an error if the database fails.
pub async fn list(conn: &mut NetworkConn, actor: &Actor) -> QueryResult<Vec<(ReportLink, String)>> {
    select(conn, actor, None).await
}

/// Link with this id and the name of its owner, if the actor sees it.
///
/// # Errors
/// Returns an error if the database fails.
pub async fn find(
    conn: &mut NetworkConn,
    actor: &Actor,
    id: ReportLinkId,
) -> QueryResult<Option<(ReportLink, String)>> {
    Ok(select(conn, actor, Some(id)).await?.pop())
}

async fn select(
    conn: &mut NetworkConn,
    actor: &Actor,
    id: Option<ReportLinkId>,
) -> QueryResult<Vec<(ReportLink, String)>> {
    let network_id = conn.network_id();
    let mut query = report_links::table
        .inner_join(
            memberships::table.on(memberships::network_id
                .eq(report_links::network_id)
                .and(memberships::id.eq(report_links::owner_id))),
        )
        .inner_join(people::table.on(people::id.eq(memberships::person_id)))
        .filter(report_links::network_id.eq(network_id))
        .order((report_links::created_at.desc(), report_links::id))
        .limit(MAX_LISTED)
        .select((ReportLink::as_select(), people::name))
        .into_boxed();
    if !actor.may(Permission::ManageNetwork) {
        query = query.filter(report_links::owner_id.eq(actor.membership_id));
    }
    if let Some(id) = id {
        query = query.filter(report_links::id.eq(id));
    }
    query.load(&mut **conn).await
}

/// Revokes a link. Revoking it again changes nothing.
///
/// # Errors
/// [`ChangeError::NotFound`], [`ChangeError::NotPermitted`].
pub async fn revoke(
    conn: &mut NetworkConn,
    actor: &Actor,
    id: ReportLinkId,
    now: DateTime<Utc>,
) -> Result<(), ChangeError> {
    let (link, _) = find(conn, actor, id).await?.ok_or(ChangeError::NotFound)?;
    check_may_save(actor)?;
    let network_id = conn.network_id();
    let revoked = diesel::update(report_links::table.find((network_id, id)))
        .filter(report_links::revoked_at.is_null())
        .set(report_links::revoked_at.eq(now))
        .execute(&mut **conn)
        .await?;
    if revoked == 1 {
        let change = Change::noted("report_link.revoke", id, &link.name);
        audit::record(conn, &actor.author(), change, now).await?;
    }
    Ok(())
}

/// Link of a token.
#[derive(Debug, Clone)]
pub enum Found {
    /// No link has this token.
    Unknown,
    /// The link is revoked or expired, or its owner may no longer share reports.
    Dead,
    /// The link works; reports run as its owner sees them.
    Live(Box<(ReportLink, Actor)>),
}

/// Finds the link of a token, with its owner as of now.
///
/// # Errors
/// Returns an error if the database fails.
pub async fn find_live(db: &Db, token: &OneTimeToken, now: DateTime<Utc>) -> Result<Found, DbError> {
    let Some(network_id) = token.network_id() else {
        return Ok(Found::Unknown);
    };
    let mut conn = db.network(network_id).await?;
    let found = ReportLink::query()
        .filter(report_links::network_id.eq(network_id))
        .filter(report_links::token_hash.eq(token.hash()))
        .first(&mut *conn)
        .await
        .optional()?;
    conn.commit().await?;
    let Some(link) = found else {
        return Ok(Found::Unknown);
    };
    if !link.is_live(now) {
        return Ok(Found::Dead);
    }
    let owner = owner(db, network_id, &link).await?;
    Ok(owner.map_or(Found::Dead, |owner| Found::Live(Box::new((link, owner)))))
}

/// Owner of a link; `None` if the membership has ended or its role may no longer share reports.
async fn owner(db: &Db, network_id: NetworkId, link: &ReportLink) -> Result<Option<Actor>, DbError> {
    let owner = unscoped::actor(db, network_id, link.owner_id, Via::System, None).await?;
    Ok(owner.filter(|owner| owner.may(Permission::SeeReports) && owner.may(Permission::SaveReports)))
}

/// Query of a link at a time; `None` if the owner's role no longer sees a part of it.
#[must_use]
pub fn query_at(link: &ReportLink, owner: &Actor, now: DateTime<Utc>, zone: Tz) -> Option<ReportQuery> {
    let stored = StoredQuery {
        period: link.period,
        text: link.query.clone(),
    };
    let query = stored.at(now, zone).ok()?;
    query.check(owner).ok()?;
    Some(query)
}

/// Records a view, to the minute.
///
/// # Errors
/// Returns an error if the database fails.
pub async fn record_view(conn: &mut NetworkConn, link: &ReportLink, now: DateTime<Utc>) -> QueryResult<()> {
    if link.last_used_at.is_some_and(|at| at > now - VIEW_INTERVAL) {
        return Ok(());
    }
    let network_id = conn.network_id();
    diesel::update(report_links::table.find((network_id, link.id)))
        .set(report_links::last_used_at.eq(now))
        .execute(&mut **conn)
        .await?;
    Ok(())
}
