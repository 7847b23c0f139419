//! Counts of acknowledgements, which the tables must match before a figure is valid.

use std::time::Duration;

use tokio::time::{Instant, sleep};
use tokio_postgres::Client;

use super::pump::Tally;
use super::tools::WrkRun;
use crate::Outcome;

/// Longest wait for the tables to contain every acknowledged event.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(180);
/// Time without changes after which the tables count as complete, and after which missing events count as lost.
const STILL_TIMES: [Duration; 2] = [Duration::from_millis(500), Duration::from_secs(20)];

/// Number of acknowledgements of one kind of event.
#[derive(Debug, Default, Clone, Copy)]
struct Count {
    /// Count events.
    least: u64,
    /// Events that may be stored in addition: requests without a response.
    perhaps: u64,
}

impl Count {
    fn add(&mut self, least: u64, perhaps: u64) {
        self.least += least;
        self.perhaps += perhaps;
    }

    /// Returns an error text if this number of rows contradicts the acknowledgements.
    fn fault(self, rows: u64, of: &str) -> Option<String> {
        let Self { least, perhaps } = self;
        match rows {
            _ if rows < least => Some(format!("LOSS: {rows} {of} for {least} acknowledged")),
            _ if rows > least + perhaps => Some(format!(
                "DOUBLED: {rows} {of} for {least} acknowledged and at most {perhaps} unanswered"
            )),
            _ => None,
        }
    }
}

/// Rollups of the hours since the beginning: cheap to query.
#[derive(Debug, Clone)]
pub(super) struct RecentSums {
    networks: Vec<i32>,
    /// Time in the first of these hours, in milliseconds since 1970.
    since_ms: i64,
}

impl RecentSums {
    /// Returns the number of clicks in the rollups.
    pub(super) async fn clicks(&self, client: &Client) -> Outcome<u64> {
        let row = client
            .query_one(
                "SELECT coalesce(sum(clicks), 0)::bigint FROM click_rollups WHERE network_id = ANY ($1) \
                 AND quarter_hour >= date_bin('15 minutes', to_timestamp($2::bigint / 1000.0), 'epoch')",
                &[&self.networks, &self.since_ms],
            )
            .await?;
        Ok(row.get::<_, i64>(0).unsigned_abs())
    }

    async fn all(&self, client: &Client) -> Outcome<Sums> {
        let row = client
            .query_one(
                "SELECT coalesce(sum(conversions), 0)::bigint FROM conversion_rollups",
                &[],
            )
            .await?;
        Ok(Sums {
            clicks: self.clicks(client).await?,
            conversions: row.get::<_, i64>(0).unsigned_abs(),
        })
    }
}

/// Counts in the rollups.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Sums {
    clicks: u64,
    conversions: u64,
}

/// Counts in the tables.
struct Rows {
    clicks: u64,
    postbacks: u64,
    accepted: u64,
    conversions: u64,
    quarantined: u64,
}

/// Counts of acknowledgements since the last comparison.
pub(super) struct Acknowledgements {
    /// Rollups for the frequent comparison.
    pub(super) sums: RecentSums,
    /// First millisecond of the counted events.
    since_ms: i64,
    clicks: Count,
    postbacks: Count,
    before: Sums,
    /// Verdicts and conversions of earlier comparisons.
    compared: u64,
}

impl Acknowledgements {
    /// Begins to count for these networks, which have no postbacks yet.
    pub(super) async fn begin(client: &Client, networks: Vec<i32>) -> Outcome<Self> {
        let now = now_ms(client).await?;
        let mut acknowledgements = Self {
            sums: RecentSums {
                networks,
                since_ms: now,
            },
            since_ms: now,
            clicks: Count::default(),
            postbacks: Count::default(),
            before: Sums {
                clicks: 0,
                conversions: 0,
            },
            compared: 0,
        };
        acknowledgements.begin_again(client).await?;
        Ok(acknowledgements)
    }

    /// Adds clicks of wrk. Requests in flight at its end were answered, but the response was not read.
    pub(super) fn wrk(&mut self, run: &WrkRun, connections: usize) {
        let on_their_way = u64::try_from(connections).unwrap_or(u64::MAX);
        // Refused clicks may have been recorded too, for example when the response was late.
        self.clicks
            .add(run.answered, on_their_way + run.refused + run.broken);
    }

    /// Adds clicks of our generator.
    pub(super) fn clicks(&mut self, tally: &Tally) {
        let all: u64 = tally.statuses.values().sum();
        let redirected = tally.count(302);
        self.clicks.add(redirected, all - redirected + tally.unknown);
    }

    /// Adds a click that was sent by hand.
    pub(super) fn one_click(&mut self) {
        self.clicks.add(1, 0);
    }

    /// Adds postbacks of our generator: 200 is a verdict, 202 promises one.
    pub(super) fn postbacks(&mut self, tally: &Tally) {
        let all: u64 = tally.statuses.values().sum();
        let taken = tally.count(200) + tally.count(202);
        self.postbacks.add(taken, all - taken + tally.unknown);
    }

    /// Waits until the rollups contain every acknowledged event and stop changing; returns the time it took. Lost
    /// events never arrive: the comparison finds them.
    pub(super) async fn settle(&self, client: &Client) -> Outcome<Duration> {
        let began = Instant::now();
        let (mut last, mut changed) = (self.sums.all(client).await?, began);
        while began.elapsed() < SETTLE_TIMEOUT {
            sleep(Duration::from_millis(20)).await;
            let now = self.sums.all(client).await?;
            if now != last {
                (last, changed) = (now, Instant::now());
            }
            let is_complete = now.clicks >= self.before.clicks + self.clicks.least
                && now.conversions >= self.before.conversions + self.postbacks.least;
            let [complete, lost] = STILL_TIMES;
            if changed.elapsed() > if is_complete { complete } else { lost } {
                break;
            }
        }
        Ok(changed - began)
    }

    /// Compares the tables with the acknowledgements since the last comparison; returns every contradiction as text.
    pub(super) async fn compare(&mut self, client: &Client) -> Outcome<Vec<String>> {
        self.settle(client).await?;
        let sums = self.sums.all(client).await?;
        let rows = self.rows(client).await?;
        let summed = sums.clicks.saturating_sub(self.before.clicks);
        let faults = [
            self.clicks.fault(rows.clicks, "rows of clicks"),
            self.clicks.fault(summed, "clicks in the rollups"),
            self.postbacks
                .fault(rows.postbacks.saturating_sub(self.compared), "verdicts"),
            unequal(rows.clicks, summed, "rows of clicks", "in the rollups"),
            unequal(
                rows.accepted,
                rows.postbacks,
                "accepted postbacks",
                "postbacks in all",
            ),
            unequal(
                rows.conversions,
                rows.accepted,
                "conversions",
                "accepted postbacks",
            ),
            unequal(
                sums.conversions,
                rows.conversions,
                "conversions in the rollups",
                "rows of conversions",
            ),
            unequal(rows.quarantined, 0, "records in quarantine", "expected"),
        ];
        self.compared = rows.postbacks;
        self.begin_again(client).await?;
        Ok(faults.into_iter().flatten().collect())
    }

    async fn begin_again(&mut self, client: &Client) -> Outcome {
        self.before = self.sums.all(client).await?;
        (self.clicks, self.postbacks) = (Count::default(), Count::default());
        self.since_ms = now_ms(client).await? + 1;
        // The next click is of that millisecond or a later one.
        sleep(Duration::from_millis(3)).await;
        Ok(())
    }

    async fn rows(&self, client: &Client) -> Outcome<Rows> {
        let row = client
            .query_one(
                "SELECT (SELECT count(*) FROM clicks WHERE network_id = ANY ($1) \
                         AND id >= (lpad(to_hex($2::bigint), 12, '0') || repeat('0', 20))::uuid), \
                        (SELECT count(*) FROM postbacks), \
                        (SELECT count(*) FROM postbacks WHERE status = 'accepted'), \
                        (SELECT count(*) FROM conversions), (SELECT count(*) FROM quarantine)",
                &[&self.sums.networks, &self.since_ms],
            )
            .await?;
        let count = |column: usize| row.get::<_, i64>(column).unsigned_abs();
        Ok(Rows {
            clicks: count(0),
            postbacks: count(1),
            accepted: count(2),
            conversions: count(3),
            quarantined: count(4),
        })
    }
}

fn unequal(a: u64, b: u64, what: &str, of: &str) -> Option<String> {
    (a != b).then(|| format!("{}: {a} {what}, {b} {of}", if a < b { "LOSS" } else { "DOUBLED" }))
}

async fn now_ms(client: &Client) -> Outcome<i64> {
    let row = client
        .query_one(
            "SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint",
            &[],
        )
        .await?;
    Ok(row.get(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lost_and_doubled_events_are_found() {
        let acknowledged = Count {
            least: 100,
            perhaps: 2,
        };
        assert_eq!(acknowledged.fault(100, "rows"), None);
        assert_eq!(acknowledged.fault(102, "rows"), None);
        let loss = acknowledged.fault(99, "rows");
        assert_eq!(loss.as_deref(), Some("LOSS: 99 rows for 100 acknowledged"));
        assert!(
            acknowledged
                .fault(103, "rows")
                .unwrap()
                .starts_with("DOUBLED: 103 rows")
        );
        assert_eq!(unequal(1, 1, "a", "b"), None);
        assert_eq!(unequal(1, 2, "a", "b").as_deref(), Some("LOSS: 1 a, 2 b"));
    }
}
