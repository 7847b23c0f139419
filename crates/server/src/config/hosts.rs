//! Options about tracking hosts of networks and their proof by DNS.

use std::net::SocketAddr;

use clap::Args;
use tenancy::host_checks::Dns;
use tenancy::networks::{ServedHosts, check_host};

use super::StoreOptions;

/// Tracking hosts of networks.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Tracking hosts")]
pub struct HostOptions {
    /// Serve a network's own tracking host only once a DNS record has proven that the network controls it. Before, all hosts
    /// that networks enter are served.
    #[arg(long, env = "CLICKLEDGER_REQUIRE_HOST_PROOF")]
    pub require_host_proof: bool,
    /// DNS lookups of tracking hosts and of hosts that deliveries go to.
    #[command(flatten)]
    pub dns: DnsOptions,
}

impl HostOptions {
    /// Tracking hosts that are served.
    #[must_use]
    pub fn served(&self) -> ServedHosts {
        if self.require_host_proof {
            ServedHosts::Proven
        } else {
            ServedHosts::All
        }
    }
}

/// DNS lookups of tracking hosts and of hosts that deliveries go to.
#[derive(Debug, Clone, Default, Args)]
pub struct DnsOptions {
    /// DNS server that checks tracking hosts and resolves hosts of deliveries, such as 192.0.2.53:53 [default: those of the system, /etc/resolv.conf].
    #[arg(long, env = "CLICKLEDGER_DNS_SERVER", value_name = "ADDRESS:PORT")]
    pub dns_server: Option<SocketAddr>,
}

impl DnsOptions {
    /// DNS of the checks.
    #[must_use]
    pub fn dns(&self) -> Dns {
        Dns::new(self.dns_server)
    }
}

/// `clickledger check-host`
#[derive(Debug, Clone, Args)]
pub struct CheckHostOptions {
    /// Database and secret of the installation.
    #[command(flatten)]
    pub store: StoreOptions,
    /// Public URL of the tracking host, to which CNAME records point, as of serve.
    #[arg(long, env = "CLICKLEDGER_TRACKING_URL")]
    pub tracking_url: Option<String>,
    /// DNS lookups of tracking hosts and of hosts that deliveries go to.
    #[command(flatten)]
    pub dns: DnsOptions,
    /// Hosts to check [default: all that are not proven].
    #[arg(value_parser = check_host)]
    pub hosts: Vec<String>,
}
