//! Tracking hosts that networks claim: their tokens, their state, and the change of hands once one is proven.
//!
//! Transactions lock the row of `tracking_hosts` before claims of the same host, and several hosts in alphabetical order.

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use schema::{BASE32, NetworkConn, NetworkId, host_claims, text_enum, tracking_hosts};
use serde_json::{Value, json};

use super::addresses::normal_host;
use super::host_proof::{Answers, Challenge, Effect, Holder, Proof, effect};
use crate::audit::{self, Change};
use crate::author::Author;
use crate::error::ChangeError;

/// Error of a host that another network has proven.
const HOST_TAKEN: &str = "One of these hosts belongs to another network.";
/// Attempts to lock the row of a host that other transactions insert and delete meanwhile.
const MAX_ATTEMPTS: u32 = 5;
/// Period after the claim in which an unproven host is checked every few minutes.
const EAGER_PERIOD: TimeDelta = TimeDelta::days(1);
/// Interval of the checks in that period, a little below that of the background work.
const EAGER_INTERVAL: TimeDelta = TimeDelta::minutes(4);
/// Interval of the checks after that period.
const LATER_INTERVAL: TimeDelta = TimeDelta::hours(1);
/// Age at which a lost claim is removed.
const LOST_RETENTION: TimeDelta = TimeDelta::days(30);
/// Maximum number of claims that one round takes; a network has at most twenty hosts.
const MAX_CLAIMS: i64 = 20;
/// Time until a mail about a lost host is tried again.
const NOTICE_INTERVAL: TimeDelta = TimeDelta::minutes(10);

text_enum! {
    /// State of a host that a network has entered.
    pub enum HostState {
        /// Entered, and not proven.
        Claimed = "claimed",
        /// Entered by another network too, which is why only a TXT record proves it.
        Contested = "contested",
        /// Proven by DNS.
        Proven = "proven",
        /// Proven by another network, which has it now.
        Lost = "lost",
    }
}

/// Tracking host that a network has entered.
#[derive(Debug, Clone)]
pub struct ClaimedHost {
    /// Host, with its port unless that is the default.
    pub host: String,
    /// Token of the TXT record.
    pub token: String,
    /// Time at which the network entered the host.
    pub claimed_at: DateTime<Utc>,
    /// State.
    pub state: HostState,
    /// Time and record of the proof; `None` without one.
    pub proven: Option<(DateTime<Utc>, Proof)>,
    /// Time and answers of the last check; `None` before the first.
    pub checked: Option<(DateTime<Utc>, Answers)>,
    /// Time at which another network proved the host; `None` while the claim stands.
    pub lost_at: Option<DateTime<Utc>>,
}

impl ClaimedHost {
    /// Records that prove the host. `own_host` is the installation's own tracking host.
    #[must_use]
    pub fn challenge(&self, own_host: &str) -> Challenge {
        Challenge::new(&self.host, &self.token, own_host)
    }
}

#[derive(HasQuery)]
#[diesel(table_name = host_claims)]
struct ClaimRow {
    host: String,
    token: String,
    claimed_at: DateTime<Utc>,
    checked_at: Option<DateTime<Utc>>,
    answers: Option<Value>,
    lost_at: Option<DateTime<Utc>>,
}

#[derive(HasQuery)]
#[diesel(table_name = tracking_hosts)]
struct HolderRow {
    network_id: NetworkId,
    proven_at: Option<DateTime<Utc>>,
    proof: Option<Proof>,
    contested_at: Option<DateTime<Utc>>,
}

impl HolderRow {
    fn holder(&self) -> Holder {
        Holder {
            network_id: self.network_id,
            proof: self.proof,
            is_contested: self.contested_at.is_some(),
        }
    }
}

impl ClaimedHost {
    fn of(claim: ClaimRow, row: Option<HolderRow>, network_id: NetworkId) -> Self {
        let own = row.as_ref().filter(|row| row.network_id == network_id);
        let proven = own.and_then(|row| row.proven_at.zip(row.proof));
        let is_contested = match (&row, own) {
            (_, Some(own)) => own.contested_at.is_some(),
            (holder, None) => holder.is_some(),
        };
        let state = if claim.lost_at.is_some() {
            HostState::Lost
        } else if proven.is_some() {
            HostState::Proven
        } else if is_contested {
            HostState::Contested
        } else {
            HostState::Claimed
        };
        let answers = claim.answers.and_then(|value| serde_json::from_value(value).ok());
        Self {
            host: claim.host,
            token: claim.token,
            claimed_at: claim.claimed_at,
            state,
            proven,
            checked: claim.checked_at.zip(answers),
            lost_at: claim.lost_at,
        }
    }
}

/// Hosts that the network of this transaction has entered, with those it has lost lately, in alphabetical order.
///
/// # Errors
/// Returns an error if the database fails.
pub async fn claimed_hosts(conn: &mut NetworkConn) -> QueryResult<Vec<ClaimedHost>> {
    let network_id = conn.network_id();
    let rows: Vec<(ClaimRow, Option<HolderRow>)> = host_claims::table
        .left_join(tracking_hosts::table.on(tracking_hosts::host.eq(host_claims::host)))
        .filter(host_claims::network_id.eq(network_id))
        .order(host_claims::host)
        .select((ClaimRow::as_select(), Option::<HolderRow>::as_select()))
        .load(&mut **conn)
        .await?;
    let hosts = rows.into_iter();
    Ok(hosts
        .map(|(claim, row)| ClaimedHost::of(claim, row, network_id))
        .collect())
}

/// Host that the network of this transaction has entered, unless it has lost it.
///
/// # Errors
/// Returns an error if the database fails.
pub async fn claimed_host(conn: &mut NetworkConn, host: &str) -> QueryResult<Option<ClaimedHost>> {
    let found = find(conn, &normal_host(host)).await?;
    Ok(found.filter(|claimed| claimed.lost_at.is_none()))
}

/// Names of the hosts that this network has entered, in alphabetical order.
///
/// # Errors
/// Returns an error if the database fails.
pub async fn tracking_hosts(conn: &mut NetworkConn) -> QueryResult<Vec<String>> {
    let network_id = conn.network_id();
    host_claims::table
        .filter(host_claims::network_id.eq(network_id))
        .filter(host_claims::lost_at.is_null())
        .order(host_claims::host)
        .select(host_claims::host)
        .load(&mut **conn)
        .await
}

/// Replaces the tracking hosts of this network. Hosts that remain keep their tokens and proofs. A host that another network
/// has entered and not proven by TXT can be entered too: the first TXT record decides.
///
/// # Errors
/// [`ChangeError::Fields`] if another network has proven a host by TXT, or when the database fails.
pub async fn set_tracking_hosts(
    conn: &mut NetworkConn,
    hosts: &[String],
    now: DateTime<Utc>,
) -> Result<(), ChangeError> {
    let network_id = conn.network_id();
    let wanted: BTreeSet<String> = hosts.iter().map(|host| normal_host(host)).collect();
    let claimed: BTreeSet<String> = tracking_hosts(conn).await?.into_iter().collect();
    let held: Vec<String> = tracking_hosts::table
        .filter(tracking_hosts::network_id.eq(network_id))
        .select(tracking_hosts::host)
        .load(&mut **conn)
        .await?;
    let known = claimed.union(&wanted).cloned().chain(held);
    for host in known.collect::<BTreeSet<_>>() {
        match (wanted.contains(&host), claimed.contains(&host)) {
            (true, true) => {}
            (true, false) => claim(conn, &host, now).await?,
            (false, _) => release(conn, &host).await?,
        }
    }
    Ok(())
}

/// Claims a host, and holds it unless another network does.
async fn claim(conn: &mut NetworkConn, host: &str, now: DateTime<Utc>) -> Result<(), ChangeError> {
    let network_id = conn.network_id();
    let holder = hold(conn, host).await?.holder();
    if holder.network_id != network_id {
        if holder.proof == Some(Proof::Txt) {
            return Err(ChangeError::field("tracking_hosts", HOST_TAKEN));
        }
        if !holder.is_contested {
            diesel::update(tracking_hosts::table.find(host))
                .set(tracking_hosts::contested_at.eq(now))
                .execute(&mut **conn)
                .await?;
        }
    }
    // A claim that was lost before.
    diesel::delete(host_claims::table.find((network_id, host)))
        .execute(&mut **conn)
        .await?;
    add_claim(conn, host, now).await?;
    Ok(())
}

async fn add_claim(conn: &mut NetworkConn, host: &str, now: DateTime<Utc>) -> QueryResult<()> {
    let network_id = conn.network_id();
    diesel::insert_into(host_claims::table)
        .values((
            host_claims::network_id.eq(network_id),
            host_claims::host.eq(host),
            host_claims::token.eq(BASE32.encode(&rand::random::<[u8; 20]>())),
            host_claims::claimed_at.eq(now),
            host_claims::check_after.eq(now),
        ))
        .on_conflict_do_nothing()
        .execute(&mut **conn)
        .await?;
    Ok(())
}

async fn release(conn: &mut NetworkConn, host: &str) -> QueryResult<()> {
    let network_id = conn.network_id();
    // A check of the host waits until it is released, and the other way round.
    hold(conn, host).await?;
    let_go(conn, host).await?;
    diesel::delete(host_claims::table.find((network_id, host)))
        .execute(&mut **conn)
        .await?;
    Ok(())
}

/// Removes the row of a host that this network holds.
async fn let_go(conn: &mut NetworkConn, host: &str) -> QueryResult<()> {
    let network_id = conn.network_id();
    let row = tracking_hosts::table.find(host);
    diesel::delete(row.filter(tracking_hosts::network_id.eq(network_id)))
        .execute(&mut **conn)
        .await?;
    Ok(())
}

/// Locks the row of a host, and adds it for this network if no network holds the host.
async fn hold(conn: &mut NetworkConn, host: &str) -> QueryResult<HolderRow> {
    let network_id = conn.network_id();
    for _ in 0..MAX_ATTEMPTS {
        diesel::insert_into(tracking_hosts::table)
            .values((
                tracking_hosts::host.eq(host),
                tracking_hosts::network_id.eq(network_id),
            ))
            .on_conflict(tracking_hosts::host)
            .do_nothing()
            .execute(&mut **conn)
            .await?;
        let found = HolderRow::query()
            .filter(tracking_hosts::host.eq(host))
            .for_update()
            .first(&mut **conn)
            .await
            .optional()?;
        if let Some(row) = found {
            return Ok(row);
        }
    }
    Err(diesel::result::Error::NotFound)
}

/// Applies a check to a host: stores the answers, and if they prove it, gives the host to this network. Returns the host as
/// it is then, or `None` if the network has removed it meanwhile.
///
/// All of it is one transaction: the row of the host is locked, so of two networks that prove it at a time, the second finds
/// the proof of the first.
///
/// # Errors
/// Returns an error if the database fails.
#[tracing::instrument(skip_all, fields(network = %conn.network_id(), host = %checked.host))]
pub async fn apply_check(
    conn: &mut NetworkConn,
    author: &Author,
    checked: &ClaimedHost,
    own_host: &str,
    answers: &Answers,
    now: DateTime<Utc>,
) -> QueryResult<Option<ClaimedHost>> {
    let network_id = conn.network_id();
    let host = checked.host.as_str();
    let holder = hold(conn, host).await?.holder();
    // During the check the network may have removed the host, or lost it, or entered it again with another token.
    let standing: Option<(String, Option<DateTime<Utc>>)> = host_claims::table
        .find((network_id, host))
        .select((host_claims::token, host_claims::lost_at))
        .first(&mut **conn)
        .await
        .optional()?;
    match standing {
        Some((token, None)) if token == checked.token => {}
        Some((_, None)) => return Ok(None),
        None => {
            let_go(conn, host).await?;
            return Ok(None);
        }
        Some((_, Some(_))) => {
            let_go(conn, host).await?;
            return find(conn, host).await;
        }
    }
    let stored = serde_json::to_value(answers).unwrap_or_default();
    diesel::update(host_claims::table.find((network_id, host)))
        .set((host_claims::checked_at.eq(now), host_claims::answers.eq(stored)))
        .execute(&mut **conn)
        .await?;
    let found = checked.challenge(own_host).proof(answers);
    match effect(network_id, holder, found) {
        Effect::Unchanged => {}
        Effect::Proven(proof) => prove(conn, author, host, proof, now).await?,
        Effect::TakenOver(loser) => {
            conn.within(loser, async |conn| lose(conn, host, now).await)
                .await?;
            prove(conn, author, host, Proof::Txt, now).await?;
        }
        Effect::Lost => lose(conn, host, now).await?,
    }
    find(conn, host).await
}

async fn find(conn: &mut NetworkConn, host: &str) -> QueryResult<Option<ClaimedHost>> {
    let mut hosts = claimed_hosts(conn).await?.into_iter();
    Ok(hosts.find(|claimed| claimed.host == host))
}

/// Gives a host to this network, with its proof.
async fn prove(
    conn: &mut NetworkConn,
    author: &Author,
    host: &str,
    proof: Proof,
    now: DateTime<Utc>,
) -> QueryResult<()> {
    let network_id = conn.network_id();
    diesel::update(tracking_hosts::table.find(host))
        .set((
            tracking_hosts::network_id.eq(network_id),
            tracking_hosts::proven_at.eq(now),
            tracking_hosts::proof.eq(proof),
        ))
        .execute(&mut **conn)
        .await?;
    let after = json!({ "host": host, "proof": proof.as_str() });
    let change = Change::created("network.prove_host", network_id, host, after);
    audit::record(conn, author, change, now).await
}

/// Ends the claim of this network: another network has proven the host. The claim stays for the notice.
async fn lose(conn: &mut NetworkConn, host: &str, now: DateTime<Utc>) -> QueryResult<()> {
    let network_id = conn.network_id();
    diesel::update(host_claims::table.find((network_id, host)))
        .set((host_claims::lost_at.eq(now), host_claims::check_after.eq(now)))
        .execute(&mut **conn)
        .await?;
    let before = json!({ "host": host });
    let change = Change::between("network.lose_host", network_id, host, before, json!({}));
    audit::record(conn, &Author::system(), change, now).await
}

/// Hosts of this network whose check in the background is due; postpones their next check, so that one node does it.
///
/// # Errors
/// Returns an error if the database fails.
pub async fn due_checks(conn: &mut NetworkConn, now: DateTime<Utc>) -> QueryResult<Vec<ClaimedHost>> {
    adopt(conn, now).await?;
    let due = due(conn, false, now).await?;
    let hosts = claimed_hosts(conn).await?.into_iter();
    let mut unproven = Vec::new();
    for claimed in hosts.filter(|claimed| due.contains(&claimed.host)) {
        let next = now + interval(now - claimed.claimed_at);
        postpone(conn, &claimed.host, next).await?;
        if claimed.proven.is_none() {
            unproven.push(claimed);
        }
    }
    Ok(unproven)
}

/// Time until the next check of a host that was claimed this long ago.
fn interval(age: TimeDelta) -> TimeDelta {
    if age < EAGER_PERIOD {
        EAGER_INTERVAL
    } else {
        LATER_INTERVAL
    }
}

/// Adds the claims of hosts that a node of the release before this table has entered.
async fn adopt(conn: &mut NetworkConn, now: DateTime<Utc>) -> QueryResult<()> {
    let network_id = conn.network_id();
    let held: Vec<String> = tracking_hosts::table
        .filter(tracking_hosts::network_id.eq(network_id))
        .select(tracking_hosts::host)
        .load(&mut **conn)
        .await?;
    let claimed = tracking_hosts(conn).await?;
    for host in held.iter().filter(|host| !claimed.contains(host)) {
        add_claim(conn, host, now).await?;
    }
    Ok(())
}

/// Lost hosts of this network about which its members are to be notified; postpones the next attempt.
///
/// # Errors
/// Returns an error if the database fails.
pub async fn due_notices(conn: &mut NetworkConn, now: DateTime<Utc>) -> QueryResult<Vec<String>> {
    let due = due(conn, true, now).await?;
    for host in &due {
        postpone(conn, host, now + NOTICE_INTERVAL).await?;
    }
    Ok(due)
}

/// Records that the members were notified of a lost host.
///
/// # Errors
/// Returns an error if the database fails.
pub async fn record_notice(conn: &mut NetworkConn, host: &str, now: DateTime<Utc>) -> QueryResult<()> {
    let network_id = conn.network_id();
    diesel::update(
        host_claims::table
            .find((network_id, host))
            .filter(host_claims::lost_at.is_not_null()),
    )
    .set(host_claims::notified_at.eq(now))
    .execute(&mut **conn)
    .await?;
    Ok(())
}

/// Removes claims that were lost a month ago.
///
/// # Errors
/// Returns an error if the database fails.
pub async fn remove_old_losses(conn: &mut NetworkConn, now: DateTime<Utc>) -> QueryResult<()> {
    let network_id = conn.network_id();
    diesel::delete(
        host_claims::table
            .filter(host_claims::network_id.eq(network_id))
            .filter(host_claims::lost_at.lt(now - LOST_RETENTION)),
    )
    .execute(&mut **conn)
    .await?;
    Ok(())
}

/// Claims that are due: standing ones, or lost ones without a notice. Those that another node works on are left out.
async fn due(conn: &mut NetworkConn, is_lost: bool, now: DateTime<Utc>) -> QueryResult<Vec<String>> {
    let network_id = conn.network_id();
    host_claims::table
        .filter(host_claims::network_id.eq(network_id))
        .filter(host_claims::check_after.le(now))
        .filter(host_claims::lost_at.is_not_null().eq(is_lost))
        .filter(host_claims::notified_at.is_null())
        .order(host_claims::host)
        .limit(MAX_CLAIMS)
        .select(host_claims::host)
        .for_update()
        .skip_locked()
        .load(&mut **conn)
        .await
}

async fn postpone(conn: &mut NetworkConn, host: &str, until: DateTime<Utc>) -> QueryResult<()> {
    let network_id = conn.network_id();
    diesel::update(host_claims::table.find((network_id, host)))
        .set(host_claims::check_after.eq(until))
        .execute(&mut **conn)
        .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checks_become_rarer_after_a_day() {
        assert_eq!(interval(TimeDelta::zero()), EAGER_INTERVAL);
        assert_eq!(interval(TimeDelta::hours(23)), EAGER_INTERVAL);
        assert_eq!(interval(TimeDelta::days(2)), LATER_INTERVAL);
    }
}
