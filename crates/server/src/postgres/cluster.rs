//! Cluster of a private Postgres: its files, and the start of its postmaster.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, User};

use super::binaries::Binaries;
use super::child::{self, Child};
use super::{PostgresError, doing};

const READY_POLL_INTERVAL: Duration = Duration::from_millis(10);
/// Ways to stop an orphaned server, from the cleanest on, each with the longest wait for its end.
const ORPHAN_STOP_TIMEOUTS: [(Signal, Duration); 2] = [
    (Signal::SIGINT, Duration::from_secs(20)),
    (Signal::SIGQUIT, Duration::from_secs(15)),
];
const ORPHAN_POLL_INTERVAL: Duration = Duration::from_millis(20);
/// Last lines of the server's log in an error.
const LOG_TAIL_LINES: usize = 12;

/// Files of a cluster, and what its postmaster is started with.
#[derive(Debug)]
pub(super) struct Cluster {
    pub(super) binaries: Binaries,
    /// Folder of the data.
    pub(super) path: PathBuf,
    pub(super) sockets: PathBuf,
    pub(super) log: PathBuf,
    pub(super) options: Vec<String>,
    /// User to run as; `None` for that of this process.
    pub(super) user: Option<User>,
    /// Longest time until it is ready.
    pub(super) ready_timeout: Duration,
}

impl Cluster {
    /// Starts the postmaster and waits until it is ready. The caller holds the lock of the data directory.
    pub(super) fn start(&self) -> Result<Child, PostgresError> {
        stop_orphan(&self.path)?;
        remove_stale(&self.path, &self.sockets)?;
        let child = child::spawn(self.command()?, self.user.clone()).map_err(|error| PostgresError::Io {
            operation: "starting postgres".into(),
            error,
        })?;
        self.wait_until_ready(&child)?;
        Ok(child)
    }

    fn command(&self) -> Result<Command, PostgresError> {
        let log = &self.log;
        let mut log_file = doing(format!("opening {}", log.display()), fs::File::create(log))?;
        doing(
            "writing the log",
            writeln!(log_file, "{}", self.binaries.initdb().display()),
        )?;
        let mut postgres = Command::new(self.binaries.postgres());
        postgres.arg("-D").arg(&self.path).arg("-k").arg(&self.sockets);
        for option in [
            "listen_addresses=",
            "port=5432",
            "max_connections=100",
            "timezone=UTC",
            "log_timezone=UTC",
        ] {
            postgres.args(["-c", option]);
        }
        for option in &self.options {
            postgres.args(["-c", option]);
        }
        let errors = doing("duplicating the log", log_file.try_clone())?;
        postgres
            .stdin(std::process::Stdio::null())
            .stdout(log_file)
            .stderr(errors);
        Ok(postgres)
    }

    fn wait_until_ready(&self, child: &Child) -> Result<(), PostgresError> {
        let deadline = Instant::now() + self.ready_timeout;
        while Instant::now() < deadline && child.is_running() {
            // The file is missing until the postmaster writes it.
            let status = fs::read_to_string(self.path.join("postmaster.pid")).unwrap_or_default();
            if status.lines().nth(7).is_some_and(|line| line.trim() == "ready") {
                return Ok(());
            }
            std::thread::sleep(READY_POLL_INTERVAL);
        }
        Err(PostgresError::NotReady {
            log: self.log.clone(),
            tail: self.log_tail(),
        })
    }

    /// Last lines of the server's log.
    pub(super) fn log_tail(&self) -> String {
        let text = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<_> = text.lines().collect();
        let (_, tail) = lines.split_at(lines.len().saturating_sub(LOG_TAIL_LINES));
        tail.join("\n")
    }

    /// Log file of the server.
    pub(super) fn log(&self) -> &Path {
        &self.log
    }
}

/// Stops a postmaster that outlived the process that started it: the caller holds the lock, so no server uses it.
pub(super) fn stop_orphan(cluster: &Path) -> Result<(), PostgresError> {
    let text = match fs::read_to_string(cluster.join("postmaster.pid")) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => {
            return Err(PostgresError::Io {
                operation: "reading postmaster.pid".to_owned(),
                error,
            });
        }
    };
    let Some(pid) = text.lines().next().and_then(|line| line.trim().parse().ok()) else {
        return Ok(());
    };
    for (signal, timeout) in ORPHAN_STOP_TIMEOUTS {
        if !is_postmaster(pid, cluster) {
            return Ok(());
        }
        tracing::warn!(pid, %signal, "stopping a database that outlived its server");
        doing(
            "stopping an orphaned postgres",
            kill(Pid::from_raw(pid), signal).map_err(io::Error::from),
        )?;
        let deadline = Instant::now() + timeout;
        while is_postmaster(pid, cluster) && Instant::now() < deadline {
            std::thread::sleep(ORPHAN_POLL_INTERVAL);
        }
    }
    // Two postmasters on one cluster would destroy it.
    if is_postmaster(pid, cluster) {
        Err(PostgresError::StubbornOrphan(pid))
    } else {
        Ok(())
    }
}

/// Returns true if the process with this id is a Postgres on this cluster: neither a reused id nor another program that
/// merely names the folder (a zombie has no command line).
fn is_postmaster(pid: i32, cluster: &Path) -> bool {
    let cluster = cluster.to_string_lossy();
    match fs::read_to_string(format!("/proc/{pid}/cmdline")) {
        Ok(command_line) => {
            let mut arguments = command_line.split('\0');
            let program = arguments.next().and_then(|program| program.rsplit('/').next());
            program == Some("postgres") && arguments.any(|argument| argument == cluster)
        }
        Err(_) if Path::new("/proc/self").exists() => false,
        Err(_) => {
            let listing = Command::new("ps")
                .args(["-o", "command=", "-p", &pid.to_string()])
                .output();
            let listing = listing.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
            listing.is_ok_and(|command| {
                command.contains("bin/postgres ") && command.contains(&format!("-D {cluster} "))
            })
        }
    }
}

/// Removes the files of a killed postmaster: if they named a reused process id, Postgres would refuse to start.
fn remove_stale(cluster: &Path, sockets: &Path) -> Result<(), PostgresError> {
    for path in [
        cluster.join("postmaster.pid"),
        sockets.join(".s.PGSQL.5432.lock"),
        sockets.join(".s.PGSQL.5432"),
    ] {
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(PostgresError::Io {
                    operation: format!("removing {}", path.display()),
                    error,
                });
            }
            _ => {}
        }
    }
    Ok(())
}
