//! Postbacks whose decision after a restore differs from the verdict that their sender received, until a user settles the
//! difference, or a replay reaches that verdict.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};
use diesel_async::RunQueryDsl;
use schema::{NetworkConn, PostbackId, contradicted_verdicts};
use serde_json::json;
use tenancy::{Author, ChangeError, audit};

/// Condition of an open difference.
macro_rules! open {
    () => {
        "FROM contradicted_verdicts c JOIN postbacks p ON p.network_id = c.network_id AND p.id = c.postback_id
         WHERE c.settled_at IS NULL AND p.reason <> c.answered_reason"
    };
}

/// Number of open differences of all networks, for the connection of an applier.
pub const COUNT_OPEN: &str = concat!("SELECT count(*) ", open!());

const LIST_OPEN: &str = concat!(
    "SELECT p.id AS postback_id, c.answered_reason, p.reason AS decided_reason, count(*) OVER () AS total ",
    open!(),
    " AND c.network_id = current_network() ORDER BY p.id LIMIT $1"
);

const OPEN_OF: &str = concat!(
    "SELECT p.id AS postback_id, c.answered_reason, p.reason AS decided_reason, 1::bigint AS total ",
    open!(),
    " AND c.network_id = current_network() AND c.postback_id = $1"
);

/// Open difference.
#[derive(Debug, Clone, QueryableByName)]
pub struct Contradiction {
    /// Postback.
    #[diesel(sql_type = diesel::sql_types::Uuid)]
    pub postback_id: PostbackId,
    /// Reason code of the verdict that its sender received.
    #[diesel(sql_type = Text)]
    pub answered_reason: String,
    /// Reason code of its verdict now.
    #[diesel(sql_type = Text)]
    pub decided_reason: String,
    /// Number of all open differences of the network.
    #[diesel(sql_type = BigInt)]
    pub total: i64,
}

/// Open differences of the network, the oldest first, at most `limit`.
///
/// # Errors
/// Returns an error if the database fails.
pub async fn open(conn: &mut NetworkConn, limit: i64) -> QueryResult<Vec<Contradiction>> {
    diesel::sql_query(LIST_OPEN)
        .bind::<BigInt, _>(limit)
        .load(&mut **conn)
        .await
}

/// Open difference of a postback, if it has one. The caller has checked that the postback is visible to its user.
///
/// # Errors
/// Returns an error if the database fails.
pub async fn of(conn: &mut NetworkConn, id: PostbackId) -> QueryResult<Option<Contradiction>> {
    diesel::sql_query(OPEN_OF)
        .bind::<diesel::sql_types::Uuid, _>(id)
        .get_result(&mut **conn)
        .await
        .optional()
}

/// Settles a difference: the present verdict is accepted.
///
/// # Errors
/// [`ChangeError::Conflict`] if the postback has no open difference; when the database fails.
pub async fn settle(
    conn: &mut NetworkConn,
    author: &Author,
    id: PostbackId,
    now: DateTime<Utc>,
) -> Result<(), ChangeError> {
    let open = contradicted_verdicts::table
        .find((conn.network_id(), id))
        .filter(contradicted_verdicts::settled_at.is_null());
    let settled: Option<(String, String)> = diesel::update(open)
        .set((
            contradicted_verdicts::settled_at.eq(now),
            contradicted_verdicts::settled_by.eq(&author.name),
        ))
        .returning((
            contradicted_verdicts::answered_reason,
            contradicted_verdicts::decided_reason,
        ))
        .get_result(&mut **conn)
        .await
        .optional()?;
    let (answered, decided) = settled.ok_or_else(|| {
        ChangeError::Conflict(format!(
            "The postback {id} has no open difference between its verdict and the one that its sender received."
        ))
    })?;
    let change = audit::Change::between(
        "postback.settle",
        id,
        &id.to_string(),
        json!({ "verdict": answered }),
        json!({ "verdict": decided }),
    );
    Ok(audit::record(conn, author, change, now).await?)
}
