//! Server under test: one process of the binary `clickledger`, started, killed, stopped, replaced and observed.

use std::fs::{self, File};
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, dup};
use tokio::time::{Instant, sleep, timeout};

use crate::http::Connection;
use crate::{Outcome, free_port};

/// Longest time from a start until the server is ready.
const START_TIMEOUT: Duration = Duration::from_secs(60);
/// Beginning of the error of a release whose database a newer one migrated, up to the version.
const NEWER_DATABASE: &str = "the database has the migration";
/// Longest time for a drain before the server is killed.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(30);

/// Settings of the server's process.
#[derive(Debug, Clone)]
pub(crate) struct NodeSettings {
    /// Binary.
    pub(crate) server: PathBuf,
    /// Logins of Postgres; none for the private Postgres of the server.
    pub(crate) logins: Option<Logins>,
    /// Data directory.
    pub(crate) data: PathBuf,
    /// Log of standard output and error.
    pub(crate) log: PathBuf,
    /// Size of a journal's segment in MiB.
    pub(crate) segment_mib: u32,
    /// Quota of the journals in MiB.
    pub(crate) quota_mib: u32,
    /// Additional options for every start.
    pub(crate) options: Vec<String>,
    /// Additional environment for every start.
    pub(crate) environment: Vec<(String, String)>,
}

/// Logins of the server in Postgres.
#[derive(Debug, Clone)]
pub(crate) struct Logins {
    /// Address with the login that serves.
    pub(crate) serving: String,
    /// Address with the tables' owner.
    pub(crate) owner: String,
}

/// Peaks over all starts of the server.
#[derive(Debug, Default)]
pub(crate) struct Peaks {
    /// Observed process; 0 for none.
    pid: AtomicU32,
    /// Resident memory in KiB.
    pub(crate) rss_kib: AtomicU64,
    /// Milliseconds from a start until the server is ready.
    pub(crate) ready_ms: AtomicU64,
}

/// Server under test.
pub(crate) struct Node {
    settings: NodeSettings,
    /// Address of the dashboard.
    pub(crate) dashboard: SocketAddr,
    /// Address of the tracking host.
    pub(crate) tracking: SocketAddr,
    /// Peaks over all starts.
    pub(crate) peaks: Arc<Peaks>,
    process: Option<Child>,
    /// Listeners that every process inherits, the dashboard's first; none if each process opens them itself.
    listeners: Option<[TcpListener; 2]>,
}

impl Node {
    /// Chooses the ports; does not start the server.
    pub(crate) fn new(settings: NodeSettings) -> Outcome<Self> {
        let address = |port| SocketAddr::from(([127, 0, 0, 1], port));
        let peaks = Arc::new(Peaks::default());
        tokio::spawn(watch(Arc::clone(&peaks)));
        Ok(Self {
            settings,
            dashboard: address(free_port()?),
            tracking: address(free_port()?),
            peaks,
            process: None,
            listeners: None,
        })
    }

    /// Starts the server and waits until it takes clicks.
    pub(crate) async fn start(&mut self) -> Outcome {
        self.start_with(&[]).await
    }

    /// Starts the server with additional environment.
    pub(crate) async fn start_with(&mut self, environment: &[(&str, String)]) -> Outcome {
        let began = Instant::now();
        self.spawn(environment)?;
        while !self.is_ready().await {
            if !self.is_running() || began.elapsed() > START_TIMEOUT {
                let log = self.settings.log.display();
                return Err(format!(
                    "the server is not ready {:?} after its start; see {log}",
                    began.elapsed()
                )
                .into());
            }
            sleep(Duration::from_millis(20)).await;
        }
        let took = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.peaks.ready_ms.fetch_max(took, Ordering::Relaxed);
        Ok(())
    }

    fn spawn(&mut self, environment: &[(&str, String)]) -> Outcome {
        let process = self.process_of(&self.settings.server, environment, &[])?;
        self.peaks.pid.store(process.id(), Ordering::Relaxed);
        self.process = Some(process);
        Ok(())
    }

    /// Starts a process of this binary.
    fn process_of(
        &self,
        server: &Path,
        environment: &[(&str, String)],
        options: &[String],
    ) -> Outcome<Child> {
        let settings = &self.settings;
        let log = File::options().create(true).append(true).open(&settings.log)?;
        let (mut command, _inherited) = self.command(server)?;
        command.arg("serve");
        if let Some(logins) = &settings.logins {
            command
                .args(["--database-url", &logins.serving])
                .args(["--owner-database-url", &logins.owner]);
        }
        command
            .arg("--data-dir")
            .arg(&settings.data)
            .args(["--dashboard-listen", &self.dashboard.to_string()])
            .args(["--tracking-listen", &self.tracking.to_string()])
            .args(["--trusted-proxy", "127.0.0.1"])
            .args(["--journal-segment-mib", &settings.segment_mib.to_string()])
            .args(["--journal-quota-mib", &settings.quota_mib.to_string()])
            .args(&settings.options)
            .args(options)
            .envs(settings.environment.iter().map(|(name, value)| (name, value)))
            .envs(environment.iter().map(|(name, value)| (name, value)))
            // In a separate process group: Ctrl-C at our terminal must not reach it.
            .process_group(0)
            .stdout(log.try_clone()?)
            .stderr(log);
        command
            .spawn()
            .map_err(|error| format!("{}: {error}", server.display()).into())
    }

    /// Returns the command of a binary, and the descriptors that its process inherits, to be closed after its start.
    fn command(&self, server: &Path) -> Outcome<(Command, Vec<OwnedFd>)> {
        let Some(listeners) = &self.listeners else {
            return Ok((Command::new(server), Vec::new()));
        };
        // Duplicates are open in children, unlike the listeners themselves.
        let inherited = listeners.iter().map(dup).collect::<Result<Vec<_>, _>>()?;
        let numbers: Vec<_> = inherited.iter().map(OwnedFd::as_raw_fd).collect();
        let &[dashboard, tracking] = numbers.as_slice() else {
            return Err("two listeners must be handed over".into());
        };
        let mut command = Command::new("bash");
        command
            .args(["-c", &format!("exec \"$@\" 3<&{dashboard} 4<&{tracking}"), "bash"])
            .arg(server)
            .env("LISTEN_FDS", "2");
        Ok((command, inherited))
    }

    /// Opens the listeners here for all processes to come, as a service manager does. The server must not run.
    pub(crate) fn hold_listeners(&mut self) -> Outcome {
        self.listeners = Some([
            TcpListener::bind(self.dashboard)?,
            TcpListener::bind(self.tracking)?,
        ]);
        Ok(())
    }

    /// Closes the listeners, which processes to come open themselves. The server must not run.
    pub(crate) fn release_listeners(&mut self) {
        self.listeners = None;
    }

    /// Starts a process of this binary beside the running one, and stops that one once the new one serves. Returns false
    /// if the new one refused a database that a newer release migrated.
    pub(crate) async fn hand_over(&mut self, server: &Path) -> Outcome<bool> {
        let metrics = SocketAddr::from(([127, 0, 0, 1], free_port()?));
        let options = ["--metrics-listen".to_owned(), metrics.to_string()];
        let logged = fs::metadata(&self.settings.log)?.len();
        let mut next = self.process_of(server, &[], &options)?;
        let began = Instant::now();
        while !answers(metrics, "/metrics", 200).await {
            if next.try_wait()?.is_some() && self.has_logged_since(logged, NEWER_DATABASE)? {
                return Ok(false);
            }
            if next.try_wait()?.is_some() || began.elapsed() > START_TIMEOUT {
                // A process that has ended by itself cannot be killed, but is reaped all the same.
                let _ = next.kill();
                let _ = next.wait();
                let log = self.settings.log.display();
                return Err(format!("the server that takes over does not serve; see {log}").into());
            }
            sleep(Duration::from_millis(20)).await;
        }
        let ended = self.terminate().await;
        self.peaks.pid.store(next.id(), Ordering::Relaxed);
        self.process = Some(next);
        server.clone_into(&mut self.settings.server);
        ended.ok_or("the server that was replaced did not stop on SIGTERM")?;
        Ok(true)
    }

    /// Returns true if the log has this text behind these bytes.
    fn has_logged_since(&self, bytes: u64, text: &str) -> Outcome<bool> {
        let log = fs::read(&self.settings.log)?;
        let new = log.get(usize::try_from(bytes)?..).unwrap_or_default();
        Ok(String::from_utf8_lossy(new).contains(text))
    }

    /// Returns the binary of the process.
    pub(crate) fn server(&self) -> PathBuf {
        self.settings.server.clone()
    }

    /// Replaces the binary of all starts to come.
    pub(crate) fn set_server(&mut self, server: PathBuf) {
        self.settings.server = server;
    }

    /// Replaces the additional options of all starts to come.
    pub(crate) fn set_options(&mut self, options: Vec<String>) {
        self.settings.options = options;
    }

    /// Returns the data directory.
    pub(crate) fn data(&self) -> PathBuf {
        self.settings.data.clone()
    }

    async fn is_ready(&self) -> bool {
        answers(self.tracking, "/health/ready", 200).await
    }

    /// Waits until the server has opened its database.
    pub(crate) async fn open(&self) -> Outcome {
        let began = Instant::now();
        // A network that does not exist, which only the database knows.
        while !answers(self.dashboard, "/join/nowhere", 404).await {
            if began.elapsed() > START_TIMEOUT {
                let log = self.settings.log.display();
                return Err(format!("the server has not opened its database; see {log}").into());
            }
            sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    }

    /// Returns true while the process runs.
    pub(crate) fn is_running(&mut self) -> bool {
        matches!(self.process.as_mut().map(Child::try_wait), Some(Ok(None)))
    }

    /// Returns the process id, once started.
    pub(crate) fn pid(&self) -> Option<Pid> {
        let id = self.process.as_ref()?.id();
        Some(Pid::from_raw(i32::try_from(id).ok()?))
    }

    /// Kills the process without warning.
    pub(crate) fn kill9(&mut self) {
        self.peaks.pid.store(0, Ordering::Relaxed);
        if let Some(mut process) = self.process.take() {
            // A process that has ended by itself cannot be killed, but is reaped all the same.
            let _ = process.kill();
            let _ = process.wait();
        }
    }

    /// Stops the process in order; returns the time it took, `None` if it had to be killed.
    pub(crate) async fn terminate(&mut self) -> Option<Duration> {
        let began = Instant::now();
        // A process that has ended by itself needs no signal.
        let _ = kill(self.pid()?, Signal::SIGTERM);
        while self.is_running() {
            if began.elapsed() > DRAIN_TIMEOUT {
                self.kill9();
                return None;
            }
            sleep(Duration::from_millis(20)).await;
        }
        self.kill9();
        Some(began.elapsed())
    }

    /// Returns the number of open files and sockets.
    pub(crate) fn open_files(&self) -> usize {
        let Some(pid) = self.pid() else { return 0 };
        fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, Iterator::count)
    }

    /// Returns the folder of the journals.
    pub(crate) fn journal(&self) -> PathBuf {
        self.settings.data.join("journal")
    }
}

async fn answers(address: SocketAddr, path: &str, status: u16) -> bool {
    let request = async {
        let mut connection = Connection::open(address).await?;
        let text = format!("GET {path} HTTP/1.1\r\nHost: conserve\r\nConnection: close\r\n\r\n");
        connection.send(&text).await
    };
    matches!(timeout(Duration::from_secs(2), request).await, Ok(Ok(response)) if response.status == status)
}

impl Drop for Node {
    fn drop(&mut self) {
        self.kill9();
    }
}

/// Records the peak memory of the process as long as the peaks are in use.
async fn watch(peaks: Arc<Peaks>) {
    while Arc::strong_count(&peaks) > 1 {
        let pid = peaks.pid.load(Ordering::Relaxed);
        if let Some(rss) = rss_kib(pid) {
            peaks.rss_kib.fetch_max(rss, Ordering::Relaxed);
        }
        sleep(Duration::from_millis(250)).await;
    }
}

/// Returns the resident memory of a process in KiB.
pub(crate) fn rss_kib(pid: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix(" kB")?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_memory_of_a_process_is_read() {
        assert!(rss_kib(std::process::id()).is_some_and(|kib| kib > 500));
    }
}
