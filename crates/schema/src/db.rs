//! The connection pool, and the transaction scoped to a network, which is the only access to tenant rows.

use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::time::{Duration, Instant};

use deadpool::Runtime;
use diesel::connection::{Instrumentation, InstrumentationEvent, get_default_instrumentation};
use diesel::sql_types::Text;
use diesel::{ConnectionError, ConnectionResult, QueryResult};
use diesel_async::pooled_connection::deadpool::{Object, Pool, PoolError};
use diesel_async::pooled_connection::{AsyncDieselConnectionManager, ManagerConfig, RecyclingMethod};
use diesel_async::{
    AsyncConnection, AsyncPgConnection, RunQueryDsl, SimpleAsyncConnection, TransactionManager,
};
use telemetry::{Histogram, catalog};
use tokio::runtime::Handle;
use tokio::task::JoinSet;

use crate::{NetworkId, Opening, PersonId, session};

type Transactions = <AsyncPgConnection as AsyncConnection>::TransactionManager;

/// Timeout of the wait for a free connection, after which the caller reports a busy database.
const POOL_TIMEOUT: Duration = Duration::from_secs(2);
/// Error of a connection to a database that is not open yet.
const NOT_OPEN: &str = "the database has not been reached since the start";
/// Timeout of opening a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// Setting with the network of a transaction.
const NETWORK_SETTING: &str = "clickledger.network_id";
/// Timeout of the rollback of a dropped transaction, after which its connection is closed.
const ROLLBACK_TIMEOUT: Duration = Duration::from_secs(2);

/// Reason a database call failed.
#[derive(Debug, thiserror::Error)]
pub enum DbError {
    /// No connection was free in time: the caller should respond 503 with Retry-After.
    #[error("no database connection: {0}")]
    Unavailable(#[from] PoolError),
    /// Postgres refused a statement, or the connection broke.
    #[error("database: {0}")]
    Query(#[from] diesel::result::Error),
}

/// Pool of connections to the database. Cheap to clone.
///
/// Connections are opened and driven on the runtime that created the pool (the main one of the process). A connection
/// opened by an actix worker would be driven by the single thread of that worker, and queries of other workers would
/// wait until that thread is idle.
#[derive(Clone)]
pub struct Db {
    pool: Pool<AsyncPgConnection>,
    runtime: Handle,
    measures: Option<Measures>,
}

/// Histograms of a pool.
#[derive(Clone)]
struct Measures {
    /// Waits that ended with a connection.
    waits: Arc<Histogram>,
    /// Waits that ended without a connection.
    failures: Arc<Histogram>,
    statements: Arc<Histogram>,
}

impl Measures {
    fn of(pool: &str) -> Self {
        Self {
            waits: catalog::POOL_WAIT.with(&[pool, "connection"]),
            failures: catalog::POOL_WAIT.with(&[pool, "none"]),
            statements: catalog::STATEMENT_DURATION.with(&[pool]),
        }
    }
}

/// Connections of a pool at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolState {
    /// Open connections that a request uses.
    pub busy: usize,
    /// Open connections that wait for a request.
    pub idle: usize,
    /// Most connections.
    pub limit: usize,
}

impl Db {
    /// Creates a pool of at most `size` connections to `url` with this statement timeout. Opens none yet.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    #[must_use]
    pub fn new(url: &str, size: usize, statement_timeout: Duration) -> Self {
        Self::create(&Opening::default(), url, size, statement_timeout, None)
    }

    /// Creates a pool as [`Db::new`] does, whose waits and statements are measured under this name, for a database that may not
    /// be open yet: until it is, every call is refused at once.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    #[must_use]
    pub fn measured(
        name: &str,
        opening: &Opening,
        url: &str,
        size: usize,
        statement_timeout: Duration,
    ) -> Self {
        Self::create(opening, url, size, statement_timeout, Some(Measures::of(name)))
    }

    fn create(
        opening: &Opening,
        url: &str,
        size: usize,
        statement_timeout: Duration,
        measures: Option<Measures>,
    ) -> Self {
        let runtime = Handle::current();
        let mut config = ManagerConfig::<AsyncPgConnection>::default();
        // Closes a connection that was returned in the middle of a transaction.
        config.recycling_method = RecyclingMethod::Fast;
        let (main, opening) = (runtime.clone(), opening.clone());
        let statements = measures.as_ref().map(|measures| measures.statements.clone());
        config.custom_setup = Box::new(move |url| {
            let (url, main, statements) = (url.to_owned(), main.clone(), statements.clone());
            let is_open = opening.is_open();
            Box::pin(async move {
                if !is_open {
                    return Err(ConnectionError::BadConnection(NOT_OPEN.to_owned()));
                }
                // A set ends its tasks when it is dropped. An attempt that outlived its caller would hold a connection beyond
                // the size of the pool, and a slow database would get more and more of them.
                let mut attempt = JoinSet::new();
                attempt.spawn_on(
                    async move { connect(&url, statement_timeout, statements).await },
                    &main,
                );
                match attempt.join_next().await {
                    Some(Ok(connected)) => connected,
                    Some(Err(stopped)) => Err(ConnectionError::BadConnection(stopped.to_string())),
                    None => Err(ConnectionError::BadConnection("no attempt was made".to_owned())),
                }
            })
        });
        #[expect(
            clippy::expect_used,
            reason = "fails only without a runtime, and the builder has one"
        )]
        let pool = Pool::builder(AsyncDieselConnectionManager::new_with_config(url, config))
            .max_size(size)
            .wait_timeout(Some(POOL_TIMEOUT))
            .create_timeout(Some(CONNECT_TIMEOUT))
            .runtime(Runtime::Tokio1)
            .build()
            .expect("a runtime is configured");
        Self {
            pool,
            runtime,
            measures,
        }
    }

    /// Connections of the pool now.
    #[must_use]
    pub fn state(&self) -> PoolState {
        let status = self.pool.status();
        PoolState {
            busy: status.size.saturating_sub(status.available),
            idle: status.available,
            limit: status.max_size,
        }
    }

    /// Waits for a connection, and records the wait.
    async fn connection(&self) -> Result<Object<AsyncPgConnection>, PoolError> {
        let began = Instant::now();
        let connection = self.pool.get().await;
        if let Some(measures) = &self.measures {
            let waits = match connection {
                Ok(_) => &measures.waits,
                Err(_) => &measures.failures,
            };
            waits.record(began.elapsed());
        }
        connection
    }

    /// Begins a transaction on the rows of one network.
    ///
    /// # Errors
    /// Returns an error if no connection is free within 2 s or Postgres does not answer.
    pub async fn network(&self, network_id: NetworkId) -> Result<NetworkConn, DbError> {
        let transaction = self.begin(NETWORK_SETTING, &network_id.0.to_string()).await?;
        Ok(NetworkConn {
            transaction,
            network_id,
        })
    }

    /// Begins a transaction for a person who is signing in, before a network is chosen: it sees the memberships of the
    /// person and no other tenant row.
    ///
    /// # Errors
    /// The same as [`Db::network`].
    pub async fn person(&self, person_id: PersonId) -> Result<Transaction, DbError> {
        self.begin("clickledger.person_id", &person_id.0.to_string())
            .await
    }

    /// Begins a transaction for an operator: it sees the list of networks and none of their rows.
    ///
    /// # Errors
    /// The same as [`Db::network`].
    pub async fn operator(&self) -> Result<Transaction, DbError> {
        self.begin("clickledger.operating", "yes").await
    }

    /// Returns a connection without a network, for tables without a tenant: people, sessions, hosts. Row-level security
    /// hides all tenant rows from it.
    ///
    /// # Errors
    /// The same as [`Db::network`].
    pub async fn unscoped(&self) -> Result<Object<AsyncPgConnection>, DbError> {
        Ok(self.connection().await?)
    }

    /// Begins a transaction with a setting that row-level security reads.
    async fn begin(&self, setting: &str, value: &str) -> Result<Transaction, DbError> {
        // Wrapped before it begins, so that the drop cleans up after a cancellation from here on.
        let mut transaction = Transaction {
            connection: Some(self.connection().await?),
            runtime: self.runtime.clone(),
        };
        Transactions::begin_transaction(&mut *transaction).await?;
        set(&mut transaction, setting, value).await?;
        Ok(transaction)
    }
}

/// Sets what row-level security reads, until the end of the transaction.
async fn set(transaction: &mut Transaction, setting: &str, value: &str) -> QueryResult<()> {
    diesel::sql_query("SELECT set_config($1, $2, true)")
        .bind::<Text, _>(setting)
        .bind::<Text, _>(value)
        .execute(&mut **transaction)
        .await?;
    Ok(())
}

/// Opens a connection and switches to the role that serves, whatever the rights of the login.
async fn connect(
    url: &str,
    statement_timeout: Duration,
    statements: Option<Arc<Histogram>>,
) -> ConnectionResult<AsyncPgConnection> {
    let mut connection = session::connect(url).await?;
    let millis = statement_timeout.as_millis();
    let setup = format!(
        "SET ROLE clickledger_web; SET statement_timeout = {millis}; SET lock_timeout = {millis}; \
         SET idle_in_transaction_session_timeout = 10000"
    );
    connection
        .batch_execute(&setup)
        .await
        .map_err(ConnectionError::CouldntSetupConfiguration)?;
    if let Some(statements) = statements {
        connection.set_instrumentation(StatementTimer {
            statements,
            began: None,
            default: get_default_instrumentation(),
        });
    }
    Ok(connection)
}

/// Timer of the statements of a connection. It does not read their texts.
struct StatementTimer {
    statements: Arc<Histogram>,
    began: Option<Instant>,
    /// Instrumentation of connections without a timer, which it goes on serving.
    default: Option<Box<dyn Instrumentation>>,
}

impl Instrumentation for StatementTimer {
    fn on_connection_event(&mut self, event: InstrumentationEvent<'_>) {
        match &event {
            InstrumentationEvent::StartQuery { .. } => self.began = Some(Instant::now()),
            InstrumentationEvent::FinishQuery { .. } => {
                if let Some(began) = self.began.take() {
                    self.statements.record(began.elapsed());
                }
            }
            _ => {}
        }
        if let Some(default) = &mut self.default {
            default.on_connection_event(event);
        }
    }
}

/// Open transaction.
///
/// Ends with [`Transaction::commit`]. Dropped before (after an error, or when a client disconnects), it is rolled back; a
/// connection whose rollback fails is closed.
pub struct Transaction {
    connection: Option<Object<AsyncPgConnection>>,
    runtime: Handle,
}

impl Transaction {
    /// Commits the transaction.
    ///
    /// # Errors
    /// Returns an error if Postgres does not confirm the commit; its outcome is then unknown.
    pub async fn commit(mut self) -> Result<(), DbError> {
        Transactions::commit_transaction(&mut *self).await?;
        // Returns the connection to the pool without the rollback of `Drop`.
        drop(self.connection.take());
        Ok(())
    }
}

#[expect(
    clippy::expect_used,
    reason = "only commit and drop take the connection, and both end the value"
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

/// Rolls back the transaction with its open savepoints.
///
/// # Errors
/// Returns an error if a statement fails, or the state is unknown because BEGIN, COMMIT or a savepoint was interrupted.
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
            // On the main runtime, because an actix worker may be dropping the handler that owned the transaction.
            self.runtime.spawn(async move {
                let rollback = roll_back(&mut connection);
                if !matches!(tokio::time::timeout(ROLLBACK_TIMEOUT, rollback).await, Ok(Ok(()))) {
                    // The state is unknown: closes the connection instead of returning it to the pool.
                    drop(Object::take(connection));
                }
            });
        }
    }
}

/// Transaction on the rows of one network: every query on a tenant table takes it and filters by
/// [`NetworkConn::network_id`].
pub struct NetworkConn {
    transaction: Transaction,
    network_id: NetworkId,
}

impl NetworkConn {
    /// Returns the network whose rows the transaction can access.
    #[must_use]
    pub fn network_id(&self) -> NetworkId {
        self.network_id
    }

    /// Runs an action in a savepoint: if the action fails, its writes are rolled back and the transaction continues.
    ///
    /// # Errors
    /// The same as the action.
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

    /// Runs an action on the rows of another network within this transaction, for the few changes that concern two networks,
    /// such as a tracking host that changes hands. After an error the transaction can only be rolled back.
    ///
    /// # Errors
    /// The same as the action.
    pub async fn within<T>(
        &mut self,
        other: NetworkId,
        action: impl AsyncFnOnce(&mut Self) -> QueryResult<T>,
    ) -> QueryResult<T> {
        let own = self.network_id;
        self.enter(other).await?;
        let done = action(self).await?;
        self.enter(own).await?;
        Ok(done)
    }

    async fn enter(&mut self, network_id: NetworkId) -> QueryResult<()> {
        set(&mut self.transaction, NETWORK_SETTING, &network_id.0.to_string()).await?;
        self.network_id = network_id;
        Ok(())
    }

    /// Commits the transaction.
    ///
    /// # Errors
    /// The same as [`Transaction::commit`].
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

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt as _;
    use tokio::net::TcpListener;
    use tokio::time::timeout;

    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn an_attempt_to_connect_ends_when_its_caller_gives_up() {
        let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("postgres://app@{}/clickledger", silent.local_addr().unwrap());
        let db = Db::new(&url, 1, Duration::from_secs(1));
        let given_up = timeout(Duration::from_millis(200), db.unscoped()).await;
        assert!(given_up.is_err());
        let (mut connection, _) = silent.accept().await.unwrap();
        let mut received = Vec::new();
        let closed = timeout(Duration::from_secs(5), connection.read_to_end(&mut received)).await;
        closed.expect("the attempt closes its connection").unwrap();
    }
}
