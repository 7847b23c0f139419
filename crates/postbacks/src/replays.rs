//! Replays: postbacks decided once more under today's configuration, for real or to see what would change.
//!
//! Whoever asks adds rows; the sweep of a node, or a [`Decider`] on the command line, decides them with the very code that
//! decides new postbacks (`ingest/replaying.rs`), a dry run in a transaction that is rolled back. An accepted postback is
//! never replayed: what it made stands.

use std::time::{Duration, Instant};

use campaigns::Routing;
use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Bool, Integer, Nullable, Text, Timestamptz, Uuid as SqlUuid};
use diesel_async::RunQueryDsl;
use schema::{
    AdvertiserId, Changes, ConversionId, Currency, Db, DbError, Money, NetworkConn, NetworkId, PostbackId,
    replays,
};
use serde_json::json;
use tenancy::audit::{self, Change};
use tenancy::{Author, Secret};
use uuid::Uuid;

use crate::click_id::ClickIds;
use crate::ingest::Replaying;
use crate::judge::Judge;

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

    /// What the advertiser owes for it.
    #[must_use]
    pub fn revenue(&self) -> Option<Money> {
        let (micros, currency) = (self.revenue_micros?, self.currency?);
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

/// How often a decider asks whether another one is done with what it has taken up.
const AGAIN: Duration = Duration::from_millis(100);

/// Why a batch was not decided. It stays asked for: whoever decides next, a node that serves or another decider, does so.
#[derive(Debug, thiserror::Error)]
pub enum DecideError {
    /// The database failed.
    #[error(transparent)]
    Db(#[from] DbError),
    /// Deciding failed.
    #[error("{0}")]
    Failed(String),
    /// Another decider has taken some of it up, and is not done in time.
    #[error("{0} of the postbacks are being decided by a node that serves, and it is not done with them yet")]
    TakenUp(usize),
}

/// Decides replays without being a node that serves, beside one or where there is none: each decider skips what another
/// one looks at.
pub struct Decider {
    replaying: Replaying,
    db: Db,
}

impl Decider {
    /// A decider with a connection of its own to this database, whose click ids were signed with this secret.
    ///
    /// # Errors
    /// When the database cannot be reached.
    pub async fn connect(db: Db, database_url: &str, secret: Secret) -> Result<Self, DecideError> {
        let judge = Judge {
            routing: Routing::new(db.clone(), Changes::listen(database_url)),
            click_ids: ClickIds::new(secret.clone()),
            secret,
        };
        let replaying = Replaying::connect(database_url, judge).await;
        let replaying = replaying.map_err(|error| DecideError::Failed(error.to_string()))?;
        Ok(Self { replaying, db })
    }

    /// Decides what is asked for until all of this batch is decided, and returns it as [`of_batch`] does. What a node has
    /// taken up is waited for, for `patience` at most.
    ///
    /// # Errors
    /// [`DecideError`].
    pub async fn decide(
        &mut self,
        network_id: NetworkId,
        batch: Uuid,
        patience: Duration,
    ) -> Result<Vec<Replay>, DecideError> {
        let began = Instant::now();
        loop {
            let decided = self.replaying.decide().await;
            decided.map_err(|error| DecideError::Failed(error.to_string()))?;
            let mut conn = self.db.network(network_id).await?;
            let found = of_batch(&mut conn, batch, MOST).await.map_err(DbError::from)?;
            conn.commit().await?;
            let waiting = found.iter().filter(|replay| replay.done_at.is_none()).count();
            match waiting {
                0 => return Ok(found),
                _ if began.elapsed() > patience => return Err(DecideError::TakenUp(waiting)),
                _ => tokio::time::sleep(AGAIN).await,
            }
        }
    }
}
