//! How many valid clicks a campaign had today, for campaigns that want only so many.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use campaigns::campaigns::Campaign;
use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use quick_cache::sync::Cache;
use schema::{CampaignId, Db, DbError, NetworkId, click_rollups, clock};
use tenancy::networks::Network;

use crate::click_record::day;

/// How often Postgres is asked what other nodes counted.
const LOOK: Duration = Duration::from_secs(1);
/// How long that may take: a connection is not held for longer.
const PATIENCE: Duration = Duration::from_secs(2);
/// Campaigns with a cap that are kept in mind.
const CAMPAIGNS: usize = 10_000;

/// Counts the clicks of campaigns that have a cap. Cheap to clone.
///
/// A node counts its own clicks as they come and learns of those of others from the sums, once a second while there
/// are clicks. So with one node a cap is exact, but for clicks that the disk refused, which count too; several together may go over by what came in within that second. A node
/// that has just started lets clicks through until it was told.
#[derive(Clone)]
pub(crate) struct Caps {
    db: Db,
    today: Arc<Cache<Key, Arc<Mutex<Today>>>>,
}

type Key = (NetworkId, CampaignId);

#[derive(Default)]
struct Today {
    /// On the network's clock.
    day: i32,
    clicks: i64,
    looked_at: Option<Instant>,
    is_looking: bool,
}

impl Caps {
    pub(crate) fn new(db: Db) -> Self {
        Self {
            db,
            today: Arc::new(Cache::new(CAMPAIGNS)),
        }
    }

    /// Counts a valid click, unless the campaign has had as many today as it wants: then true.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub(crate) fn is_reached(&self, network: &Network, campaign: &Campaign, now: DateTime<Utc>) -> bool {
        let Some(cap) = campaign.audience.daily_clicks else {
            return false;
        };
        let key = (network.id, campaign.id);
        let Ok(entry) = self
            .today
            .get_or_insert_with(&key, || Ok::<_, ()>(Arc::default()))
        else {
            return false;
        };
        let date = now.with_timezone(&network.time_zone()).date_naive();
        let day = day(now, network.time_zone());
        let mut today = entry.lock().unwrap_or_else(PoisonError::into_inner);
        // Who comes late over midnight is of yesterday, which nobody counts any more.
        if day < today.day {
            return false;
        }
        if day > today.day {
            *today = Today {
                day,
                ..Today::default()
            };
        }
        if today.looked_at.is_none_or(|at| at.elapsed() >= LOOK) && !today.is_looking {
            today.is_looking = true;
            today.looked_at = Some(Instant::now());
            let since = clock::start_of_day(date, network.time_zone());
            tokio::spawn(look(self.db.clone(), key, since, day, entry.clone()));
        }
        if today.clicks >= i64::from(cap) {
            return true;
        }
        today.clicks += 1;
        false
    }
}

/// Learns how many valid clicks are in the sums.
async fn look(
    db: Db,
    (network_id, campaign_id): Key,
    since: DateTime<Utc>,
    day: i32,
    entry: Arc<Mutex<Today>>,
) {
    let stored = async {
        let mut conn = db.network(network_id).await?;
        let stored: Vec<(i64, i64)> = click_rollups::table
            .filter(click_rollups::network_id.eq(network_id))
            .filter(click_rollups::campaign_id.eq(campaign_id))
            .filter(click_rollups::hour.ge(since))
            .select((click_rollups::clicks, click_rollups::invalid_clicks))
            .load(&mut *conn)
            .await?;
        conn.commit().await?;
        Ok::<_, DbError>(stored.iter().map(|(clicks, invalid)| clicks - invalid).sum())
    };
    let stored = tokio::time::timeout(PATIENCE, stored).await;
    let mut today = entry.lock().unwrap_or_else(PoisonError::into_inner);
    today.is_looking = false;
    match stored {
        // Our own latest are not in the sums yet.
        Ok(Ok(stored)) if today.day == day => today.clicks = today.clicks.max(stored),
        Ok(Ok(_)) => {}
        Ok(Err(error)) => {
            tracing::warn!(%error, %campaign_id, "today's clicks not looked up; the cap goes by our own count");
        }
        Err(_) => {
            tracing::warn!(%campaign_id, "today's clicks not looked up in time; the cap goes by our own count");
        }
    }
}
