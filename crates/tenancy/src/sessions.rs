//! Sessions of signed-in people.

use std::net::IpAddr;

use chrono::{DateTime, TimeDelta, Utc};
use diesel::prelude::*;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use ipnet::IpNet;
use schema::{BASE32, MembershipId, NetworkId, PersonId, SessionId, sessions};
use sha2::{Digest, Sha256};

/// Maximum lifetime of a session.
pub const LIFETIME: TimeDelta = TimeDelta::days(14);
/// Idle timeout of a session.
pub const IDLE: TimeDelta = TimeDelta::hours(24);
/// Maximum lifetime of a session that was started from a mailed link, without a password.
pub const LIFETIME_WITHOUT_PASSWORD: TimeDelta = TimeDelta::days(7);
/// Lifetime of an operator's impersonation.
const IMPERSONATION_LIFETIME: TimeDelta = TimeDelta::hours(1);
/// Time allowed for entering the two-factor code.
const TWO_FACTOR_TIMEOUT: TimeDelta = TimeDelta::minutes(10);
/// Precision of the stored time of last use; limits updates to one per interval.
const LAST_USE_PRECISION: TimeDelta = TimeDelta::minutes(1);

/// Session cookie value: 256 random bits, of which the server stores only a hash.
#[derive(Clone, PartialEq, Eq)]
pub struct SessionToken(String);

impl SessionToken {
    /// Token from a cookie, unchecked.
    #[must_use]
    pub fn from_cookie(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// Value for the cookie.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Identifier of the session that can be shown without revealing the token.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        BASE32.encode(&Sha256::digest([b"fingerprint ", self.0.as_bytes()].concat()))
    }

    pub(crate) fn hash(&self) -> Vec<u8> {
        Sha256::digest(self.0.as_bytes()).to_vec()
    }
}

/// A session to start.
#[derive(Debug, Clone)]
pub struct NewSession {
    /// Person who signs in.
    pub person_id: PersonId,
    /// Network and membership in use; None for an operator who acts in no network.
    pub membership: Option<(NetworkId, MembershipId)>,
    /// Reason of an operator's impersonation; None if the person acts.
    pub operator_reason: Option<String>,
    /// True if the session gives no access before the two-factor code has been verified.
    pub awaits_second_factor: bool,
    /// True if the person has no password and signed in with a mailed link only.
    pub without_password: bool,
    /// Expiry, if taken over from an earlier session; None for the standard lifetime.
    pub ends_at: Option<DateTime<Utc>>,
    /// User agent header of the browser.
    pub user_agent: String,
    /// Remote IP address; None if unknown.
    pub address: Option<IpAddr>,
}

/// Starts a session, always with a fresh token, which prevents session fixation.
///
/// # Errors
/// Returns an error if the database fails.
#[tracing::instrument(skip_all, fields(person = %session.person_id, impersonation = session.operator_reason.is_some()))]
pub async fn start(
    conn: &mut AsyncPgConnection,
    session: &NewSession,
    now: DateTime<Utc>,
) -> QueryResult<SessionToken> {
    let token = SessionToken(BASE32.encode(&rand::random::<[u8; 32]>()));
    let lifetime = if session.awaits_second_factor {
        TWO_FACTOR_TIMEOUT
    } else if session.without_password {
        LIFETIME_WITHOUT_PASSWORD
    } else if session.operator_reason.is_some() {
        IMPERSONATION_LIFETIME
    } else {
        LIFETIME
    };
    let user_agent: String = session
        .user_agent
        .chars()
        .filter(|c| !c.is_control())
        .take(200)
        .collect();
    diesel::insert_into(sessions::table)
        .values((
            sessions::token_hash.eq(token.hash()),
            sessions::person_id.eq(session.person_id),
            sessions::network_id.eq(session.membership.map(|(network_id, _)| network_id)),
            sessions::membership_id.eq(session.membership.map(|(_, id)| id)),
            sessions::operator_reason.eq(&session.operator_reason),
            sessions::awaits_second_factor.eq(session.awaits_second_factor),
            sessions::user_agent.eq(user_agent),
            sessions::remote_ip.eq(session.address.map(IpNet::from)),
            sessions::created_at.eq(now),
            sessions::seen_at.eq(now),
            sessions::expires_at.eq(session.ends_at.unwrap_or(now + lifetime)),
        ))
        .execute(conn)
        .await?;
    Ok(token)
}

/// A session as stored.
#[derive(Debug, Clone, HasQuery)]
#[diesel(table_name = sessions)]
pub struct Session {
    /// Session ID.
    pub id: SessionId,
    /// Person who signed in.
    pub person_id: PersonId,
    /// Network in use; None for an operator who acts in no network.
    pub network_id: Option<NetworkId>,
    /// Membership in use; None for an operator who acts in no network.
    pub membership_id: Option<MembershipId>,
    /// Reason of an operator's impersonation; None if the person acts.
    pub operator_reason: Option<String>,
    /// True until the two-factor code has been verified.
    pub awaits_second_factor: bool,
    /// User agent header of the browser, shortened.
    pub user_agent: String,
    /// IP address of the sign-in; None if unknown.
    pub remote_ip: Option<IpNet>,
    /// Time of the sign-in.
    pub created_at: DateTime<Utc>,
    /// Time of last use, precise to the minute.
    pub seen_at: DateTime<Utc>,
    /// Time of expiry; idle sessions end earlier.
    pub expires_at: DateTime<Utc>,
}

impl Session {
    /// True if an operator impersonates a member in this session.
    #[must_use]
    pub fn is_impersonation(&self) -> bool {
        self.operator_reason.is_some()
    }
}

/// Session of this cookie; None if it has ended. Updates the time of last use.
///
/// # Errors
/// Returns an error if the database fails.
pub async fn open(
    conn: &mut AsyncPgConnection,
    token: &SessionToken,
    now: DateTime<Utc>,
) -> QueryResult<Option<Session>> {
    let found = Session::query()
        .filter(sessions::token_hash.eq(token.hash()))
        .filter(sessions::expires_at.gt(now))
        .filter(sessions::seen_at.gt(now - IDLE))
        .first(conn)
        .await
        .optional()?;
    if let Some(session) = &found
        && session.seen_at < now - LAST_USE_PRECISION
    {
        diesel::update(sessions::table.find(token.hash()))
            .set(sessions::seen_at.eq(now))
            .execute(conn)
            .await?;
    }
    Ok(found)
}

/// Session with this ID; None if it has ended. For API tokens that were issued for the session.
///
/// # Errors
/// Returns an error if the database fails.
pub async fn find(
    conn: &mut AsyncPgConnection,
    id: SessionId,
    now: DateTime<Utc>,
) -> QueryResult<Option<Session>> {
    Session::query()
        .filter(sessions::id.eq(id))
        .filter(sessions::expires_at.gt(now))
        .filter(sessions::seen_at.gt(now - IDLE))
        .first(conn)
        .await
        .optional()
}

/// Active sessions of a person, most recently used first.
///
/// # Errors
/// Returns an error if the database fails.
pub async fn of_person(
    conn: &mut AsyncPgConnection,
    person_id: PersonId,
    now: DateTime<Utc>,
) -> QueryResult<Vec<Session>> {
    Session::query()
        .filter(sessions::person_id.eq(person_id))
        .filter(sessions::awaits_second_factor.eq(false))
        .filter(sessions::expires_at.gt(now))
        .filter(sessions::seen_at.gt(now - IDLE))
        .order(sessions::seen_at.desc())
        .load(conn)
        .await
}

/// Ends a session; does nothing if it has ended already.
///
/// # Errors
/// Returns an error if the database fails.
pub async fn end(conn: &mut AsyncPgConnection, token: &SessionToken) -> QueryResult<()> {
    diesel::delete(sessions::table.filter(sessions::token_hash.eq(token.hash())))
        .execute(conn)
        .await?;
    Ok(())
}

/// Ends one of a person's sessions and returns true if it was active.
///
/// # Errors
/// Returns an error if the database fails.
pub async fn end_one(conn: &mut AsyncPgConnection, person_id: PersonId, id: SessionId) -> QueryResult<bool> {
    let ended =
        diesel::delete(sessions::table.filter(sessions::person_id.eq(person_id).and(sessions::id.eq(id))))
            .execute(conn)
            .await?;
    Ok(ended > 0)
}

/// Ends all sessions of a person, except `but` if given.
///
/// # Errors
/// Returns an error if the database fails.
pub async fn end_others(
    conn: &mut AsyncPgConnection,
    person_id: PersonId,
    but: Option<SessionId>,
) -> QueryResult<()> {
    let kept = but.unwrap_or(SessionId(0));
    diesel::delete(sessions::table.filter(sessions::person_id.eq(person_id).and(sessions::id.ne(kept))))
        .execute(conn)
        .await?;
    Ok(())
}

/// Ends all sessions under a membership.
pub(crate) async fn end_of_membership(
    conn: &mut AsyncPgConnection,
    network_id: NetworkId,
    membership_id: MembershipId,
) -> QueryResult<()> {
    diesel::delete(
        sessions::table.filter(
            sessions::network_id
                .eq(network_id)
                .and(sessions::membership_id.eq(membership_id)),
        ),
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Deletes expired and idle sessions.
///
/// # Errors
/// Returns an error if the database fails.
pub async fn sweep(conn: &mut AsyncPgConnection, now: DateTime<Utc>) -> QueryResult<usize> {
    diesel::delete(sessions::table.filter(sessions::expires_at.lt(now).or(sessions::seen_at.lt(now - IDLE))))
        .execute(conn)
        .await
}
