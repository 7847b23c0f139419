//! Application data that all endpoints share, and the settings it is built from.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use actix_web::HttpRequest;
use delivery::Tester;
use diesel::QueryResult;
use schema::{Db, MembershipId, NetworkConn, NetworkId};
use tenancy::api_tokens::ApiTokens;
use tenancy::host_checks::HostChecker;
use tenancy::networks::ServedHosts;
use tenancy::{Mailer, Passwords, RateLimit, Secret, SignInThrottle, Urls, networks};

use tokio::sync::Semaphore;
use tracking::intake::client_ip;
use tracking::{Proxies, Tracker};

/// Default rate limit: requests of a network per minute, on each node.
pub const CALLS_PER_MINUTE: u32 = 600;

/// Most requests that wait for events at once; more are answered at once.
const MAX_WAITING: usize = 256;

/// Window of the rate limit.
pub(crate) const RATE_WINDOW: Duration = Duration::from_secs(60);

/// Limits of the API.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Requests per minute and node, of a network's own members together and of each other member alone.
    pub calls_per_minute: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            calls_per_minute: CALLS_PER_MINUTE,
        }
    }
}

/// Settings of the API.
pub struct ApiSettings {
    /// Connection pool that neither clicks nor postbacks use.
    pub db: Db,
    /// Secret of the installation.
    pub secret: Secret,
    /// Public base URLs.
    pub urls: Urls,
    /// Proxies in front of the listener.
    pub proxies: Proxies,
    /// Engine of the reports, shared with the pages.
    pub reports: reports::Engine,
    /// Sends invitations and decisions on applications.
    pub mailer: Mailer,
    /// Hashes passwords of share links.
    pub passwords: Passwords,
    /// Sender of test deliveries.
    pub deliveries: Tester,
    /// Limits of the API.
    pub limits: Limits,
    /// Tracking paths of this node, for simulations.
    pub tracker: Tracker,
    /// Checker of tracking hosts, shared with the pages.
    pub hosts: HostChecker,
}

/// Application data of all endpoints. Cheap to clone.
#[derive(Clone)]
pub struct Api {
    pub(crate) db: Db,
    pub(crate) secret: Secret,
    pub(crate) tokens: ApiTokens,
    tracking_url: Arc<str>,
    served_hosts: ServedHosts,
    pub(crate) dashboard_url: Arc<str>,
    pub(crate) reports: reports::Engine,
    pub(crate) mailer: Mailer,
    pub(crate) passwords: Passwords,
    pub(crate) deliveries: Tester,
    /// Slots of requests that wait for events.
    pub(crate) waiting: Arc<Semaphore>,
    /// Counts by network, and by member for advertisers and affiliates: no member can use up the limit of the network.
    pub(crate) rate: RateLimit<(NetworkId, Option<MembershipId>)>,
    pub(crate) throttle: SignInThrottle,
    proxies: Proxies,
    pub(crate) reserved_hosts: Arc<[String]>,
    pub(crate) calls_per_minute: u32,
    pub(crate) tracker: Tracker,
    pub(crate) hosts: HostChecker,
}

impl Api {
    /// Builds the application data.
    #[must_use]
    pub fn new(settings: ApiSettings) -> Self {
        Self {
            db: settings.db,
            tokens: ApiTokens::new(&settings.secret, &settings.urls.dashboard),
            secret: settings.secret,
            reserved_hosts: settings.urls.reserved_hosts().into(),
            served_hosts: settings.urls.served_hosts,
            tracking_url: settings.urls.tracking.into(),
            dashboard_url: settings.urls.dashboard.into(),
            reports: settings.reports,
            mailer: settings.mailer,
            passwords: settings.passwords,
            deliveries: settings.deliveries,
            waiting: Arc::new(Semaphore::new(MAX_WAITING)),
            rate: RateLimit::new(RATE_WINDOW),
            throttle: SignInThrottle::new(),
            proxies: settings.proxies,
            calls_per_minute: settings.limits.calls_per_minute,
            tracker: settings.tracker,
            hosts: settings.hosts,
        }
    }

    /// Base URL of links and postbacks of the connection's network.
    pub(crate) async fn tracking_url(&self, conn: &mut NetworkConn) -> QueryResult<String> {
        networks::tracking_url(conn, &self.tracking_url, self.served_hosts).await
    }

    /// Client address of a request; none if the connection has no peer address.
    pub(crate) fn client(&self, request: &HttpRequest) -> Option<IpAddr> {
        client_ip(request.head(), &self.proxies.trusted)
    }
}
