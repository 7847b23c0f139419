//! Journal of verdicts: what the senders of postbacks received, on disk before each response.
//!
//! No applier copies it. When the database is older than the journals, which only a restore brings about, postbacks are
//! decided again, with the verdicts that their senders received beside them. The cursor of this journal moves with that of
//! the postbacks, so only verdicts of postbacks behind it are read.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, PoisonError};

use futures_util::future::join_all;
use journal::{Appender, Journal, Reader, Refused, Seq};
use postbacks::{AnsweredVerdict, Reason, Reply, Verdict};
use schema::PostbackId;
use schema::batch::{BatchError, Tx};
use schema::clock;
use tokio_postgres::Client;
use uuid::Uuid;

use super::error::ApplyError;
use crate::waiting::Waiting;

/// Name of the journal.
pub(crate) const VERDICTS: &str = "verdicts";
/// Records and bytes per read.
const READ_RECORDS: usize = 1000;
const READ_BYTES: usize = 1024 * 1024;

const BEGIN: &str =
    "INSERT INTO ingest_cursors (journal, stream, node, next_seq, moved_at) VALUES ($1, $2, $3, 0, $4)
     ON CONFLICT (journal) DO UPDATE SET node = EXCLUDED.node RETURNING next_seq";
const MOVE: &str = "UPDATE ingest_cursors SET next_seq = $2, moved_at = $3 WHERE journal = $1";

/// Journal of verdicts beside a journal of postbacks.
pub(crate) struct Answers {
    journal: Journal,
    appender: Appender,
    earlier: Mutex<Option<Earlier>>,
}

impl Answers {
    /// Uses a journal; its wake-ups run on the current runtime.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub(crate) fn new(journal: &Journal) -> Self {
        let (appender, wakeups) = journal.appender();
        tokio::spawn(wakeups);
        Self {
            journal: journal.clone(),
            appender,
            earlier: Mutex::default(),
        }
    }

    fn id(&self) -> Uuid {
        Uuid::from_bytes(self.journal.identity())
    }

    /// Finds the verdicts that the database does not know.
    pub(super) async fn resume(&self, client: &Client, node: &str) -> Result<(), ApplyError> {
        let row = client
            .query_one(BEGIN, &[&self.id(), &VERDICTS, &node, &clock::now()])
            .await?;
        let from = Seq::try_from(row.get::<_, i64>(0)).unwrap_or(0);
        let earlier = Earlier {
            reader: self.journal.reader(from),
            end: self.journal.next(),
            queue: VecDeque::new(),
            found: BTreeMap::new(),
        };
        *self.earlier.lock().unwrap_or_else(PoisonError::into_inner) = Some(earlier);
        self.release();
        Ok(())
    }

    /// Verdicts that the senders of these postbacks received, by the number of the postback; they are numbered from `first`
    /// on, and end before `next`.
    pub(super) fn of(&self, first: Seq, next: Seq) -> Result<BTreeMap<Seq, AnsweredVerdict>, BatchError> {
        let mut earlier = self.earlier.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(earlier) = earlier.as_mut() else {
            return Ok(BTreeMap::new());
        };
        let read = earlier.read_to(first, next);
        read.map_err(|error| BatchError::Invalid(error.to_string()))?;
        Ok(earlier
            .found
            .range(..next)
            .map(|(seq, found)| (*seq, found.clone()))
            .collect())
    }

    /// Moves the cursor, in the transaction that decides a batch: the verdicts of the batch are appended behind it.
    pub(super) async fn move_cursor(&self, tx: Tx<'_>) -> Result<(), BatchError> {
        let next = i64::try_from(self.journal.next()).unwrap_or(i64::MAX);
        tx.query(MOVE, &[&self.id(), &next, &clock::now()]).await?;
        Ok(())
    }

    /// Journals the verdicts whose senders wait. A sender whose verdict cannot be journaled is answered that it follows.
    pub(super) async fn record(&self, waiting: &Waiting, replies: &mut [(Seq, PostbackId, Reply)]) {
        // A later read ends at the first verdict of a later batch.
        replies.sort_by_key(|(seq, ..)| *seq);
        let appends = replies.iter().map(|(seq, id, reply)| async {
            let answered = AnsweredVerdict::of(*seq, *id, reply).filter(|_| waiting.has(*id));
            match answered {
                Some(answered) => self.appender.append(|buffer| answered.write(buffer)).await,
                None => Ok(()),
            }
        });
        let appended: Vec<Result<(), Refused>> = join_all(appends).await;
        for ((_, id, reply), appended) in replies.iter_mut().zip(appended) {
            if let Err(refused) = appended {
                tracing::error!(postback = %id, %refused, "verdict not journaled; its sender is answered that it follows");
                *reply = Reply::native(Verdict::of(Reason::Queued));
            }
        }
    }

    /// Lets the journal delete old verdicts: the batch they belong to is committed.
    pub(super) fn release(&self) {
        self.journal.release(self.journal.next());
    }
}

/// Verdicts that were journaled before the applier connected.
struct Earlier {
    reader: Reader,
    /// End of those.
    end: Seq,
    queue: VecDeque<AnsweredVerdict>,
    /// Verdicts of postbacks that are not committed yet.
    found: BTreeMap<Seq, AnsweredVerdict>,
}

impl Earlier {
    /// Reads until the first verdict of a postback at or behind `next`.
    fn read_to(&mut self, first: Seq, next: Seq) -> Result<(), journal::ReadError> {
        self.found = self.found.split_off(&first);
        loop {
            while let Some(answered) = self.queue.pop_front_if(|answered| answered.seq < next) {
                // Of a batch that was decided several times, the last verdict is the one that was sent.
                self.found.insert(answered.seq, answered);
            }
            if !self.queue.is_empty() || self.reader.next() >= self.end {
                return Ok(());
            }
            let read = self.reader.read(READ_RECORDS, READ_BYTES)?;
            if read.is_empty() && read.damage.is_empty() {
                return Ok(());
            }
            for (seq, record) in read.iter() {
                match AnsweredVerdict::read(record) {
                    Ok(answered) => self.queue.push_back(answered),
                    Err(reason) => tracing::error!(seq, reason, "verdict is unreadable"),
                }
            }
        }
    }
}
