//! People: one row per human, shared by all networks they are members of.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use schema::{PersonId, mailed_links, people};

use crate::PasswordHash;
use crate::error::{ChangeError, taken};

/// A person as stored, without secrets.
#[derive(Debug, Clone, HasQuery)]
#[diesel(table_name = people)]
pub struct Person {
    /// Person ID.
    pub id: PersonId,
    /// E-mail address, in lower case.
    pub email: String,
    /// Display name.
    pub name: String,
    /// True if the person is an operator of this installation.
    pub is_operator: bool,
}

/// A person to create.
pub struct NewPerson<'a> {
    /// E-mail address, used to sign in.
    pub email: &'a str,
    /// Display name.
    pub name: &'a str,
    /// Password hash; None for a person who signs in with mailed links.
    pub password: Option<&'a PasswordHash>,
    /// True if the person is an operator of this installation.
    pub is_operator: bool,
}

/// Creates a person with this e-mail address.
///
/// # Errors
/// [`ChangeError::Fields`] if the address is taken, or when the database fails.
#[tracing::instrument(skip_all, fields(person = tracing::field::Empty))]
pub async fn create(
    conn: &mut AsyncPgConnection,
    person: &NewPerson<'_>,
    now: DateTime<Utc>,
) -> Result<Person, ChangeError> {
    let created: Person = diesel::insert_into(people::table)
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
            "An account with this address already exists.",
        ))?;
    tracing::Span::current().record("person", tracing::field::display(created.id));
    Ok(created)
}

/// Person with this e-mail address.
///
/// # Errors
/// Returns an error if the database fails.
pub async fn by_email(conn: &mut AsyncPgConnection, email: &str) -> QueryResult<Option<Person>> {
    Person::query()
        .filter(people::email.eq(email.trim().to_lowercase()))
        .first(conn)
        .await
        .optional()
}

/// Person with this ID.
///
/// # Errors
/// Returns an error if the database fails.
pub async fn find(conn: &mut AsyncPgConnection, id: PersonId) -> QueryResult<Option<Person>> {
    Person::query().find(id).first(conn).await.optional()
}

/// Stored password hash of a person; None if the person has no password.
///
/// # Errors
/// Returns an error if the database fails.
pub async fn password_hash(conn: &mut AsyncPgConnection, id: PersonId) -> QueryResult<Option<PasswordHash>> {
    let phc: Option<String> = people::table
        .find(id)
        .select(people::password_hash)
        .first(conn)
        .await?;
    Ok(phc.map(PasswordHash::from_stored))
}

/// Sets a person's password; mailed links stop working.
///
/// # Errors
/// Returns an error if the database fails.
#[tracing::instrument(skip_all, fields(person = %id))]
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

/// Renames a person.
///
/// # Errors
/// Returns an error if the database fails.
pub async fn rename(conn: &mut AsyncPgConnection, id: PersonId, name: &str) -> QueryResult<()> {
    diesel::update(people::table.find(id))
        .set(people::name.eq(name))
        .execute(conn)
        .await?;
    Ok(())
}
