//! How much came in the time of a cap, for campaigns that want only so much: whoever clicks after that is sent elsewhere.

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

/// How often Postgres is asked what is in the sums.
const LOOK: Duration = Duration::from_secs(1);
/// How long that may take: a connection is not held for longer.
const LOOK_TIMEOUT: Duration = Duration::from_secs(2);
/// Caps that are kept in mind.
const CAPS: usize = 100_000;

/// Knows how much there is under the caps of campaigns. Cheap to clone.
///
/// A node counts its own clicks as they come and learns of those of others from the sums, once a second while there
/// are clicks. So with one node a cap of clicks is exact, but for clicks that the disk refused, which count too; several
/// together may go over by what came in within that second. What there is of conversions and of money is known from the
/// sums alone, and a second old. A node that has just started lets clicks through until it was told.
#[derive(Clone)]
pub(crate) struct Caps {
    db: Db,
    counts: Arc<Cache<(NetworkId, CapId), Shared>>,
}

/// How much there is under a cap, on all threads.
type Shared = Arc<Mutex<Count>>;

#[derive(Default)]
struct Count {
    /// When the day or month began, on the network's clock.
    since: DateTime<Utc>,
    /// Clicks, conversions, or micro-units.
    so_far: i64,
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

    /// Counts a valid click through an affiliate, unless the campaign has had as much as it wants, of clicks,
    /// conversions, commission or revenue: then true.
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
        let concerned = promotion.caps.iter().filter(|cap| cap.concerns(affiliate_id));
        let counts: Vec<_> = concerned
            .filter_map(|cap| Some((cap, self.count(network, cap, currency, now)?)))
            .collect();
        // Counted under all of them or under none.
        if counts.iter().any(|(cap, count)| lock(count).so_far >= cap.most) {
            return true;
        }
        let of_clicks = counts.iter().filter(|(cap, _)| cap.metric == Metric::Clicks);
        of_clicks.for_each(|(_, count)| lock(count).so_far += 1);
        false
    }

    /// How much there is under a cap as far as it is known; none for a click that is late over midnight: it is of a day
    /// that nobody counts any more.
    fn count(&self, network: &Network, cap: &Cap, currency: Currency, now: DateTime<Utc>) -> Option<Shared> {
        let key = (network.id, cap.id);
        let count = self
            .counts
            .get_or_insert_with(&key, || Ok::<_, ()>(Arc::default()));
        let count = count.ok()?;
        let (since, _) = cap.period.range(network.time_zone(), now);
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
            tokio::spawn(look(
                self.db.clone(),
                network.id,
                *cap,
                currency,
                since,
                count.clone(),
            ));
        }
        drop(current);
        Some(count)
    }
}

fn lock(count: &Mutex<Count>) -> MutexGuard<'_, Count> {
    count.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Learns how much is in the sums.
async fn look(
    db: Db,
    network_id: NetworkId,
    cap: Cap,
    currency: Currency,
    since: DateTime<Utc>,
    count: Shared,
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
    let stored = tokio::time::timeout(LOOK_TIMEOUT, stored).await;
    let mut current = lock(&count);
    current.is_looking = false;
    let cap_id = cap.id;
    match stored {
        Ok(Ok(stored)) if current.since == since => {
            current.so_far = match cap.metric {
                // Our own latest are not in the sums yet.
                Metric::Clicks => current.so_far.max(stored),
                // What was rejected makes room again.
                Metric::Conversions | Metric::Commission | Metric::Revenue => stored,
            }
        }
        Ok(Ok(_)) => {}
        Ok(Err(error)) => {
            tracing::warn!(%error, %cap_id, "what is under a cap not looked up; it goes by what was known");
        }
        Err(_) => {
            tracing::warn!(%cap_id, "what is under a cap not looked up in time; it goes by what was known");
        }
    }
}

/// Valid clicks under a cap.
async fn clicks(conn: &mut NetworkConn, cap: &Cap, since: DateTime<Utc>) -> QueryResult<i64> {
    let network_id = conn.network_id();
    let mut query = click_rollups::table
        .filter(click_rollups::network_id.eq(network_id))
        .filter(click_rollups::campaign_id.eq(cap.campaign_id))
        .filter(click_rollups::hour.ge(since))
        .select((click_rollups::clicks, click_rollups::invalid_clicks))
        .into_boxed();
    if let Some(affiliate_id) = cap.affiliate_id {
        query = query.filter(click_rollups::affiliate_id.eq(affiliate_id));
    }
    let stored: Vec<(i64, i64)> = query.load(&mut **conn).await?;
    Ok(stored.iter().map(|(clicks, invalid)| clicks - invalid).sum())
}

/// Conversions that count under a cap, what affiliates earn by them, or what the advertiser owes: money of the campaign's
/// currency only, as where conversions are priced.
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
    let what = match cap.metric {
        Metric::Commission => "commission_micros",
        Metric::Revenue => "revenue_micros",
        Metric::Clicks | Metric::Conversions => "conversions",
    };
    let sum: Sum = diesel::sql_query(format!(
        "SELECT coalesce(sum({what}), 0)::bigint AS sum FROM conversion_rollups
         WHERE network_id = $1 AND hour >= $2 AND campaign_id = $3 AND ($4 IS NULL OR affiliate_id = $4)
           AND status IN ('pending', 'approved') AND ($5 OR currency = $6)"
    ))
    .bind::<Integer, _>(conn.network_id())
    .bind::<Timestamptz, _>(since)
    .bind::<Integer, _>(cap.campaign_id)
    .bind::<Nullable<Integer>, _>(cap.affiliate_id)
    .bind::<Bool, _>(cap.metric == Metric::Conversions)
    .bind::<Text, _>(currency)
    .get_result(&mut **conn)
    .await?;
    Ok(sum.sum)
}
