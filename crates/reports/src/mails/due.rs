//! Claims of due mails, and what is recorded about their attempts.

use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use schema::{MembershipId, NetworkConn, report_mail_recipients, report_mails};

use super::store::ReportMail;

/// Time for which a node claims a mail: longer than all its recipients take. After a crash, another node resumes then.
const CLAIM_TIME: TimeDelta = TimeDelta::minutes(10);
/// Pauses after failed attempts, in minutes. After the last one the mail waits for its next due time.
const PAUSES: [i64; 5] = [5, 15, 60, 180, 360];
/// Maximum length of a stored reason, in characters.
const MAX_REASON: usize = 500;

/// Claims the mail that is due first, unless another node has claimed it.
pub(super) async fn claim(conn: &mut NetworkConn, now: DateTime<Utc>) -> QueryResult<Option<ReportMail>> {
    let network_id = conn.network_id();
    let is_free = report_mails::claimed_until
        .is_null()
        .or(report_mails::claimed_until.le(now).assume_not_null());
    let found: Option<ReportMail> = ReportMail::query()
        .filter(report_mails::network_id.eq(network_id))
        .filter(report_mails::next_at.le(now))
        .filter(is_free)
        .order((report_mails::next_at, report_mails::id))
        .for_update()
        .skip_locked()
        .first(&mut **conn)
        .await
        .optional()?;
    let Some(mut mail) = found else {
        return Ok(None);
    };
    mail.claimed_until = Some(now + CLAIM_TIME);
    diesel::update(report_mails::table.find((network_id, mail.id)))
        .set(report_mails::claimed_until.eq(mail.claimed_until))
        .execute(&mut **conn)
        .await?;
    Ok(Some(mail))
}

/// True while the claim is still that of this node.
pub(super) async fn holds(conn: &mut NetworkConn, mail: &ReportMail) -> QueryResult<bool> {
    let network_id = conn.network_id();
    let claimed: Option<Option<DateTime<Utc>>> = report_mails::table
        .find((network_id, mail.id))
        .select(report_mails::claimed_until)
        .first(&mut **conn)
        .await
        .optional()?;
    Ok(claimed == Some(mail.claimed_until))
}

/// Recipients who neither stopped the mail nor were handled for this due time.
pub(super) async fn waiting(
    conn: &mut NetworkConn,
    mail: &ReportMail,
    due: DateTime<Utc>,
) -> QueryResult<Vec<(MembershipId, Option<String>)>> {
    let network_id = conn.network_id();
    report_mail_recipients::table
        .filter(report_mail_recipients::network_id.eq(network_id))
        .filter(report_mail_recipients::report_mail_id.eq(mail.id))
        .filter(report_mail_recipients::stopped_at.is_null())
        .filter(report_mail_recipients::sent_for.is_distinct_from(due))
        .order(report_mail_recipients::membership_id)
        .select((
            report_mail_recipients::membership_id,
            report_mail_recipients::skipped_because,
        ))
        .load(&mut **conn)
        .await
}

/// Records that a recipient got the mail of a due time, or was skipped for a reason.
pub(super) async fn record_handled(
    conn: &mut NetworkConn,
    mail: &ReportMail,
    recipient: MembershipId,
    due: DateTime<Utc>,
    skipped_because: Option<&str>,
) -> QueryResult<()> {
    let network_id = conn.network_id();
    diesel::update(report_mail_recipients::table.find((network_id, mail.id, recipient)))
        .set((
            report_mail_recipients::sent_for.eq(due),
            report_mail_recipients::skipped_because.eq(skipped_because),
        ))
        .execute(&mut **conn)
        .await?;
    Ok(())
}

/// Records that every recipient was handled: the mail waits for its next due time.
pub(super) async fn record_sent(
    conn: &mut NetworkConn,
    mail: &ReportMail,
    zone: Tz,
    now: DateTime<Utc>,
) -> QueryResult<()> {
    let network_id = conn.network_id();
    diesel::update(report_mails::table.find((network_id, mail.id)))
        .set((
            report_mails::next_at.eq(mail.schedule().next_after(now, zone)),
            report_mails::claimed_until.eq(None::<DateTime<Utc>>),
            report_mails::failures.eq(0),
            report_mails::last_failure.eq(None::<String>),
            report_mails::last_failed_at.eq(None::<DateTime<Utc>>),
            report_mails::last_sent_at.eq(now),
        ))
        .execute(&mut **conn)
        .await?;
    Ok(())
}

/// Records a failed attempt. The mail is retried after a pause, unless it `is_final`: then, and after the last pause, it
/// waits for its next due time.
pub(super) async fn record_failure(
    conn: &mut NetworkConn,
    mail: &ReportMail,
    reason: &str,
    is_final: bool,
    zone: Tz,
    now: DateTime<Utc>,
) -> QueryResult<()> {
    let network_id = conn.network_id();
    let pause = usize::try_from(mail.failures)
        .ok()
        .and_then(|failures| PAUSES.get(failures));
    let (next_at, claimed_until, failures) = match pause.filter(|_| !is_final) {
        Some(minutes) => (
            mail.next_at,
            Some(now + TimeDelta::minutes(*minutes)),
            mail.failures + 1,
        ),
        None => (mail.schedule().next_after(now, zone), None, 0),
    };
    let reason: String = reason.chars().take(MAX_REASON).collect();
    diesel::update(report_mails::table.find((network_id, mail.id)))
        .set((
            report_mails::next_at.eq(next_at),
            report_mails::claimed_until.eq(claimed_until),
            report_mails::failures.eq(failures),
            report_mails::last_failure.eq(Some(reason)),
            report_mails::last_failed_at.eq(Some(now)),
        ))
        .execute(&mut **conn)
        .await?;
    Ok(())
}
