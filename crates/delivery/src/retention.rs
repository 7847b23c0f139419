//! Removal of old deliveries and events.

use chrono::{DateTime, TimeDelta, Utc};
use diesel::sql_types::{Integer, Timestamptz, Uuid as SqlUuid};
use diesel_async::RunQueryDsl;
use schema::{Db, DbError, DeliveryId, NetworkId};

/// Time for which finished deliveries, their attempts, and events are kept.
const KEPT: TimeDelta = TimeDelta::days(90);

const REMOVE_DELIVERIES: &str = "
    DELETE FROM deliveries WHERE network_id = $1 AND id IN (
        SELECT id FROM deliveries WHERE network_id = $1 AND id < $2 AND state <> 'waiting' ORDER BY id LIMIT 5000)";
/// An event stays as long as a delivery needs it.
const REMOVE_EVENTS: &str = "
    DELETE FROM conversion_events e USING (
        SELECT conversion_id, version FROM conversion_events
        WHERE network_id = $1 AND at < $2 AND is_queued ORDER BY at LIMIT 5000) old
    WHERE e.network_id = $1 AND e.conversion_id = old.conversion_id AND e.version = old.version
        AND NOT EXISTS (SELECT FROM destinations s JOIN deliveries d
            ON d.network_id = s.network_id AND d.destination_id = s.id
            WHERE s.network_id = $1 AND d.conversion_id = e.conversion_id AND d.version = e.version)";

/// Removes what is older than 90 days, a few thousand rows at a time.
///
/// # Errors
/// Returns an error if the database fails.
pub async fn remove_old(db: &Db, network_id: NetworkId, now: DateTime<Utc>) -> Result<(), DbError> {
    let mut conn = db.network(network_id).await?;
    diesel::sql_query(REMOVE_DELIVERIES)
        .bind::<Integer, _>(network_id)
        .bind::<SqlUuid, _>(DeliveryId::lowest(now - KEPT))
        .execute(&mut *conn)
        .await?;
    diesel::sql_query(REMOVE_EVENTS)
        .bind::<Integer, _>(network_id)
        .bind::<Timestamptz, _>(now - KEPT)
        .execute(&mut *conn)
        .await?;
    conn.commit().await
}
