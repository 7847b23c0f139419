//! People: one row per human being, whatever networks they work for.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use schema::{PersonId, people};

use crate::PasswordHash;

/// A person as stored, without the password hash.
#[derive(Debug, Clone, HasQuery)]
#[diesel(table_name = people)]
pub struct Person {
    /// The person.
    pub id: PersonId,
    /// Lower case.
    pub email: String,
    /// As colleagues see it.
    pub name: String,
}

/// Creates a person who signs in with this e-mail address.
///
/// # Errors
/// When the database fails, or the address is taken (a unique violation).
pub async fn create(
    conn: &mut AsyncPgConnection,
    email: &str,
    name: &str,
    password: &PasswordHash,
    now: DateTime<Utc>,
) -> QueryResult<Person> {
    diesel::insert_into(people::table)
        .values((
            people::email.eq(email.to_lowercase()),
            people::name.eq(name),
            people::password_hash.eq(password.as_str()),
            people::created_at.eq(now),
        ))
        .returning(Person::as_select())
        .get_result(conn)
        .await
}
