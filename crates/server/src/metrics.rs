//! `GET /metrics` for Prometheus, on a separate listener.

use std::io;
use std::net::TcpListener;
use std::path::PathBuf;
use std::time::Duration;

use actix_web::dev::Server;
use actix_web::{App, HttpResponse, HttpServer, web};
use chrono::{DateTime, Utc};
use delivery::Lateness;
use nix::sys::statvfs::statvfs;
use schema::{Db, DbError};
use telemetry::{CONTENT_TYPE, Scrape, catalog};
use tenancy::exchange_rates::fetch_status;
use tenancy::work::{Work, WorkState};
use tracking::Tracker;
use tracking::health::{Health, JournalHealth};

use crate::process;

/// Longest wait for figures from the database.
const DATABASE_TIMEOUT: Duration = Duration::from_secs(1);
/// Commit that the program was built from, if the build names it.
const COMMIT: Option<&str> = option_env!("CLICKLEDGER_COMMIT");

/// Parts of a node that a scrape reads.
#[derive(Clone)]
pub(crate) struct Node {
    /// Tracking paths.
    pub(crate) tracker: Tracker,
    /// Pool of the tracking paths.
    pub(crate) tracking_db: Db,
    /// Pool of the pages, which also answers the questions of a scrape.
    pub(crate) db: Db,
    /// Folder of the journals, in the data directory.
    pub(crate) journal: PathBuf,
    /// True if this node fetches reference rates.
    pub(crate) fetches_rates: bool,
    /// Lateness of the queue of deliveries.
    pub(crate) lateness: Lateness,
    /// Start of the server.
    pub(crate) started_at: DateTime<Utc>,
}

/// Serves `/metrics` and nothing else.
///
/// # Errors
/// Returns an error if the listener cannot be used.
pub(crate) fn listen(listener: TcpListener, node: Node) -> io::Result<Server> {
    let node = web::Data::new(node);
    let app = move || {
        App::new()
            .app_data(node.clone())
            .route("/metrics", web::get().to(show))
    };
    Ok(HttpServer::new(app)
        .workers(1)
        .disable_signals()
        .shutdown_timeout(1)
        .listen(listener)?
        .run())
}

async fn show(node: web::Data<Node>) -> HttpResponse {
    let mut scrape = Scrape::default();
    let health = node.tracker.health();
    add_health(&mut scrape, &health);
    add_pools(&mut scrape, &node);
    add_disks(&mut scrape, &node);
    process::add(&mut scrape);
    let version = env!("CARGO_PKG_VERSION");
    scrape.gauge(&catalog::BUILD_INFO, &[version, COMMIT.unwrap_or_default()], 1.0);
    let late = node.lateness.get().as_secs_f64();
    scrape.gauge(&catalog::DELIVERIES_LATE, &[], late);
    scrape.gauge(&catalog::PROCESS_START, &[], seconds(node.started_at));
    // Left out while the database does not answer.
    if let Ok(Ok(stored)) = tokio::time::timeout(DATABASE_TIMEOUT, Stored::read(&node)).await {
        scrape.gauge(&catalog::QUARANTINED, &[], stored.quarantined);
        if let Some(at) = stored.rates_fetched_at {
            scrape.gauge(&catalog::REFERENCE_RATES_FETCHED, &[], seconds(at));
        }
    }
    HttpResponse::Ok().content_type(CONTENT_TYPE).body(scrape.text())
}

/// Figures of the database.
struct Stored {
    quarantined: f64,
    rates_fetched_at: Option<DateTime<Utc>>,
}

impl Stored {
    #[expect(clippy::cast_precision_loss, reason = "gauges are floats")]
    async fn read(node: &Node) -> Result<Self, DbError> {
        let quarantined = monitoring::quarantine::count(&node.db).await?;
        let fetch = if node.fetches_rates {
            fetch_status(&mut *node.db.unscoped().await?).await?
        } else {
            None
        };
        Ok(Self {
            quarantined: quarantined as f64,
            rates_fetched_at: fetch.and_then(|fetch| fetch.fetched_at),
        })
    }
}

fn add_health(scrape: &mut Scrape, health: &Health) {
    scrape.gauge(&catalog::READY, &[], f64::from(u8::from(health.ready)));
    for journal in &health.journals {
        add_journal(scrape, journal);
    }
    for name in tracking::health::ALARMS {
        let fires = health.alarms.iter().any(|alarm| alarm.name == name);
        scrape.gauge(&catalog::ALARM, &[name], f64::from(u8::from(fires)));
    }
    for work in Work::ALL {
        let state = health.work.iter().find(|state| state.work == work.as_str());
        add_work(scrape, *work, &state.cloned().unwrap_or_default());
    }
}

#[expect(clippy::cast_precision_loss, reason = "Prometheus counts in floats")]
fn add_journal(scrape: &mut Scrape, journal: &JournalHealth) {
    let stream = [&*journal.stream];
    let unapplied = journal.next.saturating_sub(journal.applied);
    for (metric, value) in [
        (
            &catalog::JOURNAL_OLDEST_UNAPPLIED,
            journal.oldest_unapplied_seconds,
        ),
        (&catalog::JOURNAL_FREE, journal.free),
        (&catalog::JOURNAL_UNAPPLIED, unapplied as f64),
        (&catalog::JOURNAL_BYTES, journal.bytes as f64),
        (&catalog::JOURNAL_SYNC_P99, journal.sync_p99_seconds),
    ] {
        scrape.gauge(metric, &stream, value);
    }
    scrape.total(&catalog::JOURNAL_REFUSED, &stream, journal.refused as f64);
    scrape.total(&catalog::JOURNAL_DAMAGED, &stream, journal.damaged as f64);
}

#[expect(clippy::cast_precision_loss, reason = "Prometheus counts in floats")]
fn add_work(scrape: &mut Scrape, work: Work, state: &WorkState) {
    let label = [work.code()];
    if let Some(at) = state.ran_at {
        scrape.gauge(&catalog::WORK_LAST_SUCCESS, &label, seconds(at));
    }
    let fails = f64::from(u8::from(state.is_failing()));
    scrape.gauge(&catalog::WORK_FAILING, &label, fails);
    scrape.total(&catalog::WORK_DONE, &label, state.done as f64);
}

#[expect(clippy::cast_precision_loss, reason = "gauges are floats")]
fn add_pools(scrape: &mut Scrape, node: &Node) {
    for (name, db) in [("tracking", &node.tracking_db), ("pages", &node.db)] {
        let state = db.state();
        let metric = &catalog::POOL_CONNECTIONS;
        scrape.gauge(metric, &[name, "busy"], state.busy as f64);
        scrape.gauge(metric, &[name, "idle"], state.idle as f64);
        scrape.gauge(&catalog::POOL_LIMIT, &[name], state.limit as f64);
    }
}

/// Adds the disks of the journals and of the data directory around them, which may be different ones.
#[expect(clippy::cast_precision_loss, reason = "gauges are floats")]
fn add_disks(scrape: &mut Scrape, node: &Node) {
    let journal = node.journal.as_path();
    for (name, folder) in [("data", journal.parent()), ("journal", Some(journal))] {
        // Left out while the disk does not answer.
        let Some(disk) = folder.and_then(|folder| statvfs(folder).ok()) else {
            continue;
        };
        let bytes = |blocks: u64| (blocks * disk.fragment_size()) as f64;
        scrape.gauge(&catalog::DISK_FREE, &[name], bytes(disk.blocks_available()));
        scrape.gauge(&catalog::DISK_SIZE, &[name], bytes(disk.blocks()));
    }
}

/// Seconds since 1970.
#[expect(clippy::cast_precision_loss, reason = "milliseconds are exact for millennia")]
fn seconds(at: DateTime<Utc>) -> f64 {
    at.timestamp_millis() as f64 / 1e3
}
