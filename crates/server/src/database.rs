//! From options to a database that is migrated and belongs to our secret.

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use diesel::sql_types::{Integer, Text};
use diesel::{QueryableByName, sql_query};
use diesel_async::{AsyncConnection, AsyncPgConnection, RunQueryDsl};
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
        prepare(&url, &secret).await?;
        Ok(Self {
            url,
            secret,
            postgres,
        })
    }
}

/// Checks the version, migrates, and makes sure of the secret.
async fn prepare(url: &str, secret: &Secret) -> Result<(), DatabaseError> {
    let mut conn = AsyncPgConnection::establish(url).await?;
    let version: Version = sql_query(
        "SELECT current_setting('server_version_num')::int AS number, current_setting('server_version') AS text",
    )
    .get_result(&mut conn)
    .await?;
    if version.number < OLDEST {
        return Err(DatabaseError::TooOld(version.text));
    }
    let ran = schema::migrate(url)
        .await
        .map_err(|error| DatabaseError::Migration(error.to_string()))?;
    if !ran.is_empty() {
        tracing::info!(migrations = ran.join(", "), "database migrated");
    }
    Ok(secret.claim(&mut conn).await?)
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
