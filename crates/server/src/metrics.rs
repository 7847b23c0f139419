//! `GET /metrics` for Prometheus, on a separate listener.

use std::io;
use std::net::TcpListener;
use std::sync::OnceLock;
use std::time::Duration;

use actix_web::dev::Server;
use actix_web::{App, HttpResponse, HttpServer, web};
use metrics::{describe_gauge, gauge};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use schema::Db;
use tracking::Tracker;

/// Recorder of the process. Counters created before the recorder count nothing.
static RECORDER: OnceLock<Option<PrometheusHandle>> = OnceLock::new();
/// Time between upkeeps of the recorder, which bound its memory.
const UPKEEP_INTERVAL: Duration = Duration::from_secs(5);
/// Longest wait for figures from the database.
const DATABASE_TIMEOUT: Duration = Duration::from_secs(1);

/// Installs the recorder. Must run before any counter is created.
///
/// # Errors
/// Returns an error if another recorder is installed.
pub(crate) fn record() -> io::Result<()> {
    let handle = RECORDER.get_or_init(|| {
        let installed = PrometheusBuilder::new().install_recorder();
        installed
            .inspect_err(|error| tracing::error!(%error, "metrics not recorded"))
            .ok()
    });
    match handle {
        Some(_) => Ok(()),
        None => Err(io::Error::other("another recorder of metrics is installed")),
    }
}

/// Serves `/metrics` and nothing else.
///
/// # Errors
/// Returns an error if the listener cannot be used.
pub(crate) fn listen(listener: TcpListener, tracker: Tracker, db: Db) -> io::Result<Server> {
    describe();
    tokio::spawn(run_upkeep());
    let (tracker, db) = (web::Data::new(tracker), web::Data::new(db));
    let app = move || {
        App::new()
            .app_data(tracker.clone())
            .app_data(db.clone())
            .route("/metrics", web::get().to(show))
    };
    Ok(HttpServer::new(app)
        .workers(1)
        .disable_signals()
        .shutdown_timeout(1)
        .listen(listener)?
        .run())
}

fn describe() {
    describe_gauge!(
        "clickledger_journal_oldest_unapplied_seconds",
        "Age of the oldest record that is not in Postgres. Alarm above 30."
    );
    describe_gauge!(
        "clickledger_journal_free_ratio",
        "Free share of the journal's quota. Alarm below 0.2."
    );
    describe_gauge!(
        "clickledger_journal_unapplied_records",
        "Acknowledged records that are not durably in Postgres yet."
    );
    describe_gauge!("clickledger_journal_bytes", "Bytes of the journal on disk.");
    describe_gauge!(
        "clickledger_journal_sync_p99_seconds",
        "99th percentile of the duration of recent syncs. Alarm above 0.05."
    );
    describe_gauge!(
        "clickledger_journal_refused_records",
        "Records refused since the start."
    );
    describe_gauge!(
        "clickledger_journal_damaged",
        "Damaged places found since the start. Alarm above 0."
    );
    describe_gauge!(
        "clickledger_quarantined_records",
        "Records in quarantine. Alarm above 0."
    );
    describe_gauge!("clickledger_alarm", "1 for each firing alarm, by name.");
    describe_gauge!(
        "clickledger_ready",
        "1 while the node takes clicks and postbacks."
    );
}

async fn run_upkeep() {
    loop {
        tokio::time::sleep(UPKEEP_INTERVAL).await;
        if let Some(handle) = RECORDER.get().and_then(Option::as_ref) {
            handle.run_upkeep();
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "gauges are floats")]
async fn show(tracker: web::Data<Tracker>, db: web::Data<Db>) -> HttpResponse {
    let health = tracker.health();
    gauge!("clickledger_ready").set(if health.ready { 1.0 } else { 0.0 });
    for journal in &health.journals {
        let stream = [("stream", journal.stream.to_string())];
        gauge!("clickledger_journal_oldest_unapplied_seconds", &stream).set(journal.oldest_unapplied_seconds);
        gauge!("clickledger_journal_free_ratio", &stream).set(journal.free);
        gauge!("clickledger_journal_unapplied_records", &stream)
            .set(journal.next.saturating_sub(journal.applied) as f64);
        gauge!("clickledger_journal_bytes", &stream).set(journal.bytes as f64);
        gauge!("clickledger_journal_sync_p99_seconds", &stream).set(journal.sync_p99_seconds);
        gauge!("clickledger_journal_refused_records", &stream).set(journal.refused as f64);
        gauge!("clickledger_journal_damaged", &stream).set(journal.damaged as f64);
    }
    for name in tracking::health::ALARMS {
        let fires = health.alarms.iter().any(|alarm| alarm.name == name);
        gauge!("clickledger_alarm", "name" => name).set(if fires { 1.0 } else { 0.0 });
    }
    // Left out while the database does not answer.
    let counting = monitoring::quarantine::count(&db);
    if let Ok(Ok(quarantined)) = tokio::time::timeout(DATABASE_TIMEOUT, counting).await {
        gauge!("clickledger_quarantined_records").set(quarantined as f64);
    }
    match RECORDER.get().and_then(Option::as_ref) {
        Some(handle) => HttpResponse::Ok()
            .content_type("text/plain; version=0.0.4")
            .body(handle.render()),
        None => HttpResponse::ServiceUnavailable().finish(),
    }
}
