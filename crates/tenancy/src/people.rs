//! People: one row per human being, whatever networks they work for.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use schema::{PersonId, mailed_links, people};

use crate::PasswordHash;
use crate::error::{ChangeError, taken};

/// A person as stored, without the secrets.
#[derive(Debug, Clone, HasQuery)]
#[diesel(table_name = people)]
pub struct Person {
    /// The person.
    pub id: PersonId,
    /// Lower case.
    pub email: String,
    /// As colleagues see it.
    pub name: String,
    /// Whether the person runs this installation.
    pub is_operator: bool,
}

/// A person to create.
pub struct NewPerson<'a> {
    /// What the person signs in with.
    pub email: &'a str,
    /// As colleagues see it.
    pub name: &'a str,
    /// None for somebody who signs in by links in mails.
    pub password: Option<&'a PasswordHash>,
    /// Whether the person runs this installation.
    pub is_operator: bool,
}

/// Creates a person who signs in with this e-mail address.
///
/// # Errors
/// When the database fails, or the address is taken ([`ChangeError::Fields`]).
pub async fn create(
    conn: &mut AsyncPgConnection,
    person: &NewPerson<'_>,
    now: DateTime<Utc>,
) -> Result<Person, ChangeError> {
    diesel::insert_into(people::table)
        .values((
            people::email.eq(person.email.trim().to_lowercase()),
            people::name.eq(person.name),
            people::password_hash.eq(person.password.map(PasswordHash::as_str)),
            people::is_operator.eq(person.is_operator),
            people::created_at.eq(now),
        ))
        .returning(Person::as_select())
        .get_result(conn)
        .await
        .map_err(taken(
            "people_email_key",
            "email",
            "Somebody signs in with this address already.",
        ))
}

/// The person with this address.
///
/// # Errors
/// When the database fails.
pub async fn by_email(conn: &mut AsyncPgConnection, email: &str) -> QueryResult<Option<Person>> {
    Person::query()
        .filter(people::email.eq(email.trim().to_lowercase()))
        .first(conn)
        .await
        .optional()
}

/// The person with this id.
///
/// # Errors
/// When the database fails.
pub async fn find(conn: &mut AsyncPgConnection, id: PersonId) -> QueryResult<Option<Person>> {
    Person::query().find(id).first(conn).await.optional()
}

/// The stored password hash of a person; none for one without a password.
///
/// # Errors
/// When the database fails.
pub async fn password_hash(conn: &mut AsyncPgConnection, id: PersonId) -> QueryResult<Option<PasswordHash>> {
    let phc: Option<String> = people::table
        .find(id)
        .select(people::password_hash)
        .first(conn)
        .await?;
    Ok(phc.map(PasswordHash::from_stored))
}

/// Gives a person another password; links that were mailed stop working.
///
/// # Errors
/// When the database fails.
pub async fn set_password(
    conn: &mut AsyncPgConnection,
    id: PersonId,
    password: &PasswordHash,
) -> QueryResult<()> {
    diesel::update(people::table.find(id))
        .set(people::password_hash.eq(password.as_str()))
        .execute(conn)
        .await?;
    diesel::delete(mailed_links::table.filter(mailed_links::person_id.eq(id)))
        .execute(conn)
        .await?;
    Ok(())
}

/// Calls a person differently.
///
/// # Errors
/// When the database fails.
pub async fn rename(conn: &mut AsyncPgConnection, id: PersonId, name: &str) -> QueryResult<()> {
    diesel::update(people::table.find(id))
        .set(people::name.eq(name))
        .execute(conn)
        .await?;
    Ok(())
}
