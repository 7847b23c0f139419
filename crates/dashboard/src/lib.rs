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
mod page;
mod pages;
mod routes;
mod shell;
mod urls;

use std::path::PathBuf;
use std::sync::Arc;

use actix_web::middleware::from_fn;
use actix_web::web;
use ipnet::IpNet;
use schema::Db;
use tenancy::api_tokens::ApiTokens;
use tenancy::networks::host_of;
use tenancy::{Mailer, Passwords, Secret, SignInThrottle};
use tokio::sync::Semaphore;
use tracking::{ClickIds, Tracker};

/// Settings of the dashboard.
pub struct DashboardSettings {
    /// Pool of the pages, so that reports cannot take the tracking host's connections.
    pub db: Db,
    /// Secret of the installation.
    pub secret: Secret,
    /// Base URL of the dashboard, without a slash at the end. With https, cookies are `Secure`.
    pub dashboard_url: String,
    /// Base URL of the shared tracking host, for networks without their own host.
    pub tracking_url: String,
    /// Proxies whose `X-Forwarded-For` is trusted.
    pub trusted_proxies: Vec<IpNet>,
    /// Sends mails, if a mail server is configured.
    pub mailer: Mailer,
    /// True if a person without an account may sign a network up.
    pub allow_sign_up: bool,
    /// Folder for the exports of networks before their erasure.
    pub exports: PathBuf,
    /// Folder of this node's journals, for the verification.
    pub journals: PathBuf,
    /// Tracking host of this node, for its health and for simulations.
    pub tracker: Tracker,
}

/// State shared by all pages. Cheap to clone.
#[derive(Clone)]
pub struct Dashboard {
    db: Db,
    passwords: Passwords,
    throttle: SignInThrottle,
    trusted_proxies: Arc<[IpNet]>,
    click_ids: ClickIds,
    form_tokens: forms::FormTokens,
    cookies: auth::Cookies,
    api_tokens: ApiTokens,
    secret: Secret,
    mailer: Mailer,
    dashboard_url: String,
    tracking_url: String,
    reserved_hosts: Vec<String>,
    allow_sign_up: bool,
    exports: PathBuf,
    journals: PathBuf,
    tracker: Tracker,
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
            passwords: Passwords::new(),
            throttle: SignInThrottle::new(),
            trusted_proxies: settings.trusted_proxies.into(),
            click_ids: ClickIds::new(settings.secret.clone()),
            form_tokens: forms::FormTokens::new(&settings.secret),
            cookies: auth::Cookies::new(settings.dashboard_url.starts_with("https://")),
            api_tokens: ApiTokens::new(&settings.secret, &settings.dashboard_url),
            secret: settings.secret,
            mailer: settings.mailer,
            reserved_hosts: vec![host_of(&settings.dashboard_url), host_of(&settings.tracking_url)],
            dashboard_url: settings.dashboard_url,
            tracking_url: settings.tracking_url,
            allow_sign_up: settings.allow_sign_up,
            exports: settings.exports,
            journals: settings.journals,
            tracker: settings.tracker,
            export_slots: Arc::new(Semaphore::new(2)),
            verification_slots: Arc::new(Semaphore::new(1)),
        }
    }
}

/// Maximum size of a form in bytes, for files to import.
const FORM_LIMIT: usize = 3 * 1024 * 1024;

/// Adds the pages to an actix application whose data contain a [`Dashboard`].
pub fn configure(config: &mut web::ServiceConfig) {
    config.service(
        web::scope("")
            .app_data(web::PayloadConfig::new(FORM_LIMIT))
            .wrap(from_fn(middleware::secure))
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
