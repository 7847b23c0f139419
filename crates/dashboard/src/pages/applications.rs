//! Applications of affiliates: the list, one of them, and its decision.

use actix_web::{HttpRequest, web};
use askama::Template;
use schema::{ApplicationId, clock};
use serde::Deserialize;
use tenancy::applications::{self, Answered, Application, ApplicationStatus};
use tenancy::networks::{self, Network};
use tenancy::{Delivery, OneTimeToken, Permission, mail_templates, needs};

use super::id;
use crate::auth::{Allowed, fresh_secret};
use crate::error::PageError;
use crate::forms::PostedForm;
use crate::listing::{self, Tab};
use crate::shell::{PageResult, Shell, TimeCell, page, see_other, set_cookie, show_secret};
use crate::{Dashboard, urls};

/// The filters of the list, as its URL has them.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Filters {
    #[serde(default)]
    status: String,
    #[serde(default)]
    before: String,
}

/// `GET /applications`
pub(super) async fn list(
    request: HttpRequest,
    dashboard: web::Data<Dashboard>,
    actor: Allowed<needs::SeeParties>,
    filters: web::Query<Filters>,
) -> PageResult {
    let status: Option<ApplicationStatus> = listing::word(&filters.status)?;
    let mut conn = actor.network(&dashboard.db).await?;
    let network = networks::current(&mut conn).await?;
    let slug = networks::slug(&mut conn).await?;
    let found = applications::list(&mut conn, status, listing::id(&filters.before)?, listing::ASK).await?;
    conn.commit().await?;
    let kept = [("status", filters.status.as_str())];
    let (found, older) = listing::cut(found, "/applications", &kept, |row| row.id);
    let now = clock::now();
    page(&List {
        shell: Shell::new(
            &dashboard,
            &request,
            &actor,
            &network,
            "Applications",
            "Applications",
        ),
        tabs: listing::tabs("/applications", ApplicationStatus::ALL, status),
        join: network
            .joining
            .join_open
            .then(|| format!("{}/join/{slug}", dashboard.dashboard_url)),
        rows: found
            .into_iter()
            .map(|it| Row {
                url: urls::application(it.id),
                time: TimeCell::new(it.created_at, now, &network),
                name: it.name,
                email: it.email,
                website: it.website,
                status: it.status.as_str(),
            })
            .collect(),
        older,
    })
}

/// `GET /applications/{id}`
pub(super) async fn show(
    request: HttpRequest,
    dashboard: web::Data<Dashboard>,
    actor: Allowed<needs::SeeParties>,
    path: web::Path<String>,
) -> PageResult {
    let application_id: ApplicationId = id(&path)?;
    let mut conn = actor.network(&dashboard.db).await?;
    let network = networks::current(&mut conn).await?;
    let found = applications::find(&mut conn, application_id).await?;
    conn.commit().await?;
    let it = found.ok_or(PageError::NotFound)?;
    let url = urls::application(it.id);
    let fresh = fresh_secret(&request).map(|token| {
        mail_templates::invitation_link(&dashboard.dashboard_url, &OneTimeToken::from_link(&token))
    });
    let now = clock::now();
    let mut response = page(&Show {
        shell: Shell::new(&dashboard, &request, &actor, &network, "Applications", &it.name),
        fresh_link: fresh,
        answers: it.answers(),
        time: TimeCell::new(it.created_at, now, &network),
        pending: it.status == ApplicationStatus::Pending,
        may_decide: actor.may(Permission::ManageParties),
        affiliate: it.affiliate_id.map(urls::affiliate),
        status: it.status.as_str(),
        email: it.email,
        website: it.website,
        reason: it.reason,
        url: url.clone(),
    })?;
    set_cookie(&mut response, &dashboard.cookies.end_flash(&url));
    Ok(response)
}

/// `POST /applications/{id}/approve`
pub(super) async fn approve(
    dashboard: web::Data<Dashboard>,
    actor: Allowed<needs::ManageParties>,
    path: web::Path<String>,
    _form: PostedForm,
) -> PageResult {
    let application_id: ApplicationId = id(&path)?;
    let mut conn = actor.network(&dashboard.db).await?;
    let (application, token) =
        applications::approve(&mut conn, &actor.author(), application_id, clock::now()).await?;
    let network = networks::current(&mut conn).await?;
    let slug = networks::slug(&mut conn).await?;
    conn.commit().await?;
    let url = urls::application(application_id);
    match tell(&dashboard, &network, &slug, &application, Some(&token)).await {
        Delivery::Sent => see_other(&url),
        _ => show_secret(&dashboard, &url, token.as_str()),
    }
}

/// `POST /applications/{id}/decline`
pub(super) async fn decline(
    dashboard: web::Data<Dashboard>,
    actor: Allowed<needs::ManageParties>,
    path: web::Path<String>,
    form: PostedForm,
) -> PageResult {
    let application_id: ApplicationId = id(&path)?;
    let (author, now) = (actor.author(), clock::now());
    let mut conn = actor.network(&dashboard.db).await?;
    let application =
        applications::decline(&mut conn, &author, application_id, form.get("reason"), now).await?;
    let network = networks::current(&mut conn).await?;
    let slug = networks::slug(&mut conn).await?;
    conn.commit().await?;
    tell(&dashboard, &network, &slug, &application, None).await;
    see_other(&urls::application(application_id))
}

async fn tell(
    dashboard: &Dashboard,
    network: &Network,
    slug: &str,
    application: &Application,
    approved: Option<&OneTimeToken>,
) -> Delivery {
    let (url, email) = (&dashboard.dashboard_url, &application.email);
    let mail =
        mail_templates::application_decided(url, &network.name, slug, email, approved, &application.reason);
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
#[template(path = "applications/list.html")]
struct List {
    shell: Shell,
    tabs: Vec<Tab>,
    join: Option<String>,
    rows: Vec<Row>,
    older: Option<String>,
}

#[derive(Template)]
#[template(path = "applications/show.html")]
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
