//! From options to a database that is migrated and belongs to our secret.

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use diesel::sql_types::{Bool, Integer, Text};
use diesel::{QueryableByName, sql_query};
use diesel_async::{AsyncConnection, AsyncPgConnection, RunQueryDsl, SimpleAsyncConnection};
use tenancy::{Secret, SecretError};

use crate::config::{StoreOptions, default_data_dir};
use crate::postgres::{Postgres, PostgresError, PostgresSettings};

/// The oldest Postgres that has everything we use, as `server_version_num`.
const OLDEST: i32 = 150_000;

/// A migrated database, and the private Postgres it lives in, if it does.
pub struct Database {
    /// Where to connect.
    pub url: String,
    /// The installation's secret; the database agrees that it is its own.
    pub secret: Secret,
    /// Stopped when dropped: keep it until everything else has stopped.
    pub postgres: Option<Postgres>,
}

/// Why there is no database to serve from.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    /// The private Postgres did not start.
    #[error(transparent)]
    Postgres(#[from] PostgresError),
    /// Nobody answers at the address, or not us.
    #[error("cannot connect to the database: {0}")]
    Connect(#[from] diesel::ConnectionError),
    /// A statement failed.
    #[error("database: {0}")]
    Query(#[from] diesel::result::Error),
    /// The login of `DATABASE_URL` may do more than serve.
    #[error(
        "DATABASE_URL signs in as {0}, who {1}: row-level security would not hold such a login. Serve as one that owns \
         nothing:\n  CREATE ROLE clickledger_app LOGIN PASSWORD '…';\nPut that login into DATABASE_URL and the owner's \
         address into OWNER_DATABASE_URL, and run `clickledger migrate` (README, “Running it”)"
    )]
    TooPowerful(String, &'static str),
    /// It is not up to date, and nobody may change it here.
    #[error(
        "the database is not up to date{0}. Run `clickledger migrate` with the address of its owner as \
         OWNER_DATABASE_URL, or give that to `serve` too"
    )]
    NotMigrated(String),
    /// It is too old.
    #[error("the database is PostgreSQL {0}; 15 or newer is needed")]
    TooOld(String),
    /// A migration failed.
    #[error("migration failed: {0}")]
    Migration(String),
    /// The secret is not this installation's.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// The file with the secret could not be read or made.
    #[error("{path}: {error}", path = .path.display())]
    SecretFile {
        /// The file.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
}

#[derive(QueryableByName)]
struct Version {
    #[diesel(sql_type = Integer)]
    number: i32,
    #[diesel(sql_type = Text)]
    text: String,
}

impl Database {
    /// Opens the database that the options name, or a private one, and migrates it.
    ///
    /// # Errors
    /// [`DatabaseError`], whose text says what to do.
    pub async fn open(options: &StoreOptions) -> Result<Self, DatabaseError> {
        let data_dir = options.data_dir.clone().unwrap_or_else(default_data_dir);
        let postgres = match options.database_url {
            Some(_) => None,
            None => Some(start_private(&data_dir, options.pg_bin.clone()).await?),
        };
        let url = match (&options.database_url, &postgres) {
            (Some(url), _) => url.clone(),
            (None, Some(postgres)) => postgres.url().to_owned(),
            (None, None) => String::new(),
        };
        let secret = match &options.secret {
            Some(text) => Secret::from_text(text)?,
            None => secret_file(&data_dir)?,
        };
        let owner_url = match (&options.owner_database_url, &postgres) {
            (Some(owner), None) => Some(owner.as_str()),
            (None, None) => None,
            // The private Postgres has one login, whose rights every connection lays aside.
            (_, Some(_)) => Some(url.as_str()),
        };
        if postgres.is_none() {
            refuse_power(&url).await?;
        }
        prepare(&url, owner_url, &secret).await?;
        Ok(Self {
            url,
            secret,
            postgres,
        })
    }
}

/// Refuses a login that row-level security does not hold: a superuser, one that passes it, or the tables' owner.
async fn refuse_power(url: &str) -> Result<(), DatabaseError> {
    #[derive(QueryableByName)]
    struct Login {
        #[diesel(sql_type = Text)]
        name: String,
        #[diesel(sql_type = Bool)]
        passes: bool,
        #[diesel(sql_type = Bool)]
        owns: bool,
    }
    let mut conn = AsyncPgConnection::establish(url).await?;
    let login: Login = sql_query(
        "SELECT rolname::text AS name, rolsuper OR rolbypassrls AS passes,
                EXISTS (SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
                        WHERE n.nspname = 'public' AND c.relowner = r.oid) AS owns
         FROM pg_roles r WHERE rolname = current_user",
    )
    .get_result(&mut conn)
    .await?;
    match login {
        Login {
            passes: true, name, ..
        } => Err(DatabaseError::TooPowerful(name, "is a superuser or passes it")),
        Login { owns: true, name, .. } => Err(DatabaseError::TooPowerful(name, "owns tables there")),
        _ => Ok(()),
    }
}

/// Checks the version, migrates as the owner or makes sure that somebody has, and makes sure of the secret.
async fn prepare(url: &str, owner_url: Option<&str>, secret: &Secret) -> Result<(), DatabaseError> {
    let mut conn = AsyncPgConnection::establish(url).await?;
    let version: Version = sql_query(
        "SELECT current_setting('server_version_num')::int AS number, current_setting('server_version') AS text",
    )
    .get_result(&mut conn)
    .await?;
    if version.number < OLDEST {
        return Err(DatabaseError::TooOld(version.text));
    }
    match owner_url {
        Some(owner_url) => migrate_as(owner_url, &mut conn).await?,
        None => require_migrated(&mut conn).await?,
    }
    conn.batch_execute("SET ROLE clickledger_web").await?;
    Ok(secret.claim(&mut conn).await?)
}

/// Migrates as the owner, and lets the login that serves become the roles that serve and that copy events in.
async fn migrate_as(owner_url: &str, serving: &mut AsyncPgConnection) -> Result<(), DatabaseError> {
    #[derive(QueryableByName)]
    struct One {
        #[diesel(sql_type = Text)]
        text: String,
    }
    let ran = schema::migrate(owner_url)
        .await
        .map_err(|error| DatabaseError::Migration(error.to_string()))?;
    if !ran.is_empty() {
        tracing::info!(migrations = ran.join(", "), "database migrated");
    }
    let login: One = sql_query("SELECT current_user::text AS text")
        .get_result(serving)
        .await?;
    let mut owner = AsyncPgConnection::establish(owner_url).await?;
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

/// Refuses a database that lacks a migration this program has.
async fn require_migrated(serving: &mut AsyncPgConnection) -> Result<(), DatabaseError> {
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
    let missing = schema::migration_versions()
        .into_iter()
        .find(|version| !ran.iter().any(|it| it.version == *version));
    match missing {
        Some(version) => Err(DatabaseError::NotMigrated(format!(
            " (migration {version} is missing)"
        ))),
        None => Ok(()),
    }
}

/// Starts the private Postgres and makes its database.
async fn start_private(data_dir: &Path, bin_dir: Option<PathBuf>) -> Result<Postgres, DatabaseError> {
    let settings = PostgresSettings {
        data_dir: data_dir.to_owned(),
        bin_dir,
        options: Vec::new(),
    };
    let postgres = tokio::task::block_in_place(|| Postgres::start(&settings))?;
    postgres.create_database().await?;
    Ok(postgres)
}

/// The secret in the data directory; made on the first start, readable by us only.
fn secret_file(data_dir: &Path) -> Result<Secret, DatabaseError> {
    let path = data_dir.join("secret.key");
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
