//! Event consumers: programs that fetch the stream, each with the cursor up to which it has acknowledged. The cursor is
//! stored, so that a program which restarts continues where it was.

use std::str::FromStr;

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use schema::{NetworkConn, event_consumers};
use tenancy::audit::{self, Change};
use tenancy::{Author, ChangeError};

use crate::stream::{Cursor, Extent, Place, StreamError, cursor_behind};

/// Maximum number of event consumers of a network.
const MAX_CONSUMERS: i64 = 20;
/// Maximum length of a name.
const MAX_NAME_LENGTH: usize = 64;

/// Name of an event consumer: lower-case letters, digits, dots, underscores and hyphens, with a letter or digit first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsumerName(String);

impl FromStr for ConsumerName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        let is_fit = |byte: u8| is_plain(byte) || matches!(byte, b'.' | b'_' | b'-');
        let begins_well = text.bytes().next().is_some_and(is_plain);
        if begins_well && text.len() <= MAX_NAME_LENGTH && text.bytes().all(is_fit) {
            return Ok(Self(text.to_owned()));
        }
        Err(format!(
            "Choose a name of 1 to {MAX_NAME_LENGTH} lower-case letters, digits, dots, underscores and hyphens, with a letter \
             or digit first."
        ))
    }
}

/// An event consumer as stored.
#[derive(Debug, Clone, PartialEq, Eq, HasQuery)]
#[diesel(table_name = event_consumers)]
struct StoredConsumer {
    name: String,
    position: i64,
    created_at: DateTime<Utc>,
    acknowledged_at: Option<DateTime<Utc>>,
}

/// An event consumer with its place in the stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Consumer {
    /// Name that the program chose.
    pub name: String,
    /// Cursor behind the last acknowledged event.
    pub acknowledged: Cursor,
    /// Number of events behind it.
    pub waiting: i64,
    /// Time of creation.
    pub created_at: DateTime<Utc>,
    /// Time of the last acknowledgement; `None` before the first.
    pub acknowledged_at: Option<DateTime<Utc>>,
}

/// Reason why a consumer is not changed.
#[derive(Debug, thiserror::Error)]
pub enum ConsumerError {
    /// Cursor that cannot be acknowledged.
    #[error(transparent)]
    Stream(#[from] StreamError),
    /// Refused change.
    #[error(transparent)]
    Change(#[from] ChangeError),
}

impl From<diesel::result::Error> for ConsumerError {
    fn from(error: diesel::result::Error) -> Self {
        Self::Change(error.into())
    }
}

/// Event consumers of the network, by name.
///
/// # Errors
/// Database errors.
pub async fn list(conn: &mut NetworkConn) -> QueryResult<Vec<Consumer>> {
    let network_id = conn.network_id();
    let stored: Vec<StoredConsumer> = StoredConsumer::query()
        .filter(event_consumers::network_id.eq(network_id))
        .order(event_consumers::name)
        .load(&mut **conn)
        .await?;
    let mut consumers = Vec::with_capacity(stored.len());
    for consumer in stored {
        consumers.push(placed(conn, consumer).await?);
    }
    Ok(consumers)
}

/// The event consumer with this name.
///
/// # Errors
/// Database errors.
pub async fn find(conn: &mut NetworkConn, name: &ConsumerName) -> QueryResult<Option<Consumer>> {
    let network_id = conn.network_id();
    let stored: Option<StoredConsumer> = StoredConsumer::query()
        .filter(event_consumers::network_id.eq(network_id))
        .filter(event_consumers::name.eq(&name.0))
        .first(&mut **conn)
        .await
        .optional()?;
    match stored {
        Some(stored) => Ok(Some(placed(conn, stored).await?)),
        None => Ok(None),
    }
}

async fn placed(conn: &mut NetworkConn, stored: StoredConsumer) -> QueryResult<Consumer> {
    let extent = Extent::of(conn).await?;
    Ok(Consumer {
        acknowledged: cursor_behind(conn, stored.position).await?,
        waiting: extent.position - stored.position,
        name: stored.name,
        created_at: stored.created_at,
        acknowledged_at: stored.acknowledged_at,
    })
}

/// Creates an event consumer, or moves an existing one to a place: forward as an acknowledgement, or back to fetch events
/// again. Without a place, a new consumer begins behind the latest event, and an existing one stays.
///
/// # Errors
/// [`ConsumerError`]: a cursor behind which events are missing; the maximum number of consumers.
pub async fn put(
    conn: &mut NetworkConn,
    author: &Author,
    name: &ConsumerName,
    place: Option<Place>,
    now: DateTime<Utc>,
) -> Result<Consumer, ConsumerError> {
    let network_id = conn.network_id();
    let known = find(conn, name).await?;
    if known.is_none() {
        check_limit(conn).await?;
    }
    let position = match (place, &known) {
        (None, Some(known)) => known.acknowledged.position(),
        (Some(place), _) => resolved(conn, place).await?,
        (None, None) => resolved(conn, Place::End).await?,
    };
    diesel::insert_into(event_consumers::table)
        .values((
            event_consumers::network_id.eq(network_id),
            event_consumers::name.eq(&name.0),
            event_consumers::position.eq(position),
            event_consumers::created_at.eq(now),
        ))
        .on_conflict((event_consumers::network_id, event_consumers::name))
        .do_update()
        .set((
            event_consumers::position.eq(position),
            event_consumers::acknowledged_at.eq(now),
        ))
        .execute(&mut **conn)
        .await?;
    if known.is_none() {
        let change = Change::created("event_consumer.create", &name.0, &name.0, serde_json::json!({}));
        audit::record(conn, author, change, now).await?;
    }
    let new = find(conn, name).await?.ok_or(ChangeError::NotFound)?;
    Ok(new)
}

/// Position of a place that exists.
async fn resolved(conn: &mut NetworkConn, place: Place) -> Result<i64, StreamError> {
    let extent = Extent::of(conn).await?;
    Ok(match place {
        Place::Start => extent.removed,
        Place::End => extent.position,
        Place::Behind(cursor) => {
            extent.check(conn, cursor).await?;
            cursor.position()
        }
    })
}

async fn check_limit(conn: &mut NetworkConn) -> Result<(), ChangeError> {
    let network_id = conn.network_id();
    let made: i64 = event_consumers::table
        .filter(event_consumers::network_id.eq(network_id))
        .count()
        .get_result(&mut **conn)
        .await?;
    if made >= MAX_CONSUMERS {
        return Err(ChangeError::Limit(format!(
            "The network has {made} event consumers, the maximum. Delete one first."
        )));
    }
    Ok(())
}

/// Removes an event consumer. Returns false if none has this name.
///
/// # Errors
/// Database errors.
pub async fn remove(
    conn: &mut NetworkConn,
    author: &Author,
    name: &ConsumerName,
    now: DateTime<Utc>,
) -> QueryResult<bool> {
    let network_id = conn.network_id();
    let removed = diesel::delete(event_consumers::table.find((network_id, &name.0)))
        .execute(&mut **conn)
        .await?;
    if removed == 0 {
        return Ok(false);
    }
    let change = Change::noted("event_consumer.remove", &name.0, &name.0);
    audit::record(conn, author, change, now).await?;
    Ok(true)
}
