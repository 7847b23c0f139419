//! A private Postgres for zero configuration: the machine's own binaries, a cluster in our data directory, reachable
//! through a unix socket only, stopped with us however we end.

mod binaries;
mod child;

use std::fs;
use std::io::{self, Write as _};
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

/// The database's role and name inside the cluster.
const NAME: &str = "clickledger";
/// Unix socket addresses end at 107 bytes (103 on macOS); the socket's own name takes 20.
const SOCKET_DIRECTORY_LIMIT: usize = 80;

/// What to start.
#[derive(Debug, Clone)]
pub struct PostgresSettings {
    /// Where the cluster lives, in a folder `postgres`; created if missing.
    pub data_dir: PathBuf,
    /// Only look for the binaries here.
    pub bin_dir: Option<PathBuf>,
    /// Further `name=value` settings for the server.
    pub options: Vec<String>,
}

/// Why there is no Postgres.
#[derive(Debug, thiserror::Error)]
pub enum PostgresError {
    /// The machine has no usable binaries.
    #[error(transparent)]
    NoBinaries(#[from] NoBinaries),
    /// Another process uses the data directory.
    #[error(
        "{0} is in use by another clickledger. Stop that one, or choose another directory with --data-dir"
    )]
    Locked(PathBuf),
    /// Started as root, and the unprivileged user cannot get to the directory.
    #[error(
        "the user {user}, which the database runs as, may not enter {directory}. Choose another directory with --data-dir, such as /var/lib/clickledger"
    )]
    Unreachable {
        /// The unprivileged user.
        user: String,
        /// The folder it may not enter.
        directory: PathBuf,
    },
    /// Started as root, and there is nobody else to be.
    #[error(
        "started as root, but the database must not run as root and there is neither a user postgres nor a user nobody"
    )]
    NoUser,
    /// A short folder for the socket belongs to somebody else.
    #[error("{0} belongs to another user; remove it or choose a shorter --data-dir")]
    ForeignSocketDirectory(PathBuf),
    /// A database of a killed server does not stop.
    #[error("process {0}, the database of a server that was killed, does not stop; end it and try again")]
    StubbornOrphan(i32),
    /// `initdb` failed.
    #[error("initdb failed: {0}")]
    Initdb(String),
    /// The server did not come up.
    #[error("the database did not start; the end of {log} says:\n{tail}")]
    NotReady {
        /// Its log file.
        log: PathBuf,
        /// The last lines of it.
        tail: String,
    },
    /// A file or process could not be handled.
    #[error("{what}: {error}")]
    Io {
        /// What was being done.
        what: String,
        /// What the system said.
        error: io::Error,
    },
}

/// Names what was being done when the system refused.
fn doing<T>(what: impl Into<String>, result: io::Result<T>) -> Result<T, PostgresError> {
    result.map_err(|error| PostgresError::Io {
        what: what.into(),
        error,
    })
}

/// A running private Postgres. Dropping it, or the end of the process by whatever means, stops it.
#[derive(Debug)]
pub struct Postgres {
    url: String,
    sockets: PathBuf,
    child: child::Child,
    /// Held until we end: two servers on one directory would destroy it.
    _lock: Flock<fs::File>,
}

impl Postgres {
    /// Starts the private Postgres of a data directory, creating its cluster on the first start.
    ///
    /// # Errors
    /// [`PostgresError`], whose text says what to do.
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
            what: "starting postgres".into(),
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

    /// Where to connect: role and database `clickledger`, through the socket. The database may not exist yet.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Makes the database that [`Postgres::url`] names, unless it exists.
    ///
    /// # Errors
    /// When the server does not answer.
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

    /// Where to connect for another database of the same cluster.
    #[must_use]
    pub fn url_of(&self, database: &str) -> String {
        url(&self.sockets, database)
    }

    fn wait_until_ready(&self, cluster: &Path, log: &Path) -> Result<(), PostgresError> {
        // Recovery after a crash replays the write-ahead log first; it is given time as long as the process lives.
        let give_up = Instant::now() + Duration::from_secs(300);
        while Instant::now() < give_up && self.child.is_running() {
            let status = fs::read_to_string(cluster.join("postmaster.pid")).unwrap_or_default();
            if status.lines().nth(7).is_some_and(|line| line.trim() == "ready") {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        let text = fs::read_to_string(log).unwrap_or_default();
        let lines: Vec<_> = text.lines().collect();
        let tail = lines.split_at(lines.len().saturating_sub(12)).1.join("\n");
        Err(PostgresError::NotReady {
            log: log.to_owned(),
            tail,
        })
    }
}

#[derive(QueryableByName)]
struct Exists {
    #[diesel(sql_type = Integer)]
    #[expect(dead_code, reason = "only whether there is a row matters")]
    one: i32,
}

/// Removes the cluster of a data directory, and the named files beside it, unless a server is using them.
///
/// # Errors
/// [`PostgresError::Locked`] when one is; or the system's refusal.
pub fn remove_cluster(data_dir: &Path, files: &[&str]) -> Result<(), PostgresError> {
    let data_dir = create_data_dir(data_dir)?;
    let _lock = lock(&data_dir)?;
    let cluster = data_dir.join("postgres");
    stop_orphan(&cluster)?;
    let gone = |result: io::Result<()>| match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    };
    for file in files {
        doing(
            format!("removing {file}"),
            gone(fs::remove_file(data_dir.join(file))),
        )?;
    }
    doing(
        format!("removing {}", cluster.display()),
        gone(fs::remove_dir_all(&cluster)),
    )
}

/// The folder of the binaries that a new cluster would be made with; none where there are none.
#[must_use]
pub fn newest_bin_dir() -> Option<PathBuf> {
    Binaries::find(None, None)
        .ok()
        .map(|binaries| binaries.directory().to_owned())
}

fn url(sockets: &Path, database: &str) -> String {
    let host = percent_encoding::utf8_percent_encode(
        sockets.to_str().unwrap_or_default(),
        percent_encoding::NON_ALPHANUMERIC,
    );
    format!("postgresql://{NAME}@/{database}?host={host}")
}

/// Creates the directory. As root, what is made may be entered by others, whatever the umask says: the database's
/// user must get through (the cluster inside is closed to them).
fn create_data_dir(path: &Path) -> Result<PathBuf, PostgresError> {
    let missing: Vec<_> = path.ancestors().take_while(|folder| !folder.exists()).collect();
    let mode = if geteuid().is_root() { 0o755 } else { 0o700 };
    for folder in missing
        .into_iter()
        .rev()
        .filter(|folder| !folder.as_os_str().is_empty())
    {
        let what = || format!("creating {}", folder.display());
        doing(what(), fs::create_dir(folder))?;
        doing(
            what(),
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

/// Whom to run as: nobody else when we are not root; Postgres itself refuses to run as root.
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
        let may_enter = match () {
            () if meta.uid() == uid => mode & 0o100 != 0,
            () if meta.gid() == gid => mode & 0o010 != 0,
            () => mode & 0o001 != 0,
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

/// A folder for the socket that only the database's user (and root) may enter: in the data directory where its path
/// is short enough for a socket address, else a short one under the system's temporary folder.
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

/// Creates a folder, unless it exists, that only its owner may enter.
fn private_dir(path: &Path, owner: Option<&User>) -> Result<(), PostgresError> {
    let what = || format!("creating {}", path.display());
    match fs::DirBuilder::new().mode(0o700).create(path) {
        Ok(()) => {
            doing(
                what(),
                fs::set_permissions(path, fs::Permissions::from_mode(0o700)),
            )?;
            match owner {
                Some(user) => doing(
                    what(),
                    chown(path, Some(user.uid.as_raw()), Some(user.gid.as_raw())),
                ),
                None => Ok(()),
            }
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(PostgresError::Io { what: what(), error }),
    }
}

/// Makes the cluster under another name and renames it when it is whole, so that there is never half a cluster.
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

/// Stops a postmaster that outlived the process that started it. We hold the lock, so it is nobody's.
fn stop_orphan(cluster: &Path) -> Result<(), PostgresError> {
    let text = fs::read_to_string(cluster.join("postmaster.pid")).unwrap_or_default();
    let Some(pid) = text.lines().next().and_then(|line| line.trim().parse().ok()) else {
        return Ok(());
    };
    for (signal, patience) in [(Signal::SIGINT, 20), (Signal::SIGQUIT, 15)] {
        if !is_postmaster(pid, cluster) {
            return Ok(());
        }
        tracing::warn!(pid, %signal, "stopping a database that outlived its server");
        doing(
            "stopping an orphaned postgres",
            kill(Pid::from_raw(pid), signal).map_err(io::Error::from),
        )?;
        let give_up = Instant::now() + Duration::from_secs(patience);
        while is_postmaster(pid, cluster) && Instant::now() < give_up {
            std::thread::sleep(Duration::from_millis(20));
        }
    }
    // Two postmasters on one cluster would destroy it.
    if is_postmaster(pid, cluster) {
        Err(PostgresError::StubbornOrphan(pid))
    } else {
        Ok(())
    }
}

/// Whether the process with this id is a Postgres on this cluster: neither a reused id nor somebody who merely names
/// the folder (a zombie has no command line).
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

/// Removes what a killed postmaster leaves behind: with a reused process id in it, Postgres would refuse to start.
fn remove_stale(cluster: &Path, sockets: &Path) -> Result<(), PostgresError> {
    for path in [
        cluster.join("postmaster.pid"),
        sockets.join(".s.PGSQL.5432.lock"),
        sockets.join(".s.PGSQL.5432"),
    ] {
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(PostgresError::Io {
                    what: format!("removing {}", path.display()),
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
