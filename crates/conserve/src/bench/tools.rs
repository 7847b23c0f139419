//! Third-party tools: wrk sends requests, a bare nginx answers them, pgbench inserts rows one by one.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep};

use crate::cluster::Cluster;
use crate::{Outcome, free_port};

/// Threads of wrk, for every server alike.
const THREADS: usize = 2;

/// Script of wrk: each connection starts at another request, so that they arrive mixed.
const SCRIPT: &str = r#"
local requests, next_one, threads = {}, 0, 0
function setup(thread)
    thread:set("thread", threads)
    threads = threads + 1
end
function init(args)
    local file = assert(io.open(args[1], "rb"))
    for request in file:read("*a"):gmatch("[^\1]+") do requests[#requests + 1] = request end
    file:close()
    math.randomseed(os.time() + thread)
    next_one = math.random(#requests)
end
function request()
    next_one = next_one % #requests + 1
    return requests[next_one]
end
"#;

/// Returns the path of a program, or an error with its Debian package.
pub(super) fn find(program: &str, package: &str) -> Outcome<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    // The PATH of a user may lack the administrator's folders.
    std::env::split_paths(&path)
        .chain(["/usr/sbin".into(), "/usr/local/sbin".into()])
        .map(|folder| folder.join(program))
        .find(|program| program.is_file())
        .ok_or_else(|| format!("{program} is missing; install the Debian package {package}").into())
}

/// Runner of wrk with requests to choose from.
pub(super) struct Wrk {
    program: PathBuf,
    script: PathBuf,
    requests: PathBuf,
}

/// Result of wrk.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct WrkRun {
    /// Responses with a status below 400.
    pub(super) answered: u64,
    /// Responses with another status.
    pub(super) refused: u64,
    /// Requests with an error of the connection.
    pub(super) broken: u64,
    /// Duration in seconds.
    pub(super) seconds: f64,
}

impl WrkRun {
    /// Returns the responses per second.
    pub(super) fn rate(&self) -> f64 {
        self.answered as f64 / self.seconds
    }
}

impl Wrk {
    /// Writes the files of wrk into this folder.
    pub(super) fn new(folder: &Path, name: &str, requests: &[String]) -> Outcome<Self> {
        let wrk = Self {
            program: find("wrk", "wrk")?,
            script: folder.join(format!("{name}.lua")),
            requests: folder.join(format!("{name}.requests")),
        };
        fs::write(&wrk.script, SCRIPT)?;
        fs::write(&wrk.requests, requests.join("\u{1}"))?;
        Ok(wrk)
    }

    /// Runs a closed loop with these connections for these seconds.
    pub(super) async fn run(&self, address: SocketAddr, connections: usize, seconds: u64) -> Outcome<WrkRun> {
        let output = tokio::process::Command::new(&self.program)
            .args(["-t", &THREADS.to_string(), "-c", &connections.to_string()])
            .args(["-d", &format!("{seconds}s"), "--timeout", "10s", "-s"])
            .arg(&self.script)
            .args([&format!("http://{address}/"), "--"])
            .arg(&self.requests)
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output()
            .await?;
        let text = String::from_utf8_lossy(&output.stdout);
        if !output.status.success() {
            let errors = String::from_utf8_lossy(&output.stderr);
            return Err(format!("wrk failed: {text}{errors}").into());
        }
        read_wrk(&text).ok_or_else(|| format!("unexpected output of wrk: {text}").into())
    }
}

fn read_wrk(text: &str) -> Option<WrkRun> {
    let line = text.lines().find(|line| line.contains(" requests in "))?;
    let (requests, rest) = line.trim().split_once(" requests in ")?;
    let seconds = wrk_seconds(rest.split(',').next()?)?;
    let after = |start: &str| text.lines().find_map(|line| line.trim().strip_prefix(start));
    let refused = after("Non-2xx or 3xx responses: ").map_or(Some(0), |count| count.trim().parse().ok())?;
    // connect 0, read 0, write 0, timeout 0
    let broken = after("Socket errors: ").map_or(Some(0), |errors| {
        errors
            .split(", ")
            .map(|error| error.split(' ').nth(1)?.parse::<u64>().ok())
            .sum()
    })?;
    Some(WrkRun {
        answered: requests.parse::<u64>().ok()?.checked_sub(refused)?,
        refused,
        broken,
        seconds,
    })
}

/// Parses `5.10s` or `1.00m`.
fn wrk_seconds(text: &str) -> Option<f64> {
    let (number, factor) = match text.strip_suffix("ms") {
        Some(number) => (number, 0.001),
        None => match (text.strip_suffix('s'), text.strip_suffix('m')) {
            (Some(number), _) => (number, 1.0),
            (_, Some(number)) => (number, 60.0),
            _ => return None,
        },
    };
    Some(number.parse::<f64>().ok()? * factor)
}

/// Bare nginx that answers everything with `return 302`.
pub(super) struct Nginx {
    process: Child,
    /// Address of the listener.
    pub(super) address: SocketAddr,
    /// Address that answers 200, as a receiver of deliveries.
    pub(super) receiver: SocketAddr,
}

impl Nginx {
    /// Starts nginx in this folder and waits until it listens. Two workers, like the server on two cores.
    pub(super) async fn start(folder: &Path, location: &str) -> Outcome<Self> {
        let program = find("nginx", "nginx-light")?;
        let folder = folder.join("nginx");
        fs::create_dir(&folder)?;
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()?));
        let receiver = SocketAddr::from(([127, 0, 0, 1], free_port()?));
        fs::write(
            folder.join("nginx.conf"),
            nginx_configuration(&folder, address, location, receiver),
        )?;
        let errors = folder.join("error.log");
        let process = Command::new(program)
            .arg("-e")
            .arg(&errors)
            .arg("-p")
            .arg(&folder)
            .arg("-c")
            .arg(folder.join("nginx.conf"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(folder.join("stderr"))?)
            .spawn()?;
        let mut nginx = Self {
            process,
            address,
            receiver,
        };
        let began = Instant::now();
        while TcpStream::connect(address).await.is_err() {
            if began.elapsed() > Duration::from_secs(10) || nginx.process.try_wait()?.is_some() {
                return Err(format!("nginx does not start; see {}", errors.display()).into());
            }
            sleep(Duration::from_millis(20)).await;
        }
        Ok(nginx)
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // A kill would leave the workers behind.
        if let Ok(pid) = i32::try_from(self.process.id()) {
            let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
        }
        let _ = self.process.wait();
    }
}

fn nginx_configuration(folder: &Path, address: SocketAddr, location: &str, receiver: SocketAddr) -> String {
    let folder = folder.display();
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|kind| format!("    {kind}_temp_path {folder}/{kind};\n"))
        .concat();
    format!(
        "daemon off;\npid {folder}/pid;\nworker_processes 2;\nevents {{ worker_connections 4096; }}\nhttp {{\n{temporary}    \
             access_log off;\n    keepalive_requests 1000000000;\n    \
             server {{ listen {address} backlog=4096; location / {{ return 302 \"{location}\"; }} }}\n    \
             server {{ listen {receiver} backlog=4096; location / {{ return 200 \"ok\"; }} }}\n}}\n"
    )
}

/// Runs this script of pgbench as prepared statements on eight connections; returns transactions per second.
pub(super) async fn pgbench(cluster: &Cluster, script: &Path, seconds: u64) -> Outcome<f64> {
    let mut command = tokio::process::Command::from(cluster.command("pgbench"));
    let output = command
        .args([
            "-n",
            "-M",
            "prepared",
            "-c",
            "8",
            "-j",
            "2",
            "-T",
            &seconds.to_string(),
            "-f",
        ])
        .arg(script)
        .arg(cluster.url("postgres"))
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .map_err(|error| format!("pgbench: {error}; install the Debian package postgresql"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let rate = read_pgbench(&text).filter(|_| output.status.success());
    rate.ok_or_else(|| {
        format!(
            "pgbench failed: {text}{}",
            String::from_utf8_lossy(&output.stderr)
        )
        .into()
    })
}

/// Returns the transactions per second; none if any of them failed.
fn read_pgbench(text: &str) -> Option<f64> {
    let after = |start: &str| text.lines().find_map(|line| line.strip_prefix(start));
    let failed = after("number of failed transactions: ").unwrap_or("0");
    let rate = after("tps = ")?.split(' ').next()?.parse().ok()?;
    failed.starts_with("0").then_some(rate)
}

#[cfg(test)]
mod tests {
    use super::*;

    const WRK: &str = "Running 5s test @ http://127.0.0.1:8081/
  2 threads and 64 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     1.01ms  200.00us  10.00ms   90.00%
  622283 requests in 5.10s, 89.02MB read
  Socket errors: connect 1, read 2, write 0, timeout 4
  Non-2xx or 3xx responses: 283
Requests/sec: 122015.93
";

    #[test]
    fn the_output_of_wrk_is_parsed() {
        let run = read_wrk(WRK).unwrap();
        assert_eq!((run.answered, run.refused, run.broken), (622_000, 283, 7));
        assert!((run.rate() - 121_960.8).abs() < 0.1, "{}", run.rate());
        let without: String = WRK.lines().take(5).map(|line| format!("{line}\n")).collect();
        assert_eq!(read_wrk(&without).unwrap().answered, 622_283);
        assert_eq!(read_wrk("unable to connect"), None);
        assert_eq!(wrk_seconds("1.50m"), Some(90.0));
    }

    #[test]
    fn a_run_of_pgbench_with_failures_is_none() {
        let text = |failed: &str| {
            format!(
                "number of failed transactions: {failed}\ntps = 10400.5 (without initial connection time)\n"
            )
        };
        assert_eq!(read_pgbench(&text("0 (0.000%)")), Some(10_400.5));
        assert_eq!(read_pgbench(&text("3 (0.100%)")), None);
    }

    #[test]
    fn a_missing_tool_is_named_with_its_package() {
        let error = find("no-such-tool", "some-package").unwrap_err().to_string();
        assert_eq!(
            error,
            "no-such-tool is missing; install the Debian package some-package"
        );
    }
}
