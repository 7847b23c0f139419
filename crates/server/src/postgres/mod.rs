//! Private Postgres for zero configuration: the machine's binaries, a cluster in the data directory, reachable through a
//! unix socket only, stopped with this process however it ends.

mod binaries;
mod child;

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use diesel::sql_types::{Integer, Text};
use diesel::{QueryableByName, sql_query};
use diesel_async::RunQueryDsl;
use nix::fcntl::{Flock, FlockArg};
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, User, geteuid};

use crate::database::DatabaseError;
use binaries::Binaries;
pub use binaries::{NoBinaries, install_command};

/// Name of the role and of the database in the cluster.
const NAME: &str = "clickledger";
/// Longest path of the socket's folder: socket addresses end at 107 bytes (103 on macOS), of which the file name takes 20.
const SOCKET_DIRECTORY_LIMIT: usize = 80;
/// Longest time from the start until the server is ready: recovery after a crash replays the write-ahead log first.
const READY_TIMEOUT: Duration = Duration::from_secs(300);
const READY_POLL_INTERVAL: Duration = Duration::from_millis(10);
/// Ways to stop an orphaned server, from the cleanest on, each with the longest wait for its end.
const ORPHAN_STOP_TIMEOUTS: [(Signal, Duration); 2] = [
    (Signal::SIGINT, Duration::from_secs(20)),
    (Signal::SIGQUIT, Duration::from_secs(15)),
];
const ORPHAN_POLL_INTERVAL: Duration = Duration::from_millis(20);
/// Last lines of the server's log in an error.
const LOG_TAIL_LINES: usize = 12;

/// Settings of a private Postgres.
#[derive(Debug, Clone)]
pub struct PostgresSettings {
    /// Directory of the cluster's folder `postgres`; created if missing.
    pub data_dir: PathBuf,
    /// Folder of the binaries; searched if none.
    pub bin_dir: Option<PathBuf>,
    /// Additional `name=value` settings for the server.
    pub options: Vec<String>,
}

/// Reason why the private Postgres does not run.
#[derive(Debug, thiserror::Error)]
pub enum PostgresError {
    /// No usable binaries on the machine.
    #[error(transparent)]
    NoBinaries(#[from] NoBinaries),
    /// Data directory in use by another process.
    #[error(
        "{0} is in use by another clickledger. Stop that one, or choose another directory with --data-dir"
    )]
    Locked(PathBuf),
    /// Start as root with a directory that the unprivileged user cannot enter.
    #[error(
        "the user {user}, which the database runs as, may not enter {directory}. Choose another directory with --data-dir, such as /var/lib/clickledger"
    )]
    Unreachable {
        /// Unprivileged user.
        user: String,
        /// Folder that the user may not enter.
        directory: PathBuf,
    },
    /// Start as root on a machine without an unprivileged user.
    #[error(
        "started as root, but the database must not run as root, and the machine has neither a user postgres nor a user nobody"
    )]
    NoUser,
    /// Short folder for the socket that belongs to another user.
    #[error("{0} belongs to another user; remove it or choose a shorter --data-dir")]
    ForeignSocketDirectory(PathBuf),
    /// Postmaster of a killed server that does not stop.
    #[error("process {0}, the database of a server that was killed, does not stop; end it and try again")]
    StubbornOrphan(i32),
    /// Failure of `initdb`.
    #[error("initdb failed: {0}")]
    Initdb(String),
    /// Server that did not become ready.
    #[error("the database did not start; the end of {log}:\n{tail}")]
    NotReady {
        /// Log file of the server.
        log: PathBuf,
        /// Last lines of the log.
        tail: String,
    },
    /// Failed operation on a file or process.
    #[error("{operation}: {error}")]
    Io {
        /// Operation, such as `creating /data`.
        operation: String,
        /// Error of the system.
        error: io::Error,
    },
}

/// Adds the operation to its error.
fn doing<T>(operation: impl Into<String>, result: io::Result<T>) -> Result<T, PostgresError> {
    result.map_err(|error| PostgresError::Io {
        operation: operation.into(),
        error,
    })
}

/// Running private Postgres. Stopped when dropped, and when the process ends by any means.
#[derive(Debug)]
pub struct Postgres {
    url: String,
    sockets: PathBuf,
    child: child::Child,
    /// Held until the end: two servers on one directory would destroy the cluster.
    _lock: Flock<fs::File>,
}

impl Postgres {
    /// Starts the private Postgres of a data directory, creating its cluster on the first start.
    ///
    /// # Errors
    /// [`PostgresError`], whose text names the remedy.
    #[tracing::instrument(name = "start_postgres", skip_all, fields(data_dir = %settings.data_dir.display()))]
    pub fn start(settings: &PostgresSettings) -> Result<Self, PostgresError> {
        let data_dir = create_data_dir(&settings.data_dir)?;
        let lock = lock(&data_dir)?;
        let user = unprivileged_user()?;
        if let Some(user) = &user {
            check_reachable(&data_dir, user)?;
        }
        let cluster = data_dir.join("postgres");
        let binaries = Binaries::find(settings.bin_dir.as_deref(), cluster_version(&cluster))?;
        let sockets = socket_dir(&data_dir, user.as_ref())?;
        let log = data_dir.join("postgres.log");
        if !cluster.exists() {
            init_cluster(&binaries, &data_dir, &cluster, user.as_ref())?;
        }
        stop_orphan(&cluster)?;
        remove_stale(&cluster, &sockets)?;
        let child = child::spawn(
            server_command(&binaries, &cluster, &sockets, &log, settings)?,
            user,
        )
        .map_err(|error| PostgresError::Io {
            operation: "starting postgres".into(),
            error,
        })?;
        let postgres = Self {
            url: url(&sockets, NAME),
            sockets,
            child,
            _lock: lock,
        };
        postgres.wait_until_ready(&cluster, &log)?;
        Ok(postgres)
    }

    /// Returns the address of the role and database `clickledger`, through the socket. The database may not exist yet.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Creates the database of [`Postgres::url`], unless it exists.
    ///
    /// # Errors
    /// Returns an error if the server does not answer.
    pub async fn create_database(&self) -> Result<(), DatabaseError> {
        let mut conn = schema::connect(&self.url_of("postgres")).await?;
        let exists: Vec<Exists> = sql_query("SELECT 1 AS one FROM pg_database WHERE datname = $1")
            .bind::<Text, _>(NAME)
            .load(&mut conn)
            .await?;
        if exists.is_empty() {
            sql_query(format!("CREATE DATABASE {NAME}"))
                .execute(&mut conn)
                .await?;
        }
        Ok(())
    }

    /// Returns the address of another database of the same cluster.
    #[must_use]
    pub fn url_of(&self, database: &str) -> String {
        url(&self.sockets, database)
    }

    fn wait_until_ready(&self, cluster: &Path, log: &Path) -> Result<(), PostgresError> {
        let deadline = Instant::now() + READY_TIMEOUT;
        while Instant::now() < deadline && self.child.is_running() {
            // The file is missing until the postmaster writes it.
            let status = fs::read_to_string(cluster.join("postmaster.pid")).unwrap_or_default();
            if status.lines().nth(7).is_some_and(|line| line.trim() == "ready") {
                return Ok(());
            }
            std::thread::sleep(READY_POLL_INTERVAL);
        }
        let text = doing(format!("reading {}", log.display()), fs::read_to_string(log))?;
        let lines: Vec<_> = text.lines().collect();
        let (_, tail) = lines.split_at(lines.len().saturating_sub(LOG_TAIL_LINES));
        let tail = tail.join("\n");
        Err(PostgresError::NotReady {
            log: log.to_owned(),
            tail,
        })
    }
}

#[derive(QueryableByName)]
struct Exists {
    #[diesel(sql_type = Integer)]
    #[expect(dead_code, reason = "only the existence of a row matters")]
    one: i32,
}

/// Removes the cluster of a data directory, and the named files beside it, unless a server uses them.
///
/// # Errors
/// [`PostgresError::Locked`] when a server does; [`PostgresError::Io`] when a file cannot be removed.
pub fn remove_cluster(data_dir: &Path, files: &[&str]) -> Result<(), PostgresError> {
    let data_dir = create_data_dir(data_dir)?;
    let _lock = lock(&data_dir)?;
    let cluster = data_dir.join("postgres");
    stop_orphan(&cluster)?;
    let ignore_missing = |result: io::Result<()>| match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    };
    for file in files {
        doing(
            format!("removing {file}"),
            ignore_missing(fs::remove_file(data_dir.join(file))),
        )?;
    }
    doing(
        format!("removing {}", cluster.display()),
        ignore_missing(fs::remove_dir_all(&cluster)),
    )
}

/// Returns the folder of the binaries for a new cluster; none without usable binaries.
#[must_use]
pub fn newest_bin_dir() -> Option<PathBuf> {
    Binaries::find(None, None)
        .ok()
        .map(|binaries| binaries.directory().to_owned())
}

/// Returns the folder of the binaries that would serve a data directory.
///
/// # Errors
/// [`NoBinaries`], whose text names the remedy.
pub fn usable_bin_dir(data_dir: &Path, bin_dir: Option<&Path>) -> Result<PathBuf, NoBinaries> {
    let version = cluster_version(&data_dir.join("postgres"));
    Binaries::find(bin_dir, version).map(|binaries| binaries.directory().to_owned())
}

fn url(sockets: &Path, database: &str) -> String {
    let path = sockets.as_os_str().as_bytes();
    let host = percent_encoding::percent_encode(path, percent_encoding::NON_ALPHANUMERIC);
    format!("postgresql://{NAME}@/{database}?host={host}")
}

/// Creates the directory. As root, every created folder may be entered by all users, regardless of the umask: the
/// database's user must get through (the cluster inside is closed to others).
fn create_data_dir(path: &Path) -> Result<PathBuf, PostgresError> {
    let missing: Vec<_> = path.ancestors().take_while(|folder| !folder.exists()).collect();
    let mode = if geteuid().is_root() { 0o755 } else { 0o700 };
    for folder in missing
        .into_iter()
        .rev()
        .filter(|folder| !folder.as_os_str().is_empty())
    {
        let operation = || format!("creating {}", folder.display());
        doing(operation(), fs::create_dir(folder))?;
        doing(
            operation(),
            fs::set_permissions(folder, fs::Permissions::from_mode(mode)),
        )?;
    }
    doing(format!("resolving {}", path.display()), path.canonicalize())
}

fn lock(data_dir: &Path) -> Result<Flock<fs::File>, PostgresError> {
    let path = data_dir.join("lock");
    let file = doing(
        format!("opening {}", path.display()),
        fs::OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path),
    )?;
    Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|_| PostgresError::Locked(data_dir.to_owned()))
}

/// Returns the user to run as, because Postgres refuses to run as root; none if this process is not root.
fn unprivileged_user() -> Result<Option<User>, PostgresError> {
    if !geteuid().is_root() {
        return Ok(None);
    }
    ["postgres", "nobody"]
        .into_iter()
        .find_map(|name| User::from_name(name).ok().flatten())
        .map(Some)
        .ok_or(PostgresError::NoUser)
}

fn check_reachable(data_dir: &Path, user: &User) -> Result<(), PostgresError> {
    for directory in data_dir.ancestors() {
        let meta = doing(
            format!("reading {}", directory.display()),
            fs::metadata(directory),
        )?;
        let (uid, gid, mode) = (user.uid.as_raw(), user.gid.as_raw(), meta.mode());
        let may_enter = if meta.uid() == uid {
            mode & 0o100 != 0
        } else if meta.gid() == gid {
            mode & 0o010 != 0
        } else {
            mode & 0o001 != 0
        };
        if !may_enter {
            return Err(PostgresError::Unreachable {
                user: user.name.clone(),
                directory: directory.to_owned(),
            });
        }
    }
    Ok(())
}

fn cluster_version(cluster: &Path) -> Option<u32> {
    fs::read_to_string(cluster.join("PG_VERSION"))
        .ok()?
        .trim()
        .parse()
        .ok()
}

/// Creates the folder of the socket, which only the database's user (and root) may enter: in the data directory if its
/// path is short enough for a socket address, else a short folder under the system's temporary folder.
fn socket_dir(data_dir: &Path, user: Option<&User>) -> Result<PathBuf, PostgresError> {
    let mut directory = data_dir.join("socket");
    if directory.as_os_str().len() > SOCKET_DIRECTORY_LIMIT {
        let inode = doing(format!("reading {}", data_dir.display()), fs::metadata(data_dir))?;
        directory = PathBuf::from(format!("/tmp/clickledger-{:x}-{:x}", inode.dev(), inode.ino()));
    }
    private_dir(&directory, user)?;
    let owner = doing(
        format!("reading {}", directory.display()),
        fs::symlink_metadata(&directory),
    )?;
    let expected = user.map_or(geteuid(), |user| user.uid).as_raw();
    if !owner.is_dir() || owner.uid() != expected {
        return Err(PostgresError::ForeignSocketDirectory(directory));
    }
    Ok(directory)
}

/// Creates a folder that only its owner may enter, unless it exists.
fn private_dir(path: &Path, owner: Option<&User>) -> Result<(), PostgresError> {
    let operation = || format!("creating {}", path.display());
    match fs::DirBuilder::new().mode(0o700).create(path) {
        Ok(()) => {
            doing(
                operation(),
                fs::set_permissions(path, fs::Permissions::from_mode(0o700)),
            )?;
            match owner {
                Some(user) => doing(
                    operation(),
                    chown(path, Some(user.uid.as_raw()), Some(user.gid.as_raw())),
                ),
                None => Ok(()),
            }
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(PostgresError::Io {
            operation: operation(),
            error,
        }),
    }
}

/// Creates the cluster under another name and renames it when complete, so that an incomplete cluster is never used.
fn init_cluster(
    binaries: &Binaries,
    data_dir: &Path,
    cluster: &Path,
    user: Option<&User>,
) -> Result<(), PostgresError> {
    let unfinished = data_dir.join("postgres.unfinished");
    if unfinished.exists() {
        doing(
            format!("removing {}", unfinished.display()),
            fs::remove_dir_all(&unfinished),
        )?;
    }
    private_dir(&unfinished, user)?;
    let mut initdb = Command::new(binaries.initdb());
    initdb
        .arg("-D")
        .arg(&unfinished)
        .args(["-U", NAME, "-E", "UTF8", "--no-locale", "-A", "trust"]);
    let output = doing("running initdb", child::output(initdb, user))?;
    if !output.status.success() {
        return Err(PostgresError::Initdb(
            String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        ));
    }
    doing(
        format!("renaming {}", unfinished.display()),
        fs::rename(&unfinished, cluster),
    )
}

/// Stops a postmaster that outlived the process that started it: the caller holds the lock, so no server uses it.
fn stop_orphan(cluster: &Path) -> Result<(), PostgresError> {
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

fn server_command(
    binaries: &Binaries,
    cluster: &Path,
    sockets: &Path,
    log: &Path,
    settings: &PostgresSettings,
) -> Result<Command, PostgresError> {
    let mut log_file = doing(format!("opening {}", log.display()), fs::File::create(log))?;
    doing(
        "writing the log",
        writeln!(log_file, "{}", binaries.initdb().display()),
    )?;
    let mut postgres = Command::new(binaries.postgres());
    postgres.arg("-D").arg(cluster).arg("-k").arg(sockets);
    for option in [
        "listen_addresses=",
        "port=5432",
        "max_connections=100",
        "timezone=UTC",
        "log_timezone=UTC",
    ] {
        postgres.args(["-c", option]);
    }
    for option in &settings.options {
        postgres.args(["-c", option]);
    }
    let errors = doing("duplicating the log", log_file.try_clone())?;
    postgres
        .stdin(std::process::Stdio::null())
        .stdout(log_file)
        .stderr(errors);
    Ok(postgres)
}
