//! One Postgres per test process, from the machine's binaries, with fsync off; one database per test.
//!
//! The cluster with the migrated template is created once per schema and copied for each process in a tenth of a second,
//! so that tests run under `cargo test` and `cargo nextest` alike.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use diesel_async::{AsyncConnection, AsyncPgConnection, SimpleAsyncConnection};
use nix::fcntl::{Flock, FlockArg};
use server::postgres::{Postgres, PostgresSettings};
use tokio::sync::OnceCell;

static POSTGRES: OnceCell<Postgres> = OnceCell::const_new();
/// Created once per cluster, because a role belongs to all its databases.
static LOGIN: OnceCell<()> = OnceCell::const_new();
static NEXT: AtomicU32 = AtomicU32::new(0);

/// Database of one test, with the current schema and no rows.
pub struct TestDatabase {
    /// Address for the server.
    pub url: String,
    /// Address with the login that owns every table.
    pub owner_url: String,
    /// Name in the cluster.
    pub name: String,
    /// Address of another database of the same cluster, for statements about the cluster.
    pub operator_url: String,
}

impl TestDatabase {
    /// Creates a database with the current schema and no rows.
    pub async fn create() -> Self {
        Self::create_from("clickledger").await
    }

    /// Creates a database without any migration.
    pub async fn empty() -> Self {
        Self::create_from("template0").await
    }

    async fn create_from(template: &str) -> Self {
        let postgres = POSTGRES.get_or_init(start).await;
        let name = format!("test_{}", NEXT.fetch_add(1, Ordering::Relaxed));
        let operator_url = postgres.url_of("postgres");
        let database = Self {
            url: postgres.url_of(&name),
            owner_url: postgres.url_of(&name),
            name,
            operator_url,
        };
        database
            .operate(&format!("CREATE DATABASE {} TEMPLATE {template}", database.name))
            .await;
        database
    }

    /// Connects as the owner of every table, whom row-level security does not restrict.
    pub async fn owner(&self) -> AsyncPgConnection {
        AsyncPgConnection::establish(&self.owner_url)
            .await
            .expect("test Postgres answers")
    }

    /// Returns the address with a login that owns nothing, as the commands require.
    pub async fn login(&self) -> String {
        LOGIN
            .get_or_init(|| async {
                self.operate("CREATE ROLE test_commands LOGIN IN ROLE clickledger_web, clickledger_ingest")
                    .await;
            })
            .await;
        let (scheme, rest) = self.owner_url.split_once("://").expect("an address");
        let (_, host) = rest.split_once('@').expect("an address with a login");
        format!("{scheme}://test_commands@{host}")
    }

    /// Runs statements as the superuser of the cluster.
    pub async fn operate(&self, statements: &str) {
        let mut conn = AsyncPgConnection::establish(&self.operator_url)
            .await
            .expect("test Postgres answers");
        conn.batch_execute(statements)
            .await
            .expect("operator's statement");
    }
}

fn options() -> Vec<String> {
    [
        "fsync=off",
        "full_page_writes=off",
        "shared_buffers=64MB",
        "max_connections=300",
    ]
    .map(str::to_owned)
    .to_vec()
}

fn settings(data_dir: PathBuf) -> PostgresSettings {
    PostgresSettings {
        data_dir,
        bin_dir: None,
        options: options(),
    }
}

/// Another Postgres for one test, with different settings, which ends when dropped. Its database `clickledger` is migrated.
pub struct TestPostgres {
    /// Folder that the user of Postgres may enter; removed at the end.
    pub folder: tempfile::TempDir,
    /// TCP port on 127.0.0.1.
    pub port: u16,
    postgres: Option<Postgres>,
}

impl TestPostgres {
    /// Copies the template, lets `prepare` write files into the folder, and starts a server with the options that it
    /// returns.
    pub async fn start(prepare: impl FnOnce(&Path) -> Vec<String>) -> Self {
        let home = home();
        let template = template(&home).await;
        let folder = tempfile::Builder::new()
            .prefix("run-server-")
            .tempdir_in(&home)
            .expect("folder for the server");
        let data_dir = folder.path();
        fs::set_permissions(data_dir, fs::Permissions::from_mode(0o755)).expect("folder of the server");
        copy(&template.join("postgres"), &data_dir.join("postgres"));
        let owner = fs::metadata(data_dir.join("postgres")).expect("cluster");
        let mut settings = settings(data_dir.to_owned());
        settings.options.extend(prepare(data_dir));
        for file in fs::read_dir(data_dir).expect("folder of the server").flatten() {
            let path = file.path();
            if path.is_file() {
                std::os::unix::fs::chown(path, Some(owner.uid()), Some(owner.gid()))
                    .expect("file of the server");
            }
        }
        let port = free_port();
        let network = ["listen_addresses=127.0.0.1".to_owned(), format!("port={port}")];
        settings.options.extend(network);
        let postgres = tokio::task::block_in_place(|| Postgres::start(&settings))
            .unwrap_or_else(|error| panic!("{error}"));
        Self {
            folder,
            port,
            postgres: Some(postgres),
        }
    }

    /// Returns the migrated database, for a server that connects by another address.
    #[must_use]
    pub fn database(&self, url: String) -> TestDatabase {
        TestDatabase {
            url,
            owner_url: self.url_of("clickledger"),
            name: "clickledger".to_owned(),
            operator_url: self.url_of("postgres"),
        }
    }

    /// Returns the address of a database through the socket, as superuser.
    #[must_use]
    pub fn url_of(&self, database: &str) -> String {
        let postgres = self.postgres.as_ref().expect("the server runs");
        format!("{}&port={}", postgres.url_of(database), self.port)
    }
}

/// Returns a TCP port for another program. It lies below the ports that the system gives to connections and listeners, so
/// that no other test gets it before the program listens.
#[must_use]
pub fn free_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    loop {
        let count = std::process::id() * 31 + NEXT.fetch_add(1, Ordering::Relaxed);
        let port = 10_000 + u16::try_from(count % 20_000).expect("below 20000");
        if std::net::TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

impl Drop for TestPostgres {
    fn drop(&mut self) {
        let postgres = self.postgres.take();
        tokio::task::block_in_place(|| drop(postgres));
    }
}

/// Starts the Postgres of this process, which ends with the process.
async fn start() -> Postgres {
    let home = home();
    remove_abandoned(&home);
    let template = template(&home).await;
    let mine = home.join(format!("run-{}", std::process::id()));
    fs::create_dir_all(&mine).expect("folder for the test cluster");
    copy(&template.join("postgres"), &mine.join("postgres"));
    tokio::task::block_in_place(|| Postgres::start(&settings(mine))).unwrap_or_else(|error| panic!("{error}"))
}

/// Returns a folder under the system's temporary folder, which every user may enter: as root, Postgres runs as another
/// user.
fn home() -> PathBuf {
    let home = std::env::temp_dir().join(format!("clickledger-testkit-{}", nix::unistd::geteuid()));
    fs::create_dir_all(&home).expect("folder for test clusters");
    let owner = fs::metadata(&home).expect("folder for test clusters").uid();
    assert_eq!(
        owner,
        nix::unistd::geteuid().as_raw(),
        "{} belongs to another user; remove it",
        home.display()
    );
    home
}

/// Removes the clusters of ended processes.
fn remove_abandoned(home: &Path) {
    for run in fs::read_dir(home).expect("folder for test clusters").flatten() {
        let lock = run.path().join("lock");
        let is_run = run.file_name().to_string_lossy().starts_with("run-");
        let Ok(file) = fs::File::open(&lock) else { continue };
        if is_run && Flock::lock(file, FlockArg::LockExclusiveNonblock).is_ok() {
            let _ = fs::remove_dir_all(run.path());
        }
    }
}

/// Returns the cluster with the migrated database `clickledger`, created by the first process that needs it.
async fn template(home: &Path) -> PathBuf {
    let mut hasher = DefaultHasher::new();
    migrations().hash(&mut hasher);
    // Only the version that created a cluster can open it.
    server::postgres::newest_bin_dir().hash(&mut hasher);
    let template = home.join(format!("template-{:016x}", hasher.finish()));
    let gate = fs::File::create(home.join("template.lock")).expect("lock for the template");
    let _gate = tokio::task::block_in_place(|| Flock::lock(gate, FlockArg::LockExclusive)).expect("lock");
    if !template.exists() {
        let unfinished = home.join("template-unfinished");
        let _ = fs::remove_dir_all(&unfinished);
        let postgres = tokio::task::block_in_place(|| Postgres::start(&settings(unfinished.clone())))
            .unwrap_or_else(|error| panic!("{error}"));
        postgres.create_database().await.expect("template database");
        schema::migrate(postgres.url()).await.expect("migrations run");
        tokio::task::block_in_place(|| drop(postgres));
        fs::rename(&unfinished, &template).expect("template in place");
    }
    template
}

/// Returns the text of all migrations: another text or Postgres version needs another template.
fn migrations() -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../migrations");
    let mut folders: Vec<_> = fs::read_dir(folder)
        .expect("migrations")
        .flatten()
        .map(|entry| entry.path())
        .collect();
    folders.sort();
    folders
        .iter()
        .map(|folder| fs::read_to_string(folder.join("up.sql")).expect("up.sql"))
        .collect()
}

fn copy(from: &Path, to: &Path) {
    let done = Command::new("cp")
        .args(["-a", "--reflink=auto"])
        .arg(from)
        .arg(to)
        .status()
        .expect("cp");
    assert!(done.success(), "the template cluster could not be copied");
}

/// Returns the folder of `pg_dump` and the other client programs, which is that of the server.
///
/// # Panics
/// When they are not installed, naming the package.
#[must_use]
pub fn bin_dir() -> PathBuf {
    server::postgres::newest_bin_dir()
        .filter(|directory| directory.join("pg_dump").exists())
        .expect("pg_dump is missing; install the package postgresql-client")
}
