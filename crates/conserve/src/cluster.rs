//! A Postgres of our own, with fsync on, that can be killed, frozen and brought back.

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

/// How long a start may take, crash recovery included.
const START: Duration = Duration::from_secs(60);
const DATABASE: &str = "clickledger";

/// See the module.
pub(crate) struct Cluster {
    folder: PathBuf,
    bin: PathBuf,
    port: u16,
    /// Postgres refuses to run as root.
    user: Option<User>,
    postmaster: Option<Child>,
}

impl Cluster {
    /// Makes a cluster in this folder, starts it, and makes the logins and the database as the README says.
    pub(crate) async fn create(folder: PathBuf) -> Outcome<Self> {
        let user = match geteuid().is_root() {
            true => Some(User::from_name("postgres")?.ok_or("there is no user postgres to run Postgres as")?),
            false => None,
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

    /// Starts it and waits until it answers, crash recovery included.
    pub(crate) async fn start(&mut self) -> Outcome {
        let deadline = Instant::now() + START;
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

    /// A connection as the superuser, for whom there are no walls.
    pub(crate) async fn client(&self) -> Outcome<Client> {
        connect(&self.url_of("postgres", DATABASE)).await
    }

    /// Where a login connects: `clickledger_app` or `clickledger_owner`.
    pub(crate) fn url(&self, login: &str) -> String {
        self.url_of(login, DATABASE)
    }

    /// Whether its postmaster lives.
    pub(crate) fn is_running(&mut self) -> bool {
        matches!(self.postmaster.as_mut().map(Child::try_wait), Some(Ok(None)))
    }

    /// Kills the postmaster and all its children at once, as a crash of the machine would.
    pub(crate) fn kill9(&mut self) {
        self.signal_all(Signal::SIGKILL);
        self.reap();
    }

    /// Stops it in order.
    pub(crate) fn stop(&mut self) {
        if let Some(pid) = self.postmaster_pid() {
            // Not there any more is as good.
            let _ = kill(pid, Signal::SIGINT);
        }
        self.reap();
    }

    /// Stops all its processes where they stand.
    pub(crate) fn freeze(&self) {
        self.signal_all(Signal::SIGSTOP);
    }

    /// Lets them go on.
    pub(crate) fn thaw(&self) {
        self.signal_all(Signal::SIGCONT);
    }

    /// Lets them go on, but for the connections of the server: what they had not done they never do.
    pub(crate) fn thaw_without_the_server(&self) {
        for pid in self.children() {
            let title = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            if String::from_utf8_lossy(&title).contains("clickledger_") {
                // One that has just ended needs no ending.
                let _ = kill(pid, Signal::SIGTERM);
            }
        }
        self.thaw();
    }

    /// The folder of its write-ahead log.
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

    /// A program of this Postgres, as the user it runs as.
    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.bin.join(program));
        command.current_dir(&self.folder);
        // A group of its own: Ctrl-C at our terminal is not for it.
        command.process_group(0);
        if let Some(user) = &self.user {
            command.uid(user.uid.as_raw()).gid(user.gid.as_raw());
        }
        command
    }

    /// Its first process, while it has been started.
    pub(crate) fn postmaster_pid(&self) -> Option<Pid> {
        let id = self.postmaster.as_ref()?.id();
        Some(Pid::from_raw(i32::try_from(id).ok()?))
    }

    /// The processes that the postmaster started.
    pub(crate) fn children(&self) -> Vec<Pid> {
        self.postmaster_pid().map(children_of).unwrap_or_default()
    }

    /// The postmaster first, so that it starts no children meanwhile.
    fn signal_all(&self, signal: Signal) {
        let children = self.children();
        for pid in self.postmaster_pid().into_iter().chain(children) {
            // One that has just ended needs no signal.
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
        // Its end is seen by whoever uses the client.
        let _ = connection.await;
    });
    Ok(client)
}

/// The processes whose parent this is.
fn children_of(parent: Pid) -> Vec<Pid> {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    processes
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok().map(Pid::from_raw))
        .filter(|pid| parent_of(*pid) == Some(parent))
        .collect()
}

fn parent_of(pid: Pid) -> Option<Pid> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // pid (name) state parent …, and a name may hold anything.
    let (_, after) = stat.rsplit_once(')')?;
    after.split_whitespace().nth(1)?.parse().ok().map(Pid::from_raw)
}

/// The newest Postgres on this machine.
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
