//! How many valid clicks came in the time of a cap, for campaigns that want only so many.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use campaigns::caps::{Cap, CapPeriod, Metric};
use chrono::{DateTime, Datelike, Months, TimeDelta, Utc};
use chrono_tz::Tz;
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use quick_cache::sync::Cache;
use schema::{AffiliateId, CapId, Db, DbError, NetworkId, click_rollups, clock};
use tenancy::networks::Network;

/// How often Postgres is asked what other nodes counted.
const LOOK: Duration = Duration::from_secs(1);
/// How long that may take: a connection is not held for longer.
const PATIENCE: Duration = Duration::from_secs(2);
/// Caps that are kept in mind.
const CAPS: usize = 100_000;

/// Counts the clicks of campaigns that have a cap. Cheap to clone.
///
/// A node counts its own clicks as they come and learns of those of others from the sums, once a second while there
/// are clicks. So with one node a cap is exact, but for clicks that the disk refused, which count too; several together
/// may go over by what came in within that second. A node that has just started lets clicks through until it was told.
#[derive(Clone)]
pub(crate) struct Caps {
    db: Db,
    counts: Arc<Cache<(NetworkId, CapId), Shared>>,
}

/// A count that clicks on all threads add to.
type Shared = Arc<Mutex<Count>>;

#[derive(Default)]
struct Count {
    /// When the day or month began, on the network's clock.
    since: DateTime<Utc>,
    clicks: i64,
    looked_at: Option<Instant>,
    is_looking: bool,
}

impl Caps {
    pub(crate) fn new(db: Db) -> Self {
        Self {
            db,
            counts: Arc::new(Cache::new(CAPS)),
        }
    }

    /// Counts a valid click through an affiliate, unless the campaign has had as many as it wants: then true.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub(crate) fn is_reached(
        &self,
        network: &Network,
        caps: &[Cap],
        affiliate_id: AffiliateId,
        now: DateTime<Utc>,
    ) -> bool {
        let concerned = caps
            .iter()
            .filter(|cap| cap.metric == Metric::Clicks && cap.concerns(affiliate_id));
        let counts: Vec<_> = concerned
            .filter_map(|cap| self.count(network, cap, now))
            .collect();
        // Counted under all of them or under none.
        if counts.iter().any(|(count, most)| lock(count).clicks >= *most) {
            return true;
        }
        counts.iter().for_each(|(count, _)| lock(count).clicks += 1);
        false
    }

    /// The count of a cap as far as it is known; none for a click that is late over midnight: it is of a day that nobody
    /// counts any more.
    fn count(&self, network: &Network, cap: &Cap, now: DateTime<Utc>) -> Option<(Shared, i64)> {
        let key = (network.id, cap.id);
        let count = self
            .counts
            .get_or_insert_with(&key, || Ok::<_, ()>(Arc::default()));
        let count = count.ok()?;
        let (since, _) = within(cap.period, network.time_zone(), now);
        let mut current = lock(&count);
        if since < current.since {
            return None;
        }
        if since > current.since {
            *current = Count {
                since,
                ..Count::default()
            };
        }
        if current.looked_at.is_none_or(|at| at.elapsed() >= LOOK) && !current.is_looking {
            current.is_looking = true;
            current.looked_at = Some(Instant::now());
            tokio::spawn(look(self.db.clone(), network.id, *cap, since, count.clone()));
        }
        drop(current);
        Some((count, cap.most))
    }
}

fn lock(count: &Mutex<Count>) -> MutexGuard<'_, Count> {
    count.lock().unwrap_or_else(PoisonError::into_inner)
}

/// From when to when the day, the month or all time is that a moment lies in, on a network's clock.
pub(crate) fn within(period: CapPeriod, zone: Tz, at: DateTime<Utc>) -> (DateTime<Utc>, DateTime<Utc>) {
    let day = at.with_timezone(&zone).date_naive();
    let (first, next) = match period {
        CapPeriod::Day => (day, day.succ_opt()),
        CapPeriod::Month => {
            let first = day.with_day(1).unwrap_or(day);
            (first, first.checked_add_months(Months::new(1)))
        }
        CapPeriod::Total => {
            return (
                DateTime::UNIX_EPOCH,
                DateTime::UNIX_EPOCH + TimeDelta::days(1_000_000),
            );
        }
    };
    let start = |day| clock::start_of_day(day, zone);
    (start(first), start(next.unwrap_or(first)))
}

/// Learns how many valid clicks are in the sums.
async fn look(db: Db, network_id: NetworkId, cap: Cap, since: DateTime<Utc>, count: Shared) {
    let stored = async {
        let mut conn = db.network(network_id).await?;
        let mut query = click_rollups::table
            .filter(click_rollups::network_id.eq(network_id))
            .filter(click_rollups::campaign_id.eq(cap.campaign_id))
            .filter(click_rollups::hour.ge(since))
            .select((click_rollups::clicks, click_rollups::invalid_clicks))
            .into_boxed();
        if let Some(affiliate_id) = cap.affiliate_id {
            query = query.filter(click_rollups::affiliate_id.eq(affiliate_id));
        }
        let stored: Vec<(i64, i64)> = query.load(&mut *conn).await?;
        conn.commit().await?;
        Ok::<_, DbError>(stored.iter().map(|(clicks, invalid)| clicks - invalid).sum())
    };
    let stored = tokio::time::timeout(PATIENCE, stored).await;
    let mut current = lock(&count);
    current.is_looking = false;
    let cap_id = cap.id;
    match stored {
        // Our own latest are not in the sums yet.
        Ok(Ok(stored)) if current.since == since => current.clicks = current.clicks.max(stored),
        Ok(Ok(_)) => {}
        Ok(Err(error)) => {
            tracing::warn!(%error, %cap_id, "clicks under a cap not looked up; it goes by our own count");
        }
        Err(_) => {
            tracing::warn!(%cap_id, "clicks under a cap not looked up in time; it goes by our own count");
        }
    }
}
