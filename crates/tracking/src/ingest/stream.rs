//! Stream: one kind of journal, and the way its records are stored.

use std::time::Duration;

use journal::Seq;
use schema::NetworkId;
use schema::batch::Prepared;
use tokio_postgres::Client;
use uuid::Uuid;

use super::error::ApplyError;

/// Record of a journal.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Record<'a> {
    pub(crate) seq: Seq,
    pub(crate) bytes: &'a [u8],
}

/// Kind of a journal, and the way its records are stored.
pub(crate) trait Stream: Send + Sync + 'static {
    /// `clicks` or `postbacks`.
    const NAME: &'static str;
    /// True if each commit waits for the disk of Postgres. Otherwise the journal is what survives a crash.
    const SYNCHRONOUS: bool;
    /// Maximum number of records of a batch.
    const BATCH: usize;
    /// Shortest time from the beginning of a transaction to the next, unless its batch was full: fewer transactions cost less.
    const PACE: Duration;
    /// Results that callers wait for, published once the transaction is committed.
    type Receipts: Send;

    /// Network and id of a record's event; `None` if it is unreadable.
    fn identity(record: &[u8]) -> Option<(NetworkId, Uuid)>;

    /// Called for every new connection, with the place of the journal.
    fn connected(&self, client: &Client, node: &str) -> impl Future<Output = Result<(), ApplyError>> + Send;

    /// Creates missing partitions, before the transaction begins.
    fn ensure_partitions(
        &self,
        client: &Client,
        records: &[Record<'_>],
    ) -> impl Future<Output = Result<(), ApplyError>> + Send;

    /// Stores the records in the open transaction of a connection.
    fn store(
        &self,
        client: &Client,
        prepared: &Prepared,
        records: &[Record<'_>],
    ) -> impl Future<Output = Result<Self::Receipts, ApplyError>> + Send;

    /// Puts on disk what callers are to receive, while the transaction is committed.
    fn record_answers(&self, receipts: &mut Self::Receipts) -> impl Future<Output = ()> + Send;

    /// Publishes the results of a committed transaction.
    fn committed(&self, receipts: Self::Receipts);
}
