//! `conserve` checks from outside that no acknowledged event is lost, doubled, altered or attributed wrongly: it puts
//! load on a server, inflicts faults, and compares the tables with the acknowledgements.
//!
//! | module | content |
//! |---|---|
//! | `events` | events to send: a pure function of a seed and a number |
//! | `oracle` | events given out and acknowledged |
//! | `driver`, `http`, `ids` | open-loop load, and parsing of the responses |
//! | `nemesis`, `faults`, `torn`, `ground`, `hand_over`, `private` | faults, and their execution |
//! | `cluster`, `node`, `scene`, `world` | Postgres, the server, its rows, and all of them together |
//! | `comparison`, `findings`, `report` | comparison of tables and acknowledgements, and its verdict |
//! | `trial`, `controls` | a complete run, and runs that must fail |
//! | `hours` | hours of operation under a clock that runs fast |
//! | `bench` | benchmarks |
//!
//! It depends on none of the product's crates, so that it cannot share their mistakes.

mod bench;
mod cluster;
mod comparison;
mod controls;
mod driver;
mod events;
mod faults;
mod findings;
mod ground;
mod hand_over;
mod hours;
mod http;
mod ids;
mod money;
mod nemesis;
mod node;
mod oracle;
mod private;
mod report;
mod scene;
mod torn;
mod trial;
mod world;

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use nix::sys::statvfs::statvfs;
use rand::SeedableRng;
use rand::rngs::StdRng;
use tokio::signal::unix::{SignalKind, signal};

use bench::BenchOptions;
use bench::instructions::{self, InstructionOptions};
use driver::Rates;
use hours::HoursOptions;
use nemesis::Fault;
use report::Report;
use trial::Trial;
use world::{PostgresKind, WorldSettings};

/// Result with an error for people.
pub(crate) type Outcome<T = ()> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// Disk space that a run needs, in bytes: a full disk would falsify the result.
const LEAST_DISK_SPACE: u64 = 3 << 30;

/// Check from outside that no acknowledged event is lost: load, faults, and a comparison with the tables.
///
/// Exits 0 when every check passed, 1 when a rule was violated, 2 when the trial itself failed.
#[derive(Debug, Parser)]
#[command(name = "conserve", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a trial of at most three minutes, for every change: crashes of server and Postgres, a frozen Postgres, a
    /// full journal, torn tails, a hand-over, a restore.
    Short(TrialOptions),
    /// Run a trial of a hundred faults of all kinds and a million acknowledged events, and ten hours of operation, for
    /// every release.
    Long(LongOptions),
    /// Run hours of operation under a clock that runs fast: memory, files, disk and latency must stay flat.
    Hours(LoneHoursOptions),
    /// Run the negative controls: sabotaged servers and tampered tables must be detected.
    Controls(ControlOptions),
    /// Run the benchmarks, each beside a reference in the same run; a figure is printed only after the tables were
    /// found complete.
    Bench(BenchOptions),
    /// Count the server's instructions per event under callgrind, and compare them with committed figures.
    Instructions(InstructionOptions),
}

#[derive(Debug, Args)]
struct TrialOptions {
    /// Binary under test.
    #[arg(long, value_name = "PATH")]
    server: PathBuf,
    /// Binary of another release, on which the run begins, and to which hand-overs go [default: the same binary].
    #[arg(long, value_name = "PATH")]
    other_server: Option<PathBuf>,
    /// Faults to inflict [default: those of the profile].
    #[arg(long, value_enum, value_delimiter = ',')]
    faults: Vec<Fault>,
    /// Strikes of each fault [default: those of the profile].
    #[arg(long)]
    cycles: Option<usize>,
    /// Keep the load on until this number of events is acknowledged [default: 0; long: 1000000].
    #[arg(long)]
    events: Option<u64>,
    /// Print the report as JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    common: CommonOptions,
}

#[derive(Debug, Args)]
struct LongOptions {
    #[command(flatten)]
    trial: TrialOptions,
    #[command(flatten)]
    hours: HoursOptions,
}

#[derive(Debug, Args)]
struct LoneHoursOptions {
    /// Binary under test.
    #[arg(long, value_name = "PATH")]
    server: PathBuf,
    /// Print the report as JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    hours: HoursOptions,
    #[command(flatten)]
    common: CommonOptions,
}

#[derive(Debug, Args)]
struct ControlOptions {
    /// Binary built with the feature `sabotage`.
    #[arg(long, value_name = "PATH")]
    sabotaged_server: PathBuf,
    #[command(flatten)]
    common: CommonOptions,
}

#[derive(Debug, Args)]
struct CommonOptions {
    /// Seed of the payloads and schedule of an earlier run [default: a new one, printed].
    #[arg(long)]
    seed: Option<u64>,
    /// Clicks per second.
    #[arg(long, default_value_t = 2000.0)]
    rate: f64,
    /// Postbacks per second.
    #[arg(long, default_value_t = 50.0)]
    postback_rate: f64,
    /// Keep-alive connections for clicks.
    #[arg(long, default_value_t = 128)]
    connections: usize,
    /// Folder of the run; stays after a violation [default: a new folder in /tmp].
    #[arg(long)]
    folder: Option<PathBuf>,
    /// Keep the folder after a successful run too.
    #[arg(long)]
    keep: bool,
}

impl CommonOptions {
    fn world(&self, server: &Path) -> Outcome<WorldSettings> {
        let folder = self
            .folder
            .clone()
            .unwrap_or_else(|| std::env::temp_dir().join(format!("conserve-{}", std::process::id())));
        if folder.exists() {
            return Err(format!("{} exists; name a folder that does not", folder.display()).into());
        }
        let parent = folder
            .parent()
            .filter(|parent| parent.exists())
            .unwrap_or(Path::new("."));
        let disk = statvfs(parent)?;
        let free = disk.blocks_available() * disk.fragment_size();
        if free < LEAST_DISK_SPACE {
            let (free, least) = (free >> 20, LEAST_DISK_SPACE >> 20);
            return Err(format!(
                "{} has {free} MiB free, and a run needs {least}",
                parent.display()
            )
            .into());
        }
        let server = absolute(server)?;
        let seed = self.seed.unwrap_or_else(|| u64::from(rand::random::<u32>()));
        eprintln!("conserve: seed {seed}, folder {}", folder.display());
        let rates = Rates {
            clicks: self.rate,
            postbacks: self.postback_rate,
            connections: self.connections,
            keep_alive: true,
        };
        Ok(WorldSettings {
            server,
            seed,
            other_server: None,
            postgres: PostgresKind::Separate,
            rates,
            visitors: scene::MOST_VISITORS,
            folder,
            options: Vec::new(),
            environment: Vec::new(),
        })
    }

    /// Removes the folder of a successful run.
    fn tidy(&self, settings: &WorldSettings, passed: bool) -> Outcome {
        if passed && !self.keep {
            std::fs::remove_dir_all(&settings.folder)?;
        } else {
            eprintln!("conserve: kept {}", settings.folder.display());
        }
        Ok(())
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    let run = async {
        match &cli.command {
            Command::Short(options) => profile(options, &nemesis::SHORT, 0, None).await,
            Command::Long(options) => {
                profile(&options.trial, &nemesis::LONG, 1_000_000, Some(&options.hours)).await
            }
            Command::Hours(options) => lone_hours(options).await,
            Command::Controls(options) => negative_controls(options).await,
            Command::Bench(options) => bench::run(options).await,
            Command::Instructions(options) => instructions::run(options).await,
        }
    };
    // The world is dropped on a signal too, with its processes and mounts.
    let outcome = tokio::select! {
        outcome = run => outcome,
        () = stop_signal() => Err("stopped by a signal".into()),
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            eprintln!("conserve: {}", with_causes(&*error));
            ExitCode::from(2)
        }
    }
}

async fn profile(
    options: &TrialOptions,
    faults: &[(Fault, usize)],
    events: u64,
    hours: Option<&HoursOptions>,
) -> Outcome<bool> {
    let mut settings = options.common.world(&options.server)?;
    settings.other_server = options.other_server.as_deref().map(absolute).transpose()?;
    let mut dice = StdRng::seed_from_u64(settings.seed);
    let schedule = nemesis::schedule(faults, &options.faults, options.cycles, &mut dice)?;
    let (private, separate): (Vec<_>, Vec<_>) = schedule
        .into_iter()
        .partition(|fault| fault.postgres() == PostgresKind::Private);
    let mut reports = Vec::new();
    if !separate.is_empty() || private.is_empty() {
        let settings = part(&settings, "separate");
        reports.push(trial(settings, &separate, options.events.unwrap_or(events)).await?);
    }
    if !private.is_empty() {
        let mut settings = part(&settings, "private");
        settings.postgres = PostgresKind::Private;
        settings.other_server = None;
        settings.options = private::backup_options(&private::first_place(&settings.folder))?;
        reports.push(trial(settings, &private, 0).await?);
    }
    if let Some(hours) = hours {
        reports.push(hours::run(part(&settings, "hours"), hours).await?);
    }
    conclude(&reports, options.json, &options.common, &settings)
}

/// Returns the settings of a part of the run.
fn part(settings: &WorldSettings, name: &str) -> WorldSettings {
    WorldSettings {
        folder: settings.folder.join(name),
        ..settings.clone()
    }
}

async fn trial(settings: WorldSettings, faults: &[Fault], events: u64) -> Outcome<Report> {
    let mut trial = Trial::begin(settings).await?;
    trial.strike(faults).await?;
    trial.until_acknowledged(events).await;
    trial.end().await
}

async fn lone_hours(options: &LoneHoursOptions) -> Outcome<bool> {
    let settings = options.common.world(&options.server)?;
    let report = hours::run(part(&settings, "hours"), &options.hours).await?;
    conclude(&[report], options.json, &options.common, &settings)
}

/// Prints the reports of all parts; returns true if no part failed.
fn conclude(
    reports: &[Report],
    is_json: bool,
    common: &CommonOptions,
    settings: &WorldSettings,
) -> Outcome<bool> {
    let passed = reports.iter().all(Report::passed);
    if is_json {
        let parts: Vec<_> = reports.iter().map(Report::json).collect();
        println!("{:#}", serde_json::json!({ "passed": passed, "parts": parts }));
    } else {
        reports.iter().for_each(|report| println!("{report}"));
    }
    common.tidy(settings, passed)?;
    Ok(passed)
}

fn absolute(server: &Path) -> Outcome<PathBuf> {
    let found = server.canonicalize();
    found.map_err(|error| format!("{}: {error}", server.display()).into())
}

async fn negative_controls(options: &ControlOptions) -> Outcome<bool> {
    let settings = options.common.world(&options.sabotaged_server)?;
    // Every control must run: a skipped control detects nothing.
    let mut dice = StdRng::seed_from_u64(settings.seed);
    let possible = nemesis::schedule(&[], &controls::FAULTS, None, &mut dice)?;
    if possible.len() < controls::FAULTS.len() {
        return Err("the controls need root".into());
    }
    let undetected = controls::run(&settings).await?;
    for control in &undetected {
        println!("BLIND: {control}");
    }
    println!(
        "{}",
        if undetected.is_empty() {
            "PASSED: every control was detected"
        } else {
            "VIOLATED"
        }
    );
    options.common.tidy(&settings, undetected.is_empty())?;
    Ok(undetected.is_empty())
}

async fn stop_signal() {
    let (Ok(mut interrupt), Ok(mut terminate)) =
        (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
    else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
}

/// Returns an error with its causes: Postgres' message is behind one that reads only "db error".
pub(crate) fn with_causes(error: &(dyn std::error::Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

/// Returns a free port. Another process could take it before we do; then a start fails with an error.
pub(crate) fn free_port() -> Outcome<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}
