//! Scheduled mails of reports: the list with its form, and the public page that stops a mail.

use actix_web::http::StatusCode;
use actix_web::web;
use askama::Template;
use reports::mails::{self, FileFormat, MailSettings, MailView, Rhythm, StopToken};
use reports::saved;
use schema::clock;
use tenancy::{Draft, Permission, needs};

use crate::error::PageError;
use crate::forms::{self, Choice, PostedForm};
use crate::page::{Frame, Page, PageRequest, Submitted};
use crate::pages::id;
use crate::shell::{PageResult, Shell, TimeCell, done, html, html_with};

const HOME: &str = "/reports/mails";
const WEEKDAYS: [&str; 7] = [
    "Monday",
    "Tuesday",
    "Wednesday",
    "Thursday",
    "Friday",
    "Saturday",
    "Sunday",
];

/// `GET /reports/mails`
pub(super) async fn list(page: Page<needs::SeeReports>) -> PageResult {
    let query = page.request.http.query_string().to_owned();
    let mut draft = Draft::default();
    let of_view = form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "view");
    draft.set("view", of_view.map_or(String::new(), |(_, id)| id.into_owned()));
    draft.set("at_hour", "7");
    render(page, None, draft).await
}

/// `GET /reports/mails/{id}`: the list, with the mail in the form.
pub(super) async fn show(mut page: Page<needs::SaveReports>, path: web::Path<String>) -> PageResult {
    let found = mails::find(&mut page.conn, &page.actor, id(&path)?).await?;
    let draft = found.ok_or(PageError::NotFound)?.draft();
    render(page, Some(path.into_inner()), draft).await
}

async fn render<P>(mut page: Page<P>, edited: Option<String>, draft: Draft) -> PageResult {
    let views = saved::list(&mut page.conn, &page.actor).await?;
    let mails = mails::list(&mut page.conn, &page.actor).await?;
    let members = mails::candidates(&mut page.conn, &page.actor).await?;
    let frame = page.commit().await?;
    let chosen: Vec<&str> = draft.of("recipients").split(',').collect();
    let own = frame.actor.membership_id;
    let recipients = members.into_iter().map(|member| {
        let value = member.id.to_string();
        Choice {
            chosen: chosen.contains(&value.as_str())
                || (draft.of("recipients").is_empty() && member.id == own),
            label: match member.party {
                Some(party) => format!("{} ({party})", member.person_name),
                None => format!("{} ({})", member.person_name, member.role.kind().label()),
            },
            value,
        }
    });
    html_with(
        forms::status(&draft.errors),
        &List {
            shell: frame.shell("Reports", "Scheduled mails"),
            rows: mails.into_iter().map(|mail| row(mail, &frame)).collect(),
            views: Choice::list(
                views.into_iter().map(|view| (view.report.id, view.report.name)),
                draft.of("view"),
            ),
            rhythms: forms::choices(Rhythm::ALL, Rhythm::label, draft.of("rhythm")),
            hours: Choice::list(
                (0..24).map(|hour| (hour, format!("{hour:02}:00"))),
                draft.of("at_hour"),
            ),
            formats: Choice::list(
                FileFormat::ALL
                    .iter()
                    .map(|format| (format.as_str(), format.as_str().to_uppercase())),
                draft.of("format"),
            ),
            recipients: recipients.collect(),
            weekdays: Choice::list((1..).zip(WEEKDAYS), draft.of("on_day")),
            edited,
            may_save: frame.actor.may(Permission::SaveReports),
            zone: frame.network.time_zone().name(),
            draft,
        },
    )
}

fn row<P>(view: MailView, frame: &Frame<P>) -> MailRow {
    let mail = view.mail;
    let recipients = view.recipients.into_iter().map(|recipient| {
        let note = match (recipient.stopped_at, recipient.skipped_because) {
            (Some(_), _) => "stopped the mail".to_owned(),
            (None, Some(reason)) => format!("was skipped: {reason}"),
            (None, None) => String::new(),
        };
        (recipient.name, note)
    });
    MailRow {
        id: mail.id.to_string(),
        view: view.view,
        view_id: mail.saved_report_id.to_string(),
        schedule: mail.schedule().in_words(),
        format: mail.format.as_str().to_uppercase(),
        owner: view.owner,
        recipients: recipients.collect(),
        next: frame.time(mail.next_at),
        sent: mail.last_sent_at.map(|at| frame.time(at)),
        failure: mail
            .last_failure
            .zip(mail.last_failed_at)
            .map(|(reason, at)| (reason, frame.time(at))),
    }
}

/// `POST /reports/mails`
pub(super) async fn create(Submitted(mut page, form): Submitted<needs::SaveReports>) -> PageResult {
    let mut draft = draft(&form);
    let settings = MailSettings::check(&mut draft);
    let zone = page.network.time_zone();
    let created = match draft.clone().accepted(settings) {
        Ok(settings) => mails::create(&mut page.conn, &page.actor, &settings, zone, page.now).await,
        Err(error) => Err(error),
    };
    match created {
        Ok(_) => {
            page.commit().await?;
            done(HOME, "The mail is scheduled.")
        }
        Err(error) => {
            draft.errors = forms::field_errors(error)?;
            render(page.reopen().await?, None, draft).await
        }
    }
}

/// `POST /reports/mails/{id}`
pub(super) async fn update(
    Submitted(mut page, form): Submitted<needs::SaveReports>,
    path: web::Path<String>,
) -> PageResult {
    let mut draft = draft(&form);
    if draft.of("recipients").is_empty() {
        draft.errors.add("recipients", "Choose at least one recipient.");
    }
    let settings = MailSettings::check(&mut draft);
    let zone = page.network.time_zone();
    let changed = match draft.clone().accepted(settings) {
        Ok(settings) => {
            mails::update(&mut page.conn, &page.actor, id(&path)?, &settings, zone, page.now).await
        }
        Err(error) => Err(error),
    };
    match changed {
        Ok(_) => {
            page.commit().await?;
            done(HOME, "The scheduled mail was changed.")
        }
        Err(error) => {
            draft.errors = forms::field_errors(error)?;
            render(page.reopen().await?, Some(path.into_inner()), draft).await
        }
    }
}

/// Draft of the form, whose day has a field for each rhythm.
fn draft(form: &PostedForm) -> Draft {
    let mut draft = form.draft("", &MailSettings::FIELDS);
    draft.set("recipients", form.all("recipients").join(","));
    let on_day = match form.get("rhythm") {
        "weekly" => form.get("weekday"),
        "monthly" => form.get("month_day"),
        _ => "",
    };
    draft.set("on_day", on_day);
    draft
}

/// `POST /reports/mails/{id}/remove`
pub(super) async fn remove(
    Submitted(mut page, _): Submitted<needs::SaveReports>,
    path: web::Path<String>,
) -> PageResult {
    mails::remove(&mut page.conn, &page.actor, id(&path)?, page.now).await?;
    page.commit().await?;
    done(HOME, "The scheduled mail was removed.")
}

/// `GET /report-mails/{token}/stop`: asks first, because programs that check mails open links.
pub(super) async fn ask_to_stop(request: PageRequest, path: web::Path<String>) -> PageResult {
    let token = token(&request, &path)?;
    let mut conn = request.dashboard.db.network(token.network_id).await?;
    let found = mails::stopped(&mut conn, token).await?;
    conn.commit().await?;
    let (view, stopped_at) = found.ok_or(PageError::UsedLink)?;
    html(&Stop {
        theme: request.theme(),
        view,
        is_stopped: stopped_at.is_some(),
        action: format!("/report-mails/{path}/stop"),
    })
}

/// `POST /report-mails/{token}/stop`: from the page, or from a mail program (RFC 8058), which has no form token. The
/// link itself is the secret.
pub(super) async fn stop(request: PageRequest, path: web::Path<String>) -> PageResult {
    let token = token(&request, &path)?;
    let mut conn = request.dashboard.db.network(token.network_id).await?;
    let view = mails::stop(&mut conn, token, clock::now()).await?;
    conn.commit().await?;
    html_with(
        StatusCode::OK,
        &Stop {
            theme: request.theme(),
            view: view.ok_or(PageError::UsedLink)?,
            is_stopped: true,
            action: String::new(),
        },
    )
}

fn token(request: &PageRequest, text: &str) -> Result<StopToken, PageError> {
    StopToken::parse(text, &request.dashboard.secret).ok_or(PageError::UsedLink)
}

struct MailRow {
    id: String,
    view: String,
    view_id: String,
    schedule: String,
    format: String,
    owner: String,
    /// Name of each recipient, with a note.
    recipients: Vec<(String, String)>,
    next: TimeCell,
    sent: Option<TimeCell>,
    failure: Option<(String, TimeCell)>,
}

#[derive(Template)]
#[template(path = "figures/report_mails/list.html")]
struct List {
    shell: Shell,
    rows: Vec<MailRow>,
    views: Vec<Choice>,
    rhythms: Vec<Choice>,
    hours: Vec<Choice>,
    formats: Vec<Choice>,
    recipients: Vec<Choice>,
    weekdays: Vec<Choice>,
    /// Mail that the form changes; `None` for a new one.
    edited: Option<String>,
    may_save: bool,
    zone: &'static str,
    draft: Draft,
}

#[derive(Template)]
#[template(path = "figures/report_mails/stop.html")]
struct Stop {
    theme: &'static str,
    view: String,
    is_stopped: bool,
    action: String,
}
