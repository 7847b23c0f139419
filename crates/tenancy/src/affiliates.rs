//! Affiliates: the partners who send visitors.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use schema::{AffiliateId, NetworkConn, affiliates};

/// An affiliate as stored.
#[derive(Debug, Clone, HasQuery)]
#[diesel(table_name = affiliates)]
pub struct Affiliate {
    /// The affiliate.
    pub id: AffiliateId,
    /// As people see it.
    pub name: String,
}

/// Creates an affiliate.
///
/// # Errors
/// When the database fails.
pub async fn create(conn: &mut NetworkConn, name: &str, now: DateTime<Utc>) -> QueryResult<Affiliate> {
    let network_id = conn.network_id();
    diesel::insert_into(affiliates::table)
        .values((
            affiliates::network_id.eq(network_id),
            affiliates::name.eq(name),
            affiliates::created_at.eq(now),
        ))
        .returning(Affiliate::as_select())
        .get_result(&mut **conn)
        .await
}

/// All affiliates of the network, by name.
///
/// # Errors
/// When the database fails.
pub async fn all(conn: &mut NetworkConn) -> QueryResult<Vec<Affiliate>> {
    let network_id = conn.network_id();
    Affiliate::query()
        .filter(affiliates::network_id.eq(network_id))
        .order((affiliates::name, affiliates::id))
        .load(&mut **conn)
        .await
}
