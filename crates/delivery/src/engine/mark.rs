//! Recording of attempts, and what follows from them for deliveries and destinations.

use std::collections::BTreeMap;
use std::sync::LazyLock;
use std::time::Duration;

use schema::batch::{BatchError, Row, Tx};
use schema::{ConversionId, DeliveryId, DestinationId, NetworkId};

use super::claim::Job;
use crate::schedule::pause_after;
use crate::send::{CallMethod, Outcome};

/// Time of failures without a success after which a destination is paused, in days.
const FAILING_DAYS: u32 = 5;

schema::row! {
    /// An attempt that is to be recorded.
    #[derive(Debug, Clone)]
    pub(super) struct Attempt() {
        network_id: NetworkId,
        delivery_id: DeliveryId,
        number: i32,
        destination_id: DestinationId,
        conversion_id: Option<ConversionId>,
        version: i32,
        method: String,
        url: String,
        code: Option<i32>,
        problem: Option<String>,
        duration_ms: i32,
        answer: String,
        state: String,
        pause_ms: i64,
        quiet_ms: i64,
        is_gone: bool,
    }
}

impl Attempt {
    pub(super) fn of(job: &Job, method: CallMethod, url: String, outcome: Outcome) -> Self {
        let is_delivered = outcome.is_delivered();
        let failures = u32::try_from(job.failures).unwrap_or(0) + u32::from(!is_delivered);
        let pause = pause_after(failures, rand::random(), outcome.retry_after);
        // A receiver that is gone pauses the destination; the event waits for its return.
        let state = match pause {
            _ if is_delivered => "delivered",
            None if !outcome.is_gone() => "given_up",
            _ => "waiting",
        };
        let (conversion_id, version) = job.content.version();
        let quiet = outcome.retry_after.filter(|_| !is_delivered).unwrap_or_default();
        Self {
            network_id: job.target.network_id,
            delivery_id: job.content.delivery_id(),
            number: job.number,
            destination_id: job.destination_id,
            conversion_id,
            version,
            method: method.to_string(),
            url,
            is_gone: outcome.is_gone(),
            code: outcome.code.map(i32::from),
            problem: outcome.problem,
            duration_ms: i32::try_from(outcome.duration.as_millis()).unwrap_or(i32::MAX),
            answer: outcome.answer,
            state: state.to_owned(),
            pause_ms: millis(pause.unwrap_or_default()),
            quiet_ms: millis(quiet),
        }
    }

    /// Attempt without a call, because the settings yield none.
    pub(super) fn unsendable(job: &Job, problem: String) -> Self {
        let outcome = Outcome::failed(problem, Duration::ZERO);
        Self::of(job, job.target.method, job.target.url.clone(), outcome)
    }

    pub(super) fn destination(&self) -> (NetworkId, DestinationId) {
        (self.network_id, self.destination_id)
    }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

schema::row! {
    /// Consequences of attempts for a destination.
    #[derive(Debug, Clone, PartialEq, Eq)]
    struct Health() {
        network_id: NetworkId,
        destination_id: DestinationId,
        has_delivered: bool,
        failures: i32,
        is_gone: bool,
        quiet_ms: i64,
    }
}

/// Deliveries that were removed with their destination are left out.
static INSERT: LazyLock<String> = LazyLock::new(|| {
    format!(
        "INSERT INTO delivery_attempts
            (network_id, delivery_id, number, at, method, url, code, problem, duration_ms, answer)
         SELECT k.network_id, k.delivery_id, k.number, now(), k.method, k.url, k.code, k.problem, k.duration_ms, k.answer
         FROM {} JOIN deliveries d ON d.network_id = k.network_id AND d.id = k.delivery_id
         ON CONFLICT DO NOTHING",
        Attempt::unnest()
    )
});
/// A delivery that another node has finished meanwhile, after the lease, stays finished.
static UPDATE: LazyLock<String> = LazyLock::new(|| {
    format!(
        "UPDATE deliveries d SET attempts = greatest(d.attempts, k.number), code = k.code, problem = k.problem,
             state = k.state, is_retry = k.problem IS NOT NULL,
             failures = d.failures + CASE WHEN k.problem IS NULL THEN 0 ELSE 1 END,
             next_at = now() + k.pause_ms * interval '1 ms',
             finished_at = CASE WHEN k.state <> 'waiting' THEN now() END
         FROM {} WHERE d.network_id = k.network_id AND d.id = k.delivery_id AND d.state = 'waiting'",
        Attempt::unnest()
    )
});
/// Later events of the conversion follow: at once, or after the retry.
static UPDATE_LATER: LazyLock<String> = LazyLock::new(|| {
    format!(
        "UPDATE deliveries d SET next_at = now() + CASE WHEN k.state = 'waiting' THEN k.pause_ms ELSE 0 END * interval '1 ms'
         FROM {} WHERE d.network_id = k.network_id AND d.destination_id = k.destination_id
             AND d.conversion_id = k.conversion_id AND d.version > k.version AND d.state = 'waiting'",
        Attempt::unnest()
    )
});
static UPDATE_DESTINATIONS: LazyLock<String> = LazyLock::new(|| {
    format!(
        "UPDATE destinations s SET
             failures = CASE WHEN k.has_delivered THEN 0 ELSE s.failures END + k.failures,
             mailed_failures = CASE WHEN k.has_delivered THEN 0 ELSE s.mailed_failures END,
             delivered_at = CASE WHEN k.has_delivered THEN now() ELSE s.delivered_at END,
             failed_at = CASE WHEN k.failures > 0 THEN now() ELSE s.failed_at END,
             failing_since = CASE WHEN k.failures = 0 THEN NULL WHEN k.has_delivered THEN now()
                 ELSE coalesce(s.failing_since, now()) END,
             quiet_until = CASE WHEN k.quiet_ms > 0 THEN now() + k.quiet_ms * interval '1 ms' ELSE s.quiet_until END,
             state = CASE WHEN pausing.reason IS NULL THEN s.state ELSE 'paused' END,
             paused_because = coalesce(s.paused_because, pausing.reason)
         FROM {} CROSS JOIN LATERAL (
             SELECT CASE WHEN k.is_gone THEN 'gone'
                 WHEN NOT k.has_delivered AND t.failing_since < now() - interval '{FAILING_DAYS} days' THEN 'failing'
                 END AS reason
             FROM destinations t WHERE t.network_id = k.network_id AND t.id = k.destination_id) pausing
         WHERE s.network_id = k.network_id AND s.id = k.destination_id",
        Health::unnest()
    )
});

/// Records attempts.
pub(super) async fn mark(tx: Tx<'_>, attempts: &[Attempt]) -> Result<(), BatchError> {
    tx.execute_batch(&INSERT, attempts).await?;
    tx.execute_batch(&UPDATE, attempts).await?;
    tx.execute_batch(&UPDATE_LATER, attempts).await?;
    tx.execute_batch(&UPDATE_DESTINATIONS, &healths(attempts)).await?;
    Ok(())
}

/// Health of each destination after these attempts, in their order.
fn healths(attempts: &[Attempt]) -> Vec<Health> {
    let mut healths: BTreeMap<(NetworkId, DestinationId), Health> = BTreeMap::new();
    for attempt in attempts {
        let health = healths.entry(attempt.destination()).or_insert_with(|| Health {
            network_id: attempt.network_id,
            destination_id: attempt.destination_id,
            has_delivered: false,
            failures: 0,
            is_gone: false,
            quiet_ms: 0,
        });
        if attempt.problem.is_none() {
            health.has_delivered = true;
            health.failures = 0;
        } else {
            health.failures += 1;
        }
        health.is_gone |= attempt.is_gone;
        health.quiet_ms = health.quiet_ms.max(attempt.quiet_ms);
    }
    healths.into_values().collect()
}
