//! Quarantine: journal records that Postgres refused, and gaps in journals, for operators.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use schema::{Db, DbError, quarantine};

/// Quarantined record.
#[derive(Debug, Clone, HasQuery)]
#[diesel(table_name = quarantine)]
pub struct QuarantinedRecord {
    /// Identity of the journal.
    pub journal: uuid::Uuid,
    /// Sequence number in the journal.
    pub seq: i64,
    /// Time of the quarantine.
    pub quarantined_at: DateTime<Utc>,
    /// Reason.
    pub reason: String,
}

/// Number of quarantined records.
///
/// # Errors
/// Returns an error if the database fails.
pub async fn count(db: &Db) -> Result<i64, DbError> {
    let mut conn = db.operator().await?;
    let count = quarantine::table.count().get_result(&mut *conn).await?;
    conn.commit().await?;
    Ok(count)
}

/// Newest quarantined records, at most `limit`.
///
/// # Errors
/// Returns an error if the database fails.
pub async fn newest(db: &Db, limit: i64) -> Result<Vec<QuarantinedRecord>, DbError> {
    let mut conn = db.operator().await?;
    let newest = QuarantinedRecord::query()
        .order((quarantine::quarantined_at.desc(), quarantine::seq.desc()))
        .limit(limit)
        .load(&mut *conn)
        .await?;
    conn.commit().await?;
    Ok(newest)
}
