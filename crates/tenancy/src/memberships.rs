//! Memberships: roles of people in a network.

use chrono::{DateTime, Utc};
use diesel::dsl::count_star;
use diesel::prelude::*;
use diesel::result::Error::DeserializationError;
use diesel_async::RunQueryDsl;
use schema::{
    AdvertiserId, AffiliateId, MembershipId, NetworkConn, PersonId, advertisers, affiliates, api_keys,
    invitations, memberships, networks, people,
};
use serde_json::json;

use crate::actor::Actor;
use crate::affiliates::AffiliateStatus;
use crate::audit::{self, Change};
use crate::author::Author;
use crate::error::ChangeError;
use crate::permissions::{NotPermitted, Permission, Scope};
pub use crate::roles::{Role, RoleKind, STAFF};
use crate::sessions;

impl Role {
    /// Role from its columns. A CHECK of the tables allows no other combination than [`Role::of`].
    pub(crate) fn stored(
        kind: &str,
        advertiser: Option<AdvertiserId>,
        affiliate: Option<AffiliateId>,
    ) -> QueryResult<Self> {
        let kind = kind
            .parse()
            .map_err(|message: String| DeserializationError(message.into()))?;
        Self::of(kind, advertiser, affiliate).map_err(|error| DeserializationError(error.into()))
    }

    /// Role of this kind for this advertiser or affiliate.
    ///
    /// # Errors
    /// Field error if the advertiser or affiliate is missing, or given for a role that has none.
    pub fn of(
        kind: RoleKind,
        advertiser: Option<AdvertiserId>,
        affiliate: Option<AffiliateId>,
    ) -> Result<Self, ChangeError> {
        match (kind, advertiser, affiliate) {
            (RoleKind::Owner, None, None) => Ok(Self::Owner),
            (RoleKind::Admin, None, None) => Ok(Self::Admin),
            (RoleKind::Manager, None, None) => Ok(Self::Manager),
            (RoleKind::Analyst, None, None) => Ok(Self::Analyst),
            (RoleKind::Advertiser, Some(id), None) => Ok(Self::Advertiser(id)),
            (RoleKind::AdvertiserDeveloper, Some(id), None) => Ok(Self::AdvertiserDeveloper(id)),
            (RoleKind::Affiliate, None, Some(id)) => Ok(Self::Affiliate(id)),
            (RoleKind::Advertiser | RoleKind::AdvertiserDeveloper, None, _) => Err(ChangeError::field(
                "advertiser",
                "Choose the advertiser that this role is for.",
            )),
            (RoleKind::Affiliate, _, None) => Err(ChangeError::field(
                "affiliate",
                "Choose the affiliate that this role is for.",
            )),
            (_, Some(_), _) => Err(ChangeError::field(
                "advertiser",
                "Leave the advertiser empty for this role.",
            )),
            (_, _, Some(_)) => Err(ChangeError::field(
                "affiliate",
                "Leave the affiliate empty for this role.",
            )),
        }
    }
}

impl Actor {
    /// True if the actor may grant and revoke a role: advertisers' and affiliates' roles with
    /// [`InviteParties`](crate::Permission::InviteParties), staff roles with
    /// [`ManageMembers`](crate::Permission::ManageMembers), and the owner role only as an owner.
    #[must_use]
    pub fn may_grant(&self, kind: RoleKind) -> bool {
        use crate::Permission::{InviteParties, ManageMembers};
        match kind {
            RoleKind::Owner => self.may(ManageMembers) && self.role == Role::Owner,
            kind if kind.is_staff() => self.may(ManageMembers),
            _ => self.may(InviteParties),
        }
    }
}

/// Makes a person a member with this role; revives an ended membership of the same person and role.
///
/// # Errors
/// Returns an error if the database fails, or the person, advertiser or affiliate does not exist (foreign-key
/// violation).
#[tracing::instrument(skip_all, fields(network = %conn.network_id(), person = %person_id, role = role.as_str()))]
pub async fn give(
    conn: &mut NetworkConn,
    author: &Author,
    person_id: PersonId,
    role: Role,
    now: DateTime<Utc>,
) -> QueryResult<MembershipId> {
    let network_id = conn.network_id();
    let known: Option<MembershipId> = memberships::table
        .filter(memberships::network_id.eq(network_id))
        .filter(memberships::person_id.eq(person_id))
        .filter(memberships::role.eq(role.as_str()))
        .filter(memberships::advertiser_id.is_not_distinct_from(role.advertiser()))
        .filter(memberships::affiliate_id.is_not_distinct_from(role.affiliate()))
        .select(memberships::id)
        .first(&mut **conn)
        .await
        .optional()?;
    let id = match known {
        Some(id) => {
            diesel::update(memberships::table.find((network_id, id)))
                .set(memberships::ended_at.eq(None::<DateTime<Utc>>))
                .execute(&mut **conn)
                .await?;
            id
        }
        None => {
            diesel::insert_into(memberships::table)
                .values((
                    memberships::network_id.eq(network_id),
                    memberships::person_id.eq(person_id),
                    memberships::role.eq(role.as_str()),
                    memberships::advertiser_id.eq(role.advertiser()),
                    memberships::affiliate_id.eq(role.affiliate()),
                    memberships::created_at.eq(now),
                ))
                .returning(memberships::id)
                .get_result(&mut **conn)
                .await?
        }
    };
    let name: String = people::table
        .find(person_id)
        .select(people::name)
        .first(&mut **conn)
        .await?;
    let change = Change::created("member.add", id, &name, json!({ "role": role.as_str() }));
    audit::record(conn, author, change, now).await?;
    Ok(id)
}

/// A member of the network.
#[derive(Debug, Clone)]
pub struct Member {
    /// Membership ID.
    pub id: MembershipId,
    /// Person ID.
    pub person_id: PersonId,
    /// Person's display name.
    pub person_name: String,
    /// Person's e-mail address, used to sign in.
    pub email: String,
    /// Role.
    pub role: Role,
    /// Name of the advertiser or affiliate that the role is for; None for staff roles.
    pub party: Option<String>,
    /// Status of the affiliate that the role is for; None for other roles.
    pub affiliate_status: Option<AffiliateStatus>,
    /// True if the person has set up two-factor authentication.
    pub has_second_factor: bool,
    /// Time since which the person has the role.
    pub since: DateTime<Utc>,
}

type Columns = (
    MembershipId,
    PersonId,
    String,
    String,
    String,
    Option<AdvertiserId>,
    Option<AffiliateId>,
    Option<String>,
    Option<String>,
    Option<AffiliateStatus>,
    bool,
    DateTime<Utc>,
);

fn member(row: Columns) -> QueryResult<Member> {
    let (
        id,
        person_id,
        person_name,
        email,
        role,
        advertiser,
        affiliate,
        adv_name,
        aff_name,
        affiliate_status,
        second,
        since,
    ) = row;
    Ok(Member {
        id,
        person_id,
        person_name,
        email,
        role: Role::stored(&role, advertiser, affiliate)?,
        party: adv_name.or(aff_name),
        affiliate_status,
        has_second_factor: second,
        since,
    })
}

/// Filter for members.
#[derive(Debug, Clone, Copy, Default)]
pub struct MemberFilter {
    /// Advertiser or affiliate that the role is for; empty for any.
    pub scope: Scope,
    /// Membership ID; None for any.
    pub id: Option<MembershipId>,
    /// True for staff only.
    pub staff_only: bool,
    /// Membership to start after, in order of creation.
    pub after: Option<MembershipId>,
}

/// Members that match the filter, in order of creation, at most `limit`; ended memberships excluded.
///
/// # Errors
/// Returns an error if the database fails.
pub async fn list(conn: &mut NetworkConn, filter: &MemberFilter, limit: i64) -> QueryResult<Vec<Member>> {
    let network_id = conn.network_id();
    let mut query = memberships::table
        .inner_join(people::table)
        .left_join(
            advertisers::table.on(advertisers::network_id
                .eq(memberships::network_id)
                .and(memberships::advertiser_id.eq(advertisers::id.nullable()))),
        )
        .left_join(
            affiliates::table.on(affiliates::network_id
                .eq(memberships::network_id)
                .and(memberships::affiliate_id.eq(affiliates::id.nullable()))),
        )
        .filter(memberships::network_id.eq(network_id))
        .filter(memberships::ended_at.is_null())
        .order((memberships::created_at, memberships::id))
        .limit(limit)
        .select((
            memberships::id,
            people::id,
            people::name,
            people::email,
            memberships::role,
            memberships::advertiser_id,
            memberships::affiliate_id,
            advertisers::name.nullable(),
            affiliates::name.nullable(),
            affiliates::status.nullable(),
            people::totp_sealed.is_not_null(),
            memberships::created_at,
        ))
        .into_boxed();
    if let Some(id) = filter.id {
        query = query.filter(memberships::id.eq(id));
    }
    if let Some(advertiser_id) = filter.scope.advertiser {
        query = query.filter(memberships::advertiser_id.eq(advertiser_id));
    }
    if let Some(affiliate_id) = filter.scope.affiliate {
        query = query.filter(memberships::affiliate_id.eq(affiliate_id));
    }
    if filter.staff_only {
        query = query.filter(memberships::role.eq_any(STAFF.map(RoleKind::as_str)));
    }
    if let Some(after) = filter.after {
        let last: Option<DateTime<Utc>> = memberships::table
            .find((network_id, after))
            .select(memberships::created_at)
            .first(&mut **conn)
            .await
            .optional()?;
        if let Some(at) = last {
            query = query.filter(
                memberships::created_at
                    .gt(at)
                    .or(memberships::created_at.eq(at).and(memberships::id.gt(after))),
            );
        }
    }
    let rows: Vec<Columns> = query.load(&mut **conn).await?;
    rows.into_iter().map(member).collect()
}

/// Active members of the staff, in order of creation, for select fields.
///
/// # Errors
/// Returns an error if the database fails.
pub async fn staff(conn: &mut NetworkConn) -> QueryResult<Vec<Member>> {
    let filter = MemberFilter {
        staff_only: true,
        ..MemberFilter::default()
    };
    list(conn, &filter, 10_000).await
}

/// Active membership with this ID.
///
/// # Errors
/// Returns an error if the database fails.
pub async fn find(conn: &mut NetworkConn, id: MembershipId) -> QueryResult<Option<Member>> {
    let filter = MemberFilter {
        id: Some(id),
        ..MemberFilter::default()
    };
    Ok(list(conn, &filter, 1).await?.pop())
}

/// Changes the role of a staff member to another staff role, and signs the person out of the network.
///
/// # Errors
/// [`ChangeError::Conflict`] for the last owner, [`ChangeError::NotFound`], [`ChangeError::NotPermitted`].
#[tracing::instrument(skip_all, fields(network = %conn.network_id(), membership = %id, role = %kind))]
pub async fn change_role(
    conn: &mut NetworkConn,
    actor: &Actor,
    id: MembershipId,
    kind: RoleKind,
    now: DateTime<Utc>,
) -> Result<(), ChangeError> {
    let network_id = conn.network_id();
    let member = find(conn, id).await?.ok_or(ChangeError::NotFound)?;
    check_grant(actor, member.role.kind())?;
    check_grant(actor, kind)?;
    if !kind.is_staff() || !member.role.kind().is_staff() {
        return Err(ChangeError::field(
            "role",
            "Only staff roles can be changed into each other. For another role, invite the person again.",
        ));
    }
    if member.role.kind() == kind {
        return Ok(());
    }
    check_another_owner(conn, &member).await?;
    // The person may have had the new role before; `give` revives that membership.
    end(conn, id, now).await?;
    let role = Role::of(kind, None, None)?;
    let author = actor.author();
    give(conn, &author, member.person_id, role, now).await?;
    let (before, after) = (
        json!({ "role": member.role.as_str() }),
        json!({ "role": kind.as_str() }),
    );
    let change = Change::between("member.change_role", id, &member.person_name, before, after);
    audit::record(conn, &author, change, now).await?;
    sessions::end_of_membership(conn, network_id, id).await?;
    Ok(())
}

/// Removes a member: ends the membership with its sessions and API keys.
///
/// # Errors
/// Those of [`change_role`].
#[tracing::instrument(skip_all, fields(network = %conn.network_id(), membership = %id))]
pub async fn remove(
    conn: &mut NetworkConn,
    actor: &Actor,
    id: MembershipId,
    now: DateTime<Utc>,
) -> Result<(), ChangeError> {
    let network_id = conn.network_id();
    let member = find(conn, id).await?.ok_or(ChangeError::NotFound)?;
    check_grant(actor, member.role.kind())?;
    check_another_owner(conn, &member).await?;
    end(conn, id, now).await?;
    sessions::end_of_membership(conn, network_id, id).await?;
    let (before, after) = (json!({ "role": member.role.as_str() }), json!({}));
    let change = Change::between("member.remove", id, &member.person_name, before, after);
    audit::record(conn, &actor.author(), change, now).await?;
    Ok(())
}

/// Ends a membership and its API keys, so that a revived membership has none. A membership that a concurrent request
/// has just ended is reported as not found.
async fn end(conn: &mut NetworkConn, id: MembershipId, now: DateTime<Utc>) -> Result<(), ChangeError> {
    let network_id = conn.network_id();
    let ended = diesel::update(
        memberships::table
            .find((network_id, id))
            .filter(memberships::ended_at.is_null()),
    )
    .set(memberships::ended_at.eq(Some(now)))
    .execute(&mut **conn)
    .await?;
    if ended != 1 {
        return Err(ChangeError::NotFound);
    }
    diesel::update(api_keys::table)
        .filter(api_keys::network_id.eq(network_id))
        .filter(api_keys::membership_id.eq(id))
        .filter(api_keys::ended_at.is_null())
        .set(api_keys::ended_at.eq(Some(now)))
        .execute(&mut **conn)
        .await?;
    Ok(())
}

pub(crate) fn check_grant(actor: &Actor, kind: RoleKind) -> Result<(), ChangeError> {
    if actor.may_grant(kind) {
        Ok(())
    } else if kind == RoleKind::Owner {
        let message = "Only an owner can add or remove owners.";
        Err(ChangeError::Conflict(message.to_owned()))
    } else if kind.is_staff() {
        Err(NotPermitted(Permission::ManageMembers).into())
    } else {
        Err(NotPermitted(Permission::InviteParties).into())
    }
}

/// Rejects the removal of the last owner: a network without one could neither be deleted nor get another. Locks the
/// owners' rows, so that two owners cannot remove each other concurrently.
async fn check_another_owner(conn: &mut NetworkConn, leaving: &Member) -> Result<(), ChangeError> {
    if leaving.role != Role::Owner {
        return Ok(());
    }
    let network_id = conn.network_id();
    let owners: Vec<MembershipId> = memberships::table
        .filter(memberships::network_id.eq(network_id))
        .filter(memberships::role.eq(RoleKind::Owner.as_str()))
        .filter(memberships::ended_at.is_null())
        .select(memberships::id)
        .for_update()
        .load(&mut **conn)
        .await?;
    if owners.iter().any(|id| *id != leaving.id) {
        Ok(())
    } else {
        let message = "This is the only owner. Make another member an owner first.";
        Err(ChangeError::Conflict(message.to_owned()))
    }
}

/// Number of seats in use: staff members and open invitations to staff roles.
///
/// # Errors
/// Returns an error if the database fails.
pub async fn seats_taken(conn: &mut NetworkConn, now: DateTime<Utc>) -> QueryResult<i64> {
    let network_id = conn.network_id();
    let staff = STAFF.map(RoleKind::as_str);
    let members: i64 = memberships::table
        .filter(memberships::network_id.eq(network_id))
        .filter(memberships::ended_at.is_null())
        .filter(memberships::role.eq_any(staff))
        .select(count_star())
        .first(&mut **conn)
        .await?;
    let invited: i64 = invitations::table
        .filter(invitations::network_id.eq(network_id))
        .filter(invitations::ended_at.is_null())
        .filter(invitations::expires_at.gt(now))
        .filter(invitations::role.eq_any(staff))
        .select(count_star())
        .first(&mut **conn)
        .await?;
    Ok(members.saturating_add(invited))
}

/// True if the person with this address is a staff member.
pub(crate) async fn is_staff_member(conn: &mut NetworkConn, email: &str) -> QueryResult<bool> {
    let network_id = conn.network_id();
    let held: i64 = memberships::table
        .inner_join(people::table)
        .filter(memberships::network_id.eq(network_id))
        .filter(memberships::ended_at.is_null())
        .filter(memberships::role.eq_any(STAFF.map(RoleKind::as_str)))
        .filter(people::email.eq(email))
        .select(count_star())
        .first(&mut **conn)
        .await?;
    Ok(held > 0)
}

/// Checks that a seat is free for a staff role. Locks the network's row, so that the last seat cannot be taken twice.
pub(crate) async fn check_free_seat(
    conn: &mut NetworkConn,
    kind: RoleKind,
    now: DateTime<Utc>,
) -> Result<(), ChangeError> {
    if !kind.is_staff() {
        return Ok(());
    }
    let network_id = conn.network_id();
    let seats: i32 = networks::table
        .find(network_id)
        .select(networks::max_seats)
        .for_update()
        .first(&mut **conn)
        .await?;
    if seats_taken(conn, now).await? < i64::from(seats) {
        Ok(())
    } else {
        Err(ChangeError::Limit(format!(
            "All {seats} seats of the network are in use. Remove a member, or ask the operator of this installation for more seats."
        )))
    }
}
