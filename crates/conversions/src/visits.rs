//! Visits of conversions: what their clicks had is copied to them, so that reports need not look it up and keep it when
//! the clicks are dropped.

use schema::NetworkId;
use schema::batch::BatchError;
use tokio_postgres::Client;
use uuid::Uuid;

/// Conversions per statement.
const PART: usize = 2_000;

/// Fills in the visits of conversions from `$2` on; returns their ids. A row that a decision holds is left for later, and
/// so is one whose click did not arrive yet. Reports that were asked meanwhile learn of it by the versions of the spans.
const FILL: &str = "
    WITH due AS (
        SELECT id, click_id, converted_at FROM conversions
        WHERE network_id = $1 AND id > $2 AND visit IS NULL AND click_id IS NOT NULL
        ORDER BY id LIMIT 2000 FOR UPDATE SKIP LOCKED
    ), filled AS (
        UPDATE conversions v
        SET visit = CASE WHEN k.id IS NULL THEN '{}' ELSE
            ARRAY[k.sub1, k.sub2, k.sub3, k.sub4, k.sub5, k.country, k.device, k.os, k.browser,
                  referrer_host(k.referrer), k.flag, k.landing_page_id::text] END
        FROM due LEFT JOIN clicks k ON k.network_id = $1 AND k.id = due.click_id
        WHERE v.network_id = $1 AND v.id = due.id
          AND (k.id IS NOT NULL OR due.converted_at < now() - interval '7 days')
        RETURNING v.converted_at
    ), counted AS (
        INSERT INTO conversion_spans (network_id, span, slot, version)
        SELECT DISTINCT $1::integer, floor(extract(epoch FROM converted_at) / 21600)::integer, pg_backend_pid() % 64, 1
        FROM filled ORDER BY 2
        ON CONFLICT (network_id, span, slot) DO UPDATE SET version = conversion_spans.version + 1
    )
    SELECT id FROM due ORDER BY id";

/// Fills in the visits of all conversions of a network whose clicks have arrived.
pub(super) async fn fill(client: &Client, network_id: NetworkId) -> Result<(), BatchError> {
    let mut last = Uuid::nil();
    loop {
        let due = client.query(FILL, &[&network_id, &last]).await?;
        match due.last() {
            Some(row) if due.len() == PART => last = row.try_get(0)?,
            _ => return Ok(()),
        }
    }
}
