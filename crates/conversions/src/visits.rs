//! Visits of conversions: what their clicks had is copied to them, so that reports need not look it up and keep it when
//! the clicks are dropped. A new conversion has it at once, if its click is stored; what is missing is added here.

use std::sync::LazyLock;

use schema::NetworkId;
use schema::batch::BatchError;
use tokio_postgres::Client;
use uuid::Uuid;

use crate::rollups;

/// Conversions per statement.
const PART: usize = 2_000;

/// Fills in the visits of conversions from `$2` on; returns their ids. A row that a decision holds is left for later, and
/// so is one whose click did not arrive yet. Reports that were asked meanwhile learn of it by the changes of the spans.
static FILL: LazyLock<String> = LazyLock::new(|| {
    format!(
        "WITH due AS (
             SELECT id, click_id, converted_at FROM conversions
             WHERE network_id = $1 AND id > $2 AND visit IS NULL AND click_id IS NOT NULL
             ORDER BY id LIMIT {PART} FOR UPDATE SKIP LOCKED
         ), filled AS (
             UPDATE conversions v SET visit = CASE WHEN k.id IS NULL THEN '{{}}' ELSE visit_of(k) END
             FROM due LEFT JOIN clicks k ON k.network_id = $1 AND k.id = due.click_id
             WHERE v.network_id = $1 AND v.id = due.id
               AND (k.id IS NOT NULL OR due.converted_at < now() - interval '7 days')
             RETURNING v.network_id, v.converted_at AS at
         ), counted AS ({})
         SELECT id FROM due ORDER BY id",
        rollups::count_changes("filled")
    )
});

/// Fills in the visits of all conversions of a network whose clicks have arrived, as an applier.
///
/// # Errors
/// Returns an error if Postgres fails.
pub async fn fill_visits(client: &Client, network_id: NetworkId) -> Result<(), BatchError> {
    let mut last = Uuid::nil();
    loop {
        let due = client.query(&**FILL, &[&network_id, &last]).await?;
        match due.last() {
            Some(row) if due.len() == PART => last = row.try_get(0)?,
            _ => return Ok(()),
        }
    }
}
