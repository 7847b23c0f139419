//! The applier: brings the journals into Postgres, exactly once.
//!
//! One task per journal reads it in order. Each batch is one transaction that moves the journal's cursor behind the batch and
//! stores its records: if the cursor is elsewhere, nothing happens, and if the transaction fails, it is retried from the
//! cursor. A record that Postgres refuses is quarantined ([`session::Session::quarantine`]) so that all others go on.

mod click_stream;
mod postback_stream;
#[cfg(feature = "sabotage")]
mod sabotage;
mod session;
mod sweep;
mod upkeep;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use journal::{Journal, Reader, Seq};
use postbacks::DecideError;
use schema::NetworkId;
use schema::batch::{BatchError, Prepared};
use tokio_postgres::{Client, Transaction};

pub(crate) use click_stream::ClickStream;
pub(crate) use postback_stream::PostbackStream;
use session::Session;
pub(crate) use sweep::sweep;
pub(crate) use upkeep::drop_old_clicks;

/// Maximum bytes of one transaction.
const BATCH_BYTES: usize = 8 * 1024 * 1024;
/// Timeout of a batch; its connection is given up then.
const BATCH_TIMEOUT: Duration = Duration::from_secs(60);
/// Pause before a retry.
const BACK_OFF: Duration = Duration::from_millis(200);
/// Interval at which the journal releases applied records. In between, Postgres need not wait for its disk.
const RELEASE_INTERVAL: Duration = Duration::from_secs(1);

/// Reason why a batch was not applied.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ApplyError {
    /// The records could not be stored or decided.
    #[error(transparent)]
    Decide(#[from] DecideError),
    /// The cursor is not where this process left it: another process applies this journal, or the database is another one.
    #[error("another process moved the cursor of the journal")]
    CursorMoved,
    /// The transaction took too long.
    #[error("Postgres did not answer within {} s", BATCH_TIMEOUT.as_secs())]
    Timeout,
}

impl ApplyError {
    /// True if a record itself is at fault, so that Postgres refuses it on every try.
    fn is_invalid_data(&self) -> bool {
        matches!(self, Self::Decide(error) if error.is_invalid_data())
    }
}

impl From<BatchError> for ApplyError {
    fn from(error: BatchError) -> Self {
        Self::Decide(error.into())
    }
}

impl From<tokio_postgres::Error> for ApplyError {
    fn from(error: tokio_postgres::Error) -> Self {
        BatchError::from(error).into()
    }
}

impl From<campaigns::RoutingError> for ApplyError {
    fn from(error: campaigns::RoutingError) -> Self {
        Self::Decide(error.into())
    }
}

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
    /// Time for which single records are collected into a batch.
    const COLLECT: Duration;
    /// Results that callers wait for, published once the transaction is committed.
    type Receipts: Send;

    /// Network of a record; `None` if it is unreadable.
    fn network(record: &[u8]) -> Option<NetworkId>;

    /// Called for every new connection.
    fn connected(&self) {}

    /// Creates missing partitions, before the transaction begins.
    fn ensure_partitions(
        &self,
        client: &Client,
        records: &[Record<'_>],
    ) -> impl Future<Output = Result<(), ApplyError>> + Send;

    /// Stores the records, all or none.
    fn store(
        &self,
        transaction: &Transaction<'_>,
        prepared: &Prepared,
        records: &[Record<'_>],
    ) -> impl Future<Output = Result<Self::Receipts, ApplyError>> + Send;

    /// Publishes the results of a committed transaction.
    fn committed(&self, receipts: Self::Receipts);
}

/// Progress of the applier of one journal.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    failing: AtomicBool,
    applied: AtomicU64,
}

impl Progress {
    /// True if the last transaction failed.
    pub(crate) fn is_failing(&self) -> bool {
        self.failing.load(Ordering::Relaxed)
    }

    /// Sequence number of the first record that is not applied.
    pub(crate) fn applied(&self) -> Seq {
        self.applied.load(Ordering::Acquire)
    }
}

/// Applies a journal for as long as it is open.
pub(crate) struct Applier<S: Stream> {
    pub(crate) journal: Journal,
    /// End of the journal when it was opened, for the first session.
    pub(crate) opened_at: Mutex<Option<Seq>>,
    pub(crate) url: Arc<str>,
    /// Place of this journal, for operators.
    pub(crate) node: String,
    pub(crate) stream: S,
    pub(crate) progress: Arc<Progress>,
}

/// Last release of the journal's records.
struct Released {
    at: Instant,
    to: Seq,
}

impl<S: Stream> Applier<S> {
    /// Applies the journal until it is closed and all of it is applied.
    pub(crate) async fn run(self) {
        while let Err(error) = self.apply_all(false).await {
            self.note_failure(&error);
            tokio::time::sleep(BACK_OFF).await;
        }
    }

    /// Applies the records that are in the journal now.
    pub(crate) async fn catch_up(&self) -> Result<(), ApplyError> {
        self.apply_all(true).await
    }

    fn note_failure(&self, error: &ApplyError) {
        let before = self.progress.failing.swap(true, Ordering::Relaxed);
        if before {
            tracing::debug!(stream = S::NAME, %error, "journal not applied");
        } else {
            tracing::error!(stream = S::NAME, %error, "journal not applied; retrying");
        }
    }

    async fn apply_all(&self, only_what_is_there: bool) -> Result<(), ApplyError> {
        let opened_at = *self.opened_at.lock().unwrap_or_else(PoisonError::into_inner);
        let mut session =
            Session::open(&self.stream, &self.url, &self.journal, opened_at, &self.node).await?;
        *self.opened_at.lock().unwrap_or_else(PoisonError::into_inner) = None;
        let mut reader = self.journal.reader(session.cursor());
        let mut released = Released {
            at: Instant::now(),
            to: session.cursor(),
        };
        loop {
            if self.progress.failing.swap(false, Ordering::Relaxed) {
                tracing::info!(stream = S::NAME, "journal is being applied again");
            }
            self.progress.applied.store(session.cursor(), Ordering::Release);
            let Some(next) = self.apply_next(&mut session, &mut reader, &mut released).await? else {
                let is_last = only_what_is_there || self.journal.is_closed();
                let more = self.journal.wait_beyond(reader.next());
                if released.to == session.cursor() {
                    if is_last {
                        return Ok(());
                    }
                    more.await;
                } else if is_last || tokio::time::timeout(RELEASE_INTERVAL, more).await.is_err() {
                    session.settle().await?;
                    self.release(&session, &mut released);
                    continue;
                }
                tokio::time::sleep(S::COLLECT).await;
                continue;
            };
            debug_assert_eq!(next, reader.next(), "the cursor follows the reader");
        }
    }

    /// Applies the next batch; returns `None` if all records are applied.
    async fn apply_next(
        &self,
        session: &mut Session<S>,
        reader: &mut Reader,
        released: &mut Released,
    ) -> Result<Option<Seq>, ApplyError> {
        let read = reader
            .read(S::BATCH, BATCH_BYTES)
            .map_err(|error| BatchError::Invalid(error.to_string()))?;
        for damage in &read.damage {
            tracing::error!(
                stream = S::NAME,
                ?damage,
                "the journal is damaged; these records are lost"
            );
            session.quarantine_gap(damage).await?;
        }
        if read.next == session.cursor() {
            return Ok(None);
        }
        let records: Vec<_> = read.iter().map(|(seq, bytes)| Record { seq, bytes }).collect();
        let durably = S::SYNCHRONOUS || released.at.elapsed() >= RELEASE_INTERVAL;
        self.apply(session, &records, read.next, durably).await?;
        if durably {
            self.release(session, released);
        }
        Ok(Some(read.next))
    }

    /// Lets the journal delete records that a commit has covered that waited for the disk of Postgres.
    fn release(&self, session: &Session<S>, released: &mut Released) {
        self.journal.release(session.cursor());
        *released = Released {
            at: Instant::now(),
            to: session.cursor(),
        };
    }

    /// Applies these records in one transaction; if Postgres refuses one, in as many as it takes to quarantine that one.
    async fn apply(
        &self,
        session: &mut Session<S>,
        records: &[Record<'_>],
        next: Seq,
        durably: bool,
    ) -> Result<(), ApplyError> {
        let mut pending = vec![(records, next)];
        while let Some((records, next)) = pending.pop() {
            let applying = session.apply(&self.stream, records, next, durably);
            let applied = tokio::time::timeout(BATCH_TIMEOUT, applying)
                .await
                .unwrap_or(Err(ApplyError::Timeout));
            match (applied, records) {
                (Ok(receipts), _) => self.stream.committed(receipts),
                (Err(error), [record]) if error.is_invalid_data() => {
                    tracing::error!(stream = S::NAME, seq = record.seq, %error, "record quarantined");
                    session.quarantine(*record, next, &error.to_string()).await?;
                }
                (Err(error), [_, _, ..]) if error.is_invalid_data() => {
                    let (first, second) = records.split_at(records.len() / 2);
                    let between = second.first().map_or(next, |record| record.seq);
                    pending.extend([(second, next), (first, between)]);
                }
                (Err(error), _) => return Err(error),
            }
        }
        Ok(())
    }
}
