//! Reads that must work before the network is known: by host, by slug, by e-mail address, by session cookie. All other
//! code reads a tenant's tables through a [`schema::NetworkConn`].

use std::net::IpAddr;

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::Integer;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use schema::{
    Db, DbError, MembershipId, NetworkId, PersonId, memberships as membership_table, network_slugs, people,
    tracking_hosts,
};

use crate::actor::{Actor, Impersonation};
use crate::author::Via;
use crate::networks::{self, Network, NetworkStatus, ServedHosts};
use crate::people::Person;
use crate::sessions::{self, Session, SessionToken};
use crate::{PasswordHash, memberships};

/// Network that holds a tracking host, if that host is served.
///
/// # Errors
/// Returns an error if the database fails.
pub async fn network_of_host(db: &Db, host: &str, served: ServedHosts) -> Result<Option<Network>, DbError> {
    let mut holder = tracking_hosts::table
        .filter(tracking_hosts::host.eq(networks::normal_host(host)))
        .select(tracking_hosts::network_id)
        .into_boxed();
    if served == ServedHosts::Proven {
        holder = holder.filter(tracking_hosts::proven_at.is_not_null());
    }
    let owner: Option<NetworkId> = holder.first(&mut db.unscoped().await?).await.optional()?;
    network(db, owner).await
}

/// Network with this slug.
///
/// # Errors
/// Returns an error if the database fails.
pub async fn network_of_slug(db: &Db, slug: &str) -> Result<Option<Network>, DbError> {
    let owner: Option<NetworkId> = network_slugs::table
        .find(slug)
        .select(network_slugs::network_id)
        .first(&mut db.unscoped().await?)
        .await
        .optional()?;
    network(db, owner).await
}

async fn network(db: &Db, id: Option<NetworkId>) -> Result<Option<Network>, DbError> {
    match id {
        Some(id) => network_of_id(db, id).await,
        None => Ok(None),
    }
}

/// Network with this ID.
///
/// # Errors
/// Returns an error if the database fails.
pub async fn network_of_id(db: &Db, network_id: NetworkId) -> Result<Option<Network>, DbError> {
    let mut conn = db.network(network_id).await?;
    let network = networks::current(&mut conn).await.optional()?;
    conn.commit().await?;
    Ok(network)
}

/// Fresh ID for a network to create.
///
/// # Errors
/// Returns an error if the database fails.
pub async fn new_network_id(conn: &mut AsyncPgConnection) -> QueryResult<NetworkId> {
    #[derive(QueryableByName)]
    struct Fresh {
        #[diesel(sql_type = Integer)]
        id: NetworkId,
    }
    let fresh: Fresh = diesel::sql_query("SELECT scatter(nextval('configuration_ids')) AS id")
        .get_result(conn)
        .await?;
    Ok(fresh.id)
}

/// Credentials of a person, for signing in.
pub struct Credentials {
    /// The person.
    pub person: Person,
    /// Stored password hash; None if the person has no password.
    pub password_hash: Option<PasswordHash>,
    /// True if the sign-in requires a two-factor code.
    pub has_second_factor: bool,
}

/// Credentials of the person with this e-mail address.
///
/// # Errors
/// Returns an error if the database fails.
pub async fn credentials(db: &Db, email: &str) -> Result<Option<Credentials>, DbError> {
    let found: Option<(Person, Option<String>, bool)> = people::table
        .filter(people::email.eq(email.trim().to_lowercase()))
        .select((
            Person::as_select(),
            people::password_hash,
            people::totp_sealed.is_not_null(),
        ))
        .first(&mut db.unscoped().await?)
        .await
        .optional()?;
    Ok(found.map(|(person, phc, has_second_factor)| Credentials {
        person,
        password_hash: phc.map(PasswordHash::from_stored),
        has_second_factor,
    }))
}

/// A membership that a person can sign in to.
#[derive(Debug, Clone)]
pub struct Place {
    /// Network ID.
    pub network_id: NetworkId,
    /// Network's display name.
    pub network: String,
    /// Membership ID.
    pub membership_id: MembershipId,
    /// Label of the role.
    pub role: &'static str,
    /// Name of the advertiser or affiliate that the role is for; None for staff roles.
    pub party: Option<String>,
}

/// Memberships that a person can sign in to, oldest first, at most 50.
///
/// # Errors
/// Returns an error if the database fails.
pub async fn places(db: &Db, person_id: PersonId) -> Result<Vec<Place>, DbError> {
    let mut places = Vec::new();
    for held in held(db, person_id).await? {
        places.extend(place(db, held).await?);
    }
    Ok(places)
}

/// Membership that signing in opens: the person's oldest in a network that is not closed.
///
/// # Errors
/// Returns an error if the database fails.
pub async fn first_place(db: &Db, person_id: PersonId) -> Result<Option<(NetworkId, MembershipId)>, DbError> {
    for held in held(db, person_id).await? {
        if place(db, held).await?.is_some() {
            return Ok(Some(held));
        }
    }
    Ok(None)
}

/// Active memberships of a person, oldest first, at most 50.
async fn held(db: &Db, person_id: PersonId) -> Result<Vec<(NetworkId, MembershipId)>, DbError> {
    let mut conn = db.person(person_id).await?;
    let held = membership_table::table
        .filter(membership_table::person_id.eq(person_id))
        .filter(membership_table::ended_at.is_null())
        .order((membership_table::created_at, membership_table::id))
        .limit(50)
        .select((membership_table::network_id, membership_table::id))
        .load(&mut *conn)
        .await?;
    conn.commit().await?;
    Ok(held)
}

/// Details of a membership; None if its network is closed.
async fn place(
    db: &Db,
    (network_id, membership_id): (NetworkId, MembershipId),
) -> Result<Option<Place>, DbError> {
    let mut conn = db.network(network_id).await?;
    let network = networks::current(&mut conn).await?;
    let member = memberships::find(&mut conn, membership_id).await?;
    conn.commit().await?;
    let open = network.status != NetworkStatus::Closed;
    Ok(member.filter(|_| open).map(|member| Place {
        network_id,
        network: network.name,
        membership_id,
        role: member.role.kind().label(),
        party: member.party,
    }))
}

/// Session with its person and actor.
#[derive(Debug, Clone)]
pub struct Visit {
    /// The session.
    pub session: Session,
    /// Person who signed in.
    pub person: Person,
    /// Actor in the network in use; None for an operator who acts in no network, and until the two-factor code has been
    /// verified.
    pub actor: Option<Actor>,
}

impl Visit {
    /// True if the person is an operator who does not impersonate a member.
    #[must_use]
    pub fn is_operator(&self) -> bool {
        self.person.is_operator && self.session.operator_reason.is_none()
    }
}

/// Authenticates a session cookie; None if the session has ended.
///
/// # Errors
/// Returns an error if the database fails.
pub async fn visit(
    db: &Db,
    token: &SessionToken,
    address: Option<IpAddr>,
    now: DateTime<Utc>,
) -> Result<Option<Visit>, DbError> {
    let mut conn = db.unscoped().await?;
    let Some(session) = sessions::open(&mut conn, token, now).await? else {
        return Ok(None);
    };
    let Some(person) = crate::people::find(&mut conn, session.person_id).await? else {
        return Ok(None);
    };
    drop(conn);
    let membership = session
        .network_id
        .zip(session.membership_id)
        .filter(|_| !session.awaits_second_factor);
    let actor = match membership {
        Some((network_id, membership_id)) => {
            let found = actor(db, network_id, membership_id, Via::Page, address).await?;
            let impersonation = session.operator_reason.as_ref().map(|reason| Impersonation {
                operator_id: person.id,
                operator_name: person.name.clone(),
                reason: reason.clone(),
            });
            // Impersonation ends when the operator loses that status.
            let is_valid = impersonation.is_none() || person.is_operator;
            found.filter(|_| is_valid).map(|actor| Actor {
                session_id: Some(session.id),
                lacks_second_factor: actor.lacks_second_factor && impersonation.is_none(),
                impersonation,
                ..actor
            })
        }
        None => None,
    };
    Ok(Some(Visit {
        session,
        person,
        actor,
    }))
}

/// Actor for a membership; None if it has ended or its network is closed.
///
/// # Errors
/// Returns an error if the database fails.
pub async fn actor(
    db: &Db,
    network_id: NetworkId,
    membership_id: MembershipId,
    via: Via,
    address: Option<IpAddr>,
) -> Result<Option<Actor>, DbError> {
    let mut conn = db.network(network_id).await?;
    let found = memberships::find(&mut conn, membership_id).await?;
    let network: Option<(bool, bool, NetworkStatus)> = schema::networks::table
        .find(network_id)
        .select((
            schema::networks::require_two_factor,
            schema::networks::managers_see_all,
            schema::networks::status,
        ))
        .first(&mut *conn)
        .await
        .optional()?;
    conn.commit().await?;
    let is_open = |(_, _, status): &(bool, bool, NetworkStatus)| *status != NetworkStatus::Closed;
    let Some((required, managers_see_all, _)) = network.filter(is_open) else {
        return Ok(None);
    };
    Ok(found.map(|member| Actor {
        network_id,
        membership_id,
        person_id: member.person_id,
        person_name: member.person_name,
        role: member.role,
        via,
        address,
        session_id: None,
        impersonation: None,
        affiliate_status: member.affiliate_status,
        is_restricted: member.role == memberships::Role::Manager && !managers_see_all,
        lacks_second_factor: required && !member.has_second_factor,
        scopes: None,
    }))
}
