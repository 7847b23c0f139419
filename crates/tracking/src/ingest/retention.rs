//! Retention: months of clicks are dropped, rejected postbacks of no advertiser are removed, and so are the requests of
//! postbacks that are old enough by their verdict.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Days, Months, Utc};
use schema::batch::connect_ingest;
use schema::{PostbackId, clock};
use tokio_postgres::Client;
use uuid::Uuid;

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
    /// Days after which requests of accepted and duplicate postbacks are removed; `None` keeps all.
    pub(crate) accepted_calls_days: Option<u32>,
    /// Days after which requests of rejected postbacks are removed; `None` keeps all.
    pub(crate) rejected_calls_days: Option<u32>,
    /// Days after which rejected postbacks of no advertiser are removed.
    pub(crate) unattributed_days: u32,
}

/// Removes what is older, for as long as the process runs. The rollups and blocks of clicks stay.
pub(crate) async fn remove_old(url: Arc<str>, keep: Keep) {
    let mut calls = [
        Calls::of(&["accepted", "duplicate"], keep.accepted_calls_days),
        Calls::of(&["rejected"], keep.rejected_calls_days),
    ];
    loop {
        let pause = match remove_once(&url, keep, &mut calls).await {
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
async fn remove_once(url: &str, keep: Keep, calls: &mut [Calls]) -> Result<bool, ApplyError> {
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
    for calls in calls {
        calls.remove(&client, now).await?;
    }
    Ok(is_done)
}

/// Requests of postbacks of some verdicts, and how long they are kept.
struct Calls {
    statuses: &'static [&'static str],
    days: Option<u32>,
    /// Time up to which this process has removed them: the next run begins there.
    removed_until: DateTime<Utc>,
}

impl Calls {
    fn of(statuses: &'static [&'static str], days: Option<u32>) -> Self {
        Self {
            statuses,
            days,
            removed_until: DateTime::UNIX_EPOCH,
        }
    }

    /// Removes the requests that are older than they are kept. What a postback was understood as, its verdict and its trace
    /// stay.
    async fn remove(&mut self, client: &Client, now: DateTime<Utc>) -> Result<(), ApplyError> {
        let before = self
            .days
            .and_then(|days| now.checked_sub_days(Days::new(days.into())));
        let Some(before) = before else {
            return Ok(());
        };
        let networks = client.query("SELECT id FROM networks", &[]).await?;
        let (first, end) = (PostbackId::lowest(self.removed_until), PostbackId::lowest(before));
        // In parts, so that no transaction is long; each begins where the one before ended. A postback that was decided
        // lately may still be read by its sender.
        let part = "UPDATE postbacks SET target = split_part(target, '?', 1), body = '', token_hash = NULL, remote_ip = NULL,
                        extra = '{}', incomplete = 'removed'
                    WHERE (network_id, id) IN (
                        SELECT network_id, id FROM postbacks
                        WHERE network_id = $1 AND id >= $2 AND id < $3 AND status = ANY ($4)
                          AND coalesce(decided_at, received_at) < $5 AND incomplete IS DISTINCT FROM 'removed'
                        ORDER BY id LIMIT 5000)
                    RETURNING id";
        let mut removed = 0;
        for network in networks {
            let (network, mut from): (i32, Uuid) = (network.get(0), first.0);
            loop {
                let part = client
                    .query(part, &[&network, &from, &end.0, &self.statuses, &before])
                    .await?;
                removed += part.len();
                let Some(last) = part.iter().map(|row| row.get::<_, Uuid>(0)).max() else {
                    break;
                };
                from = last;
            }
        }
        if removed > 0 {
            tracing::info!(removed, statuses = ?self.statuses, "requests of postbacks removed by retention");
        }
        self.removed_until = before;
        Ok(())
    }
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
