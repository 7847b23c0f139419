//! Clicks of a journal into their months, and into the sums.

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use campaigns::Routing;
use chrono::{DateTime, Datelike, Utc};
use futures_util::SinkExt;
use schema::NetworkId;
use tokio_postgres::{Client, Statement, Transaction};

use super::{ApplyError, Load, Record};
use crate::click_record::{COLUMNS, ClickRecord};

/// What a `COPY … BINARY` begins and ends with.
const COPY_HEADER: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
const COPY_TRAILER: &[u8] = &[0xff, 0xff];

const ADD_SUMS: &str =
    "INSERT INTO click_rollups (network_id, hour, campaign_id, affiliate_id, link_id, clicks, unique_clicks, invalid_clicks)
     SELECT * FROM unnest($1::int[], $2::timestamptz[], $3::int[], $4::int[], $5::int[], $6::bigint[], $7::bigint[], $8::bigint[])
     ON CONFLICT (network_id, hour, campaign_id, affiliate_id, link_id) DO UPDATE
     SET clicks = click_rollups.clicks + EXCLUDED.clicks,
         unique_clicks = click_rollups.unique_clicks + EXCLUDED.unique_clicks,
         invalid_clicks = click_rollups.invalid_clicks + EXCLUDED.invalid_clicks";

/// A month of clicks: its year and its number.
type Month = (i32, u32);

/// Stores clicks.
pub(crate) struct ClickLoad {
    routing: Routing,
    /// The months that are known to have their partition.
    months: Mutex<Vec<Month>>,
}

impl ClickLoad {
    pub(crate) fn new(routing: Routing) -> Self {
        Self {
            routing,
            months: Mutex::default(),
        }
    }

    /// Those of these clicks' networks that are gone: nobody can look at their clicks any more.
    async fn gone(&self, records: &[Record<'_>]) -> Result<Vec<NetworkId>, ApplyError> {
        let mut networks: Vec<_> = records
            .iter()
            .filter_map(|record| Self::network(record.bytes))
            .collect();
        networks.sort_unstable();
        networks.dedup();
        let mut gone = Vec::new();
        for id in networks {
            if self.routing.network_of_id(id).await?.is_none() {
                tracing::warn!(%id, "this network is gone; its clicks are left out");
                gone.push(id);
            }
        }
        Ok(gone)
    }
}

impl Load for ClickLoad {
    const STREAM: &'static str = "clicks";
    // Postgres may lose its last commits in a crash: cursor and rows go together, and the journal has them.
    const SYNCHRONOUS: bool = false;
    const BATCH: usize = 20_000;
    // A transaction costs as much as a hundred clicks.
    const COLLECT: Duration = Duration::from_millis(100);
    type Prepared = Statement;
    type Done = ();

    fn network(record: &[u8]) -> Option<NetworkId> {
        ClickRecord::read(record).map(|click| click.network_id)
    }

    async fn prepare(&self, client: &Client) -> Result<Statement, ApplyError> {
        // A month that was dropped meanwhile has to be made again.
        self.months.lock().unwrap_or_else(PoisonError::into_inner).clear();
        Ok(client.prepare(ADD_SUMS).await?)
    }

    async fn make_room(&self, client: &Client, records: &[Record<'_>]) -> Result<(), ApplyError> {
        let mut missing: Vec<(Month, DateTime<Utc>)> = Vec::new();
        {
            let known = self.months.lock().unwrap_or_else(PoisonError::into_inner);
            for click in records
                .iter()
                .filter_map(|record| ClickRecord::read(record.bytes))
            {
                let at = moment(&click)?;
                if !known.contains(&month(at)) && !missing.iter().any(|(of, _)| *of == month(at)) {
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
        transaction: &Transaction<'_>,
        add_sums: &Statement,
        records: &[Record<'_>],
    ) -> Result<(), ApplyError> {
        let gone = self.gone(records).await?;
        let mut copies: BTreeMap<Month, BytesMut> = BTreeMap::new();
        let mut sums = Sums::new();
        for record in records {
            let click = ClickRecord::read(record.bytes)
                .ok_or_else(|| ApplyError::Poison("this is no click of a format we know".to_owned()))?;
            if gone.contains(&click.network_id) {
                continue;
            }
            let rows = copies
                .entry(month(moment(&click)?))
                .or_insert_with(|| BytesMut::from(COPY_HEADER));
            rows.put_slice(click.row);
            add(&mut sums, &click);
        }
        for ((year, month), mut rows) in copies {
            rows.put_slice(COPY_TRAILER);
            copy(transaction, year, month, rows.freeze()).await?;
        }
        add_to_sums(transaction, add_sums, &sums).await
    }

    fn committed(&self, (): ()) {}
}

fn moment(click: &ClickRecord<'_>) -> Result<DateTime<Utc>, ApplyError> {
    // The month is that of the key, which is cut to milliseconds.
    DateTime::from_timestamp_millis(click.clicked_at.div_euclid(1000))
        .filter(|at| (1970..=9999).contains(&at.year()))
        .ok_or_else(|| ApplyError::Poison("this click is of no time there is".to_owned()))
}

fn month(at: DateTime<Utc>) -> Month {
    (at.year(), at.month())
}

/// Into the month itself: nothing has to find out which it is, and no policy stands in the way of COPY there.
async fn copy(transaction: &Transaction<'_>, year: i32, month: u32, rows: Bytes) -> Result<(), ApplyError> {
    let statement = format!("COPY clicks_by_month.y{year:04}m{month:02} ({COLUMNS}) FROM STDIN BINARY");
    let mut sink = pin!(transaction.copy_in::<_, Bytes>(&*statement).await?);
    sink.send(rows).await?;
    sink.finish().await?;
    Ok(())
}

/// Sums by network, hour, campaign, affiliate and link. Sorted, so that two nodes lock the rows in the same order.
type Sums = BTreeMap<(i32, i64, i32, i32, i32), [i64; 3]>;

fn add(sums: &mut Sums, click: &ClickRecord<'_>) {
    let key = (
        click.network_id.0,
        click.hour,
        click.campaign_id.0,
        click.affiliate_id.0,
        click.link_id.0,
    );
    let [clicks, unique, invalid] = sums.entry(key).or_default();
    *clicks += 1;
    *unique += i64::from(click.is_unique);
    *invalid += i64::from(click.is_flagged);
}

async fn add_to_sums(
    transaction: &Transaction<'_>,
    statement: &Statement,
    sums: &Sums,
) -> Result<(), ApplyError> {
    let hours: Vec<_> = sums
        .keys()
        .map(|key| DateTime::from_timestamp_micros(key.1).unwrap_or_default())
        .collect();
    let column = |of: fn(&(i32, i64, i32, i32, i32)) -> i32| sums.keys().map(of).collect::<Vec<_>>();
    let figure = |of: fn(&[i64; 3]) -> i64| sums.values().map(of).collect::<Vec<_>>();
    transaction
        .execute(
            statement,
            &[
                &column(|key| key.0),
                &hours,
                &column(|key| key.2),
                &column(|key| key.3),
                &column(|key| key.4),
                &figure(|[clicks, _, _]| *clicks),
                &figure(|[_, unique, _]| *unique),
                &figure(|[_, _, invalid]| *invalid),
            ],
        )
        .await?;
    Ok(())
}
