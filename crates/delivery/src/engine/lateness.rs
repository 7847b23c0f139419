//! Watch over the engines: time by which the queue is late because no node works it. It has a connection besides that of the
//! engine, so that it notices an engine that hangs.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use schema::batch::{BatchError, IngestClient, read};

use super::claim::{FAILING_AFTER, lanes};

/// Interval of looks.
const LOOK_INTERVAL: Duration = Duration::from_secs(10);
/// Lateness above which the alarm fires; with the interval, it fires within a minute.
const MAX_LATENESS: Duration = Duration::from_secs(40);

/// Sets or ends the alarm of the node about late deliveries.
pub type SetAlarm = Box<dyn Fn(Option<String>) + Send + Sync>;

/// Lateness as of the last look. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Lateness(Arc<AtomicU64>);

impl Lateness {
    /// Time for which the oldest delivery has been due without any node sending to its destination, or the oldest event has
    /// not been queued.
    #[must_use]
    pub fn get(&self) -> Duration {
        Duration::from_millis(self.0.load(Ordering::Relaxed))
    }

    fn set(&self, lateness: Duration) {
        let millis = u64::try_from(lateness.as_millis()).unwrap_or(u64::MAX);
        self.0.store(millis, Ordering::Relaxed);
    }
}

/// A destination that fails gets one call at a time, and one that gets calls is not left alone: both are slow by themselves.
static OLDEST_DUE: LazyLock<String> = LazyLock::new(|| {
    format!(
        "{}
         SELECT max(extract(epoch FROM now() - greatest(w.next_at, s.delivered_at, s.failed_at)))::float8 FROM lanes l
         JOIN destinations s ON s.network_id = l.network_id AND s.id = l.destination_id AND s.state = 'active'
             AND s.failures < {FAILING_AFTER} AND (s.quiet_until IS NULL OR s.quiet_until <= now())
         JOIN networks n ON n.id = l.network_id AND n.status = 'active'
         CROSS JOIN LATERAL (
             SELECT d.next_at FROM deliveries d
             WHERE d.network_id = l.network_id AND d.destination_id = l.destination_id AND d.state = 'waiting'
               AND NOT d.is_retry AND d.next_at <= now()
             ORDER BY d.next_at LIMIT 1) w",
        lanes("")
    )
});
const OLDEST_NEW: &str = "SELECT least((SELECT min(at) FROM conversion_events WHERE NOT is_queued),
    (SELECT min(at) FROM network_events WHERE NOT is_queued))";

/// Looks at the queue, for as long as the process runs.
pub(super) async fn keep_watch(url: String, lateness: Lateness, set_alarm: SetAlarm) {
    let mut interval = tokio::time::interval(LOOK_INTERVAL);
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        if let Err(error) = watch_until_failure(&url, &lateness, &set_alarm, &mut interval).await {
            tracing::debug!(%error, "the queue of deliveries is not watched; retrying");
        }
        interval.tick().await;
    }
}

async fn watch_until_failure(
    url: &str,
    lateness: &Lateness,
    set_alarm: &SetAlarm,
    interval: &mut tokio::time::Interval,
) -> Result<(), BatchError> {
    let mut client = IngestClient::connect(url).await?;
    let mut oldest_new = OldestNew::default();
    loop {
        interval.tick().await;
        let transaction = client.begin().await?;
        let due = transaction.tx().query(&OLDEST_DUE, &[]).await?;
        let new = transaction.tx().query(OLDEST_NEW, &[]).await?;
        transaction.commit().await?;
        let seconds: Option<f64> = due.first().map(|row| read(row, 0)).transpose()?.flatten();
        let due = Duration::try_from_secs_f64(seconds.unwrap_or(0.0).max(0.0)).unwrap_or_default();
        let new: Option<DateTime<Utc>> = new.first().map(|row| read(row, 0)).transpose()?.flatten();
        let late = due.max(oldest_new.age(new, Instant::now()));
        lateness.set(late);
        set_alarm(alarm(late));
    }
}

/// Oldest event that is not queued, and the first look that found it. Its time tells nothing: an event can be stored long
/// after it.
#[derive(Debug, Default)]
struct OldestNew(Option<(DateTime<Utc>, Instant)>);

impl OldestNew {
    fn age(&mut self, found: Option<DateTime<Utc>>, now: Instant) -> Duration {
        self.0 = match (self.0, found) {
            (Some((known, since)), Some(found)) if known == found => Some((known, since)),
            (_, found) => found.map(|found| (found, now)),
        };
        self.0
            .map_or(Duration::ZERO, |(_, since)| now.duration_since(since))
    }
}

fn alarm(lateness: Duration) -> Option<String> {
    (lateness > MAX_LATENESS).then(|| {
        format!(
            "Deliveries to trackers and webhooks are {} s late: no node sends them. They are not lost. Look for the lines \
             `deliveries wait for the database` in the logs, for locks in `pg_stat_activity`, and restart the nodes one by one.",
            lateness.as_secs()
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_late_once_it_stays_the_oldest() {
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        let (first, second) = (DateTime::UNIX_EPOCH, schema::clock::now());
        let mut oldest = OldestNew::default();
        assert_eq!(
            oldest.age(Some(first), after(0)),
            Duration::ZERO,
            "however old it is"
        );
        assert_eq!(oldest.age(Some(first), after(50)), Duration::from_secs(50));
        assert_eq!(
            oldest.age(Some(second), after(60)),
            Duration::ZERO,
            "the queue moves"
        );
        assert_eq!(oldest.age(None, after(70)), Duration::ZERO);
        assert_eq!(alarm(MAX_LATENESS), None);
        assert!(alarm(Duration::from_secs(41)).is_some_and(|text| text.contains("41 s late")));
    }
}
