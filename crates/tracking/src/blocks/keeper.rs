//! The keeper of blocks: closes spans, and builds the columns of blocks that have none or got late clicks.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use futures_util::TryStreamExt as _;
use schema::batch::{BatchError, connect_ingest};
use schema::{NetworkId, clock};
use tenancy::work::{Work, Works};
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, IsolationLevel};
use uuid::Uuid;

use super::LOCKS;
use super::columns::{CLICKS, Collector, Encoded};
use super::spans::{self, BLOCK_CLICKS, Block};

/// Pause between rounds, and of a node that waits to become the keeper.
const ROUND_INTERVAL: Duration = Duration::from_secs(5);
/// Builds of a network in a round, so that none holds up the others.
const BUILDS_PER_ROUND: usize = 8;

/// Becomes the keeper if no other node is, while the connection lasts. Reading a block takes longer than a click.
const BECOME_KEEPER: &str = "SELECT pg_try_advisory_lock($1)";

/// Quarters of an hour with clicks of a network from a time on, with their number.
const QUARTERS: &str = "SELECT quarter_hour, sum(clicks)::bigint FROM click_rollups
     WHERE network_id = $1 AND quarter_hour >= $2 GROUP BY 1 ORDER BY 1";

const END_OF_BLOCKS: &str = "SELECT max(until_at) FROM click_blocks WHERE network_id = $1";

/// Time of a network's first click.
const FIRST_CLICK: &str = "SELECT clicked_at FROM clicks WHERE network_id = $1 ORDER BY id LIMIT 1";

/// First block of a network whose columns are missing or not exact.
const NEXT_TO_BUILD: &str = "SELECT from_at FROM click_blocks
     WHERE network_id = $1 AND built_late IS DISTINCT FROM late ORDER BY from_at LIMIT 1";

/// Blocks of a network that may become one with the one from `$2` on: a month before it is beyond its own.
const NEIGHBOURS: &str = "SELECT from_at, until_at, clicks, is_sealed FROM click_blocks
     WHERE network_id = $1 AND from_at <= $2 AND from_at > $2 - interval '32 days' ORDER BY from_at";

/// Removes columns that a node which stopped in the middle has left.
const REMOVE_UNUSED: &str = "DELETE FROM click_block_columns c WHERE NOT EXISTS (
         SELECT FROM click_blocks b WHERE b.network_id = c.network_id AND b.build = c.build)";

/// Keeps the blocks of all networks for as long as the process runs. Of many nodes, one does.
pub(crate) async fn keep(url: Arc<str>, works: Works) {
    loop {
        if let Err(error) = keep_until_failure(&url, &works).await {
            works.failed(Work::Blocks, &error);
            tracing::warn!(%error, "blocks of clicks not built; retrying");
        }
        tokio::time::sleep(ROUND_INTERVAL).await;
    }
}

async fn keep_until_failure(url: &str, works: &Works) -> Result<(), BatchError> {
    let mut client = connect_ingest(url).await?;
    let is_keeper: bool = client.query_one(BECOME_KEEPER, &[&LOCKS]).await?.try_get(0)?;
    if !is_keeper {
        return Ok(());
    }
    client.execute(REMOVE_UNUSED, &[]).await?;
    loop {
        let mut built = 0;
        for row in client.query("SELECT id FROM networks", &[]).await? {
            let network = Network(row.try_get(0)?);
            conversions::fill_visits(&client, network.0).await?;
            for _ in 0..BUILDS_PER_ROUND {
                let is_closed = network.close_next(&mut client, clock::now()).await?;
                let is_built = network.build_next(&mut client, url).await?;
                built += u64::from(is_built);
                if !is_closed && !is_built {
                    break;
                }
            }
        }
        works.ran(Work::Blocks, built);
        tokio::time::sleep(ROUND_INTERVAL).await;
    }
}

struct Network(NetworkId);

impl Network {
    /// Closes the next span, if it is due.
    async fn close_next(&self, client: &mut Client, now: DateTime<Utc>) -> Result<bool, BatchError> {
        let end: Option<DateTime<Utc>> = client.query_one(END_OF_BLOCKS, &[&self.0]).await?.try_get(0)?;
        let from_at = match end {
            Some(end) => end,
            None => match client.query_opt(FIRST_CLICK, &[&self.0]).await? {
                Some(row) => clock::quarter_hour(row.try_get(0)?),
                None => return Ok(false),
            },
        };
        let since = clock::quarter_hour(from_at);
        let mut quarters = Vec::new();
        for row in client.query(QUARTERS, &[&self.0, &since]).await? {
            quarters.push((row.try_get(0)?, row.try_get(1)?));
        }
        let Some((until_at, clicks)) = spans::next(from_at, &quarters, now) else {
            return Ok(false);
        };
        let transaction = client.transaction().await?;
        transaction
            .execute(LOCK, &[&(LOCKS + i64::from(self.0.0))])
            .await?;
        transaction
            .execute(
                "INSERT INTO click_blocks (network_id, from_at, until_at, clicks) VALUES ($1, $2, $3, $4)",
                &[&self.0, &from_at, &until_at, &clicks],
            )
            .await?;
        transaction.commit().await?;
        Ok(true)
    }

    /// Builds the next block that needs it, as one with its small neighbours. Returns false if none was built.
    async fn build_next(&self, client: &mut Client, url: &str) -> Result<bool, BatchError> {
        let Some(row) = client.query_opt(NEXT_TO_BUILD, &[&self.0]).await? else {
            return Ok(false);
        };
        let from_at: DateTime<Utc> = row.try_get(0)?;
        let mut blocks = Vec::new();
        for row in client.query(NEIGHBOURS, &[&self.0, &from_at]).await? {
            blocks.push(Block {
                from_at: row.try_get(0)?,
                until_at: row.try_get(1)?,
                clicks: row.try_get(2)?,
                is_sealed: row.try_get(3)?,
            });
        }
        let Some(last) = blocks.len().checked_sub(1) else {
            return Ok(false);
        };
        let merged = spans::merged(&blocks, last);
        let merged = blocks.get(merged).unwrap_or_default();
        let late = self.late(client, merged).await?;
        let encoded = self.encoded(client, merged).await?;
        let build: Uuid = client
            .query_one("SELECT gen_random_uuid()", &[])
            .await?
            .try_get(0)?;
        // Closed after the build: a connection keeps memory for its largest message, and a column can have 16 MiB.
        let storing = connect_ingest(url).await?;
        for (name, data) in &encoded.columns {
            storing
                .execute(
                    "INSERT INTO click_block_columns (network_id, build, name, data) VALUES ($1, $2, $3, $4)",
                    &[&self.0, &build, name, data],
                )
                .await?;
        }
        drop(storing);
        let is_replaced = self.replace(client, merged, &late, build, &encoded).await?;
        if !is_replaced {
            client
                .execute(
                    "DELETE FROM click_block_columns WHERE network_id = $1 AND build = $2",
                    &[&self.0, &build],
                )
                .await?;
        }
        Ok(is_replaced)
    }

    /// Counts of late transactions of these blocks, before their clicks are read: a click that comes later counts again.
    async fn late(&self, client: &Client, blocks: &[Block]) -> Result<Vec<i32>, BatchError> {
        let starts: Vec<_> = blocks.iter().map(|block| block.from_at).collect();
        let rows = client
            .query(
                "SELECT late FROM click_blocks WHERE network_id = $1 AND from_at = ANY ($2) ORDER BY from_at",
                &[&self.0, &starts],
            )
            .await?;
        rows.iter().map(|row| Ok(row.try_get(0)?)).collect()
    }

    async fn encoded(&self, client: &mut Client, blocks: &[Block]) -> Result<Encoded, BatchError> {
        let (Some(first), Some(last)) = (blocks.first(), blocks.last()) else {
            return Err(BatchError::Invalid("a build without blocks".to_owned()));
        };
        let transaction = client
            .build_transaction()
            .isolation_level(IsolationLevel::RepeatableRead)
            .read_only(true)
            .start()
            .await?;
        let span: [&(dyn ToSql + Sync); 3] = [&self.0, &first.from_at, &last.until_at];
        let mut rows = pin!(transaction.query_raw(CLICKS, span).await?);
        let mut collector = Collector::default();
        while let Some(row) = rows.try_next().await? {
            let numbers: Vec<Option<i32>> = row.try_get(0)?;
            let texts: Vec<Option<&str>> = row.try_get(1)?;
            collector.add(&numbers, &texts);
        }
        transaction.commit().await?;
        tokio::task::spawn_blocking(move || collector.encode())
            .await
            .map_err(|error| BatchError::Invalid(format!("the columns were not encoded: {error}")))
    }

    /// Replaces these blocks by one with the columns of a build. Returns false if one of them got late clicks meanwhile.
    async fn replace(
        &self,
        client: &mut Client,
        blocks: &[Block],
        late: &[i32],
        build: Uuid,
        encoded: &Encoded,
    ) -> Result<bool, BatchError> {
        let (Some(first), Some(last)) = (blocks.first(), blocks.last()) else {
            return Ok(false);
        };
        let starts: Vec<_> = blocks.iter().map(|block| block.from_at).collect();
        let transaction = client.transaction().await?;
        transaction
            .execute(LOCK, &[&(LOCKS + i64::from(self.0.0))])
            .await?;
        let removed = transaction
            .query(
                "DELETE FROM click_blocks b USING unnest($2::timestamptz[], $3::integer[]) AS k(from_at, late)
                 WHERE b.network_id = $1 AND b.from_at = k.from_at AND b.late = k.late RETURNING b.build",
                &[&self.0, &starts, &late],
            )
            .await?;
        if removed.len() != blocks.len() {
            transaction.rollback().await?;
            return Ok(false);
        }
        let builds: Vec<Option<Uuid>> = removed
            .iter()
            .map(|row| row.try_get(0))
            .collect::<Result<_, _>>()?;
        transaction
            .execute(
                "DELETE FROM click_block_columns WHERE network_id = $1 AND build = ANY ($2)",
                &[&self.0, &builds],
            )
            .await?;
        let sums = encoded.sums;
        transaction
            .execute(
                "INSERT INTO click_blocks (network_id, from_at, until_at, build, built_late, clicks, unique_clicks,
                                           invalid_clicks)
                 VALUES ($1, $2, $3, $4, 0, $5, $6, $7)",
                &[
                    &self.0,
                    &first.from_at,
                    &last.until_at,
                    &build,
                    &sums.clicks,
                    &sums.unique,
                    &sums.invalid,
                ],
            )
            .await?;
        transaction.commit().await?;
        tracing::debug!(network = %self.0, from_at = %first.from_at, until_at = %last.until_at, clicks = sums.clicks,
                        "block of clicks built");
        Ok(true)
    }
}

/// Waits for the appliers that store clicks of a network, and keeps others from beginning.
const LOCK: &str = "SELECT pg_advisory_xact_lock($1)";

const _: () = assert!(BLOCK_CLICKS < 1 << 24, "a column has at most 2^24 rows");
