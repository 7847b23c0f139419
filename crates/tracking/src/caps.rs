//! Counters that decide whether a click exceeds a cap of its campaign.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use campaigns::Promotion;
use campaigns::caps::{Cap, Metric};
use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool, Integer, Nullable, Text, Timestamptz};
use diesel_async::RunQueryDsl;
use quick_cache::sync::Cache;
use schema::{AffiliateId, CapId, Currency, Db, DbError, NetworkConn, NetworkId, click_rollups};
use tenancy::networks::Network;

/// Interval at which a counter is refreshed from the rollups.
const REFRESH_INTERVAL: Duration = Duration::from_secs(1);
/// Timeout of a refresh, after which its connection is returned.
const REFRESH_TIMEOUT: Duration = Duration::from_secs(2);
/// Maximum number of cached counters.
const MAX_COUNTERS: usize = 100_000;

/// Counters of all caps. Cheap to clone.
///
/// A node counts its clicks as they arrive, and once a second, while clicks arrive, reads those of all nodes from the
/// rollups. So with one node a cap of clicks is exact, except that clicks which could not be journaled count too;
/// several nodes together may exceed it by the clicks of that second. Conversions and money come from the rollups
/// alone, and are up to a second old. A node that has just started admits clicks until its first refresh.
#[derive(Clone)]
pub(crate) struct Caps {
    db: Db,
    counters: Arc<Cache<(NetworkId, CapId), SharedCounter>>,
}

/// Counter of a cap, shared by all threads.
type SharedCounter = Arc<Mutex<Counter>>;

#[derive(Default)]
struct Counter {
    /// Start of the day or month in the network's time zone.
    since: DateTime<Utc>,
    /// Clicks, conversions, or micro-units since then.
    total: i64,
    /// Start of the last refresh; `None` before the first.
    refreshed_at: Option<Instant>,
    is_refreshing: bool,
}

impl Caps {
    pub(crate) fn new(db: Db) -> Self {
        Self {
            db,
            counters: Arc::new(Cache::new(MAX_COUNTERS)),
        }
    }

    /// Counts a valid click through an affiliate. Returns true, and does not count, if a cap of the campaign is
    /// reached: of clicks, conversions, commission or revenue.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub(crate) fn is_reached(
        &self,
        network: &Network,
        promotion: &Promotion,
        affiliate_id: AffiliateId,
        now: DateTime<Utc>,
    ) -> bool {
        let currency = promotion.campaign.currency;
        let applicable = promotion.caps.iter().filter(|cap| cap.concerns(affiliate_id));
        let counters: Vec<_> = applicable
            .filter_map(|cap| Some((cap, self.counter(network, cap, currency, now)?)))
            .collect();
        // A click counts towards all of them or towards none.
        if counters
            .iter()
            .any(|(cap, counter)| lock(counter).total >= cap.most)
        {
            return true;
        }
        let of_clicks = counters.iter().filter(|(cap, _)| cap.metric == Metric::Clicks);
        of_clicks.for_each(|(_, counter)| lock(counter).total += 1);
        false
    }

    /// Counter of a cap, refreshed in the background when due; `None` if the counter is already in a later day or month
    /// than the click.
    fn counter(
        &self,
        network: &Network,
        cap: &Cap,
        currency: Currency,
        now: DateTime<Utc>,
    ) -> Option<SharedCounter> {
        let key = (network.id, cap.id);
        // Never an error: inserting a new counter cannot fail.
        let counter = self
            .counters
            .get_or_insert_with(&key, || Ok::<_, ()>(Arc::default()))
            .ok()?;
        let (since, _) = cap.period.range(network.time_zone(), now);
        let mut current = lock(&counter);
        if since < current.since {
            return None;
        }
        if since > current.since {
            *current = Counter {
                since,
                ..Counter::default()
            };
        }
        if current
            .refreshed_at
            .is_none_or(|at| at.elapsed() >= REFRESH_INTERVAL)
            && !current.is_refreshing
        {
            current.is_refreshing = true;
            current.refreshed_at = Some(Instant::now());
            tokio::spawn(refresh(
                self.db.clone(),
                network.id,
                *cap,
                currency,
                since,
                counter.clone(),
            ));
        }
        drop(current);
        Some(counter)
    }
}

fn lock(counter: &Mutex<Counter>) -> MutexGuard<'_, Counter> {
    counter.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Refreshes a counter from the rollups.
async fn refresh(
    db: Db,
    network_id: NetworkId,
    cap: Cap,
    currency: Currency,
    since: DateTime<Utc>,
    counter: SharedCounter,
) {
    let stored = async {
        let mut conn = db.network(network_id).await?;
        let stored = match cap.metric {
            Metric::Clicks => clicks(&mut conn, &cap, since).await?,
            Metric::Conversions | Metric::Commission | Metric::Revenue => {
                conversions(&mut conn, &cap, currency, since).await?
            }
        };
        conn.commit().await?;
        Ok::<_, DbError>(stored)
    };
    let stored = tokio::time::timeout(REFRESH_TIMEOUT, stored).await;
    let mut current = lock(&counter);
    current.is_refreshing = false;
    let cap_id = cap.id;
    match stored {
        Ok(Ok(stored)) if current.since == since => {
            current.total = match cap.metric {
                // The latest clicks of this node are not in the rollups yet.
                Metric::Clicks => current.total.max(stored),
                // Rejected conversions no longer count.
                Metric::Conversions | Metric::Commission | Metric::Revenue => stored,
            }
        }
        Ok(Ok(_)) => {}
        Ok(Err(error)) => {
            tracing::warn!(network = %network_id, cap = %cap_id, %error, "cap counter not refreshed; its last total applies");
        }
        Err(_) => {
            tracing::warn!(network = %network_id, cap = %cap_id, "cap counter not refreshed in time; its last total applies");
        }
    }
}

/// Valid clicks that count towards a cap.
async fn clicks(conn: &mut NetworkConn, cap: &Cap, since: DateTime<Utc>) -> QueryResult<i64> {
    let network_id = conn.network_id();
    let mut query = click_rollups::table
        .filter(click_rollups::network_id.eq(network_id))
        .filter(click_rollups::campaign_id.eq(cap.campaign_id))
        .filter(click_rollups::quarter_hour.ge(since))
        .select((click_rollups::clicks, click_rollups::invalid_clicks))
        .into_boxed();
    if let Some(affiliate_id) = cap.affiliate_id {
        query = query.filter(click_rollups::affiliate_id.eq(affiliate_id));
    }
    let stored: Vec<(i64, i64)> = query.load(&mut **conn).await?;
    Ok(stored.iter().map(|(clicks, invalid)| clicks - invalid).sum())
}

/// Paid conversions that count towards a cap, or their commission or revenue: money in the cap's currency only, like the
/// check of caps when a conversion is priced.
async fn conversions(
    conn: &mut NetworkConn,
    cap: &Cap,
    currency: Currency,
    since: DateTime<Utc>,
) -> QueryResult<i64> {
    #[derive(QueryableByName)]
    struct Sum {
        #[diesel(sql_type = BigInt)]
        sum: i64,
    }
    let column = match cap.metric {
        Metric::Commission => "commission_micros",
        Metric::Revenue => "revenue_micros",
        Metric::Clicks | Metric::Conversions => "paid",
    };
    let sum: Sum = diesel::sql_query(format!(
        "SELECT least(coalesce(sum({column}), 0), 9223372036854775807)::bigint AS sum FROM conversion_rollups
         WHERE network_id = $1 AND quarter_hour >= $2 AND campaign_id = $3 AND ($4 IS NULL OR affiliate_id = $4)
           AND status IN ('pending', 'approved') AND ($5 OR currency = $6)"
    ))
    .bind::<Integer, _>(conn.network_id())
    .bind::<Timestamptz, _>(since)
    .bind::<Integer, _>(cap.campaign_id)
    .bind::<Nullable<Integer>, _>(cap.affiliate_id)
    .bind::<Bool, _>(cap.metric == Metric::Conversions)
    .bind::<Text, _>(cap.currency.unwrap_or(currency))
    .get_result(&mut **conn)
    .await?;
    Ok(sum.sum)
}
