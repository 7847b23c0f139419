//! Affiliate groups, for commission rules that apply to several affiliates.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::result::DatabaseErrorKind;
use diesel::result::Error::DatabaseError;
use diesel_async::RunQueryDsl;
use schema::{GroupId, NetworkConn, affiliate_groups, affiliates};
use serde_json::json;

use crate::audit::{self, Change};
use crate::author::Author;
use crate::error::{ChangeError, check_name, taken};

/// A group as stored.
#[derive(Debug, Clone, HasQuery)]
#[diesel(table_name = affiliate_groups)]
pub struct Group {
    /// Group ID.
    pub id: GroupId,
    /// Display name.
    pub name: String,
}

const TAKEN: &str = "Another group has this name.";
const TAKEN_KEY: &str = "affiliate_groups_network_id_name_key";

/// Creates a group.
///
/// # Errors
/// [`ChangeError::Fields`].
pub async fn create(
    conn: &mut NetworkConn,
    author: &Author,
    name: &str,
    now: DateTime<Utc>,
) -> Result<Group, ChangeError> {
    let name = check_name(name).map_err(|message| ChangeError::field("name", message))?;
    let network_id = conn.network_id();
    let made = diesel::insert_into(affiliate_groups::table)
        .values((
            affiliate_groups::network_id.eq(network_id),
            affiliate_groups::name.eq(&name),
            affiliate_groups::created_at.eq(now),
        ))
        .returning(Group::as_select())
        .get_result(&mut **conn)
        .await
        .map_err(taken(TAKEN_KEY, "name", TAKEN))?;
    let change = Change::created("group.create", made.id, &name, json!({ "name": name }));
    audit::record(conn, author, change, now).await?;
    Ok(made)
}

/// Renames a group.
///
/// # Errors
/// [`ChangeError::NotFound`], [`ChangeError::Fields`].
pub async fn rename(
    conn: &mut NetworkConn,
    author: &Author,
    id: GroupId,
    name: &str,
    now: DateTime<Utc>,
) -> Result<Group, ChangeError> {
    let name = check_name(name).map_err(|message| ChangeError::field("name", message))?;
    let old = find(conn, id).await?.ok_or(ChangeError::NotFound)?;
    let network_id = conn.network_id();
    let renamed = diesel::update(affiliate_groups::table.find((network_id, id)))
        .set(affiliate_groups::name.eq(&name))
        .returning(Group::as_select())
        .get_result(&mut **conn)
        .await
        .map_err(taken(TAKEN_KEY, "name", TAKEN))?;
    let (before, after) = (json!({ "name": old.name }), json!({ "name": name }));
    audit::record(
        conn,
        author,
        Change::between("group.update", id, &name, before, after),
        now,
    )
    .await?;
    Ok(renamed)
}

/// Deletes an empty group.
///
/// # Errors
/// [`ChangeError::NotFound`], [`ChangeError::Conflict`] if affiliates are in the group or commission rules refer to it.
pub async fn remove(
    conn: &mut NetworkConn,
    author: &Author,
    id: GroupId,
    now: DateTime<Utc>,
) -> Result<(), ChangeError> {
    let network_id = conn.network_id();
    let old: Option<Group> = affiliate_groups::table
        .filter(affiliate_groups::network_id.eq(network_id))
        .filter(affiliate_groups::id.eq(id))
        .select(Group::as_select())
        .for_update()
        .first(&mut **conn)
        .await
        .optional()?;
    let old = old.ok_or(ChangeError::NotFound)?;
    let members: i64 = affiliates::table
        .filter(affiliates::network_id.eq(network_id))
        .filter(affiliates::group_id.eq(id))
        .count()
        .get_result(&mut **conn)
        .await?;
    if members > 0 {
        return Err(ChangeError::Conflict(format!(
            "{members} affiliates are in this group. Move them to another group first."
        )));
    }
    let removed = diesel::delete(affiliate_groups::table.find((network_id, id)))
        .execute(&mut **conn)
        .await;
    removed.map_err(|error| match error {
        DatabaseError(DatabaseErrorKind::ForeignKeyViolation, _) => ChangeError::Conflict(
            "Commission rules, current or earlier, refer to this group, so it cannot be deleted. Rename it instead."
                .to_owned(),
        ),
        other => other.into(),
    })?;
    let change = Change::between(
        "group.remove",
        id,
        &old.name,
        json!({ "name": old.name }),
        json!({}),
    );
    Ok(audit::record(conn, author, change, now).await?)
}

/// Group with this ID.
///
/// # Errors
/// Returns an error if the database fails.
pub async fn find(conn: &mut NetworkConn, id: GroupId) -> QueryResult<Option<Group>> {
    let network_id = conn.network_id();
    Group::query()
        .filter(affiliate_groups::network_id.eq(network_id))
        .filter(affiliate_groups::id.eq(id))
        .first(&mut **conn)
        .await
        .optional()
}

/// Group with this ID or name (case-insensitive).
///
/// # Errors
/// Returns an error if the database fails.
pub async fn known_as(conn: &mut NetworkConn, text: &str) -> QueryResult<Option<Group>> {
    if let Ok(id) = text.parse() {
        return find(conn, id).await;
    }
    let all = all(conn).await?;
    Ok(all
        .into_iter()
        .find(|group| group.name.eq_ignore_ascii_case(text)))
}

/// All groups by name, at most 1,000.
///
/// # Errors
/// Returns an error if the database fails.
pub async fn all(conn: &mut NetworkConn) -> QueryResult<Vec<Group>> {
    let network_id = conn.network_id();
    Group::query()
        .filter(affiliate_groups::network_id.eq(network_id))
        .order((affiliate_groups::name, affiliate_groups::id))
        .limit(1000)
        .load(&mut **conn)
        .await
}
