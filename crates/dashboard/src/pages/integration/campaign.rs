//! How an advertiser's server is connected for one campaign: as for all its campaigns, or in a way of its own.

use actix_web::{HttpRequest, HttpResponse, web};
use askama::Template;
use campaigns::campaigns::Campaign;
use campaigns::integrations::{self, IntegrationSettings};
use schema::{NetworkConn, clock};
use tenancy::{Actor, Permission, needs, networks};

use super::advertiser::{SIGNING, Whose, overlap, render};
use crate::auth::Allowed;
use crate::error::PageError;
use crate::forms::PostedForm;
use crate::pages::campaigns::going_live::{find, section};
use crate::shell::{PageResult, Shell, page, saved, see_other, set_cookie, show_secret};
use crate::{Dashboard, urls};

/// `GET /campaigns/{id}/integration`
pub(super) async fn show(
    request: HttpRequest,
    dashboard: web::Data<Dashboard>,
    actor: Allowed<needs::SeeIntegration>,
    path: web::Path<String>,
) -> PageResult {
    let mut conn = actor.network(&dashboard.db).await?;
    let campaign = find(&mut conn, &actor, &path).await?;
    let home = urls::campaign_integration(campaign.id);
    let mut response = match integrations::find(&mut conn, &campaign).await? {
        Some(_) => {
            let whose = Whose::Campaign(Box::new(campaign));
            render(&request, &dashboard, &actor, conn, whose, None).await?
        }
        None => render_advertisers(&request, &dashboard, &actor, conn, &campaign).await?,
    };
    set_cookie(&mut response, &dashboard.cookies.end_flash(&home));
    Ok(response)
}

/// `POST /campaigns/{id}/integration`: changes the campaign's own.
pub(super) async fn update(
    request: HttpRequest,
    dashboard: web::Data<Dashboard>,
    actor: Allowed<needs::Configure>,
    path: web::Path<String>,
    form: PostedForm,
) -> PageResult {
    let mut conn = actor.network(&dashboard.db).await?;
    let campaign = find(&mut conn, &actor, &path).await?;
    let page = urls::campaign_integration(campaign.id);
    let Some(known) = integrations::lock(&mut conn, &campaign).await? else {
        return see_other(&page);
    };
    let mut form = form.draft("", &IntegrationSettings::FIELDS);
    match IntegrationSettings::check(&mut form, &known) {
        Some(settings) => {
            integrations::update(&mut conn, &actor.author(), &campaign, &settings, clock::now()).await?;
            conn.commit().await?;
            saved(&page)
        }
        None => {
            let whose = Whose::Campaign(Box::new(campaign));
            render(&request, &dashboard, &actor, conn, whose, Some(form)).await
        }
    }
}

/// `POST /campaigns/{id}/integration/make`: gives the campaign an integration of its own, with its advertiser's settings
/// and a fresh token, which is shown once.
pub(super) async fn make(
    dashboard: web::Data<Dashboard>,
    actor: Allowed<needs::Configure>,
    path: web::Path<String>,
    form: PostedForm,
) -> PageResult {
    let mut conn = actor.network(&dashboard.db).await?;
    let campaign = find(&mut conn, &actor, &path).await?;
    let page = urls::campaign_integration(campaign.id);
    match integrations::lock(&mut conn, &campaign).await? {
        // Pressed twice: the token that is shown stays good.
        Some(_) => see_other(&page),
        None => fresh_token(&dashboard, &actor, conn, &campaign, &form).await,
    }
}

/// `POST /campaigns/{id}/integration/token`: a fresh token, and how long the one before is still taken.
pub(super) async fn new_token(
    dashboard: web::Data<Dashboard>,
    actor: Allowed<needs::RotateToken>,
    path: web::Path<String>,
    form: PostedForm,
) -> PageResult {
    let mut conn = actor.network(&dashboard.db).await?;
    let campaign = find(&mut conn, &actor, &path).await?;
    match integrations::lock(&mut conn, &campaign).await? {
        Some(_) => fresh_token(&dashboard, &actor, conn, &campaign, &form).await,
        None => see_other(&urls::campaign_integration(campaign.id)),
    }
}

/// `POST /campaigns/{id}/integration/secret`: gives the campaign a fresh signing secret and shows it, once.
pub(super) async fn new_secret(
    dashboard: web::Data<Dashboard>,
    actor: Allowed<needs::RotateToken>,
    path: web::Path<String>,
    _form: PostedForm,
) -> PageResult {
    let mut conn = actor.network(&dashboard.db).await?;
    let campaign = find(&mut conn, &actor, &path).await?;
    let page = urls::campaign_integration(campaign.id);
    let (author, now) = (actor.author(), clock::now());
    match integrations::new_signing_secret(&mut conn, &author, &dashboard.secret, &campaign, now).await? {
        Some(secret) => {
            conn.commit().await?;
            show_secret(&dashboard, &page, &format!("{SIGNING}{secret}"))
        }
        None => see_other(&page),
    }
}

/// `POST /campaigns/{id}/integration/remove`: back to the advertiser's.
pub(super) async fn remove(
    dashboard: web::Data<Dashboard>,
    actor: Allowed<needs::Configure>,
    path: web::Path<String>,
    _form: PostedForm,
) -> PageResult {
    let mut conn = actor.network(&dashboard.db).await?;
    let campaign = find(&mut conn, &actor, &path).await?;
    integrations::remove_own(&mut conn, &actor.author(), &campaign, clock::now()).await?;
    conn.commit().await?;
    see_other(&urls::campaign_integration(campaign.id))
}

async fn fresh_token(
    dashboard: &Dashboard,
    actor: &Actor,
    mut conn: NetworkConn,
    campaign: &Campaign,
    form: &PostedForm,
) -> PageResult {
    let (author, overlap) = (actor.author(), overlap(form));
    let token = integrations::new_token(&mut conn, &author, campaign, overlap, clock::now()).await?;
    conn.commit().await?;
    show_secret(
        dashboard,
        &urls::campaign_integration(campaign.id),
        token.as_str(),
    )
}

/// The page of a campaign that has none of its own.
async fn render_advertisers(
    request: &HttpRequest,
    dashboard: &Dashboard,
    actor: &Actor,
    mut conn: NetworkConn,
    campaign: &Campaign,
) -> Result<HttpResponse, PageError> {
    let network = networks::current(&mut conn).await?;
    conn.commit().await?;
    let title = format!("Integration of {}", campaign.name);
    page(&Advertisers {
        shell: Shell::new(dashboard, request, actor, &network, section(actor), &title),
        url: urls::campaign_integration(campaign.id),
        advertisers: urls::integration(campaign.advertiser_id),
        may_configure: actor.may(Permission::Configure),
    })
}

#[derive(Template)]
#[template(path = "integration/campaign/shared.html")]
struct Advertisers {
    shell: Shell,
    url: String,
    advertisers: String,
    may_configure: bool,
}
