//! `/report-mails`: saved views that are mailed at regular times.

use actix_web::HttpResponse;
use actix_web::web::{Data, Json};
use chrono::{DateTime, Utc};
use reports::mails::{self, MailSettings, MailView};
use schema::{MembershipId, ReportMailId, SavedReportId, clock};
use serde::{Deserialize, Serialize};
use tenancy::{Draft, needs, networks};
use utoipa::{IntoParams, ToSchema};

use super::{Answer, no_content};
use crate::auth::Allowed;
use crate::error::ApiError;
use crate::extract::{Body, Id, Integer, Params, present};
use crate::idempotency::{Created, IdempotencyKey};
use crate::page::{Page, Window, items};
use crate::schemas;
use crate::state::Api;

/// A saved view that is mailed at regular times.
#[derive(Serialize, ToSchema)]
pub(crate) struct ReportMail {
    #[schema(value_type = schemas::ReportMailId)]
    id: ReportMailId,
    /// View that is mailed.
    #[schema(value_type = schemas::SavedReportId)]
    view: SavedReportId,
    /// Membership of the member who scheduled it.
    #[schema(value_type = schemas::MembershipId)]
    owner: MembershipId,
    #[schema(value_type = schemas::Rhythm)]
    rhythm: &'static str,
    /// Day of the week, 1 for Monday, or day of the month; null for a daily mail.
    #[schema(required)]
    on_day: Option<i16>,
    /// Hour of the day in the network's time zone.
    at_hour: i16,
    #[schema(value_type = schemas::FileFormat)]
    format: &'static str,
    recipients: Vec<MailRecipient>,
    next_at: DateTime<Utc>,
    /// Time at which it was last sent to all recipients; null until then.
    #[schema(required)]
    last_sent_at: Option<DateTime<Utc>>,
    /// Reason of the last failed attempt; null if the last one succeeded.
    #[schema(required, value_type = Option<schemas::Text>)]
    last_failure: Option<String>,
    /// Time of that failure; null without one.
    #[schema(required)]
    last_failed_at: Option<DateTime<Utc>>,
}

/// Member who gets the mail.
#[derive(Serialize, ToSchema)]
pub(crate) struct MailRecipient {
    #[schema(value_type = schemas::MembershipId)]
    membership: MembershipId,
    #[schema(value_type = schemas::Text)]
    name: String,
    /// Reason why the member was skipped last time; null if the mail was sent.
    #[schema(required, value_type = Option<schemas::Text>)]
    skipped_because: Option<String>,
    /// Time at which the member stopped the mail; null until then.
    #[schema(required)]
    stopped_at: Option<DateTime<Utc>>,
}

impl From<MailView> for ReportMail {
    fn from(view: MailView) -> Self {
        let mail = view.mail;
        let schedule = mail.schedule();
        let recipients = view.recipients.into_iter().map(|recipient| MailRecipient {
            membership: recipient.membership_id,
            name: recipient.name,
            skipped_because: recipient.skipped_because,
            stopped_at: recipient.stopped_at,
        });
        Self {
            id: mail.id,
            view: mail.saved_report_id,
            owner: mail.owner_id,
            rhythm: schedule.rhythm.as_str(),
            on_day: schedule.on_day,
            at_hour: schedule.at_hour,
            format: mail.format.as_str(),
            recipients: recipients.collect(),
            next_at: mail.next_at,
            last_sent_at: mail.last_sent_at,
            last_failure: mail.last_failure,
            last_failed_at: mail.last_failed_at,
        }
    }
}

impl Created for ReportMail {}
items!(ReportMail);

/// A mail to schedule.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewReportMail {
    /// View to mail, which the caller sees.
    #[schema(value_type = schemas::SavedReportId)]
    view: String,
    #[schema(value_type = schemas::Rhythm)]
    rhythm: String,
    /// Weekly: day of the week, 1 for Monday. Monthly: day of the month.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = i64, required = false, minimum = 1, maximum = 28)]
    on_day: Option<Integer>,
    /// Hour of the day in the network's time zone; 7 by default.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = i64, required = false, minimum = 0, maximum = 23)]
    at_hour: Option<Integer>,
    /// Format of the attached file; `csv` by default.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = schemas::FileFormat, required = false)]
    format: Option<String>,
    /// Members to mail: the caller by default, at most 20. Users of an advertiser or affiliate choose among themselves.
    #[serde(default)]
    #[schema(value_type = Vec<schemas::MembershipId>, required = false, max_items = 20)]
    recipients: Vec<String>,
}

impl NewReportMail {
    fn draft(&self) -> Draft {
        let number = |number: Option<Integer>| number.map_or(String::new(), |number| number.0.to_string());
        Draft::with([
            ("view", self.view.clone()),
            ("rhythm", self.rhythm.clone()),
            ("on_day", number(self.on_day)),
            ("at_hour", number(self.at_hour.or(Some(Integer(7))))),
            ("format", self.format.clone().unwrap_or_default()),
            ("recipients", self.recipients.join(",")),
        ])
    }
}

/// Fields to change. Absent fields keep their values.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReportMailPatch {
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = schemas::SavedReportId, required = false)]
    view: Option<String>,
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = schemas::Rhythm, required = false)]
    rhythm: Option<String>,
    /// Day of a weekly or monthly mail. A change to `daily` empties it.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = i64, required = false, minimum = 1, maximum = 28)]
    on_day: Option<Integer>,
    /// Hour of the day in the network's time zone.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = i64, required = false, minimum = 0, maximum = 23)]
    at_hour: Option<Integer>,
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = schemas::FileFormat, required = false)]
    format: Option<String>,
    /// Members to mail, at least one and at most 20; one who stopped the mail stays so.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Vec<schemas::MembershipId>, required = false, min_items = 1, max_items = 20)]
    recipients: Option<Vec<String>>,
}

impl ReportMailPatch {
    fn over(&self, mut draft: Draft) -> Draft {
        let number = |number: Option<Integer>| number.map(|number| number.0.to_string());
        if self.rhythm.as_deref() == Some("daily") {
            draft.set("on_day", "");
        }
        let fields = [
            ("view", self.view.clone()),
            ("rhythm", self.rhythm.clone()),
            ("on_day", number(self.on_day)),
            ("at_hour", number(self.at_hour)),
            ("format", self.format.clone()),
            ("recipients", self.recipients.as_ref().map(|ids| ids.join(","))),
        ];
        for (name, value) in fields {
            if let Some(value) = value {
                draft.set(name, value);
            }
        }
        draft
    }
}

/// Parameters of the list.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ReportMailParams {
    /// Maximum number of items of the page; 50 by default.
    #[param(value_type = i64, minimum = 1, maximum = 200, required = false)]
    limit: Option<i64>,
    /// Cursor: `next` of the previous page.
    #[param(value_type = schemas::ReportMailId, inline, required = false)]
    after: Option<String>,
}

/// List scheduled mails
///
/// Those of the caller; callers who may change campaigns also see those of the team's views. The next due comes first.
#[utoipa::path(get, path = "/report-mails", tag = "Reports", params(ReportMailParams), responses((status = 200, body = Page<ReportMail>)))]
pub(crate) async fn list(
    access: Allowed<needs::SeeReports>,
    api: Data<Api>,
    Params(params): Params<ReportMailParams>,
) -> Answer<Page<ReportMail>> {
    let window = Window::<ReportMailId>::of(params.limit, params.after.as_deref())?;
    let mut conn = access.network(&api.db).await?;
    let mails = mails::list(&mut conn, &access).await?;
    conn.commit().await?;
    Ok(Json(window.page_of_all(mails)?))
}

/// Schedule a mail
///
/// Each recipient gets the figures that the recipient's role sees. A recipient whose role may not see a part of the view
/// is skipped, with a notice to the owner.
#[utoipa::path(post, path = "/report-mails", tag = "Reports", params(IdempotencyKey), request_body = NewReportMail, responses((status = 201, body = ReportMail)))]
pub(crate) async fn create(
    access: Allowed<needs::SaveReports>,
    api: Data<Api>,
    key: IdempotencyKey,
    body: Body<NewReportMail>,
) -> Result<HttpResponse, ApiError> {
    let outcome = key.execute(&api, &access, &body.bytes, async |conn| {
        let mut draft = body.value.draft();
        let settings = MailSettings::check(&mut draft);
        let settings = draft.accepted(settings)?;
        let zone = networks::current(conn).await?.time_zone();
        let created = mails::create(conn, &access, &settings, zone, clock::now()).await?;
        Ok(ReportMail::from(created))
    });
    Ok(outcome.await?.response())
}

/// Get a scheduled mail
#[utoipa::path(
    get, path = "/report-mails/{id}", tag = "Reports",
    params(("id" = inline(schemas::ReportMailId), Path)),
    responses((status = 200, body = ReportMail))
)]
pub(crate) async fn show(
    access: Allowed<needs::SeeReports>,
    Id(id): Id<ReportMailId>,
    api: Data<Api>,
) -> Answer<ReportMail> {
    let mut conn = access.network(&api.db).await?;
    let found = mails::find(&mut conn, &access, id).await?;
    conn.commit().await?;
    Ok(Json(found.ok_or(ApiError::NotFound)?.into()))
}

/// Change a scheduled mail
///
/// It is due next by its new schedule.
#[utoipa::path(
    patch, path = "/report-mails/{id}", tag = "Reports",
    params(("id" = inline(schemas::ReportMailId), Path)),
    request_body = ReportMailPatch,
    responses((status = 200, body = ReportMail))
)]
pub(crate) async fn update(
    access: Allowed<needs::SaveReports>,
    Id(id): Id<ReportMailId>,
    api: Data<Api>,
    body: Body<ReportMailPatch>,
) -> Answer<ReportMail> {
    let mut conn = access.network(&api.db).await?;
    let old = mails::find(&mut conn, &access, id)
        .await?
        .ok_or(ApiError::NotFound)?;
    if body.value.recipients.as_ref().is_some_and(Vec::is_empty) {
        return Err(ApiError::field("recipients", "Choose at least one recipient."));
    }
    let mut draft = body.value.over(old.draft());
    let settings = MailSettings::check(&mut draft);
    let settings = draft.accepted(settings)?;
    let zone = networks::current(&mut conn).await?.time_zone();
    let changed = mails::update(&mut conn, &access, id, &settings, zone, clock::now()).await?;
    conn.commit().await?;
    Ok(Json(changed.into()))
}

/// Delete a scheduled mail
#[utoipa::path(
    delete, path = "/report-mails/{id}", tag = "Reports",
    params(("id" = inline(schemas::ReportMailId), Path)),
    responses((status = 204))
)]
pub(crate) async fn remove(
    access: Allowed<needs::SaveReports>,
    Id(id): Id<ReportMailId>,
    api: Data<Api>,
) -> Result<HttpResponse, ApiError> {
    let mut conn = access.network(&api.db).await?;
    mails::remove(&mut conn, &access, id, clock::now()).await?;
    conn.commit().await?;
    no_content()
}
