//! The command line and the environment: the only place that reads either.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use chrono_tz::Tz;
use clap::{Args, Parser, Subcommand};
use ipnet::IpNet;
use schema::Currency;

/// Server-to-server conversion tracking: durable, explained, instant.
#[derive(Debug, Parser)]
#[command(name = "clickledger", version)]
pub struct Cli {
    /// What is logged to standard error: error, warn, info, debug, or a filter such as info,tracking=debug.
    #[arg(
        long,
        global = true,
        env = "CLICKLEDGER_LOG",
        default_value = "info,actix_server=warn"
    )]
    pub log: String,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Migrate the database and serve. Without DATABASE_URL a private Postgres is started in the data directory.
    Serve(ServeOptions),
    /// Serve a believable network with thirty days of traffic, and a demo shop that plays the advertiser.
    Demo(DemoOptions),
    /// Create a network and its owner, and print the owner's password.
    CreateNetwork(CreateNetworkOptions),
}

/// Where the database and the secret are.
#[derive(Debug, Clone, Args)]
pub struct StoreOptions {
    /// A Postgres of version 15 or newer. Without it, a private one is started in the data directory.
    #[arg(long, env = "DATABASE_URL", hide_env_values = true)]
    pub database_url: Option<String>,
    /// Where the private Postgres and the secret live [default: /var/lib/clickledger for root, else
    /// $XDG_DATA_HOME/clickledger].
    #[arg(long, env = "CLICKLEDGER_DATA_DIR")]
    pub data_dir: Option<PathBuf>,
    /// The folder that holds postgres and initdb, where they are not found by themselves.
    #[arg(long, env = "CLICKLEDGER_PG_BIN")]
    pub pg_bin: Option<PathBuf>,
    /// The installation's secret, the same on every node [default: the file secret.key in the data directory, made
    /// on the first start].
    #[arg(long, env = "CLICKLEDGER_SECRET", hide_env_values = true)]
    pub secret: Option<String>,
}

/// `clickledger serve`
#[derive(Debug, Clone, Args)]
pub struct ServeOptions {
    /// Where the database and the secret are.
    #[command(flatten)]
    pub store: StoreOptions,
    /// Where the dashboard listens.
    #[arg(long, env = "CLICKLEDGER_DASHBOARD_LISTEN", default_value = "127.0.0.1:8080")]
    pub dashboard_listen: SocketAddr,
    /// Where clicks and postbacks are taken.
    #[arg(long, env = "CLICKLEDGER_TRACKING_LISTEN", default_value = "127.0.0.1:8081")]
    pub tracking_listen: SocketAddr,
    /// Where browsers reach the dashboard, such as `https://app.example.com` [default: where it listens].
    #[arg(long, env = "CLICKLEDGER_DASHBOARD_URL")]
    pub dashboard_url: Option<String>,
    /// Where visitors reach the tracking host, such as `https://trk.example.com` [default: where it listens].
    #[arg(long, env = "CLICKLEDGER_TRACKING_URL")]
    pub tracking_url: Option<String>,
    /// A proxy in front of us, as an address or a network (10.0.0.0/8), whose X-Forwarded-For is believed; may be
    /// repeated. Without it every visitor has the proxy's address.
    #[arg(long = "trusted-proxy", env = "CLICKLEDGER_TRUSTED_PROXIES", value_delimiter = ',', value_parser = network)]
    pub trusted_proxies: Vec<IpNet>,
}

/// An e-mail address, as far as that can be told.
fn email(text: &str) -> Result<String, String> {
    match text.split_once('@') {
        Some((name, domain)) if !name.is_empty() && !domain.is_empty() => Ok(text.to_owned()),
        _ => Err("write an e-mail address, such as me@example.com".to_owned()),
    }
}

/// A host name, with a port if need be: what browsers send as `Host`.
fn host(text: &str) -> Result<String, String> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-:[]".contains(&byte);
    match !text.is_empty() && text.bytes().all(plain) {
        true => Ok(text.to_owned()),
        false => Err("write the host alone, such as trk.example.com, without https:// and path".to_owned()),
    }
}

/// An address or a network.
fn network(text: &str) -> Result<IpNet, String> {
    let alone = text.parse::<IpAddr>().map(IpNet::from);
    text.parse()
        .or(alone)
        .map_err(|_| "write an address or a network, such as 10.0.0.0/8".to_owned())
}

/// `clickledger demo`
#[derive(Debug, Clone, Args)]
pub struct DemoOptions {
    /// The dashboard's port; tracking listens on the next one, the shop on the one after.
    #[arg(long, default_value_t = 8080)]
    pub port: u16,
    /// The address to listen on. The sign-ins are in demo.json: open it to your network only if you mean to.
    #[arg(long, default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    pub listen: IpAddr,
    /// Where the demo's database lives [default: a folder demo in the data directory of serve].
    #[arg(long, env = "CLICKLEDGER_DEMO_DIR")]
    pub data_dir: Option<PathBuf>,
    /// The folder that holds postgres and initdb, where they are not found by themselves.
    #[arg(long, env = "CLICKLEDGER_PG_BIN")]
    pub pg_bin: Option<PathBuf>,
    /// Throw the demo's data away and start over.
    #[arg(long)]
    pub reset: bool,
}

/// `clickledger create-network`
#[derive(Debug, Clone, Args)]
pub struct CreateNetworkOptions {
    /// Where the database and the secret are.
    #[command(flatten)]
    pub store: StoreOptions,
    /// The network's name.
    #[arg(long, value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub name: String,
    /// The owner's e-mail address.
    #[arg(long, value_parser = email)]
    pub owner_email: String,
    /// The owner's name [default: the e-mail address].
    #[arg(long)]
    pub owner_name: Option<String>,
    /// IANA name of the zone its days are counted in.
    #[arg(long, default_value = "UTC")]
    pub time_zone: Tz,
    /// ISO 4217 code, proposed for new campaigns.
    #[arg(long, default_value = "EUR")]
    pub currency: Currency,
    /// A host that clicks and postbacks come to, with the port where it is not the scheme's own; may be repeated.
    #[arg(long = "tracking-host", required = true, value_parser = host)]
    pub tracking_hosts: Vec<String>,
}

/// The data directory of `serve`: `/var/lib` for root (a home closed to others would lock out the database's user),
/// else where the XDG specification says.
#[must_use]
pub fn default_data_dir() -> PathBuf {
    if nix::unistd::geteuid().is_root() {
        return PathBuf::from("/var/lib/clickledger");
    }
    std::env::var_os("XDG_DATA_HOME")
        .map(PathBuf::from)
        .or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".local/share")))
        .unwrap_or_else(std::env::temp_dir)
        .join("clickledger")
}
