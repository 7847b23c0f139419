//! `conserve` proves from outside that nothing acknowledged is lost, doubled, altered or led astray: it puts load on
//! a server, lets faults strike, and compares the tables with what the server had acknowledged.
//!
//! | module | what |
//! |---|---|
//! | `events` | what is sent: a pure function of a seed and a number |
//! | `oracle` | what was given out and acknowledged |
//! | `driver`, `http`, `ids` | open-loop load, and reading the answers |
//! | `nemesis`, `faults`, `torn`, `ground` | which faults there are, and how each is done |
//! | `cluster`, `node`, `scene`, `world` | a Postgres, the server, the rows it needs, and all of it together |
//! | `judge`, `findings`, `report` | the comparison, and its verdict |
//! | `trial`, `controls` | a whole run, and runs that must fail |
//! | `bench` | how fast it is |
//!
//! It depends on none of the product's crates, so that it cannot share their mistakes.

mod bench;
mod cluster;
mod controls;
mod driver;
mod events;
mod faults;
mod findings;
mod ground;
mod http;
mod ids;
mod judge;
mod nemesis;
mod node;
mod oracle;
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
use driver::Rates;
use nemesis::Fault;
use trial::Trial;
use world::WorldSettings;

/// What comes of something that can fail in words for a person.
pub(crate) type Outcome<T = ()> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// Room that a run needs, in bytes: on a disk that fills up it would judge the disk.
const LEAST_ROOM: u64 = 3 << 30;

/// Proves from outside that nothing acknowledged is lost: load, faults, and a judge who reads the tables.
///
/// Exits 0 when everything held, 1 when something was violated, 2 when the trial itself failed.
#[derive(Debug, Parser)]
#[command(name = "conserve", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// At most three minutes, for every change: crashes of server and Postgres, a frozen Postgres, a full journal, torn tails.
    Short(TrialOptions),
    /// A hundred faults of all kinds and a million acknowledged events, for every release.
    Long(TrialOptions),
    /// Negative controls: sabotaged servers and tampered tables must be seen.
    Controls(ControlOptions),
    /// How fast it is, each figure beside a reference in the same run; nothing is told before it was found complete.
    Bench(BenchOptions),
}

#[derive(Debug, Args)]
struct TrialOptions {
    /// The binary under test.
    #[arg(long, value_name = "PATH")]
    server: PathBuf,
    /// Only these faults [default: those of the profile].
    #[arg(long, value_enum, value_delimiter = ',')]
    faults: Vec<Fault>,
    /// How often each fault strikes [default: as often as the profile has it].
    #[arg(long)]
    cycles: Option<usize>,
    /// Keep going until so many events are acknowledged [default: 0; long: 1000000].
    #[arg(long)]
    events: Option<u64>,
    /// Print the report as JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    common: CommonOptions,
}

#[derive(Debug, Args)]
struct ControlOptions {
    /// A binary that was built with the feature `sabotage`.
    #[arg(long, value_name = "PATH")]
    sabotaged_server: PathBuf,
    #[command(flatten)]
    common: CommonOptions,
}

#[derive(Debug, Args)]
struct CommonOptions {
    /// Replays the payloads and schedule of an earlier run [default: a new one, printed].
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
    /// Where everything lives while it runs; kept when something was violated [default: a new folder in /tmp].
    #[arg(long)]
    folder: Option<PathBuf>,
    /// Keep the folder also when all went well.
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
        if free < LEAST_ROOM {
            let (free, least) = (free >> 20, LEAST_ROOM >> 20);
            return Err(format!(
                "{} has {free} MiB free, and a run needs {least}",
                parent.display()
            )
            .into());
        }
        let server = server
            .canonicalize()
            .map_err(|error| format!("{}: {error}", server.display()))?;
        let seed = self.seed.unwrap_or_else(|| u64::from(rand::random::<u32>()));
        eprintln!("conserve: seed {seed}, folder {}", folder.display());
        let rates = Rates {
            clicks: self.rate,
            postbacks: self.postback_rate,
            connections: self.connections,
        };
        Ok(WorldSettings {
            server,
            seed,
            rates,
            folder,
            environment: Vec::new(),
        })
    }

    /// Removes the folder of a run that went well.
    fn tidy(&self, settings: &WorldSettings, passed: bool) -> Outcome {
        match passed && !self.keep {
            true => Ok(std::fs::remove_dir_all(&settings.folder)?),
            false => {
                eprintln!("conserve: kept {}", settings.folder.display());
                Ok(())
            }
        }
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    let run = async {
        match &cli.command {
            Command::Short(options) => profile(options, &nemesis::SHORT, 0).await,
            Command::Long(options) => profile(options, &nemesis::LONG, 1_000_000).await,
            Command::Controls(options) => negative_controls(options).await,
            Command::Bench(options) => bench::run(options).await,
        }
    };
    // Dropped on a signal too, the world takes its processes and mounts with it.
    let outcome = tokio::select! {
        outcome = run => outcome,
        () = told_to_stop() => Err("told to stop".into()),
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            eprintln!("conserve: {}", in_words(&*error));
            ExitCode::from(2)
        }
    }
}

async fn profile(options: &TrialOptions, faults: &[(Fault, usize)], events: u64) -> Outcome<bool> {
    let settings = options.common.world(&options.server)?;
    let mut dice = StdRng::seed_from_u64(settings.seed);
    let schedule = nemesis::schedule(faults, &options.faults, options.cycles, &mut dice)?;
    let mut trial = Trial::begin(settings.clone()).await?;
    trial.strike(&schedule).await?;
    trial.until_acknowledged(options.events.unwrap_or(events)).await;
    let (report, world) = trial.end().await?;
    drop(world);
    match options.json {
        true => println!("{:#}", report.json()),
        false => println!("{report}"),
    }
    options.common.tidy(&settings, report.passed())?;
    Ok(report.passed())
}

async fn negative_controls(options: &ControlOptions) -> Outcome<bool> {
    let settings = options.common.world(&options.sabotaged_server)?;
    // Nothing may be left out here: a control that does not run is a control that is blind.
    let mut dice = StdRng::seed_from_u64(settings.seed);
    let possible = nemesis::schedule(&[], &controls::FAULTS, None, &mut dice)?;
    if possible.len() < controls::FAULTS.len() {
        return Err("the controls need root".into());
    }
    let blind = controls::run(&settings).await?;
    for what in &blind {
        println!("BLIND: {what}");
    }
    println!(
        "{}",
        if blind.is_empty() {
            "PASSED: every control was seen"
        } else {
            "VIOLATED"
        }
    );
    options.common.tidy(&settings, blind.is_empty())?;
    Ok(blind.is_empty())
}

async fn told_to_stop() {
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

/// An error with its causes: Postgres' own words stand behind one that only says "db error".
pub(crate) fn in_words(error: &(dyn std::error::Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

/// A port that nobody listens on. Somebody else could take it before we do; then a start fails and says so.
pub(crate) fn free_port() -> Outcome<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}
