//! Options of the commands that check and describe the program.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;
use clap_complete::Shell;

use super::ServeOptions;

/// `clickledger check-config`
#[derive(Debug, Clone, Args)]
pub struct CheckConfigOptions {
    /// Options of the server.
    #[command(flatten)]
    pub serve: ServeOptions,
    /// Sign in to the mail server as well, without sending a mail.
    #[arg(long)]
    pub connect: bool,
}

/// `clickledger health`
#[derive(Debug, Clone, Args)]
pub struct HealthOptions {
    /// Address of the node's listener for clicks and postbacks.
    #[arg(long, env = "CLICKLEDGER_TRACKING_LISTEN", default_value = "127.0.0.1:8081")]
    pub tracking_listen: SocketAddr,
}

/// `clickledger man`
#[derive(Debug, Clone, Args)]
pub struct ManOptions {
    /// Folder for clickledger.1 and a page for each command; created if missing.
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
}

/// `clickledger completions`
#[derive(Debug, Clone, Args)]
pub struct CompletionsOptions {
    /// Shell that reads the script.
    pub shell: Shell,
}
