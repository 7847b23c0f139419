//! Nodes: what each publishes of itself, so that reports and operators know of all.

mod publish;

use chrono::{DateTime, TimeDelta, Utc};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use schema::{Db, DbError, nodes};
use serde::Deserialize as _;
use uuid::Uuid;

pub(crate) use publish::{Identity, OtherNodes, keep_publishing, remove};

use crate::health::Health;

/// Time since a node published, after which it is lost.
const LOST: TimeDelta = TimeDelta::seconds(30);

/// Node as it published itself.
#[derive(Debug, Clone, HasQuery)]
#[diesel(table_name = nodes)]
pub struct Node {
    /// Identity of its journal of clicks.
    pub id: Uuid,
    /// Host and folder of its journals.
    pub name: String,
    /// Version of its program.
    pub version: String,
    /// Time of its start.
    pub started_at: DateTime<Utc>,
    /// Time at which it published this.
    pub seen_at: DateTime<Utc>,
    health: serde_json::Value,
}

impl Node {
    /// Health; `None` if another release published it in another form.
    #[must_use]
    pub fn health(&self) -> Option<Health> {
        Health::deserialize(&self.health).ok()
    }

    /// True if it has not published for a while: it stopped without applying its journals, or cannot reach Postgres.
    #[must_use]
    pub fn is_lost(&self, now: DateTime<Utc>) -> bool {
        now - self.seen_at > LOST
    }
}

/// All nodes by name.
///
/// # Errors
/// Returns an error if the database fails.
pub async fn list(db: &Db) -> Result<Vec<Node>, DbError> {
    let mut conn = db.unscoped().await?;
    Ok(Node::query()
        .order((nodes::name, nodes::id))
        .load(&mut conn)
        .await?)
}

/// Forgets a lost node whose journals are gone: reports do not wait for its events any more. One that still runs publishes
/// itself again.
///
/// # Errors
/// Returns an error if the database fails.
pub async fn forget(db: &Db, id: Uuid) -> Result<(), DbError> {
    let mut conn = db.unscoped().await?;
    diesel::delete(nodes::table.find(id)).execute(&mut conn).await?;
    Ok(())
}
