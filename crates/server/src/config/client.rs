//! Options of the commands that call the API of a server: for people and scripts with an API key.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use url::Url;

use super::{Since, since};
use crate::client::check_profile;

/// URL of a server whose URL is given nowhere.
const DEFAULT_URL: &str = "http://127.0.0.1:8080";

/// Server and key of a command.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Server and key")]
pub struct ConnectionOptions {
    /// URL of the dashboard [default: that of the profile, else http://127.0.0.1:8080].
    #[arg(long, env = "CLICKLEDGER_URL", value_parser = parse_base)]
    pub url: Option<Url>,
    /// Stored key to use, by the name that `login` gave it. CLICKLEDGER_API_KEY takes precedence.
    #[arg(long, env = "CLICKLEDGER_PROFILE", default_value = "default", value_parser = check_profile)]
    pub profile: String,
    /// File with certificates (PEM) of authorities to trust besides the public ones.
    #[arg(long, env = "CLICKLEDGER_CA_FILE", value_name = "FILE")]
    pub ca_file: Option<PathBuf>,
}

impl ConnectionOptions {
    /// URL of a server that is new, or whose profile is stored.
    #[must_use]
    pub fn url_or(&self, stored: Option<&str>) -> Option<Url> {
        let stored = stored.and_then(|text| parse_base(text).ok());
        self.url.clone().or(stored).or_else(|| DEFAULT_URL.parse().ok())
    }
}

/// Key of the environment, which takes precedence over stored ones.
#[must_use]
pub fn key_of_environment() -> Option<String> {
    let key = std::env::var_os("CLICKLEDGER_API_KEY")?.into_string().ok()?;
    Some(key.trim().to_owned()).filter(|key| !key.is_empty())
}

/// File of the stored keys, as in the XDG specification; `None` without a home.
#[must_use]
pub fn credentials_file() -> Option<PathBuf> {
    let absolute = |path: PathBuf| path.is_absolute().then_some(path);
    let configured = std::env::var_os("XDG_CONFIG_HOME").map(PathBuf::from);
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".config"));
    let folder = configured.and_then(absolute).or_else(home)?;
    Some(folder.join("clickledger/credentials.toml"))
}

/// Parses the URL of a server: http or https, without credentials.
fn parse_base(text: &str) -> Result<Url, String> {
    Url::parse(text)
        .ok()
        .filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
        .filter(|url| url.username().is_empty() && url.password().is_none())
        .ok_or_else(|| "write a URL, such as https://app.example.com".to_owned())
}

/// Commands that call the API.
#[derive(Debug, Subcommand)]
pub enum ClientCommand {
    /// Store an API key, after a check that the server accepts it. The key is read from the terminal or standard input.
    #[command(after_help = LOGIN_HELP)]
    Login(LoginOptions),
    /// Remove a stored API key from this machine. The key stays valid until it is revoked in the dashboard.
    Logout(LogoutOptions),
    /// Print the member, the role and the network of the API key.
    Whoami(WhoamiOptions),
    /// Print each postback of the network as its verdict is stored, and forward it to a local URL.
    #[command(after_help = LISTEN_HELP)]
    Listen(ListenOptions),
    /// Send a test order of a campaign through the public endpoints, and print its verdict. Fails if it is rejected.
    #[command(after_help = TRIGGER_HELP)]
    Trigger(TriggerOptions),
    /// List, explain and replay postbacks through the API.
    #[command(subcommand)]
    Postbacks(PostbacksCommand),
    /// Export CSV: affiliates, advertisers, campaigns and their parts, exchange rates, or a report.
    #[command(after_help = EXPORT_HELP)]
    Export(ExportOptions),
    /// Import CSV in the columns of the export, or corrections of conversions.
    #[command(after_help = IMPORT_HELP)]
    Import(ImportOptions),
}

const LOGIN_HELP: &str = "Examples:
  clickledger login --url https://app.example.com
  clickledger login --url https://app.example.com --profile acme < key.txt
  CLICKLEDGER_API_KEY=clk_key_… clickledger whoami    (without a stored key)

Create the key in the dashboard under Settings → API keys. The file is credentials.toml in $XDG_CONFIG_HOME/clickledger
(~/.config/clickledger), with mode 0600.";

const LISTEN_HELP: &str = "Examples:
  clickledger listen
  clickledger listen --status rejected --advertiser 'Nova Shoes'
  clickledger listen --forward http://127.0.0.1:4000          (keeps path and query of the request)
  clickledger listen --forward http://127.0.0.1:4000/hooks    (keeps the query)
  clickledger listen --json | jq 'select(.status == \"rejected\")'

Each verdict is printed once, none is left out; one that changes after a hold or a replay is printed again. Requests are
forwarded as they are stored: method, query, content type and body, with tokens redacted, and the headers
X-Clickledger-Postback, X-Clickledger-Status and X-Clickledger-Reason. Ctrl-C stops the command.";

const TRIGGER_HELP: &str = "Examples:
  clickledger trigger --campaign 'Nova shop' --goal sale --amount 49.90
  clickledger trigger --campaign cmp_2y6c3r8 --order TEST-1 --create-test-link --json

The order goes through the campaign's test link: its conversion is in no report and is never paid.";

const EXPORT_HELP: &str = "Examples:
  clickledger export affiliates --out affiliates.csv
  clickledger export report --query 'group=day,affiliate&period=last_30_days' > report.csv
  clickledger export report --query 'group=sub1,day&period=last_month' --format xlsx --out report.xlsx

The query is that of /reports in the dashboard's address bar; /docs/reports explains it. The server prepares a report of
more than 100,000 rows as a file; the command waits for it and shows its progress on standard error.";

const IMPORT_HELP: &str = "Examples:
  clickledger import affiliates affiliates.csv --dry-run
  clickledger import corrections - < corrections.csv    (columns order_id, action, amount, reason_code, reason)

A row updates the object that it identifies, or creates it. The command prints each refused row, and fails if one was
refused; the other rows are imported, except of exchange rates, which are imported as a whole.";

/// `clickledger login`
#[derive(Debug, Clone, Args)]
pub struct LoginOptions {
    /// Server and name of the key.
    #[command(flatten)]
    pub connection: ConnectionOptions,
}

/// `clickledger logout`
#[derive(Debug, Clone, Args)]
pub struct LogoutOptions {
    /// Name of the stored key.
    #[arg(long, env = "CLICKLEDGER_PROFILE", default_value = "default", value_parser = check_profile)]
    pub profile: String,
    /// Remove all stored keys.
    #[arg(long)]
    pub all: bool,
}

/// `clickledger whoami`
#[derive(Debug, Clone, Args)]
pub struct WhoamiOptions {
    /// Server and key.
    #[command(flatten)]
    pub connection: ConnectionOptions,
}

/// Postbacks to select.
#[derive(Debug, Clone, Args)]
pub struct PostbackOptions {
    /// Only postbacks of this advertiser: its ID, its external ID or its name.
    #[arg(long)]
    pub advertiser: Option<String>,
    /// Only postbacks for this campaign: its ID, its external ID or its name.
    #[arg(long)]
    pub campaign: Option<String>,
    /// Only postbacks for this goal: its ID, or its code together with --campaign.
    #[arg(long)]
    pub goal: Option<String>,
    /// Only postbacks with this status.
    #[arg(long, value_enum)]
    pub status: Option<PostbackStatus>,
    /// Only postbacks with this reason, such as goal_unknown; /docs/postback lists all.
    #[arg(long)]
    pub reason: Option<String>,
}

/// Status of a postback.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum PostbackStatus {
    /// A conversion was created or changed.
    Accepted,
    /// Nothing was new.
    Duplicate,
    /// Not accepted.
    Rejected,
    /// Waits for another event or a review.
    Held,
}

impl PostbackStatus {
    /// Word of the API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Duplicate => "duplicate",
            Self::Rejected => "rejected",
            Self::Held => "held",
        }
    }
}

/// `clickledger listen`
#[derive(Debug, Clone, Args)]
pub struct ListenOptions {
    /// URL that gets the requests, such as `http://127.0.0.1:4000`.
    #[arg(long, value_name = "URL", value_parser = parse_base)]
    pub forward: Option<Url>,
    /// Postbacks to select.
    #[command(flatten)]
    pub postbacks: PostbackOptions,
    /// Stop after this many postbacks.
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u64).range(1..))]
    pub count: Option<u64>,
    /// Server and key.
    #[command(flatten)]
    pub connection: ConnectionOptions,
}

/// `clickledger trigger`
#[derive(Debug, Clone, Args)]
pub struct TriggerOptions {
    /// Campaign: its ID, its external ID or its name.
    #[arg(long)]
    pub campaign: String,
    /// Code or ID of the goal [default: the first goal of the campaign].
    #[arg(long)]
    pub goal: Option<String>,
    /// Order ID [default: a new one].
    #[arg(long, value_name = "ID")]
    pub order: Option<String>,
    /// Amount of the order [default: 50].
    #[arg(long)]
    pub amount: Option<String>,
    /// Currency of the amount [default: that of the campaign].
    #[arg(long)]
    pub currency: Option<String>,
    /// Create a test link for the campaign first. A draft becomes a campaign in testing.
    #[arg(long)]
    pub create_test_link: bool,
    /// Server and key.
    #[command(flatten)]
    pub connection: ConnectionOptions,
}

/// `clickledger postbacks`
#[derive(Debug, Clone, Subcommand)]
pub enum PostbacksCommand {
    /// List postbacks, newest first.
    List(ListPostbacksOptions),
    /// Show a postback with its request and the steps that led to its verdict.
    Show(ShowPostbackOptions),
    /// Decide rejected postbacks again under the present configuration. A dry run unless --for-real is given.
    #[command(after_help = REPLAY_HELP)]
    Replay(ReplayPostbacksOptions),
}

const REPLAY_HELP: &str = "Examples:
  clickledger postbacks replay --reason goal_unknown --since 2026-12-24
  clickledger postbacks replay pb_06crz6hq5xw7d1qk3w5m8t2n9g --for-real

At most 10,000 postbacks, oldest first. Operators with access to the database can use `clickledger replay`.";

/// `clickledger postbacks list`
#[derive(Debug, Clone, Args)]
pub struct ListPostbacksOptions {
    /// Postbacks to select.
    #[command(flatten)]
    pub postbacks: PostbackOptions,
    /// Most postbacks to list.
    #[arg(long, value_name = "NUMBER", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub limit: u32,
    /// Server and key.
    #[command(flatten)]
    pub connection: ConnectionOptions,
}

/// `clickledger postbacks show`
#[derive(Debug, Clone, Args)]
pub struct ShowPostbackOptions {
    /// Receipt of the postback, pb_….
    #[arg(value_name = "RECEIPT")]
    pub receipt: String,
    /// Server and key.
    #[command(flatten)]
    pub connection: ConnectionOptions,
}

/// `clickledger postbacks replay`
#[derive(Debug, Clone, Args)]
pub struct ReplayPostbacksOptions {
    /// Receipts of the postbacks, pb_….
    #[arg(value_name = "RECEIPT", required_unless_present_any = ["reason", "advertiser", "since"])]
    pub receipts: Vec<String>,
    /// Only postbacks with this reason, such as goal_unknown.
    #[arg(long)]
    pub reason: Option<String>,
    /// Only postbacks of this advertiser: its ID, its external ID or its name.
    #[arg(long)]
    pub advertiser: Option<String>,
    /// Only postbacks received since: a day in UTC (2026-12-24), or a time (2026-12-24T18:00:00Z).
    #[arg(long, value_parser = since)]
    pub since: Option<Since>,
    /// Store the new verdicts, instead of showing them in a dry run.
    #[arg(long)]
    pub for_real: bool,
    /// Server and key.
    #[command(flatten)]
    pub connection: ConnectionOptions,
}

/// Table that the API exports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ExportedTable {
    /// Affiliates.
    Affiliates,
    /// Advertisers.
    Advertisers,
    /// Campaigns.
    Campaigns,
    /// Goals of campaigns.
    Goals,
    /// Commission rules.
    Rules,
    /// Landing pages.
    LandingPages,
    /// Coupons.
    Coupons,
    /// Tracking links.
    Links,
    /// Exchange rates.
    ExchangeRates,
    /// Rows of a report, of --query.
    Report,
}

/// Table that the API imports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ImportedTable {
    /// Affiliates.
    Affiliates,
    /// Advertisers.
    Advertisers,
    /// Campaigns.
    Campaigns,
    /// Goals of campaigns.
    Goals,
    /// Commission rules.
    Rules,
    /// Landing pages.
    LandingPages,
    /// Coupons.
    Coupons,
    /// Tracking links.
    Links,
    /// Exchange rates.
    ExchangeRates,
    /// Corrections of conversions.
    Corrections,
}

/// Name of a table in paths of the API.
#[must_use]
pub fn table_path(table: impl ValueEnum) -> String {
    let value = table.to_possible_value();
    value.map_or_else(String::new, |value| value.get_name().to_owned())
}

/// Format of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ReportFormat {
    /// CSV.
    Csv,
    /// Excel workbook.
    Xlsx,
}

/// `clickledger export`
#[derive(Debug, Clone, Args)]
pub struct ExportOptions {
    /// Table to export.
    #[arg(value_enum)]
    pub table: ExportedTable,
    /// File to write [default: standard output].
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Begin CSV with a byte-order mark, by which Excel recognises UTF-8.
    #[arg(long)]
    pub bom: bool,
    /// Include archived affiliates or advertisers.
    #[arg(long)]
    pub archived: bool,
    /// Query string of the report [default: campaigns and affiliates of the last 30 days].
    #[arg(long, value_name = "QUERY")]
    pub query: Option<String>,
    /// Format of the report.
    #[arg(long, value_enum, default_value_t = ReportFormat::Csv)]
    pub format: ReportFormat,
    /// Server and key.
    #[command(flatten)]
    pub connection: ConnectionOptions,
}

/// `clickledger import`
#[derive(Debug, Clone, Args)]
pub struct ImportOptions {
    /// Table to import.
    #[arg(value_enum)]
    pub table: ImportedTable,
    /// CSV file; - for standard input.
    pub file: PathBuf,
    /// Show the effect, and change nothing.
    #[arg(long)]
    pub dry_run: bool,
    /// Server and key.
    #[command(flatten)]
    pub connection: ConnectionOptions,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_of_servers_are_accepted() {
        assert!(parse_base("https://app.example.com/tracking").is_ok());
        for wrong in [
            "app.example.com",
            "ftp://example.com",
            "https://key@example.com",
            "",
        ] {
            assert!(parse_base(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn tables_have_the_names_of_the_paths() {
        assert_eq!(table_path(ExportedTable::LandingPages), "landing-pages");
        assert_eq!(table_path(ImportedTable::ExchangeRates), "exchange-rates");
    }
}
