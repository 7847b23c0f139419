//! Networks: the tenants.

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use schema::{Currency, NetworkConn, NetworkId, networks, tracking_hosts};

/// A network as stored.
#[derive(Debug, Clone, HasQuery)]
#[diesel(table_name = networks)]
pub struct Network {
    /// The network.
    pub id: NetworkId,
    /// As people see it.
    pub name: String,
    /// IANA name of its time zone.
    time_zone: String,
    /// Proposed for new campaigns.
    pub currency: Currency,
}

impl Network {
    /// The zone its days are counted in. A name that this binary's zone data does not know reads as UTC.
    #[must_use]
    pub fn time_zone(&self) -> Tz {
        self.time_zone.parse().unwrap_or(Tz::UTC)
    }
}

/// A network to create.
pub struct NewNetwork<'a> {
    /// As people see it.
    pub name: &'a str,
    /// The zone its days are counted in.
    pub time_zone: Tz,
    /// Proposed for new campaigns.
    pub currency: Currency,
}

/// Creates the network of this transaction, whose id is fresh ([`crate::unscoped::new_network_id`]). It has no members
/// and no tracking host yet; both can be given in the same transaction.
///
/// # Errors
/// When the database fails.
pub async fn create(
    conn: &mut NetworkConn,
    network: &NewNetwork<'_>,
    now: DateTime<Utc>,
) -> QueryResult<Network> {
    let network_id = conn.network_id();
    diesel::insert_into(networks::table)
        .values((
            networks::id.eq(network_id),
            networks::name.eq(network.name),
            networks::time_zone.eq(network.time_zone.name()),
            networks::currency.eq(network.currency),
            networks::created_at.eq(now),
        ))
        .returning(Network::as_select())
        .get_result(&mut **conn)
        .await
}

/// The network of this transaction.
///
/// # Errors
/// When the database fails.
pub async fn current(conn: &mut NetworkConn) -> QueryResult<Network> {
    let network_id = conn.network_id();
    Network::query()
        .filter(networks::id.eq(network_id))
        .first(&mut **conn)
        .await
}

/// The hosts that clicks and postbacks of this network come to, in alphabetical order.
///
/// # Errors
/// When the database fails.
pub async fn tracking_hosts(conn: &mut NetworkConn) -> QueryResult<Vec<String>> {
    let network_id = conn.network_id();
    tracking_hosts::table
        .filter(tracking_hosts::network_id.eq(network_id))
        .order(tracking_hosts::host)
        .select(tracking_hosts::host)
        .load(&mut **conn)
        .await
}

/// Makes these the only hosts of this network. A host that another network has is refused by the database.
///
/// # Errors
/// When the database fails, or a host belongs to another network (a unique violation).
pub async fn set_tracking_hosts(conn: &mut NetworkConn, hosts: &[String]) -> QueryResult<()> {
    let network_id = conn.network_id();
    diesel::delete(tracking_hosts::table.filter(tracking_hosts::network_id.eq(network_id)))
        .execute(&mut **conn)
        .await?;
    let rows: Vec<_> = hosts
        .iter()
        .map(|host| {
            (
                tracking_hosts::host.eq(normal_host(host)),
                tracking_hosts::network_id.eq(network_id),
            )
        })
        .collect();
    diesel::insert_into(tracking_hosts::table)
        .values(rows)
        .execute(&mut **conn)
        .await?;
    Ok(())
}

/// A host as it is stored and compared: lower case, without the dot of a full name and without a default port.
#[must_use]
pub fn normal_host(host: &str) -> String {
    let lower = host.trim().to_lowercase();
    let bare = lower
        .strip_suffix(":443")
        .or_else(|| lower.strip_suffix(":80"))
        .unwrap_or(&lower);
    bare.strip_suffix('.').unwrap_or(bare).to_owned()
}

#[cfg(test)]
mod tests {
    use super::normal_host;

    #[test]
    fn a_host_is_the_same_however_it_is_spelled() {
        for host in [
            "trk.example.com",
            "TRK.example.com",
            "trk.example.com:443",
            "trk.example.com.",
            "trk.example.com.:80",
        ] {
            assert_eq!(normal_host(host), "trk.example.com");
        }
        assert_eq!(normal_host("127.0.0.1:8081"), "127.0.0.1:8081");
    }
}
