//! Replays: postbacks decided once more under today's configuration, for real or to see what would change.
//!
//! Whoever asks adds rows; the sweep of a node decides them with the very code that decides new postbacks
//! (`ingest/replaying.rs`), a dry run in a transaction that is rolled back. An accepted postback is never replayed: what
//! it made stands.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Bool, Integer, Nullable, Text, Timestamptz, Uuid as SqlUuid};
use diesel_async::RunQueryDsl;
use schema::{AdvertiserId, ConversionId, Currency, Money, NetworkConn, PostbackId, replays};
use serde_json::json;
use tenancy::Author;
use tenancy::audit::{self, Change};
use uuid::Uuid;

/// Most postbacks replayed at once.
pub const MOST: i64 = 10_000;

/// A replay as stored.
#[derive(Debug, Clone, HasQuery)]
#[diesel(table_name = replays)]
pub struct Replay {
    /// The postback.
    pub postback_id: PostbackId,
    /// When it was asked for.
    pub asked_at: DateTime<Utc>,
    /// By whom, in words.
    pub asked_by: String,
    /// Whether nothing is changed.
    pub is_dry: bool,
    /// When it was decided.
    pub done_at: Option<DateTime<Utc>>,
    /// The reason the postback had.
    pub reason_before: String,
    /// The reason it has or would have.
    pub reason: Option<String>,
    /// What happened, or would happen.
    pub message: Option<String>,
    /// The conversion it makes or is about.
    pub conversion_id: Option<ConversionId>,
    /// What the affiliate earns by a conversion that it makes.
    pub commission_micros: Option<i64>,
    /// What the advertiser owes for it.
    pub revenue_micros: Option<i64>,
    /// Of both.
    pub currency: Option<Currency>,
}

impl Replay {
    /// Whether the postback has, or would have, another reason now.
    #[must_use]
    pub fn changes(&self) -> bool {
        let now = self.reason.as_ref();
        now.is_some_and(|reason| *reason != self.reason_before)
    }

    /// What the affiliate earns by a conversion that it makes.
    #[must_use]
    pub fn commission(&self) -> Option<Money> {
        let (micros, currency) = (self.commission_micros?, self.currency?);
        Some(Money { micros, currency })
    }
}

/// Which rejected postbacks are to be replayed.
#[derive(Debug, Clone, Default)]
pub struct ReplayFilter {
    /// Only these; all if empty.
    pub ids: Vec<PostbackId>,
    /// Only with this reason.
    pub reason: Option<String>,
    /// Only of this advertiser.
    pub advertiser_id: Option<AdvertiserId>,
    /// Only those that came since.
    pub since: Option<DateTime<Utc>>,
}

/// Asks for the rejected postbacks that fit to be decided once more, at most [`MOST`] of them, oldest first. Returns the
/// batch, and how many they are.
///
/// # Errors
/// When the database fails.
pub async fn ask(
    conn: &mut NetworkConn,
    author: &Author,
    filter: &ReplayFilter,
    is_dry: bool,
    now: DateTime<Utc>,
) -> QueryResult<(Uuid, usize)> {
    let batch = PostbackId::fresh(now).0;
    let network_id = conn.network_id();
    let ids: Option<Vec<Uuid>> = (!filter.ids.is_empty()).then(|| filter.ids.iter().map(|id| id.0).collect());
    let asked = diesel::sql_query(
        "INSERT INTO replays (network_id, id, batch, postback_id, asked_at, asked_by, is_dry, reason_before)
         SELECT network_id, gen_random_uuid(), $2, id, $3, $4, $5, reason FROM postbacks
         WHERE network_id = $1 AND status = 'rejected' AND ($6 IS NULL OR id = ANY ($6)) AND ($7 IS NULL OR reason = $7)
           AND ($8 IS NULL OR advertiser_id = $8) AND ($9 IS NULL OR received_at >= $9)
         ORDER BY id LIMIT $10",
    )
    .bind::<Integer, _>(network_id.0)
    .bind::<SqlUuid, _>(batch)
    .bind::<Timestamptz, _>(now)
    .bind::<Text, _>(&author.name)
    .bind::<Bool, _>(is_dry)
    .bind::<Nullable<Array<SqlUuid>>, _>(ids)
    .bind::<Nullable<Text>, _>(filter.reason.as_deref())
    .bind::<Nullable<Integer>, _>(filter.advertiser_id.map(|id| id.0))
    .bind::<Nullable<Timestamptz>, _>(filter.since)
    .bind::<BigInt, _>(MOST)
    .execute(&mut **conn)
    .await?;
    if asked > 0 && !is_dry {
        let after = json!({ "postbacks": asked, "reason": filter.reason });
        let change = Change::created("postback.replay", batch, "replay", after);
        audit::record(conn, author, change, now).await?;
    }
    Ok((batch, asked))
}

/// The replays of a batch, those that change something first: at most `limit`.
///
/// # Errors
/// When the database fails.
pub async fn of_batch(conn: &mut NetworkConn, batch: Uuid, limit: i64) -> QueryResult<Vec<Replay>> {
    let network_id = conn.network_id();
    Replay::query()
        .filter(replays::network_id.eq(network_id).and(replays::batch.eq(batch)))
        .order((
            replays::done_at.is_null(),
            replays::reason.eq(replays::reason_before.nullable()),
            replays::postback_id,
        ))
        .limit(limit)
        .load(&mut **conn)
        .await
}
