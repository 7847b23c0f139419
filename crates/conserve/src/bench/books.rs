//! The books: how often something was acknowledged, which the tables must agree with before a figure is believed.

use std::time::Duration;

use tokio::time::{Instant, sleep};
use tokio_postgres::Client;

use super::pump::Tally;
use super::tools::WrkRun;
use crate::Outcome;

/// How long the tables may take to hold what was acknowledged.
const PATIENCE: Duration = Duration::from_secs(180);
/// How long they must stay as they are before they are believed to be complete, and how long before what is missing is
/// believed to be lost.
const STILL: [Duration; 2] = [Duration::from_millis(500), Duration::from_secs(20)];

/// How often one kind of thing was acknowledged.
#[derive(Debug, Default, Clone, Copy)]
struct Acknowledged {
    /// So often at least.
    least: u64,
    /// And perhaps so often more: requests whose answer nobody saw.
    perhaps: u64,
}

impl Acknowledged {
    fn add(&mut self, least: u64, perhaps: u64) {
        self.least += least;
        self.perhaps += perhaps;
    }

    /// What is wrong with this many rows, if anything is.
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

/// The sums of the hours in which anything still happens: cheap to ask.
#[derive(Debug, Clone)]
pub(super) struct RecentSums {
    networks: Vec<i32>,
    /// A time in the first of these hours, in milliseconds since 1970.
    since_ms: i64,
}

impl RecentSums {
    /// How many clicks they say there were.
    pub(super) async fn clicks(&self, client: &Client) -> Outcome<u64> {
        let row = client
            .query_one(
                "SELECT coalesce(sum(clicks), 0)::bigint FROM click_rollups WHERE network_id = ANY ($1) \
                 AND hour >= date_trunc('hour', to_timestamp($2::bigint / 1000.0))",
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

/// What they say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Sums {
    clicks: u64,
    conversions: u64,
}

/// What the tables say.
struct Rows {
    clicks: u64,
    postbacks: u64,
    accepted: u64,
    conversions: u64,
    aside: u64,
}

/// See the module.
pub(super) struct Books {
    /// What they are compared with most often.
    pub(super) sums: RecentSums,
    /// The first millisecond of what they are about.
    since_ms: i64,
    clicks: Acknowledged,
    postbacks: Acknowledged,
    before: Sums,
    /// Verdicts and conversions of books that were closed.
    closed: u64,
}

impl Books {
    /// From now on, for these networks, which nobody has sent a postback to.
    pub(super) async fn open(client: &Client, networks: Vec<i32>) -> Outcome<Self> {
        let now = now_ms(client).await?;
        let mut books = Self {
            sums: RecentSums {
                networks,
                since_ms: now,
            },
            since_ms: now,
            clicks: Acknowledged::default(),
            postbacks: Acknowledged::default(),
            before: Sums {
                clicks: 0,
                conversions: 0,
            },
            closed: 0,
        };
        books.open_anew(client).await?;
        Ok(books)
    }

    /// Clicks of wrk. What was on its way when it stopped was answered, but nobody saw it.
    pub(super) fn wrk(&mut self, run: &WrkRun, connections: usize) {
        let on_their_way = u64::try_from(connections).unwrap_or(u64::MAX);
        // Refused ones may have been recorded, too: those whose answer was too late, say.
        self.clicks
            .add(run.answered, on_their_way + run.refused + run.broken);
    }

    /// Clicks of our own generator.
    pub(super) fn clicks(&mut self, tally: &Tally) {
        let all: u64 = tally.statuses.values().sum();
        let redirected = tally.count(302);
        self.clicks.add(redirected, all - redirected + tally.unknown);
    }

    /// A click that was followed by hand.
    pub(super) fn one_click(&mut self) {
        self.clicks.add(1, 0);
    }

    /// Postbacks of our own generator: 200 is a verdict, 202 says that one follows.
    pub(super) fn postbacks(&mut self, tally: &Tally) {
        let all: u64 = tally.statuses.values().sum();
        let taken = tally.count(200) + tally.count(202);
        self.postbacks.add(taken, all - taken + tally.unknown);
    }

    /// Waits until the sums hold what was acknowledged and change no more; returns how long it took. What is lost never
    /// comes: it is closing the books that finds it.
    pub(super) async fn settle(&self, client: &Client) -> Outcome<Duration> {
        let began = Instant::now();
        let (mut last, mut changed) = (self.sums.all(client).await?, began);
        while began.elapsed() < PATIENCE {
            sleep(Duration::from_millis(20)).await;
            let now = self.sums.all(client).await?;
            if now != last {
                (last, changed) = (now, Instant::now());
            }
            let is_complete = now.clicks >= self.before.clicks + self.clicks.least
                && now.conversions >= self.before.conversions + self.postbacks.least;
            let [complete, lost] = STILL;
            if changed.elapsed() > if is_complete { complete } else { lost } {
                break;
            }
        }
        Ok(changed - began)
    }

    /// Compares the tables with what was acknowledged since the last time; returns what does not agree, in words.
    pub(super) async fn close(&mut self, client: &Client) -> Outcome<Vec<String>> {
        self.settle(client).await?;
        let sums = self.sums.all(client).await?;
        let rows = self.rows(client).await?;
        let summed = sums.clicks.saturating_sub(self.before.clicks);
        let faults = [
            self.clicks.fault(rows.clicks, "rows of clicks"),
            self.clicks.fault(summed, "clicks in the sums"),
            self.postbacks
                .fault(rows.postbacks.saturating_sub(self.closed), "verdicts"),
            unequal(rows.clicks, summed, "rows of clicks", "in the sums"),
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
                "conversions in the sums",
                "rows of them",
            ),
            unequal(rows.aside, 0, "records put aside", "expected"),
        ];
        self.closed = rows.postbacks;
        self.open_anew(client).await?;
        Ok(faults.into_iter().flatten().collect())
    }

    async fn open_anew(&mut self, client: &Client) -> Outcome {
        self.before = self.sums.all(client).await?;
        (self.clicks, self.postbacks) = (Acknowledged::default(), Acknowledged::default());
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
            aside: count(4),
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
    fn what_is_lost_and_what_is_doubled_is_found() {
        let acknowledged = Acknowledged {
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
