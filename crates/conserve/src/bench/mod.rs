//! `conserve bench`: how fast the server is, each figure beside a reference that was measured in turns with it, and
//! none told before the tables were found to hold everything that was acknowledged.
//!
//! | module | what |
//! |---|---|
//! | `redirects`, `postbacks`, `promptness`, `reports`, `cost` | what is measured |
//! | `stage`, `preload`, `traffic` | a Postgres, the server, what is in it, and what is sent to it |
//! | `books` | what was acknowledged, and whether it is there |
//! | `pump`, `tools` | our own generator; wrk, nginx and pgbench |
//! | `figures`, `machine`, `cpu` | medians and ratios, and where they were measured |

mod books;
mod cost;
mod cpu;
mod figures;
mod machine;
mod postbacks;
mod preload;
mod promptness;
mod pump;
mod redirects;
mod reports;
mod stage;
mod tools;
mod traffic;

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use nix::sys::statvfs::statvfs;
use serde_json::{Value, json};

use figures::Line;
use machine::Machine;
use stage::Stage;

use crate::Outcome;

/// Room that a run needs on disk besides what a preloaded click takes while it is loaded, in bytes.
const ROOM: [u64; 2] = [12 << 30, 400];

/// What to measure, and how long.
#[derive(Debug, Args)]
pub(crate) struct BenchOptions {
    /// The binary under test: a release build.
    #[arg(long, value_name = "PATH")]
    server: PathBuf,
    /// How often each pair is measured.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..))]
    rounds: u64,
    /// Seconds of each measurement.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..))]
    seconds: u64,
    /// Only these rows [default: all].
    #[arg(long, value_enum, value_delimiter = ',')]
    rows: Vec<BenchRow>,
    /// Clicks of the last thirty days that are in the tables before.
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1000..))]
    clicks_preloaded: u64,
    /// Links of the row memory.
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1..))]
    many_links: u64,
    /// Write the result to this file as JSON, too.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Where everything lives while it runs; kept when something was lost [default: a new folder in /tmp].
    #[arg(long)]
    folder: Option<PathBuf>,
}

/// What is measured together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum BenchRow {
    /// Durable redirects on 64 and 256 kept connections, beside nginx.
    Redirects,
    /// Durable redirects, each on a new connection, beside nginx.
    NewConnections,
    /// Durable redirects, beside one INSERT per click.
    Inserts,
    /// Decided postbacks on 64 and 256 connections, beside single-row INSERTs.
    Postbacks,
    /// How long a redirect takes at 30 % of what the server can do.
    Latency,
    /// How long until a click is in a report.
    Visible,
    /// A report from rollups, beside the same from raw rows.
    Report,
    /// CPU time per click and per postback.
    Cpu,
    /// Disk per click.
    Disk,
    /// Redirects while Postgres stands still.
    Stopped,
    /// Memory of the server with a hundred and with very many links.
    Memory,
}

/// How much is measured.
#[derive(Debug, Clone, Copy)]
struct Effort {
    rounds: u64,
    /// Of each measurement.
    seconds: u64,
}

/// Measures and prints. False when the tables did not hold what was acknowledged.
pub(crate) async fn run(options: &BenchOptions) -> Outcome<bool> {
    for (program, package) in [("wrk", "wrk"), ("nginx", "nginx-light")] {
        tools::find(program, package)?;
    }
    let server = options
        .server
        .canonicalize()
        .map_err(|error| format!("{}: {error}", options.server.display()))?;
    let folder = options
        .folder
        .clone()
        .unwrap_or_else(|| std::env::temp_dir().join(format!("conserve-bench-{}", std::process::id())));
    check_room(&folder, options.clicks_preloaded)?;
    let machine = Machine::look(&server)?;
    println!("{machine}");
    let stage = Stage::set(&server, folder.clone(), options.clicks_preloaded).await?;
    let (lines, faults) = measure(options, stage).await?;
    let load_after = machine::load()?;
    println!("load average after: {load_after}");
    if let Some(file) = &options.json {
        let result = json!({
            "machine": machine.json(),
            "load_after": load_after,
            "rounds": options.rounds,
            "seconds": options.seconds,
            "clicks_preloaded": options.clicks_preloaded,
            "lines": lines,
            "faults": faults,
        });
        std::fs::write(file, format!("{result:#}\n"))?;
    }
    match faults.is_empty() {
        true => std::fs::remove_dir_all(&folder)?,
        false => eprintln!("conserve: kept {}", folder.display()),
    }
    Ok(faults.is_empty())
}

/// The rows one after the other, each with its books closed before it is told.
async fn measure(options: &BenchOptions, mut stage: Stage) -> Outcome<(Vec<Value>, Vec<String>)> {
    let chosen = |row: &&BenchRow| options.rows.is_empty() || options.rows.contains(row);
    let (mut all, mut faults) = (Vec::new(), Vec::new());
    for row in BenchRow::value_variants().iter().filter(chosen) {
        let lines = row.measure(&mut stage, options).await?;
        let found = stage.books.close(&stage.client).await?;
        for fault in &found {
            println!("{fault}");
        }
        for line in lines.iter().filter(|_| found.is_empty()) {
            println!("{line}");
        }
        let name = row.to_possible_value().map(|value| value.get_name().to_owned());
        all.extend(
            lines
                .iter()
                .map(|line| json!({ "row": name, "line": line.json() })),
        );
        faults.extend(found);
    }
    Ok((all, faults))
}

impl BenchRow {
    async fn measure(self, stage: &mut Stage, options: &BenchOptions) -> Outcome<Vec<Line>> {
        let effort = Effort {
            rounds: options.rounds,
            seconds: options.seconds,
        };
        match self {
            Self::Redirects => redirects::kept(stage, effort).await,
            Self::NewConnections => redirects::new_connections(stage, effort).await,
            Self::Inserts => redirects::beside_inserts(stage, effort).await,
            Self::Postbacks => postbacks::decided(stage, effort).await,
            Self::Latency => promptness::latency(stage, effort).await,
            Self::Visible => promptness::visible(stage, effort).await,
            Self::Report => reports::both(stage, effort).await,
            Self::Cpu => cost::cpu(stage, effort).await,
            Self::Disk => cost::disk(stage, effort).await,
            Self::Stopped => redirects::while_stopped(stage, effort).await,
            Self::Memory => cost::memory(stage, effort, options.many_links).await,
        }
    }
}

fn check_room(folder: &Path, clicks: u64) -> Outcome {
    if folder.exists() {
        return Err(format!("{} exists; name a folder that does not", folder.display()).into());
    }
    let parent = folder.parent().filter(|parent| parent.exists());
    let disk = statvfs(parent.unwrap_or(Path::new(".")))?;
    let free = disk.blocks_available() * disk.fragment_size();
    let [least, each] = ROOM;
    let needed = least + each * clicks;
    match free < needed {
        true => Err(format!("a run needs {} MiB, and there are {}", needed >> 20, free >> 20).into()),
        false => Ok(()),
    }
}
