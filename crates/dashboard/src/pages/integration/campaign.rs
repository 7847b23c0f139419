//! Integration of one campaign: shared with its advertiser, or specific to the campaign.

use actix_web::web;
use askama::Template;
use campaigns::campaigns::Campaign;
use campaigns::integrations::{self, IntegrationSettings};
use tenancy::{Permission, needs};

use super::advertiser::overlap;
use super::overview::{Owner, SIGNING, render};
use crate::forms::PostedForm;
use crate::page::{Page, Submitted};
use crate::pages::campaigns::going_live::{find, section};
use crate::shell::{PageResult, Shell, html, saved, see_other, set_cookie};
use crate::urls;

/// `GET /campaigns/{id}/integration`
pub(super) async fn show(mut page: Page<needs::SeeIntegration>, path: web::Path<String>) -> PageResult {
    let campaign = find(&mut page.conn, &page.actor, &path).await?;
    let url = urls::campaign_integration(campaign.id);
    let end_flash = page.request.dashboard.cookies.end_flash(&url);
    let mut response = match integrations::find(&mut page.conn, &campaign).await? {
        Some(_) => render(page, Owner::Campaign(Box::new(campaign)), None).await?,
        None => render_shared(page, &campaign).await?,
    };
    set_cookie(&mut response, &end_flash);
    Ok(response)
}

/// `POST /campaigns/{id}/integration`: changes the campaign's integration.
pub(super) async fn update(
    Submitted(mut page, form): Submitted<needs::Configure>,
    path: web::Path<String>,
) -> PageResult {
    let campaign = find(&mut page.conn, &page.actor, &path).await?;
    let url = urls::campaign_integration(campaign.id);
    let Some(known) = integrations::lock(&mut page.conn, &campaign).await? else {
        return see_other(&url);
    };
    let mut form = form.draft("", &IntegrationSettings::FIELDS);
    match IntegrationSettings::check(&mut form, &known) {
        Some(settings) => {
            integrations::update(
                &mut page.conn,
                &page.actor.author(),
                &campaign,
                &settings,
                page.now,
            )
            .await?;
            page.commit().await?;
            saved(&url)
        }
        None => render(page, Owner::Campaign(Box::new(campaign)), Some(form)).await,
    }
}

/// `POST /campaigns/{id}/integration/make`: creates an integration of the campaign, with its advertiser's settings and a new
/// token that is shown once.
pub(super) async fn make(
    Submitted(mut page, form): Submitted<needs::Configure>,
    path: web::Path<String>,
) -> PageResult {
    let campaign = find(&mut page.conn, &page.actor, &path).await?;
    let (author, overlap) = (page.actor.author(), overlap(&form));
    let token = integrations::create_own(&mut page.conn, &author, &campaign, overlap, page.now).await?;
    let frame = page.commit().await?;
    frame
        .request
        .show_secret(&urls::campaign_integration(campaign.id), token.as_str())
}

/// `POST /campaigns/{id}/integration/token`: replaces the token; the previous one stays valid for the given hours.
pub(super) async fn new_token(
    Submitted(mut page, form): Submitted<needs::RotateToken>,
    path: web::Path<String>,
) -> PageResult {
    let campaign = find(&mut page.conn, &page.actor, &path).await?;
    match integrations::lock(&mut page.conn, &campaign).await? {
        Some(_) => replace_token(page, &campaign, &form).await,
        None => see_other(&urls::campaign_integration(campaign.id)),
    }
}

/// `POST /campaigns/{id}/integration/secret`: replaces the campaign's signing secret and shows the new one once.
pub(super) async fn new_secret(
    Submitted(mut page, _): Submitted<needs::RotateToken>,
    path: web::Path<String>,
) -> PageResult {
    let campaign = find(&mut page.conn, &page.actor, &path).await?;
    let url = urls::campaign_integration(campaign.id);
    let (author, key) = (page.actor.author(), &page.request.dashboard.secret);
    match integrations::new_signing_secret(&mut page.conn, &author, key, &campaign, page.now).await? {
        Some(secret) => {
            let frame = page.commit().await?;
            frame.request.show_secret(&url, &format!("{SIGNING}{secret}"))
        }
        None => see_other(&url),
    }
}

/// `POST /campaigns/{id}/integration/remove`: returns the campaign to its advertiser's integration.
pub(super) async fn remove(
    Submitted(mut page, _): Submitted<needs::Configure>,
    path: web::Path<String>,
) -> PageResult {
    let campaign = find(&mut page.conn, &page.actor, &path).await?;
    integrations::remove_own(&mut page.conn, &page.actor.author(), &campaign, page.now).await?;
    page.commit().await?;
    see_other(&urls::campaign_integration(campaign.id))
}

/// Replaces the token of a campaign's integration.
async fn replace_token<P>(mut page: Page<P>, campaign: &Campaign, form: &PostedForm) -> PageResult {
    let (author, overlap) = (page.actor.author(), overlap(form));
    let token = integrations::new_token(&mut page.conn, &author, campaign, overlap, page.now).await?;
    let frame = page.commit().await?;
    frame
        .request
        .show_secret(&urls::campaign_integration(campaign.id), token.as_str())
}

/// Page of a campaign without an integration, which shares its advertiser's.
async fn render_shared<P>(page: Page<P>, campaign: &Campaign) -> PageResult {
    let frame = page.commit().await?;
    let title = format!("Integration of {}", campaign.name);
    html(&Shared {
        shell: frame.shell(section(&frame.actor), &title),
        url: urls::campaign_integration(campaign.id),
        advertisers: urls::integration(campaign.advertiser_id),
        may_configure: frame.actor.may(Permission::Configure),
    })
}

#[derive(Template)]
#[template(path = "integration/campaign/shared.html")]
struct Shared {
    shell: Shell,
    url: String,
    advertisers: String,
    may_configure: bool,
}
