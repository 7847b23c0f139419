//! Wiring: one database, two listeners, and their orderly end.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::time::Duration;

use actix_web::dev::{Server, ServerHandle};
use actix_web::{App, HttpResponse, HttpServer, web};
use api::{Api, ApiSettings};
use dashboard::{Dashboard, DashboardSettings};
use ipnet::IpNet;
use schema::{Db, clock};
use tenancy::networks::host_of;
use tenancy::{Mailer, Secret, sessions};
use tokio::task::JoinHandle;
use tracking::{JournalSettings, StartError, Tracker, TrackerSettings, WhenDiskFails};

use crate::{health, metrics, tracking_host};

/// Connections of the tracking paths and of the pages: apart, so that reports cannot starve clicks.
const TRACKING_CONNECTIONS: usize = 16;
const DASHBOARD_CONNECTIONS: usize = 8;
/// How long a statement may run before Postgres gives it up.
const LONGEST_TRACKING_STATEMENT: Duration = Duration::from_secs(5);
const LONGEST_PAGE_STATEMENT: Duration = Duration::from_secs(15);
/// How long requests in flight are given to end, in seconds.
pub(crate) const DRAIN_SECONDS: u64 = 10;
/// How long what is journaled is given to be applied at the end: what is left then is applied by the next process.
const APPLY_TIME: Duration = Duration::from_secs(5);
/// How long a client may take to send its headers.
const HEADER_TIME: Duration = Duration::from_secs(15);

/// What to serve, and where.
pub struct ServeSettings {
    /// A migrated database.
    pub database_url: String,
    /// The installation's secret.
    pub secret: Secret,
    /// A bound listener for the dashboard.
    pub dashboard: TcpListener,
    /// A bound listener for clicks and postbacks.
    pub tracking: TcpListener,
    /// Where browsers reach the dashboard; where it listens if not given.
    pub dashboard_url: Option<String>,
    /// Where visitors reach the tracking host; where it listens if not given.
    pub tracking_url: Option<String>,
    /// A bound listener for Prometheus, where somebody wants metrics.
    pub metrics: Option<TcpListener>,
    /// Whether the listeners are shared with a process that takes over: then nothing is accepted while draining.
    pub hands_over: bool,
    /// For how long answers ask their connections to be closed before the server stops.
    pub drain: Duration,
    /// How journals are kept.
    pub journal: JournalSettings,
    /// What becomes of a visitor whose click cannot be journaled.
    pub when_disk_fails: WhenDiskFails,
    /// How long clicks are kept; for ever if not given.
    pub keep_clicks_months: Option<u32>,
    /// Files that tell countries and autonomous systems by address.
    pub places: Vec<PathBuf>,
    /// The header in which a trusted proxy says the visitor's country.
    pub country_header: Option<String>,
    /// Proxies whose `X-Forwarded-For` and `X-Forwarded-Proto` are believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Sends mails, where a server for them is configured.
    pub mailer: Mailer,
    /// Whether a stranger may sign a network up.
    pub allow_sign_up: bool,
    /// Where what a network owned is written before it is erased.
    pub exports: PathBuf,
    /// How often the API may be called in a minute ([`api::CALLS_PER_MINUTE`] unless there is a reason).
    pub api_calls_per_minute: u32,
}

/// Why the server did not start.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// A listener cannot be used.
    #[error(transparent)]
    Listener(#[from] io::Error),
    /// Tracking cannot start.
    #[error(transparent)]
    Tracking(#[from] StartError),
}

/// A running server.
pub struct Running {
    /// Where browsers reach the dashboard.
    pub dashboard_url: String,
    /// Where visitors reach the tracking host.
    pub tracking_url: String,
    /// The tracking paths, for what happens inside the process (the demo's history).
    pub tracker: Tracker,
    /// A pool for what happens inside the process.
    pub db: Db,
    drain: Duration,
    hands_over: bool,
    servers: Vec<(ServerHandle, JoinHandle<io::Result<()>>)>,
}

/// Binds a listener, and says what to do when somebody else has the port.
///
/// # Errors
/// With the address in the text.
pub fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    TcpListener::bind(address)
        .map_err(|error| io::Error::new(error.kind(), format!("cannot listen on {address}: {error}")))
}

/// Starts serving on the current runtime.
///
/// # Errors
/// When a listener or the journals cannot be used.
pub fn start(settings: ServeSettings) -> Result<Running, ServeError> {
    let dashboard_url = url(settings.dashboard_url, &settings.dashboard)?;
    let tracking_url = url(settings.tracking_url, &settings.tracking)?;
    let tracking_db = Db::new(
        &settings.database_url,
        TRACKING_CONNECTIONS,
        LONGEST_TRACKING_STATEMENT,
    );
    let db = Db::new(
        &settings.database_url,
        DASHBOARD_CONNECTIONS,
        LONGEST_PAGE_STATEMENT,
    );
    let journals = settings.journal.folder.clone();
    let tracker = Tracker::start(TrackerSettings {
        db: tracking_db.clone(),
        secret: settings.secret.clone(),
        dashboard_url: dashboard_url.clone(),
        tracking_url: tracking_url.clone(),
        database_url: settings.database_url,
        trusted_proxies: settings.trusted_proxies.clone(),
        country_header: settings.country_header,
        places: settings.places,
        journal: settings.journal,
        when_disk_fails: settings.when_disk_fails,
        keep_clicks_months: settings.keep_clicks_months,
    })?;
    let api = Api::new(ApiSettings {
        db: db.clone(),
        secret: settings.secret.clone(),
        tracking_url: tracking_url.clone(),
        dashboard_url: dashboard_url.clone(),
        mailer: settings.mailer.clone(),
        client_address: tracking::intake::client_ip,
        trusted_proxies: settings.trusted_proxies.clone(),
        reserved_hosts: vec![host_of(&dashboard_url), host_of(&tracking_url)],
        calls_per_minute: settings.api_calls_per_minute,
    });
    let mailer = settings.mailer.clone();
    let pages = Dashboard::new(DashboardSettings {
        db: db.clone(),
        secret: settings.secret,
        dashboard_url: dashboard_url.clone(),
        tracking_url: tracking_url.clone(),
        trusted_proxies: settings.trusted_proxies,
        mailer: settings.mailer,
        allow_sign_up: settings.allow_sign_up,
        exports: settings.exports,
        journals,
        tracker: tracker.clone(),
    });
    sweep_sessions(db.clone());
    tokio::spawn(tracking::alerts::keep_watch(
        db.clone(),
        mailer,
        dashboard_url.clone(),
    ));

    let (api, pages) = (web::Data::new(api), web::Data::new(pages));
    let tracking = tracking_host::listen(settings.tracking, tracker.clone())?;
    let dashboard = listen_for_browsers(settings.dashboard, tracker.clone(), api, pages)?;
    let mut servers = vec![spawn(tracking), spawn(dashboard)];
    if let Some(listener) = settings.metrics {
        servers.push(spawn(metrics::listen(listener, tracker.clone(), db.clone())?));
    }
    Ok(Running {
        dashboard_url,
        tracking_url,
        tracker,
        db,
        drain: settings.drain,
        hands_over: settings.hands_over,
        servers,
    })
}

impl Running {
    /// Lets requests in flight end and their connections close, applies what is journaled, and returns.
    pub async fn stop(self) {
        self.tracker.drain();
        if !self.drain.is_zero() {
            for (handle, _) in self.servers.iter().filter(|_| self.hands_over) {
                handle.pause().await;
            }
            // Whoever sends a request meanwhile is answered, and told that the connection ends.
            tokio::time::sleep(self.drain).await;
        }
        for (handle, _) in &self.servers {
            drop(handle.stop(true));
        }
        for (_, server) in self.servers {
            if let Ok(Err(error)) = server.await {
                tracing::error!(%error, "listener ended badly");
            }
        }
        self.tracker.close(APPLY_TIME).await;
    }
}

/// Removes ended sessions every hour, on every node: they open nothing, but they name browsers and addresses.
fn sweep_sessions(db: Db) {
    tokio::spawn(async move {
        let mut hourly = tokio::time::interval(Duration::from_secs(3600));
        loop {
            hourly.tick().await;
            let swept = async {
                let mut conn = db.unscoped().await?;
                Ok::<_, schema::DbError>(sessions::sweep(&mut conn, clock::now()).await?)
            };
            if let Err(error) = swept.await {
                tracing::warn!(%error, "ended sessions not removed");
            }
        }
    });
}

fn url(given: Option<String>, listener: &TcpListener) -> io::Result<String> {
    match given {
        Some(url) => Ok(url.trim_end_matches('/').to_owned()),
        None => Ok(format!("http://{}", listener.local_addr()?)),
    }
}

fn spawn(server: Server) -> (ServerHandle, JoinHandle<io::Result<()>>) {
    (server.handle(), tokio::spawn(server))
}

/// The pages, the API and `/health/…`.
fn listen_for_browsers(
    listener: TcpListener,
    tracker: Tracker,
    api: web::Data<Api>,
    pages: web::Data<Dashboard>,
) -> io::Result<Server> {
    let app = move || {
        let tracker = tracker.clone();
        let live = || async { HttpResponse::from(health::live()) };
        let ready = move || {
            let tracker = tracker.clone();
            async move { HttpResponse::from(health::ready(&tracker)) }
        };
        App::new()
            .route("/health/live", web::get().to(live))
            .route("/health/ready", web::get().to(ready))
            .app_data(api.clone())
            .app_data(pages.clone())
            .configure(api::configure)
            .configure(dashboard::configure)
    };
    Ok(HttpServer::new(app)
        .client_request_timeout(HEADER_TIME)
        .disable_signals()
        .shutdown_timeout(DRAIN_SECONDS)
        .listen(listener)?
        .run())
}
