//! Feed of verdicts: postbacks in the order in which their latest verdict became visible. A reader that continues at its
//! position misses no verdict and gets none twice, also beside several nodes, replays and held postbacks.
//!
//! The order is that of the transactions which stored the verdicts. A page ends below the oldest running transaction, so
//! that no verdict can become visible behind it later. One long transaction of the database server delays the feed.

use std::fmt;
use std::str::FromStr;

use diesel::expression::SqlLiteral;
use diesel::prelude::*;
use diesel::sql_types::BigInt;
use diesel_async::RunQueryDsl;
use schema::{NetworkConn, PostbackId, advertisers, postbacks};
use uuid::Uuid;

use crate::stored::{PostbackFilter, StoredPostback, sees_postbacks};

/// Position in the feed, behind a postback. Text form: `transaction.postback`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    transaction: i64,
    postback: Uuid,
}

impl Position {
    /// Position behind everything below this transaction.
    fn below(transaction: i64) -> Self {
        Self {
            transaction: transaction - 1,
            postback: Uuid::max(),
        }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.transaction, self.postback.simple())
    }
}

/// Text that is no position.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a position of the feed")]
pub struct UnknownPosition;

impl FromStr for Position {
    type Err = UnknownPosition;

    fn from_str(text: &str) -> Result<Self, UnknownPosition> {
        let (transaction, postback) = text.split_once('.').ok_or(UnknownPosition)?;
        Ok(Self {
            transaction: transaction.parse().map_err(|_| UnknownPosition)?,
            postback: Uuid::try_parse(postback).map_err(|_| UnknownPosition)?,
        })
    }
}

/// Postback of the feed.
#[derive(Debug, Clone)]
pub struct FeedItem {
    /// Postback with its latest verdict.
    pub postback: StoredPostback,
    /// True if our simulation sent it.
    pub is_simulated: bool,
    /// Name of the advertiser; `None` if the sender is unknown.
    pub advertiser: Option<String>,
}

/// Page of the feed.
#[derive(Debug, Clone)]
pub struct FeedPage {
    /// Postbacks, oldest verdict first.
    pub items: Vec<FeedItem>,
    /// Position behind the page.
    pub next: Position,
    /// True if more postbacks follow at once.
    pub has_more: bool,
}

/// Reason why no page can be read.
#[derive(Debug, thiserror::Error)]
pub enum FeedError {
    /// Position of a later state of the database than the present one: it was restored from a backup.
    #[error("the position is ahead of the database")]
    Ahead,
    /// The database failed.
    #[error(transparent)]
    Db(#[from] diesel::result::Error),
}

/// Page of at most `limit` postbacks behind a position; without one, an empty page at the present end of the feed. Of the
/// filter, scope, status, reason, advertiser, campaign and goal apply.
///
/// # Errors
/// [`FeedError`]
pub async fn read(
    conn: &mut NetworkConn,
    filter: &PostbackFilter,
    after: Option<Position>,
    limit: usize,
) -> Result<FeedPage, FeedError> {
    let end = oldest_running(conn).await?;
    let empty = |next| FeedPage {
        items: Vec::new(),
        next,
        has_more: false,
    };
    let Some(after) = after else {
        return Ok(empty(Position::below(end)));
    };
    if after.transaction >= end {
        return Err(FeedError::Ahead);
    }
    if !sees_postbacks(filter.scope) {
        return Ok(empty(Position::below(end)));
    }
    let rows = i64::try_from(limit).unwrap_or(i64::MAX - 1) + 1;
    let mut found = rows_between(conn, filter, after, end, rows).await?;
    let has_more = found.len() > limit;
    found.truncate(limit);
    let last = found.last().filter(|_| has_more);
    let next = last.map_or(Position::below(end), |(item, transaction)| Position {
        transaction: *transaction,
        postback: item.postback.id.0,
    });
    Ok(FeedPage {
        items: found.into_iter().map(|(item, _)| item).collect(),
        next,
        has_more,
    })
}

/// Identifier of the oldest transaction that may still store something: everything below is visible now or never.
async fn oldest_running(conn: &mut NetworkConn) -> QueryResult<i64> {
    let oldest = diesel::dsl::sql::<BigInt>("pg_snapshot_xmin(pg_current_snapshot())::text::bigint");
    diesel::select(oldest).get_result(&mut **conn).await
}

/// Column that the generated schema leaves out: diesel is built for tables of at most 32 columns.
fn decided_in() -> SqlLiteral<BigInt> {
    diesel::dsl::sql("postbacks.decided_in")
}

async fn rows_between(
    conn: &mut NetworkConn,
    filter: &PostbackFilter,
    after: Position,
    end: i64,
    rows: i64,
) -> QueryResult<Vec<(FeedItem, i64)>> {
    let network_id = conn.network_id();
    let is_later = decided_in()
        .gt(after.transaction)
        .or(postbacks::id.gt(PostbackId(after.postback)));
    let mut query = postbacks::table
        .left_join(
            advertisers::table.on(advertisers::network_id
                .eq(postbacks::network_id)
                .and(postbacks::advertiser_id.eq(advertisers::id.nullable()))),
        )
        .filter(postbacks::network_id.eq(network_id))
        // The range of the index; the rest of the condition decides within the first transaction.
        .filter(decided_in().ge(after.transaction))
        .filter(decided_in().lt(end))
        .filter(is_later)
        .order((decided_in(), postbacks::id))
        .limit(rows)
        .select((
            StoredPostback::as_select(),
            postbacks::is_simulated,
            advertisers::name.nullable(),
            decided_in(),
        ))
        .into_boxed();
    for id in [filter.scope.advertiser, filter.advertiser_id]
        .into_iter()
        .flatten()
    {
        query = query.filter(postbacks::advertiser_id.eq(id));
    }
    if let Some(id) = filter.campaign_id {
        query = query.filter(postbacks::campaign_id.eq(id));
    }
    if let Some(id) = filter.goal_id {
        query = query.filter(postbacks::goal_id.eq(id));
    }
    if let Some(status) = filter.status {
        query = query.filter(postbacks::status.eq(status));
    }
    if let Some(reason) = &filter.reason {
        query = query.filter(postbacks::reason.eq(reason));
    }
    let found: Vec<(StoredPostback, bool, Option<String>, i64)> = query.load(&mut **conn).await?;
    let item = |(postback, is_simulated, advertiser, transaction)| {
        let item = FeedItem {
            postback,
            is_simulated,
            advertiser,
        };
        (item, transaction)
    };
    Ok(found.into_iter().map(item).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_survives_its_text() {
        let position = Position::below(4_000_000_000_000);
        assert_eq!(position.to_string().parse(), Ok(position));
        for odd in ["", "7", "7.", ".7", "x.00000000000000000000000000000000"] {
            assert_eq!(odd.parse::<Position>(), Err(UnknownPosition), "{odd}");
        }
    }

    #[test]
    fn positions_are_ordered_by_transaction_and_then_by_postback() {
        let first = Position {
            transaction: 7,
            postback: Uuid::from_u128(9),
        };
        let second = Position {
            transaction: 7,
            postback: Uuid::from_u128(10),
        };
        assert!(first < second && second < Position::below(8));
    }
}
