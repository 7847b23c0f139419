//! Retention of clicks: whole months are dropped.

use std::sync::Arc;
use std::time::Duration;

use chrono::Months;
use schema::clock;

use schema::batch::connect_ingest;

use super::error::ApplyError;

/// Interval of retention.
const RETENTION_INTERVAL: Duration = Duration::from_secs(6 * 3600);
/// Pause before a retry.
const RETRY_PAUSE: Duration = Duration::from_secs(60);

/// Drops months of clicks that ended so many months ago, for as long as the process runs. Their rollups stay.
pub(crate) async fn drop_old_clicks(url: Arc<str>, keep_months: u32) {
    loop {
        let pause = match drop_once(&url, keep_months).await {
            Ok(0) => RETENTION_INTERVAL,
            Ok(dropped) => {
                tracing::info!(dropped, "months of clicks dropped by retention");
                RETENTION_INTERVAL
            }
            Err(error) => {
                tracing::warn!(%error, "old months of clicks not dropped");
                RETRY_PAUSE
            }
        };
        tokio::time::sleep(pause).await;
    }
}

async fn drop_once(url: &str, keep_months: u32) -> Result<i32, ApplyError> {
    let client = connect_ingest(url).await?;
    let Some(before) = clock::now().checked_sub_months(Months::new(keep_months)) else {
        return Ok(0);
    };
    let row = client
        .query_one("SELECT drop_click_months($1)", &[&before])
        .await?;
    Ok(row.get(0))
}
