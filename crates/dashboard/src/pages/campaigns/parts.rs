//! Lists of a campaign: landing pages, caps, coupons, promoters.

use actix_web::web;
use campaigns::campaigns::Campaign;
use campaigns::caps::{self, NewCap};
use campaigns::coupons::{self, Coupon};
use campaigns::landing_pages::{self, LandingPageSettings};
use campaigns::promoters::{self, Promoter, PromoterStatus};
use schema::{AffiliateId, LandingPageId};
use tenancy::{affiliates, needs};

use super::campaign::find;
use super::settings::{Forms, render};
use crate::error::PageError;
use crate::forms::field_errors;
use crate::page::{Page, Submitted};
use crate::pages::id;
use crate::shell::{PageResult, saved};
use crate::urls;

/// `POST /campaigns/{id}/landing-pages`
pub(super) async fn add_landing_page(
    Submitted(mut page, form): Submitted<needs::Configure>,
    path: web::Path<String>,
) -> PageResult {
    let campaign = find(&mut page.conn, &page.actor, &path).await?;
    let mut draft = form.draft("page_", &LandingPageSettings::FIELDS);
    if let Some(new) = LandingPageSettings::check(&mut draft, &campaign.sending) {
        let author = page.actor.author();
        match landing_pages::create(&mut page.conn, &author, campaign.id, &new, page.now).await {
            Ok(_) => return added(page, &campaign).await,
            Err(error) => draft.errors = field_errors(error)?,
        }
    }
    let forms = Forms {
        page: draft,
        ..Forms::default()
    };
    show_again(page, campaign, forms).await
}

/// `POST /campaigns/{id}/landing-pages/remove`
pub(super) async fn remove_landing_page(
    Submitted(mut page, form): Submitted<needs::Configure>,
    path: web::Path<String>,
) -> PageResult {
    let campaign = find(&mut page.conn, &page.actor, &path).await?;
    let page_id: LandingPageId = id(form.get("landing_page"))?;
    let of_campaign = landing_pages::of_campaign(&mut page.conn, campaign.id).await?;
    if !of_campaign.iter().any(|page| page.id == page_id) {
        return Err(PageError::NotFound);
    }
    landing_pages::remove(&mut page.conn, &page.actor.author(), page_id, page.now).await?;
    page.commit().await?;
    saved(&urls::campaign_settings(campaign.id))
}

/// `POST /campaigns/{id}/caps`
pub(super) async fn add_cap(
    Submitted(mut page, form): Submitted<needs::Configure>,
    path: web::Path<String>,
) -> PageResult {
    let campaign = find(&mut page.conn, &page.actor, &path).await?;
    let mut cap = form.draft("cap_", &NewCap::FIELDS);
    if let Some(new) = NewCap::check(&mut page.conn, &mut cap, campaign.id).await? {
        let author = page.actor.author();
        let made = page
            .conn
            .attempt(async |conn| caps::create(conn, &author, &new, page.now).await);
        match made.await {
            Ok(_) => return added(page, &campaign).await,
            Err(error) => cap.errors = field_errors(error)?,
        }
    }
    let forms = Forms {
        cap,
        ..Forms::default()
    };
    show_again(page, campaign, forms).await
}

/// `POST /campaigns/{id}/caps/remove`
pub(super) async fn remove_cap(
    Submitted(mut page, form): Submitted<needs::Configure>,
    path: web::Path<String>,
) -> PageResult {
    let campaign = find(&mut page.conn, &page.actor, &path).await?;
    let cap_id = id(form.get("cap"))?;
    if !caps::remove(
        &mut page.conn,
        &page.actor.author(),
        campaign.id,
        cap_id,
        page.now,
    )
    .await?
    {
        return Err(PageError::NotFound);
    }
    page.commit().await?;
    saved(&urls::campaign_settings(campaign.id))
}

/// `POST /campaigns/{id}/coupons`
pub(super) async fn add_coupon(
    Submitted(mut page, form): Submitted<needs::Configure>,
    path: web::Path<String>,
) -> PageResult {
    let campaign = find(&mut page.conn, &page.actor, &path).await?;
    let mut coupon = form.draft("coupon_", &Coupon::FIELDS);
    if let Some(new) = Coupon::check(&mut page.conn, &mut coupon, campaign.id).await? {
        let author = page.actor.author();
        let made = page
            .conn
            .attempt(async |conn| coupons::create(conn, &author, &new, page.now).await);
        match made.await {
            Ok(()) => return added(page, &campaign).await,
            Err(error) => coupon.errors = field_errors(error)?,
        }
    }
    let forms = Forms {
        coupon,
        ..Forms::default()
    };
    show_again(page, campaign, forms).await
}

/// `POST /campaigns/{id}/coupons/remove`
pub(super) async fn remove_coupon(
    Submitted(mut page, form): Submitted<needs::Configure>,
    path: web::Path<String>,
) -> PageResult {
    let campaign = find(&mut page.conn, &page.actor, &path).await?;
    let code = form.get("code");
    if !coupons::remove(&mut page.conn, &page.actor.author(), campaign.id, code, page.now).await? {
        return Err(PageError::NotFound);
    }
    page.commit().await?;
    saved(&urls::campaign_settings(campaign.id))
}

/// `POST /campaigns/{id}/promoters`: approves or declines an affiliate as promoter.
pub(super) async fn set_promoter(
    Submitted(mut page, form): Submitted<needs::Configure>,
    path: web::Path<String>,
) -> PageResult {
    let campaign = find(&mut page.conn, &page.actor, &path).await?;
    let affiliate_id: AffiliateId = id(form.get("affiliate"))?;
    let known = affiliates::find(&mut page.conn, affiliate_id).await?;
    let affiliate = known.ok_or(PageError::NotFound)?;
    let promoter = promoters::find(&mut page.conn, campaign.id, affiliate.id).await?;
    let changed = Promoter {
        campaign_id: campaign.id,
        affiliate_id: affiliate.id,
        status: match form.get("status") {
            "declined" => PromoterStatus::Declined,
            _ => PromoterStatus::Approved,
        },
        note: promoter.map_or_else(String::new, |promoter| promoter.note),
        changed_at: page.now,
    };
    promoters::set(&mut page.conn, &page.actor.author(), &changed).await?;
    page.commit().await?;
    saved(&urls::campaign_settings(campaign.id))
}

/// Commits an added row and redirects to the settings.
async fn added(page: Page<needs::Configure>, campaign: &Campaign) -> PageResult {
    page.commit().await?;
    saved(&urls::campaign_settings(campaign.id))
}

/// Shows the settings with a form that was refused.
async fn show_again(page: Page<needs::Configure>, campaign: Campaign, forms: Forms) -> PageResult {
    let forms = Forms {
        settings: campaign.settings().draft(page.network.time_zone()),
        ..forms
    };
    render(page, campaign, forms).await
}
