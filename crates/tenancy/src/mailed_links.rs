//! Links sent by mail, to choose a new password or to sign in without one.

use chrono::{DateTime, TimeDelta, Utc};
use diesel::prelude::*;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use schema::{PersonId, mailed_links, text_enum};

use crate::one_time::OneTimeToken;

/// Validity of a link.
pub const LIFETIME: TimeDelta = TimeDelta::hours(1);

text_enum! {
    /// Purpose of a mailed link.
    pub enum Purpose {
        /// Choose a new password.
        Reset = "reset",
        /// Sign in without a password.
        SignIn = "sign_in",
    }
}

/// Creates a link token for a person. Earlier links of the person, for either purpose, stop working.
///
/// # Errors
/// Returns an error if the database fails.
#[tracing::instrument(skip_all, fields(person = %person_id, purpose = %purpose))]
pub async fn create(
    conn: &mut AsyncPgConnection,
    person_id: PersonId,
    purpose: Purpose,
    now: DateTime<Utc>,
) -> QueryResult<OneTimeToken> {
    let token = OneTimeToken::fresh();
    diesel::delete(mailed_links::table.filter(mailed_links::person_id.eq(person_id)))
        .execute(conn)
        .await?;
    diesel::insert_into(mailed_links::table)
        .values((
            mailed_links::token_hash.eq(token.hash()),
            mailed_links::person_id.eq(person_id),
            mailed_links::purpose.eq(purpose),
            mailed_links::created_at.eq(now),
            mailed_links::expires_at.eq(now + LIFETIME),
        ))
        .execute(conn)
        .await?;
    Ok(token)
}

/// Person the link belongs to; None if it is unknown, used or expired.
///
/// # Errors
/// Returns an error if the database fails.
pub async fn find(
    conn: &mut AsyncPgConnection,
    token: &OneTimeToken,
    purpose: Purpose,
    now: DateTime<Utc>,
) -> QueryResult<Option<PersonId>> {
    mailed_links::table
        .find(token.hash())
        .filter(mailed_links::purpose.eq(purpose))
        .filter(mailed_links::expires_at.gt(now))
        .select(mailed_links::person_id)
        .first(conn)
        .await
        .optional()
}

/// Uses up a link and returns the person it belongs to; None if it is unknown, used or expired. A link cannot be used
/// twice, even concurrently.
///
/// # Errors
/// Returns an error if the database fails.
#[tracing::instrument(skip_all, fields(purpose = %purpose))]
pub async fn take(
    conn: &mut AsyncPgConnection,
    token: &OneTimeToken,
    purpose: Purpose,
    now: DateTime<Utc>,
) -> QueryResult<Option<PersonId>> {
    diesel::delete(
        mailed_links::table
            .find(token.hash())
            .filter(mailed_links::purpose.eq(purpose))
            .filter(mailed_links::expires_at.gt(now)),
    )
    .returning(mailed_links::person_id)
    .get_result(conn)
    .await
    .optional()
}
