//! Private Postgres for zero configuration: the machine's binaries, a cluster in the data directory, reachable through a
//! unix socket only, stopped with this process however it ends.

mod binaries;
mod child;
mod cluster;
mod kept;
pub(crate) mod recovery;
pub(crate) mod tools;

use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use diesel::sql_types::{Integer, Text};
use diesel::{QueryableByName, sql_query};
use diesel_async::RunQueryDsl;
use nix::fcntl::{Flock, FlockArg};

use nix::unistd::{User, geteuid};

use crate::database::DatabaseError;
use binaries::Binaries;
pub use binaries::{NoBinaries, install_command};
use cluster::Cluster;
use kept::Kept;
pub use kept::PostgresWatch;

/// Name of the role and of the database in the cluster.
const NAME: &str = "clickledger";
/// Longest path of the socket's folder: socket addresses end at 107 bytes (103 on macOS), of which the file name takes 20.
const SOCKET_DIRECTORY_LIMIT: usize = 80;
/// Longest time from the start until the server is ready: recovery after a crash replays the write-ahead log first.
const READY_TIMEOUT: Duration = Duration::from_secs(300);

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

/// Running private Postgres: started again when it ends by itself, and stopped when dropped and when the process ends by any
/// means.
#[derive(Debug)]
pub struct Postgres {
    url: String,
    sockets: PathBuf,
    kept: Kept,
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
        let path = data_dir.join("postgres");
        let binaries = Binaries::find(settings.bin_dir.as_deref(), cluster_version(&path))?;
        let sockets = socket_dir(&data_dir, user.as_ref())?;
        if !path.exists() {
            init_cluster(&binaries, &data_dir, &path, user.as_ref())?;
        }
        let cluster = Cluster {
            binaries,
            path,
            sockets: sockets.clone(),
            log: data_dir.join("postgres.log"),
            options: settings.options.clone(),
            user,
            ready_timeout: READY_TIMEOUT,
        };
        Ok(Self {
            url: url(&sockets, NAME),
            sockets,
            kept: Kept::start(cluster)?,
            _lock: lock,
        })
    }

    /// Watch of its ends and restarts.
    #[must_use]
    pub fn watch(&self) -> PostgresWatch {
        self.kept.watch()
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
    cluster::stop_orphan(&cluster)?;
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
pub(crate) fn create_data_dir(path: &Path) -> Result<PathBuf, PostgresError> {
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

/// Returns the address of the private Postgres of a data directory, which is created if it is missing. Nothing may listen there
/// yet.
///
/// # Errors
/// [`PostgresError::Io`] if the directory cannot be created or read.
pub fn private_url(data_dir: &Path) -> Result<String, PostgresError> {
    Ok(url(&socket_path(&create_data_dir(data_dir)?)?, NAME))
}

/// Path of the folder of the socket.
fn socket_path(data_dir: &Path) -> Result<PathBuf, PostgresError> {
    let directory = data_dir.join("socket");
    if directory.as_os_str().len() <= SOCKET_DIRECTORY_LIMIT {
        return Ok(directory);
    }
    let inode = doing(format!("reading {}", data_dir.display()), fs::metadata(data_dir))?;
    Ok(PathBuf::from(format!(
        "/tmp/clickledger-{:x}-{:x}",
        inode.dev(),
        inode.ino()
    )))
}

/// Creates the folder of the socket, which only the database's user (and root) may enter: in the data directory if its
/// path is short enough for a socket address, else a short folder under the system's temporary folder.
fn socket_dir(data_dir: &Path, user: Option<&User>) -> Result<PathBuf, PostgresError> {
    let directory = socket_path(data_dir)?;
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
