//! Instructions that the server executes per event, counted by callgrind: unlike times, they do not depend on the
//! machine or its load, so that a change can be compared with committed figures.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use nix::unistd::Pid;
use tokio::process::Command;
use tokio::time::{Instant, sleep, timeout};
use tokio_postgres::Client;

use super::pump::{Pump, Requests, Until};
use super::testbed::Stage;
use super::tools;
use super::traffic::{self, Preloaded};
use crate::Outcome;

/// Connections that send at the same time.
const CONNECTIONS: usize = 4;
/// Events of each kind before the first count, so that configuration, connections and statements are in memory.
const WARM_UP: u64 = 40;
/// Counted events of each kind.
const COUNTED: u64 = 200;
/// Clicks in the tables, which the postbacks name.
const PRELOADED: u64 = 2000;
/// Ratio to the committed figure above which the check fails, and below which it asks for a new figure.
const TOLERANCE: [f64; 2] = [1.10, 0.90];
/// Longest wait for the tables, for a command to valgrind, and for its file.
const LONGEST_WAIT: Duration = Duration::from_secs(120);
/// Pause before events are sent again: what was queued is stored meanwhile.
const RETRY_PAUSE: Duration = Duration::from_secs(2);
/// Pause between two looks.
const PAUSE: Duration = Duration::from_millis(50);

/// Options of the count of instructions.
#[derive(Debug, Args)]
pub(crate) struct InstructionOptions {
    /// Binary under test; the committed figures are those of a development build.
    #[arg(long, value_name = "PATH")]
    server: PathBuf,
    /// File with the committed figures.
    #[arg(long, value_name = "FILE")]
    figures: PathBuf,
    /// Write the counted figures to that file instead of comparing them.
    #[arg(long)]
    bless: bool,
    /// Keep the folder of the run, with callgrind's files, for callgrind_annotate.
    #[arg(long)]
    keep: bool,
}

/// Requests of one kind, which all get the same response.
struct Kind {
    name: &'static str,
    status: u16,
    /// True for requests that leave a row in the tables.
    is_stored: bool,
    requests: Requests,
}

/// Returns all kinds; those that are refused come after the accepted ones of the same path.
fn kinds(preloaded: &Preloaded) -> Outcome<[Kind; 7]> {
    let link = preloaded.links.first().ok_or("no links")?.clone();
    let click = preloaded.click_id(0, &link);
    let (host, token) = (link.host, link.token);
    let write = |target: Box<dyn Fn(u64) -> String + Send + Sync>| -> Requests {
        let host = host.clone();
        Arc::new(move |n, request| {
            // Writing to memory does not fail.
            let _ = write!(
                request,
                "GET {} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: Shop/1.0\r\n\r\n",
                target(n)
            );
        })
    };
    let order = "goal=sale&amount=49.90&currency=EUR";
    let (repeated, unknown, malformed) = (
        format!("/postback?click_id={click}&{order}&order_id=repeated&token={token}"),
        format!("/postback?click_id=unknown&{order}&token={token}"),
        format!("/postback?click_id={click}&goal=sale&amount=4,9,9.x&token={token}"),
    );
    let kind = |name, status, is_stored, requests| Kind {
        name,
        status,
        is_stored,
        requests,
    };
    let with_order = move |call: String| -> Box<dyn Fn(u64) -> String + Send + Sync> {
        Box::new(move |n| format!("{call}&order_id=of-{n}"))
    };
    Ok([
        kind("redirect", 302, true, traffic::clicks(preloaded.links.clone())),
        kind(
            "unknown link",
            404,
            false,
            write(Box::new(|n| format!("/nosuch-{}", n % 7))),
        ),
        kind("postback", 200, true, preloaded.clone().postbacks()),
        kind(
            "repeated postback",
            200,
            true,
            write(Box::new(move |_| repeated.clone())),
        ),
        kind(
            "postback of an unknown click",
            422,
            true,
            write(with_order(unknown)),
        ),
        kind("malformed postback", 400, true, write(with_order(malformed))),
        kind(
            "anonymous postback",
            401,
            true,
            write(with_order(format!(
                "/postback?click_id={click}&{order}&token=wrong"
            ))),
        ),
    ])
}

/// Counts, prints, and compares. Returns false if a kind of event costs more than its committed figure allows, or a refused
/// postback more than an accepted one.
pub(crate) async fn run(options: &InstructionOptions) -> Outcome<bool> {
    for program in ["valgrind", "vgdb"] {
        tools::find(program, "valgrind")?;
    }
    let server = options
        .server
        .canonicalize()
        .map_err(|error| format!("{}: {error}", options.server.display()))?;
    let folder = std::env::temp_dir().join(format!("conserve-instructions-{}", std::process::id()));
    let counted = count(&server, &folder).await?;
    if options.keep {
        eprintln!("conserve: kept {}", folder.display());
    } else {
        fs::remove_dir_all(&folder)?;
    }
    if options.bless {
        fs::write(&options.figures, format!("{:#}\n", serde_json::json!(counted)))?;
        for (name, instructions) in &counted {
            println!("{name:<32}{instructions:>12} instructions");
        }
        return Ok(true);
    }
    let file = fs::read_to_string(&options.figures)
        .map_err(|error| format!("{}: {error}", options.figures.display()))?;
    let committed: BTreeMap<String, u64> = serde_json::from_str(&file)?;
    let mut faults = compare(&counted, &committed);
    faults.extend(dear_refusals(&counted));
    for (name, instructions) in &counted {
        let ratio = committed
            .get(name)
            .map_or(f64::NAN, |figure| ratio(*instructions, *figure));
        println!("{name:<32}{instructions:>12} instructions, {ratio:.3} of the committed figure");
    }
    for fault in &faults {
        println!("{fault}");
    }
    Ok(faults.is_empty())
}

/// Returns the faults by comparison with the committed figures, and prints gains that are not committed yet.
fn compare(counted: &BTreeMap<String, u64>, committed: &BTreeMap<String, u64>) -> Vec<String> {
    let [most, least] = TOLERANCE;
    let mut faults = Vec::new();
    for (name, instructions) in counted {
        let Some(figure) = committed.get(name) else {
            faults.push(format!("NEW: {name} has no committed figure; bless it"));
            continue;
        };
        let ratio = ratio(*instructions, *figure);
        if ratio > most {
            faults.push(format!(
                "DEARER: {name} takes {ratio:.2} times the instructions of the committed figure, at most {most:.2} are \
                 allowed: make it cheaper, or bless the figure on purpose"
            ));
        } else if ratio < least {
            println!(
                "CHEAPER: {name} takes {ratio:.2} times the instructions of the committed figure; bless it"
            );
        }
    }
    faults
}

/// Returns a fault for each refused postback that costs the server more than an accepted one.
fn dear_refusals(counted: &BTreeMap<String, u64>) -> Vec<String> {
    let accepted = counted.get("postback").copied().unwrap_or(0);
    let refused = [
        "postback of an unknown click",
        "malformed postback",
        "anonymous postback",
    ];
    refused
        .iter()
        .filter(|name| {
            counted
                .get(**name)
                .is_some_and(|instructions| *instructions > accepted)
        })
        .map(|name| format!("DEAR REFUSAL: a {name} costs more than an accepted postback"))
        .collect()
}

fn ratio(counted: u64, committed: u64) -> f64 {
    counted as f64 / committed as f64
}

/// Counts the instructions of each kind of event, per event.
async fn count(server: &Path, folder: &Path) -> Outcome<BTreeMap<String, u64>> {
    // Migrations and scene at full speed; only what is counted runs under valgrind.
    let mut stage = Stage::set(server, folder, PRELOADED, &[]).await?;
    stage
        .node
        .terminate()
        .await
        .ok_or("the server did not stop by itself")?;
    let files = folder.join("callgrind");
    fs::create_dir(&files)?;
    stage.node.set_server(wrapper(server, folder, &files)?);
    stage.node.start().await?;
    let valgrind = Valgrind {
        pid: stage.node.pid().ok_or("the server does not run")?,
        files,
    };
    let kinds = kinds(&stage.preloaded)?;
    let mut next = 0;
    for kind in &kinds {
        next = send_until_expected(&stage, kind, WARM_UP, next, None).await?;
    }
    valgrind.command(&["instrumentation", "on"]).await?;
    for kind in &kinds {
        next = send_until_expected(&stage, kind, WARM_UP, next, None).await?;
    }
    let mut counted = BTreeMap::new();
    for kind in &kinds {
        next = send_until_expected(&stage, kind, COUNTED, next, Some(&valgrind)).await?;
        let instructions = valgrind.dump().await? / COUNTED;
        counted.insert(kind.name.to_owned(), instructions);
    }
    Ok(counted)
}

/// Writes a program that runs the server under callgrind, which counts only on command.
fn wrapper(server: &Path, folder: &Path, files: &Path) -> Outcome<PathBuf> {
    let program = folder.join("server-under-valgrind");
    let (server, out) = (server.display(), files.join("out"));
    fs::write(
        &program,
        format!(
            "#!/bin/sh\nexec valgrind --tool=callgrind --instr-atstart=no --callgrind-out-file='{}' '{server}' \"$@\"\n",
            out.display()
        ),
    )?;
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755))?;
    Ok(program)
}

/// Sends events of one kind until all of a round get their response: under valgrind, a response may come too late, while
/// configuration is read and connections are opened, or the machine does other work. `zeroed` counts from zero in each
/// round. Returns the number of the next event.
async fn send_until_expected(
    stage: &Stage,
    kind: &Kind,
    count: u64,
    mut next: u64,
    zeroed: Option<&Valgrind>,
) -> Outcome<u64> {
    let began = Instant::now();
    loop {
        if let Some(valgrind) = zeroed {
            valgrind.command(&["zero"]).await?;
        }
        let sent = send(stage, kind, count, next).await;
        next += count;
        match sent {
            Err(error) if began.elapsed() > LONGEST_WAIT => return Err(error),
            Err(_) => sleep(RETRY_PAUSE).await,
            Ok(next) => return Ok(next),
        }
    }
}

/// Sends events of one kind from this number on, and waits until the tables contain them. Returns the number of the next.
async fn send(stage: &Stage, kind: &Kind, count: u64, first: u64) -> Outcome<u64> {
    let before = rows(&stage.client).await?;
    let pump = Pump {
        address: stage.node.tracking,
        connections: CONNECTIONS,
        requests: Arc::clone(&kind.requests),
        first,
    };
    let tally = pump.closed(Until::Sent(count)).await?;
    if let Some(others) = tally.others(kind.status) {
        let Kind { name, status, .. } = kind;
        return Err(format!("{name}: expected {status} for each, got {others}").into());
    }
    let began = Instant::now();
    while kind.is_stored && rows(&stage.client).await? < before + count {
        if began.elapsed() > LONGEST_WAIT {
            return Err(format!(
                "{}: the tables do not contain them after {LONGEST_WAIT:?}",
                kind.name
            )
            .into());
        }
        sleep(PAUSE).await;
    }
    Ok(first + count)
}

/// Returns the number of clicks and postbacks in the tables.
async fn rows(client: &Client) -> Outcome<u64> {
    let sql = "SELECT (SELECT count(*) FROM clicks) + (SELECT count(*) FROM postbacks)";
    Ok(client.query_one(sql, &[]).await?.get::<_, i64>(0).unsigned_abs())
}

/// Running valgrind, and the folder of its files.
struct Valgrind {
    pid: Pid,
    files: PathBuf,
}

impl Valgrind {
    /// Sends a command of callgrind's monitor.
    async fn command(&self, command: &[&str]) -> Outcome {
        let vgdb = Command::new("vgdb")
            .arg(format!("--pid={}", self.pid))
            .args(command)
            .output();
        let output = timeout(LONGEST_WAIT, vgdb)
            .await
            .map_err(|_| format!("valgrind does not answer to {command:?}"))??;
        if !output.status.success() {
            let error = String::from_utf8_lossy(&output.stderr);
            return Err(format!("vgdb {command:?}: {}", error.trim()).into());
        }
        Ok(())
    }

    /// Returns the instructions since they were set to zero.
    async fn dump(&self) -> Outcome<u64> {
        let before = self.dumps()?.len();
        self.command(&["dump"]).await?;
        let began = Instant::now();
        loop {
            let dumps = self.dumps()?;
            if let Some(newest) = dumps.last().filter(|_| dumps.len() > before)
                && let Some(total) = total(&fs::read_to_string(newest)?)
            {
                return Ok(total);
            }
            if began.elapsed() > LONGEST_WAIT {
                return Err("callgrind wrote no totals".into());
            }
            sleep(PAUSE).await;
        }
    }

    /// Returns callgrind's files in the order in which they were written.
    fn dumps(&self) -> Outcome<Vec<PathBuf>> {
        let mut numbered: Vec<(u32, PathBuf)> = fs::read_dir(&self.files)?
            .filter_map(|entry| {
                let path = entry.ok()?.path();
                Some((path.extension()?.to_str()?.parse().ok()?, path))
            })
            .collect();
        numbered.sort();
        Ok(numbered.into_iter().map(|(_, path)| path).collect())
    }
}

/// Returns the number in callgrind's last line, once the file is complete.
fn total(file: &str) -> Option<u64> {
    let line = file
        .lines()
        .rev()
        .find_map(|line| line.strip_prefix("totals: "))?;
    line.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures(pairs: &[(&str, u64)]) -> BTreeMap<String, u64> {
        pairs
            .iter()
            .map(|(name, figure)| ((*name).to_owned(), *figure))
            .collect()
    }

    #[test]
    fn a_tenth_more_than_the_committed_figure_is_the_limit() {
        let committed = figures(&[("redirect", 1000), ("postback", 1000)]);
        assert!(compare(&figures(&[("redirect", 1100), ("postback", 500)]), &committed).is_empty());
        let faults = compare(&figures(&[("redirect", 1101), ("new", 1)]), &committed);
        assert_eq!(faults.len(), 2);
        assert!(faults[0].starts_with("NEW: new"), "{faults:?}");
        assert!(faults[1].starts_with("DEARER: redirect takes 1.10"), "{faults:?}");
    }

    #[test]
    fn a_refused_postback_may_cost_as_much_as_an_accepted_one() {
        let cheap = figures(&[
            ("postback", 10),
            ("anonymous postback", 10),
            ("malformed postback", 3),
        ]);
        assert!(dear_refusals(&cheap).is_empty());
        let dear = figures(&[("postback", 10), ("anonymous postback", 11)]);
        assert_eq!(dear_refusals(&dear).len(), 1);
    }

    #[test]
    fn a_file_that_is_not_complete_has_no_total() {
        assert_eq!(total("fn=(1)\n1 2\n"), None);
        assert_eq!(total("fn=(1)\n1 2\n\ntotals: 1234\n"), Some(1234));
    }
}
