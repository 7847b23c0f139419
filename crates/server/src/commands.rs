//! Commands of the command line.

use std::io;
use std::time::Duration;

use schema::{Db, NetworkConn};
use serde_json::{Value, json};
use tenancy::networks::Network;
use tokio::signal::unix::{SignalKind, signal};

use crate::client::Failure;
use crate::config::StoreOptions;
use crate::database::{Database, DatabaseError, NamedDatabase};
use crate::output::Output;
use crate::postgres::PostgresError;

mod backup;
mod check_config;
mod client;
mod demo;
mod health;
mod manual;
mod networks;
mod rates;
mod replay;
mod restore;
mod serve;
mod settle_verdict;
mod verify;

pub use self::networks::{
    change_network, check_host, create_network, delete_network, export_network, list_networks,
    replace_click_key,
};
pub use backup::backup;
pub use check_config::check_config;
pub use client::client;
pub use demo::demo;
pub use health::health;
pub use manual::{completions, man};
pub use rates::import_rates;
pub use replay::replay;
pub use restore::restore;
pub use serve::serve;
pub use settle_verdict::settle_verdict;
pub use verify::verify;

/// Reason why a command failed, as text for the user of the command line.
pub type CommandError = Box<dyn std::error::Error + Send + Sync>;

/// Argument that names something which does not exist, or arguments that contradict each other.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct WrongUsage(String);

impl WrongUsage {
    /// Exit code of the process, the same as for options that cannot be parsed.
    pub const EXIT_CODE: u8 = 2;
    /// Code in JSON.
    pub const CODE: &'static str = "usage";
}

/// Exit code of a command that failed.
#[must_use]
pub fn exit_code(error: &CommandError) -> u8 {
    if error.is::<WrongUsage>() {
        WrongUsage::EXIT_CODE
    } else {
        1
    }
}

/// Error in the shape of the API's errors.
#[must_use]
pub fn error_json(error: &CommandError) -> Value {
    match error.downcast_ref::<Failure>() {
        Some(failure) => failure.to_json(),
        None if error.is::<WrongUsage>() => Failure::local(WrongUsage::CODE, &error.to_string()).to_json(),
        None => Failure::local("failed", &error.to_string()).to_json(),
    }
}

/// Longest time Postgres may spend on a statement of a short command.
const STATEMENT_TIMEOUT: Duration = Duration::from_secs(15);

/// Migrates the database.
///
/// # Errors
/// Returns an error if the database cannot be opened, or the owner's address is missing for a database that is not
/// private.
pub async fn migrate(options: StoreOptions, output: Output) -> Result<(), CommandError> {
    if options.database_url.is_some() && options.owner_database_url.is_none() {
        return Err("give the address of the database's owner as OWNER_DATABASE_URL".into());
    }
    Database::open(&options).await?;
    Ok(output.print("The database is up to date.", &json!({ "migrated": true }))?)
}

/// Opens the database, beside a server that runs on the private Postgres too.
async fn open(store: &StoreOptions) -> Result<Database, CommandError> {
    match Database::open(store).await {
        Err(DatabaseError::Postgres(PostgresError::Locked(_))) => {
            Ok(NamedDatabase::of(store)?.open_beside_server().await?)
        }
        opened => Ok(opened?),
    }
}

/// Opens a pool of a few connections for a short command.
fn pool(database: &Database, connections: usize) -> Db {
    Db::new(&database.url, connections, STATEMENT_TIMEOUT)
}

/// Returns the network of a connection.
async fn current(conn: &mut NetworkConn) -> Result<Network, CommandError> {
    let network_id = conn.network_id();
    tenancy::networks::current(conn)
        .await
        .map_err(|error| match error {
            diesel::result::Error::NotFound => format!("no network has the id {network_id}").into(),
            other => other.into(),
        })
}

/// Waits for SIGTERM or SIGINT, from this call on: neither ends the process by itself any more.
fn stop_signal() -> io::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}
