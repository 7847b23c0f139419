//! Integration of one advertiser: the page, and its token.

use actix_web::web;
use campaigns::integrations;
use chrono::TimeDelta;
use schema::{AdvertiserId, NetworkConn};
use tenancy::advertisers::Advertiser;
use tenancy::{Actor, advertisers, needs};

use super::overview::{Owner, render};
use crate::error::PageError;
use crate::forms::PostedForm;
use crate::page::{Caller, Page, Submitted};
use crate::pages::id;
use crate::shell::{PageResult, see_other, set_cookie};
use crate::urls;

/// `GET /integration`: redirects to the integration of the actor's advertiser.
pub(super) async fn own(caller: Caller<needs::SeeIntegration>) -> PageResult {
    match caller.actor.scope().advertiser {
        Some(id) => see_other(&urls::integration(id)),
        None => see_other("/advertisers"),
    }
}

/// `GET /integration/{advertiser}`
pub(super) async fn show(mut page: Page<needs::SeeIntegration>, path: web::Path<String>) -> PageResult {
    let advertiser = find(&mut page.conn, &page.actor, &path).await?;
    let url = urls::integration(advertiser.id);
    let end_flash = page.request.dashboard.cookies.end_flash(&url);
    let mut response = render(page, Owner::Advertiser(advertiser), None).await?;
    set_cookie(&mut response, &end_flash);
    Ok(response)
}

/// `POST /integration/{advertiser}/token`: replaces the token; the previous one stays valid for the given hours.
pub(super) async fn new_token(
    Submitted(mut page, form): Submitted<needs::RotateToken>,
    path: web::Path<String>,
) -> PageResult {
    let advertiser = find(&mut page.conn, &page.actor, &path).await?;
    let (author, overlap) = (page.actor.author(), overlap(&form));
    let token = integrations::new_token(&mut page.conn, &author, advertiser.id, overlap, page.now).await?;
    let frame = page.commit().await?;
    frame
        .request
        .show_secret(&urls::integration(advertiser.id), token.as_str())
}

/// Advertiser of a path, if the actor may see it.
pub(super) async fn find(conn: &mut NetworkConn, actor: &Actor, path: &str) -> Result<Advertiser, PageError> {
    let advertiser_id: AdvertiserId = id(path)?;
    Ok(advertisers::find_visible(conn, actor.scope(), advertiser_id).await?)
}

/// Time for which the previous token stays valid. A text that is no number means not at all.
pub(super) fn overlap(form: &PostedForm) -> TimeDelta {
    let hours = form.get("overlap_hours").parse().unwrap_or(0);
    TimeDelta::hours(i64::clamp(hours, 0, integrations::LONGEST_OVERLAP_HOURS))
}
