//! Old months of clicks, dropped as a whole.

use std::sync::Arc;
use std::time::Duration;

use chrono::Months;
use schema::clock;

use super::{ApplyError, session};

/// How often somebody looks for months that are too old.
const EVERY: Duration = Duration::from_secs(6 * 3600);
/// How long to wait when that failed.
const AGAIN: Duration = Duration::from_secs(60);

/// Drops the months of clicks that ended so many months ago, for as long as the process lives. Their sums stay.
pub(crate) async fn drop_old_clicks(url: Arc<str>, keep_months: u32) {
    loop {
        let pause = match drop_once(&url, keep_months).await {
            Ok(0) => EVERY,
            Ok(dropped) => {
                tracing::info!(dropped, "months of clicks dropped");
                EVERY
            }
            Err(error) => {
                tracing::warn!(%error, "old months of clicks not dropped");
                AGAIN
            }
        };
        tokio::time::sleep(pause).await;
    }
}

async fn drop_once(url: &str, keep_months: u32) -> Result<i32, ApplyError> {
    let client = session::connect(url).await?;
    let Some(before) = clock::now().checked_sub_months(Months::new(keep_months)) else {
        return Ok(0);
    };
    let row = client
        .query_one("SELECT drop_click_months($1)", &[&before])
        .await?;
    Ok(row.get(0))
}
