//! Proof that blocks contain their clicks: the same clicks, encoded again, give the same bytes.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Binary, Integer, Nullable, Text, Timestamptz, Uuid as SqlUuid};
use diesel_async::RunQueryDsl;
use futures_util::TryStreamExt as _;
use schema::NetworkConn;
use uuid::Uuid;

use super::columns::{CLICKS, Collector, Sums};

/// Result of a proof.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BlockProof {
    /// Number of blocks with exact columns whose clicks are kept.
    pub blocks: i64,
    /// Blocks that do not contain their clicks, each with its span.
    pub differing: Vec<String>,
}

#[derive(QueryableByName)]
struct Claimed {
    #[diesel(sql_type = Timestamptz)]
    from_at: DateTime<Utc>,
    #[diesel(sql_type = Timestamptz)]
    until_at: DateTime<Utc>,
    #[diesel(sql_type = SqlUuid)]
    build: Uuid,
    #[diesel(sql_type = BigInt)]
    clicks: i64,
    #[diesel(sql_type = BigInt)]
    unique_clicks: i64,
    #[diesel(sql_type = BigInt)]
    invalid_clicks: i64,
}

#[derive(QueryableByName)]
struct Click {
    #[diesel(sql_type = Array<Nullable<Integer>>)]
    numbers: Vec<Option<i32>>,
    #[diesel(sql_type = Array<Nullable<Text>>)]
    texts: Vec<Option<String>>,
}

#[derive(QueryableByName)]
struct Stored {
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = Binary)]
    data: Vec<u8>,
}

/// Encodes the clicks of every block that overlaps a period again, and compares.
///
/// # Errors
/// Returns an error if the database fails.
pub async fn prove(
    conn: &mut NetworkConn,
    from: DateTime<Utc>,
    to: DateTime<Utc>,
) -> QueryResult<BlockProof> {
    let claimed: Vec<Claimed> = diesel::sql_query(
        "SELECT from_at, until_at, build, clicks, unique_clicks, invalid_clicks FROM click_blocks
         WHERE network_id = $1 AND until_at > $2 AND from_at < $3 AND built_late = late AND NOT is_sealed ORDER BY from_at",
    )
    .bind::<Integer, _>(conn.network_id())
    .bind::<Timestamptz, _>(from)
    .bind::<Timestamptz, _>(to)
    .load(&mut **conn)
    .await?;
    let mut proof = BlockProof::default();
    for block in claimed {
        proof.blocks += 1;
        if !contains_its_clicks(conn, &block).await? {
            proof
                .differing
                .push(format!("{} to {}", block.from_at, block.until_at));
        }
    }
    Ok(proof)
}

async fn contains_its_clicks(conn: &mut NetworkConn, block: &Claimed) -> QueryResult<bool> {
    let network_id = conn.network_id();
    let mut collector = Collector::default();
    let clicks = diesel::sql_query(CLICKS)
        .bind::<Integer, _>(network_id)
        .bind::<Timestamptz, _>(block.from_at)
        .bind::<Timestamptz, _>(block.until_at)
        .load_stream::<Click>(&mut **conn)
        .await?;
    clicks
        .try_for_each(|click| {
            collector.add(&click.numbers, &click.texts);
            std::future::ready(Ok(()))
        })
        .await?;
    let encoded = collector.encode();
    let sums = Sums {
        clicks: block.clicks,
        unique: block.unique_clicks,
        invalid: block.invalid_clicks,
    };
    let stored: Vec<Stored> =
        diesel::sql_query("SELECT name, data FROM click_block_columns WHERE network_id = $1 AND build = $2")
            .bind::<Integer, _>(network_id)
            .bind::<SqlUuid, _>(block.build)
            .load(&mut **conn)
            .await?;
    let is_equal = |stored: &Stored| {
        let mut columns = encoded.columns.iter();
        columns.any(|(name, data)| stored.name == *name && stored.data == *data)
    };
    Ok(encoded.sums == sums && stored.len() == encoded.columns.len() && stored.iter().all(is_equal))
}
