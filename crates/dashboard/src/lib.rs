//! Server-rendered pages: a folder per audience in `pages`, one module per page, its templates in the folder of the same
//! name.
//!
//! Every page works without JavaScript and under a policy that allows nothing inline.

mod assets;
mod auth;
mod chart;
mod error;
mod format;
mod forms;
mod labels;
mod listing;
mod middleware;
mod navigation;
mod notice;
mod page;
mod pages;
mod period_bar;
mod routes;
mod shell;
mod urls;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use actix_web::middleware::{Compress, from_fn};
use actix_web::web;
use campaigns::ClickIds;
use delivery::Tester;
use ipnet::IpNet;
use schema::{Db, NetworkId, ReportLinkId};
use tenancy::api_tokens::ApiTokens;
use tenancy::host_checks::HostChecker;
use tenancy::networks::ServedHosts;
use tenancy::{Mailer, Passwords, RateLimit, Secret, SignInThrottle, Urls, table};
use tokio::sync::Semaphore;
use tracking::{Proxies, StorageSettings, Tracker};

/// Settings of a [`Dashboard`].
pub struct DashboardSettings {
    /// Pool of the pages alone, so that no report can take the connections of the tracking paths.
    pub db: Db,
    /// Secret of the installation.
    pub secret: Secret,
    /// Public base URLs.
    pub urls: Urls,
    /// Proxies in front of the listener.
    pub proxies: Proxies,
    /// Files of this node: its journals, which a verification reads, and its exports.
    pub storage: StorageSettings,
    /// Engine of the reports, shared with the API.
    pub reports: reports::Engine,
    /// Sender of mails, if a mail server is configured.
    pub mailer: Mailer,
    /// Hashes passwords.
    pub passwords: Passwords,
    /// True if visitors of the dashboard may sign up a network.
    pub allow_sign_up: bool,
    /// Sender of test deliveries.
    pub deliveries: Tester,
    /// Tracking paths of this node, for their health.
    pub tracker: Tracker,
    /// Checker of tracking hosts, shared with the API.
    pub hosts: HostChecker,
}

/// State shared by all pages. Cheap to clone.
#[derive(Clone)]
pub struct Dashboard {
    db: Db,
    passwords: Passwords,
    throttle: SignInThrottle,
    /// Views of each share link.
    shared_views: RateLimit<(NetworkId, ReportLinkId)>,
    trusted_proxies: Arc<[IpNet]>,
    click_ids: ClickIds,
    form_tokens: forms::FormTokens,
    cookies: auth::Cookies,
    api_tokens: ApiTokens,
    secret: Secret,
    mailer: Mailer,
    dashboard_url: String,
    tracking_url: String,
    served_hosts: ServedHosts,
    reserved_hosts: Vec<String>,
    allow_sign_up: bool,
    exports: PathBuf,
    journals: PathBuf,
    reports: reports::Engine,
    deliveries: Tester,
    tracker: Tracker,
    hosts: HostChecker,
    /// Limits concurrent exports of networks: each holds a connection until the download ends.
    export_slots: Arc<Semaphore>,
    /// Limits concurrent verifications: each reads the journals and sums whole tables.
    verification_slots: Arc<Semaphore>,
}

impl Dashboard {
    /// Creates the state of the pages.
    #[must_use]
    pub fn new(settings: DashboardSettings) -> Self {
        Self {
            db: settings.db,
            passwords: settings.passwords,
            throttle: SignInThrottle::new(),
            shared_views: RateLimit::new(Duration::from_secs(60)),
            trusted_proxies: settings.proxies.trusted,
            click_ids: ClickIds::new(settings.secret.clone()),
            form_tokens: forms::FormTokens::new(&settings.secret),
            cookies: auth::Cookies::new(settings.urls.dashboard.starts_with("https://")),
            api_tokens: ApiTokens::new(&settings.secret, &settings.urls.dashboard),
            secret: settings.secret,
            mailer: settings.mailer,
            reserved_hosts: settings.urls.reserved_hosts(),
            dashboard_url: settings.urls.dashboard,
            served_hosts: settings.urls.served_hosts,
            tracking_url: settings.urls.tracking,
            allow_sign_up: settings.allow_sign_up,
            exports: settings.storage.exports,
            journals: settings.storage.journal.folder,
            reports: settings.reports,
            deliveries: settings.deliveries,
            tracker: settings.tracker,
            hosts: settings.hosts,
            export_slots: Arc::new(Semaphore::new(2)),
            verification_slots: Arc::new(Semaphore::new(1)),
        }
    }
}

/// Maximum size of a form, in bytes: a file to import, and the parts of the form around it.
const FORM_LIMIT: usize = table::MAX_BYTES + 1024 * 1024;

/// Adds the pages to an actix application whose data contain a [`Dashboard`].
pub fn configure(config: &mut web::ServiceConfig) {
    config.service(
        web::scope("")
            .app_data(web::PayloadConfig::new(FORM_LIMIT))
            .wrap(from_fn(middleware::secure))
            .wrap(Compress::default())
            .configure(assets::configure)
            .configure(pages::public)
            .service(
                web::scope("/account")
                    .wrap(from_fn(auth::require_person))
                    .configure(pages::of_person),
            )
            .service(
                web::scope("/ops")
                    .wrap(from_fn(auth::require_operator))
                    .configure(pages::of_operator),
            )
            .service(
                web::scope("")
                    .wrap(from_fn(auth::require_member))
                    .configure(pages::of_member),
            ),
    );
}

/// Method and path of every route, for tests that must not miss one.
#[must_use]
pub fn routes() -> Vec<(&'static str, &'static str)> {
    pages::routes()
}
