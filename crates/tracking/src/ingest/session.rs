//! A connection that applies one journal, and the journal's cursor.

use chrono::{DateTime, Utc};
use futures_util::try_join;
use journal::{Damage, Journal, Seq};
use schema::clock;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Statement};
use uuid::Uuid;

use super::{ApplyError, Load, Record};

/// Everything but its role comes from the address. Statements on arrays are planned once: what they do does not
/// depend on how long the arrays are. And always with an index: the first plan may be made when a table is so small
/// that reading all of it is cheaper, and is kept while it grows.
const SETUP: &str = "SET ROLE clickledger_ingest; SET plan_cache_mode = force_generic_plan; SET enable_seqscan = off; \
     SET enable_hashjoin = off; SET enable_mergejoin = off; \
     SET statement_timeout = '50s'; SET lock_timeout = '10s'; SET idle_in_transaction_session_timeout = '60s'";

const MOVE_CURSOR: &str =
    "UPDATE ingest_cursors SET next_seq = $3, moved_at = $4 WHERE journal = $1 AND next_seq = $2";
const PUT_ASIDE: &str = "INSERT INTO quarantine (journal, seq, network_id, put_aside_at, reason, record)
     VALUES ($1, $2, $6, $3, $4, $5) ON CONFLICT DO NOTHING";

/// A connection on which one journal is applied.
pub(super) struct Session<L: Load> {
    client: Client,
    journal: Uuid,
    cursor: Seq,
    move_cursor: Statement,
    prepared: L::Prepared,
}

impl<L: Load> Session<L> {
    /// Connects, and finds out how far the journal has been applied.
    ///
    /// `opened_at` is where the journal ended when this process opened it, for its first session. A cursor beyond that
    /// means that the journal lost its end (an older copy of the disk, say): what is in it from there on came in since,
    /// and is not applied, so the cursor goes back to there.
    pub(super) async fn open(
        load: &L,
        url: &str,
        journal: &Journal,
        opened_at: Option<Seq>,
        node: &str,
    ) -> Result<Self, ApplyError> {
        let client = connect(url).await?;
        let id = Uuid::from_bytes(journal.identity());
        client
            .execute(
                "INSERT INTO ingest_cursors (journal, stream, node, next_seq, moved_at) VALUES ($1, $2, $3, 0, $4)
                 ON CONFLICT (journal) DO UPDATE SET node = EXCLUDED.node",
                &[&id, &L::STREAM, &node, &clock::now()],
            )
            .await?;
        let row = client
            .query_one("SELECT next_seq FROM ingest_cursors WHERE journal = $1", &[&id])
            .await?;
        let mut cursor = Seq::try_from(row.get::<_, i64>(0)).unwrap_or(0);
        if let Some(end) = opened_at.filter(|end| cursor > *end) {
            tracing::error!(stream = L::STREAM, cursor, end, "the journal has lost its end");
            client
                .execute(
                    "UPDATE ingest_cursors SET next_seq = $3, moved_at = $4 WHERE journal = $1 AND next_seq = $2",
                    &[&id, &number(cursor), &number(end), &clock::now()],
                )
                .await?;
            cursor = end;
        }
        // Both statements waited for the disk, and so did everything that was committed before them.
        journal.release(cursor);
        Ok(Self {
            journal: id,
            cursor,
            move_cursor: client.prepare(MOVE_CURSOR).await?,
            prepared: load.prepare(&client).await?,
            client,
        })
    }

    /// Number of the first record that is not applied.
    pub(super) fn cursor(&self) -> Seq {
        self.cursor
    }

    /// Stores records and moves the cursor behind them, in one transaction.
    pub(super) async fn apply(
        &mut self,
        load: &L,
        records: &[Record<'_>],
        next: Seq,
        durably: bool,
    ) -> Result<L::Done, ApplyError> {
        load.make_room(&self.client, records).await?;
        let transaction = self.client.transaction().await?;
        if !(durably || L::SYNCHRONOUS) {
            transaction
                .batch_execute("SET LOCAL synchronous_commit = off")
                .await?;
        }
        let (now, from, to) = (clock::now(), number(self.cursor), number(next));
        let cursor: [&(dyn ToSql + Sync); 4] = [&self.journal, &from, &to, &now];
        #[cfg(feature = "sabotage")]
        let transaction = if super::sabotage::loosens_the_cursor() {
            transaction.execute(&self.move_cursor, &cursor).await?;
            transaction.commit().await?;
            let alone = self.client.transaction().await?;
            let done = load.store(&alone, &self.prepared, records).await?;
            alone.commit().await?;
            self.cursor = next;
            return Ok(done);
        } else {
            transaction
        };
        // The cursor first: it locks out whoever else would apply the same records. Both are sent before either is
        // answered.
        let moving = async {
            let moved = transaction.execute(&self.move_cursor, &cursor).await?;
            (moved == 1).then_some(()).ok_or(ApplyError::CursorMoved)
        };
        let storing = load.store(&transaction, &self.prepared, records);
        let ((), done) = try_join!(moving, storing)?;
        transaction.commit().await?;
        self.cursor = next;
        Ok(done)
    }

    /// Returns when everything that was committed is on the disk of Postgres.
    pub(super) async fn settle(&self) -> Result<(), ApplyError> {
        let (here, now) = (number(self.cursor), clock::now());
        let there = self
            .client
            .execute(&self.move_cursor, &[&self.journal, &here, &here, &now])
            .await?;
        (there == 1).then_some(()).ok_or(ApplyError::CursorMoved)
    }

    /// Puts a record aside that Postgres will not take, and moves the cursor behind it.
    pub(super) async fn put_aside(
        &mut self,
        poison: Record<'_>,
        next: Seq,
        reason: &str,
    ) -> Result<(), ApplyError> {
        let network_id = L::network(poison.bytes).map(|id| id.0);
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
                PUT_ASIDE,
                &[
                    &self.journal,
                    &number(poison.seq),
                    &now,
                    &reason,
                    &poison.bytes,
                    &network_id,
                ],
            )
            .await?;
        transaction.commit().await?;
        self.cursor = next;
        Ok(())
    }

    /// Notes that records of the journal cannot be read.
    pub(super) async fn note_gap(&self, damage: &Damage) -> Result<(), ApplyError> {
        let reason = format!(
            "the journal is damaged: records {} to {} are lost",
            damage.from, damage.to
        );
        let empty: &[u8] = &[];
        self.client
            .execute(
                PUT_ASIDE,
                &[
                    &self.journal,
                    &number(damage.from),
                    &clock::now(),
                    &reason,
                    &empty,
                    &None::<i32>,
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

pub(super) async fn connect(url: &str) -> Result<Client, ApplyError> {
    let connecting = schema::connect_client(url);
    let (client, connection) = tokio::time::timeout(super::BACK_OFF * 25, connecting)
        .await
        .map_err(|_| ApplyError::Slow)??;
    // Drives the connection until the client is dropped; whoever uses the client hears what went wrong.
    tokio::spawn(connection);
    client.batch_execute(SETUP).await?;
    Ok(client)
}

/// Whether it is the record's own fault: data that Postgres does not take, whenever it is tried.
pub(super) fn is_poison(error: &ApplyError) -> bool {
    match error {
        ApplyError::Poison(_) | ApplyError::Routing(campaigns::RoutingError::Destination(_)) => true,
        ApplyError::Postgres(error) => {
            let code = error.code().map(SqlState::code).unwrap_or_default();
            // Data exceptions, broken constraints, rows that are too large, a COPY that is not one.
            ["22", "23", "54"].iter().any(|class| code.starts_with(class))
                || *code == *SqlState::PROTOCOL_VIOLATION.code()
        }
        _ => false,
    }
}

/// What Postgres said, with what it said about it.
pub(super) fn words(error: &tokio_postgres::Error) -> String {
    match error.as_db_error() {
        Some(said) => format!("{} ({})", said.message(), said.code().code()),
        None => {
            let source = std::error::Error::source(error).map(|source| format!(": {source}"));
            format!("{error}{}", source.unwrap_or_default())
        }
    }
}
