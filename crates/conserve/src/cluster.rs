//! Postgres with fsync on, which can be killed, frozen and started again.

use std::fs::{self, File};
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, User, geteuid};
use tokio::time::{Instant, sleep};
use tokio_postgres::{Client, NoTls};

use crate::{Outcome, free_port};

/// Longest time for a start, crash recovery included.
const START_TIMEOUT: Duration = Duration::from_secs(60);
const DATABASE: &str = "clickledger";

/// Postgres under the server.
pub(crate) struct Cluster {
    folder: PathBuf,
    bin: PathBuf,
    port: u16,
    /// User to run as, because Postgres refuses to run as root.
    user: Option<User>,
    postmaster: Option<Child>,
}

impl Cluster {
    /// Creates a cluster in this folder, starts it, and creates the logins and the database as in the README.
    pub(crate) async fn create(folder: PathBuf) -> Outcome<Self> {
        let user = if geteuid().is_root() {
            let user = User::from_name("postgres")?;
            Some(user.ok_or("this machine has no user postgres to run Postgres as")?)
        } else {
            None
        };
        fs::create_dir(&folder)?;
        if let Some(user) = &user {
            chown(&folder, Some(user.uid.as_raw()), Some(user.gid.as_raw()))?;
        }
        let mut cluster = Self {
            folder,
            bin: newest_bin()?,
            port: free_port()?,
            user,
            postmaster: None,
        };
        let data = cluster.data();
        let mut initdb = cluster.command("initdb");
        initdb.args([
            "-U",
            "postgres",
            "-A",
            "trust",
            "-E",
            "UTF8",
            "--locale=C",
            "--no-instructions",
            "-D",
        ]);
        let done = initdb
            .arg(data)
            .stdout(cluster.log()?)
            .stderr(cluster.log()?)
            .status()?;
        if !done.success() {
            return Err(format!("initdb failed; see {}", cluster.folder.join("log").display()).into());
        }
        cluster.start().await?;
        let client = connect(&cluster.url_of("postgres", "postgres")).await?;
        client
            .batch_execute(
                "CREATE ROLE clickledger_owner LOGIN CREATEROLE; CREATE ROLE clickledger_app LOGIN",
            )
            .await?;
        client
            .batch_execute(&format!("CREATE DATABASE {DATABASE} OWNER clickledger_owner"))
            .await?;
        Ok(cluster)
    }

    /// Starts Postgres and waits until it answers, crash recovery included.
    pub(crate) async fn start(&mut self) -> Outcome {
        let deadline = Instant::now() + START_TIMEOUT;
        loop {
            if !self.is_running() {
                let mut postgres = self.command("postgres");
                postgres.arg("-D").arg(self.data()).arg("-k").arg(&self.folder);
                for option in [
                    format!("port={}", self.port),
                    "listen_addresses=127.0.0.1".to_owned(),
                    "fsync=on".to_owned(),
                    "shared_buffers=128MB".to_owned(),
                    "max_wal_size=256MB".to_owned(),
                ] {
                    postgres.args(["-c", &option]);
                }
                self.postmaster = Some(postgres.stdout(self.log()?).stderr(self.log()?).spawn()?);
            }
            if connect(&self.url_of("postgres", "postgres")).await.is_ok() {
                return Ok(());
            }
            if Instant::now() > deadline {
                return Err(format!(
                    "Postgres does not start; see {}",
                    self.folder.join("log").display()
                )
                .into());
            }
            sleep(Duration::from_millis(100)).await;
        }
    }

    /// Connects as the superuser, whom row-level security does not restrict.
    pub(crate) async fn client(&self) -> Outcome<Client> {
        connect(&self.url_of("postgres", DATABASE)).await
    }

    /// Returns the address for a login: `clickledger_app`, `clickledger_owner`, or the superuser `postgres`.
    pub(crate) fn url(&self, login: &str) -> String {
        self.url_of(login, DATABASE)
    }

    /// Returns true while the postmaster runs.
    pub(crate) fn is_running(&mut self) -> bool {
        matches!(self.postmaster.as_mut().map(Child::try_wait), Some(Ok(None)))
    }

    /// Kills the postmaster and all its children at once, as a crash of the machine would.
    pub(crate) fn kill9(&mut self) {
        self.signal_all(Signal::SIGKILL);
        self.reap();
    }

    /// Stops Postgres in order.
    pub(crate) fn stop(&mut self) {
        if let Some(pid) = self.postmaster_pid() {
            // A process that has ended already is fine.
            let _ = kill(pid, Signal::SIGINT);
        }
        self.reap();
    }

    /// Suspends all processes.
    pub(crate) fn freeze(&self) {
        self.signal_all(Signal::SIGSTOP);
    }

    /// Resumes all processes.
    pub(crate) fn thaw(&self) {
        self.signal_all(Signal::SIGCONT);
    }

    /// Resumes all processes except the server's connections, whose unfinished statements are never executed.
    pub(crate) fn thaw_without_the_server(&self) {
        for pid in self.children() {
            let title = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            if String::from_utf8_lossy(&title).contains("clickledger_") {
                // A process that has ended already is fine.
                let _ = kill(pid, Signal::SIGTERM);
            }
        }
        self.thaw();
    }

    /// Returns the folder of the write-ahead log.
    pub(crate) fn wal(&self) -> PathBuf {
        self.data().join("pg_wal")
    }

    fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    fn url_of(&self, login: &str, database: &str) -> String {
        format!("postgres://{login}@127.0.0.1:{}/{database}", self.port)
    }

    fn log(&self) -> Outcome<File> {
        Ok(File::options()
            .create(true)
            .append(true)
            .open(self.folder.join("log"))?)
    }

    /// Returns a program of this Postgres, to run as its user.
    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.bin.join(program));
        command.current_dir(&self.folder);
        // In a separate process group: Ctrl-C at our terminal must not reach it.
        command.process_group(0);
        if let Some(user) = &self.user {
            command.uid(user.uid.as_raw()).gid(user.gid.as_raw());
        }
        command
    }

    /// Returns the postmaster's process id, once started.
    pub(crate) fn postmaster_pid(&self) -> Option<Pid> {
        let id = self.postmaster.as_ref()?.id();
        Some(Pid::from_raw(i32::try_from(id).ok()?))
    }

    /// Returns the processes that the postmaster started.
    pub(crate) fn children(&self) -> Vec<Pid> {
        self.postmaster_pid().map(children_of).unwrap_or_default()
    }

    /// Signals the postmaster first, so that it starts no children meanwhile.
    fn signal_all(&self, signal: Signal) {
        let children = self.children();
        for pid in self.postmaster_pid().into_iter().chain(children) {
            // A process that has ended already needs no signal.
            let _ = kill(pid, signal);
        }
        for pid in self.children() {
            let _ = kill(pid, signal);
        }
    }

    fn reap(&mut self) {
        if let Some(mut postmaster) = self.postmaster.take() {
            let _ = postmaster.wait();
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.kill9();
    }
}

async fn connect(url: &str) -> Outcome<Client> {
    let (client, connection) =
        tokio::time::timeout(Duration::from_secs(5), tokio_postgres::connect(url, NoTls)).await??;
    tokio::spawn(async move {
        // Users of the client see the end of the connection.
        let _ = connection.await;
    });
    Ok(client)
}

/// Returns the child processes of a process.
fn children_of(parent: Pid) -> Vec<Pid> {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    processes
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok().map(Pid::from_raw))
        .filter(|pid| parent_of(*pid) == Some(parent))
        .collect()
}

fn parent_of(pid: Pid) -> Option<Pid> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // pid (name) state parent …, where the name may contain anything.
    let (_, after) = stat.rsplit_once(')')?;
    after.split_whitespace().nth(1)?.parse().ok().map(Pid::from_raw)
}

/// Returns the newest Postgres on this machine.
fn newest_bin() -> Outcome<PathBuf> {
    let version = |path: &Path| -> Option<u32> { path.parent()?.file_name()?.to_str()?.parse().ok() };
    let mut found: Vec<_> = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path().join("bin"))
        .filter(|bin| bin.join("initdb").exists())
        .collect();
    found.sort_by_key(|bin| version(bin));
    let on_path = || {
        let path = std::env::var_os("PATH")?;
        std::env::split_paths(&path).find(|bin| bin.join("initdb").exists())
    };
    found
        .pop()
        .or_else(on_path)
        .ok_or_else(|| "PostgreSQL is missing; install the package postgresql".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_children_of_a_process_are_found() {
        let mut child = Command::new("sleep").arg("5").spawn().unwrap();
        let pid = Pid::from_raw(child.id().try_into().unwrap());
        assert!(children_of(Pid::this()).contains(&pid));
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(!children_of(Pid::this()).contains(&pid));
    }
}
