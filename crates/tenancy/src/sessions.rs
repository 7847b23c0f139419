//! Sessions: who is signed in.

use std::net::IpAddr;

use chrono::{DateTime, TimeDelta, Utc};
use diesel::prelude::*;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use ipnet::IpNet;
use schema::{BASE32, MembershipId, NetworkId, PersonId, SessionId, sessions};
use sha2::{Digest, Sha256};

/// How long a session lasts, whatever happens.
pub const LIFETIME: TimeDelta = TimeDelta::days(14);
/// How long a session lasts that nobody uses.
pub const IDLE: TimeDelta = TimeDelta::hours(24);
/// How long a session lasts that came from a link in a mail, without a password.
pub const LIFETIME_WITHOUT_PASSWORD: TimeDelta = TimeDelta::days(7);
/// How long the second factor may take.
const SECOND_FACTOR_TIME: TimeDelta = TimeDelta::minutes(10);
/// How old the note of the last use may be, so that not every page writes it.
const SEEN_EVERY: TimeDelta = TimeDelta::minutes(1);

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

/// A session to start.
#[derive(Debug, Clone)]
pub struct NewSession {
    /// Who signs in.
    pub person_id: PersonId,
    /// Where to and as what; none for an operator who acts in no network.
    pub membership: Option<(NetworkId, MembershipId)>,
    /// Why an operator acts under somebody else's membership.
    pub operator_reason: Option<String>,
    /// Whether the code of the second factor must come before it opens anything.
    pub awaits_second_factor: bool,
    /// Whether the person has no password, and proved nothing but that a mail was received.
    pub without_password: bool,
    /// When it ends, where it goes on from another one.
    pub ends_at: Option<DateTime<Utc>>,
    /// The browser, as it calls itself.
    pub user_agent: String,
    /// From where.
    pub address: Option<IpAddr>,
}

/// Starts a session. Always with a fresh token: an old cookie is never promoted.
///
/// # Errors
/// When the database fails.
pub async fn start(
    conn: &mut AsyncPgConnection,
    session: &NewSession,
    now: DateTime<Utc>,
) -> QueryResult<SessionToken> {
    let token = SessionToken(BASE32.encode(&rand::random::<[u8; 32]>()));
    let lifetime = match session {
        it if it.awaits_second_factor => SECOND_FACTOR_TIME,
        it if it.without_password => LIFETIME_WITHOUT_PASSWORD,
        it if it.operator_reason.is_some() => TimeDelta::hours(1),
        _ => LIFETIME,
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
    /// The session.
    pub id: SessionId,
    /// Who signed in.
    pub person_id: PersonId,
    /// The network acted in.
    pub network_id: Option<NetworkId>,
    /// The membership acted under.
    pub membership_id: Option<MembershipId>,
    /// Why an operator acts under somebody else's membership.
    pub operator_reason: Option<String>,
    /// Whether the code of the second factor has not come yet.
    pub awaits_second_factor: bool,
    /// The browser, as it called itself.
    pub user_agent: String,
    /// The address it signed in from.
    pub remote_ip: Option<IpNet>,
    /// When the person signed in.
    pub created_at: DateTime<Utc>,
    /// When it was last used, to the minute.
    pub seen_at: DateTime<Utc>,
    /// When it ends, whatever happens.
    pub expires_at: DateTime<Utc>,
}

/// The session of this cookie, if it has not ended; notes that it was used.
///
/// # Errors
/// When the database fails.
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
        && session.seen_at < now - SEEN_EVERY
    {
        diesel::update(sessions::table.find(token.hash()))
            .set(sessions::seen_at.eq(now))
            .execute(conn)
            .await?;
    }
    Ok(found)
}

/// The session with this id, if it has not ended: for tokens that were made from it.
///
/// # Errors
/// When the database fails.
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

/// A person's sessions that have not ended, the last used first.
///
/// # Errors
/// When the database fails.
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

/// Ends one of a person's sessions; says whether there was one.
///
/// # Errors
/// When the database fails.
pub async fn end_one(conn: &mut AsyncPgConnection, person_id: PersonId, id: SessionId) -> QueryResult<bool> {
    let ended =
        diesel::delete(sessions::table.filter(sessions::person_id.eq(person_id).and(sessions::id.eq(id))))
            .execute(conn)
            .await?;
    Ok(ended > 0)
}

/// Ends all sessions of a person but this one, if one is given.
///
/// # Errors
/// When the database fails.
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

/// Removes what has ended long ago.
///
/// # Errors
/// When the database fails.
pub async fn sweep(conn: &mut AsyncPgConnection, now: DateTime<Utc>) -> QueryResult<usize> {
    diesel::delete(sessions::table.filter(sessions::expires_at.lt(now).or(sessions::seen_at.lt(now - IDLE))))
        .execute(conn)
        .await
}
