//! Replays: stored postbacks decided again under the current configuration, for real or as a dry run.
//!
//! A request adds rows; the sweep of a node, or a [`Decider`] on the command line, decides them like new postbacks
//! (`crate::deciding`), a dry run in a transaction that is rolled back. An accepted postback is never replayed: its
//! conversion stands.

use std::time::{Duration, Instant};

use campaigns::{ClickIds, Routing};
use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Bool, Integer, Nullable, Text, Timestamptz, Uuid as SqlUuid};
use diesel_async::RunQueryDsl;
use schema::{
    AdvertiserId, Changes, ConversionId, Currency, Db, DbError, Money, NetworkConn, NetworkId, Opening,
    PostbackId, replays,
};
use serde_json::json;
use tenancy::audit::{self, Change};
use tenancy::{Author, Secret};
use uuid::Uuid;

use crate::authenticate::Authenticator;
use crate::deciding::Replayer;

/// Maximum number of postbacks in a batch of replays.
pub const BATCH_LIMIT: i64 = 10_000;

/// Replay as stored.
#[derive(Debug, Clone, HasQuery)]
#[diesel(table_name = replays)]
pub struct Replay {
    /// Postback.
    pub postback_id: PostbackId,
    /// Time of the request.
    pub requested_at: DateTime<Utc>,
    /// Name of the requester.
    pub requested_by: String,
    /// True for a dry run.
    pub is_dry: bool,
    /// Time of the decision; `None` while it is pending.
    pub done_at: Option<DateTime<Utc>>,
    /// Reason of the postback before.
    pub reason_before: String,
    /// Reason that it has or would have; `None` if it was not replayed.
    pub reason: Option<String>,
    /// Result, in a sentence.
    pub message: Option<String>,
    /// Conversion that it makes or concerns.
    pub conversion_id: Option<ConversionId>,
    /// Commission of a conversion that it makes, in micro-units.
    pub commission_micros: Option<i64>,
    /// Revenue of that conversion, in micro-units.
    pub revenue_micros: Option<i64>,
    /// Currency of both.
    pub currency: Option<Currency>,
}

impl Replay {
    /// True if the reason of the postback changes.
    #[must_use]
    pub fn changes(&self) -> bool {
        let now = self.reason.as_ref();
        now.is_some_and(|reason| *reason != self.reason_before)
    }

    /// Commission of a conversion that it makes.
    #[must_use]
    pub fn commission(&self) -> Option<Money> {
        let (micros, currency) = (self.commission_micros?, self.currency?);
        Some(Money { micros, currency })
    }

    /// Revenue of a conversion that it makes.
    #[must_use]
    pub fn revenue(&self) -> Option<Money> {
        let (micros, currency) = (self.revenue_micros?, self.currency?);
        Some(Money { micros, currency })
    }
}

/// Filter of the rejected postbacks to replay.
#[derive(Debug, Clone, Default)]
pub struct ReplayFilter {
    /// Receipts; all if empty.
    pub ids: Vec<PostbackId>,
    /// Code of the reason.
    pub reason: Option<String>,
    /// Advertiser.
    pub advertiser_id: Option<AdvertiserId>,
    /// Earliest arrival.
    pub since: Option<DateTime<Utc>>,
}

/// Requests a replay of the rejected postbacks that match, oldest first, at most [`BATCH_LIMIT`]. Returns the batch and its
/// size.
///
/// # Errors
/// Returns an error if the database fails.
pub async fn request(
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
        "INSERT INTO replays (network_id, id, batch, postback_id, requested_at, requested_by, is_dry, reason_before)
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
    .bind::<BigInt, _>(BATCH_LIMIT)
    .execute(&mut **conn)
    .await?;
    if asked > 0 && !is_dry {
        let after = json!({ "postbacks": asked, "reason": filter.reason });
        let change = Change::created("postback.replay", batch, "replay", after);
        audit::record(conn, author, change, now).await?;
    }
    Ok((batch, asked))
}

/// Replays of a batch, those that change something first: at most `limit`.
///
/// # Errors
/// Returns an error if the database fails.
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

/// Interval at which a decider checks for replays that a node has taken.
const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// Reason why a batch was not decided. It stays requested: a node or the next decider decides it.
#[derive(Debug, thiserror::Error)]
pub enum DecideError {
    /// The database failed.
    #[error(transparent)]
    Db(#[from] DbError),
    /// Deciding failed.
    #[error("{0}")]
    Failed(String),
    /// A node has taken some of it, and was not finished in time.
    #[error("{0} of the postbacks are still being decided by a running node")]
    Taken(usize),
}

/// Decides replays on the command line, beside running nodes or without any: each skips postbacks that another has
/// locked.
pub struct Decider {
    replayer: Replayer,
    db: Db,
}

impl Decider {
    /// Connects to a database whose click IDs are signed with this secret.
    ///
    /// # Errors
    /// Returns an error if the database cannot be reached.
    pub async fn connect(db: Db, database_url: &str, secret: Secret) -> Result<Self, DecideError> {
        let routing = Routing::new(db.clone(), Changes::listen(&Opening::default(), database_url));
        let authenticator = Authenticator::new(routing, ClickIds::new(secret.clone()), secret);
        let replayer = Replayer::connect(database_url, authenticator).await;
        let replayer = replayer.map_err(|error| DecideError::Failed(error.to_string()))?;
        Ok(Self { replayer, db })
    }

    /// Decides requested replays until all of this batch are decided, and returns them as [`of_batch`] does. Waits for
    /// replays that a node has taken, for `timeout` at most.
    ///
    /// # Errors
    /// [`DecideError`].
    pub async fn decide(
        &mut self,
        network_id: NetworkId,
        batch: Uuid,
        timeout: Duration,
    ) -> Result<Vec<Replay>, DecideError> {
        let began = Instant::now();
        loop {
            let decided = self.replayer.decide().await;
            decided.map_err(|error| DecideError::Failed(error.to_string()))?;
            let mut conn = self.db.network(network_id).await?;
            let found = of_batch(&mut conn, batch, BATCH_LIMIT)
                .await
                .map_err(DbError::from)?;
            conn.commit().await?;
            let waiting = found.iter().filter(|replay| replay.done_at.is_none()).count();
            match waiting {
                0 => return Ok(found),
                _ if began.elapsed() > timeout => return Err(DecideError::Taken(waiting)),
                _ => tokio::time::sleep(POLL_INTERVAL).await,
            }
        }
    }
}
