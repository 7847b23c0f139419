//! The pool, and the only way from it to a tenant's rows: a transaction that knows its network.

use std::ops::{Deref, DerefMut};
use std::time::Duration;

use deadpool::Runtime;
use diesel::sql_types::Text;
use diesel::{ConnectionError, ConnectionResult, QueryResult};
use diesel_async::pooled_connection::deadpool::{Object, Pool, PoolError};
use diesel_async::pooled_connection::{AsyncDieselConnectionManager, ManagerConfig, RecyclingMethod};
use diesel_async::{
    AsyncConnection, AsyncPgConnection, RunQueryDsl, SimpleAsyncConnection, TransactionManager,
};
use tokio::runtime::Handle;

use crate::{NetworkId, PersonId};

type Transactions = <AsyncPgConnection as AsyncConnection>::TransactionManager;

/// How long a caller waits for a free connection before it is told that the database is busy.
const WAIT_FOR_CONNECTION: Duration = Duration::from_secs(2);
/// How long opening a connection may take.
const WAIT_FOR_POSTGRES: Duration = Duration::from_secs(2);
/// How long the rollback of an abandoned transaction may take before its connection is closed instead.
const WAIT_FOR_ROLLBACK: Duration = Duration::from_secs(2);

/// Why a database call failed.
#[derive(Debug, thiserror::Error)]
pub enum DbError {
    /// No connection was to be had in time: the caller should answer 503 and ask to be called again.
    #[error("no database connection: {0}")]
    Unavailable(#[from] PoolError),
    /// Postgres refused a statement, or the connection broke under it.
    #[error("database: {0}")]
    Query(#[from] diesel::result::Error),
}

/// A pool of connections to the database. Cheap to clone.
///
/// Connections are opened and driven on the runtime the pool was made on (the process's main one). Opened from an
/// actix worker, a connection would live on that worker's single thread, and whoever used it from another worker
/// would wait for the first to be idle.
#[derive(Clone)]
pub struct Db {
    pool: Pool<AsyncPgConnection>,
    runtime: Handle,
}

impl Db {
    /// A pool of at most `size` connections to `url`, on which no statement runs longer than `longest`. Opens none
    /// yet.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    #[must_use]
    pub fn new(url: &str, size: usize, longest: Duration) -> Self {
        let runtime = Handle::current();
        let mut config = ManagerConfig::<AsyncPgConnection>::default();
        // A connection that was given back in the middle of a transaction is closed, not reused.
        config.recycling_method = RecyclingMethod::Fast;
        let home = runtime.clone();
        config.custom_setup = Box::new(move |url| {
            let (url, home) = (url.to_owned(), home.clone());
            Box::pin(async move {
                home.spawn(async move { connect(&url, longest).await })
                    .await
                    .unwrap_or_else(|stopped| Err(ConnectionError::BadConnection(stopped.to_string())))
            })
        });
        #[expect(
            clippy::expect_used,
            reason = "fails only without a runtime, and one is given"
        )]
        let pool = Pool::builder(AsyncDieselConnectionManager::new_with_config(url, config))
            .max_size(size)
            .wait_timeout(Some(WAIT_FOR_CONNECTION))
            .create_timeout(Some(WAIT_FOR_POSTGRES))
            .runtime(Runtime::Tokio1)
            .build()
            .expect("a runtime is configured");
        Self { pool, runtime }
    }

    /// A transaction on the rows of one network.
    ///
    /// # Errors
    /// When no connection is free within 2 s or Postgres does not answer.
    pub async fn network(&self, network_id: NetworkId) -> Result<NetworkConn, DbError> {
        let transaction = self
            .begin("clickledger.network_id", &network_id.0.to_string())
            .await?;
        Ok(NetworkConn {
            transaction,
            network_id,
        })
    }

    /// A transaction for a person who is signing in, while it is not yet known in which network: it sees that
    /// person's memberships and no other tenant's row.
    ///
    /// # Errors
    /// As [`Db::network`].
    pub async fn person(&self, person_id: PersonId) -> Result<Transaction, DbError> {
        self.begin("clickledger.person_id", &person_id.0.to_string())
            .await
    }

    /// A transaction for an operator: it sees which networks there are, and nothing of what is in them.
    ///
    /// # Errors
    /// As [`Db::network`].
    pub async fn operator(&self) -> Result<Transaction, DbError> {
        self.begin("clickledger.operating", "yes").await
    }

    /// A connection that belongs to no network, for the tables without a tenant: people, sessions, hosts. The walls
    /// hide every tenant's row from it.
    ///
    /// # Errors
    /// As [`Db::network`].
    pub async fn unscoped(&self) -> Result<Object<AsyncPgConnection>, DbError> {
        Ok(self.pool.get().await?)
    }

    /// Begins a transaction and tells Postgres, for it only, whom it is for.
    async fn begin(&self, setting: &str, value: &str) -> Result<Transaction, DbError> {
        // A `Transaction` before it is one: cancelled from here on, it is cleaned up by its drop.
        let mut transaction = Transaction {
            connection: Some(self.pool.get().await?),
            runtime: self.runtime.clone(),
        };
        Transactions::begin_transaction(&mut *transaction).await?;
        diesel::sql_query("SELECT set_config($1, $2, true)")
            .bind::<Text, _>(setting)
            .bind::<Text, _>(value)
            .execute(&mut *transaction)
            .await?;
        Ok(transaction)
    }
}

/// Opens a connection and gives up every right but those of the role that serves, whoever the address says we are.
async fn connect(url: &str, longest: Duration) -> ConnectionResult<AsyncPgConnection> {
    let mut connection = AsyncPgConnection::establish(url).await?;
    let millis = longest.as_millis();
    let setup = format!(
        "SET ROLE clickledger_web; SET statement_timeout = {millis}; SET lock_timeout = {millis}; \
         SET idle_in_transaction_session_timeout = 10000"
    );
    connection
        .batch_execute(&setup)
        .await
        .map_err(ConnectionError::CouldntSetupConfiguration)?;
    Ok(connection)
}

/// An open transaction.
///
/// Ends with [`Transaction::commit`]. Dropped before that (an error, a client that went away), it is rolled back; a
/// connection that cannot be brought back to order is closed.
pub struct Transaction {
    connection: Option<Object<AsyncPgConnection>>,
    runtime: Handle,
}

impl Transaction {
    /// Ends the transaction and keeps what it wrote.
    ///
    /// # Errors
    /// When Postgres does not confirm the commit; whether it took place is then unknown.
    pub async fn commit(mut self) -> Result<(), DbError> {
        Transactions::commit_transaction(&mut *self).await?;
        // Nothing is left to clean up: back to the pool.
        drop(self.connection.take());
        Ok(())
    }
}

#[expect(
    clippy::expect_used,
    reason = "the connection is taken only by commit and drop, which end the value"
)]
impl Deref for Transaction {
    type Target = AsyncPgConnection;

    fn deref(&self) -> &AsyncPgConnection {
        self.connection.as_ref().expect("transaction is open")
    }
}

#[expect(clippy::expect_used, reason = "as above")]
impl DerefMut for Transaction {
    fn deref_mut(&mut self) -> &mut AsyncPgConnection {
        self.connection.as_mut().expect("transaction is open")
    }
}

/// Takes everything back: also what was attempted within the transaction and is not settled.
///
/// # Errors
/// When it cannot, or cannot know what to take back because a statement that begins or ends something was cut off.
async fn roll_back(connection: &mut AsyncPgConnection) -> QueryResult<()> {
    loop {
        if Transactions::is_broken_transaction_manager(connection) {
            return Err(diesel::result::Error::BrokenTransactionManager);
        }
        Transactions::rollback_transaction(connection).await?;
        let status = Transactions::transaction_manager_status_mut(connection);
        if status.transaction_depth()?.is_none() {
            return Ok(());
        }
    }
}

impl Drop for Transaction {
    fn drop(&mut self) {
        if let Some(mut connection) = self.connection.take() {
            // On the main runtime, because an actix worker may be dropping the handler that held us.
            self.runtime.spawn(async move {
                let rollback = roll_back(&mut connection);
                if !matches!(
                    tokio::time::timeout(WAIT_FOR_ROLLBACK, rollback).await,
                    Ok(Ok(()))
                ) {
                    // Cut off between two states: closed at once, not left open in the pool.
                    drop(Object::take(connection));
                }
            });
        }
    }
}

/// A transaction on the rows of one network: every query on a tenant's table takes it and filters by
/// [`NetworkConn::network_id`].
pub struct NetworkConn {
    transaction: Transaction,
    network_id: NetworkId,
}

impl NetworkConn {
    /// The network whose rows this transaction may touch.
    #[must_use]
    pub fn network_id(&self) -> NetworkId {
        self.network_id
    }

    /// Does what may fail without ending the transaction: where it does, what it wrote is taken back, and the
    /// transaction goes on.
    ///
    /// # Errors
    /// As what is done.
    pub async fn attempt<T, E: From<diesel::result::Error>>(
        &mut self,
        action: impl AsyncFnOnce(&mut Self) -> Result<T, E>,
    ) -> Result<T, E> {
        Transactions::begin_transaction(&mut **self).await?;
        match action(self).await {
            Ok(done) => {
                Transactions::commit_transaction(&mut **self).await?;
                Ok(done)
            }
            Err(error) => {
                Transactions::rollback_transaction(&mut **self).await?;
                Err(error)
            }
        }
    }

    /// Ends the transaction and keeps what it wrote.
    ///
    /// # Errors
    /// As [`Transaction::commit`].
    pub async fn commit(self) -> Result<(), DbError> {
        self.transaction.commit().await
    }
}

impl Deref for NetworkConn {
    type Target = AsyncPgConnection;

    fn deref(&self) -> &AsyncPgConnection {
        &self.transaction
    }
}

impl DerefMut for NetworkConn {
    fn deref_mut(&mut self) -> &mut AsyncPgConnection {
        &mut self.transaction
    }
}
