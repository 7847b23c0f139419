//! Command line and environment, parsed once: no other module reads them.
//!
//! Options are grouped as the crates below take them; each group converts itself into their settings.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use chrono::{DateTime, NaiveDate, Utc};
use chrono_tz::Tz;
use clap::{Args, Parser, Subcommand, ValueEnum};
use ipnet::IpNet;
use schema::{Currency, NetworkId, PostbackId};
use tenancy::networks::{check_host, check_slug};
use tracking::{JournalSettings, Proxies, StorageSettings, WhenDiskFails};
use url::Url;
use uuid::Uuid;

use crate::download::parse_url;

mod backup;
pub mod client;
mod delivering;
mod file;
mod hosts;
mod observing;
mod store;
mod tools;

use backup::{BACKUP_HELP, RESTORE_HELP};
pub use backup::{
    BackupMethod, BackupOptions, Place, RestoreOptions, Retention, S3Options, ServeBackupOptions,
};
use client::ClientCommand;
pub use delivering::DeliveryOptions;
pub use file::ConfigError;
pub use hosts::{CheckHostOptions, HostOptions};
pub use observing::{LogFormat, TraceOptions};
pub use store::{MailOptions, OptionError, StoreOptions};
pub use tools::{CheckConfigOptions, CompletionsOptions, HealthOptions, ManOptions};

/// Server-to-server conversion tracking: durable, explained, instant.
#[derive(Debug, Parser)]
#[command(name = "clickledger", version, after_help = EXIT_CODES)]
pub struct Cli {
    /// Least level logged to standard error (error, warn, info, debug, trace), or a filter such as info,tracking=debug.
    #[arg(
        long,
        global = true,
        env = "CLICKLEDGER_LOG",
        default_value = "info,actix_server=warn"
    )]
    pub log: String,
    /// Format of the lines on standard error.
    #[arg(
        long,
        global = true,
        env = "CLICKLEDGER_LOG_FORMAT",
        value_enum,
        default_value_t = LogFormat::Text
    )]
    pub log_format: LogFormat,
    /// Configuration file (TOML). Its keys are the long options of serve without the dashes, such as data-dir = "/data";
    /// options on the command line and in the environment have precedence.
    #[arg(long, global = true, env = "CLICKLEDGER_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Print results as JSON, one value per line, and errors on standard error as JSON with code, message and fields.
    #[arg(long, global = true)]
    pub json: bool,
    /// Command to run.
    #[command(subcommand)]
    pub command: Command,
}

/// Guide at the end of the help of `serve`.
const SERVE_HELP: &str = include_str!("config/serve_help.txt");

/// Guide at the end of the help of `replay`.
const REPLAY_HELP: &str = "\
A dry run prints the new verdicts and a number. --looked-at NUMBER --for-real stores the verdicts of exactly those postbacks.
With a private Postgres, the command runs only while no node serves; Postbacks → Replay on the dashboard does the same.";
/// Exit codes, at the end of the help.
const EXIT_CODES: &str = "Exit codes: 0 done; 1 refused or failed; 2 wrong usage, such as an unknown name.";

/// Command to run.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Migrate the database and serve. Without DATABASE_URL a private Postgres is started in the data directory.
    #[command(after_long_help = SERVE_HELP)]
    Serve(Box<ServeOptions>),
    /// Check the configuration without serving: addresses, files and folders, the database with its logins. Prints a line
    /// per finding and fails if one is a problem.
    CheckConfig(Box<CheckConfigOptions>),
    /// Serve a believable network with thirty days of traffic, and a demo shop that plays the advertiser.
    Demo(DemoOptions),
    /// Create a network and its owner, and print the owner's password.
    CreateNetwork(CreateNetworkOptions),
    /// Migrate the database as its owner (OWNER_DATABASE_URL), and let the login of DATABASE_URL serve from it.
    Migrate(StoreOptions),
    /// List every network with its id, status and name.
    ListNetworks(StoreOptions),
    /// Suspend or resume a network, or set its limits.
    ChangeNetwork(ChangeNetworkOptions),
    /// Verify that every acknowledged event is stored, summed and booked exactly once. Fails on any difference.
    Verify(VerifyOptions),
    /// Copy database, journals and secret to a folder or to S3-compatible storage, also while a server runs.
    #[command(after_long_help = BACKUP_HELP)]
    Backup(Box<BackupOptions>),
    /// Restore a backup into an empty data directory, and verify it.
    #[command(after_long_help = RESTORE_HELP)]
    Restore(Box<RestoreOptions>),
    /// Decide rejected postbacks again under the present configuration. A dry run unless --for-real is given. Works with
    /// and without a node that serves.
    #[command(after_long_help = REPLAY_HELP)]
    Replay(ReplayOptions),
    /// Accept the verdict of a postback that a restore contradicts, as listed by verify. Replaying it settles it too.
    SettleVerdict(SettleVerdictOptions),
    /// Import reference exchange rates for all networks.
    #[command(subcommand)]
    Rates(RatesCommand),
    /// Sign a network's click ids with its next key, after the present key may have leaked.
    ReplaceClickKey(ReplaceClickKeyOptions),
    /// Check the DNS records that prove tracking hosts, as Settings does, and apply the results.
    CheckHost(CheckHostOptions),
    /// Write everything a network owns to standard output, one JSON object per line.
    ExportNetwork(ExportNetworkOptions),
    /// Close a network, write everything it owns to a file, and erase it.
    DeleteNetwork(DeleteNetworkOptions),
    /// Commands that call the API of a server.
    #[command(flatten)]
    Client(ClientCommand),
    /// Check that a node of this machine accepts clicks and postbacks. Prints one sentence and fails if it does not.
    Health(HealthOptions),
    /// Print the manual page of clickledger, or write the pages of all commands to a folder.
    Man(ManOptions),
    /// Print a completion script for a shell.
    Completions(CompletionsOptions),
}

/// `clickledger serve`
#[derive(Debug, Clone, Args)]
pub struct ServeOptions {
    /// Database and secret of the installation.
    #[command(flatten)]
    pub store: StoreOptions,
    /// Addresses to listen on.
    #[command(flatten)]
    pub listen: ListenOptions,
    /// Public base URLs.
    #[command(flatten)]
    pub urls: UrlOptions,
    /// Tracking hosts of networks.
    #[command(flatten)]
    pub hosts: HostOptions,
    /// Proxies in front of the listeners.
    #[command(flatten)]
    pub proxies: ProxyOptions,
    /// Journals and retention.
    #[command(flatten)]
    pub storage: StorageOptions,
    /// Backups.
    #[command(flatten)]
    pub backup: ServeBackupOptions,
    /// Mail server.
    #[command(flatten)]
    pub mail: MailOptions,
    /// Deliveries.
    #[command(flatten)]
    pub delivery: DeliveryOptions,
    /// Source of exchange rates.
    #[command(flatten)]
    pub rates: RateOptions,
    /// Limits.
    #[command(flatten)]
    pub limits: LimitOptions,
    /// Traces.
    #[command(flatten)]
    pub traces: TraceOptions,
}

/// Addresses to listen on.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Listeners")]
pub struct ListenOptions {
    /// Address of the dashboard's listener.
    #[arg(long, env = "CLICKLEDGER_DASHBOARD_LISTEN", default_value = "127.0.0.1:8080")]
    pub dashboard_listen: SocketAddr,
    /// Address of the listener for clicks and postbacks.
    #[arg(long, env = "CLICKLEDGER_TRACKING_LISTEN", default_value = "127.0.0.1:8081")]
    pub tracking_listen: SocketAddr,
    /// Address of the listener for Prometheus (GET /metrics), such as 127.0.0.1:9464. Keep it private. /docs/monitoring of
    /// the dashboard lists the metrics.
    #[arg(long, env = "CLICKLEDGER_METRICS_LISTEN")]
    pub metrics_listen: Option<SocketAddr>,
}

/// Public base URLs.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "URLs")]
pub struct UrlOptions {
    /// Public URL of the dashboard, such as `https://app.example.com` [default: the address of its listener].
    #[arg(long, env = "CLICKLEDGER_DASHBOARD_URL")]
    pub dashboard_url: Option<String>,
    /// Public URL of the tracking host, such as `https://trk.example.com` [default: the address of its listener].
    #[arg(long, env = "CLICKLEDGER_TRACKING_URL")]
    pub tracking_url: Option<String>,
}

/// Proxies in front of the listeners.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Proxies")]
pub struct ProxyOptions {
    /// Trusted proxy, as an address or a network (10.0.0.0/8), whose X-Forwarded-For and X-Forwarded-Proto are believed;
    /// may be repeated. Without it, every visitor has the proxy's address, and every postback came over http.
    #[arg(long = "trusted-proxy", env = "CLICKLEDGER_TRUSTED_PROXIES", value_delimiter = ',', value_parser = network)]
    pub trusted_proxies: Vec<IpNet>,
    /// Header in which a trusted proxy names the visitor's country, such as CF-IPCountry.
    #[arg(long, env = "CLICKLEDGER_COUNTRY_HEADER")]
    pub country_header: Option<String>,
}

impl ProxyOptions {
    /// Settings of the listeners.
    #[must_use]
    pub fn settings(self) -> Proxies {
        Proxies {
            trusted: self.trusted_proxies.into(),
            country_header: self.country_header.map(Into::into),
        }
    }
}

/// Journals, retention, and files that are read.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Storage")]
pub struct StorageOptions {
    /// Most megabytes of each of the three journals (clicks, postbacks, verdicts) on disk. When Postgres is away so long that a journal is full,
    /// postbacks are refused and clicks are not recorded.
    #[arg(long, env = "CLICKLEDGER_JOURNAL_QUOTA_MIB", default_value_t = 8192)]
    pub journal_quota_mib: u64,
    /// Megabytes of a journal's segment, the unit in which a journal takes and frees disk space.
    #[arg(long, env = "CLICKLEDGER_JOURNAL_SEGMENT_MIB", default_value_t = 64, value_parser = clap::value_parser!(u64).range(1..=1024))]
    pub journal_segment_mib: u64,
    /// Hours that a journal keeps records after they are in Postgres: a restored dump that is no older is brought up to
    /// date from the journals.
    #[arg(long, env = "CLICKLEDGER_JOURNAL_RETENTION_HOURS", default_value_t = 72)]
    pub journal_retention_hours: u64,
    /// Response to a click that cannot be written to disk: redirect the visitor (307, the click is in no report), or
    /// refuse (503).
    #[arg(long, env = "CLICKLEDGER_WHEN_DISK_FAILS", value_enum, default_value_t = DiskFailure::Redirect)]
    pub when_disk_fails: DiskFailure,
    /// Months after which the clicks of a month are dropped; their totals stay [default: keep all].
    #[arg(long, env = "CLICKLEDGER_KEEP_CLICKS_MONTHS", value_parser = clap::value_parser!(u32).range(1..=1200))]
    pub keep_clicks_months: Option<u32>,
    /// Days after which rejected postbacks that belong to no advertiser are removed, but not before the journal forgets
    /// them.
    #[arg(long, env = "CLICKLEDGER_KEEP_UNATTRIBUTED_DAYS", default_value_t = 30, value_parser = clap::value_parser!(u32).range(8..=36500))]
    pub keep_unattributed_days: u32,
    /// Days after which the requests of accepted and duplicate postbacks are removed; the verdicts, their traces and the
    /// conversions stay [default: keep all].
    #[arg(long, env = "CLICKLEDGER_KEEP_ACCEPTED_CALLS_DAYS", value_parser = clap::value_parser!(u32).range(30..=36500))]
    pub keep_accepted_calls_days: Option<u32>,
    /// Days after which the requests of rejected postbacks are removed; they cannot be replayed any longer [default: keep
    /// all].
    #[arg(long, env = "CLICKLEDGER_KEEP_REJECTED_CALLS_DAYS", value_parser = clap::value_parser!(u32).range(30..=36500))]
    pub keep_rejected_calls_days: Option<u32>,
    /// File with country or autonomous system by address (.mmdb of MaxMind or DB-IP); may be repeated. Read again when it
    /// changes.
    #[arg(long, env = "CLICKLEDGER_PLACES", value_delimiter = ',')]
    pub places: Vec<PathBuf>,
}

impl StorageOptions {
    /// Settings of the node whose data directory the options of the database name.
    #[must_use]
    pub fn settings(&self, store: &StoreOptions) -> StorageSettings {
        const MIB: u64 = 1024 * 1024;
        StorageSettings {
            journal: JournalSettings {
                folder: store.journal_folder(),
                segment_bytes: self.journal_segment_mib * MIB,
                quota_bytes: self.journal_quota_mib * MIB,
                retention: Duration::from_secs(self.journal_retention_hours * 3600),
            },
            exports: store.exports(),
            when_disk_fails: match self.when_disk_fails {
                DiskFailure::Redirect => WhenDiskFails::Redirect,
                DiskFailure::Refuse => WhenDiskFails::Refuse,
            },
            keep_clicks_months: self.keep_clicks_months,
            keep_accepted_calls_days: self.keep_accepted_calls_days,
            keep_rejected_calls_days: self.keep_rejected_calls_days,
            keep_unattributed_days: u64::from(self.keep_unattributed_days)
                .max(self.journal_retention_hours / 24 + 1)
                .try_into()
                .unwrap_or(u32::MAX),
        }
    }
}

/// Response to a click that cannot be written to disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum DiskFailure {
    /// Redirect to the destination.
    Redirect,
    /// Ask the visitor to try again.
    Refuse,
}

/// Source of exchange rates.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Exchange rates")]
pub struct RateOptions {
    /// Fetch the reference rates of the European Central Bank once a day from this URL, such as
    /// `https://www.ecb.europa.eu/stats/eurofxref/eurofxref-hist-90d.xml` or a mirror. Without it, nothing is fetched.
    #[arg(long, env = "CLICKLEDGER_ECB_RATES", value_name = "URL", value_parser = parse_url)]
    pub ecb_rates: Option<Url>,
}

/// Limits.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Limits")]
pub struct LimitOptions {
    /// Allow visitors to sign up networks at /sign-up. Without it, operators create networks.
    #[arg(long, env = "CLICKLEDGER_ALLOW_SIGNUP")]
    pub allow_signup: bool,
    /// Most API calls per minute, of a network's own members together and of each other member.
    #[arg(long, env = "CLICKLEDGER_API_CALLS_PER_MINUTE", default_value_t = api::CALLS_PER_MINUTE)]
    pub api_calls_per_minute: u32,
}

impl LimitOptions {
    /// Limits of the API.
    #[must_use]
    pub fn api(&self) -> api::Limits {
        api::Limits {
            calls_per_minute: self.api_calls_per_minute,
        }
    }
}

/// Parses an address or a network.
fn network(text: &str) -> Result<IpNet, String> {
    let alone = text.parse::<IpAddr>().map(IpNet::from);
    text.parse()
        .or(alone)
        .map_err(|_| "write an address or a network, such as 10.0.0.0/8".to_owned())
}

/// `clickledger demo`
#[derive(Debug, Clone, Args)]
pub struct DemoOptions {
    /// Port of the dashboard; tracking listens on the next port, the shop on the one after.
    #[arg(long, default_value_t = 8080)]
    pub port: u16,
    /// Address to listen on. The sign-ins are in demo.json: open it to your network only if you mean to.
    #[arg(long, default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    pub listen: IpAddr,
    /// Directory of the demo's database [default: a folder demo in the data directory of serve].
    #[arg(long, env = "CLICKLEDGER_DEMO_DIR")]
    pub data_dir: Option<PathBuf>,
    /// Folder of postgres and initdb [default: searched in the usual places].
    #[arg(long, env = "CLICKLEDGER_PG_BIN")]
    pub pg_bin: Option<PathBuf>,
    /// Erase the demo's data and start over.
    #[arg(long)]
    pub reset: bool,
}

/// `clickledger create-network`
#[derive(Debug, Clone, Args)]
pub struct CreateNetworkOptions {
    /// Database and secret of the installation.
    #[command(flatten)]
    pub store: StoreOptions,
    /// Name of the network.
    #[arg(long, value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub name: String,
    /// E-mail address of the owner.
    #[arg(long, value_parser = tenancy::check_email)]
    pub owner_email: String,
    /// Name of the owner [default: the e-mail address].
    #[arg(long)]
    pub owner_name: Option<String>,
    /// IANA name of the time zone in which the network's days are counted.
    #[arg(long, default_value = "UTC")]
    pub time_zone: Tz,
    /// ISO 4217 code of the currency proposed for new campaigns.
    #[arg(long, default_value = "EUR")]
    pub currency: Currency,
    /// Slug: the network's name in URLs [default: made from its name].
    #[arg(long, value_parser = check_slug)]
    pub slug: Option<String>,
    /// Host of the network's clicks and postbacks, with the port unless it is the scheme's default; may be repeated.
    /// Without one, the network uses the shared host with its slug in front.
    #[arg(long = "tracking-host", value_parser = check_host)]
    pub tracking_hosts: Vec<String>,
}

/// `clickledger change-network`
#[derive(Debug, Clone, Args)]
pub struct ChangeNetworkOptions {
    /// Database and secret of the installation.
    #[command(flatten)]
    pub store: StoreOptions,
    /// Id of the network, net_….
    #[arg(long)]
    pub network: NetworkId,
    /// Refuse its clicks and postbacks for this reason, which its members read.
    #[arg(long, value_name = "REASON", conflicts_with = "resume")]
    pub suspend: Option<String>,
    /// Take its clicks and postbacks again.
    #[arg(long)]
    pub resume: bool,
    /// Most postbacks per second and node.
    #[arg(long)]
    pub max_postbacks_per_second: Option<i32>,
    /// Most members who work for the network itself.
    #[arg(long)]
    pub max_seats: Option<i32>,
    /// Most tracking links.
    #[arg(long)]
    pub max_links: Option<i32>,
}

/// `clickledger verify`
#[derive(Debug, Clone, Args)]
pub struct VerifyOptions {
    /// Database and secret of the installation.
    #[command(flatten)]
    pub store: StoreOptions,
    /// Id of the network, net_… [default: all networks].
    #[arg(long)]
    pub network: Option<NetworkId>,
    /// Days to look back, from a midnight in the network's time zone.
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u16).range(1..=3660))]
    pub days: u16,
    /// Folder of this machine's journals [default: the folder journal in the data directory].
    #[arg(long, value_name = "DIR")]
    pub journals: Option<PathBuf>,
}

/// `clickledger settle-verdict`
#[derive(Debug, Clone, Args)]
pub struct SettleVerdictOptions {
    /// Database and secret of the installation.
    #[command(flatten)]
    pub store: StoreOptions,
    /// Id of the network, net_….
    #[arg(long)]
    pub network: NetworkId,
    /// Receipt of the postback, pb_…; may be repeated.
    #[arg(long = "receipt", required = true)]
    pub receipts: Vec<PostbackId>,
}

/// `clickledger replay`
#[derive(Debug, Clone, Args)]
pub struct ReplayOptions {
    /// Database and secret of the installation.
    #[command(flatten)]
    pub store: StoreOptions,
    /// Slug of the network.
    #[arg(long, value_name = "SLUG", value_parser = check_slug)]
    pub network: String,
    /// Only postbacks with this reason, such as goal_unknown.
    #[arg(long)]
    pub reason: Option<String>,
    /// Only postbacks of this advertiser: its id, its external id, or a name that is unique in the network.
    #[arg(long)]
    pub advertiser: Option<String>,
    /// Only postbacks received since: a day in the network's time zone (2026-12-24), or a time (2026-12-24T18:00:00Z).
    #[arg(long, value_parser = since)]
    pub since: Option<Since>,
    /// Only the postback with this receipt, pb_…; may be repeated.
    #[arg(long = "receipt")]
    pub receipts: Vec<PostbackId>,
    /// Store the new verdicts, instead of showing them in a dry run.
    #[arg(long)]
    pub for_real: bool,
    /// Only the postbacks of an earlier dry run, by the number it printed.
    #[arg(long, value_name = "NUMBER", requires = "for_real", conflicts_with_all = ["reason", "advertiser", "since", "receipts"])]
    pub looked_at: Option<Uuid>,
}

/// Beginning of a period.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Since {
    /// Beginning of this day in the network's time zone.
    Day(NaiveDate),
    /// This time.
    Moment(DateTime<Utc>),
}

/// Parses a day or a time.
fn since(text: &str) -> Result<Since, String> {
    let day = text.parse().map(Since::Day);
    day.or_else(|_| text.parse().map(Since::Moment))
        .map_err(|_: chrono::ParseError| {
            "write a day such as 2026-12-24 or a time such as 2026-12-24T18:00:00Z".to_owned()
        })
}

/// `clickledger rates`
#[derive(Debug, Clone, Subcommand)]
pub enum RatesCommand {
    /// Import a file: XML of the European Central Bank, or CSV with the columns currency, day and rate, where the rate
    /// is the value of one euro.
    Import(ImportRatesOptions),
}

/// `clickledger rates import`
#[derive(Debug, Clone, Args)]
pub struct ImportRatesOptions {
    /// Database and secret of the installation.
    #[command(flatten)]
    pub store: StoreOptions,
    /// File to import.
    pub file: PathBuf,
}

/// `clickledger replace-click-key`
#[derive(Debug, Clone, Args)]
pub struct ReplaceClickKeyOptions {
    /// Database and secret of the installation.
    #[command(flatten)]
    pub store: StoreOptions,
    /// Id of the network, net_….
    #[arg(long)]
    pub network: NetworkId,
}

/// `clickledger export-network`
#[derive(Debug, Clone, Args)]
pub struct ExportNetworkOptions {
    /// Database and secret of the installation.
    #[command(flatten)]
    pub store: StoreOptions,
    /// Id of the network, net_….
    #[arg(long)]
    pub network: NetworkId,
}

/// `clickledger delete-network`
#[derive(Debug, Clone, Args)]
pub struct DeleteNetworkOptions {
    /// Database and secret of the installation.
    #[command(flatten)]
    pub store: StoreOptions,
    /// Id of the network, net_….
    #[arg(long)]
    pub network: NetworkId,
    /// Name of the network, against mistakes.
    #[arg(long)]
    pub name: String,
    /// Folder for the export [default: the folder exports in the data directory].
    #[arg(long)]
    pub exports: Option<PathBuf>,
}

/// Returns the data directory of `serve`: `/var/lib` for root (a home closed to others would lock out the database's
/// user), else as in the XDG specification.
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
