//! Server-rendered pages. One module per page in `pages`, its templates in the folder of the same name.
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
mod shell;
mod urls;

use std::sync::Arc;

use actix_web::middleware::from_fn;
use actix_web::web;
use ipnet::IpNet;
use schema::Db;
use tenancy::{Passwords, Secret, SignInThrottle};
use tracking::ClickIds;

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
    tracking_url: String,
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
            tracking_url: settings.tracking_url,
        }
    }
}

/// Adds the pages to an actix application that has a [`Dashboard`] as its data.
pub fn configure(config: &mut web::ServiceConfig) {
    config.service(
        web::scope("")
            .wrap(from_fn(guard::guard))
            .configure(assets::configure)
            .configure(pages::configure_public)
            .service(
                web::scope("")
                    .wrap(from_fn(auth::require_sign_in))
                    .configure(pages::configure_signed_in),
            ),
    );
}
