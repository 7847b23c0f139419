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
mod guard;
mod listing;
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

/// What the dashboard is made from.
pub struct DashboardSettings {
    /// The pages' own pool, so that no report can take the tracking paths' connections.
    pub db: Db,
    /// The installation's secret.
    pub secret: Secret,
    /// Where browsers reach the dashboard, without a slash at the end. With https, cookies are `Secure`.
    pub dashboard_url: String,
    /// Where visitors and advertisers' servers reach the tracking host when a network has none of its own.
    pub tracking_url: String,
    /// Proxies whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Sends mails, where a server for them is configured.
    pub mailer: Mailer,
    /// Whether a stranger may sign a network up.
    pub allow_sign_up: bool,
    /// Where what a network owned is written before it is erased.
    pub exports: PathBuf,
    /// The folder of this node's journals: what is acknowledged is looked up from there.
    pub journals: PathBuf,
    /// This node's tracking paths, to be asked how they fare.
    pub tracker: Tracker,
}

/// What all pages share. Cheap to clone.
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
    /// Downloads of whole networks that may run at once: each holds a connection for as long as it takes.
    export_turns: Arc<Semaphore>,
    /// Proofs that may run at once: each reads the journals and sums whole tables.
    proof_turns: Arc<Semaphore>,
}

impl Dashboard {
    /// Prepares the pages.
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
            export_turns: Arc::new(Semaphore::new(2)),
            proof_turns: Arc::new(Semaphore::new(1)),
        }
    }
}

/// Longest form taken, in bytes: a file to import.
const FORM_LIMIT: usize = 3 * 1024 * 1024;

/// Adds the pages to an actix application that has a [`Dashboard`] as its data.
pub fn configure(config: &mut web::ServiceConfig) {
    config.service(
        web::scope("")
            .app_data(web::PayloadConfig::new(FORM_LIMIT))
            .wrap(from_fn(guard::guard))
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
