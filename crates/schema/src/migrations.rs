//! Migrations of `migrations/`, embedded in the binary.

use std::collections::HashSet;

use diesel::ConnectionError;
use diesel::migration::{Migration, MigrationSource, MigrationVersion};
use diesel::pg::Pg;
use diesel_async::{AsyncMigrationHarness, RunQueryDsl};
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};

use crate::session::connect;

const MIGRATIONS: EmbeddedMigrations = embed_migrations!("../../migrations");

/// Reason a database was not migrated.
#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    /// The database does not answer or refuses the login.
    #[error(transparent)]
    Connect(#[from] ConnectionError),
    /// A statement outside of a migration failed.
    #[error(transparent)]
    Query(#[from] diesel::result::Error),
    /// The database has a migration that this binary lacks.
    #[error(transparent)]
    Newer(#[from] NewerDatabase),
    /// A migration failed; earlier ones stay applied.
    #[error("{0}")]
    Failed(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// A database has a migration that this binary lacks. This binary could write rows that break the newer schema's rules.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the database has the migration {version}, which this binary does not have: a newer version of clickledger has \
     migrated the database. Run that version or a later one; to go back, restore a backup from before the upgrade"
)]
pub struct NewerDatabase {
    /// Version of the latest unknown migration.
    pub version: String,
}

impl NewerDatabase {
    /// Checks the versions of the applied migrations.
    ///
    /// # Errors
    /// If one of them is unknown to this binary.
    pub fn check<'a>(applied: impl IntoIterator<Item = &'a str>) -> Result<(), Self> {
        let known: HashSet<String> = migration_versions().into_iter().collect();
        match applied
            .into_iter()
            .filter(|version| !known.contains(*version))
            .max()
        {
            Some(version) => Err(Self {
                version: version.to_owned(),
            }),
            None => Ok(()),
        }
    }
}

/// Applies all pending migrations to the database at `url`, as the login in `url`, and returns their names.
///
/// Nodes that start together wait for each other: migrations run under an advisory lock.
///
/// # Errors
/// [`MigrateError`]; migrations applied before the failure stay.
///
/// # Panics
/// On a single-threaded runtime (the harness of diesel-async blocks in place).
pub async fn migrate(url: &str) -> Result<Vec<String>, MigrateError> {
    let mut names = Vec::new();
    let mut pending = Pending::open(url).await?;
    while let Some(name) = pending.apply_next()? {
        names.push(name);
    }
    Ok(names)
}

/// Applies the oldest pending migration only and returns its name, or None if none is pending. For tests of upgrades.
///
/// # Errors
/// The same as [`migrate`].
///
/// # Panics
/// As [`migrate`].
pub async fn migrate_one(url: &str) -> Result<Option<String>, MigrateError> {
    Pending::open(url).await?.apply_next()
}

/// Session that holds the lock of migrations until it closes.
struct Pending(AsyncMigrationHarness<diesel_async::AsyncPgConnection>);

impl Pending {
    async fn open(url: &str) -> Result<Self, MigrateError> {
        let mut connection = connect(url).await?;
        // An arbitrary number, used for nothing else.
        diesel::sql_query("SELECT pg_advisory_lock(5275736)")
            .execute(&mut connection)
            .await?;
        let mut harness = AsyncMigrationHarness::new(connection);
        let applied = harness.applied_migrations().map_err(MigrateError::Failed)?;
        let applied: Vec<String> = applied.iter().map(MigrationVersion::to_string).collect();
        NewerDatabase::check(applied.iter().map(String::as_str))?;
        Ok(Self(harness))
    }

    fn apply_next(&mut self) -> Result<Option<String>, MigrateError> {
        if self
            .0
            .has_pending_migration(MIGRATIONS)
            .map_err(MigrateError::Failed)?
        {
            let applied = self
                .0
                .run_next_migration(MIGRATIONS)
                .map_err(MigrateError::Failed)?;
            Ok(Some(applied.to_string()))
        } else {
            Ok(None)
        }
    }
}

/// Returns the versions of the migrations of this binary, as the database lists applied ones.
#[must_use]
pub fn migration_versions() -> Vec<String> {
    #[expect(
        clippy::expect_used,
        reason = "the macro that embeds migrations has parsed their names"
    )]
    let all: Vec<Box<dyn Migration<Pg>>> = MIGRATIONS.migrations().expect("migrations are embedded");
    all.iter()
        .map(|migration| migration.name().version().to_string())
        .collect()
}
