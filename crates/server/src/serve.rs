//! Wiring: one database, two listeners, and their orderly end.

use std::future::ready;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use actix_http::HttpService;
use actix_http::error::DispatchError;
use actix_server::{Server, ServerHandle};
use actix_service::{ServiceFactoryExt, fn_service, map_config};
use actix_web::dev::AppConfig;
use actix_web::middleware::from_fn;
use actix_web::{App, HttpResponse, web};
use api::{Api, ApiSettings};
use dashboard::{Dashboard, DashboardSettings};
use delivery::{Caller, Engine, EngineSettings, Guard, Tester};
use schema::{Db, DbError, Opening, clock};
use tenancy::host_checks::{self, CheckNotices, Dns, HostChecker};
use tenancy::networks::ServedHosts;
use tenancy::{Mailer, Passwords, Secret, Urls, sessions};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tracing::{Instrument as _, info_span};
use tracking::{Proxies, StartError, StorageSettings, Tracker, TrackerSettings};
use url::Url;

use crate::config::UrlOptions;
use crate::idle_timeout::{DASHBOARD_IDLE_TIMEOUT, IdleTimeout};
use crate::tracking_host::TrackingHosts;
use crate::{health, metrics, reference_rates, request_span, tls_ask};

/// Connections of the tracking paths and of the pages, in separate pools so that reports cannot starve clicks.
const TRACKING_CONNECTIONS: usize = 16;
const DASHBOARD_CONNECTIONS: usize = 8;
/// Longest time Postgres may spend on a statement.
const TRACKING_STATEMENT_TIMEOUT: Duration = Duration::from_secs(5);
const PAGE_STATEMENT_TIMEOUT: Duration = Duration::from_secs(15);
/// Longest time for requests in flight to end, in seconds.
pub(crate) const DRAIN_SECONDS: u64 = 10;
/// Longest time to apply the journals at the end; the next process applies the rest.
const APPLY_TIMEOUT: Duration = Duration::from_secs(5);
/// Longest time for a client to send its headers.
const HEADER_TIMEOUT: Duration = Duration::from_secs(15);
/// Longest time that a postback waits for its verdict from a database that does not answer.
pub(crate) const SILENCE_TIMEOUT: Duration = Duration::from_millis(200);
/// Time between removals of ended sessions.
const SESSION_SWEEP_INTERVAL: Duration = Duration::from_secs(3600);

/// Settings of a server.
pub struct ServeSettings {
    /// Address of a database that is migrated once it is open.
    pub database_url: String,
    /// Opening of the database: until then, links that the node has kept redirect, postbacks wait, and pages answer 503.
    pub opening: Opening,
    /// Longest time that a postback waits for its verdict from a database that does not answer.
    pub patience: Duration,
    /// Secret of the installation.
    pub secret: Secret,
    /// Bound listeners.
    pub listeners: Listeners,
    /// Public base URLs; the default of each is the address of its listener.
    pub urls: UrlOptions,
    /// Tracking hosts of networks that are served.
    pub served_hosts: ServedHosts,
    /// DNS by which tracking hosts are proven.
    pub dns: Dns,
    /// Proxies in front of the listeners.
    pub proxies: Proxies,
    /// Files of the node, and retention of clicks.
    pub storage: StorageSettings,
    /// Databases of country and autonomous system by address.
    pub places: Vec<PathBuf>,
    /// URL of the European Central Bank's reference rates; None to fetch none.
    pub ecb_rates: Option<Url>,
    /// Guard of deliveries, with the addresses that the operator allows.
    pub guard: Guard,
    /// Sender of mails, if a mail server is configured.
    pub mailer: Mailer,
    /// True if visitors of the dashboard may sign up a network.
    pub allow_sign_up: bool,
    /// Limits of the API.
    pub limits: api::Limits,
    /// Time for which responses ask clients to close their connections before the server stops.
    pub drain: Duration,
}

/// Bound listeners of a server.
pub struct Listeners {
    /// Listener of the dashboard and the API.
    pub dashboard: TcpListener,
    /// Listener for clicks and postbacks.
    pub tracking: TcpListener,
    /// Listener for Prometheus; none without metrics.
    pub metrics: Option<TcpListener>,
    /// True if a process that takes over shares the listeners: then nothing is accepted while draining.
    pub are_shared: bool,
}

/// Reason why the server did not start.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// Unusable listener.
    #[error(transparent)]
    Listener(#[from] io::Error),
    /// Tracking that cannot start.
    #[error(transparent)]
    Tracking(#[from] StartError),
    /// Deliveries without TLS.
    #[error("deliveries cannot use TLS: {0}")]
    Tls(#[from] tokio_rustls::rustls::Error),
}

/// Running server.
pub struct Running {
    /// Public URL of the dashboard.
    pub dashboard_url: String,
    /// Public URL of the tracking host.
    pub tracking_url: String,
    /// Tracking paths, for uses inside the process (the demo's history).
    pub tracker: Tracker,
    /// Pool for uses inside the process.
    pub db: Db,
    engine: Engine,
    drain: Duration,
    are_listeners_shared: bool,
    tracking: TrackingHosts,
    servers: Vec<(ServerHandle, JoinHandle<io::Result<()>>)>,
}

/// Binds a listener.
///
/// # Errors
/// Returns an error if the address cannot be bound, with the address in the text.
pub fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    TcpListener::bind(address)
        .map_err(|error| io::Error::new(error.kind(), format!("cannot listen on {address}: {error}")))
}

/// Starts serving on the current runtime.
///
/// # Errors
/// Returns an error if a listener or the journals cannot be used.
#[tracing::instrument(name = "start_server", skip_all)]
pub fn start(settings: ServeSettings) -> Result<Running, ServeError> {
    let listeners = settings.listeners;
    let urls = Urls {
        served_hosts: settings.served_hosts,
        ..Urls::new(
            &url_or_address(settings.urls.dashboard_url, &listeners.dashboard)?,
            &url_or_address(settings.urls.tracking_url, &listeners.tracking)?,
        )
    };
    let hosts = HostChecker::new(settings.dns, &urls);
    let (opening, started_at) = (settings.opening, clock::now());
    let tracking_db = Db::measured(
        "tracking",
        &opening,
        &settings.database_url,
        TRACKING_CONNECTIONS,
        TRACKING_STATEMENT_TIMEOUT,
    );
    let db = Db::measured(
        "pages",
        &opening,
        &settings.database_url,
        DASHBOARD_CONNECTIONS,
        PAGE_STATEMENT_TIMEOUT,
    );
    let database_url = settings.database_url.clone();
    let tracker = Tracker::start(TrackerSettings {
        db: tracking_db.clone(),
        database_url: settings.database_url,
        opening: opening.clone(),
        patience: settings.patience,
        secret: settings.secret.clone(),
        urls: urls.clone(),
        proxies: settings.proxies.clone(),
        storage: settings.storage.clone(),
        places: settings.places,
    })?;
    let caller = Caller::new(settings.guard, settings.dns)?;
    let tester = Tester::new(caller.clone(), settings.secret.clone());
    let delivery = EngineSettings {
        database_url,
        db: db.clone(),
        secret: settings.secret.clone(),
        caller,
        mailer: settings.mailer.clone(),
        dashboard_url: urls.dashboard.clone(),
        signals: tracker.changes().events(),
        set_alarm: {
            let tracker = tracker.clone();
            Box::new(move |message| tracker.set_alarm("deliveries_late", message))
        },
        works: tracker.works().clone(),
    };
    let reports = reports::Engine::default();
    let passwords = Passwords::new();
    let api = Api::new(ApiSettings {
        db: db.clone(),
        secret: settings.secret.clone(),
        urls: urls.clone(),
        proxies: settings.proxies.clone(),
        reports: reports.clone(),
        mailer: settings.mailer.clone(),
        passwords: passwords.clone(),
        deliveries: tester.clone(),
        limits: settings.limits,
        tracker: tracker.clone(),
        hosts: hosts.clone(),
    });
    let sender = reports::mails::Sender {
        reports: reports.clone(),
        db: db.clone(),
        mailer: settings.mailer.clone(),
        dashboard_url: urls.dashboard.clone(),
        secret: settings.secret.clone(),
        works: tracker.works().clone(),
    };
    let pages = Dashboard::new(DashboardSettings {
        db: db.clone(),
        secret: settings.secret,
        urls: urls.clone(),
        proxies: settings.proxies,
        storage: settings.storage.clone(),
        reports,
        mailer: settings.mailer.clone(),
        passwords,
        allow_sign_up: settings.allow_sign_up,
        deliveries: tester,
        tracker: tracker.clone(),
        hosts: hosts.clone(),
    });
    let notices = CheckNotices {
        mailer: settings.mailer.clone(),
        dashboard_url: urls.dashboard.clone(),
    };
    let checking = host_checks::keep_checking(db.clone(), hosts, notices, tracker.works().clone());
    tokio::spawn(opening.clone().then(checking));
    tokio::spawn(opening.clone().then(sweep_sessions(db.clone())));
    let fetches_rates = settings.ecb_rates.is_some();
    if let Some(url) = settings.ecb_rates {
        let fetching = reference_rates::keep_fetching(db.clone(), url);
        tokio::spawn(opening.clone().then(fetching));
    }
    let sending = reports::mails::keep_sending(sender.clone());
    tokio::spawn(opening.clone().then(sending));
    tokio::spawn(opening.clone().then(reports::files::keep_preparing(sender)));
    let watching = monitoring::alerts::keep_watch(
        db.clone(),
        settings.mailer,
        urls.dashboard.clone(),
        tracker.works().clone(),
    );
    let engine = Engine::start(delivery, &opening);
    tokio::spawn(opening.then(watching));

    let (api, pages) = (web::Data::new(api), web::Data::new(pages));
    let tracking = TrackingHosts::listen(&listeners.tracking, &tracker)?;
    let own_hosts = urls.reserved_hosts().into();
    let dashboard = listen_for_browsers(listeners.dashboard, tracker.clone(), own_hosts, api, pages)?;
    let mut servers = vec![spawn(dashboard)];
    if let Some(listener) = listeners.metrics {
        let node = metrics::Node {
            tracker: tracker.clone(),
            tracking_db,
            db: db.clone(),
            journal: settings.storage.journal.folder,
            fetches_rates,
            lateness: engine.lateness(),
            started_at,
        };
        servers.push(spawn(metrics::listen(listener, node)?));
    }
    Ok(Running {
        dashboard_url: urls.dashboard,
        tracking_url: urls.tracking,
        tracker,
        db,
        engine,
        drain: settings.drain,
        are_listeners_shared: listeners.are_shared,
        tracking,
        servers,
    })
}

impl Running {
    /// Lets requests in flight end and their connections close, applies the journals, and returns.
    #[tracing::instrument(name = "stop_server", skip_all)]
    pub async fn stop(self) {
        self.tracker.drain();
        if !self.drain.is_zero() {
            if self.are_listeners_shared {
                self.tracking.pause();
                for (handle, _) in &self.servers {
                    handle.pause().await;
                }
            }
            // Clients that send a request meanwhile get a response that closes their connection.
            tokio::time::sleep(self.drain).await;
        }
        for (handle, _) in &self.servers {
            // Sends the command at once; the listeners end together and are awaited below.
            drop(handle.stop(true));
        }
        self.tracking.stop().await;
        for (_, server) in self.servers {
            match server.await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::error!(%error, "listener ended with an error"),
                Err(error) => tracing::error!(%error, "listener panicked"),
            }
        }
        self.tracker.close(APPLY_TIMEOUT).await;
        self.engine.stop().await;
    }
}

/// Removes ended sessions every hour, on every node: they are of no use and identify browsers and addresses.
async fn sweep_sessions(db: Db) {
    let mut interval = tokio::time::interval(SESSION_SWEEP_INTERVAL);
    loop {
        interval.tick().await;
        let sweep = async {
            let swept = async {
                let mut conn = db.unscoped().await?;
                Ok::<_, DbError>(sessions::sweep(&mut conn, clock::now()).await?)
            };
            if let Err(error) = swept.await {
                tracing::warn!(%error, "ended sessions not removed");
            }
        };
        sweep.instrument(info_span!("sweep_sessions")).await;
    }
}

fn url_or_address(url: Option<String>, listener: &TcpListener) -> io::Result<String> {
    match url {
        Some(url) => Ok(url),
        None => Ok(format!("http://{}", listener.local_addr()?)),
    }
}

fn spawn(server: Server) -> (ServerHandle, JoinHandle<io::Result<()>>) {
    (server.handle(), tokio::spawn(server))
}

/// Serves the pages, the API, `/health/…` and `/tls/ask`.
fn listen_for_browsers(
    listener: TcpListener,
    tracker: Tracker,
    own_hosts: Arc<[String]>,
    api: web::Data<Api>,
    pages: web::Data<Dashboard>,
) -> io::Result<Server> {
    let app = move || {
        let (tracker, asked, own_hosts) = (tracker.clone(), tracker.clone(), own_hosts.clone());
        let ask = move |query: web::Query<tls_ask::Asked>| {
            let (tracker, own_hosts) = (asked.clone(), own_hosts.clone());
            async move { tls_ask::answer(tracker, &own_hosts, query).await }
        };
        let live = || async { HttpResponse::from(health::live()) };
        let ready = move || {
            let tracker = tracker.clone();
            async move { HttpResponse::from(health::ready(&tracker)) }
        };
        App::new()
            .wrap(from_fn(request_span::of_dashboard))
            .route("/health/live", web::get().to(live))
            .route("/health/ready", web::get().to(ready))
            .route("/tls/ask", web::get().to(ask))
            .app_data(api.clone())
            .app_data(pages.clone())
            .configure(api::configure)
            .configure(dashboard::configure)
    };
    // In place of `HttpServer`, which limits only the time for the headers of a connection's first request.
    let server = Server::build().disable_signals().shutdown_timeout(DRAIN_SECONDS);
    let stopping = server.graceful_shutdown_signal();
    let server = server.listen("dashboard", listener, move || {
        let stopping = stopping.clone();
        let http = HttpService::build()
            .graceful_shutdown_signal(move || {
                let stopping = stopping.clone();
                async move { stopping.notified().await }
            })
            .client_request_timeout(HEADER_TIMEOUT)
            .h1(map_config(app(), |()| AppConfig::default()));
        let connected = |stream: TcpStream| {
            let peer = stream.peer_addr().ok();
            ready(Ok::<_, DispatchError>((
                IdleTimeout::new(stream, DASHBOARD_IDLE_TIMEOUT),
                peer,
            )))
        };
        fn_service(connected).and_then(http)
    })?;
    Ok(server.run())
}
