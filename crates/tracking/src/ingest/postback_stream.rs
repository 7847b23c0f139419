//! Postbacks of a journal: decided in order, many in one transaction.

use std::collections::HashMap;
use std::time::Duration;

use conversions::Event;
use futures_util::try_join;
use journal::Seq;
use postbacks::{Authenticator, PostbackRecord, Received, Reply, decide_all};
use schema::batch::{BatchError, Prepared, Tx};
use schema::{NetworkId, PostbackId};
use tokio_postgres::Client;
use uuid::Uuid;

use super::answers::Answers;
use super::error::ApplyError;
use super::stream::{Record, Stream};
use crate::counts;
use crate::waiting::Waiting;

/// Stream of postbacks.
pub(crate) struct PostbackStream {
    pub(crate) authenticator: Authenticator,
    /// Callers who wait for a verdict.
    pub(crate) waiting: Waiting,
    /// Verdicts that callers received.
    pub(crate) answers: Answers,
}

impl Stream for PostbackStream {
    const NAME: &'static str = "postbacks";
    // A verdict already returned to a caller must survive a crash of Postgres.
    const SYNCHRONOUS: bool = true;
    const BATCH: usize = 500;
    // A caller waits for each; those that arrive meanwhile share the next transaction.
    const PACE: Duration = Duration::ZERO;
    type Receipts = (Vec<(Seq, PostbackId, Reply)>, Vec<Event>);

    fn identity(record: &[u8]) -> Option<(NetworkId, Uuid)> {
        let record = PostbackRecord::read(record).ok()?;
        Some((record.network, record.id.0))
    }

    async fn connected(&self, client: &Client, node: &str) -> Result<(), ApplyError> {
        self.answers.resume(client, node).await
    }

    async fn ensure_partitions(&self, _: &Client, _: &[Record<'_>]) -> Result<(), ApplyError> {
        Ok(())
    }

    async fn store(
        &self,
        client: &Client,
        prepared: &Prepared,
        records: &[Record<'_>],
    ) -> Result<Self::Receipts, ApplyError> {
        let ends = records.first().zip(records.last());
        let (first, next) = ends.map_or((0, 0), |(first, last)| (first.seq, last.seq + 1));
        let mut answered = self.answers.of(first, next)?;
        let mut numbers = HashMap::with_capacity(records.len());
        let mut received = Vec::with_capacity(records.len());
        for Record { seq, bytes } in records {
            let record = PostbackRecord::read(bytes).map_err(BatchError::Invalid)?;
            numbers.insert(record.id, *seq);
            // A journal that lost its end numbers other postbacks anew. A caller who still waits received none: the
            // transaction that decided it before was not committed.
            let answered = answered
                .remove(seq)
                .filter(|answered| answered.postback == record.id && !self.waiting.has(record.id));
            received.push(Received::from_journal(record).answered_with(answered));
        }
        let tx = Tx::new(client, prepared);
        let moving = async { Ok(self.answers.move_cursor(tx).await?) };
        let ((), (outcomes, events)) = try_join!(moving, decide_all(tx, &self.authenticator, received))?;
        let replies = outcomes.into_iter().filter_map(|outcome| {
            let seq = numbers.get(&outcome.id)?;
            Some((*seq, outcome.id, outcome.reply))
        });
        Ok((replies.collect(), events))
    }

    async fn record_answers(&self, (replies, _): &mut Self::Receipts) {
        self.answers.record(&self.waiting, replies).await;
    }

    fn committed(&self, (replies, events): Self::Receipts) {
        counts::events(&events);
        counts::verdicts(replies.iter().map(|(_, id, reply)| (*id, reply)));
        self.answers.release();
        self.waiting
            .reply(replies.into_iter().map(|(_, id, reply)| (id, reply)));
    }
}
