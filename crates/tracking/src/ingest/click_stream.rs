//! Clicks of a journal, into their monthly partitions and the rollups.

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use campaigns::Routing;
use chrono::{DateTime, Datelike, Utc};
use futures_util::SinkExt;
use schema::batch::{BatchError, Prepared, Row, Tx};
use schema::{AffiliateId, CampaignId, LinkId, NetworkId, clock};
use tokio_postgres::Client;
use uuid::Uuid;

use super::error::ApplyError;
use super::stream::{Record, Stream};
use crate::blocks::Arrivals;
use crate::click_record::{COLUMNS, ClickRecord};

/// Header and trailer of a `COPY … BINARY`.
const COPY_HEADER: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
const COPY_TRAILER: &[u8] = &[0xff, 0xff];

schema::row! {
    struct RollupMove() {
        network_id: NetworkId,
        quarter_hour: DateTime<Utc>,
        campaign_id: CampaignId,
        affiliate_id: AffiliateId,
        link_id: LinkId,
        clicks: i64,
        unique_clicks: i64,
        invalid_clicks: i64,
    }
}

static UPSERT: LazyLock<String> = LazyLock::new(|| {
    format!(
        "{} ON CONFLICT (network_id, quarter_hour, campaign_id, affiliate_id, link_id) DO UPDATE
         SET clicks = click_rollups.clicks + EXCLUDED.clicks,
             unique_clicks = click_rollups.unique_clicks + EXCLUDED.unique_clicks,
             invalid_clicks = click_rollups.invalid_clicks + EXCLUDED.invalid_clicks",
        RollupMove::insert_into("click_rollups")
    )
});

/// Month of clicks: year and number.
type Month = (i32, u32);

/// Stream of clicks.
pub(crate) struct ClickStream {
    routing: Routing,
    /// Months that have a partition.
    months: Mutex<Vec<Month>>,
}

impl ClickStream {
    pub(crate) fn new(routing: Routing) -> Self {
        Self {
            routing,
            months: Mutex::default(),
        }
    }

    /// Deleted networks of these clicks; no user can see their clicks.
    async fn deleted(&self, records: &[Record<'_>]) -> Result<Vec<NetworkId>, ApplyError> {
        let mut networks: Vec<_> = records
            .iter()
            .filter_map(|record| Self::identity(record.bytes).map(|(network, _)| network))
            .collect();
        networks.sort_unstable();
        networks.dedup();
        let mut deleted = Vec::new();
        for id in networks {
            if self.routing.network_of_id(id).await?.is_none() {
                tracing::warn!(%id, "network deleted; its clicks are skipped");
                deleted.push(id);
            }
        }
        Ok(deleted)
    }
}

impl Stream for ClickStream {
    const NAME: &'static str = "clicks";
    // Postgres may lose its last commits in a crash: cursor and rows are lost together, and the journal has them.
    const SYNCHRONOUS: bool = false;
    const BATCH: usize = 20_000;
    // A transaction costs as much as a hundred clicks.
    const PACE: Duration = Duration::from_millis(100);
    type Receipts = ();

    fn identity(record: &[u8]) -> Option<(NetworkId, Uuid)> {
        let click = ClickRecord::read(record)?;
        Some((click.network_id, click.key()?))
    }

    async fn connected(&self, _: &Client, _: &str) -> Result<(), ApplyError> {
        // A month may have been dropped meanwhile.
        self.months.lock().unwrap_or_else(PoisonError::into_inner).clear();
        Ok(())
    }

    async fn ensure_partitions(&self, client: &Client, records: &[Record<'_>]) -> Result<(), ApplyError> {
        let mut missing: Vec<(Month, DateTime<Utc>)> = Vec::new();
        {
            let known = self.months.lock().unwrap_or_else(PoisonError::into_inner);
            for click in records
                .iter()
                .filter_map(|record| ClickRecord::read(record.bytes))
            {
                let at = time(&click)?;
                if !known.contains(&month(at)) && !missing.iter().any(|(known, _)| *known == month(at)) {
                    missing.push((month(at), at));
                }
            }
        }
        for (month, at) in missing {
            client.execute("SELECT make_click_month($1)", &[&at]).await?;
            self.months
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(month);
        }
        Ok(())
    }

    async fn store(
        &self,
        client: &Client,
        prepared: &Prepared,
        records: &[Record<'_>],
    ) -> Result<(), ApplyError> {
        let deleted = self.deleted(records).await?;
        let mut rows_by_month: BTreeMap<Month, BytesMut> = BTreeMap::new();
        let mut sums = Sums::new();
        let mut arrivals = Arrivals::default();
        for record in records {
            let click = ClickRecord::read(record.bytes)
                .ok_or_else(|| BatchError::Invalid("a click of an unknown format".to_owned()))?;
            if deleted.contains(&click.network_id) {
                continue;
            }
            let at = time(&click)?;
            arrivals.add(click.network_id, at);
            let rows = rows_by_month
                .entry(month(at))
                .or_insert_with(|| BytesMut::from(COPY_HEADER));
            click.put_row(rows);
            add(&mut sums, &click, clock::quarter_hour(at));
        }
        let tx = Tx::new(client, prepared);
        arrivals.announce(tx).await?;
        for ((year, month), mut rows) in rows_by_month {
            rows.put_slice(COPY_TRAILER);
            copy(client, year, month, rows.freeze()).await?;
        }
        add_to_rollups(tx, &sums).await
    }

    async fn record_answers(&self, (): &mut ()) {}

    fn committed(&self, (): ()) {}
}

fn time(click: &ClickRecord<'_>) -> Result<DateTime<Utc>, BatchError> {
    // In milliseconds, like the key, so that both have the same month.
    DateTime::from_timestamp_millis(click.clicked_at.div_euclid(1000))
        .filter(|at| (1970..=9999).contains(&at.year()))
        .ok_or_else(|| BatchError::Invalid("a click at an impossible time".to_owned()))
}

fn month(at: DateTime<Utc>) -> Month {
    (at.year(), at.month())
}

/// Copies into the partition itself: no routing is needed, and it has no policy, which COPY does not support.
async fn copy(client: &Client, year: i32, month: u32, rows: Bytes) -> Result<(), ApplyError> {
    let statement = format!("COPY clicks_by_month.y{year:04}m{month:02} ({COLUMNS}) FROM STDIN BINARY");
    let mut sink = pin!(client.copy_in::<_, Bytes>(&*statement).await?);
    sink.send(rows).await?;
    sink.finish().await?;
    Ok(())
}

/// Number of clicks, unique clicks and invalid clicks by network, quarter of an hour, campaign, affiliate and link. Sorted, so
/// that two nodes lock the rows in the same order.
type Sums = BTreeMap<(NetworkId, DateTime<Utc>, CampaignId, AffiliateId, LinkId), [i64; 3]>;

fn add(sums: &mut Sums, click: &ClickRecord<'_>, quarter_hour: DateTime<Utc>) {
    let key = (
        click.network_id,
        quarter_hour,
        click.campaign_id,
        click.affiliate_id,
        click.link_id,
    );
    let [clicks, unique, invalid] = sums.entry(key).or_default();
    *clicks += 1;
    *unique += i64::from(click.is_unique);
    *invalid += i64::from(click.is_flagged);
}

async fn add_to_rollups(tx: Tx<'_>, sums: &Sums) -> Result<(), ApplyError> {
    let mut rows = Vec::with_capacity(sums.len());
    for ((network_id, quarter_hour, campaign_id, affiliate_id, link_id), [clicks, unique, invalid]) in sums {
        rows.push(RollupMove {
            network_id: *network_id,
            quarter_hour: *quarter_hour,
            campaign_id: *campaign_id,
            affiliate_id: *affiliate_id,
            link_id: *link_id,
            clicks: *clicks,
            unique_clicks: *unique,
            invalid_clicks: *invalid,
        });
    }
    tx.execute_batch(&UPSERT, &rows).await?;
    Ok(())
}
