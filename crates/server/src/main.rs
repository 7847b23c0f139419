//! `clickledger`: serve, demo, and the commands of the operator.

use std::path::PathBuf;
use std::process::ExitCode;

use server::client::Failure;
use server::commands::{self, CommandError, WrongUsage};
use server::config::{Cli, Command, ConfigError, RatesCommand};
use server::logging;
use server::output::Output;
use server::traces::Exporter;
use tracing::{Instrument as _, info_span};

/// Bytes from which a piece of memory is given back to the system when it is freed.
#[cfg(target_env = "gnu")]
const RETURNED_FROM: i32 = 256 * 1024;

fn main() -> ExitCode {
    give_memory_back();
    let arguments: Vec<_> = std::env::args_os().collect();
    let credentials = std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from);
    let cli = match Cli::load(&arguments, credentials.as_deref()) {
        Ok(cli) => cli,
        Err(error) => return unparsed(&error),
    };
    let exporter = logging::start(&cli);
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("clickledger: no runtime: {error}");
            return ExitCode::FAILURE;
        }
    };
    let is_json = cli.json;
    match runtime.block_on(run(cli, exporter)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if is_closed_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            if is_json {
                eprintln!("{}", commands::error_json(&error));
            } else {
                eprintln!("clickledger: {error}");
            }
            ExitCode::from(commands::exit_code(&error))
        }
    }
}

/// Has the C library give large pieces of memory back when they are freed. On its own it raises the size from which it does so
/// with every such piece, up to 32 MiB, and keeps what is smaller: after hours of operation, a server held the memory of the
/// largest block of clicks that it had built.
#[cfg(target_env = "gnu")]
fn give_memory_back() {
    #[expect(unsafe_code, reason = "the setting has no safe interface")]
    // SAFETY: a number is set before any other thread exists.
    let accepted = unsafe { nix::libc::mallopt(nix::libc::M_MMAP_THRESHOLD, RETURNED_FROM) };
    debug_assert_eq!(accepted, 1, "the C library refuses the setting");
}

#[cfg(not(target_env = "gnu"))]
fn give_memory_back() {}

/// Prints help, version, or the error in the options, also as JSON.
fn unparsed(error: &ConfigError) -> ExitCode {
    let is_json = std::env::args_os().skip(1).any(|argument| argument == "--json");
    match error {
        ConfigError::Arguments(error) if !is_json || !error.use_stderr() => {
            // Nothing is left to do if the terminal is gone.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(WrongUsage::EXIT_CODE));
        }
        ConfigError::File(problems) if !is_json => {
            for problem in problems {
                eprintln!("clickledger: {problem}");
            }
        }
        error => {
            let message = error.to_string();
            let message = message.strip_prefix("error: ").unwrap_or(&message).trim_end();
            eprintln!("{}", Failure::local(WrongUsage::CODE, message).to_json());
        }
    }
    ExitCode::from(WrongUsage::EXIT_CODE)
}

/// True if the reader of standard output has enough, as in `clickledger listen | head`.
fn is_closed_pipe(error: &CommandError) -> bool {
    let error = error.downcast_ref::<std::io::Error>();
    error.is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
}

async fn run(cli: Cli, exporter: Option<Exporter>) -> Result<(), CommandError> {
    let output = Output::of(cli.json);
    match cli.command {
        Command::Serve(options) => {
            commands::serve(*options, exporter)
                .instrument(info_span!("serve"))
                .await
        }
        Command::CheckConfig(options) => {
            let span = info_span!("check_config");
            commands::check_config(cli.config.as_deref(), &options, output)
                .instrument(span)
                .await
        }
        Command::Demo(options) => commands::demo(options).instrument(info_span!("demo")).await,
        Command::Health(options) => {
            commands::health(options, output)
                .instrument(info_span!("health"))
                .await
        }
        Command::Client(command) => {
            commands::client(command, output)
                .instrument(info_span!("client"))
                .await
        }
        Command::Man(options) => commands::man(&options),
        Command::Completions(options) => {
            commands::completions(&options);
            Ok(())
        }
        Command::CreateNetwork(options) => {
            let span = info_span!("create_network", slug = options.slug);
            commands::create_network(options, output).instrument(span).await
        }
        Command::ListNetworks(options) => {
            commands::list_networks(options, output)
                .instrument(info_span!("list_networks"))
                .await
        }
        Command::ChangeNetwork(options) => {
            let span = info_span!("change_network", network = %options.network);
            commands::change_network(options, output).instrument(span).await
        }
        Command::Migrate(options) => {
            commands::migrate(options, output)
                .instrument(info_span!("migrate"))
                .await
        }
        Command::Verify(options) => {
            commands::verify(options, output)
                .instrument(info_span!("verify"))
                .await
        }
        Command::Backup(options) => {
            commands::backup(*options, output)
                .instrument(info_span!("backup_command"))
                .await
        }
        Command::Restore(options) => {
            commands::restore(*options, output)
                .instrument(info_span!("restore_command"))
                .await
        }
        Command::Replay(options) => {
            let span = info_span!("replay", network = options.network);
            commands::replay(options, output).instrument(span).await
        }
        Command::SettleVerdict(options) => {
            let span = info_span!("settle_verdict", network = %options.network);
            commands::settle_verdict(options, output).instrument(span).await
        }
        Command::Rates(RatesCommand::Import(options)) => {
            let span = info_span!("import_rates");
            commands::import_rates(options, output).instrument(span).await
        }
        Command::CheckHost(options) => {
            commands::check_host(options, output)
                .instrument(info_span!("check_host"))
                .await
        }
        Command::ReplaceClickKey(options) => {
            let span = info_span!("replace_click_key", network = %options.network);
            commands::replace_click_key(options, output)
                .instrument(span)
                .await
        }
        Command::ExportNetwork(options) => {
            let span = info_span!("export_network", network = %options.network);
            commands::export_network(options).instrument(span).await
        }
        Command::DeleteNetwork(options) => {
            let span = info_span!("delete_network", network = %options.network);
            commands::delete_network(options, output).instrument(span).await
        }
    }
}
