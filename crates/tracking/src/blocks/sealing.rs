//! Sealing: blocks outlive their clicks, which retention drops month by month.

use chrono::{DateTime, Utc};
use schema::batch::BatchError;
use tokio_postgres::Transaction;

/// Networks with clicks of the months before `$1` that are in no block with exact columns.
const OPEN: &str = "
    SELECT EXISTS (
        SELECT FROM networks n
        CROSS JOIN (SELECT date_trunc('month', $1 AT TIME ZONE 'UTC') AS month) dropped
        WHERE EXISTS (SELECT FROM click_blocks b WHERE b.network_id = n.id
                      AND b.from_at < dropped.month AT TIME ZONE 'UTC' AND b.built_late IS DISTINCT FROM b.late)
           OR EXISTS (SELECT FROM clicks k WHERE k.network_id = n.id AND k.id < click_key_floor(dropped.month)
                      AND k.id >= click_key_floor(coalesce((SELECT max(b.until_at) FROM click_blocks b
                                                            WHERE b.network_id = n.id), 'epoch') AT TIME ZONE 'UTC')))";

const SEAL: &str = "
    UPDATE click_blocks SET is_sealed = true
    WHERE NOT is_sealed AND until_at <= date_trunc('month', $1 AT TIME ZONE 'UTC') AT TIME ZONE 'UTC'";

/// Seals the blocks of the months that ended before a time. Returns false, and seals none, if some of their clicks are
/// not in blocks yet.
pub(crate) async fn seal(transaction: &Transaction<'_>, before: DateTime<Utc>) -> Result<bool, BatchError> {
    let is_open: bool = transaction.query_one(OPEN, &[&before]).await?.try_get(0)?;
    if !is_open {
        transaction.execute(SEAL, &[&before]).await?;
    }
    Ok(!is_open)
}
