//! Background work on tracking hosts: checks of those that are not proven, and mails about lost ones.

use std::time::Duration;

use chrono::{DateTime, Utc};
use schema::{Db, DbError, NetworkId, clock};

use super::{CheckError, HostChecker};
use crate::author::Author;
use crate::mail::{Delivery, Mailer};
use crate::mail_templates;
use crate::memberships::{self, MemberFilter};
use crate::networks;
use crate::permissions::Permission;
use crate::work::{Work, Works};

/// Interval of the rounds.
const ROUND_INTERVAL: Duration = Duration::from_secs(300);
/// Maximum number of recipients of a notice.
const MAX_RECIPIENTS: i64 = 50;

/// Sender of the notices about lost hosts. Cheap to clone.
#[derive(Clone)]
pub struct CheckNotices {
    /// Sender of mails.
    pub mailer: Mailer,
    /// Public URL of the dashboard.
    pub dashboard_url: String,
}

/// Checks the unproven hosts of every active network in rounds, and mails notices of lost ones. Any number of nodes may do so.
pub async fn keep_checking(db: Db, checker: HostChecker, notices: CheckNotices, works: Works) {
    let mut interval = tokio::time::interval(ROUND_INTERVAL);
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        interval.tick().await;
        let check = |network_id| {
            let (db, checker, notices) = (db.clone(), checker.clone(), notices.clone());
            async move { check_due(&db, &checker, &notices, network_id, clock::now()).await }
        };
        works.run_everywhere(Work::Hosts, &db, check).await;
    }
}

/// Checks the hosts of one network that are due, and mails notices of lost ones. Returns the number of hosts checked.
///
/// # Errors
/// Returns an error if the database fails.
#[tracing::instrument(skip_all, fields(network = %network_id))]
pub async fn check_due(
    db: &Db,
    checker: &HostChecker,
    notices: &CheckNotices,
    network_id: NetworkId,
    now: DateTime<Utc>,
) -> Result<u64, DbError> {
    let mut conn = db.network(network_id).await?;
    let due = networks::due_checks(&mut conn, now).await?;
    networks::remove_old_losses(&mut conn, now).await?;
    conn.commit().await?;
    let mut checked = 0;
    for claimed in due {
        let author = Author::system();
        match checker.check(db, network_id, &author, &claimed.host, now).await {
            Ok(_) => checked += 1,
            // A member checks hosts of the network now, or has removed this one; the next round follows.
            Err(CheckError::TooOften(_) | CheckError::NotClaimed | CheckError::NoDnsName(_)) => {}
            Err(CheckError::Db(error)) => return Err(error),
        }
    }
    notify(db, network_id, notices, now).await?;
    Ok(checked)
}

/// Mails notices of lost hosts to the members who can manage the network. A mail that fails is tried again; if a node stops in
/// the middle, a mail may be sent twice, but none is left out.
async fn notify(
    db: &Db,
    network_id: NetworkId,
    notices: &CheckNotices,
    now: DateTime<Utc>,
) -> Result<(), DbError> {
    let mut conn = db.network(network_id).await?;
    let lost = networks::due_notices(&mut conn, now).await?;
    if lost.is_empty() {
        return Ok(());
    }
    let network = networks::current(&mut conn).await?;
    let staff = MemberFilter {
        staff_only: true,
        ..MemberFilter::default()
    };
    let mut members = memberships::list(&mut conn, &staff, MAX_RECIPIENTS).await?;
    members.retain(|member| member.role.may(Permission::ManageNetwork));
    // No transaction may wait for a mail server.
    conn.commit().await?;
    for host in lost {
        let mut is_sent = true;
        for member in &members {
            let mail = mail_templates::lost_host(&notices.dashboard_url, &network.name, &host, &member.email);
            is_sent &= !matches!(notices.mailer.send(&mail).await, Delivery::Failed(_));
        }
        if is_sent {
            let mut conn = db.network(network_id).await?;
            networks::record_notice(&mut conn, &host, now).await?;
            conn.commit().await?;
        }
    }
    Ok(())
}
