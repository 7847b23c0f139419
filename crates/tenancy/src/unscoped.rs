//! The few reads that must work before a network is known: by host name, by e-mail address, by session cookie.
//!
//! Nothing else in the product reads a tenant's table without a [`schema::NetworkConn`].

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::Integer;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use schema::{
    AdvertiserId, AffiliateId, MembershipId, NetworkId, PersonId, memberships, people, sessions,
    tracking_hosts,
};

use crate::networks::Network;
use crate::sessions::SessionToken;
use crate::{Actor, PasswordHash, Role};

/// The network that a tracking host belongs to.
///
/// # Errors
/// When the database fails.
pub async fn network_of_host(conn: &mut AsyncPgConnection, host: &str) -> QueryResult<Option<Network>> {
    Network::query()
        .inner_join(tracking_hosts::table)
        .filter(tracking_hosts::host.eq(host.to_lowercase()))
        .first(conn)
        .await
        .optional()
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
pub async fn credentials(conn: &mut AsyncPgConnection, email: &str) -> QueryResult<Option<Credentials>> {
    let found: Option<(String, NetworkId, MembershipId)> = people::table
        .inner_join(memberships::table)
        .filter(people::email.eq(email.trim().to_lowercase()))
        .order((memberships::created_at, memberships::id))
        .select((people::password_hash, memberships::network_id, memberships::id))
        .first(conn)
        .await
        .optional()?;
    Ok(found.map(|(phc, network_id, membership_id)| Credentials {
        password_hash: PasswordHash::from_stored(phc),
        network_id,
        membership_id,
    }))
}

/// Who is signed in with this cookie, unless the session has ended.
///
/// # Errors
/// When the database fails.
pub async fn actor(
    conn: &mut AsyncPgConnection,
    token: &SessionToken,
    now: DateTime<Utc>,
) -> QueryResult<Option<Actor>> {
    type Columns = (
        NetworkId,
        PersonId,
        String,
        String,
        Option<AdvertiserId>,
        Option<AffiliateId>,
    );
    let found: Option<Columns> = sessions::table
        .inner_join(
            memberships::table.on(memberships::network_id
                .eq(sessions::network_id)
                .and(memberships::id.eq(sessions::membership_id))),
        )
        .inner_join(people::table.on(people::id.eq(memberships::person_id)))
        .filter(sessions::token_hash.eq(token.hash()))
        .filter(sessions::expires_at.gt(now))
        .select((
            memberships::network_id,
            people::id,
            people::name,
            memberships::role,
            memberships::advertiser_id,
            memberships::affiliate_id,
        ))
        .first(conn)
        .await
        .optional()?;
    Ok(found.and_then(
        |(network_id, person_id, person_name, role, advertiser, affiliate)| {
            let role = Role::from_columns(&role, advertiser, affiliate)?;
            Some(Actor {
                network_id,
                person_id,
                person_name,
                role,
            })
        },
    ))
}
