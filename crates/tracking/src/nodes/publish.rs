//! Publication of the state of a node, and the delay of the others.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use postbacks::contradictions::COUNT_OPEN;
use schema::batch::{BatchError, connect_ingest};
use schema::clock;
use tokio_postgres::Client;
use uuid::Uuid;

use crate::Tracker;
use crate::health::CONTRADICTED;

/// Interval at which a node looks at itself and at the others.
const LOOK_INTERVAL: Duration = Duration::from_secs(2);
/// Interval at which a node publishes, if nothing has changed.
const PUBLISH_INTERVAL: Duration = Duration::from_secs(10);
/// Delay above which a node is behind.
const BEHIND: TimeDelta = TimeDelta::seconds(2);

const PUBLISH: &str = "INSERT INTO nodes (id, name, version, started_at, seen_at, behind_since, health)
     VALUES ($1, $2, $3, $4, $5, $6, $7::text::jsonb)
     ON CONFLICT (id) DO UPDATE SET name = EXCLUDED.name, version = EXCLUDED.version, started_at = EXCLUDED.started_at,
         seen_at = EXCLUDED.seen_at, behind_since = EXCLUDED.behind_since, health = EXCLUDED.health";

/// Time up to which all events of the other nodes are in Postgres; NULL if all are. A node that is not seen any more may have
/// acknowledged events since then.
const OTHERS: &str = "SELECT min(CASE WHEN behind_since IS NOT NULL THEN behind_since
                                      WHEN seen_at < now() - interval '30 seconds' THEN seen_at END)
     FROM nodes WHERE id <> $1";

const REMOVE: &str = "DELETE FROM nodes WHERE id = $1";

/// Time up to which all events of the other nodes are in Postgres, as of the last look.
#[derive(Debug, Default)]
pub(crate) struct OtherNodes {
    /// Microseconds since 1970; 0 if all are.
    complete_until: AtomicI64,
}

impl OtherNodes {
    /// Time up to which their events are complete; `None` if all are in Postgres.
    pub(crate) fn complete_until(&self) -> Option<DateTime<Utc>> {
        match self.complete_until.load(Ordering::Relaxed) {
            0 => None,
            micros => DateTime::from_timestamp_micros(micros),
        }
    }
}

/// Identity of a node.
#[derive(Debug, Clone)]
pub(crate) struct Identity {
    pub(crate) id: Uuid,
    /// Host and folder.
    pub(crate) name: String,
    pub(crate) started_at: DateTime<Utc>,
}

/// Publishes the state of a node, and looks at the others, until the node has stopped.
pub(crate) async fn keep_publishing(tracker: Tracker, url: Arc<str>, identity: Identity) {
    let mut interval = tokio::time::interval(LOOK_INTERVAL);
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        if let Err(error) = publish_until_failure(&tracker, &url, &identity, &mut interval).await {
            tracing::debug!(%error, "state of this node not published; retrying");
        }
        interval.tick().await;
    }
}

async fn publish_until_failure(
    tracker: &Tracker,
    url: &str,
    identity: &Identity,
    interval: &mut tokio::time::Interval,
) -> Result<(), BatchError> {
    let client = connect_ingest(url).await?;
    let mut published: Option<(Instant, bool)> = None;
    loop {
        interval.tick().await;
        let others: Option<DateTime<Utc>> = client.query_one(OTHERS, &[&identity.id]).await?.try_get(0)?;
        let contradicted: i64 = client.query_one(COUNT_OPEN, &[]).await?.try_get(0)?;
        tracker.set_alarm(CONTRADICTED, contradicted_alarm(contradicted));
        let micros = others.map_or(0, |at| at.timestamp_micros());
        tracker.others.complete_until.store(micros, Ordering::Relaxed);
        let now = clock::now();
        let until = tracker.own_complete_until();
        let is_behind = now - until > BEHIND;
        let is_due = published.is_none_or(|(at, was_behind)| {
            // While it is behind, the time moves on.
            was_behind || is_behind || at.elapsed() >= PUBLISH_INTERVAL
        });
        if is_due {
            publish(&client, tracker, identity, is_behind.then_some(until), now).await?;
            published = Some((Instant::now(), is_behind));
        }
    }
}

/// Sentence about verdicts that a restore contradicts; `None` without any.
fn contradicted_alarm(count: i64) -> Option<String> {
    (count > 0).then(|| {
        format!(
            "After a restore, {count} postbacks were decided otherwise than their senders were answered. `clickledger verify` \
             lists them: replay each after its cause is fixed, or accept the difference with `clickledger settle-verdict`."
        )
    })
}

async fn publish(
    client: &Client,
    tracker: &Tracker,
    identity: &Identity,
    behind_since: Option<DateTime<Utc>>,
    now: DateTime<Utc>,
) -> Result<(), BatchError> {
    let health = serde_json::to_string(&tracker.health())
        .map_err(|error| BatchError::Invalid(format!("health not serialised: {error}")))?;
    client
        .execute(
            PUBLISH,
            &[
                &identity.id,
                &identity.name,
                &env!("CARGO_PKG_VERSION"),
                &identity.started_at,
                &now,
                &behind_since,
                &health,
            ],
        )
        .await?;
    Ok(())
}

/// Removes a node that has stopped, once its journals are applied.
pub(crate) async fn remove(url: &str, id: Uuid) {
    let removed = async {
        let client = connect_ingest(url).await?;
        client.execute(REMOVE, &[&id]).await?;
        Ok::<_, BatchError>(())
    };
    if let Err(error) = removed.await {
        tracing::warn!(%error, "the node is listed as lost until it starts again");
    }
}
