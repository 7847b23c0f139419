//! Stream of the events of a network, for programs that fetch them: in order, at least once, and none left out.
//!
//! An event has a position in the stream of its network, which the engine counts up when it queues the deliveries of the
//! event ([`conversions::take_new`]): after the commit, so that no event appears behind a reader, and the events of a
//! conversion in their order. A cursor names an event by its position and the time at which it got it, so that a cursor of
//! before a restore from a backup is recognised.

use std::fmt;
use std::str::FromStr;

use campaigns::ClickIds;
use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Integer, Nullable, Text, Timestamptz, Uuid as SqlUuid};
use diesel_async::RunQueryDsl;
use schema::{
    BASE32, NetworkConn, NetworkEventId, conversion_events, destinations, event_consumers, event_streams,
    network_events,
};
use serde_json::Value;

use crate::content::{Content, DeliveryEvent, NetworkFacts};
use crate::facts::{COLUMNS, Facts, JOINS};

/// Beginning of the text form of a cursor.
const PREFIX: &str = "cur_";

/// Place in the stream: behind an event, or at the beginning. Opaque to programs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Cursor {
    position: i64,
    /// Lowest bits of the time at which the event got its position, in microseconds; 0 without the event.
    check: u32,
}

impl Cursor {
    pub(crate) fn position(self) -> i64 {
        self.position
    }

    fn behind(position: i64, queued_at: DateTime<Utc>) -> Self {
        let [.., a, b, c, d] = queued_at.timestamp_micros().to_be_bytes();
        Self {
            position,
            check: u32::from_be_bytes([a, b, c, d]),
        }
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = [&self.position.to_be_bytes()[..], &self.check.to_be_bytes()].concat();
        write!(f, "{PREFIX}{}", BASE32.encode(&bytes))
    }
}

/// Text that is no cursor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("This is no cursor of the events. Send `next` of the previous page, `start`, or nothing.")]
pub struct UnknownCursor;

impl FromStr for Cursor {
    type Err = UnknownCursor;

    fn from_str(text: &str) -> Result<Self, UnknownCursor> {
        let encoded = text.strip_prefix(PREFIX).ok_or(UnknownCursor)?;
        let bytes = BASE32.decode(encoded.as_bytes()).map_err(|_| UnknownCursor)?;
        let bytes: [u8; 12] = bytes.try_into().map_err(|_| UnknownCursor)?;
        let [a, b, c, d, e, f, g, h, check @ ..] = bytes;
        let position = i64::from_be_bytes([a, b, c, d, e, f, g, h]);
        if position < 0 {
            return Err(UnknownCursor);
        }
        Ok(Self {
            position,
            check: u32::from_be_bytes(check),
        })
    }
}

/// Place at which a reader begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Oldest event that is kept.
    Start,
    /// Behind the latest event.
    End,
    /// Behind an event.
    Behind(Cursor),
}

impl FromStr for Place {
    type Err = UnknownCursor;

    fn from_str(text: &str) -> Result<Self, UnknownCursor> {
        match text {
            "start" => Ok(Self::Start),
            "end" => Ok(Self::End),
            cursor => cursor.parse().map(Self::Behind),
        }
    }
}

/// Event of the stream.
#[derive(Debug, Clone)]
pub struct StreamEvent {
    /// Identity of the event, by which a repetition is recognised: its conversion and version, or its ID.
    pub id: String,
    /// Cursor behind the event.
    pub cursor: Cursor,
    content: Content,
}

impl StreamEvent {
    /// Event as in webhooks.
    #[must_use]
    pub fn to_json(&self, click_ids: &ClickIds) -> Value {
        self.content.to_json(click_ids)
    }
}

/// Page of the stream.
#[derive(Debug, Clone)]
pub struct StreamPage {
    /// Events in their order.
    pub events: Vec<StreamEvent>,
    /// Cursor behind the page.
    pub next: Cursor,
    /// True if more events follow at once.
    pub has_more: bool,
}

/// Reason why no page can be read.
#[derive(Debug, thiserror::Error)]
pub enum StreamError {
    /// Network without destinations and consumers, for which no events are stored.
    #[error(
        "No events are stored yet: create an event consumer (PUT /event-consumers/{{name}}) or a destination first. Events \
         from then on are in the stream."
    )]
    NotStored,
    /// Events behind the cursor were removed because of their age.
    #[error(
        "Events behind this cursor are older than 90 days and were removed. Continue with `after=start`, and fetch what is \
         missing from the list of conversions."
    )]
    Expired,
    /// Cursor of another history of the database than the present one.
    #[error(
        "The database was restored from a backup since this cursor. Continue with the cursor of an earlier page, or with \
         `after=start`; events that you know have the same `id`."
    )]
    Restored,
    /// The database failed.
    #[error(transparent)]
    Db(#[from] diesel::result::Error),
}

/// Extent of the stream of a network.
#[derive(Debug, Clone, Copy, Default, HasQuery)]
#[diesel(table_name = event_streams)]
pub(crate) struct Extent {
    pub(crate) position: i64,
    pub(crate) removed: i64,
}

impl Extent {
    pub(crate) async fn of(conn: &mut NetworkConn) -> QueryResult<Self> {
        let network_id = conn.network_id();
        let stored: QueryResult<Self> = Self::query()
            .filter(event_streams::network_id.eq(network_id))
            .first(&mut **conn)
            .await;
        Ok(stored.optional()?.unwrap_or_default())
    }

    /// Refuses a cursor behind which events were removed, or of another history.
    pub(crate) async fn check(&self, conn: &mut NetworkConn, cursor: Cursor) -> Result<(), StreamError> {
        if cursor.position < self.removed {
            return Err(StreamError::Expired);
        }
        let known = cursor_behind(conn, cursor.position).await?;
        if cursor.position > self.position || known.check != 0 && known != cursor {
            return Err(StreamError::Restored);
        }
        Ok(())
    }
}

/// Cursor behind the event at a position, also if the event was removed.
pub(crate) async fn cursor_behind(conn: &mut NetworkConn, position: i64) -> QueryResult<Cursor> {
    let network_id = conn.network_id();
    let of_conversion = conversion_events::table
        .filter(conversion_events::network_id.eq(network_id))
        .filter(conversion_events::position.eq(position))
        .select(conversion_events::queued_at);
    let of_network = network_events::table
        .filter(network_events::network_id.eq(network_id))
        .filter(network_events::position.eq(position))
        .select(network_events::queued_at);
    let mut queued_at: Option<Option<DateTime<Utc>>> = of_conversion.first(&mut **conn).await.optional()?;
    if queued_at.is_none() {
        queued_at = of_network.first(&mut **conn).await.optional()?;
    }
    Ok(match queued_at.flatten() {
        Some(queued_at) => Cursor::behind(position, queued_at),
        None => Cursor { position, check: 0 },
    })
}

/// Columns before those of the content; an event of the stream has no delivery.
const HEAD: &str = "e.position, e.queued_at, '00000000-0000-0000-0000-000000000000'::uuid AS delivery_id";
/// The range of the index; kinds of events are filtered within it.
const RANGE: &str =
    "WHERE e.network_id = $1 AND e.position > $2 AND e.position <= $3 AND ($4 IS NULL OR e.kind = ANY($4))
    ORDER BY e.position LIMIT $5";

#[derive(QueryableByName)]
struct ConversionRow {
    #[diesel(sql_type = BigInt)]
    position: i64,
    #[diesel(sql_type = Timestamptz)]
    queued_at: DateTime<Utc>,
    #[diesel(embed)]
    facts: Facts,
}

#[derive(QueryableByName)]
struct NetworkRow {
    #[diesel(sql_type = BigInt)]
    position: i64,
    #[diesel(sql_type = Timestamptz)]
    queued_at: DateTime<Utc>,
    #[diesel(sql_type = SqlUuid)]
    id: NetworkEventId,
    #[diesel(embed)]
    facts: NetworkFacts,
}

impl From<ConversionRow> for StreamEvent {
    fn from(row: ConversionRow) -> Self {
        Self {
            id: format!("{}.{}", row.facts.conversion_id, row.facts.version),
            cursor: Cursor::behind(row.position, row.queued_at),
            content: Content::Conversion(Box::new(row.facts)),
        }
    }
}

impl From<NetworkRow> for StreamEvent {
    fn from(row: NetworkRow) -> Self {
        Self {
            id: row.id.to_string(),
            cursor: Cursor::behind(row.position, row.queued_at),
            content: Content::Network(row.facts),
        }
    }
}

/// Events behind a position up to another, in their order, at most `limit`.
async fn events_between(
    conn: &mut NetworkConn,
    (after, end): (i64, i64),
    events: Option<&[DeliveryEvent]>,
    limit: i64,
) -> QueryResult<Vec<StreamEvent>> {
    let network_id = conn.network_id();
    let words: Option<Vec<&str>> = events.map(|events| events.iter().map(|event| event.as_str()).collect());
    let query = |sql: String| {
        diesel::sql_query(sql)
            .bind::<Integer, _>(network_id)
            .bind::<BigInt, _>(after)
            .bind::<BigInt, _>(end)
            .bind::<Nullable<Array<Text>>, _>(words.clone())
            .bind::<BigInt, _>(limit)
    };
    let of_conversions: Vec<ConversionRow> = query(format!(
        "SELECT {HEAD}, {COLUMNS} FROM conversion_events e {JOINS} {RANGE}"
    ))
    .load(&mut **conn)
    .await?;
    let of_network: Vec<NetworkRow> = query(format!(
        "SELECT {HEAD}, e.id, e.kind, e.at, e.data FROM network_events e {RANGE}"
    ))
    .load(&mut **conn)
    .await?;
    let mut found: Vec<StreamEvent> = of_conversions
        .into_iter()
        .map(StreamEvent::from)
        .chain(of_network.into_iter().map(StreamEvent::from))
        .collect();
    found.sort_by_key(|event| event.cursor.position);
    found.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    Ok(found)
}

/// Page of at most `limit` events of these kinds; without kinds, of all. An event whose click is not stored yet ends the
/// page, for a minute at most.
///
/// # Errors
/// [`StreamError`]
pub async fn read(
    conn: &mut NetworkConn,
    place: Place,
    events: Option<&[DeliveryEvent]>,
    limit: usize,
) -> Result<StreamPage, StreamError> {
    check_is_stored(conn).await?;
    let extent = Extent::of(conn).await?;
    let after = match place {
        Place::Start => cursor_behind(conn, extent.removed).await?,
        Place::End => cursor_behind(conn, extent.position).await?,
        Place::Behind(cursor) => cursor,
    };
    extent.check(conn, after).await?;
    let rows = i64::try_from(limit).unwrap_or(i64::MAX - 1) + 1;
    let mut found = events_between(conn, (after.position, extent.position), events, rows).await?;
    // Events that the retention removed meanwhile are not passed over silently.
    if after.position < Extent::of(conn).await?.removed {
        return Err(StreamError::Expired);
    }
    let total = found.len();
    let complete = found
        .iter()
        .take_while(|event| !event.content.lacks_click())
        .count();
    found.truncate(complete.min(limit));
    let next = match found.last() {
        Some(last) if found.len() < total => last.cursor,
        None if total > 0 => after,
        _ => cursor_behind(conn, extent.position).await?,
    };
    Ok(StreamPage {
        has_more: complete > limit,
        events: found,
        next,
    })
}

/// Refuses to read a stream that never gets events, because the reader would wait in vain.
async fn check_is_stored(conn: &mut NetworkConn) -> Result<(), StreamError> {
    let network_id = conn.network_id();
    let has_consumer = event_consumers::table.filter(event_consumers::network_id.eq(network_id));
    let has_destination = destinations::table.filter(destinations::network_id.eq(network_id));
    let is_stored: bool =
        diesel::select(diesel::dsl::exists(has_consumer).or(diesel::dsl::exists(has_destination)))
            .get_result(&mut **conn)
            .await?;
    if is_stored {
        Ok(())
    } else {
        Err(StreamError::NotStored)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_survives_its_text() {
        let now = DateTime::from_timestamp_micros(1_793_000_000_123_456).unwrap();
        for cursor in [
            Cursor::default(),
            Cursor::behind(7, now),
            Cursor::behind(i64::MAX, now),
        ] {
            assert_eq!(cursor.to_string().parse(), Ok(cursor));
            assert_eq!(cursor.to_string().parse(), Ok(Place::Behind(cursor)));
        }
        let negative = Cursor {
            position: -1,
            check: 0,
        }
        .to_string();
        for odd in [
            "",
            "cur_",
            "7",
            "cur_0",
            negative.as_str(),
            "cur_00000000000000000001",
        ] {
            assert_eq!(odd.parse::<Cursor>(), Err(UnknownCursor), "{odd}");
        }
        assert_eq!("start".parse(), Ok(Place::Start));
    }
}
