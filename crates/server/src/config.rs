//! The command line and the environment: the only place that reads either.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use chrono::{DateTime, NaiveDate, Utc};
use chrono_tz::Tz;
use clap::{Args, Parser, Subcommand, ValueEnum};
use ipnet::IpNet;
use schema::{Currency, NetworkId, PostbackId};
use tenancy::networks::{check_host, check_slug};
use uuid::Uuid;

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
    /// Bring the database up to date as its owner (OWNER_DATABASE_URL), and let the login of DATABASE_URL serve from it.
    Migrate(StoreOptions),
    /// List every network with its id, status and name.
    ListNetworks(StoreOptions),
    /// Suspend or resume a network, or set its limits.
    ChangeNetwork(ChangeNetworkOptions),
    /// Prove that all that was acknowledged is stored, counted and booked, exactly once. Fails where something differs.
    Verify(VerifyOptions),
    /// Decide rejected postbacks once more under today's configuration. Only shows what would change, unless told to do it
    /// for real. Works beside a node that serves, and where none does.
    Replay(ReplayOptions),
    /// Sign a network's click ids with its next key, after the present one may have leaked.
    ReplaceClickKey(ReplaceClickKeyOptions),
    /// Write everything a network owns to standard output, one JSON object per line.
    ExportNetwork(ExportNetworkOptions),
    /// Close a network, write everything it owns to a file, and erase it.
    DeleteNetwork(DeleteNetworkOptions),
}

/// Where the database and the secret are.
#[derive(Debug, Clone, Args)]
pub struct StoreOptions {
    /// A Postgres of version 15 or newer, as a login that owns nothing there. Without it, a private one is started in
    /// the data directory.
    #[arg(long, env = "DATABASE_URL", hide_env_values = true)]
    pub database_url: Option<String>,
    /// The same database as the login that owns its tables: with it, the database is brought up to date at the start.
    #[arg(long, env = "OWNER_DATABASE_URL", hide_env_values = true)]
    pub owner_database_url: Option<String>,
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
    /// A proxy in front of us, as an address or a network (10.0.0.0/8), whose X-Forwarded-For and X-Forwarded-Proto are
    /// believed; may be repeated. Without it every visitor has the proxy's address, and every postback came over http.
    #[arg(long = "trusted-proxy", env = "CLICKLEDGER_TRUSTED_PROXIES", value_delimiter = ',', value_parser = network)]
    pub trusted_proxies: Vec<IpNet>,
    /// How clicks and postbacks are kept and known.
    #[command(flatten)]
    pub tracking: TrackingOptions,
    /// Where Prometheus reads metrics (GET /metrics), such as 127.0.0.1:9464. Open it to nobody else.
    #[arg(long, env = "CLICKLEDGER_METRICS_LISTEN")]
    pub metrics_listen: Option<SocketAddr>,
    /// How mails are sent.
    #[command(flatten)]
    pub mail: MailOptions,
    /// Let strangers sign networks up at /sign-up. Without it, operators create networks.
    #[arg(long, env = "CLICKLEDGER_ALLOW_SIGNUP")]
    pub allow_signup: bool,
    /// How often the API may be called in a minute: by a network's own people together, and by each other person.
    #[arg(long, env = "CLICKLEDGER_API_CALLS_PER_MINUTE", default_value_t = api::CALLS_PER_MINUTE)]
    pub api_calls_per_minute: u32,
}

/// How clicks and postbacks are kept and known.
#[derive(Debug, Clone, Args)]
pub struct TrackingOptions {
    /// Megabytes that each of the two journals may take on disk. When Postgres is away for so long that one is full,
    /// postbacks are refused and clicks are not recorded.
    #[arg(long, env = "CLICKLEDGER_JOURNAL_QUOTA_MIB", default_value_t = 8192)]
    pub journal_quota_mib: u64,
    /// Megabytes of a journal's segment, the unit in which it takes and frees room.
    #[arg(long, env = "CLICKLEDGER_JOURNAL_SEGMENT_MIB", default_value_t = 64, value_parser = clap::value_parser!(u64).range(1..=1024))]
    pub journal_segment_mib: u64,
    /// Hours that journals are kept after Postgres has what is in them: restore a dump that is no older, and what
    /// happened since is applied again.
    #[arg(long, env = "CLICKLEDGER_JOURNAL_RETENTION_HOURS", default_value_t = 72)]
    pub journal_retention_hours: u64,
    /// What becomes of visitors whose click cannot be written to disk: redirect them (307, the click is in no report), or
    /// refuse them (503).
    #[arg(long, env = "CLICKLEDGER_WHEN_DISK_FAILS", value_enum, default_value_t = DiskFailure::Redirect)]
    pub when_disk_fails: DiskFailure,
    /// Drop clicks of months that ended so many months ago; their sums stay [default: keep all].
    #[arg(long, env = "CLICKLEDGER_KEEP_CLICKS_MONTHS", value_parser = clap::value_parser!(u32).range(1..=1200))]
    pub keep_clicks_months: Option<u32>,
    /// A file that tells country or autonomous system by address (.mmdb of MaxMind or DB-IP); may be repeated. Read again
    /// when it changes.
    #[arg(long, env = "CLICKLEDGER_PLACES", value_delimiter = ',')]
    pub places: Vec<PathBuf>,
    /// The header in which a trusted proxy says the visitor's country, such as CF-IPCountry.
    #[arg(long, env = "CLICKLEDGER_COUNTRY_HEADER")]
    pub country_header: Option<String>,
}

/// What becomes of visitors whose click cannot be written to disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum DiskFailure {
    /// On to the destination.
    Redirect,
    /// Asked to try again.
    Refuse,
}

/// How mails are sent.
#[derive(Debug, Clone, Args)]
pub struct MailOptions {
    /// The server that takes mails: `smtp://host:25`, `smtp://user:password@host:587?tls=required` or
    /// `smtps://user:password@host:465`. Without it, links are shown to whoever would have them sent, and logged.
    #[arg(long, env = "CLICKLEDGER_SMTP_URL", hide_env_values = true)]
    pub smtp_url: Option<String>,
    /// The sender of mails.
    #[arg(
        long,
        env = "CLICKLEDGER_MAIL_FROM",
        default_value = "Clickledger <no-reply@localhost.localdomain>"
    )]
    pub mail_from: String,
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
    #[arg(long, value_parser = tenancy::check_email)]
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
    /// Its name in addresses [default: made from its name].
    #[arg(long, value_parser = check_slug)]
    pub slug: Option<String>,
    /// A host that clicks and postbacks come to, with the port where it is not the scheme's own; may be repeated.
    /// Without one, they come to the shared host with the slug in front.
    #[arg(long = "tracking-host", value_parser = check_host)]
    pub tracking_hosts: Vec<String>,
}

/// `clickledger change-network`
#[derive(Debug, Clone, Args)]
pub struct ChangeNetworkOptions {
    /// Where the database and the secret are.
    #[command(flatten)]
    pub store: StoreOptions,
    /// The network's id, net_….
    #[arg(long)]
    pub network: NetworkId,
    /// Refuse its clicks and postbacks, for this reason, which its people read.
    #[arg(long, value_name = "REASON", conflicts_with = "resume")]
    pub suspend: Option<String>,
    /// Take its clicks and postbacks again.
    #[arg(long)]
    pub resume: bool,
    /// Most postbacks per second and node.
    #[arg(long)]
    pub max_postbacks_per_second: Option<i32>,
    /// Most people who work for the network itself.
    #[arg(long)]
    pub max_seats: Option<i32>,
    /// Most tracking links.
    #[arg(long)]
    pub max_links: Option<i32>,
}

/// `clickledger verify`
#[derive(Debug, Clone, Args)]
pub struct VerifyOptions {
    /// Where the database and the secret are.
    #[command(flatten)]
    pub store: StoreOptions,
    /// The network's id, net_… [default: all networks].
    #[arg(long)]
    pub network: Option<NetworkId>,
    /// How many days to look back, from a midnight of the network on.
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u16).range(1..=3660))]
    pub days: u16,
    /// The folder of this machine's journals [default: the folder journal in the data directory].
    #[arg(long, value_name = "DIR")]
    pub journals: Option<PathBuf>,
}

/// `clickledger replay`
#[derive(Debug, Clone, Args)]
pub struct ReplayOptions {
    /// Where the database and the secret are.
    #[command(flatten)]
    pub store: StoreOptions,
    /// The network's name in addresses.
    #[arg(long, value_name = "SLUG", value_parser = check_slug)]
    pub network: String,
    /// Only postbacks with this reason, such as goal_unknown.
    #[arg(long)]
    pub reason: Option<String>,
    /// Only postbacks of this advertiser: its id, its external id, or a name that no other has.
    #[arg(long)]
    pub advertiser: Option<String>,
    /// Only postbacks that came since: a day on the network's clock (2026-12-24), or a moment (2026-12-24T18:00:00Z).
    #[arg(long, value_parser = since)]
    pub since: Option<Since>,
    /// Only the postback with this receipt, pb_…; may be repeated.
    #[arg(long = "receipt")]
    pub receipts: Vec<PostbackId>,
    /// Do it, instead of showing what would change.
    #[arg(long)]
    pub for_real: bool,
    /// Only what an earlier look showed, whose number it printed.
    #[arg(long, value_name = "NUMBER", requires = "for_real", conflicts_with_all = ["reason", "advertiser", "since", "receipts"])]
    pub looked_at: Option<Uuid>,
}

/// Since when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Since {
    /// Since this day began on the network's clock.
    Day(NaiveDate),
    /// Since this moment.
    Moment(DateTime<Utc>),
}

/// A day or a moment.
fn since(text: &str) -> Result<Since, String> {
    let day = text.parse().map(Since::Day);
    day.or_else(|_| text.parse().map(Since::Moment))
        .map_err(|_: chrono::ParseError| {
            "write a day such as 2026-12-24 or a moment such as 2026-12-24T18:00:00Z".to_owned()
        })
}

/// `clickledger replace-click-key`
#[derive(Debug, Clone, Args)]
pub struct ReplaceClickKeyOptions {
    /// Where the database and the secret are.
    #[command(flatten)]
    pub store: StoreOptions,
    /// The network's id, net_….
    #[arg(long)]
    pub network: NetworkId,
}

/// `clickledger export-network`
#[derive(Debug, Clone, Args)]
pub struct ExportNetworkOptions {
    /// Where the database and the secret are.
    #[command(flatten)]
    pub store: StoreOptions,
    /// The network's id, net_….
    #[arg(long)]
    pub network: NetworkId,
}

/// `clickledger delete-network`
#[derive(Debug, Clone, Args)]
pub struct DeleteNetworkOptions {
    /// Where the database and the secret are.
    #[command(flatten)]
    pub store: StoreOptions,
    /// The network's id, net_….
    #[arg(long)]
    pub network: NetworkId,
    /// Its name, so that no other one is meant.
    #[arg(long)]
    pub name: String,
    /// Where its export is written [default: the folder exports in the data directory].
    #[arg(long)]
    pub exports: Option<PathBuf>,
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
