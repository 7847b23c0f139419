//! Sample of the server: what it needed in a simulated quarter of an hour.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use tokio_postgres::Client;

use crate::Outcome;
use crate::driver::{End, Record, Tally};
use crate::http::Connection;
use crate::world::World;

/// Sample.
pub(super) struct Sample {
    /// Figures of the process at the end.
    pub(super) seen: Seen,
    /// Clicks acknowledged in a real second.
    pub(super) clicks_per_second: f64,
    /// Size of the journals at the end.
    pub(super) journal_mib: f64,
    /// Bytes by which the database grew for each acknowledged event.
    pub(super) bytes_per_event: f64,
    /// Median and 99th percentile of the latency of clicks, in real milliseconds.
    pub(super) clicks: (f64, f64),
    /// The same of postbacks.
    pub(super) postbacks: (f64, f64),
}

/// Figures of the process, from its metrics.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Seen {
    /// Resident memory.
    pub(super) memory_mib: f64,
    /// Open files and sockets.
    pub(super) files: f64,
    /// Threads.
    pub(super) threads: f64,
    /// Rounds of the continuous backup since the start.
    pub(super) rounds: u64,
    /// Names of raised alarms, and of work that fails.
    pub(super) alarms: Vec<String>,
}

/// Observer of a world, which remembers the state at the end of the last sample.
pub(super) struct Observer {
    metrics: SocketAddr,
    client: Client,
    record: Record,
    database_bytes: i64,
    events: u64,
}

impl Observer {
    /// Begins to observe.
    pub(super) async fn new(world: &World, metrics: SocketAddr) -> Outcome<Self> {
        let mut observer = Self {
            metrics,
            client: world.cluster.client().await?,
            record: world.driver.record(),
            database_bytes: 0,
            events: 0,
        };
        observer.database_bytes = observer.database_bytes_now().await?;
        Ok(observer)
    }

    /// Takes the sample since the last one, which took this real time.
    pub(super) async fn sample(&mut self, world: &World, real: Duration) -> Outcome<Sample> {
        let record = world.driver.record();
        let since = |now: &Record, then: &Record| {
            [(&now.clicks, &then.clicks), (&now.postbacks, &then.postbacks)].map(|(now, then)| {
                let now = now.get(&None).cloned().unwrap_or_default();
                now.since(&then.get(&None).cloned().unwrap_or_default())
            })
        };
        let [clicks, postbacks] = since(&record, &self.record);
        let database_bytes = self.database_bytes_now().await?;
        let (stored_clicks, stored_postbacks) = world.oracle.counted();
        let events = stored_clicks + stored_postbacks;
        let grown = (database_bytes - self.database_bytes) as f64;
        let sample = Sample {
            seen: self.look().await?,
            clicks_per_second: clicks.count(End::Acked) as f64 / real.as_secs_f64(),
            journal_mib: size(&world.node.journal())? as f64 / f64::from(1 << 20),
            bytes_per_event: grown / (events - self.events).max(1) as f64,
            clicks: latency(&clicks),
            postbacks: latency(&postbacks),
        };
        (self.record, self.database_bytes, self.events) = (record, database_bytes, events);
        Ok(sample)
    }

    /// Reads the metrics.
    pub(super) async fn look(&self) -> Outcome<Seen> {
        let mut connection = Connection::open(self.metrics).await?;
        let request = "GET /metrics HTTP/1.1\r\nHost: conserve\r\nConnection: close\r\n\r\n";
        let response = connection.send(request).await?;
        Ok(Seen::of(&String::from_utf8(response.body)?))
    }

    async fn database_bytes_now(&self) -> Outcome<i64> {
        let query = "SELECT pg_database_size(current_database())";
        Ok(self.client.query_one(query, &[]).await?.get(0))
    }
}

impl Seen {
    /// Reads the lines of the metrics.
    fn of(metrics: &str) -> Self {
        let mut seen = Self::default();
        for line in metrics.lines().filter(|line| !line.starts_with('#')) {
            let Some((name, value)) = line.rsplit_once(' ') else {
                continue;
            };
            let value: f64 = value.parse().unwrap_or_default();
            match name {
                "process_resident_memory_bytes" => seen.memory_mib = value / f64::from(1 << 20),
                "process_open_fds" => seen.files = value,
                "process_threads" => seen.threads = value,
                "clickledger_work_done_total{work=\"backup\"}" => seen.rounds = value as u64,
                _ if value > 0.0 && is_alarm(name) => seen.alarms.extend(label(name)),
                _ => {}
            }
        }
        seen
    }
}

fn is_alarm(metric: &str) -> bool {
    metric.starts_with("clickledger_alarm{") || metric.starts_with("clickledger_work_failing{")
}

/// Returns the value of a metric's only label.
fn label(metric: &str) -> Option<String> {
    metric.split('"').nth(1).map(str::to_owned)
}

fn latency(tally: &Tally) -> (f64, f64) {
    (tally.percentile(50), tally.percentile(99))
}

/// Returns the size of the files of a folder, in bytes.
fn size(folder: &Path) -> Outcome<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        match entry.metadata() {
            Ok(meta) if meta.is_dir() => bytes += size(&entry.path())?,
            Ok(meta) => bytes += meta.len(),
            // Removed meanwhile.
            Err(_) => {}
        }
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_and_alarms_are_read_from_metrics() {
        let metrics = "# HELP process_threads Threads.\nprocess_threads 23\nprocess_open_fds 56\n\
                       process_resident_memory_bytes 2097152\nclickledger_work_done_total{work=\"backup\"} 7\n\
                       clickledger_alarm{name=\"journal_late\"} 0\nclickledger_alarm{name=\"disk_slow\"} 1\n\
                       clickledger_work_failing{work=\"mails\"} 1\n";
        let expected = Seen {
            memory_mib: 2.0,
            files: 56.0,
            threads: 23.0,
            rounds: 7,
            alarms: vec!["disk_slow".to_owned(), "mails".to_owned()],
        };
        assert_eq!(Seen::of(metrics), expected);
    }
}
