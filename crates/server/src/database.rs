//! Opens the database named by the options: checks its version and migrations, and claims it for the secret.

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use diesel::sql_types::{Bool, Integer, Text};
use diesel::{QueryableByName, sql_query};
use diesel_async::{AsyncPgConnection, RunQueryDsl, SimpleAsyncConnection};
use schema::{MigrateError, NewerDatabase};
use tenancy::{Secret, SecretError};
use tokio::sync::watch;

use crate::config::{OptionError, StoreOptions};
use crate::postgres::{self, Postgres, PostgresError, PostgresSettings};

/// Oldest supported Postgres, as `server_version_num`.
const OLDEST_POSTGRES: i32 = 150_000;
/// File in a data directory whose restore has not finished.
pub(crate) const UNFINISHED_RESTORE: &str = "restore.unfinished";
/// Settings of the private Postgres: changes that wait for a backup never fill the disk.
const PRIVATE_SETTINGS: [&str; 1] = ["max_slot_wal_keep_size=8GB"];

/// Pauses between attempts to reach the database.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// Longest wait for the first connection.
const REACH_TIMEOUT: Duration = Duration::from_secs(10);
/// Codes of refused logins, and of a database that does not exist.
const LASTING: [&str; 3] = ["28000", "28P01", "3D000"];

/// Migrated database, with its private Postgres if it runs in one.
pub struct Database {
    /// Connection URL.
    pub url: String,
    /// Secret of the installation, checked against its fingerprint in the database.
    pub secret: Secret,
    /// Private Postgres, which stops when dropped: to be dropped last. None with `DATABASE_URL`.
    pub postgres: Option<Postgres>,
}

/// Reason no database could be opened.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    /// The private Postgres did not start.
    #[error(transparent)]
    Postgres(#[from] PostgresError),
    /// The data directory is incomplete.
    #[error("the restore into {} did not finish: remove the directory, and restore again", .0.display())]
    UnfinishedRestore(PathBuf),
    /// The database does not answer or refuses the login.
    #[error("cannot connect to the database: {0}")]
    Connect(#[from] diesel::ConnectionError),
    /// The database accepts a connection and does not answer.
    #[error("the database does not answer")]
    Silent,
    /// A statement failed.
    #[error("database: {0}")]
    Query(#[from] diesel::result::Error),
    /// The login of `DATABASE_URL` has rights that bypass row-level security.
    #[error(
        "DATABASE_URL signs in as {0}, which {1}: row-level security would not apply to this login. Create a login that \
         owns nothing:\n  CREATE ROLE clickledger_app LOGIN PASSWORD '…';\nUse that login in DATABASE_URL and the owner \
         in OWNER_DATABASE_URL, and run `clickledger migrate`"
    )]
    TooPowerful(String, &'static str),
    /// A connection pooler lends sessions for a transaction.
    #[error(
        "DATABASE_URL leads to a connection pooler that does not keep sessions apart: roles and settings of one connection \
         would apply to another. Set pool_mode = session in PgBouncer, or connect to Postgres itself"
    )]
    SharedSessions,
    /// The database lacks migrations, and this process has no login that may apply them.
    #[error(
        "the database is not up to date{0}. Run `clickledger migrate` with the URL of its owner in OWNER_DATABASE_URL, or \
         set OWNER_DATABASE_URL for `serve` too"
    )]
    NotMigrated(String),
    /// Postgres is too old.
    #[error("the database is PostgreSQL {0}; 15 or newer is needed")]
    TooOld(String),
    /// The database has a migration that this binary lacks.
    #[error(transparent)]
    Newer(#[from] NewerDatabase),
    /// Options that cannot be used.
    #[error(transparent)]
    Options(#[from] OptionError),
    /// A migration failed.
    #[error("migration failed: {0}")]
    Migration(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The secret belongs to another installation.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// The file with the secret cannot be read or created.
    #[error("{path}: {error}", path = .path.display())]
    SecretFile {
        /// Path of the file.
        path: PathBuf,
        /// Error of the operating system.
        error: io::Error,
    },
}

impl From<MigrateError> for DatabaseError {
    fn from(error: MigrateError) -> Self {
        match error {
            MigrateError::Connect(error) => Self::Connect(error),
            MigrateError::Query(error) => Self::Query(error),
            MigrateError::Newer(newer) => Self::Newer(newer),
            MigrateError::Failed(error) => Self::Migration(error),
        }
    }
}

#[derive(QueryableByName)]
struct Version {
    #[diesel(sql_type = Integer)]
    number: i32,
    #[diesel(sql_type = Text)]
    text: String,
}

/// Database that the options name, before any connection to it.
pub(crate) struct NamedDatabase {
    /// Connection URL.
    pub(crate) url: String,
    /// Secret of the installation, to be checked against its fingerprint in the database.
    pub(crate) secret: Secret,
    owner_url: Option<String>,
    /// Settings of the private Postgres; `None` with `DATABASE_URL`.
    private: Option<PostgresSettings>,
}

impl NamedDatabase {
    /// Reads the options and the secret.
    ///
    /// # Errors
    /// [`DatabaseError`] for options, or files of the data directory, that cannot be used.
    pub(crate) fn of(options: &StoreOptions) -> Result<Self, DatabaseError> {
        let data_dir = options.data_dir();
        if data_dir.join(UNFINISHED_RESTORE).exists() {
            return Err(DatabaseError::UnfinishedRestore(data_dir));
        }
        let (url, owner_url, private) = match options.database()? {
            Some(url) => (url, options.owner_database()?, None),
            None => {
                let url = postgres::private_url(&data_dir)?;
                let settings = PostgresSettings {
                    data_dir: data_dir.clone(),
                    bin_dir: options.pg_bin.clone(),
                    options: PRIVATE_SETTINGS.map(str::to_owned).into(),
                };
                // The private Postgres has one login; each connection switches to a role without its rights.
                (url.clone(), Some(url), Some(settings))
            }
        };
        let secret = match options.secret_text()? {
            Some(text) => Secret::from_text(&text)?,
            None => secret_file(&data_dir)?,
        };
        Ok(Self {
            url,
            secret,
            owner_url,
            private,
        })
    }

    /// Opens the database once it can be reached, however long that takes. `report` gets the reason for each wait.
    ///
    /// # Errors
    /// [`DatabaseError`] that waiting does not mend.
    pub(crate) async fn open_in_time(
        self,
        report: watch::Sender<Option<String>>,
    ) -> Result<Database, DatabaseError> {
        let mut pause = FIRST_PAUSE;
        loop {
            match self.open_once().await {
                Ok(postgres) => return Ok(self.opened(postgres)),
                Err(error) if error.may_pass() => {
                    tracing::warn!(%error, retry_in = ?pause, "the database cannot be reached");
                    report.send_replace(Some(error.to_string()));
                }
                Err(error) => return Err(error),
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Opens the database now.
    ///
    /// # Errors
    /// [`DatabaseError`], whose text names the remedy.
    pub(crate) async fn open(self) -> Result<Database, DatabaseError> {
        let postgres = self.open_once().await?;
        Ok(self.opened(postgres))
    }

    /// Opens the database of the private Postgres that a running server holds.
    ///
    /// # Errors
    /// [`DatabaseError`], whose text names the remedy.
    pub(crate) async fn open_beside_server(self) -> Result<Database, DatabaseError> {
        prepare(&self.url, None, &self.secret).await?;
        Ok(self.opened(None))
    }

    fn opened(self, postgres: Option<Postgres>) -> Database {
        Database {
            url: self.url,
            secret: self.secret,
            postgres,
        }
    }

    /// Reaches, checks and migrates the database. Returns its private Postgres.
    async fn open_once(&self) -> Result<Option<Postgres>, DatabaseError> {
        let postgres = match &self.private {
            Some(settings) => {
                let postgres = tokio::task::block_in_place(|| Postgres::start(settings))?;
                postgres.create_database().await?;
                Some(postgres)
            }
            None => {
                tokio::time::timeout(REACH_TIMEOUT, schema::connect(&self.url))
                    .await
                    .map_err(|_| DatabaseError::Silent)??;
                refuse_shared_sessions(&self.url).await?;
                refuse_power(&self.url).await?;
                None
            }
        };
        prepare(&self.url, self.owner_url.as_deref(), &self.secret).await?;
        Ok(postgres)
    }
}

impl Database {
    /// Opens the database named by the options, or a private one, and migrates it.
    ///
    /// # Errors
    /// [`DatabaseError`], whose text names the remedy.
    pub async fn open(options: &StoreOptions) -> Result<Self, DatabaseError> {
        NamedDatabase::of(options)?.open().await
    }
}

impl DatabaseError {
    /// True for a database that is away, starting, or does not answer: it can be opened later without a change.
    fn may_pass(&self) -> bool {
        match self {
            Self::Silent => true,
            Self::Connect(error) => {
                // SQLSTATE in brackets at the end: refused logins and unknown databases do not pass by themselves.
                let text = error.to_string();
                !LASTING.iter().any(|code| text.ends_with(&format!("({code})")))
            }
            Self::Query(error) => matches!(
                error,
                diesel::result::Error::DatabaseError(diesel::result::DatabaseErrorKind::ClosedConnection, _)
            ),
            _ => false,
        }
    }
}

/// Refuses a connection pooler that lends the same session of Postgres to two connections, which would share their roles.
pub(crate) async fn refuse_shared_sessions(url: &str) -> Result<(), DatabaseError> {
    let are_shared = schema::are_sessions_shared(url).await;
    if are_shared.map_err(|error| diesel::ConnectionError::BadConnection(error.to_string()))? {
        return Err(DatabaseError::SharedSessions);
    }
    Ok(())
}

/// Refuses a login that bypasses row-level security: a superuser, a role with BYPASSRLS, or the owner of tables. Returns
/// its name.
pub(crate) async fn refuse_power(url: &str) -> Result<String, DatabaseError> {
    #[derive(QueryableByName)]
    struct Login {
        #[diesel(sql_type = Text)]
        name: String,
        #[diesel(sql_type = Bool)]
        passes: bool,
        #[diesel(sql_type = Bool)]
        owns: bool,
    }
    let mut conn = schema::connect(url).await?;
    let login: Login = sql_query(
        "SELECT rolname::text AS name, rolsuper OR rolbypassrls AS passes,
                EXISTS (SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
                        WHERE n.nspname = 'public' AND c.relowner = r.oid) AS owns
         FROM pg_roles r WHERE rolname = current_user",
    )
    .get_result(&mut conn)
    .await?;
    let reason = if login.passes {
        "is a superuser or has BYPASSRLS"
    } else if login.owns {
        "owns tables of the database"
    } else {
        return Ok(login.name);
    };
    Err(DatabaseError::TooPowerful(login.name, reason))
}

/// Returns the version of Postgres, as text; refuses one that is too old.
pub(crate) async fn supported_version(conn: &mut AsyncPgConnection) -> Result<String, DatabaseError> {
    let version: Version = sql_query(
        "SELECT current_setting('server_version_num')::int AS number, current_setting('server_version') AS text",
    )
    .get_result(conn)
    .await?;
    if version.number < OLDEST_POSTGRES {
        return Err(DatabaseError::TooOld(version.text));
    }
    Ok(version.text)
}

/// Checks the version of Postgres, migrates as the owner or checks that the database is migrated, and checks the secret.
async fn prepare(url: &str, owner_url: Option<&str>, secret: &Secret) -> Result<(), DatabaseError> {
    let mut conn = schema::connect(url).await?;
    supported_version(&mut conn).await?;
    match owner_url {
        Some(owner_url) => migrate_as(owner_url, &mut conn).await?,
        None => require_migrated(&mut conn).await?,
    }
    conn.batch_execute("SET ROLE clickledger_web").await?;
    Ok(secret.claim(&mut conn).await?)
}

/// Migrates as the owner, and grants the serving login the roles of the server and of the appliers.
async fn migrate_as(owner_url: &str, serving: &mut AsyncPgConnection) -> Result<(), DatabaseError> {
    #[derive(QueryableByName)]
    struct One {
        #[diesel(sql_type = Text)]
        text: String,
    }
    let ran = schema::migrate(owner_url).await?;
    if !ran.is_empty() {
        tracing::info!(migrations = ran.join(", "), "database migrated");
    }
    let login: One = sql_query("SELECT current_user::text AS text")
        .get_result(serving)
        .await?;
    let mut owner = schema::connect(owner_url).await?;
    let grant: One = sql_query(
        "SELECT CASE WHEN pg_has_role($1::name, 'clickledger_web', 'MEMBER')
                      AND pg_has_role($1::name, 'clickledger_ingest', 'MEMBER') THEN ''
                     ELSE format('GRANT clickledger_web, clickledger_ingest TO %I', $1) END AS text",
    )
    .bind::<Text, _>(&login.text)
    .get_result(&mut owner)
    .await?;
    Ok(owner.batch_execute(&grant.text).await?)
}

/// Refuses a database that lacks a migration of this binary, or has an unknown one.
pub(crate) async fn require_migrated(serving: &mut AsyncPgConnection) -> Result<(), DatabaseError> {
    #[derive(QueryableByName)]
    struct Ran {
        #[diesel(sql_type = Text)]
        version: String,
    }
    let ran = async {
        serving.batch_execute("SET ROLE clickledger_web").await?;
        sql_query("SELECT version::text FROM __diesel_schema_migrations")
            .load::<Ran>(serving)
            .await
    };
    let ran: Vec<Ran> = ran
        .await
        .map_err(|error| DatabaseError::NotMigrated(format!(" ({error})")))?;
    NewerDatabase::check(ran.iter().map(|migration| migration.version.as_str()))?;
    let missing = schema::migration_versions()
        .into_iter()
        .find(|version| !ran.iter().any(|migration| migration.version == *version));
    match missing {
        Some(version) => Err(DatabaseError::NotMigrated(format!(
            " (migration {version} is missing)"
        ))),
        None => Ok(()),
    }
}

/// Path of the secret in a data directory.
pub(crate) fn secret_path(data_dir: &Path) -> PathBuf {
    data_dir.join("secret.key")
}

/// Reads the secret in the data directory; creates it on the first start, readable by the own user only.
fn secret_file(data_dir: &Path) -> Result<Secret, DatabaseError> {
    let path = secret_path(data_dir);
    let failed = |error| DatabaseError::SecretFile {
        path: path.clone(),
        error,
    };
    fs::create_dir_all(data_dir).map_err(failed)?;
    match fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&path)
    {
        Ok(mut file) => {
            let secret = Secret::random();
            writeln!(file, "{}", secret.to_text())
                .and_then(|()| file.sync_all())
                .map_err(failed)?;
            Ok(secret)
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            Ok(Secret::from_text(&fs::read_to_string(&path).map_err(failed)?)?)
        }
        Err(error) => Err(failed(error)),
    }
}
