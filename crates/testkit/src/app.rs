//! The real server on free ports, with a small network in it.

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::Duration;

use chrono::{DateTime, TimeDelta};
use delivery::{Allowed, Guard};
use diesel::QueryableByName;
use diesel::sql_types::{BigInt, Integer, Text};
use diesel_async::RunQueryDsl;
use ipnet::IpNet;
use monitoring::verify::{self, Period};
use postbacks::trace::Trace;
use schema::{Db, NetworkConn, NetworkId, Opening, clock};
use server::config::UrlOptions;
use server::serve::{self, Listeners, Running, ServeSettings};
use tenancy::host_checks::Dns;
use tenancy::networks::{self, ServedHosts};
use tenancy::{Mailer, Secret};
use tracking::{JournalSettings, Proxies, StorageSettings, WhenDiskFails};

use crate::actors::{AdvertiserServer, Member, Visitor};
use crate::postgres::TestDatabase;
use crate::scene::{Scene, SignIn};

/// Running server with its database and scene.
pub struct TestApp {
    /// URL of the dashboard.
    pub dashboard_url: String,
    /// URL of the tracking host.
    pub tracking_url: String,
    /// Database of the server.
    pub database: TestDatabase,
    /// Pool for looking at stored rows.
    pub db: Db,
    /// Network with one of everything.
    pub scene: Scene,
    /// Folder of the exports of erased networks.
    pub exports: tempfile::TempDir,
    /// Folder of the journals.
    pub journal: tempfile::TempDir,
    /// Secret of the installation.
    pub secret: Secret,
    running: Option<Running>,
    finished: bool,
}

/// Differences of a test's server from the default.
#[derive(Default)]
pub struct TestOptions {
    /// Sender of mails; sends none by default.
    pub mailer: Mailer,
    /// Proxies whose headers are believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Header in which a trusted proxy names the visitor's country.
    pub country_header: Option<String>,
    /// Databases of countries by address.
    pub places: Vec<PathBuf>,
    /// API calls per minute; none for the default.
    pub calls_per_minute: Option<u32>,
    /// URL of the European Central Bank's reference rates; none by default.
    pub ecb_rates: Option<String>,
    /// DNS server that checks tracking hosts; by default none answers.
    pub dns_server: Option<SocketAddr>,
    /// True if only proven tracking hosts are served.
    pub require_host_proof: bool,
    /// Public URL of the tracking host; that of its listener by default.
    pub tracking_url: Option<String>,
    /// Addresses that deliveries may go to; loopback by default.
    pub delivery_allowed: Option<Vec<Allowed>>,
    /// Database to serve; a new one if None.
    pub database: Option<TestDatabase>,
}

impl TestApp {
    /// Starts a server on a fresh database with a scene in it.
    pub async fn spawn() -> Self {
        Self::spawn_with(TestOptions::default()).await
    }

    /// Starts a server with options.
    pub async fn spawn_with(options: TestOptions) -> Self {
        let exports = tempfile::tempdir().expect("folder for exports");
        let database = match options.database {
            Some(database) => database,
            None => TestDatabase::create().await,
        };
        let tracking = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let tracking_host = tracking.local_addr().expect("bound").to_string();
        let journal = tempfile::tempdir().expect("folder for journals");
        let secret = Secret::random();
        let mut settings = node(&database, &secret, journal.path(), exports.path());
        settings.listeners.tracking = tracking;
        settings.proxies = Proxies {
            trusted: options.trusted_proxies.into(),
            country_header: options.country_header.map(Into::into),
        };
        if let Some(server) = options.dns_server {
            settings.dns = Dns::new(Some(server));
        }
        if options.require_host_proof {
            settings.served_hosts = ServedHosts::Proven;
        }
        settings.urls.tracking_url = options.tracking_url;
        settings.places = options.places;
        settings.ecb_rates = options.ecb_rates.map(|url| url.parse().expect("a URL"));
        settings.mailer = options.mailer;
        if let Some(allowed) = options.delivery_allowed {
            settings.guard = Guard::new(allowed);
        }
        if let Some(calls_per_minute) = options.calls_per_minute {
            settings.limits.calls_per_minute = calls_per_minute;
        }
        let running = serve::start(settings).expect("the server starts");
        let db = Db::new(&database.url, 4, Duration::from_secs(15));
        let scene = Scene::set(&db, "Orbit", &tracking_host).await;
        Self {
            dashboard_url: running.dashboard_url.clone(),
            tracking_url: format!("http://{tracking_host}"),
            database,
            db,
            scene,
            exports,
            journal,
            secret,
            running: Some(running),
            finished: false,
        }
    }

    /// Starts another node of the same installation, whose tracking host belongs to the scene's network too.
    pub async fn another_node(&self) -> Running {
        self.another_node_with(|_| ()).await
    }

    /// Starts another node with other settings of its storage.
    pub async fn another_node_with(&self, set: impl FnOnce(&mut StorageSettings)) -> Running {
        let mut settings = node(
            &self.database,
            &self.secret,
            self.journal.path(),
            self.exports.path(),
        );
        set(&mut settings.storage);
        let host = settings.listeners.tracking.local_addr().expect("bound");
        let running = serve::start(settings).expect("the node starts");
        diesel::sql_query("INSERT INTO tracking_hosts (host, network_id) VALUES ($1, $2)")
            .bind::<Text, _>(host.to_string())
            .bind::<Integer, _>(self.scene.network.id)
            .execute(&mut self.database.owner().await)
            .await
            .expect("a separate host");
        running
    }

    /// Returns a visitor of the scene's link.
    #[must_use]
    pub fn visitor(&self) -> Visitor {
        Visitor::new(&self.tracking_url, &self.scene.alias)
    }

    /// Returns a visitor of another link.
    #[must_use]
    pub fn visitor_of(&self, alias: &str) -> Visitor {
        Visitor::new(&self.tracking_url, alias)
    }

    /// Returns the advertiser's server, which sends its token.
    #[must_use]
    pub fn advertiser(&self) -> AdvertiserServer {
        AdvertiserServer::new(&self.tracking_url, &self.scene.token)
    }

    /// Returns the advertiser's server, which sends its postbacks to another node.
    #[must_use]
    pub fn advertiser_of(&self, node: &Running) -> AdvertiserServer {
        AdvertiserServer::new(&node.tracking_url, &self.scene.token)
    }

    /// Signs a person in to the dashboard.
    pub async fn sign_in(&self, person: &SignIn) -> Member {
        self.stranger().sign_in(&person.email, &person.password).await
    }

    /// Returns a visitor of the dashboard who has not signed in.
    #[must_use]
    pub fn stranger(&self) -> Member {
        Member::stranger(&self.dashboard_url).watching(&self.running().tracker)
    }

    /// Waits until every acknowledged event is in the database.
    pub async fn settled(&self) {
        if let Some(running) = &self.running {
            running.tracker.settled().await;
        }
    }

    /// Returns the running server.
    #[must_use]
    pub fn running(&self) -> &Running {
        self.running.as_ref().expect("runs until the test ends")
    }

    /// Waits until every acknowledged event is stored, and begins a transaction on the scene's network.
    pub async fn network(&self) -> NetworkConn {
        self.settled().await;
        self.db
            .network(self.scene.network.id)
            .await
            .expect("test database answers")
    }

    /// Changes the database directly, for example to make time pass.
    ///
    /// # Panics
    /// When the statement fails.
    pub async fn execute(&self, sql: &str) {
        let mut conn = self.database.owner().await;
        diesel::sql_query(sql)
            .execute(&mut conn)
            .await
            .expect("a statement");
    }

    /// Waits until every acknowledged event is stored, and returns a number from the database.
    pub async fn count(&self, sql: &str) -> i64 {
        self.settled().await;
        #[derive(QueryableByName)]
        struct Count {
            #[diesel(sql_type = BigInt)]
            count: i64,
        }
        let mut conn = self.database.owner().await;
        let sql = format!("SELECT ({sql})::bigint AS count");
        let found: Count = diesel::sql_query(&sql)
            .get_result(&mut conn)
            .await
            .unwrap_or_else(|error| panic!("{sql}: {error}"));
        found.count
    }

    /// Waits until every acknowledged event is stored, and returns a text from the database.
    pub async fn text(&self, sql: &str) -> String {
        self.settled().await;
        #[derive(QueryableByName)]
        struct Value {
            #[diesel(sql_type = Text)]
            value: String,
        }
        let mut conn = self.database.owner().await;
        let sql = format!("SELECT ({sql})::text AS value");
        let found: Value = diesel::sql_query(&sql)
            .get_result(&mut conn)
            .await
            .unwrap_or_else(|error| panic!("{sql}: {error}"));
        found.value
    }

    /// Checks of the latest stored postback with a condition, in JSON: an array of `[check, result, words]`.
    pub async fn trace(&self, condition: &str) -> String {
        let sql = format!("SELECT trace FROM postbacks WHERE {condition} ORDER BY id DESC LIMIT 1");
        let stored = self.text(&sql).await;
        let trace = Trace::from_text(&stored).unwrap_or_else(|| panic!("no trace: {stored}"));
        serde_json::to_string(&trace).unwrap()
    }

    /// Checks the invariants and stops the server; every test ends with this call.
    pub async fn finish(mut self) {
        for (invariant, sql) in INVARIANTS {
            assert_eq!(self.count(sql).await, 0, "violated: {invariant}");
        }
        self.verify().await;
        self.finished = true;
        if let Some(running) = self.running.take() {
            running.stop().await;
        }
    }

    /// Stops the server and keeps its database, for a test that goes on without it.
    pub async fn stop_server(&mut self) {
        self.finished = true;
        if let Some(running) = self.running.take() {
            running.stop().await;
        }
    }

    /// Stops the server without the check, for a test that removes acknowledged events on purpose.
    pub async fn stop_unverified(mut self) {
        self.stop_server().await;
    }

    /// Verifies for every network that every acknowledged event is stored, summed and booked.
    async fn verify(&self) {
        let now = clock::now();
        let always = Period {
            from: DateTime::UNIX_EPOCH,
            to: now + TimeDelta::days(1),
        };
        let ids = self
            .text("SELECT coalesce(string_agg(id::text, ','), '') FROM networks")
            .await;
        for id in ids.split(',').filter_map(|id| id.parse().ok()).map(NetworkId) {
            let mut conn = self.db.network(id).await.expect("test database answers");
            let network = networks::current(&mut conn).await.expect("the network exists");
            let found = verify::verify(&mut conn, &network, self.journal.path(), always, now).await;
            let found = found.unwrap_or_else(|error| panic!("{error}"));
            let violated: Vec<_> = found.checks.iter().filter(|check| !check.holds()).collect();
            assert!(violated.is_empty(), "violated in {}: {violated:#?}", network.name);
        }
    }
}

impl Drop for TestApp {
    fn drop(&mut self) {
        assert!(
            self.finished || std::thread::panicking(),
            "the test did not end with app.finish().await"
        );
    }
}

/// Settings of every node of a test's installation, on free ports.
fn node(database: &TestDatabase, secret: &Secret, journal: &Path, exports: &Path) -> ServeSettings {
    ServeSettings {
        database_url: database.url.clone(),
        opening: Opening::default(),
        // A machine that runs many tests at once answers late.
        patience: Duration::from_secs(2),
        secret: secret.clone(),
        listeners: Listeners {
            dashboard: TcpListener::bind("127.0.0.1:0").expect("a free port"),
            tracking: TcpListener::bind("127.0.0.1:0").expect("a free port"),
            metrics: None,
            are_shared: false,
        },
        urls: UrlOptions::default(),
        served_hosts: ServedHosts::All,
        // No test may ask a DNS server of the system.
        dns: Dns::new(Some(SocketAddr::from(([127, 0, 0, 1], 9)))),
        proxies: Proxies::default(),
        storage: StorageSettings {
            journal: JournalSettings {
                segment_bytes: 1024 * 1024,
                quota_bytes: 64 * 1024 * 1024,
                ..JournalSettings::in_folder(journal.to_owned())
            },
            exports: exports.to_owned(),
            when_disk_fails: WhenDiskFails::default(),
            keep_clicks_months: None,
            keep_accepted_calls_days: None,
            keep_rejected_calls_days: None,
            keep_unattributed_days: 30,
        },
        places: Vec::new(),
        ecb_rates: None,
        guard: Guard::new(vec!["127.0.0.0/8".parse().expect("a network")]),
        mailer: Mailer::default(),
        allow_sign_up: true,
        limits: Default::default(),
        drain: Duration::ZERO,
    }
}

/// Invariants besides those of [`monitoring::verify`], each with a query that counts its violations.
const INVARIANTS: [(&str, &str); 2] = [
    (
        "no rollup row is below zero",
        "SELECT count(*) FROM conversion_rollups
         WHERE conversions < 0 OR amount_micros < 0 OR commission_micros < 0 OR revenue_micros < 0",
    ),
    ("the quarantine is empty", "SELECT count(*) FROM quarantine"),
];
