//! Postgres with fsync on, which can be killed, frozen and started again: ours, or the private one of the server.

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

/// Role and database of the server's private Postgres.
const PRIVATE_NAME: &str = "clickledger";
/// Longest path of the folder of a private socket; the server uses another folder for a longer one.
const LONGEST_SOCKET_FOLDER: usize = 80;

/// Postgres under the server.
pub(crate) struct Cluster {
    /// Working directory of its programs, with our socket.
    folder: PathBuf,
    data: PathBuf,
    log: PathBuf,
    bin: PathBuf,
    /// User to run as, because Postgres refuses to run as root.
    user: Option<User>,
    /// Settings beside the usual ones, `NAME=VALUE`.
    settings: Vec<String>,
    starter: Starter,
}

/// Process that starts Postgres.
enum Starter {
    /// This one.
    Conserve { port: u16, postmaster: Option<Child> },
    /// The server, whose private Postgres it is.
    Server { socket_folder: PathBuf },
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
            data: folder.join("data"),
            log: folder.join("log"),
            folder,
            bin: newest_bin()?,
            user,
            settings: Vec::new(),
            starter: Starter::Conserve {
                port: free_port()?,
                postmaster: None,
            },
        };
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
            .arg(&cluster.data)
            .stdout(cluster.log()?)
            .stderr(cluster.log()?)
            .status()?;
        if !done.success() {
            return Err(format!("initdb failed; see {}", cluster.log.display()).into());
        }
        cluster.start().await?;
        let client = connect(&cluster.superuser("postgres")).await?;
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

    /// Starts Postgres again with these settings, `NAME=VALUE`, beside its usual ones.
    pub(crate) async fn set(&mut self, settings: &[String]) -> Outcome {
        settings.clone_into(&mut self.settings);
        self.stop();
        self.start().await
    }

    /// Names the private Postgres of a server by the server's data directory.
    pub(crate) fn private(data_dir: &Path) -> Outcome<Self> {
        let socket_folder = data_dir.join("socket");
        if socket_folder.as_os_str().len() > LONGEST_SOCKET_FOLDER {
            return Err(format!(
                "{} is too long for a socket; choose a shorter --folder",
                socket_folder.display()
            )
            .into());
        }
        Ok(Self {
            folder: data_dir.to_owned(),
            data: data_dir.join("postgres"),
            log: data_dir.join("postgres.log"),
            bin: newest_bin()?,
            user: None,
            settings: Vec::new(),
            starter: Starter::Server { socket_folder },
        })
    }

    /// Starts Postgres, unless the server does, and waits until it answers, crash recovery included.
    pub(crate) async fn start(&mut self) -> Outcome {
        let deadline = Instant::now() + START_TIMEOUT;
        loop {
            self.spawn_if_ours()?;
            if connect(&self.superuser("postgres")).await.is_ok() {
                return Ok(());
            }
            if Instant::now() > deadline {
                return Err(format!("Postgres does not start; see {}", self.log.display()).into());
            }
            sleep(Duration::from_millis(100)).await;
        }
    }

    /// Starts the postmaster, unless it runs or the server starts it.
    fn spawn_if_ours(&mut self) -> Outcome {
        let Starter::Conserve { port, .. } = self.starter else {
            return Ok(());
        };
        if self.is_running() {
            return Ok(());
        }
        let mut command = self.command("postgres");
        command.arg("-D").arg(&self.data).arg("-k").arg(&self.folder);
        for option in [
            format!("port={port}"),
            "listen_addresses=127.0.0.1".to_owned(),
            "fsync=on".to_owned(),
            "shared_buffers=128MB".to_owned(),
            "max_wal_size=256MB".to_owned(),
        ]
        .iter()
        // Of repeated settings the last one applies.
        .chain(&self.settings)
        {
            command.args(["-c", option]);
        }
        let started = command.stdout(self.log()?).stderr(self.log()?).spawn()?;
        if let Starter::Conserve { postmaster, .. } = &mut self.starter {
            *postmaster = Some(started);
        }
        Ok(())
    }

    /// Connects as the superuser, whom row-level security does not restrict.
    pub(crate) async fn client(&self) -> Outcome<Client> {
        connect(&self.superuser(DATABASE)).await
    }

    /// Returns the address of our Postgres for a login: `clickledger_app` or `clickledger_owner`.
    pub(crate) fn url(&self, login: &str) -> String {
        self.url_of(login, DATABASE)
    }

    /// Returns true while the postmaster runs.
    pub(crate) fn is_running(&mut self) -> bool {
        match &mut self.starter {
            Starter::Conserve { postmaster, .. } => {
                matches!(postmaster.as_mut().map(Child::try_wait), Some(Ok(None)))
            }
            Starter::Server { .. } => self.postmaster_pid().is_some(),
        }
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
        self.data.join("pg_wal")
    }

    fn superuser(&self, database: &str) -> String {
        match &self.starter {
            Starter::Conserve { .. } => self.url_of("postgres", database),
            Starter::Server { .. } => self.url_of(PRIVATE_NAME, database),
        }
    }

    fn url_of(&self, login: &str, database: &str) -> String {
        match &self.starter {
            Starter::Conserve { port, .. } => format!("postgres://{login}@127.0.0.1:{port}/{database}"),
            Starter::Server { socket_folder } => {
                format!(
                    "host='{}' user={login} dbname={database}",
                    socket_folder.display()
                )
            }
        }
    }

    fn log(&self) -> Outcome<File> {
        Ok(File::options().create(true).append(true).open(&self.log)?)
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
        let id = match &self.starter {
            Starter::Conserve { postmaster, .. } => i32::try_from(postmaster.as_ref()?.id()).ok()?,
            Starter::Server { .. } => self.recorded_pid()?,
        };
        Some(Pid::from_raw(id))
    }

    /// Returns the process id that Postgres wrote to its files, if that process still is its postmaster.
    fn recorded_pid(&self) -> Option<i32> {
        let text = fs::read_to_string(self.data.join("postmaster.pid")).ok()?;
        let id = text.lines().next()?.trim().parse().ok()?;
        let command = fs::read(format!("/proc/{id}/cmdline")).ok()?;
        let data = self.data.to_str()?;
        String::from_utf8_lossy(&command).contains(data).then_some(id)
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
        if let Starter::Conserve { postmaster, .. } = &mut self.starter
            && let Some(mut ended) = postmaster.take()
        {
            let _ = ended.wait();
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
pub(crate) fn children_of(parent: Pid) -> Vec<Pid> {
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
