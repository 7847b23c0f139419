//! Retention: months of clicks are dropped, and rejected postbacks of no advertiser are removed.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Days, Months, Utc};
use schema::batch::connect_ingest;
use schema::clock;
use tokio_postgres::Client;

use super::error::ApplyError;
use crate::blocks;

/// Interval of retention.
const RETENTION_INTERVAL: Duration = Duration::from_secs(6 * 3600);
/// Pause before a retry.
const RETRY_PAUSE: Duration = Duration::from_secs(60);

/// Ages of what is removed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Keep {
    /// Months after which clicks are dropped; `None` keeps all.
    pub(crate) clicks_months: Option<u32>,
    /// Days after which rejected postbacks of no advertiser are removed.
    pub(crate) unattributed_days: u32,
}

/// Removes what is older, for as long as the process runs. The rollups and blocks of clicks stay.
pub(crate) async fn remove_old(url: Arc<str>, keep: Keep) {
    loop {
        let pause = match remove_once(&url, keep).await {
            Ok(true) => RETENTION_INTERVAL,
            Ok(false) => RETRY_PAUSE,
            Err(error) => {
                tracing::warn!(%error, "old clicks or postbacks not removed");
                RETRY_PAUSE
            }
        };
        tokio::time::sleep(pause).await;
    }
}

/// Returns false if old clicks wait for their blocks.
async fn remove_once(url: &str, keep: Keep) -> Result<bool, ApplyError> {
    let mut client = connect_ingest(url).await?;
    let now = clock::now();
    let mut is_done = true;
    if let Some(before) = keep
        .clicks_months
        .and_then(|months| now.checked_sub_months(Months::new(months)))
    {
        is_done = drop_clicks(&mut client, before).await?;
    }
    if let Some(before) = now.checked_sub_days(Days::new(keep.unattributed_days.into())) {
        // In parts, so that no transaction is long.
        let part = "DELETE FROM postbacks WHERE (network_id, id) IN (
                        SELECT network_id, id FROM postbacks
                        WHERE advertiser_id IS NULL AND status = 'rejected' AND received_at < $1 LIMIT 5000)";
        let mut removed = 0;
        loop {
            let part = client.execute(part, &[&before]).await?;
            removed += part;
            if part == 0 {
                break;
            }
        }
        if removed > 0 {
            tracing::info!(removed, "postbacks of no advertiser removed by retention");
        }
    }
    Ok(is_done)
}

/// Drops the months of clicks that ended before a time, once all of them are in blocks, which are sealed with it. Returns
/// false if they are not yet.
async fn drop_clicks(client: &mut Client, before: DateTime<Utc>) -> Result<bool, ApplyError> {
    let transaction = client.transaction().await?;
    if !blocks::seal(&transaction, before).await? {
        tracing::info!("old clicks not dropped yet: some are not in blocks for reports");
        return Ok(false);
    }
    let row = transaction
        .query_one("SELECT drop_click_months($1)", &[&before])
        .await?;
    transaction.commit().await?;
    let dropped: i32 = row.get(0);
    if dropped > 0 {
        tracing::info!(dropped, "months of clicks dropped by retention");
    }
    Ok(true)
}
