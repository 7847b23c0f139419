//! Postbacks of a journal: decided in order, many in one transaction.

use std::time::Duration;

use conversions::Event;
use postbacks::{Authenticator, PostbackRecord, Received, Reply, decide_all};
use schema::batch::{BatchError, Prepared, Tx};
use schema::{NetworkId, PostbackId};
use tokio_postgres::{Client, Transaction};
use uuid::Uuid;

use super::error::ApplyError;
use super::stream::{Record, Stream};
use crate::counts;
use crate::waiting::Waiting;

/// Stream of postbacks.
pub(crate) struct PostbackStream {
    pub(crate) authenticator: Authenticator,
    /// Callers who wait for a verdict.
    pub(crate) waiting: Waiting,
}

impl Stream for PostbackStream {
    const NAME: &'static str = "postbacks";
    // A verdict already returned to a caller must survive a crash of Postgres.
    const SYNCHRONOUS: bool = true;
    const BATCH: usize = 500;
    // A caller waits for each; those that arrive meanwhile share the next transaction.
    const COLLECT: Duration = Duration::ZERO;
    type Receipts = (Vec<(PostbackId, Reply)>, Vec<Event>);

    fn identity(record: &[u8]) -> Option<(NetworkId, Uuid)> {
        let record = PostbackRecord::read(record).ok()?;
        Some((record.network, record.id.0))
    }

    async fn ensure_partitions(&self, _: &Client, _: &[Record<'_>]) -> Result<(), ApplyError> {
        Ok(())
    }

    async fn store(
        &self,
        transaction: &Transaction<'_>,
        prepared: &Prepared,
        records: &[Record<'_>],
    ) -> Result<Self::Receipts, ApplyError> {
        let read = |record: &Record<'_>| {
            let record = PostbackRecord::read(record.bytes).map_err(BatchError::Invalid)?;
            Ok(Received::from_journal(record))
        };
        let received = records.iter().map(read).collect::<Result<_, BatchError>>()?;
        let tx = Tx::new(transaction, prepared);
        let (outcomes, events) = decide_all(tx, &self.authenticator, received).await?;
        let replies = outcomes.into_iter().map(|outcome| (outcome.id, outcome.reply));
        Ok((replies.collect(), events))
    }

    fn committed(&self, (replies, events): Self::Receipts) {
        counts::events(&events);
        counts::verdicts(&replies);
        self.waiting.reply(replies);
    }
}
