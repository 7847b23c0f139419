//! Audit log, append-only: every change with author, time, origin, and values before and after.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use ipnet::IpNet;
use schema::{AuditId, NetworkConn, PersonId, audit_log, changes};
use serde_json::{Map, Value};

use crate::author::{Author, Via};

/// A change to record.
#[derive(Debug, Clone)]
pub struct Change {
    action: &'static str,
    object: String,
    object_name: String,
    before: Value,
    after: Value,
}

impl Change {
    /// Change that creates `object`. `action` is a kind and a verb, such as `affiliate.create`.
    #[must_use]
    pub fn created(action: &'static str, object: impl ToString, name: &str, after: Value) -> Self {
        Self::between(action, object, name, empty(), after)
    }

    /// Event without changed values, such as a deletion or a use.
    #[must_use]
    pub fn noted(action: &'static str, object: impl ToString, name: &str) -> Self {
        Self::between(action, object, name, empty(), empty())
    }

    /// Change from `before` to `after`; only fields that differ are stored.
    #[must_use]
    pub fn between(
        action: &'static str,
        object: impl ToString,
        name: &str,
        before: Value,
        after: Value,
    ) -> Self {
        let (before, after) = difference(before, after);
        Self {
            action,
            object: object.to_string(),
            object_name: name.to_owned(),
            before,
            after,
        }
    }
}

fn empty() -> Value {
    Value::Object(Map::new())
}

/// Reduces two JSON objects to the fields that differ.
fn difference(before: Value, after: Value) -> (Value, Value) {
    match (before, after) {
        (Value::Object(mut before), Value::Object(mut after)) => {
            let same: Vec<_> = before
                .iter()
                .filter(|(field, value)| after.get(*field) == Some(value))
                .map(|(field, _)| field.clone())
                .collect();
            for field in same {
                before.remove(&field);
                after.remove(&field);
            }
            (Value::Object(before), Value::Object(after))
        }
        both => both,
    }
}

/// Records a change in the transaction that makes it, and notifies all nodes: a node whose cached configuration
/// reflects the latest entry is up to date.
///
/// # Errors
/// Returns an error if the database fails.
pub async fn record(
    conn: &mut NetworkConn,
    author: &Author,
    change: Change,
    now: DateTime<Utc>,
) -> QueryResult<()> {
    let (kind, _) = change.action.split_once('.').unwrap_or((change.action, ""));
    changes::announce(conn, kind, &change.object_name).await?;
    let network_id = conn.network_id();
    diesel::insert_into(audit_log::table)
        .values((
            audit_log::network_id.eq(network_id),
            audit_log::id.eq(AuditId::fresh(now)),
            audit_log::at.eq(now),
            audit_log::person_id.eq(author.person_id),
            audit_log::author.eq(&author.name),
            audit_log::via.eq(author.via),
            audit_log::remote_ip.eq(author.address),
            audit_log::action.eq(change.action),
            audit_log::object.eq(change.object),
            audit_log::object_name.eq(change.object_name),
            audit_log::before.eq(change.before),
            audit_log::after.eq(change.after),
        ))
        .execute(&mut **conn)
        .await?;
    Ok(())
}

/// An audit log entry.
#[derive(Debug, Clone, HasQuery)]
#[diesel(table_name = audit_log)]
pub struct Entry {
    /// Entry ID.
    pub id: AuditId,
    /// Time of the change.
    pub at: DateTime<Utc>,
    /// Author, if a person.
    pub person_id: Option<PersonId>,
    /// Author's name.
    pub author: String,
    /// Means by which the change was made.
    pub via: Via,
    /// Author's IP address; None if unknown.
    pub remote_ip: Option<IpNet>,
    /// Action: a kind and a verb, such as `affiliate.create`.
    pub action: String,
    /// ID of the changed object.
    pub object: String,
    /// Name of the changed object at that time.
    pub object_name: String,
    /// Changed fields, old values.
    pub before: Value,
    /// Changed fields, new values.
    pub after: Value,
}

/// Filter for audit log entries; None matches all.
#[derive(Debug, Clone, Default)]
pub struct AuditFilter {
    /// Kind of object (`affiliate`) or exact action (`affiliate.update`).
    pub action: Option<String>,
    /// Text contained in the author's name, case-insensitive.
    pub author: Option<String>,
    /// ID of the changed object.
    pub object: Option<String>,
    /// Earliest time, inclusive.
    pub from: Option<DateTime<Utc>>,
    /// Latest time, exclusive.
    pub until: Option<DateTime<Utc>>,
    /// Entry to start after, going back in time.
    pub before: Option<AuditId>,
}

/// Entries that match the filter, newest first, at most `limit`.
///
/// # Errors
/// Returns an error if the database fails.
pub async fn list(conn: &mut NetworkConn, filter: &AuditFilter, limit: i64) -> QueryResult<Vec<Entry>> {
    let mut query = Entry::query()
        .filter(audit_log::network_id.eq(conn.network_id()))
        .order(audit_log::id.desc())
        .limit(limit)
        .into_boxed();
    if let Some(action) = &filter.action {
        query = if action.contains('.') {
            query.filter(audit_log::action.eq(action))
        } else {
            query.filter(audit_log::action.like(format!("{}.%", pattern(action))))
        };
    }
    if let Some(author) = &filter.author {
        query = query.filter(audit_log::author.ilike(format!("%{}%", pattern(author))));
    }
    if let Some(object) = &filter.object {
        query = query.filter(audit_log::object.eq(object));
    }
    if let Some(from) = filter.from {
        query = query.filter(audit_log::at.ge(from));
    }
    if let Some(until) = filter.until {
        query = query.filter(audit_log::at.lt(until));
    }
    if let Some(before) = filter.before {
        query = query.filter(audit_log::id.lt(before));
    }
    query.load(&mut **conn).await
}

/// Escapes a text for use in a LIKE pattern.
pub(crate) fn pattern(text: &str) -> String {
    text.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_differing_fields_are_stored() {
        let change = Change::between(
            "a.update",
            "aff_1",
            "A",
            json!({"name": "A", "status": "active"}),
            json!({"name": "A", "status": "paused", "tags": ["x"]}),
        );
        assert_eq!(change.before, json!({"status": "active"}));
        assert_eq!(change.after, json!({"status": "paused", "tags": ["x"]}));
    }

    #[test]
    fn wildcards_in_a_search_text_are_escaped() {
        assert_eq!(pattern("50%_\\"), "50\\%\\_\\\\");
    }
}
