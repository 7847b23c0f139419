//! `clickledger`: serve, demo, and the commands of whoever runs an installation.

use std::process::ExitCode;

use clap::Parser;
use server::commands::WrongUsage;
use server::config::{Cli, Command};
use tracing_subscriber::EnvFilter;

fn main() -> ExitCode {
    let cli = Cli::parse();
    tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::try_new(&cli.log).unwrap_or_else(|_| EnvFilter::new("info")))
        .with_writer(std::io::stderr)
        .init();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("clickledger: no runtime: {error}");
            return ExitCode::FAILURE;
        }
    };
    let outcome = runtime.block_on(async {
        match cli.command {
            Command::Serve(options) => server::commands::serve(options).await,
            Command::Demo(options) => server::commands::demo(options).await,
            Command::CreateNetwork(options) => server::commands::create_network(options).await,
            Command::ListNetworks(options) => server::commands::list_networks(options).await,
            Command::ChangeNetwork(options) => server::commands::change_network(options).await,
            Command::Migrate(options) => server::commands::migrate(options).await,
            Command::Verify(options) => server::commands::verify(options).await,
            Command::Replay(options) => server::commands::replay(options).await,
            Command::ReplaceClickKey(options) => server::commands::replace_click_key(options).await,
            Command::ExportNetwork(options) => server::commands::export_network(options).await,
            Command::DeleteNetwork(options) => server::commands::delete_network(options).await,
        }
    });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("clickledger: {error}");
            match error.is::<WrongUsage>() {
                true => ExitCode::from(WrongUsage::EXIT_CODE),
                false => ExitCode::FAILURE,
            }
        }
    }
}
