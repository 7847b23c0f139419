//! Looking at every network from time to time, and writing to those who can do something.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use schema::{Db, DbError, NetworkConn, NetworkId, advertisers, alerts, clock, networks as network_rows};
use tenancy::Delivery;
use tenancy::memberships::{self, MemberFilter};
use tenancy::networks::{self, NetworkStatus};
use tenancy::{Mailer, Permission, Scope, mail_templates};

use super::{Alert, AlertKind, check};

/// How often every network is looked at.
const LOOK: Duration = Duration::from_secs(300);
/// For how long nobody else mails what somebody is mailing; when it fails, it is tried again after that.
const TELLING: TimeDelta = TimeDelta::minutes(10);
/// Most people of a network, and most of an advertiser, who are written to.
const PEOPLE: i64 = 50;
/// Most alerts that are mailed at a time.
const ALERTS: i64 = 20;

/// Looks at every network every few minutes, and mails what was found. Any number of nodes may do so.
pub async fn keep_watch(db: Db, mailer: Mailer, dashboard_url: String) {
    let mut often = tokio::time::interval(LOOK);
    often.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        often.tick().await;
        let networks = match active_networks(&db).await {
            Ok(networks) => networks,
            Err(error) => {
                tracing::warn!(%error, "integrations are not watched; trying again");
                continue;
            }
        };
        for network_id in networks {
            let watched = watch(&db, network_id, &mailer, &dashboard_url, clock::now());
            if let Err(error) = watched.await {
                tracing::warn!(%network_id, %error, "the integrations of a network were not looked at");
            }
        }
    }
}

/// Looks at one network, and mails what is to be mailed.
///
/// # Errors
/// When the database fails.
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
    tell(db, network_id, mailer, dashboard_url, now).await
}

async fn active_networks(db: &Db) -> Result<Vec<NetworkId>, DbError> {
    let mut conn = db.operator().await?;
    let found = network_rows::table
        .filter(network_rows::status.eq(NetworkStatus::Active))
        .select(network_rows::id)
        .order(network_rows::id)
        .load(&mut *conn)
        .await?;
    conn.commit().await?;
    Ok(found)
}

/// What is to be mailed of an alert.
struct Letter {
    alert: Alert,
    advertiser: String,
    is_over: bool,
}

impl Letter {
    fn headline(&self) -> &'static str {
        match (self.alert.kind, self.is_over) {
            (AlertKind::Silent, false) => "postbacks have stopped",
            (AlertKind::Silent, true) => "the silence of postbacks is over",
            (AlertKind::Rejections, false) => "many postbacks are rejected",
            (AlertKind::Rejections, true) => "few postbacks are rejected again",
        }
    }

    fn path(&self) -> String {
        format!("/integration/{}", self.alert.advertiser_id)
    }
}

/// Mails what was not mailed yet: each alert once, and its end to those who heard of it. A mail that could not be sent is
/// tried again; a node that stops in the middle may have one sent twice, and never leaves one out.
async fn tell(
    db: &Db,
    network_id: NetworkId,
    mailer: &Mailer,
    dashboard_url: &str,
    now: DateTime<Utc>,
) -> Result<(), DbError> {
    let mut conn = db.network(network_id).await?;
    let letters = claim(&mut conn, now).await?;
    if letters.is_empty() {
        return Ok(());
    }
    let network = networks::current(&mut conn).await?;
    let mut addressed = Vec::with_capacity(letters.len());
    for letter in letters {
        let people = recipients(&mut conn, &letter.alert).await?;
        addressed.push((letter, people));
    }
    // Nobody's transaction waits for a mail server.
    conn.commit().await?;
    for (letter, people) in addressed {
        let since = letter.alert.since.with_timezone(&network.time_zone());
        let sentence = format!(
            "Since {}: {}",
            since.format("%-d %b %H:%M %Z"),
            letter.alert.sentence()
        );
        let mut is_sent = true;
        for email in people {
            let mail = mail_templates::integration_alert(
                dashboard_url,
                &network.name,
                &letter.advertiser,
                letter.headline(),
                &sentence,
                &letter.path(),
                &email,
            );
            is_sent &= !matches!(mailer.send(&mail).await, Delivery::Failed(_));
            if !is_sent {
                break;
            }
        }
        if is_sent {
            let mut conn = db.network(network_id).await?;
            note_told(&mut conn, &letter, now).await?;
            conn.commit().await?;
        }
    }
    Ok(())
}

/// The alerts that are to be mailed now, put off for everybody else. What was over before it was mailed never is.
async fn claim(conn: &mut NetworkConn, now: DateTime<Utc>) -> QueryResult<Vec<Letter>> {
    let network_id = conn.network_id();
    let is_new = alerts::closed_at.is_null().and(alerts::told_at.is_null());
    let has_ended = alerts::closed_at
        .is_not_null()
        .and(alerts::told_at.is_not_null())
        .and(alerts::end_told_at.is_null());
    let found: Vec<Alert> = Alert::query()
        .filter(alerts::network_id.eq(network_id))
        .filter(is_new.or(has_ended))
        .filter(alerts::tell_after.le(now))
        .order(alerts::id)
        .limit(ALERTS)
        .for_update()
        .skip_locked()
        .load(&mut **conn)
        .await?;
    let mut letters = Vec::with_capacity(found.len());
    for alert in found {
        diesel::update(alerts::table.find((network_id, alert.id)))
            .set(alerts::tell_after.eq(now + TELLING))
            .execute(&mut **conn)
            .await?;
        let advertiser = advertisers::table
            .find((network_id, alert.advertiser_id))
            .select(advertisers::name)
            .first(&mut **conn)
            .await?;
        letters.push(Letter {
            is_over: alert.closed_at.is_some(),
            alert,
            advertiser,
        });
    }
    Ok(letters)
}

async fn note_told(conn: &mut NetworkConn, letter: &Letter, now: DateTime<Utc>) -> QueryResult<()> {
    let network_id = conn.network_id();
    let alert = alerts::table.find((network_id, letter.alert.id));
    match letter.is_over {
        true => {
            let told = alerts::end_told_at.eq(now);
            diesel::update(alert).set(told).execute(&mut **conn).await?
        }
        false => {
            let told = (alerts::told_at.eq(now), alerts::tell_after.eq(now));
            diesel::update(alert).set(told).execute(&mut **conn).await?
        }
    };
    Ok(())
}

/// The addresses of the network's people who may change integrations, and of the advertiser's own.
async fn recipients(conn: &mut NetworkConn, alert: &Alert) -> QueryResult<Vec<String>> {
    let staff = MemberFilter {
        staff_only: true,
        ..MemberFilter::default()
    };
    let theirs = MemberFilter {
        scope: Scope {
            advertiser: Some(alert.advertiser_id),
            affiliate: None,
        },
        ..MemberFilter::default()
    };
    let mut people = memberships::list(conn, &staff, PEOPLE).await?;
    people.retain(|member| member.role.may(Permission::Configure));
    people.extend(memberships::list(conn, &theirs, PEOPLE).await?);
    let mut addresses: Vec<String> = people.into_iter().map(|member| member.email).collect();
    addresses.sort();
    addresses.dedup();
    Ok(addresses)
}
