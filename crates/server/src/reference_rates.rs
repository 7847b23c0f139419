//! Task that fetches the reference rates of the European Central Bank, where the operator allows it.

use std::time::Duration;

use chrono::{DateTime, NaiveTime, TimeDelta, Utc};
use schema::{Db, DbError, clock};
use tenancy::exchange_rates::{
    RateSource, claim_fetch, fetch_failed, fetch_succeeded, parse_ecb, store_reference_rates,
};
use tracing::{Instrument as _, info_span};
use url::Url;

use crate::download::download;

/// Interval at which each node checks if a fetch is due.
const CHECK_INTERVAL: Duration = Duration::from_secs(300);
/// Largest file that is read: twice the size of all rates since 1999.
pub(crate) const MAX_FILE_BYTES: usize = 16 * 1024 * 1024;
/// Time of a day, in UTC, at which the rates of that day are published in winter and in summer.
const PUBLISHED_AT: NaiveTime = match NaiveTime::from_hms_opt(15, 30, 0) {
    Some(time) => time,
    None => NaiveTime::MIN,
};

/// Fetches the rates once a day, as long as the process runs. Of several nodes, one does.
pub(crate) async fn keep_fetching(db: Db, url: Url) {
    let mut interval = tokio::time::interval(CHECK_INTERVAL);
    loop {
        interval.tick().await;
        let fetch = async {
            if let Err(error) = fetch_if_due(&db, &url, clock::now()).await {
                tracing::warn!(%error, "no fetch of reference rates, because the database failed");
            }
        };
        fetch.instrument(info_span!("fetch_reference_rates")).await;
    }
}

/// Fetches the rates if that is due and no other node does, and returns true if this node did. A failure of the other
/// server is logged and stored, and the next attempt follows an hour later.
///
/// # Errors
/// Returns an error if the database fails.
pub async fn fetch_if_due(db: &Db, url: &Url, now: DateTime<Utc>) -> Result<bool, DbError> {
    // Not held during the download.
    let is_claimed = claim_fetch(&mut *db.unscoped().await?, now).await?;
    if !is_claimed {
        return Ok(false);
    }
    let read = match download(url, MAX_FILE_BYTES).await {
        Ok(text) => parse_ecb(&text, now.date_naive()).map_err(|error| error.to_string()),
        Err(error) => Err(error.to_string()),
    };
    let mut conn = db.unscoped().await?;
    match read {
        Ok(file) => {
            let changed = store_reference_rates(&mut conn, &file.rates, RateSource::Ecb, now).await?;
            fetch_succeeded(&mut conn, next_publication(now), now).await?;
            tracing::info!(rates = file.rates.len(), changed, "reference rates fetched");
        }
        Err(problem) => {
            tracing::warn!(problem, "reference rates not fetched");
            fetch_failed(&mut conn, &problem).await?;
        }
    }
    Ok(true)
}

/// Next time at which rates are published.
fn next_publication(now: DateTime<Utc>) -> DateTime<Utc> {
    let today = now.date_naive().and_time(PUBLISHED_AT).and_utc();
    if now < today {
        today
    } else {
        today + TimeDelta::days(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_fetch_follows_the_next_publication() {
        for (now, next) in [
            ("2026-11-27T09:00:00Z", "2026-11-27T15:30:00Z"),
            ("2026-11-27T15:30:00Z", "2026-11-28T15:30:00Z"),
            ("2026-12-31T23:59:59Z", "2027-01-01T15:30:00Z"),
        ] {
            let next: DateTime<Utc> = next.parse().unwrap();
            assert_eq!(next_publication(now.parse().unwrap()), next, "{now}");
        }
    }
}
