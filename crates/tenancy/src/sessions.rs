//! Sessions: who is signed in.

use chrono::{DateTime, TimeDelta, Utc};
use diesel::prelude::*;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use schema::{BASE32, MembershipId, NetworkId, PersonId, sessions};
use sha2::{Digest, Sha256};

use crate::Role;

/// How long a session lasts, whatever happens.
pub const LIFETIME: TimeDelta = TimeDelta::days(14);

/// Who is acting, and in which capacity: what every page starts from.
#[derive(Debug, Clone)]
pub struct Actor {
    /// The network acted in. Tenant-scoped connections take it from here, never from a request.
    pub network_id: NetworkId,
    /// The person.
    pub person_id: PersonId,
    /// As colleagues see it.
    pub person_name: String,
    /// In which capacity.
    pub role: Role,
}

/// The cookie's value: 256 random bits that only the browser keeps.
#[derive(Clone, PartialEq, Eq)]
pub struct SessionToken(String);

impl SessionToken {
    /// The text of a cookie, whoever sent it.
    #[must_use]
    pub fn from_cookie(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// The text to put into the cookie.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// A name for the session that can be shown without giving the token away.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        BASE32.encode(&Sha256::digest([b"fingerprint ", self.0.as_bytes()].concat()))
    }

    pub(crate) fn hash(&self) -> Vec<u8> {
        Sha256::digest(self.0.as_bytes()).to_vec()
    }
}

/// Starts a session under a membership. Always with a fresh token: an old cookie is never promoted.
///
/// # Errors
/// When the database fails.
pub async fn start(
    conn: &mut AsyncPgConnection,
    network_id: NetworkId,
    membership_id: MembershipId,
    now: DateTime<Utc>,
) -> QueryResult<SessionToken> {
    let token = SessionToken(BASE32.encode(&rand::random::<[u8; 32]>()));
    diesel::insert_into(sessions::table)
        .values((
            sessions::token_hash.eq(token.hash()),
            sessions::network_id.eq(network_id),
            sessions::membership_id.eq(membership_id),
            sessions::created_at.eq(now),
            sessions::expires_at.eq(now + LIFETIME),
        ))
        .execute(conn)
        .await?;
    Ok(token)
}

/// Ends a session. One that does not exist is as good as ended.
///
/// # Errors
/// When the database fails.
pub async fn end(conn: &mut AsyncPgConnection, token: &SessionToken) -> QueryResult<()> {
    diesel::delete(sessions::table.filter(sessions::token_hash.eq(token.hash())))
        .execute(conn)
        .await?;
    Ok(())
}
