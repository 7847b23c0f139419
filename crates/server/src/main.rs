//! `clickledger`: serve, demo, and the commands of the operator.

use std::path::PathBuf;
use std::process::ExitCode;

use server::commands::{self, CommandError, WrongUsage};
use server::config::{Cli, Command, ConfigError, RatesCommand};
use tracing::{Instrument as _, info_span};
use tracing_subscriber::EnvFilter;

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().collect();
    let credentials = std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from);
    let cli = match Cli::load(&arguments, credentials.as_deref()) {
        Ok(cli) => cli,
        Err(ConfigError::Arguments(error)) => error.exit(),
        Err(ConfigError::File(problems)) => {
            for problem in problems {
                eprintln!("clickledger: {problem}");
            }
            return ExitCode::from(WrongUsage::EXIT_CODE);
        }
    };
    let filter = EnvFilter::try_new(&cli.log).unwrap_or_else(|error| {
        eprintln!("clickledger: --log {}: {error}; logging at level info", cli.log);
        EnvFilter::new("info")
    });
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .init();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("clickledger: no runtime: {error}");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(run(cli)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("clickledger: {error}");
            if error.is::<WrongUsage>() {
                ExitCode::from(WrongUsage::EXIT_CODE)
            } else {
                ExitCode::FAILURE
            }
        }
    }
}

async fn run(cli: Cli) -> Result<(), CommandError> {
    match cli.command {
        Command::Serve(options) => commands::serve(*options).instrument(info_span!("serve")).await,
        Command::CheckConfig(options) => {
            let span = info_span!("check_config");
            commands::check_config(cli.config.as_deref(), &options)
                .instrument(span)
                .await
        }
        Command::Demo(options) => commands::demo(options).instrument(info_span!("demo")).await,
        Command::Health(options) => commands::health(options).instrument(info_span!("health")).await,
        Command::Man(options) => commands::man(&options),
        Command::Completions(options) => {
            commands::completions(&options);
            Ok(())
        }
        Command::CreateNetwork(options) => {
            let span = info_span!("create_network", slug = options.slug);
            commands::create_network(options).instrument(span).await
        }
        Command::ListNetworks(options) => {
            commands::list_networks(options)
                .instrument(info_span!("list_networks"))
                .await
        }
        Command::ChangeNetwork(options) => {
            let span = info_span!("change_network", network = %options.network);
            commands::change_network(options).instrument(span).await
        }
        Command::Migrate(options) => commands::migrate(options).instrument(info_span!("migrate")).await,
        Command::Verify(options) => commands::verify(options).instrument(info_span!("verify")).await,
        Command::Replay(options) => {
            let span = info_span!("replay", network = options.network);
            commands::replay(options).instrument(span).await
        }
        Command::Rates(RatesCommand::Import(options)) => {
            let span = info_span!("import_rates");
            commands::import_rates(options).instrument(span).await
        }
        Command::ReplaceClickKey(options) => {
            let span = info_span!("replace_click_key", network = %options.network);
            commands::replace_click_key(options).instrument(span).await
        }
        Command::ExportNetwork(options) => {
            let span = info_span!("export_network", network = %options.network);
            commands::export_network(options).instrument(span).await
        }
        Command::DeleteNetwork(options) => {
            let span = info_span!("delete_network", network = %options.network);
            commands::delete_network(options).instrument(span).await
        }
    }
}
