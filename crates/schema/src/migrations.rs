//! The migrations of `migrations/`, embedded in the binary.

use diesel::migration::{Migration, MigrationSource};
use diesel::pg::Pg;
use diesel_async::{AsyncConnection, AsyncMigrationHarness, AsyncPgConnection, RunQueryDsl};
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};

const MIGRATIONS: EmbeddedMigrations = embed_migrations!("../../migrations");

/// Brings the database at `url` to the schema of this binary and returns the names of the migrations that ran.
///
/// Nodes that start together wait for each other: the migrations run under an advisory lock.
///
/// # Errors
/// When the database does not answer or refuses a migration; what has been migrated so far stays.
///
/// # Panics
/// On a single-threaded runtime (the harness of diesel-async blocks in place).
pub async fn migrate(url: &str) -> Result<Vec<String>, Box<dyn std::error::Error + Send + Sync>> {
    let mut connection = AsyncPgConnection::establish(url).await?;
    // Held until the connection closes at the end of this function. The number is arbitrary and ours alone.
    diesel::sql_query("SELECT pg_advisory_lock(5275736)")
        .execute(&mut connection)
        .await?;
    let mut harness = AsyncMigrationHarness::new(connection);
    Ok(harness
        .run_pending_migrations(MIGRATIONS)?
        .iter()
        .map(ToString::to_string)
        .collect())
}

/// The versions of the migrations this binary has, as the database lists those that ran.
#[must_use]
pub fn migration_versions() -> Vec<String> {
    let all: Vec<Box<dyn Migration<Pg>>> = MIGRATIONS.migrations().unwrap_or_default();
    all.iter().map(|it| it.name().version().to_string()).collect()
}
