//! Records that were put aside because Postgres would not take them: for those who run the installation.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use schema::{Db, DbError, quarantine};

/// A record that was put aside.
#[derive(Debug, Clone, HasQuery)]
#[diesel(table_name = quarantine)]
pub struct PutAside {
    /// Identity of its journal.
    pub journal: uuid::Uuid,
    /// Its number there.
    pub seq: i64,
    /// When it was put aside.
    pub put_aside_at: DateTime<Utc>,
    /// Why.
    pub reason: String,
}

/// How many there are.
///
/// # Errors
/// When the database fails.
pub async fn count(db: &Db) -> Result<i64, DbError> {
    let mut conn = db.operator().await?;
    let count = quarantine::table.count().get_result(&mut *conn).await?;
    conn.commit().await?;
    Ok(count)
}

/// The newest of them, at most `limit`.
///
/// # Errors
/// When the database fails.
pub async fn newest(db: &Db, limit: i64) -> Result<Vec<PutAside>, DbError> {
    let mut conn = db.operator().await?;
    let newest = PutAside::query()
        .order((quarantine::put_aside_at.desc(), quarantine::seq.desc()))
        .limit(limit)
        .load(&mut *conn)
        .await?;
    conn.commit().await?;
    Ok(newest)
}
