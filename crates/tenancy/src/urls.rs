//! Public base URLs of the installation.

use crate::networks::{ServedHosts, host_of};

/// Public base URLs of the installation, without a slash at the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Urls {
    /// Dashboard: base of the links in mails and issuer of API tokens. With https, cookies are `Secure`.
    pub dashboard: String,
    /// Tracking host that all networks share: `/{slug}/{alias}` works there.
    pub tracking: String,
    /// Tracking hosts of networks that are served.
    pub served_hosts: ServedHosts,
}

impl Urls {
    /// Removes slashes at the end of both. All hosts of networks are served.
    #[must_use]
    pub fn new(dashboard: &str, tracking: &str) -> Self {
        let trimmed = |url: &str| url.trim_end_matches('/').to_owned();
        Self {
            dashboard: trimmed(dashboard),
            tracking: trimmed(tracking),
            served_hosts: ServedHosts::All,
        }
    }

    /// Hosts of the installation itself, which no network can take as a tracking host.
    #[must_use]
    pub fn reserved_hosts(&self) -> Vec<String> {
        vec![host_of(&self.dashboard), self.shared_host()]
    }

    /// Tracking host that all networks share, as requests name it.
    #[must_use]
    pub fn shared_host(&self) -> String {
        host_of(&self.tracking)
    }
}
