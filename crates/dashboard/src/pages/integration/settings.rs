//! Settings of an advertiser's integration: authentication, accepted addresses, response format.

use actix_web::web;
use campaigns::integrations::{self, IntegrationSettings};
use tenancy::needs;

use super::advertiser::find;
use super::overview::{Owner, SIGNING, render};
use crate::page::Submitted;
use crate::shell::{PageResult, saved, see_other};
use crate::urls;

/// `POST /integration/{advertiser}`
pub(super) async fn update(
    Submitted(mut page, form): Submitted<needs::Configure>,
    path: web::Path<String>,
) -> PageResult {
    let advertiser = find(&mut page.conn, &page.actor, &path).await?;
    let known = integrations::find(&mut page.conn, advertiser.id).await?;
    let mut form = form.draft("", &IntegrationSettings::FIELDS);
    if known.is_none() {
        form.errors.add("requires_token", "Create a token first.");
    }
    match known.and_then(|known| IntegrationSettings::check(&mut form, &known)) {
        Some(settings) => {
            let author = page.actor.author();
            integrations::update(&mut page.conn, &author, advertiser.id, &settings, page.now).await?;
            page.commit().await?;
            saved(&urls::integration(advertiser.id))
        }
        None => render(page, Owner::Advertiser(advertiser), Some(form)).await,
    }
}

/// `POST /integration/{advertiser}/secret`: replaces the advertiser's signing secret and shows the new one once.
pub(super) async fn new_secret(
    Submitted(mut page, _): Submitted<needs::RotateToken>,
    path: web::Path<String>,
) -> PageResult {
    let advertiser = find(&mut page.conn, &page.actor, &path).await?;
    let url = urls::integration(advertiser.id);
    let (author, key) = (page.actor.author(), &page.request.dashboard.secret);
    match integrations::new_signing_secret(&mut page.conn, &author, key, advertiser.id, page.now).await? {
        Some(secret) => {
            let frame = page.commit().await?;
            frame.request.show_secret(&url, &format!("{SIGNING}{secret}"))
        }
        None => see_other(&url),
    }
}
