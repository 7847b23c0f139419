//! From the journals into Postgres, exactly once: the applier.
//!
//! One task per journal reads it in order. Each batch is one transaction that moves the journal's cursor from where it
//! was to behind the batch, and stores what is in it: if the cursor is not where it should be, nothing happens, and if
//! the transaction fails, it is tried again from the cursor. A record that Postgres will not take is put aside
//! ([`session::Session::put_aside`]) so that all others go on.

mod clicks;
mod deciding;
mod postbacks;
mod replaying;
#[cfg(feature = "sabotage")]
mod sabotage;
mod session;
mod upkeep;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use journal::{Journal, Reader, Seq};
use schema::NetworkId;
use tokio_postgres::{Client, Transaction};

pub(crate) use clicks::ClickLoad;
pub(crate) use postbacks::{PostbackLoad, sweep};
pub(crate) use replaying::Replaying;
use session::{Session, is_poison};
pub(crate) use upkeep::drop_old_clicks;

/// Bytes in one transaction at most.
const BATCH_BYTES: usize = 8 * 1024 * 1024;
/// How long a batch may take before the connection is given up.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long to wait before Postgres is tried again.
const BACK_OFF: Duration = Duration::from_millis(200);
/// How often the journal is told what it need not keep. In between, Postgres need not wait for its disk.
const RELEASE: Duration = Duration::from_secs(1);

/// Why a batch was not applied.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ApplyError {
    /// Postgres failed.
    #[error("{}", session::words(.0))]
    Postgres(#[from] tokio_postgres::Error),
    /// The configuration could not be had.
    #[error(transparent)]
    Routing(#[from] campaigns::RoutingError),
    /// A record is not what it should be.
    #[error("{0}")]
    Poison(String),
    /// The cursor is not where we left it: somebody else applies this journal, or the database is another one.
    #[error("the journal's cursor was moved by somebody else")]
    CursorMoved,
    /// It took too long.
    #[error("Postgres did not answer within {} s", PATIENCE.as_secs())]
    Slow,
}

/// One record of a journal.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Record<'a> {
    pub(crate) seq: Seq,
    pub(crate) bytes: &'a [u8],
}

/// What is in a journal, and how it is stored.
pub(crate) trait Load: Send + Sync + 'static {
    /// `clicks` or `postbacks`.
    const STREAM: &'static str;
    /// Whether each commit waits for the disk of Postgres. Without it the journal is what survives a crash.
    const SYNCHRONOUS: bool;
    /// The most records worth storing at once.
    const BATCH: usize;
    /// How long records that come one by one are collected before they are stored together.
    const COLLECT: Duration;
    /// Statements, prepared once per connection.
    type Prepared: Send + Sync;
    /// What there is to tell once the transaction is committed.
    type Done: Send;

    /// Whose record it is, as far as it can be told.
    fn network(record: &[u8]) -> Option<NetworkId>;

    fn prepare(&self, client: &Client) -> impl Future<Output = Result<Self::Prepared, ApplyError>> + Send;

    /// Makes sure of what must exist before the transaction begins.
    fn make_room(
        &self,
        client: &Client,
        records: &[Record<'_>],
    ) -> impl Future<Output = Result<(), ApplyError>> + Send;

    /// Stores the records, all or none.
    fn store(
        &self,
        transaction: &Transaction<'_>,
        prepared: &Self::Prepared,
        records: &[Record<'_>],
    ) -> impl Future<Output = Result<Self::Done, ApplyError>> + Send;

    /// Tells those who wait.
    fn committed(&self, done: Self::Done);
}

/// How the applier of one journal is doing.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    failing: AtomicBool,
    applied: AtomicU64,
}

impl Progress {
    /// Whether the last attempt to reach Postgres failed.
    pub(crate) fn is_failing(&self) -> bool {
        self.failing.load(Ordering::Relaxed)
    }

    /// Number of the first record that is not applied.
    pub(crate) fn applied(&self) -> Seq {
        self.applied.load(Ordering::Acquire)
    }
}

/// Applies a journal for as long as it is open.
pub(crate) struct Applier<L: Load> {
    pub(crate) journal: Journal,
    /// Where it ended when it was opened, until the first session knows.
    pub(crate) opened_at: Mutex<Option<Seq>>,
    pub(crate) url: Arc<str>,
    /// Where this journal lies, for people.
    pub(crate) node: String,
    pub(crate) load: L,
    pub(crate) progress: Arc<Progress>,
}

/// How far the journal was last told that it need not keep its records, and when.
struct Released {
    at: Instant,
    to: Seq,
}

impl<L: Load> Applier<L> {
    /// Applies what is journaled, and goes on until the journal is closed and everything in it is applied.
    pub(crate) async fn run(self) {
        while let Err(error) = self.apply_all(false).await {
            self.note_failure(&error);
            tokio::time::sleep(BACK_OFF).await;
        }
    }

    /// Applies what is journaled now, and returns.
    pub(crate) async fn catch_up(&self) -> Result<(), ApplyError> {
        self.apply_all(true).await
    }

    fn note_failure(&self, error: &ApplyError) {
        let before = self.progress.failing.swap(true, Ordering::Relaxed);
        if before {
            tracing::debug!(stream = L::STREAM, %error, "journal not applied");
        } else {
            tracing::error!(stream = L::STREAM, %error, "journal not applied; trying again until it is");
        }
    }

    async fn apply_all(&self, only_what_is_there: bool) -> Result<(), ApplyError> {
        let opened_at = *self.opened_at.lock().unwrap_or_else(PoisonError::into_inner);
        let mut session = Session::open(&self.load, &self.url, &self.journal, opened_at, &self.node).await?;
        *self.opened_at.lock().unwrap_or_else(PoisonError::into_inner) = None;
        let mut reader = self.journal.reader(session.cursor());
        let mut released = Released {
            at: Instant::now(),
            to: session.cursor(),
        };
        loop {
            if self.progress.failing.swap(false, Ordering::Relaxed) {
                tracing::info!(stream = L::STREAM, "journal is being applied again");
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
                } else if is_last || tokio::time::timeout(RELEASE, more).await.is_err() {
                    session.settle().await?;
                    self.release(&session, &mut released);
                    continue;
                }
                tokio::time::sleep(L::COLLECT).await;
                continue;
            };
            debug_assert_eq!(next, reader.next(), "the cursor follows the reader");
        }
    }

    /// Applies the next batch; none if there is nothing more at present.
    async fn apply_next(
        &self,
        session: &mut Session<L>,
        reader: &mut Reader,
        released: &mut Released,
    ) -> Result<Option<Seq>, ApplyError> {
        let read = reader
            .read(L::BATCH, BATCH_BYTES)
            .map_err(|error| ApplyError::Poison(error.to_string()))?;
        for damage in &read.damage {
            tracing::error!(
                stream = L::STREAM,
                ?damage,
                "the journal is damaged: these records are lost"
            );
            session.note_gap(damage).await?;
        }
        if read.next == session.cursor() {
            return Ok(None);
        }
        let records: Vec<_> = read.iter().map(|(seq, bytes)| Record { seq, bytes }).collect();
        let durably = L::SYNCHRONOUS || released.at.elapsed() >= RELEASE;
        self.apply(session, &records, read.next, durably).await?;
        if durably {
            self.release(session, released);
        }
        Ok(Some(read.next))
    }

    /// Tells the journal what it need not keep: what a commit that waited for the disk of Postgres has covered.
    fn release(&self, session: &Session<L>, released: &mut Released) {
        self.journal.release(session.cursor());
        *released = Released {
            at: Instant::now(),
            to: session.cursor(),
        };
    }

    /// Applies these records in one transaction; if one of them is poison, in as many as it takes to put that one aside.
    async fn apply(
        &self,
        session: &mut Session<L>,
        records: &[Record<'_>],
        next: Seq,
        durably: bool,
    ) -> Result<(), ApplyError> {
        let mut waiting = vec![(records, next)];
        while let Some((records, next)) = waiting.pop() {
            let applying = session.apply(&self.load, records, next, durably);
            let applied = tokio::time::timeout(PATIENCE, applying)
                .await
                .unwrap_or(Err(ApplyError::Slow));
            match (applied, records) {
                (Ok(done), _) => self.load.committed(done),
                (Err(error), [poison]) if is_poison(&error) => {
                    tracing::error!(stream = L::STREAM, seq = poison.seq, %error, "a record was put aside");
                    session.put_aside(*poison, next, &error.to_string()).await?;
                }
                (Err(error), [_, _, ..]) if is_poison(&error) => {
                    let (first, second) = records.split_at(records.len() / 2);
                    let between = second.first().map_or(next, |record| record.seq);
                    waiting.extend([(second, next), (first, between)]);
                }
                (Err(error), _) => return Err(error),
            }
        }
        Ok(())
    }
}
