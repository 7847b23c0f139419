//! The log of deliveries, and sending again: one, those that were given up, or those of a period.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{Integer, Uuid as SqlUuid};
use diesel_async::RunQueryDsl;
use schema::{
    AffiliateId, ConversionId, DeliveryId, DestinationId, NetworkConn, affiliates, changes, deliveries,
    delivery_attempts, destinations, text_enum,
};
use tenancy::audit::{self, Change};
use tenancy::{Author, ChangeError, Scope};

use crate::content::DeliveryEvent;
use crate::destinations::{self as destination_table, Destination};

/// Most conversions of a period that is sent again.
const MAX_BACKFILL: i64 = 100_000;

text_enum! {
    /// State of a delivery.
    pub enum DeliveryState {
        /// An attempt follows, or runs.
        Waiting = "waiting",
        /// The receiver answered 2xx.
        Delivered = "delivered",
        /// The last attempt failed.
        GivenUp = "given_up",
    }
}

/// A delivery as stored.
#[derive(Debug, Clone, PartialEq, Eq, HasQuery)]
#[diesel(table_name = deliveries)]
pub struct StoredDelivery {
    /// The delivery.
    pub id: DeliveryId,
    /// Destination.
    pub destination_id: DestinationId,
    /// Conversion; `None` for an event of the network.
    pub conversion_id: Option<ConversionId>,
    /// Version of the conversion after the event; 0 for an event of the network.
    pub version: i32,
    /// Event.
    pub event: DeliveryEvent,
    /// Time at which it was queued.
    pub queued_at: DateTime<Utc>,
    /// State.
    pub state: DeliveryState,
    /// Number of attempts.
    pub attempts: i32,
    /// Time of the next attempt, if it waits.
    pub next_at: DateTime<Utc>,
    /// Time at which it was delivered or given up.
    pub finished_at: Option<DateTime<Utc>>,
    /// HTTP status of the last answer.
    pub code: Option<i32>,
    /// Reason why the last attempt failed.
    pub problem: Option<String>,
}

/// A delivery with the name of its destination.
#[derive(Debug, Clone)]
pub struct Listed {
    /// The delivery.
    pub delivery: StoredDelivery,
    /// Name of the destination.
    pub destination: String,
}

/// An attempt as stored.
#[derive(Debug, Clone, PartialEq, Eq, HasQuery)]
#[diesel(table_name = delivery_attempts)]
pub struct StoredAttempt {
    /// Number, from 1.
    pub number: i32,
    /// Time at which it ended.
    pub at: DateTime<Utc>,
    /// HTTP method.
    pub method: String,
    /// URL that was called, without secrets.
    pub url: String,
    /// HTTP status of the answer.
    pub code: Option<i32>,
    /// Reason why it failed.
    pub problem: Option<String>,
    /// Duration in milliseconds.
    pub duration_ms: i32,
    /// First 2 KiB of the answer.
    pub answer: String,
}

/// Filter of the log; `None` matches all.
#[derive(Debug, Clone, Copy, Default)]
pub struct DeliveryFilter {
    /// Rows that the user may see.
    pub scope: Scope,
    /// Destination.
    pub destination_id: Option<DestinationId>,
    /// State.
    pub state: Option<DeliveryState>,
    /// Kind of event.
    pub event: Option<DeliveryEvent>,
    /// Conversion.
    pub conversion_id: Option<ConversionId>,
    /// Only deliveries queued before this one.
    pub before: Option<DeliveryId>,
}

/// Deliveries that match the filter, newest first, at most `limit`.
///
/// # Errors
/// Database errors.
pub async fn list(conn: &mut NetworkConn, filter: &DeliveryFilter, limit: i64) -> QueryResult<Vec<Listed>> {
    if filter.scope.advertiser.is_some() {
        return Ok(Vec::new());
    }
    let network_id = conn.network_id();
    let affiliate = affiliates::network_id
        .eq(destinations::network_id)
        .and(affiliates::id.nullable().eq(destinations::affiliate_id));
    let destination = destinations::network_id
        .eq(deliveries::network_id)
        .and(destinations::id.eq(deliveries::destination_id));
    let mut query = deliveries::table
        .inner_join(destinations::table.on(destination))
        .left_join(affiliates::table.on(affiliate))
        .filter(deliveries::network_id.eq(network_id))
        .order(deliveries::id.desc())
        .limit(limit)
        .select((StoredDelivery::as_select(), destinations::name))
        .into_boxed();
    if let Some(own) = filter.scope.affiliate {
        query = query.filter(destinations::affiliate_id.eq(own));
    }
    if let Some(manager) = filter.scope.manager {
        query = query.filter(affiliates::manager_id.eq(manager));
    }
    if let Some(id) = filter.destination_id {
        query = query.filter(deliveries::destination_id.eq(id));
    }
    if let Some(state) = filter.state {
        query = query.filter(deliveries::state.eq(state));
    }
    if let Some(event) = filter.event {
        query = query.filter(deliveries::event.eq(event));
    }
    if let Some(id) = filter.conversion_id {
        query = query.filter(deliveries::conversion_id.eq(Some(id)));
    }
    if let Some(id) = filter.before {
        query = query.filter(deliveries::id.lt(id));
    }
    let found: Vec<(StoredDelivery, String)> = query.load(&mut **conn).await?;
    let listed = |(delivery, destination)| Listed {
        delivery,
        destination,
    };
    Ok(found.into_iter().map(listed).collect())
}

/// The delivery with this id, if its destination is in scope.
///
/// # Errors
/// Database errors.
pub async fn find(
    conn: &mut NetworkConn,
    scope: Scope,
    id: DeliveryId,
) -> QueryResult<Option<(StoredDelivery, Destination)>> {
    let network_id = conn.network_id();
    let delivery: Option<StoredDelivery> = StoredDelivery::query()
        .filter(deliveries::network_id.eq(network_id))
        .filter(deliveries::id.eq(id))
        .first(&mut **conn)
        .await
        .optional()?;
    let Some(delivery) = delivery else { return Ok(None) };
    let destination = destination_table::find(conn, scope, delivery.destination_id).await?;
    Ok(destination.map(|destination| (delivery, destination)))
}

/// Attempts of a delivery, newest first.
///
/// # Errors
/// Database errors.
pub async fn attempts(conn: &mut NetworkConn, id: DeliveryId) -> QueryResult<Vec<StoredAttempt>> {
    let network_id = conn.network_id();
    StoredAttempt::query()
        .filter(delivery_attempts::network_id.eq(network_id))
        .filter(delivery_attempts::delivery_id.eq(id))
        .order(delivery_attempts::number.desc())
        .limit(100)
        .load(&mut **conn)
        .await
}

/// Sends a delivery again, under the same id, whatever its state.
///
/// # Errors
/// [`ChangeError::NotFound`] if its destination is not in scope; when the database fails.
pub async fn resend(
    conn: &mut NetworkConn,
    author: &Author,
    scope: Scope,
    id: DeliveryId,
    now: DateTime<Utc>,
) -> Result<(), ChangeError> {
    let (_, destination) = find(conn, scope, id).await?.ok_or(ChangeError::NotFound)?;
    let network_id = conn.network_id();
    diesel::update(deliveries::table.find((network_id, id)))
        .set(QueuedAgain::at(now))
        .execute(&mut **conn)
        .await?;
    changes::signal_events(conn).await?;
    let change = Change::noted("delivery.resend", id, &destination.name);
    audit::record(conn, author, change, now).await?;
    Ok(())
}

/// Sends all deliveries of a destination again that were queued since a time and given up. Returns their number.
///
/// # Errors
/// [`ChangeError::NotFound`] if the destination is not in scope; when the database fails.
pub async fn resend_failed(
    conn: &mut NetworkConn,
    author: &Author,
    scope: Scope,
    id: DestinationId,
    since: DateTime<Utc>,
    now: DateTime<Utc>,
) -> Result<usize, ChangeError> {
    let destination = destination_table::find(conn, scope, id)
        .await?
        .ok_or(ChangeError::NotFound)?;
    let network_id = conn.network_id();
    let count = diesel::update(deliveries::table)
        .filter(deliveries::network_id.eq(network_id))
        .filter(deliveries::destination_id.eq(id))
        .filter(deliveries::id.ge(DeliveryId::lowest(since)))
        .filter(deliveries::state.eq(DeliveryState::GivenUp))
        .set(QueuedAgain::at(now))
        .execute(&mut **conn)
        .await?;
    changes::signal_events(conn).await?;
    let change = Change::noted("destination.resend", id, &destination.name);
    audit::record(conn, author, change, now).await?;
    Ok(count)
}

/// Columns of a delivery that is queued again.
#[derive(AsChangeset)]
#[diesel(table_name = deliveries, treat_none_as_null = true)]
struct QueuedAgain {
    state: DeliveryState,
    failures: i32,
    is_retry: bool,
    next_at: DateTime<Utc>,
    finished_at: Option<DateTime<Utc>>,
}

impl QueuedAgain {
    fn at(now: DateTime<Utc>) -> Self {
        Self {
            state: DeliveryState::Waiting,
            failures: 0,
            is_retry: false,
            next_at: now,
            finished_at: None,
        }
    }
}

/// Events that were not stored because the network had no destination: the report, and the present status.
const RECALL: &str = "
    INSERT INTO conversion_events (network_id, conversion_id, version, kind, at, affiliate_id, campaign_id, goal_id,
        link_id, click_id, status, amount_micros, commission_micros, revenue_micros, currency, is_queued)
    SELECT c.network_id, c.id, s.version, s.kind, s.at, c.affiliate_id, c.campaign_id, c.goal_id, c.link_id, c.click_id,
        c.status, c.amount_micros, c.commission_micros, c.revenue_micros, c.currency, true
    FROM conversions c CROSS JOIN LATERAL (
        SELECT 1 AS version, 'created' AS kind, c.converted_at AS at
        UNION ALL
        SELECT c.version, c.status, c.changed_at WHERE c.version > 1 AND c.status <> 'pending' AND NOT EXISTS (
            SELECT FROM conversion_events e
            WHERE e.network_id = c.network_id AND e.conversion_id = c.id AND e.version > 1)) s
    WHERE c.network_id = $1 AND c.id >= $2 AND c.id < $3
    ON CONFLICT DO NOTHING";
const QUEUE: &str = "
    INSERT INTO deliveries (network_id, destination_id, conversion_id, version, event)
    SELECT e.network_id, s.id, e.conversion_id, e.version, e.kind
    FROM conversion_events e JOIN destinations s ON s.network_id = e.network_id AND s.id = $4
        AND e.kind = ANY(string_to_array(s.events, ','))
        AND (s.affiliate_id IS NULL OR s.affiliate_id = e.affiliate_id)
        AND (s.campaign_id IS NULL OR s.campaign_id = e.campaign_id)
        AND (s.goal_id IS NULL OR s.goal_id = e.goal_id)
    WHERE e.network_id = $1 AND e.conversion_id >= $2 AND e.conversion_id < $3
    ORDER BY e.conversion_id, e.version
    ON CONFLICT (network_id, destination_id, conversion_id, version) DO NOTHING";
const COUNT: &str = "
    SELECT count(*) AS count FROM conversions c WHERE c.network_id = $1 AND c.id >= $2 AND c.id < $3
        AND ($4 IS NULL OR c.affiliate_id = $4)";

#[derive(QueryableByName)]
struct Counted {
    #[diesel(sql_type = diesel::sql_types::BigInt)]
    count: i64,
}

/// Queues the events of all conversions of a period that a destination has not got, also those before it was created.
/// Returns the number of deliveries.
///
/// # Errors
/// [`ChangeError::NotFound`] if the destination is not in scope; [`ChangeError::Limit`] for a period with too many
/// conversions; when the database fails.
pub async fn backfill(
    conn: &mut NetworkConn,
    author: &Author,
    scope: Scope,
    id: DestinationId,
    (from, to): (DateTime<Utc>, DateTime<Utc>),
    now: DateTime<Utc>,
) -> Result<usize, ChangeError> {
    let destination = destination_table::find(conn, scope, id)
        .await?
        .ok_or(ChangeError::NotFound)?;
    let network_id = conn.network_id();
    let (first, end) = (ConversionId::lowest(from), ConversionId::lowest(to));
    let counted: Counted = diesel::sql_query(COUNT)
        .bind::<Integer, _>(network_id)
        .bind::<SqlUuid, _>(first)
        .bind::<SqlUuid, _>(end)
        .bind::<diesel::sql_types::Nullable<Integer>, _>(destination.affiliate_id.map(|AffiliateId(id)| id))
        .get_result(&mut **conn)
        .await?;
    if counted.count > MAX_BACKFILL {
        return Err(ChangeError::Limit(format!(
            "The period has {} conversions; at most {MAX_BACKFILL} are sent at once. Choose a shorter period.",
            counted.count
        )));
    }
    diesel::sql_query(RECALL)
        .bind::<Integer, _>(network_id)
        .bind::<SqlUuid, _>(first)
        .bind::<SqlUuid, _>(end)
        .execute(&mut **conn)
        .await?;
    let queued = diesel::sql_query(QUEUE)
        .bind::<Integer, _>(network_id)
        .bind::<SqlUuid, _>(first)
        .bind::<SqlUuid, _>(end)
        .bind::<Integer, _>(id)
        .execute(&mut **conn)
        .await?;
    changes::signal_events(conn).await?;
    let period = serde_json::json!({ "from": from, "to": to, "deliveries": queued });
    let change = Change::created("destination.backfill", id, &destination.name, period);
    audit::record(conn, author, change, now).await?;
    Ok(queued)
}
