//! Impersonation: an operator acts under a member's role, for an hour in the dashboard or with a short-lived API token,
//! with a reason that both audit logs record.
//!
//! Permissions that an impersonating operator lacks are listed in [`Permission::forbidden_while_impersonating`]. Name,
//! password and two-factor authentication belong to the person, so pages and API refuse to change them in a session
//! that [`is an impersonation`](Session::is_impersonation).
//!
//! [`Permission::forbidden_while_impersonating`]: crate::Permission::forbidden_while_impersonating

use std::net::IpAddr;

use chrono::{DateTime, Utc};
use schema::{Db, DbError, MembershipId, NetworkConn, NetworkId, PersonId, SessionId};
use serde_json::json;

use crate::api_tokens::{ApiTokens, TokenSource};
use crate::audit::{self, Change};
use crate::author::Author;
use crate::error::ChangeError;
use crate::sessions::{self, NewSession, Session, SessionToken};
use crate::{memberships, networks, operators, people, unscoped};

/// Maximum length of a reason, in characters.
const MAX_REASON: usize = 400;

/// An impersonation to start.
#[derive(Debug, Clone)]
pub struct NewImpersonation<'a> {
    /// Operator who impersonates.
    pub operator_id: PersonId,
    /// Operator's session: an impersonation in the dashboard replaces it, an API token ends with it.
    pub session_id: SessionId,
    /// Membership to act under.
    pub membership_id: MembershipId,
    /// Reason, shown to the network in its audit log.
    pub reason: &'a str,
    /// User agent header of the operator's browser or program.
    pub user_agent: String,
    /// Operator's IP address; None if unknown.
    pub address: Option<IpAddr>,
}

/// Starts an impersonation: replaces the operator's session with one under the membership, and records that in the
/// audit log and in the operator log. Takes effect when the caller commits.
///
/// # Errors
/// [`ChangeError::Fields`] without a reason; [`ChangeError::NotFound`] if the membership does not exist in this network,
/// the person is not an operator, or the session has ended or is an impersonation itself.
#[tracing::instrument(
    skip_all,
    fields(network = %conn.network_id(), person = %new.operator_id, membership = %new.membership_id)
)]
pub async fn start(
    conn: &mut NetworkConn,
    author: &Author,
    new: NewImpersonation<'_>,
    now: DateTime<Utc>,
) -> Result<SessionToken, ChangeError> {
    let reason = check_and_record(conn, author, &new, now).await?;
    let session = NewSession {
        person_id: new.operator_id,
        membership: Some((conn.network_id(), new.membership_id)),
        operator_reason: Some(reason),
        awaits_second_factor: false,
        without_password: false,
        ends_at: None,
        user_agent: new.user_agent,
        address: new.address,
    };
    if !sessions::end_one(conn, new.operator_id, new.session_id).await? {
        return Err(ChangeError::NotFound);
    }
    let token = sessions::start(conn, &session, now).await?;
    tracing::info!("impersonation started");
    Ok(token)
}

/// Issues an API token under the membership, and records that in the audit log and in the operator log. The operator's
/// session goes on, and the token ends with it. Takes effect when the caller commits.
///
/// # Errors
/// The errors of [`start`].
#[tracing::instrument(
    skip_all,
    fields(network = %conn.network_id(), person = %new.operator_id, membership = %new.membership_id)
)]
pub async fn issue_token(
    conn: &mut NetworkConn,
    tokens: &ApiTokens,
    author: &Author,
    new: &NewImpersonation<'_>,
    now: DateTime<Utc>,
) -> Result<(String, DateTime<Utc>), ChangeError> {
    let source = TokenSource::Impersonation {
        session_id: new.session_id,
        membership_id: new.membership_id,
        reason: check_and_record(conn, author, new, now).await?,
    };
    let issued = tokens.issue(conn.network_id(), source, now);
    tracing::info!("impersonation started by an API token");
    Ok(issued)
}

/// Checks an impersonation and records its start in both logs. Returns the reason as recorded.
async fn check_and_record(
    conn: &mut NetworkConn,
    author: &Author,
    new: &NewImpersonation<'_>,
    now: DateTime<Utc>,
) -> Result<String, ChangeError> {
    let reason: String = new
        .reason
        .trim()
        .chars()
        .filter(|c| !c.is_control())
        .take(MAX_REASON)
        .collect();
    if reason.is_empty() {
        let message = "Enter a reason. It is recorded in the network's audit log.";
        return Err(ChangeError::field("reason", message));
    }
    check_operator(conn, new, now).await?;
    let member = memberships::find(conn, new.membership_id)
        .await?
        .ok_or(ChangeError::NotFound)?;
    let network = networks::current(conn).await?;
    let name = format!("{} ({})", member.person_name, member.role.kind().label());
    let change = Change::created(
        "operator.act_as",
        new.membership_id,
        &name,
        json!({ "reason": reason }),
    );
    audit::record(conn, author, change, now).await?;
    let detail = format!("as {name}: {reason}");
    let about = Some((network.id, network.name.as_str()));
    operators::record(conn, author, "operator.act_as", about, &detail, now).await?;
    Ok(reason)
}

async fn check_operator(
    conn: &mut NetworkConn,
    new: &NewImpersonation<'_>,
    now: DateTime<Utc>,
) -> Result<(), ChangeError> {
    let person = people::find(conn, new.operator_id).await?;
    let session = sessions::find(conn, new.session_id, now).await?;
    let is_operator = person.is_some_and(|person| person.is_operator);
    let is_own = session.is_some_and(|session| {
        session.person_id == new.operator_id && !session.is_impersonation() && !session.awaits_second_factor
    });
    if is_operator && is_own {
        Ok(())
    } else {
        Err(ChangeError::NotFound)
    }
}

/// Session of an operator after an impersonation.
pub struct Ended {
    /// Token of the new session.
    pub token: SessionToken,
    /// Operator's own membership, if any, under which the session goes on.
    pub membership: Option<(NetworkId, MembershipId)>,
}

/// Ends an impersonation: replaces its session with one of the operator's own, and records that in the operator log.
/// Returns None if the session is not an impersonation or has ended.
///
/// # Errors
/// Returns an error if the database fails.
#[tracing::instrument(
    skip_all,
    fields(network = session.network_id.map(tracing::field::display), person = %session.person_id)
)]
pub async fn end(
    db: &Db,
    author: &Author,
    session: &Session,
    user_agent: String,
    address: Option<IpAddr>,
    now: DateTime<Utc>,
) -> Result<Option<Ended>, DbError> {
    if !session.is_impersonation() {
        return Ok(None);
    }
    let network = match session.network_id {
        Some(id) => unscoped::network_of_id(db, id).await?,
        None => None,
    };
    let membership = unscoped::first_place(db, session.person_id).await?;
    let next = NewSession {
        person_id: session.person_id,
        membership,
        operator_reason: None,
        awaits_second_factor: false,
        without_password: false,
        ends_at: None,
        user_agent,
        address,
    };
    let mut conn = db.person(session.person_id).await?;
    if !sessions::end_one(&mut conn, session.person_id, session.id).await? {
        return Ok(None);
    }
    let about = network
        .as_ref()
        .map(|network| (network.id, network.name.as_str()));
    operators::record(&mut conn, author, "operator.leave", about, "", now).await?;
    let token = sessions::start(&mut conn, &next, now).await?;
    let person = people::find(&mut conn, session.person_id).await?;
    conn.commit().await?;
    if let (Some((network_id, _)), Some(person)) = (membership, person) {
        let mut conn = db.network(network_id).await?;
        let change = Change::noted("session.start", person.id, &person.email);
        audit::record(&mut conn, author, change, now).await?;
        conn.commit().await?;
    }
    tracing::info!("impersonation ended");
    Ok(Some(Ended { token, membership }))
}
