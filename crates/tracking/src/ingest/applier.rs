//! Applier of one journal: reads it in order, and applies it batch by batch.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use journal::{Journal, Reader, Seq};
use schema::batch::BatchError;
use schema::clock;

use super::error::{ApplyError, BATCH_TIMEOUT};
use super::session::Session;
use super::stream::{Record, Stream};
use crate::counts;

/// Maximum bytes of one transaction.
const BATCH_BYTES: usize = 8 * 1024 * 1024;
/// Pause before a retry.
const BACK_OFF: Duration = Duration::from_millis(200);
/// Interval at which the journal releases applied records. In between, Postgres need not wait for its disk.
const RELEASE_INTERVAL: Duration = Duration::from_secs(1);

/// Progress of the applier of one journal.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    failing: AtomicBool,
    applied: AtomicU64,
    /// Time up to which all records are applied, in microseconds since 1970.
    complete_until: AtomicI64,
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

    /// Time up to which all records of the journal are applied.
    pub(crate) fn complete_until(&self, journal: &Journal) -> DateTime<Utc> {
        let now = clock::now();
        if self.applied() >= journal.next() {
            return now;
        }
        DateTime::from_timestamp_micros(self.complete_until.load(Ordering::Acquire)).unwrap_or(now)
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
            self.log_failure(&error);
            tokio::time::sleep(BACK_OFF).await;
        }
    }

    /// Applies the records that the journal holds now.
    pub(crate) async fn catch_up(&self) -> Result<(), ApplyError> {
        self.apply_all(true).await
    }

    fn log_failure(&self, error: &ApplyError) {
        let before = self.progress.failing.swap(true, Ordering::Relaxed);
        if before {
            tracing::debug!(stream = S::NAME, %error, "journal not applied");
        } else {
            tracing::error!(stream = S::NAME, %error, "journal not applied; retrying");
        }
    }

    async fn apply_all(&self, to_current_end: bool) -> Result<(), ApplyError> {
        let opened_at = *self.opened_at.lock().unwrap_or_else(PoisonError::into_inner);
        let mut session =
            Session::open(&self.stream, &self.url, &self.journal, opened_at, &self.node).await?;
        *self.opened_at.lock().unwrap_or_else(PoisonError::into_inner) = None;
        let mut reader = self.journal.reader(session.cursor());
        let mut released = Released {
            at: Instant::now(),
            to: session.cursor(),
        };
        let mut next_at = Instant::now();
        loop {
            if self.progress.failing.swap(false, Ordering::Relaxed) {
                tracing::info!(stream = S::NAME, "journal is being applied again");
            }
            self.progress.applied.store(session.cursor(), Ordering::Release);
            if next_at > Instant::now() && !to_current_end && !self.journal.is_closed() {
                tokio::time::sleep_until(next_at.into()).await;
            }
            let (began, from) = (Instant::now(), session.cursor());
            let Some(next) = self.apply_next(&mut session, &mut reader, &mut released).await? else {
                let is_last = to_current_end || self.journal.is_closed();
                let more = self.journal.wait_beyond(reader.next());
                if released.to == session.cursor() {
                    if is_last {
                        return Ok(());
                    }
                    more.await;
                } else if is_last || tokio::time::timeout(RELEASE_INTERVAL, more).await.is_err() {
                    session.settle().await?;
                    self.release(&session, &mut released);
                }
                continue;
            };
            debug_assert_eq!(next, reader.next(), "the cursor follows the reader");
            let is_full = next - from >= S::BATCH as u64;
            next_at = if is_full { began } else { began + S::PACE };
        }
    }

    /// Applies the next batch; returns `None` if all records are applied.
    async fn apply_next(
        &self,
        session: &mut Session<S>,
        reader: &mut Reader,
        released: &mut Released,
    ) -> Result<Option<Seq>, ApplyError> {
        // What was written before now is in this batch, if the batch reaches this end.
        let (began, end) = (clock::now(), self.journal.next());
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
        if read.next >= end {
            let began = began.timestamp_micros();
            self.progress.complete_until.store(began, Ordering::Release);
        }
        if durably {
            self.release(session, released);
        }
        Ok(Some(read.next))
    }

    /// Lets the journal delete the applied records; the last commit must have waited for the disk of Postgres.
    fn release(&self, session: &Session<S>, released: &mut Released) {
        self.journal.release(session.cursor());
        *released = Released {
            at: Instant::now(),
            to: session.cursor(),
        };
    }

    /// Applies these records in one transaction; if Postgres refuses one, in as many as it takes to quarantine that
    /// one.
    #[tracing::instrument(
        level = "debug",
        skip_all,
        fields(stream = S::NAME, first = records.first().map(|record| record.seq), records = records.len())
    )]
    async fn apply(
        &self,
        session: &mut Session<S>,
        records: &[Record<'_>],
        next: Seq,
        durably: bool,
    ) -> Result<(), ApplyError> {
        let mut pending = vec![(records, next)];
        while let Some((records, next)) = pending.pop() {
            let began = Instant::now();
            let applying = session.apply(&self.stream, records, next, durably);
            let applied = tokio::time::timeout(BATCH_TIMEOUT, applying)
                .await
                .unwrap_or(Err(ApplyError::Timeout));
            match (applied, records) {
                (Ok(receipts), _) => {
                    counts::applied(S::NAME, records.len(), began.elapsed());
                    self.stream.committed(receipts);
                }
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
