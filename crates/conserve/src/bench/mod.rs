//! `conserve bench`: speed of the server, each figure beside a reference measured in alternation with it, and printed
//! only after the tables were found to contain every acknowledged event.
//!
//! | module | content |
//! |---|---|
//! | `redirects`, `postbacks`, `latency`, `reports`, `cost`, `against` | benchmarks |
//! | `testbed`, `preload`, `traffic` | Postgres and the server, their content, and the requests |
//! | `acknowledgements` | acknowledged events, and their comparison with the tables |
//! | `pump`, `tools` | our generator; wrk, nginx and pgbench |
//! | `figures`, `machine`, `cpu` | medians and ratios, and the machine |
//! | `instructions` | instructions per event, for the check on every change |

mod acknowledgements;
mod against;
mod cost;
mod cpu;
mod deliveries;
mod figures;
pub(crate) mod instructions;
mod latency;
mod machine;
mod postbacks;
mod preload;
mod pump;
mod redirects;
mod reports;
mod testbed;
mod tools;
mod traffic;

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use nix::sys::statvfs::statvfs;
use serde_json::{Value, json};

use figures::Line;
use machine::Machine;
use testbed::Testbed;

use crate::Outcome;

/// Disk space that a run needs besides that of the preloaded clicks, in bytes.
const DISK_SPACE: [u64; 2] = [12 << 30, 400];

/// Options of the benchmarks.
#[derive(Debug, Args)]
pub(crate) struct BenchOptions {
    /// Binary under test: a release build.
    #[arg(long, value_name = "PATH")]
    server: PathBuf,
    /// Another binary to measure in alternation with it, instead of all rows: rate and CPU time of clicks and postbacks.
    #[arg(long, value_name = "PATH", conflicts_with = "rows")]
    against: Option<PathBuf>,
    /// Setting of the other binary's Postgres. Without --against, the other binary is the same: what differs is the setting.
    #[arg(long, value_name = "NAME=VALUE", conflicts_with = "rows")]
    other_postgres: Vec<String>,
    /// Rounds of each pair.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..))]
    rounds: u64,
    /// Seconds of each measurement.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..))]
    seconds: u64,
    /// Rows to measure [default: all].
    #[arg(long, value_enum, value_delimiter = ',')]
    rows: Vec<BenchRow>,
    /// Clicks of the last thirty days that are in the tables before the run.
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1000..))]
    clicks_preloaded: u64,
    /// Clicks of the network of the row reports.
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(50_000..))]
    report_clicks: u64,
    /// Leave the network of the row reports up until Enter, and print the options of compare_columns.py for it.
    #[arg(long)]
    report_keep: bool,
    /// Links of the row memory.
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1..))]
    many_links: u64,
    /// Deliveries that are queued in the row deliveries.
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1000..))]
    queued_deliveries: u64,
    /// Also write the result to this file, as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Folder of the run; stays after a loss [default: a new folder in /tmp].
    #[arg(long)]
    folder: Option<PathBuf>,
}

impl BenchOptions {
    fn effort(&self) -> Effort {
        Effort {
            rounds: self.rounds,
            seconds: self.seconds,
        }
    }
}

/// Rows that are measured together.
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
    /// Decided postbacks of campaigns with an exact cap, beside those of the same campaigns without one.
    Caps,
    /// Latency of a redirect at 30 % of the server's capacity.
    Latency,
    /// Time until a click is in a report.
    Visible,
    /// Reports of a busy network, beside the same from raw rows, and the cost of a refresh of Home.
    Reports,
    /// CPU time per click and per postback, by the part that spends it.
    Cpu,
    /// CPU time of an idle server with a thousand held postbacks.
    Idle,
    /// Disk space per click.
    Disk,
    /// Redirects while Postgres is suspended.
    Stopped,
    /// Memory of the server with a hundred and with very many links.
    Memory,
    /// Deliveries to fifty destinations, beside a bare client, and the cost of a long queue for clicks.
    Deliveries,
}

/// Amount of measuring.
#[derive(Debug, Clone, Copy)]
struct Effort {
    rounds: u64,
    /// Seconds of each measurement.
    seconds: u64,
}

/// Measures and prints. Returns false if the tables contradicted the acknowledgements.
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
    check_disk_space(&folder, options.clicks_preloaded)?;
    let machine = Machine::look(&server)?;
    println!("{machine}");
    let other = options
        .against
        .as_deref()
        .or_else(|| (!options.other_postgres.is_empty()).then_some(&*server));
    let (lines, faults) = match other {
        Some(other) => compare(options, &server, other, &folder).await?,
        None => {
            let testbed = Testbed::set(&server, folder.clone(), options.clicks_preloaded, &[]).await?;
            measure(options, testbed).await?
        }
    };
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
    if faults.is_empty() {
        std::fs::remove_dir_all(&folder)?;
    } else {
        eprintln!("conserve: kept {}", folder.display());
    }
    Ok(faults.is_empty())
}

/// Measures two builds in alternation, and prints the figures if both kept all acknowledged events.
async fn compare(
    options: &BenchOptions,
    server: &Path,
    other: &Path,
    folder: &Path,
) -> Outcome<(Vec<Value>, Vec<String>)> {
    let other = other
        .canonicalize()
        .map_err(|error| format!("{}: {error}", other.display()))?;
    let (clicks, settings) = (options.clicks_preloaded, &options.other_postgres);
    let mut ours = Testbed::set(server, folder.join("ours"), clicks, &[]).await?;
    let mut other = Testbed::set(&other, folder.join("other"), clicks, settings).await?;
    let lines = against::compare(&mut ours, &mut other, options.effort()).await?;
    let mut faults = ours.acknowledgements.compare(&ours.client).await?;
    faults.extend(other.acknowledgements.compare(&other.client).await?);
    for fault in &faults {
        println!("{fault}");
    }
    for line in lines.iter().filter(|_| faults.is_empty()) {
        println!("{line}");
    }
    Ok((lines.iter().map(Line::json).collect(), faults))
}

/// Measures the rows in turn, and prints each after its comparison.
async fn measure(options: &BenchOptions, mut testbed: Testbed) -> Outcome<(Vec<Value>, Vec<String>)> {
    let chosen = |row: &&BenchRow| options.rows.is_empty() || options.rows.contains(row);
    let (mut all, mut faults) = (Vec::new(), Vec::new());
    for row in BenchRow::value_variants().iter().filter(chosen) {
        let lines = row.measure(&mut testbed, options).await?;
        let found = testbed.acknowledgements.compare(&testbed.client).await?;
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
    async fn measure(self, testbed: &mut Testbed, options: &BenchOptions) -> Outcome<Vec<Line>> {
        let effort = options.effort();
        match self {
            Self::Redirects => redirects::kept(testbed, effort).await,
            Self::NewConnections => redirects::new_connections(testbed, effort).await,
            Self::Inserts => redirects::beside_inserts(testbed, effort).await,
            Self::Postbacks => postbacks::decided(testbed, effort).await,
            Self::Caps => postbacks::capped(testbed, effort).await,
            Self::Latency => latency::latency(testbed, effort).await,
            Self::Visible => latency::visible(testbed, effort).await,
            Self::Reports => {
                reports::questions(testbed, effort, options.report_clicks, options.report_keep).await
            }
            Self::Cpu => cost::cpu(testbed, effort).await,
            Self::Idle => cost::idle(testbed, effort).await,
            Self::Disk => cost::disk(testbed, effort).await,
            Self::Stopped => redirects::while_stopped(testbed, effort).await,
            Self::Memory => cost::memory(testbed, effort, options.many_links).await,
            Self::Deliveries => deliveries::drain(testbed, effort, options.queued_deliveries).await,
        }
    }
}

fn check_disk_space(folder: &Path, clicks: u64) -> Outcome {
    if folder.exists() {
        return Err(format!("{} exists; name a folder that does not", folder.display()).into());
    }
    let parent = folder.parent().filter(|parent| parent.exists());
    let disk = statvfs(parent.unwrap_or(Path::new(".")))?;
    let free = disk.blocks_available() * disk.fragment_size();
    let [least, each] = DISK_SPACE;
    let needed = least + each * clicks;
    if free < needed {
        return Err(format!("a run needs {} MiB, and {} are free", needed >> 20, free >> 20).into());
    }
    Ok(())
}
