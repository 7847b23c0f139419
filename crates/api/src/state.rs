//! Application data that all endpoints share, and the settings it is built from.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use actix_web::HttpRequest;
use actix_web::dev::RequestHead;
use diesel::QueryResult;
use ipnet::IpNet;
use schema::{Db, MembershipId, NetworkConn, NetworkId};
use tenancy::api_tokens::ApiTokens;
use tenancy::{Mailer, RateLimit, Secret, SignInThrottle, networks};

/// Default rate limit: requests of a network per minute, on each node.
pub const CALLS_PER_MINUTE: u32 = 600;

/// Window of the rate limit.
pub(crate) const RATE_WINDOW: Duration = Duration::from_secs(60);

/// Settings of the API.
pub struct ApiSettings {
    /// Connection pool that neither clicks nor postbacks use.
    pub db: Db,
    /// Secret of the installation.
    pub secret: Secret,
    /// Public URL of the tracking host that all networks share, without a slash at the end.
    pub tracking_url: String,
    /// Public URL of the dashboard, without a slash at the end: base of mailed links, and issuer of tokens.
    pub dashboard_url: String,
    /// Sends invitations and decisions on applications.
    pub mailer: Mailer,
    /// Returns the client address of a request behind the given trusted proxies.
    pub client_address: fn(&RequestHead, &[IpNet]) -> Option<IpAddr>,
    /// Proxies whose `X-Forwarded-For` is trusted.
    pub trusted_proxies: Vec<IpNet>,
    /// Hosts of the installation, which no network may claim.
    pub reserved_hosts: Vec<String>,
    /// Requests per minute and network: [`CALLS_PER_MINUTE`], unless a test needs more.
    pub calls_per_minute: u32,
}

/// Application data of all endpoints. Cheap to clone.
#[derive(Clone)]
pub struct Api {
    pub(crate) db: Db,
    pub(crate) secret: Secret,
    pub(crate) tokens: ApiTokens,
    tracking_url: Arc<str>,
    pub(crate) dashboard_url: Arc<str>,
    pub(crate) mailer: Mailer,
    /// Counts by network, and by member for advertisers and affiliates: no member can use up the limit of the network.
    pub(crate) rate: RateLimit<(NetworkId, Option<MembershipId>)>,
    pub(crate) throttle: SignInThrottle,
    client_address: fn(&RequestHead, &[IpNet]) -> Option<IpAddr>,
    trusted_proxies: Arc<[IpNet]>,
    pub(crate) reserved_hosts: Arc<[String]>,
    pub(crate) calls_per_minute: u32,
}

impl Api {
    /// Builds the application data.
    #[must_use]
    pub fn new(settings: ApiSettings) -> Self {
        Self {
            db: settings.db,
            tokens: ApiTokens::new(&settings.secret, &settings.dashboard_url),
            secret: settings.secret,
            tracking_url: settings.tracking_url.into(),
            dashboard_url: settings.dashboard_url.into(),
            mailer: settings.mailer,
            rate: RateLimit::new(RATE_WINDOW),
            throttle: SignInThrottle::new(),
            client_address: settings.client_address,
            trusted_proxies: settings.trusted_proxies.into(),
            reserved_hosts: settings.reserved_hosts.into(),
            calls_per_minute: settings.calls_per_minute,
        }
    }

    /// Base URL of links and postbacks of the connection's network.
    pub(crate) async fn tracking_url(&self, conn: &mut NetworkConn) -> QueryResult<String> {
        networks::tracking_url(conn, &self.tracking_url).await
    }

    /// Client address of a request; none if the connection has no peer address.
    pub(crate) fn client(&self, request: &HttpRequest) -> Option<IpAddr> {
        (self.client_address)(request.head(), &self.trusted_proxies)
    }
}
