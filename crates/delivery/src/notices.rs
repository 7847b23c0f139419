//! Mails about failing destinations, to the users who can act.

use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use schema::{AffiliateId, Db, DbError, DestinationId, NetworkConn, NetworkId, destinations};
use tenancy::memberships::{self, MemberFilter};
use tenancy::{Delivery, Mailer, Permission, Scope, mail_templates, networks};

/// Numbers of failures in a row that are mailed, once each.
const MAILED_AT: [i32; 3] = [5, 10, 20];
/// Maximum number of recipients of a mail.
const MAX_RECIPIENTS: i64 = 50;
/// Maximum number of destinations per run.
const MAX_NOTICES: i64 = 20;

type Failing = (DestinationId, String, Option<AffiliateId>, i32, i32, String);

/// Mails about the destinations of a network that reached a number of failures; returns the number of destinations.
///
/// # Errors
/// Returns an error if the database fails.
pub async fn notify(
    db: &Db,
    network_id: NetworkId,
    mailer: &Mailer,
    dashboard_url: &str,
) -> Result<u64, DbError> {
    let mut conn = db.network(network_id).await?;
    let failing = claim(&mut conn).await?;
    if failing.is_empty() {
        return Ok(0);
    }
    let network = networks::current(&mut conn).await?;
    let mut addressed = Vec::with_capacity(failing.len());
    for notice in failing {
        let people = recipients(&mut conn, notice.2).await?;
        addressed.push((notice, people));
    }
    // No transaction may wait for a mail server.
    conn.commit().await?;
    let mut mailed = 0;
    for ((id, name, _, failures, before, state), people) in addressed {
        let is_paused = state == "paused";
        let mut is_sent = true;
        for email in people {
            let path = format!("/destinations/{id}");
            let mail = mail_templates::delivery_failing(
                dashboard_url,
                &network.name,
                &name,
                failures,
                is_paused,
                &path,
                &email,
            );
            is_sent &= !matches!(mailer.send(&mail).await, Delivery::Failed(_));
        }
        if is_sent {
            mailed += 1;
        } else {
            let mut conn = db.network(network_id).await?;
            set_mailed(&mut conn, id, before).await?;
            conn.commit().await?;
        }
    }
    Ok(mailed)
}

/// Claims the notices that are due. Rows that another node has locked are left to it.
async fn claim(conn: &mut NetworkConn) -> QueryResult<Vec<Failing>> {
    let network_id = conn.network_id();
    let mut due: Vec<Failing> = Vec::new();
    for threshold in MAILED_AT {
        let found: Vec<Failing> = destinations::table
            .filter(destinations::network_id.eq(network_id))
            .filter(destinations::failures.ge(threshold))
            .filter(destinations::mailed_failures.lt(threshold))
            .order(destinations::id)
            .limit(MAX_NOTICES)
            .select((
                destinations::id,
                destinations::name,
                destinations::affiliate_id,
                destinations::failures,
                destinations::mailed_failures,
                destinations::state,
            ))
            .for_update()
            .skip_locked()
            .load(&mut **conn)
            .await?;
        for notice in found {
            set_mailed(conn, notice.0, threshold).await?;
            match due.iter_mut().find(|known| known.0 == notice.0) {
                Some(_) => {}
                None => due.push(notice),
            }
        }
    }
    Ok(due)
}

async fn set_mailed(conn: &mut NetworkConn, id: DestinationId, failures: i32) -> QueryResult<()> {
    let network_id = conn.network_id();
    diesel::update(destinations::table.find((network_id, id)))
        .set(destinations::mailed_failures.eq(failures))
        .execute(&mut **conn)
        .await?;
    Ok(())
}

/// Addresses of the affiliate's users, or of the network's members who may change its settings.
async fn recipients(conn: &mut NetworkConn, affiliate: Option<AffiliateId>) -> QueryResult<Vec<String>> {
    let filter = MemberFilter {
        staff_only: affiliate.is_none(),
        scope: Scope {
            affiliate,
            ..Scope::default()
        },
        ..MemberFilter::default()
    };
    let mut members = memberships::list(conn, &filter, MAX_RECIPIENTS).await?;
    members.retain(|member| affiliate.is_some() || member.role.may(Permission::ManageNetwork));
    let mut addresses: Vec<String> = members.into_iter().map(|member| member.email).collect();
    addresses.sort();
    addresses.dedup();
    Ok(addresses)
}
