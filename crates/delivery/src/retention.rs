//! Removal of old deliveries and events.

use chrono::{DateTime, TimeDelta, Utc};
use diesel::sql_types::{Integer, Uuid as SqlUuid};
use diesel_async::RunQueryDsl;
use schema::{Db, DbError, DeliveryId, NetworkId};
use tenancy::network_events;

/// Time for which finished deliveries, their attempts, and events are kept.
const KEPT: TimeDelta = TimeDelta::days(90);

const REMOVE_DELIVERIES: &str = "
    DELETE FROM deliveries WHERE network_id = $1 AND id IN (
        SELECT id FROM deliveries WHERE network_id = $1 AND id < $2 AND state <> 'waiting' ORDER BY id LIMIT 5000)";

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
    conversions::remove_old_events(&mut conn, now - KEPT).await?;
    network_events::remove_old(&mut conn, now - KEPT).await?;
    conn.commit().await
}
