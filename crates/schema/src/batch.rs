//! Batches of typed rows: one statement, one array per column.
//!
//! A row type names its columns once ([`crate::row!`]). The column list, the `unnest` of its arrays, the parameters and
//! the reading all follow from it, so a statement cannot disagree with its values, and ids keep their types down to the
//! wire. Two kinds of transaction store batches: the appliers' ([`Tx`]) and a page's ([`NetworkConn`]).

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use diesel::pg::Pg;
use diesel::query_builder::{BoxedSqlQuery, SqlQuery};
use diesel::sql_types::{self, Nullable};
use diesel_async::RunQueryDsl;
use serde_json::Value;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::{FromSqlOwned, ToSql};
use tokio_postgres::{Client, Statement, Transaction};
use uuid::Uuid;

use crate::session::{ConnectError, describe};
use crate::{NetworkConn, connect_client};

/// Timeout for opening a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Settings of an ingest session; everything but its role comes from the address.
///
/// Statements on arrays are planned once: what they do does not depend on the length of the arrays. And always with an
/// index: the first plan may be made while a table is so small that reading all of it is cheaper, and is kept while the
/// table grows. Without just-in-time compilation: a plan with a disabled node costs 10¹⁰, so Postgres would compile it
/// with every optimisation, 600 ms of CPU for a statement that runs 0.2 ms.
pub const INGEST_SETTINGS: &str = "SET ROLE clickledger_ingest; SET plan_cache_mode = force_generic_plan; \
     SET enable_seqscan = off; SET enable_hashjoin = off; SET enable_mergejoin = off; \
     SET statement_timeout = '50s'; SET lock_timeout = '10s'; SET idle_in_transaction_session_timeout = '60s'";

/// Error of a batch.
#[derive(Debug, thiserror::Error)]
pub enum BatchError {
    /// Postgres failed, or refused the batch.
    #[error("{}", describe(.0))]
    Postgres(#[from] tokio_postgres::Error),
    /// No session was opened.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// A record or a stored row is invalid.
    #[error("{0}")]
    Invalid(String),
    /// Postgres did not answer in time.
    #[error("Postgres did not answer within {} s", .0.as_secs())]
    Timeout(Duration),
}

impl BatchError {
    /// True if the data itself is at fault, so that Postgres refuses it on every try.
    #[must_use]
    pub fn is_invalid_data(&self) -> bool {
        match self {
            Self::Invalid(_) => true,
            Self::Postgres(error) => error.code().is_some_and(|code| {
                // Data exceptions, broken constraints, rows that are too large, a malformed COPY.
                ["22", "23", "54"]
                    .iter()
                    .any(|class| code.code().starts_with(class))
                    || *code == SqlState::PROTOCOL_VIOLATION
            }),
            Self::Connect(_) | Self::Timeout(_) => false,
        }
    }
}

/// Rust type of a column.
pub trait ColumnType {
    /// Postgres type of an array of it, such as `int4[]`.
    const ARRAY: &'static str;
    /// Type of the column in diesel.
    type Sql;
}

/// Implements [`ColumnType`] for a type.
#[macro_export]
macro_rules! column_type {
    ($type:ty, $array:literal, $sql:ty) => {
        impl $crate::batch::ColumnType for $type {
            const ARRAY: &'static str = $array;
            type Sql = $sql;
        }
    };
}

column_type!(bool, "bool[]", sql_types::Bool);
column_type!(i32, "int4[]", sql_types::Integer);
column_type!(i64, "int8[]", sql_types::BigInt);
column_type!(String, "text[]", sql_types::Text);
column_type!(&str, "text[]", sql_types::Text);
column_type!(Uuid, "uuid[]", sql_types::Uuid);
column_type!(DateTime<Utc>, "timestamptz[]", sql_types::Timestamptz);
column_type!(Value, "jsonb[]", sql_types::Jsonb);
column_type!(Vec<u8>, "bytea[]", sql_types::Binary);

impl<T: ColumnType> ColumnType for Option<T> {
    const ARRAY: &'static str = T::ARRAY;
    type Sql = Nullable<T::Sql>;
}

/// A column of a row type.
#[derive(Debug, Clone, Copy)]
pub struct Column {
    /// Name in the table.
    pub name: &'static str,
    /// Postgres type of its array.
    pub array: &'static str,
}

/// Arrays of a batch, one per column.
pub type Arrays<'a> = Vec<Box<dyn ToSql + Sync + Send + 'a>>;

/// A row that is sent in batches. Implemented by [`crate::row!`].
pub trait Row: Sync {
    /// Columns, in the order of the parameters.
    const COLUMNS: &'static [Column];

    /// Arrays of these rows, one per column.
    fn arrays(rows: &[Self]) -> Arrays<'_>
    where
        Self: Sized;

    /// Column list: `network_id, id`.
    #[must_use]
    fn columns() -> String {
        let names: Vec<_> = Self::COLUMNS.iter().map(|column| column.name).collect();
        names.join(", ")
    }

    /// Column list of a table alias: `c.network_id, c.id`.
    #[must_use]
    fn columns_of(alias: &str) -> String {
        let names = Self::COLUMNS
            .iter()
            .map(|column| format!("{alias}.{}", column.name));
        names.collect::<Vec<_>>().join(", ")
    }

    /// Assignments of an UPDATE from the batch, without the key columns in front: `status = k.status`.
    #[must_use]
    fn assignments(key_columns: usize) -> String {
        let assigned = Self::COLUMNS.iter().skip(key_columns);
        let assignments = assigned.map(|column| format!("{name} = k.{name}", name = column.name));
        assignments.collect::<Vec<_>>().join(", ")
    }

    /// Rows of a batch as a table `k`: `(SELECT unnest($1::int4[]) AS network_id, unnest($2::uuid[]) AS id) AS k`. In a
    /// select list, Postgres reads the arrays side by side; one `unnest` of several arrays after FROM would first copy each
    /// to a store, which costs twice as much with the thirty columns of a postback.
    #[must_use]
    fn unnest() -> String {
        let columns = (1..).zip(Self::COLUMNS);
        let columns =
            columns.map(|(number, Column { name, array })| format!("unnest(${number}::{array}) AS {name}"));
        format!("(SELECT {}) AS k", columns.collect::<Vec<_>>().join(", "))
    }

    /// The same with a last column `position`, which counts the rows of the batch from 1.
    #[must_use]
    fn unnest_with_position() -> String {
        let arrays = (1..)
            .zip(Self::COLUMNS)
            .map(|(number, column)| format!("${number}::{}", column.array));
        let arrays: Vec<_> = arrays.collect();
        let columns = Self::columns();
        format!(
            "unnest({}) WITH ORDINALITY AS k ({columns}, position)",
            arrays.join(", ")
        )
    }

    /// `INSERT INTO table (…) SELECT … FROM (SELECT unnest(…) …)`, to be ended by a conflict clause.
    #[must_use]
    fn insert_into(table: &str) -> String {
        format!(
            "INSERT INTO {table} ({}) SELECT {} FROM {}",
            Self::columns(),
            Self::columns_of("k"),
            Self::unnest()
        )
    }
}

/// A row that is read from Postgres by the appliers. Implemented by [`crate::row!`].
pub trait ReadRow: Sized {
    /// Reads a row that has the columns of the type, in its order, from this position on.
    ///
    /// # Errors
    /// Returns an error if a value is not of its column's type.
    fn read_from(row: &tokio_postgres::Row, first: usize) -> Result<Self, tokio_postgres::Error>;

    /// Reads a row whose first columns are those of the type, in its order.
    ///
    /// # Errors
    /// Returns an error if a value is not of its column's type.
    fn read(row: &tokio_postgres::Row) -> Result<Self, tokio_postgres::Error> {
        Self::read_from(row, 0)
    }
}

/// A row that a page's transaction can store too. Implemented by [`crate::row!`].
pub trait BindRow: Row + Sized {
    /// Binds the arrays of these rows to a statement.
    fn bind<'q>(query: PageStatement<'q>, rows: &[Self]) -> PageStatement<'q>;
}

/// Defines a struct whose fields are columns, with [`Row`] and, as its marker says, [`ReadRow`] (`read`), [`BindRow`] (`bind`)
/// or diesel's `QueryableByName` (`query`).
///
/// ```
/// use schema::batch::Row;
/// schema::row! {
///     /// Key of a conversion.
///     pub struct Key(read, bind) { network_id: schema::NetworkId, unique_key: String }
/// }
/// assert_eq!(Key::unnest(), "(SELECT unnest($1::int4[]) AS network_id, unnest($2::text[]) AS unique_key) AS k");
/// ```
#[macro_export]
macro_rules! row {
    (@struct [$($meta:tt)*] $vis:vis $name:ident [$($life:lifetime)?] {
        $($(#[$field_meta:meta])* $field_vis:vis $field:ident : $type:ty),+ $(,)?
    }) => {
        $($meta)*
        $vis struct $name $(<$life>)? { $($(#[$field_meta])* $field_vis $field: $type),+ }

        impl $(<$life>)? $crate::batch::Row for $name $(<$life>)? {
            const COLUMNS: &'static [$crate::batch::Column] = &[$($crate::batch::Column {
                name: stringify!($field),
                array: <$type as $crate::batch::ColumnType>::ARRAY,
            }),+];

            fn arrays(rows: &[Self]) -> $crate::batch::Arrays<'_> {
                vec![$(Box::new(rows.iter().map(|row| &row.$field).collect::<Vec<_>>())),+]
            }
        }
    };
    (@read $name:ident { $($(#[$field_meta:meta])* $field_vis:vis $field:ident : $type:ty),+ $(,)? }) => {
        impl $crate::batch::ReadRow for $name {
            fn read_from(
                row: &$crate::macro_support::tokio_postgres::Row,
                first: usize,
            ) -> Result<Self, $crate::macro_support::tokio_postgres::Error> {
                let mut columns = first..;
                let mut next = || columns.next().unwrap_or_default();
                Ok(Self { $($field: row.try_get::<usize, $type>(next())?),+ })
            }
        }
    };
    (@bind $name:ident { $($(#[$field_meta:meta])* $field_vis:vis $field:ident : $type:ty),+ $(,)? }) => {
        impl $crate::batch::BindRow for $name {
            fn bind<'q>(
                query: $crate::batch::PageStatement<'q>,
                rows: &[Self],
            ) -> $crate::batch::PageStatement<'q> {
                use $crate::macro_support::diesel::sql_types::Array;
                query$(.bind::<Array<<$type as $crate::batch::ColumnType>::Sql>, _>(
                    rows.iter().map(|row| row.$field.clone()).collect::<Vec<$type>>(),
                ))+
            }
        }
    };
    (@query $name:ident { $($(#[$field_meta:meta])* $field_vis:vis $field:ident : $type:ty),+ $(,)? }) => {
        impl $crate::macro_support::diesel::QueryableByName<$crate::macro_support::diesel::pg::Pg> for $name {
            fn build<'a>(
                row: &impl $crate::macro_support::diesel::row::NamedRow<'a, $crate::macro_support::diesel::pg::Pg>,
            ) -> $crate::macro_support::diesel::deserialize::Result<Self> {
                use $crate::macro_support::diesel::row::NamedRow;
                Ok(Self {
                    $($field: NamedRow::get::<<$type as $crate::batch::ColumnType>::Sql, $type>(
                        row,
                        stringify!($field),
                    )?),+
                })
            }
        }
    };
    (
        $(#[$meta:meta])* $vis:vis struct $name:ident $(<$life:lifetime>)? ($($kind:ident),*) $fields:tt
    ) => {
        $crate::row!(@struct [$(#[$meta])*] $vis $name [$($life)?] $fields);
        $($crate::row!(@$kind $name $fields);)*
    };
}

/// Statement of a page's transaction, to which arrays are bound.
pub type PageStatement<'q> = BoxedSqlQuery<'q, Pg, SqlQuery>;

/// A transaction that stores batches: an applier's or a page's.
pub trait StoreBatch {
    /// Error of the transaction.
    type Error: Send;

    /// Executes a statement with the arrays of these rows; does nothing without rows.
    ///
    /// # Errors
    /// Returns an error if Postgres fails or refuses the batch.
    fn store<R: BindRow>(
        &mut self,
        sql: &'static str,
        rows: &[R],
    ) -> impl Future<Output = Result<(), Self::Error>> + Send;
}

impl StoreBatch for NetworkConn {
    type Error = diesel::result::Error;

    async fn store<R: BindRow>(&mut self, sql: &'static str, rows: &[R]) -> Result<(), Self::Error> {
        if !rows.is_empty() {
            let statement = R::bind(diesel::sql_query(sql).into_boxed::<Pg>(), rows);
            statement.execute(&mut **self).await?;
        }
        Ok(())
    }
}

impl StoreBatch for Tx<'_> {
    type Error = BatchError;

    async fn store<R: BindRow>(&mut self, sql: &'static str, rows: &[R]) -> Result<(), BatchError> {
        self.execute_batch(sql, rows).await?;
        Ok(())
    }
}

/// Statements that a connection has prepared, each at its first use.
#[derive(Default)]
pub struct Prepared(Mutex<HashMap<&'static str, Statement>>);

impl Prepared {
    fn find(&self, sql: &'static str) -> Option<Statement> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(sql).cloned()
    }

    fn insert(&self, sql: &'static str, statement: Statement) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(sql, statement);
    }
}

/// Transaction of an applier, with the statements of its connection.
#[derive(Clone, Copy)]
pub struct Tx<'a> {
    client: &'a Client,
    prepared: &'a Prepared,
}

impl<'a> Tx<'a> {
    /// Wraps the open transaction of a connection, with the statements that the connection has prepared.
    #[must_use]
    pub fn new(client: &'a Client, prepared: &'a Prepared) -> Self {
        Self { client, prepared }
    }

    /// Executes statements without parameters, such as those of savepoints.
    ///
    /// # Errors
    /// Returns an error if Postgres fails.
    pub async fn run(&self, sql: &str) -> Result<(), BatchError> {
        Ok(self.client.batch_execute(sql).await?)
    }

    /// Queries with single parameters.
    ///
    /// # Errors
    /// Returns an error if Postgres fails.
    pub async fn query(
        &self,
        sql: &'static str,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<tokio_postgres::Row>, BatchError> {
        let statement = self.statement(sql).await?;
        Ok(self.client.query(&statement, parameters).await?)
    }

    /// Queries with the arrays of these rows; returns nothing without rows.
    ///
    /// # Errors
    /// Returns an error if Postgres fails or refuses the batch.
    pub async fn query_batch<R: Row>(
        &self,
        sql: &'static str,
        rows: &[R],
    ) -> Result<Vec<tokio_postgres::Row>, BatchError> {
        if rows.is_empty() {
            return Ok(Vec::new());
        }
        let statement = self.statement(sql).await?;
        let arrays = R::arrays(rows);
        Ok(self.client.query(&statement, &parameters(&arrays)).await?)
    }

    /// Executes a statement with the arrays of these rows, if any; returns the number of affected rows.
    ///
    /// # Errors
    /// Returns an error if Postgres fails or refuses the batch.
    pub async fn execute_batch<R: Row>(&self, sql: &'static str, rows: &[R]) -> Result<u64, BatchError> {
        if rows.is_empty() {
            return Ok(0);
        }
        let statement = self.statement(sql).await?;
        let arrays = R::arrays(rows);
        Ok(self.client.execute(&statement, &parameters(&arrays)).await?)
    }

    async fn statement(&self, sql: &'static str) -> Result<Statement, BatchError> {
        if let Some(statement) = self.prepared.find(sql) {
            return Ok(statement);
        }
        let statement = self.client.prepare(sql).await?;
        self.prepared.insert(sql, statement.clone());
        Ok(statement)
    }
}

fn parameters<'a>(arrays: &'a Arrays<'_>) -> Vec<&'a (dyn ToSql + Sync)> {
    arrays
        .iter()
        .map(|array| &**array as &(dyn ToSql + Sync))
        .collect()
}

/// Row of the batch that a result belongs to, by a column `position` of [`Row::unnest_with_position`].
///
/// # Errors
/// Returns an error if the batch has no such row.
pub fn row_of<'r, R>(row: &tokio_postgres::Row, column: usize, rows: &'r [R]) -> Result<&'r R, BatchError> {
    let position: i64 = read(row, column)?;
    let index = usize::try_from(position)
        .ok()
        .and_then(|position| position.checked_sub(1));
    index
        .and_then(|index| rows.get(index))
        .ok_or_else(|| BatchError::Invalid(format!("the batch has no row {position}")))
}

/// Reads a column of a stored row.
///
/// # Errors
/// Returns an error if the value is not of this type.
pub fn read<T: FromSqlOwned>(row: &tokio_postgres::Row, column: usize) -> Result<T, BatchError> {
    Ok(row.try_get(column)?)
}

/// Opens a connection of the role that stores events of all networks.
///
/// # Errors
/// Returns an error if Postgres cannot be reached within 5 s.
pub async fn connect_ingest(url: &str) -> Result<Client, BatchError> {
    let connecting = connect_client(url);
    let (client, connection) = tokio::time::timeout(CONNECT_TIMEOUT, connecting)
        .await
        .map_err(|_| BatchError::Timeout(CONNECT_TIMEOUT))??;
    // Drives the connection until the client is dropped; calls of the client return its errors.
    tokio::spawn(connection);
    client.batch_execute(INGEST_SETTINGS).await?;
    Ok(client)
}

/// A client with its prepared statements, for work beside the appliers.
pub struct IngestClient {
    client: Client,
    prepared: Prepared,
}

impl IngestClient {
    /// Connects as [`connect_ingest`].
    ///
    /// # Errors
    /// Returns an error if Postgres cannot be reached within 5 s.
    pub async fn connect(url: &str) -> Result<Self, BatchError> {
        Ok(Self {
            client: connect_ingest(url).await?,
            prepared: Prepared::default(),
        })
    }

    /// Begins a transaction.
    ///
    /// # Errors
    /// Returns an error if Postgres fails.
    pub async fn begin(&mut self) -> Result<IngestTransaction<'_>, BatchError> {
        Ok(IngestTransaction {
            transaction: self.client.transaction().await?,
            prepared: &self.prepared,
        })
    }
}

/// An open transaction of an [`IngestClient`]; rolled back when dropped.
pub struct IngestTransaction<'a> {
    transaction: Transaction<'a>,
    prepared: &'a Prepared,
}

impl IngestTransaction<'_> {
    /// Handle for the statements of the transaction.
    #[must_use]
    pub fn tx(&self) -> Tx<'_> {
        Tx::new(self.transaction.client(), self.prepared)
    }

    /// Commits.
    ///
    /// # Errors
    /// Returns an error if Postgres does not confirm it.
    pub async fn commit(self) -> Result<(), BatchError> {
        Ok(self.transaction.commit().await?)
    }

    /// Rolls back.
    ///
    /// # Errors
    /// Returns an error if Postgres does not confirm it.
    pub async fn rollback(self) -> Result<(), BatchError> {
        Ok(self.transaction.rollback().await?)
    }
}
