//! The pool, and the only way from it to a tenant's rows: a transaction that knows its network.

use std::ops::{Deref, DerefMut};
use std::time::Duration;

use deadpool::Runtime;
use diesel::sql_types::Text;
use diesel_async::pooled_connection::deadpool::{Object, Pool, PoolError};
use diesel_async::pooled_connection::{AsyncDieselConnectionManager, ManagerConfig, RecyclingMethod};
use diesel_async::{AsyncConnection, AsyncPgConnection, RunQueryDsl, TransactionManager};
use tokio::runtime::Handle;

use crate::NetworkId;

type Transactions = <AsyncPgConnection as AsyncConnection>::TransactionManager;

/// How long a caller waits for a free connection before it is told that the database is busy.
const WAIT_FOR_CONNECTION: Duration = Duration::from_secs(2);
/// How long opening a connection may take.
const WAIT_FOR_POSTGRES: Duration = Duration::from_secs(2);

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
    /// A pool of at most `size` connections to `url`. Opens none yet.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    #[must_use]
    pub fn new(url: &str, size: usize) -> Self {
        let runtime = Handle::current();
        let mut config = ManagerConfig::<AsyncPgConnection>::default();
        // A connection that was given back in the middle of a transaction is closed, not reused.
        config.recycling_method = RecyclingMethod::Fast;
        let home = runtime.clone();
        config.custom_setup = Box::new(move |url| {
            let (url, home) = (url.to_owned(), home.clone());
            Box::pin(async move {
                home.spawn(async move { AsyncPgConnection::establish(&url).await })
                    .await
                    .unwrap_or_else(|stopped| {
                        Err(diesel::ConnectionError::BadConnection(stopped.to_string()))
                    })
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
        let mut connection = self.pool.get().await?;
        Transactions::begin_transaction(&mut *connection).await?;
        let conn = NetworkConn {
            connection: Some(connection),
            network_id,
            runtime: self.runtime.clone(),
        };
        conn.enter().await
    }

    /// A connection that belongs to no network: for the tables without a tenant (people, sessions, hosts) and for
    /// jobs over all networks. Its few users are the modules called `unscoped`.
    ///
    /// # Errors
    /// When no connection is free within 2 s or Postgres does not answer.
    pub async fn unscoped(&self) -> Result<Object<AsyncPgConnection>, DbError> {
        Ok(self.pool.get().await?)
    }
}

/// A transaction on the rows of one network: every query on a tenant's table takes it and filters by
/// [`NetworkConn::network_id`].
///
/// Ends with [`NetworkConn::commit`]. Dropped before that (an error, a client that went away), it is rolled back.
pub struct NetworkConn {
    connection: Option<Object<AsyncPgConnection>>,
    network_id: NetworkId,
    runtime: Handle,
}

impl NetworkConn {
    /// The network whose rows this transaction may touch.
    #[must_use]
    pub fn network_id(&self) -> NetworkId {
        self.network_id
    }

    /// Ends the transaction and keeps what it wrote.
    ///
    /// # Errors
    /// When Postgres does not confirm the commit; whether it took place is then unknown.
    pub async fn commit(mut self) -> Result<(), DbError> {
        if let Some(mut connection) = self.connection.take() {
            Transactions::commit_transaction(&mut *connection).await?;
        }
        Ok(())
    }

    /// Tells Postgres, for this transaction only, which network it is for.
    async fn enter(mut self) -> Result<Self, DbError> {
        let network_id = self.network_id.0.to_string();
        diesel::sql_query("SELECT set_config('clickledger.network_id', $1, true)")
            .bind::<Text, _>(network_id)
            .execute(&mut *self)
            .await?;
        Ok(self)
    }
}

#[expect(
    clippy::expect_used,
    reason = "the connection is taken only by commit and drop, which end the value"
)]
impl Deref for NetworkConn {
    type Target = AsyncPgConnection;

    fn deref(&self) -> &AsyncPgConnection {
        self.connection.as_ref().expect("transaction is open")
    }
}

#[expect(clippy::expect_used, reason = "as above")]
impl DerefMut for NetworkConn {
    fn deref_mut(&mut self) -> &mut AsyncPgConnection {
        self.connection.as_mut().expect("transaction is open")
    }
}

impl Drop for NetworkConn {
    fn drop(&mut self) {
        if let Some(mut connection) = self.connection.take() {
            // On the main runtime, because an actix worker may be dropping the handler that held us. A rollback
            // that fails leaves the connection marked, and the pool closes it.
            self.runtime.spawn(async move {
                if let Err(error) = Transactions::rollback_transaction(&mut *connection).await {
                    tracing::debug!(%error, "rollback of an abandoned transaction failed; connection closed");
                }
            });
        }
    }
}
