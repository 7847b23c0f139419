//! Applications of affiliates: the list, one application, and its decision.

use actix_web::web;
use askama::Template;
use schema::ApplicationId;
use serde::Deserialize;
use tenancy::applications::{self, Answered, Application, ApplicationStatus};
use tenancy::{Delivery, OneTimeToken, Permission, mail_templates, needs, networks};

use crate::error::PageError;
use crate::listing::{self, Tab};
use crate::page::{Frame, Page, Submitted};
use crate::pages::id;
use crate::shell::{PageResult, Shell, TimeCell, done, html, set_cookie};
use crate::urls;

/// Filters of the list, from the query string.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Filters {
    #[serde(default)]
    status: String,
    #[serde(default)]
    before: String,
}

/// `GET /applications`
pub(super) async fn list(mut page: Page<needs::SeeParties>, filters: web::Query<Filters>) -> PageResult {
    let status: Option<ApplicationStatus> = listing::word(&filters.status)?;
    let slug = networks::slug(&mut page.conn).await?;
    let found = applications::list(
        &mut page.conn,
        status,
        listing::id(&filters.before)?,
        listing::QUERIED,
    )
    .await?;
    let frame = page.commit().await?;
    let kept = [("status", filters.status.as_str())];
    let (found, older) = listing::cut(found, "/applications", &kept, |row| row.id);
    html(&List {
        shell: frame.shell("Applications", "Applications"),
        tabs: listing::tabs("/applications", ApplicationStatus::ALL, status),
        join: frame
            .network
            .joining
            .join_open
            .then(|| format!("{}/join/{slug}", frame.request.dashboard.dashboard_url)),
        rows: found
            .into_iter()
            .map(|application| Row {
                url: urls::application(application.id),
                time: frame.time(application.created_at),
                name: application.name,
                email: application.email,
                website: application.website,
                status: application.status.as_str(),
            })
            .collect(),
        older,
    })
}

/// `GET /applications/{id}`
pub(super) async fn show(mut page: Page<needs::SeeParties>, path: web::Path<String>) -> PageResult {
    let application_id: ApplicationId = id(&path)?;
    let found = applications::find(&mut page.conn, application_id).await?;
    let frame = page.commit().await?;
    let application = found.ok_or(PageError::NotFound)?;
    let url = urls::application(application.id);
    let mut response = html(&Show {
        shell: frame.shell("Applications", &application.name),
        fresh_link: frame.request.fresh_invitation(),
        answers: application.answers(),
        time: frame.time(application.created_at),
        pending: application.status == ApplicationStatus::Pending,
        may_decide: frame.actor.may(Permission::ManageParties),
        affiliate: application.affiliate_id.map(urls::affiliate),
        status: application.status.as_str(),
        email: application.email,
        website: application.website,
        reason: application.reason,
        url: url.clone(),
    })?;
    set_cookie(&mut response, &frame.request.dashboard.cookies.end_flash(&url));
    Ok(response)
}

/// `POST /applications/{id}/approve`
pub(super) async fn approve(
    Submitted(mut page, _): Submitted<needs::ManageParties>,
    path: web::Path<String>,
) -> PageResult {
    let application_id: ApplicationId = id(&path)?;
    let (application, token) =
        applications::approve(&mut page.conn, &page.actor.author(), application_id, page.now).await?;
    let slug = networks::slug(&mut page.conn).await?;
    let frame = page.commit().await?;
    let url = urls::application(application_id);
    match notify(&frame, &slug, &application, Some(&token)).await {
        Delivery::Sent => done(
            &url,
            &format!("{} was approved and invited by email.", application.name),
        ),
        _ => frame.request.show_secret(&url, token.as_str()),
    }
}

/// `POST /applications/{id}/decline`
pub(super) async fn decline(
    Submitted(mut page, form): Submitted<needs::ManageParties>,
    path: web::Path<String>,
) -> PageResult {
    let application_id: ApplicationId = id(&path)?;
    let author = page.actor.author();
    let application = applications::decline(
        &mut page.conn,
        &author,
        application_id,
        form.get("reason"),
        page.now,
    )
    .await?;
    let slug = networks::slug(&mut page.conn).await?;
    let frame = page.commit().await?;
    notify(&frame, &slug, &application, None).await;
    let sentence = format!("The application of {} was declined.", application.name);
    done(&urls::application(application_id), &sentence)
}

/// Mails the decision to the applicant, with an invitation if approved.
async fn notify<P>(
    frame: &Frame<P>,
    slug: &str,
    application: &Application,
    invitation: Option<&OneTimeToken>,
) -> Delivery {
    let (dashboard, name) = (&frame.request.dashboard, &frame.network.name);
    let (url, email, reason) = (&dashboard.dashboard_url, &application.email, &application.reason);
    let mail = mail_templates::application_decided(url, name, slug, email, invitation, reason);
    dashboard.mailer.send(&mail).await
}

struct Row {
    url: String,
    time: TimeCell,
    name: String,
    email: String,
    website: String,
    status: &'static str,
}

#[derive(Template)]
#[template(path = "network/applications/list.html")]
struct List {
    shell: Shell,
    tabs: Vec<Tab>,
    join: Option<String>,
    rows: Vec<Row>,
    older: Option<String>,
}

#[derive(Template)]
#[template(path = "network/applications/show.html")]
struct Show {
    shell: Shell,
    url: String,
    fresh_link: Option<String>,
    time: TimeCell,
    status: &'static str,
    pending: bool,
    may_decide: bool,
    email: String,
    website: String,
    reason: String,
    answers: Vec<Answered>,
    affiliate: Option<String>,
}
