//! Session of one journal: its connection and its cursor.

use std::marker::PhantomData;

use chrono::{DateTime, Utc};
use futures_util::{join, try_join};
use journal::{Damage, Journal, Seq};
use schema::batch::{Prepared, connect_ingest};
use schema::clock;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Statement};
use uuid::Uuid;

use super::error::ApplyError;
use super::stream::{Record, Stream};

const MOVE_CURSOR: &str =
    "UPDATE ingest_cursors SET next_seq = $3, moved_at = $4 WHERE journal = $1 AND next_seq = $2";
const QUARANTINE: &str =
    "INSERT INTO quarantine (journal, seq, network_id, event_id, quarantined_at, reason, record)
     VALUES ($1, $2, $6, $7, $3, $4, $5) ON CONFLICT DO NOTHING";

/// Connection on which one journal is applied.
pub(super) struct Session<S: Stream> {
    client: Client,
    journal: Uuid,
    cursor: Seq,
    move_cursor: Statement,
    prepared: Prepared,
    stream: PhantomData<S>,
}

impl<S: Stream> Session<S> {
    /// Connects, and reads the cursor of the journal.
    ///
    /// `opened_at` is the end of the journal when this process opened it, for its first session. A cursor beyond that
    /// means that the journal lost its end (an older copy of the disk, say): records from there on are new and not
    /// applied, so the cursor moves back to there.
    pub(super) async fn open(
        stream: &S,
        url: &str,
        journal: &Journal,
        opened_at: Option<Seq>,
        node: &str,
    ) -> Result<Self, ApplyError> {
        let client = connect_ingest(url).await?;
        stream.connected(&client, node).await?;
        let id = Uuid::from_bytes(journal.identity());
        client
            .execute(
                "INSERT INTO ingest_cursors (journal, stream, node, next_seq, moved_at) VALUES ($1, $2, $3, 0, $4)
                 ON CONFLICT (journal) DO UPDATE SET node = EXCLUDED.node",
                &[&id, &S::NAME, &node, &clock::now()],
            )
            .await?;
        let row = client
            .query_one("SELECT next_seq FROM ingest_cursors WHERE journal = $1", &[&id])
            .await?;
        // Not below 0: the cursor starts there and only follows sequence numbers.
        let mut cursor = Seq::try_from(row.get::<_, i64>(0)).unwrap_or(0);
        if let Some(end) = opened_at.filter(|end| cursor > *end) {
            tracing::error!(stream = S::NAME, cursor, end, "the journal has lost its end");
            client
                .execute(
                    "UPDATE ingest_cursors SET next_seq = $3, moved_at = $4 WHERE journal = $1 AND next_seq = $2",
                    &[&id, &number(cursor), &number(end), &clock::now()],
                )
                .await?;
            cursor = end;
        }
        // Both statements waited for the disk, and so did every commit before them.
        journal.release(cursor);
        Ok(Self {
            journal: id,
            cursor,
            move_cursor: client.prepare(MOVE_CURSOR).await?,
            prepared: Prepared::default(),
            client,
            stream: PhantomData,
        })
    }

    /// Sequence number of the first record that is not applied.
    pub(super) fn cursor(&self) -> Seq {
        self.cursor
    }

    /// Stores records and moves the cursor behind them, in one transaction.
    pub(super) async fn apply(
        &mut self,
        stream: &S,
        records: &[Record<'_>],
        next: Seq,
        durably: bool,
    ) -> Result<S::Receipts, ApplyError> {
        let client = &self.client;
        stream.ensure_partitions(client, records).await?;
        let begin = if durably || S::SYNCHRONOUS {
            "BEGIN"
        } else {
            "BEGIN; SET LOCAL synchronous_commit = off"
        };
        let (now, from, to) = (clock::now(), number(self.cursor), number(next));
        let cursor: [&(dyn ToSql + Sync); 4] = [&self.journal, &from, &to, &now];
        #[cfg(feature = "sabotage")]
        if super::sabotage::loosens_the_cursor() {
            client.execute(&self.move_cursor, &cursor).await?;
            client.batch_execute("BEGIN").await?;
            let receipts = stream.store(client, &self.prepared, records).await?;
            client.batch_execute("COMMIT").await?;
            self.cursor = next;
            return Ok(receipts);
        }
        // The cursor first: its lock prevents other processes from applying the same records. All are sent, in this order,
        // before one is answered.
        let beginning = async { Ok(client.batch_execute(begin).await?) };
        let moving = async {
            let moved = client.execute(&self.move_cursor, &cursor).await?;
            (moved == 1).then_some(()).ok_or(ApplyError::CursorMoved)
        };
        let storing = stream.store(client, &self.prepared, records);
        let mut receipts = match try_join!(beginning, moving, storing) {
            Ok(((), (), receipts)) => receipts,
            Err(error) => {
                // After any other error the connection is given up, and with it the transaction.
                if error.is_invalid_data() {
                    client.batch_execute("ROLLBACK").await?;
                }
                return Err(error);
            }
        };
        let (committed, ()) = join!(
            client.batch_execute("COMMIT"),
            stream.record_answers(&mut receipts)
        );
        committed?;
        self.cursor = next;
        Ok(receipts)
    }

    /// Returns once every commit is on the disk of Postgres.
    pub(super) async fn settle(&self) -> Result<(), ApplyError> {
        let (here, now) = (number(self.cursor), clock::now());
        let moved = self
            .client
            .execute(&self.move_cursor, &[&self.journal, &here, &here, &now])
            .await?;
        (moved == 1).then_some(()).ok_or(ApplyError::CursorMoved)
    }

    /// Quarantines a record that Postgres refuses, and moves the cursor behind it.
    pub(super) async fn quarantine(
        &mut self,
        record: Record<'_>,
        next: Seq,
        reason: &str,
    ) -> Result<(), ApplyError> {
        let identity = S::identity(record.bytes);
        let (network_id, event_id) = (identity.map(|(network, _)| network.0), identity.map(|(_, id)| id));
        let transaction = self.client.transaction().await?;
        let now: DateTime<Utc> = clock::now();
        let moved = transaction
            .execute(
                &self.move_cursor,
                &[&self.journal, &number(self.cursor), &number(next), &now],
            )
            .await?;
        if moved != 1 {
            return Err(ApplyError::CursorMoved);
        }
        transaction
            .execute(
                QUARANTINE,
                &[
                    &self.journal,
                    &number(record.seq),
                    &now,
                    &reason,
                    &record.bytes,
                    &network_id,
                    &event_id,
                ],
            )
            .await?;
        transaction.commit().await?;
        self.cursor = next;
        Ok(())
    }

    /// Records in the quarantine that records of the journal are unreadable.
    pub(super) async fn quarantine_gap(&self, damage: &Damage) -> Result<(), ApplyError> {
        let reason = format!(
            "the journal is damaged: records {} to {} are lost",
            damage.from, damage.to
        );
        let empty: &[u8] = &[];
        self.client
            .execute(
                QUARANTINE,
                &[
                    &self.journal,
                    &number(damage.from),
                    &clock::now(),
                    &reason,
                    &empty,
                    &None::<i32>,
                    &None::<Uuid>,
                ],
            )
            .await?;
        Ok(())
    }
}

/// Sequence numbers stay far below 2⁶³.
fn number(seq: Seq) -> i64 {
    i64::try_from(seq).unwrap_or(i64::MAX)
}
