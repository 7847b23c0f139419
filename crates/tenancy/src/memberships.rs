//! Memberships: what a person may do in a network, and for whom.

use chrono::{DateTime, Utc};
use diesel::dsl::count_star;
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use schema::{
    AdvertiserId, AffiliateId, MembershipId, NetworkConn, PersonId, advertisers, affiliates, api_keys,
    invitations, memberships, networks, people, text_enum,
};
use serde_json::json;

use crate::actor::{Actor, Author};
use crate::affiliates::AffiliateStatus;
use crate::audit::{self, Change};
use crate::error::ChangeError;
use crate::{Scope, sessions};

text_enum! {
    /// The kinds of role, as the database, the API and addresses name them.
    pub enum RoleKind {
        /// Everything in the network.
        Owner = "owner",
        /// Everything but deleting the network.
        Admin = "admin",
        /// Advertisers, affiliates, campaigns and conversions.
        Manager = "manager",
        /// Sees what a manager sees and changes nothing.
        Analyst = "analyst",
        /// What belongs to one advertiser.
        Advertiser = "advertiser",
        /// Connects one advertiser's server and sees nothing else.
        AdvertiserDeveloper = "advertiser_developer",
        /// What belongs to one affiliate.
        Affiliate = "affiliate",
    }
}

impl RoleKind {
    /// As people read it.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Owner => "Owner",
            Self::Admin => "Admin",
            Self::Manager => "Manager",
            Self::Analyst => "Analyst",
            Self::Advertiser => "Advertiser",
            Self::AdvertiserDeveloper => "Advertiser's developer",
            Self::Affiliate => "Affiliate",
        }
    }

    /// What it can do, in a sentence.
    #[must_use]
    pub fn sentence(self) -> &'static str {
        match self {
            Self::Owner => "Everything, including deleting the network and making other owners.",
            Self::Admin => "Everything but deleting the network and making owners.",
            Self::Manager => "Advertisers, affiliates, campaigns and conversions; not people and settings.",
            Self::Analyst => "Sees what a manager sees and changes nothing.",
            Self::Advertiser => "One advertiser's campaigns, conversions, reports and integration.",
            Self::AdvertiserDeveloper => "One advertiser's integration and postbacks, and nothing else.",
            Self::Affiliate => "One affiliate's links, clicks, conversions and earnings.",
        }
    }

    /// Whether somebody with it works for the network itself, and takes one of its seats.
    #[must_use]
    pub fn is_staff(self) -> bool {
        STAFF.contains(&self)
    }
}

/// The roles that work for the network itself.
pub const STAFF: [RoleKind; 4] = [
    RoleKind::Owner,
    RoleKind::Admin,
    RoleKind::Manager,
    RoleKind::Analyst,
];

/// In which capacity a person acts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// For the network: everything in it.
    Owner,
    /// For the network: everything but deleting it.
    Admin,
    /// For the network: its daily business.
    Manager,
    /// For the network, without changing anything.
    Analyst,
    /// For one advertiser.
    Advertiser(AdvertiserId),
    /// For one advertiser's server.
    AdvertiserDeveloper(AdvertiserId),
    /// For one affiliate.
    Affiliate(AffiliateId),
}

impl Role {
    /// What kind of role it is.
    #[must_use]
    pub fn kind(self) -> RoleKind {
        match self {
            Self::Owner => RoleKind::Owner,
            Self::Admin => RoleKind::Admin,
            Self::Manager => RoleKind::Manager,
            Self::Analyst => RoleKind::Analyst,
            Self::Advertiser(_) => RoleKind::Advertiser,
            Self::AdvertiserDeveloper(_) => RoleKind::AdvertiserDeveloper,
            Self::Affiliate(_) => RoleKind::Affiliate,
        }
    }

    /// The word for it in the database, in `demo.json` and on pages.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.kind().as_str()
    }

    pub(crate) fn advertiser(self) -> Option<AdvertiserId> {
        match self {
            Self::Advertiser(id) | Self::AdvertiserDeveloper(id) => Some(id),
            _ => None,
        }
    }

    pub(crate) fn affiliate(self) -> Option<AffiliateId> {
        match self {
            Self::Affiliate(id) => Some(id),
            _ => None,
        }
    }

    /// The role of this kind for this party.
    ///
    /// # Errors
    /// Which field is missing, or set without need.
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
                "Choose the advertiser this person acts for.",
            )),
            (RoleKind::Affiliate, _, None) => Err(ChangeError::field(
                "affiliate",
                "Choose the affiliate this person acts for.",
            )),
            (_, Some(_), _) => Err(ChangeError::field(
                "advertiser",
                "This role acts for no advertiser.",
            )),
            (_, _, Some(_)) => Err(ChangeError::field(
                "affiliate",
                "This role acts for no affiliate.",
            )),
        }
    }
}

impl Actor {
    /// Whether this person may hand out or take away a role: for parties whoever may invite them, for the network's
    /// own people whoever manages those, and owners only by owners.
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

/// Gives a person a role in this network; one that was taken away comes back.
///
/// # Errors
/// When the database fails, or party or person do not exist (a foreign-key violation).
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

/// A member of the network: the person and in which capacity.
#[derive(Debug, Clone)]
pub struct Member {
    /// The membership.
    pub id: MembershipId,
    /// The person.
    pub person_id: PersonId,
    /// As colleagues see it.
    pub person_name: String,
    /// What the person signs in with.
    pub email: String,
    /// In which capacity.
    pub role: Role,
    /// The party acted for, if any, by name.
    pub party: Option<String>,
    /// Whether the affiliate acted for is worked with; none for other roles.
    pub affiliate_status: Option<AffiliateStatus>,
    /// Whether the person has a second factor.
    pub has_second_factor: bool,
    /// Since when.
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

fn member(row: Columns) -> Option<Member> {
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
    Some(Member {
        id,
        person_id,
        person_name,
        email,
        // The table's CHECK allows no other combination.
        role: Role::of(role.parse().ok()?, advertiser, affiliate).ok()?,
        party: adv_name.or(aff_name),
        affiliate_status,
        has_second_factor: second,
        since,
    })
}

/// Which members.
#[derive(Debug, Clone, Copy, Default)]
pub struct MemberFilter {
    /// Only those who act for this party; empty means everyone.
    pub scope: Scope,
    /// Only this one.
    pub id: Option<MembershipId>,
    /// Only those of the network itself.
    pub staff_only: bool,
    /// Only those after this one, in the order of their making.
    pub after: Option<MembershipId>,
}

/// Members whose membership holds, in the order of its making, at most `limit`.
///
/// # Errors
/// When the database fails.
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
    Ok(rows.into_iter().filter_map(member).collect())
}

/// The membership with this id, if it holds.
///
/// # Errors
/// When the database fails.
pub async fn find(conn: &mut NetworkConn, id: MembershipId) -> QueryResult<Option<Member>> {
    let filter = MemberFilter {
        id: Some(id),
        ..MemberFilter::default()
    };
    Ok(list(conn, &filter, 1).await?.pop())
}

/// Gives a member of the network another of its own roles. Everything the person has open there is signed out.
///
/// # Errors
/// [`ChangeError::Conflict`] for the last owner, [`ChangeError::NotFound`], [`ChangeError::NotPermitted`].
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
            "Only the network's own roles can be changed into each other. Invite the person anew for another party.",
        ));
    }
    if member.role.kind() == kind {
        return Ok(());
    }
    keep_an_owner(conn, &member).await?;
    // The person may have had that role before: that membership, ended, would be in the way of this one.
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

/// Takes a membership away: sessions and API keys under it end with it.
///
/// # Errors
/// As [`change_role`].
pub async fn remove(
    conn: &mut NetworkConn,
    actor: &Actor,
    id: MembershipId,
    now: DateTime<Utc>,
) -> Result<(), ChangeError> {
    let network_id = conn.network_id();
    let member = find(conn, id).await?.ok_or(ChangeError::NotFound)?;
    check_grant(actor, member.role.kind())?;
    keep_an_owner(conn, &member).await?;
    end(conn, id, now).await?;
    sessions::end_of_membership(conn, network_id, id).await?;
    let (before, after) = (json!({ "role": member.role.as_str() }), json!({}));
    let change = Change::between("member.remove", id, &member.person_name, before, after);
    audit::record(conn, &actor.author(), change, now).await?;
    Ok(())
}

/// Ends a membership, and the API keys under it, so that they do not come back with it. Somebody who was faster is told
/// as if it had not been there.
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
    match actor.may_grant(kind) {
        true => Ok(()),
        false if kind == RoleKind::Owner => Err(ChangeError::Conflict(
            "Only an owner can make somebody an owner, or take that away.".to_owned(),
        )),
        false if kind.is_staff() => Err(crate::NotPermitted(crate::Permission::ManageMembers).into()),
        false => Err(crate::NotPermitted(crate::Permission::InviteParties).into()),
    }
}

/// A network without an owner could not be deleted, nor get another owner. The owners are locked, so that two of them
/// cannot remove each other at once.
async fn keep_an_owner(conn: &mut NetworkConn, leaving: &Member) -> Result<(), ChangeError> {
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
    match owners.iter().any(|id| *id != leaving.id) {
        true => Ok(()),
        false => Err(ChangeError::Conflict(
            "This is the only owner. Make somebody else an owner first.".to_owned(),
        )),
    }
}

/// How many seats are taken: the network's own people, and those who are invited.
///
/// # Errors
/// When the database fails.
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

/// Whether the person with this address is one of the network's own people.
pub(crate) async fn works_here(conn: &mut NetworkConn, email: &str) -> QueryResult<bool> {
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

/// Makes sure that there is a seat for one more. The network's row is locked: two who take the last seat at once meet.
pub(crate) async fn keep_a_seat(
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
    match seats_taken(conn, now).await? < i64::from(seats) {
        true => Ok(()),
        false => Err(ChangeError::Limit(format!(
            "All {seats} seats of the network are taken. Remove somebody, or ask whoever runs this installation for more."
        ))),
    }
}
