//! Links that were mailed to people: to choose a new password, or to sign in without one.

use chrono::{DateTime, TimeDelta, Utc};
use diesel::prelude::*;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use schema::{PersonId, mailed_links, text_enum};

use crate::one_time::OneTimeToken;

/// How long a link works.
pub const LIFETIME: TimeDelta = TimeDelta::hours(1);

text_enum! {
    /// What a mailed link is for.
    pub enum Purpose {
        /// Choosing a new password.
        Reset = "reset",
        /// Signing in without a password.
        SignIn = "sign_in",
    }
}

/// Makes a link's token for a person. Those made before, for either purpose, stop working.
///
/// # Errors
/// When the database fails.
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

/// Whose link this is, if it still works.
///
/// # Errors
/// When the database fails.
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

/// Uses the link up, and says whose it was. Of two who bring it at once, one gets nothing.
///
/// # Errors
/// When the database fails.
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
