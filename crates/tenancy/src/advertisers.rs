//! Advertisers: the brands whose servers send postbacks.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use schema::{AdvertiserId, NetworkConn, advertisers};

/// An advertiser as stored.
#[derive(Debug, Clone, HasQuery)]
#[diesel(table_name = advertisers)]
pub struct Advertiser {
    /// The advertiser.
    pub id: AdvertiserId,
    /// As people see it.
    pub name: String,
}

/// Creates an advertiser.
///
/// # Errors
/// When the database fails.
pub async fn create(conn: &mut NetworkConn, name: &str, now: DateTime<Utc>) -> QueryResult<Advertiser> {
    let network_id = conn.network_id();
    diesel::insert_into(advertisers::table)
        .values((
            advertisers::network_id.eq(network_id),
            advertisers::name.eq(name),
            advertisers::created_at.eq(now),
        ))
        .returning(Advertiser::as_select())
        .get_result(&mut **conn)
        .await
}

/// All advertisers of the network, by name.
///
/// # Errors
/// When the database fails.
pub async fn all(conn: &mut NetworkConn) -> QueryResult<Vec<Advertiser>> {
    let network_id = conn.network_id();
    Advertiser::query()
        .filter(advertisers::network_id.eq(network_id))
        .order((advertisers::name, advertisers::id))
        .load(&mut **conn)
        .await
}
