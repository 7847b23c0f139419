//! Operators, who run the installation. They list networks and their usage, and act inside a network only by
//! impersonating a member, with a reason that both audit logs record.

use chrono::{DateTime, TimeDelta, Utc};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Integer, Timestamptz};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use ipnet::IpNet;
use schema::{AuditId, Db, DbError, NetworkId, PersonId, installation, networks, operator_log, people};

use crate::audit::pattern;
use crate::author::Author;
use crate::memberships::{self, MemberFilter};
use crate::networks::{Network, NetworkStatus};
use crate::one_time::OneTimeToken;

/// Creates the token of the set-up link, if the installation has no operator yet. Replaces an earlier one.
///
/// # Errors
/// Returns an error if the database fails.
pub async fn setup_token(conn: &mut AsyncPgConnection) -> QueryResult<Option<OneTimeToken>> {
    if any(conn).await? {
        return Ok(None);
    }
    let token = OneTimeToken::fresh();
    // Checked again in the update: another node may be creating the first operator at the same time.
    let operators = people::table.filter(people::is_operator).select(people::id);
    diesel::update(installation::table.filter(diesel::dsl::not(diesel::dsl::exists(operators))))
        .set(installation::setup_token_hash.eq(Some(token.hash())))
        .execute(conn)
        .await?;
    Ok(Some(token))
}

async fn any(conn: &mut AsyncPgConnection) -> QueryResult<bool> {
    diesel::select(diesel::dsl::exists(people::table.filter(people::is_operator)))
        .get_result(conn)
        .await
}

/// True if this is the token of the set-up link.
///
/// # Errors
/// Returns an error if the database fails.
pub async fn is_setup_token(conn: &mut AsyncPgConnection, token: &OneTimeToken) -> QueryResult<bool> {
    diesel::select(diesel::dsl::exists(
        installation::table.filter(installation::setup_token_hash.eq(Some(token.hash()))),
    ))
    .get_result(conn)
    .await
}

/// Uses up the set-up token and returns true if it was the right one; it cannot be used twice, even concurrently.
///
/// # Errors
/// Returns an error if the database fails.
pub async fn take_setup_token(conn: &mut AsyncPgConnection, token: &OneTimeToken) -> QueryResult<bool> {
    let taken =
        diesel::update(installation::table.filter(installation::setup_token_hash.eq(Some(token.hash()))))
            .set(installation::setup_token_hash.eq(None::<Vec<u8>>))
            .execute(conn)
            .await?;
    Ok(taken == 1)
}

/// A network in the operators' list.
#[derive(Debug, Clone)]
pub struct Listed {
    /// The network.
    pub network: Network,
    /// Usage of the network.
    pub usage: Usage,
}

/// Usage of a network.
#[derive(Debug, Clone, Copy, Default)]
pub struct Usage {
    /// Staff members and open invitations to staff roles.
    pub seats: i64,
    /// Tracking links.
    pub links: i64,
    /// Clicks of the last 30 days.
    pub clicks: i64,
    /// Conversions of the last 30 days.
    pub conversions: i64,
}

/// Networks, newest first, at most `limit`: those whose name contains `search`, with this status, created before that
/// network. `limit` should be one page, because each network's usage is counted in a transaction of that network.
///
/// # Errors
/// Returns an error if the database fails.
pub async fn list_networks(
    db: &Db,
    search: Option<&str>,
    status: Option<NetworkStatus>,
    before: Option<NetworkId>,
    limit: i64,
    now: DateTime<Utc>,
) -> Result<Vec<Listed>, DbError> {
    let mut conn = db.operator().await?;
    let mut query = Network::query()
        .order((networks::created_at.desc(), networks::id.desc()))
        .limit(limit)
        .into_boxed();
    if let Some(search) = search {
        query = query.filter(networks::name.ilike(format!("%{}%", pattern(search))));
    }
    if let Some(status) = status {
        query = query.filter(networks::status.eq(status));
    }
    if let Some(before) = before {
        let made: Option<DateTime<Utc>> = networks::table
            .find(before)
            .select(networks::created_at)
            .first(&mut *conn)
            .await
            .optional()?;
        if let Some(made) = made {
            query = query.filter(
                networks::created_at
                    .lt(made)
                    .or(networks::created_at.eq(made).and(networks::id.lt(before))),
            );
        }
    }
    let found = query.load(&mut *conn).await?;
    conn.commit().await?;
    let mut listed = Vec::new();
    for network in found {
        let usage = usage(db, network.id, now).await?;
        listed.push(Listed { network, usage });
    }
    Ok(listed)
}

/// Newest networks, at most `limit`.
///
/// # Errors
/// Returns an error if the database fails.
pub async fn newest_networks(db: &Db, limit: i64) -> Result<Vec<Network>, DbError> {
    let mut conn = db.operator().await?;
    let found = Network::query()
        .order((networks::created_at.desc(), networks::id.desc()))
        .limit(limit)
        .load(&mut *conn)
        .await?;
    conn.commit().await?;
    Ok(found)
}

/// A network in the operators' list, by ID.
///
/// # Errors
/// Returns an error if the database fails.
pub async fn find_network(db: &Db, id: NetworkId, now: DateTime<Utc>) -> Result<Option<Listed>, DbError> {
    let mut conn = db.operator().await?;
    let found = Network::query()
        .filter(networks::id.eq(id))
        .first(&mut *conn)
        .await
        .optional()?;
    conn.commit().await?;
    match found {
        Some(network) => Ok(Some(Listed {
            usage: usage(db, network.id, now).await?,
            network,
        })),
        None => Ok(None),
    }
}

async fn usage(db: &Db, network_id: NetworkId, now: DateTime<Utc>) -> Result<Usage, DbError> {
    #[derive(QueryableByName)]
    struct Counted {
        #[diesel(sql_type = BigInt)]
        links: i64,
        #[diesel(sql_type = BigInt)]
        clicks: i64,
        #[diesel(sql_type = BigInt)]
        conversions: i64,
    }
    let mut conn = db.network(network_id).await?;
    let counted: Counted = diesel::sql_query(
        "SELECT (SELECT count(*) FROM tracking_links WHERE network_id = $1) AS links,
                coalesce((SELECT sum(clicks) FROM click_rollups WHERE network_id = $1 AND quarter_hour >= $2), 0)::bigint
                    AS clicks,
                coalesce((SELECT sum(conversions) FROM conversion_rollups WHERE network_id = $1 AND quarter_hour >= $2),
                    0)::bigint AS conversions",
    )
    .bind::<Integer, _>(network_id)
    .bind::<Timestamptz, _>(now - TimeDelta::days(30))
    .get_result(&mut *conn)
    .await?;
    let seats = memberships::seats_taken(&mut conn, now).await?;
    conn.commit().await?;
    Ok(Usage {
        seats,
        links: counted.links,
        clicks: counted.clicks,
        conversions: counted.conversions,
    })
}

/// Members of a network, whom an operator can impersonate; at most 200.
///
/// # Errors
/// Returns an error if the database fails.
pub async fn members(db: &Db, network_id: NetworkId) -> Result<Vec<memberships::Member>, DbError> {
    let mut conn = db.network(network_id).await?;
    let found = memberships::list(&mut conn, &MemberFilter::default(), 200).await?;
    conn.commit().await?;
    Ok(found)
}

/// Records an operator's action in the operator log.
///
/// # Errors
/// Returns an error if the database fails.
pub async fn record(
    conn: &mut AsyncPgConnection,
    author: &Author,
    action: &'static str,
    about: Option<(NetworkId, &str)>,
    detail: &str,
    now: DateTime<Utc>,
) -> QueryResult<()> {
    diesel::insert_into(operator_log::table)
        .values((
            operator_log::id.eq(AuditId::fresh(now)),
            operator_log::at.eq(now),
            operator_log::person_id.eq(author.person_id),
            operator_log::author.eq(&author.name),
            operator_log::remote_ip.eq(author.address),
            operator_log::action.eq(action),
            operator_log::about_network
                .eq(about.map_or_else(String::new, |(id, name)| format!("{id} {name}"))),
            operator_log::detail.eq(detail),
        ))
        .execute(conn)
        .await?;
    Ok(())
}

/// An entry of the operator log.
#[derive(Debug, Clone, HasQuery)]
#[diesel(table_name = operator_log)]
pub struct Entry {
    /// Entry ID.
    pub id: AuditId,
    /// Time of the action.
    pub at: DateTime<Utc>,
    /// Operator; None for the command line.
    pub person_id: Option<PersonId>,
    /// Operator's name.
    pub author: String,
    /// Operator's IP address; None if unknown.
    pub remote_ip: Option<IpNet>,
    /// Action: a kind and a verb, such as `network.set_limits`.
    pub action: String,
    /// ID and name of the network concerned; empty if none.
    pub about_network: String,
    /// Details of the action.
    pub detail: String,
}

/// Entries of the operator log, newest first, at most `limit`; with `before`, only older ones.
///
/// # Errors
/// Returns an error if the database fails.
pub async fn log(
    conn: &mut AsyncPgConnection,
    before: Option<AuditId>,
    limit: i64,
) -> QueryResult<Vec<Entry>> {
    let mut query = Entry::query()
        .order(operator_log::id.desc())
        .limit(limit)
        .into_boxed();
    if let Some(before) = before {
        query = query.filter(operator_log::id.lt(before));
    }
    query.load(conn).await
}
