//! Regular check of every network, and notification by mail of the members who can act.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use schema::{Db, DbError, NetworkConn, NetworkId, advertisers, alerts, clock};
use tenancy::Delivery;
use tenancy::memberships::{self, MemberFilter};
use tenancy::networks;
use tenancy::work::{Work, Works};
use tenancy::{Mailer, Permission, Scope, mail_templates};

use super::alert::{Alert, AlertKind};
use super::check::check;

/// Interval of the checks.
const CHECK_INTERVAL: Duration = Duration::from_secs(300);
/// Time for which a node claims a notice that it is about to mail. If the mail fails, it is retried after that.
const CLAIM_TIME: TimeDelta = TimeDelta::minutes(10);
/// Maximum number of recipients from the network's staff, and of those from the advertiser.
const MAX_RECIPIENTS: i64 = 50;
/// Maximum number of notices claimed at once.
const MAX_NOTICES: i64 = 20;

/// Checks every active network every few minutes, and mails notices of its alerts. Any number of nodes may do so.
pub async fn keep_watch(db: Db, mailer: Mailer, dashboard_url: String, works: Works) {
    let mut interval = tokio::time::interval(CHECK_INTERVAL);
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        interval.tick().await;
        let check = |network_id| {
            let (db, mailer, dashboard_url) = (db.clone(), mailer.clone(), dashboard_url.clone());
            async move {
                watch(&db, network_id, &mailer, &dashboard_url, clock::now()).await?;
                Ok(1)
            }
        };
        works.run_everywhere(Work::Alerts, &db, check).await;
    }
}

/// Checks one network, and mails notices of its alerts.
///
/// # Errors
/// Returns an error if the database fails.
#[tracing::instrument(skip_all, fields(network = %network_id))]
pub async fn watch(
    db: &Db,
    network_id: NetworkId,
    mailer: &Mailer,
    dashboard_url: &str,
    now: DateTime<Utc>,
) -> Result<(), DbError> {
    let mut conn = db.network(network_id).await?;
    check(&mut conn, now).await?;
    conn.commit().await?;
    notify(db, network_id, mailer, dashboard_url, now).await
}

/// Notice of an alert, or of its end.
struct Notice {
    alert: Alert,
    /// Name of the advertiser.
    advertiser: String,
    is_over: bool,
}

impl Notice {
    fn headline(&self) -> &'static str {
        match (self.alert.kind, self.is_over) {
            (AlertKind::Silent, false) => "postbacks have stopped",
            (AlertKind::Silent, true) => "the alert about missing postbacks is over",
            (AlertKind::Rejections, false) => "many postbacks are rejected",
            (AlertKind::Rejections, true) => "the alert about rejected postbacks is over",
        }
    }

    fn path(&self) -> String {
        format!("/integration/{}", self.alert.advertiser_id)
    }
}

/// Mails the notices that are due: one when an alert opens and, after that one, one when it is over. A mail that fails
/// is retried; if a node stops in the middle, a mail may be sent twice, but none is left out.
async fn notify(
    db: &Db,
    network_id: NetworkId,
    mailer: &Mailer,
    dashboard_url: &str,
    now: DateTime<Utc>,
) -> Result<(), DbError> {
    let mut conn = db.network(network_id).await?;
    let notices = claim(&mut conn, now).await?;
    if notices.is_empty() {
        return Ok(());
    }
    let network = networks::current(&mut conn).await?;
    let mut addressed = Vec::with_capacity(notices.len());
    for notice in notices {
        let people = recipients(&mut conn, &notice.alert).await?;
        addressed.push((notice, people));
    }
    // No transaction may wait for a mail server.
    conn.commit().await?;
    for (notice, people) in addressed {
        let since = notice.alert.since.with_timezone(&network.time_zone());
        let sentence = format!(
            "Since {}: {}",
            since.format("%-d %b %H:%M %Z"),
            notice.alert.sentence()
        );
        let mut is_sent = true;
        for email in people {
            let mail = mail_templates::integration_alert(
                dashboard_url,
                &network.name,
                &notice.advertiser,
                notice.headline(),
                &sentence,
                &notice.path(),
                &email,
            );
            is_sent &= !matches!(mailer.send(&mail).await, Delivery::Failed(_));
            if !is_sent {
                break;
            }
        }
        if is_sent {
            let mut conn = db.network(network_id).await?;
            record_mailed(&mut conn, &notice, now).await?;
            conn.commit().await?;
        }
    }
    Ok(())
}

/// Claims the notices that are due, for [`CLAIM_TIME`]. An alert that was over before its first notice is never mailed.
async fn claim(conn: &mut NetworkConn, now: DateTime<Utc>) -> QueryResult<Vec<Notice>> {
    let network_id = conn.network_id();
    let is_new = alerts::closed_at.is_null().and(alerts::notified_at.is_null());
    let has_ended = alerts::closed_at
        .is_not_null()
        .and(alerts::notified_at.is_not_null())
        .and(alerts::end_notified_at.is_null());
    let found: Vec<Alert> = Alert::query()
        .filter(alerts::network_id.eq(network_id))
        .filter(is_new.or(has_ended))
        .filter(alerts::notify_after.le(now))
        .order(alerts::id)
        .limit(MAX_NOTICES)
        .for_update()
        .skip_locked()
        .load(&mut **conn)
        .await?;
    let mut notices = Vec::with_capacity(found.len());
    for alert in found {
        diesel::update(alerts::table.find((network_id, alert.id)))
            .set(alerts::notify_after.eq(now + CLAIM_TIME))
            .execute(&mut **conn)
            .await?;
        let advertiser = advertisers::table
            .find((network_id, alert.advertiser_id))
            .select(advertisers::name)
            .first(&mut **conn)
            .await?;
        notices.push(Notice {
            is_over: alert.closed_at.is_some(),
            alert,
            advertiser,
        });
    }
    Ok(notices)
}

/// Records that a notice was mailed.
async fn record_mailed(conn: &mut NetworkConn, notice: &Notice, now: DateTime<Utc>) -> QueryResult<()> {
    let network_id = conn.network_id();
    let alert = alerts::table.find((network_id, notice.alert.id));
    if notice.is_over {
        let mailed = alerts::end_notified_at.eq(now);
        diesel::update(alert).set(mailed).execute(&mut **conn).await?;
    } else {
        let mailed = (alerts::notified_at.eq(now), alerts::notify_after.eq(now));
        diesel::update(alert).set(mailed).execute(&mut **conn).await?;
    }
    Ok(())
}

/// Addresses of the network's members who may change integrations, and of the advertiser's users.
async fn recipients(conn: &mut NetworkConn, alert: &Alert) -> QueryResult<Vec<String>> {
    let staff = MemberFilter {
        staff_only: true,
        ..MemberFilter::default()
    };
    let of_advertiser = MemberFilter {
        scope: Scope {
            advertiser: Some(alert.advertiser_id),
            ..Scope::default()
        },
        ..MemberFilter::default()
    };
    let mut members = memberships::list(conn, &staff, MAX_RECIPIENTS).await?;
    members.retain(|member| member.role.may(Permission::Configure));
    members.extend(memberships::list(conn, &of_advertiser, MAX_RECIPIENTS).await?);
    let mut addresses: Vec<String> = members.into_iter().map(|member| member.email).collect();
    addresses.sort();
    addresses.dedup();
    Ok(addresses)
}
