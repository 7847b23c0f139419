//! The audit log: every change, and who made it, when, from where, with what was before and after. Only ever added to.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use ipnet::IpNet;
use schema::{AuditId, NetworkConn, PersonId, audit_log, changes};
use serde_json::{Map, Value};

use crate::actor::{Author, Via};

/// Something that was done to something.
#[derive(Debug, Clone)]
pub struct Change {
    action: &'static str,
    object: String,
    object_name: String,
    before: Value,
    after: Value,
}

impl Change {
    /// Something came to be. `action` is a thing and a verb, such as `affiliate.create`.
    #[must_use]
    pub fn created(action: &'static str, object: impl ToString, name: &str, after: Value) -> Self {
        Self::between(action, object, name, empty(), after)
    }

    /// Something went, or was used, or just happened.
    #[must_use]
    pub fn noted(action: &'static str, object: impl ToString, name: &str) -> Self {
        Self::between(action, object, name, empty(), empty())
    }

    /// Something changed. Only the fields that differ are kept.
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

/// The fields of two objects that differ.
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

/// Notes a change, in the transaction that makes it, and announces it to all nodes: what they keep in memory of the
/// configuration is as old as the last entry here.
///
/// # Errors
/// When the database fails.
pub async fn record(
    conn: &mut NetworkConn,
    author: &Author,
    change: Change,
    now: DateTime<Utc>,
) -> QueryResult<()> {
    let kind = change.action.split('.').next().unwrap_or_default();
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

/// An entry of the log.
#[derive(Debug, Clone, HasQuery)]
#[diesel(table_name = audit_log)]
pub struct Entry {
    /// The entry.
    pub id: AuditId,
    /// When it happened.
    pub at: DateTime<Utc>,
    /// Who did it, if it was a person.
    pub person_id: Option<PersonId>,
    /// Who did it, in words.
    pub author: String,
    /// By what means.
    pub via: Via,
    /// From where.
    pub remote_ip: Option<IpNet>,
    /// A thing and a verb.
    pub action: String,
    /// The id of what it was done to.
    pub object: String,
    /// What that was called then.
    pub object_name: String,
    /// The fields that changed, as they were.
    pub before: Value,
    /// The fields that changed, as they are.
    pub after: Value,
}

/// Which entries.
#[derive(Debug, Clone, Default)]
pub struct AuditFilter {
    /// Only of this kind of thing (`affiliate`), or exactly this action (`affiliate.update`).
    pub action: Option<String>,
    /// Only by authors whose name contains this.
    pub author: Option<String>,
    /// Only about the thing with this id.
    pub object: Option<String>,
    /// Only from then on.
    pub from: Option<DateTime<Utc>>,
    /// Only before then.
    pub until: Option<DateTime<Utc>>,
    /// Only entries older than this one.
    pub before: Option<AuditId>,
}

/// Entries, the newest first, at most `limit`.
///
/// # Errors
/// When the database fails.
pub async fn list(conn: &mut NetworkConn, filter: &AuditFilter, limit: i64) -> QueryResult<Vec<Entry>> {
    let mut query = Entry::query()
        .filter(audit_log::network_id.eq(conn.network_id()))
        .order(audit_log::id.desc())
        .limit(limit)
        .into_boxed();
    if let Some(action) = &filter.action {
        query = match action.contains('.') {
            true => query.filter(audit_log::action.eq(action)),
            false => query.filter(audit_log::action.like(format!("{}.%", pattern(action)))),
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

/// A text that stands for itself in LIKE.
pub(crate) fn pattern(text: &str) -> String {
    text.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_what_differs_is_kept() {
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
    fn a_search_text_stands_for_itself() {
        assert_eq!(pattern("50%_\\"), "50\\%\\_\\\\");
    }
}
