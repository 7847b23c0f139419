//! Scheduled mails and their recipients: list, creation, change, deletion.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use diesel::dsl::count_star;
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use schema::{
    MembershipId, NetworkConn, PersonId, ReportMailId, SavedReportId, memberships, people,
    report_mail_recipients, report_mails, saved_reports,
};
use serde_json::{Value, json};
use tenancy::audit::{self, Change};
use tenancy::memberships::{self as member_table, Member, MemberFilter};
use tenancy::{Actor, ChangeError, Draft, Permission};

use super::schedule::{Rhythm, Schedule};
use super::settings::{FileFormat, MailSettings, UNKNOWN_MEMBER, UNKNOWN_VIEW};
use crate::saved::{self, Audience, check_may_save};

/// Maximum number of scheduled mails of one member.
const MAX_OF_OWNER: i64 = 50;
/// Maximum number of scheduled mails of a list.
const MAX_LISTED: i64 = 500;
/// Maximum number of members to choose recipients from.
const MAX_CANDIDATES: i64 = 1_000;

/// Scheduled mail as stored.
#[derive(Debug, Clone, PartialEq, Eq, HasQuery)]
#[diesel(table_name = report_mails)]
pub struct ReportMail {
    /// Identifier.
    pub id: ReportMailId,
    /// View that is mailed.
    pub saved_report_id: SavedReportId,
    /// Membership of the user who scheduled it.
    pub owner_id: MembershipId,
    rhythm: Rhythm,
    on_day: Option<i16>,
    at_hour: i16,
    /// Format of the attached file.
    pub format: FileFormat,
    /// Time at which it is due next.
    pub next_at: DateTime<Utc>,
    pub(super) claimed_until: Option<DateTime<Utc>>,
    pub(super) failures: i32,
    /// Reason of the last failed attempt; `None` if the last one succeeded.
    pub last_failure: Option<String>,
    /// Time of that failure.
    pub last_failed_at: Option<DateTime<Utc>>,
    /// Time at which it was last sent to all recipients.
    pub last_sent_at: Option<DateTime<Utc>>,
}

impl ReportMail {
    /// Days and hour.
    #[must_use]
    pub fn schedule(&self) -> Schedule {
        Schedule {
            rhythm: self.rhythm,
            on_day: self.on_day,
            at_hour: self.at_hour,
        }
    }
}

/// Recipient of a scheduled mail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recipient {
    /// Membership, whose role decides about the figures.
    pub membership_id: MembershipId,
    /// Name of the person.
    pub name: String,
    /// Reason why the recipient was skipped last time.
    pub skipped_because: Option<String>,
    /// Time at which the recipient stopped the mail.
    pub stopped_at: Option<DateTime<Utc>>,
}

/// Scheduled mail as an actor sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MailView {
    /// The mail.
    pub mail: ReportMail,
    /// Name of the view.
    pub view: String,
    /// Name of the owner.
    pub owner: String,
    /// Recipients by name.
    pub recipients: Vec<Recipient>,
}

impl MailView {
    /// Draft that [`MailSettings::check`] turns into its settings.
    #[must_use]
    pub fn draft(&self) -> Draft {
        let schedule = self.mail.schedule();
        let recipients = self.recipients.iter().map(|one| one.membership_id.to_string());
        Draft::with([
            ("view", self.mail.saved_report_id.to_string()),
            ("rhythm", schedule.rhythm.to_string()),
            (
                "on_day",
                schedule.on_day.map_or(String::new(), |day| day.to_string()),
            ),
            ("at_hour", schedule.at_hour.to_string()),
            ("format", self.mail.format.to_string()),
            ("recipients", recipients.collect::<Vec<_>>().join(",")),
        ])
    }

    fn to_json(&self) -> Value {
        let recipients = self.recipients.iter().map(|one| one.membership_id.to_string());
        json!({
            "view": self.view,
            "schedule": self.mail.schedule().in_words(),
            "format": self.mail.format.as_str(),
            "recipients": recipients.collect::<Vec<_>>(),
        })
    }
}

/// Members whom an actor may choose as recipients: those who see reports, and for users of an advertiser or affiliate,
/// only those of the same one.
///
/// # Errors
/// Returns an error if the database fails.
pub async fn candidates(conn: &mut NetworkConn, actor: &Actor) -> QueryResult<Vec<Member>> {
    let filter = MemberFilter {
        scope: actor.scope(),
        ..MemberFilter::default()
    };
    let mut members = member_table::list(conn, &filter, MAX_CANDIDATES).await?;
    members.retain(|member| member.role.may(Permission::SeeReports));
    Ok(members)
}

/// Mails that an actor scheduled, and those of views of the team if the actor may change these; the next due first.
///
/// # Errors
/// Returns an error if the database fails.
pub async fn list(conn: &mut NetworkConn, actor: &Actor) -> QueryResult<Vec<MailView>> {
    select(conn, actor, None).await
}

/// Mail with this id, if the actor sees it.
///
/// # Errors
/// Returns an error if the database fails.
pub async fn find(conn: &mut NetworkConn, actor: &Actor, id: ReportMailId) -> QueryResult<Option<MailView>> {
    Ok(select(conn, actor, Some(id)).await?.pop())
}

async fn select(
    conn: &mut NetworkConn,
    actor: &Actor,
    id: Option<ReportMailId>,
) -> QueryResult<Vec<MailView>> {
    let network_id = conn.network_id();
    let scope = actor.scope();
    let is_own = memberships::person_id
        .eq(actor.person_id)
        .and(memberships::advertiser_id.is_not_distinct_from(scope.advertiser))
        .and(memberships::affiliate_id.is_not_distinct_from(scope.affiliate));
    let mut query = report_mails::table
        .inner_join(
            memberships::table.on(memberships::network_id
                .eq(report_mails::network_id)
                .and(memberships::id.eq(report_mails::owner_id))),
        )
        .inner_join(people::table.on(people::id.eq(memberships::person_id)))
        .inner_join(
            saved_reports::table.on(saved_reports::network_id
                .eq(report_mails::network_id)
                .and(saved_reports::id.eq(report_mails::saved_report_id))),
        )
        .filter(report_mails::network_id.eq(network_id))
        .order((report_mails::next_at, report_mails::id))
        .limit(MAX_LISTED)
        .select((ReportMail::as_select(), saved_reports::name, people::name))
        .into_boxed();
    query = if actor.may(Permission::Configure) {
        query.filter(is_own.or(saved_reports::audience.eq(Audience::Team)))
    } else {
        query.filter(is_own)
    };
    if let Some(id) = id {
        query = query.filter(report_mails::id.eq(id));
    }
    let found: Vec<(ReportMail, String, String)> = query.load(&mut **conn).await?;
    let ids: Vec<ReportMailId> = found.iter().map(|(mail, ..)| mail.id).collect();
    let mut recipients = recipients(conn, &ids).await?;
    Ok(found
        .into_iter()
        .map(|(mail, view, owner)| MailView {
            recipients: recipients.remove(&mail.id).unwrap_or_default(),
            mail,
            view,
            owner,
        })
        .collect())
}

async fn recipients(
    conn: &mut NetworkConn,
    ids: &[ReportMailId],
) -> QueryResult<HashMap<ReportMailId, Vec<Recipient>>> {
    type Columns = (
        ReportMailId,
        MembershipId,
        String,
        Option<String>,
        Option<DateTime<Utc>>,
    );
    let network_id = conn.network_id();
    let found: Vec<Columns> = report_mail_recipients::table
        .inner_join(
            memberships::table.on(memberships::network_id
                .eq(report_mail_recipients::network_id)
                .and(memberships::id.eq(report_mail_recipients::membership_id))),
        )
        .inner_join(people::table.on(people::id.eq(memberships::person_id)))
        .filter(report_mail_recipients::network_id.eq(network_id))
        .filter(report_mail_recipients::report_mail_id.eq_any(ids))
        .order((people::name, report_mail_recipients::membership_id))
        .select((
            report_mail_recipients::report_mail_id,
            report_mail_recipients::membership_id,
            people::name,
            report_mail_recipients::skipped_because,
            report_mail_recipients::stopped_at,
        ))
        .load(&mut **conn)
        .await?;
    let mut recipients: HashMap<ReportMailId, Vec<Recipient>> = HashMap::new();
    for (mail, membership_id, name, skipped_because, stopped_at) in found {
        recipients.entry(mail).or_default().push(Recipient {
            membership_id,
            name,
            skipped_because,
            stopped_at,
        });
    }
    Ok(recipients)
}

/// Schedules a mail of a view that the actor sees, in the time zone of the network.
///
/// # Errors
/// [`ChangeError::Fields`] for an unknown view or recipient, [`ChangeError::Limit`], [`ChangeError::NotPermitted`].
pub async fn create(
    conn: &mut NetworkConn,
    actor: &Actor,
    settings: &MailSettings,
    zone: Tz,
    now: DateTime<Utc>,
) -> Result<MailView, ChangeError> {
    check_may_save(actor)?;
    let network_id = conn.network_id();
    let view = view_of(conn, actor, settings).await?;
    check_recipients(conn, actor, settings, &[]).await?;
    let count: i64 = report_mails::table
        .filter(report_mails::network_id.eq(network_id))
        .filter(report_mails::owner_id.eq(actor.membership_id))
        .select(count_star())
        .first(&mut **conn)
        .await?;
    if count >= MAX_OF_OWNER {
        let message = format!("You have {MAX_OF_OWNER} scheduled mails. Delete one first.");
        return Err(ChangeError::Limit(message));
    }
    let schedule = settings.schedule;
    let id: ReportMailId = diesel::insert_into(report_mails::table)
        .values((
            report_mails::network_id.eq(network_id),
            report_mails::saved_report_id.eq(settings.view),
            report_mails::owner_id.eq(actor.membership_id),
            report_mails::rhythm.eq(schedule.rhythm),
            report_mails::on_day.eq(schedule.on_day),
            report_mails::at_hour.eq(schedule.at_hour),
            report_mails::format.eq(settings.format),
            report_mails::created_at.eq(now),
            report_mails::next_at.eq(schedule.next_after(now, zone)),
        ))
        .returning(report_mails::id)
        .get_result(&mut **conn)
        .await?;
    let recipients = match settings.recipients.as_slice() {
        [] => &[actor.membership_id],
        chosen => chosen,
    };
    add_recipients(conn, id, recipients).await?;
    let created = find(conn, actor, id).await?.ok_or(ChangeError::NotFound)?;
    let change = Change::created("report_mail.create", id, &view, created.to_json());
    audit::record(conn, &actor.author(), change, now).await?;
    Ok(created)
}

/// Changes a scheduled mail; it is due next by its new schedule. A recipient who stopped it stays so.
///
/// # Errors
/// [`ChangeError::NotFound`], [`ChangeError::Fields`] for an unknown view or recipient, [`ChangeError::NotPermitted`].
pub async fn update(
    conn: &mut NetworkConn,
    actor: &Actor,
    id: ReportMailId,
    settings: &MailSettings,
    zone: Tz,
    now: DateTime<Utc>,
) -> Result<MailView, ChangeError> {
    let old = find(conn, actor, id).await?.ok_or(ChangeError::NotFound)?;
    check_may_save(actor)?;
    let network_id = conn.network_id();
    let view = view_of(conn, actor, settings).await?;
    let former: Vec<MembershipId> = old.recipients.iter().map(|one| one.membership_id).collect();
    check_recipients(conn, actor, settings, &former).await?;
    let (schedule, format) = (settings.schedule, settings.format);
    diesel::update(report_mails::table.find((network_id, id)))
        .set((
            report_mails::saved_report_id.eq(settings.view),
            report_mails::rhythm.eq(schedule.rhythm),
            report_mails::on_day.eq(schedule.on_day),
            report_mails::at_hour.eq(schedule.at_hour),
            report_mails::format.eq(format),
            report_mails::next_at.eq(schedule.next_after(now, zone)),
            report_mails::failures.eq(0),
        ))
        .execute(&mut **conn)
        .await?;
    if !settings.recipients.is_empty() {
        diesel::delete(report_mail_recipients::table)
            .filter(report_mail_recipients::network_id.eq(network_id))
            .filter(report_mail_recipients::report_mail_id.eq(id))
            .filter(report_mail_recipients::membership_id.ne_all(&settings.recipients))
            .execute(&mut **conn)
            .await?;
        add_recipients(conn, id, &settings.recipients).await?;
    }
    let new = find(conn, actor, id).await?.ok_or(ChangeError::NotFound)?;
    let change = Change::between("report_mail.update", id, &view, old.to_json(), new.to_json());
    audit::record(conn, &actor.author(), change, now).await?;
    Ok(new)
}

/// Name of the view that a mail sends.
async fn view_of(
    conn: &mut NetworkConn,
    actor: &Actor,
    settings: &MailSettings,
) -> Result<String, ChangeError> {
    let view = saved::find(conn, actor, settings.view).await?;
    let view = view.ok_or_else(|| ChangeError::field("view", UNKNOWN_VIEW))?;
    Ok(view.report.name)
}

/// Refuses recipients whom the actor may not choose, unless they are recipients already.
async fn check_recipients(
    conn: &mut NetworkConn,
    actor: &Actor,
    settings: &MailSettings,
    former: &[MembershipId],
) -> Result<(), ChangeError> {
    let known = candidates(conn, actor).await?;
    let is_known = |id: &MembershipId| former.contains(id) || known.iter().any(|member| member.id == *id);
    if !settings.recipients.iter().all(is_known) {
        return Err(ChangeError::field("recipients", UNKNOWN_MEMBER));
    }
    Ok(())
}

async fn add_recipients(
    conn: &mut NetworkConn,
    id: ReportMailId,
    recipients: &[MembershipId],
) -> QueryResult<()> {
    let network_id = conn.network_id();
    for recipient in recipients {
        diesel::insert_into(report_mail_recipients::table)
            .values((
                report_mail_recipients::network_id.eq(network_id),
                report_mail_recipients::report_mail_id.eq(id),
                report_mail_recipients::membership_id.eq(*recipient),
            ))
            .on_conflict_do_nothing()
            .execute(&mut **conn)
            .await?;
    }
    Ok(())
}

/// Deletes a scheduled mail.
///
/// # Errors
/// [`ChangeError::NotFound`], [`ChangeError::NotPermitted`].
pub async fn remove(
    conn: &mut NetworkConn,
    actor: &Actor,
    id: ReportMailId,
    now: DateTime<Utc>,
) -> Result<(), ChangeError> {
    let old = find(conn, actor, id).await?.ok_or(ChangeError::NotFound)?;
    check_may_save(actor)?;
    let network_id = conn.network_id();
    diesel::delete(report_mails::table.find((network_id, id)))
        .execute(&mut **conn)
        .await?;
    let change = Change::between("report_mail.remove", id, &old.view, old.to_json(), json!({}));
    Ok(audit::record(conn, &actor.author(), change, now).await?)
}

/// Person of a membership, ended or not, with the person's name.
pub(super) async fn person_of(
    conn: &mut NetworkConn,
    id: MembershipId,
) -> QueryResult<Option<(PersonId, String)>> {
    let network_id = conn.network_id();
    memberships::table
        .inner_join(people::table)
        .filter(memberships::network_id.eq(network_id))
        .filter(memberships::id.eq(id))
        .select((people::id, people::name))
        .first(&mut **conn)
        .await
        .optional()
}
