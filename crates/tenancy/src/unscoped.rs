//! The few reads that must work before a network is known: by host name, by e-mail address, by session cookie.
//!
//! Nothing else in the product reads a tenant's table without a [`schema::NetworkConn`].

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::Integer;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use schema::{
    Db, DbError, MembershipId, NetworkId, PersonId, memberships as membership_table, people, sessions,
    tracking_hosts,
};

use crate::networks::{self, Network};
use crate::sessions::SessionToken;
use crate::{Actor, PasswordHash, memberships};

/// The network that a tracking host belongs to.
///
/// # Errors
/// When the database fails.
pub async fn network_of_host(db: &Db, host: &str) -> Result<Option<Network>, DbError> {
    let owner: Option<NetworkId> = tracking_hosts::table
        .filter(tracking_hosts::host.eq(networks::normal_host(host)))
        .select(tracking_hosts::network_id)
        .first(&mut db.unscoped().await?)
        .await
        .optional()?;
    let Some(network_id) = owner else { return Ok(None) };
    let mut conn = db.network(network_id).await?;
    let network = networks::current(&mut conn).await?;
    conn.commit().await?;
    Ok(Some(network))
}

/// An id for a network that is about to be created.
///
/// # Errors
/// When the database fails.
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

/// What signing in needs to know of a person.
pub struct Credentials {
    /// The stored hash to verify against.
    pub password_hash: PasswordHash,
    /// The network that is signed in to: that of the oldest membership.
    pub network_id: NetworkId,
    /// The membership that is acted under.
    pub membership_id: MembershipId,
}

/// The credentials of the person with this address, if that person is a member anywhere.
///
/// # Errors
/// When the database fails.
pub async fn credentials(db: &Db, email: &str) -> Result<Option<Credentials>, DbError> {
    let person: Option<(PersonId, String)> = people::table
        .filter(people::email.eq(email.trim().to_lowercase()))
        .select((people::id, people::password_hash))
        .first(&mut db.unscoped().await?)
        .await
        .optional()?;
    let Some((person_id, phc)) = person else {
        return Ok(None);
    };
    let mut conn = db.person(person_id).await?;
    let oldest: Option<(NetworkId, MembershipId)> = membership_table::table
        .filter(membership_table::person_id.eq(person_id))
        .order((membership_table::created_at, membership_table::id))
        .select((membership_table::network_id, membership_table::id))
        .first(&mut *conn)
        .await
        .optional()?;
    conn.commit().await?;
    Ok(oldest.map(|(network_id, membership_id)| Credentials {
        password_hash: PasswordHash::from_stored(phc),
        network_id,
        membership_id,
    }))
}

/// Who is signed in with this cookie, unless the session has ended.
///
/// # Errors
/// When the database fails.
pub async fn actor(db: &Db, token: &SessionToken, now: DateTime<Utc>) -> Result<Option<Actor>, DbError> {
    let session: Option<(NetworkId, MembershipId)> = sessions::table
        .filter(sessions::token_hash.eq(token.hash()))
        .filter(sessions::expires_at.gt(now))
        .select((sessions::network_id, sessions::membership_id))
        .first(&mut db.unscoped().await?)
        .await
        .optional()?;
    let Some((network_id, membership_id)) = session else {
        return Ok(None);
    };
    let mut conn = db.network(network_id).await?;
    let found = memberships::find(&mut conn, membership_id).await?;
    conn.commit().await?;
    Ok(found.map(|member| Actor {
        network_id,
        person_id: member.person_id,
        person_name: member.person_name,
        role: member.role,
    }))
}
