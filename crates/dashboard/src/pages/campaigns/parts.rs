//! What a campaign has besides its settings: landing pages, caps, coupons, and who may promote it.

use actix_web::{HttpRequest, web};
use campaigns::campaigns::Campaign;
use campaigns::caps::{self, NewCap};
use campaigns::coupons::{self, Coupon};
use campaigns::landing_pages::{self, LandingPageSettings};
use campaigns::promoters::{self, Promoter, PromoterStatus};
use schema::{AffiliateId, LandingPageId, NetworkConn, clock};
use tenancy::{affiliates, needs, networks};

use super::campaign::find;
use super::settings::{Forms, fields, render};
use crate::auth::Allowed;
use crate::error::PageError;
use crate::forms::PostedForm;
use crate::pages::id;
use crate::shell::{PageResult, saved};
use crate::{Dashboard, urls};

/// `POST /campaigns/{id}/landing-pages`
pub(super) async fn add_landing_page(
    request: HttpRequest,
    dashboard: web::Data<Dashboard>,
    actor: Allowed<needs::Configure>,
    path: web::Path<String>,
    form: PostedForm,
) -> PageResult {
    let mut conn = actor.network(&dashboard.db).await?;
    let campaign = find(&mut conn, &actor, &path).await?;
    let mut page = form.draft("page_", &LandingPageSettings::FIELDS);
    if let Some(new) = LandingPageSettings::check(&mut page, &campaign.sending) {
        let (author, now) = (actor.author(), clock::now());
        match landing_pages::create(&mut conn, &author, campaign.id, &new, now).await {
            Ok(_) => return added(conn, &campaign).await,
            Err(error) => page.errors = fields(error)?,
        }
    }
    let forms = Forms {
        page,
        ..Forms::default()
    };
    show_again(&request, &dashboard, &actor, conn, campaign, forms).await
}

/// `POST /campaigns/{id}/landing-pages/remove`
pub(super) async fn remove_landing_page(
    dashboard: web::Data<Dashboard>,
    actor: Allowed<needs::Configure>,
    path: web::Path<String>,
    form: PostedForm,
) -> PageResult {
    let mut conn = actor.network(&dashboard.db).await?;
    let campaign = find(&mut conn, &actor, &path).await?;
    let page_id: LandingPageId = id(form.get("landing_page"))?;
    let of_campaign = landing_pages::of_campaign(&mut conn, campaign.id).await?;
    if !of_campaign.iter().any(|page| page.id == page_id) {
        return Err(PageError::NotFound);
    }
    landing_pages::remove(&mut conn, &actor.author(), page_id, clock::now()).await?;
    conn.commit().await?;
    saved(&urls::campaign_settings(campaign.id))
}

/// `POST /campaigns/{id}/caps`
pub(super) async fn add_cap(
    request: HttpRequest,
    dashboard: web::Data<Dashboard>,
    actor: Allowed<needs::Configure>,
    path: web::Path<String>,
    form: PostedForm,
) -> PageResult {
    let mut conn = actor.network(&dashboard.db).await?;
    let campaign = find(&mut conn, &actor, &path).await?;
    let mut cap = form.draft("cap_", &NewCap::FIELDS);
    if let Some(new) = NewCap::check(&mut conn, &mut cap, campaign.id).await? {
        let (author, now) = (actor.author(), clock::now());
        let made = conn.attempt(async |conn| caps::create(conn, &author, &new, now).await);
        match made.await {
            Ok(_) => return added(conn, &campaign).await,
            Err(error) => cap.errors = fields(error)?,
        }
    }
    let forms = Forms {
        cap,
        ..Forms::default()
    };
    show_again(&request, &dashboard, &actor, conn, campaign, forms).await
}

/// `POST /campaigns/{id}/caps/remove`
pub(super) async fn remove_cap(
    dashboard: web::Data<Dashboard>,
    actor: Allowed<needs::Configure>,
    path: web::Path<String>,
    form: PostedForm,
) -> PageResult {
    let mut conn = actor.network(&dashboard.db).await?;
    let campaign = find(&mut conn, &actor, &path).await?;
    let cap_id = id(form.get("cap"))?;
    match caps::remove(&mut conn, &actor.author(), campaign.id, cap_id, clock::now()).await? {
        true => {
            conn.commit().await?;
            saved(&urls::campaign_settings(campaign.id))
        }
        false => Err(PageError::NotFound),
    }
}

/// `POST /campaigns/{id}/coupons`
pub(super) async fn add_coupon(
    request: HttpRequest,
    dashboard: web::Data<Dashboard>,
    actor: Allowed<needs::Configure>,
    path: web::Path<String>,
    form: PostedForm,
) -> PageResult {
    let mut conn = actor.network(&dashboard.db).await?;
    let campaign = find(&mut conn, &actor, &path).await?;
    let mut coupon = form.draft("coupon_", &Coupon::FIELDS);
    if let Some(new) = Coupon::check(&mut conn, &mut coupon, campaign.id).await? {
        let (author, now) = (actor.author(), clock::now());
        let made = conn.attempt(async |conn| coupons::create(conn, &author, &new, now).await);
        match made.await {
            Ok(()) => return added(conn, &campaign).await,
            Err(error) => coupon.errors = fields(error)?,
        }
    }
    let forms = Forms {
        coupon,
        ..Forms::default()
    };
    show_again(&request, &dashboard, &actor, conn, campaign, forms).await
}

/// `POST /campaigns/{id}/coupons/remove`
pub(super) async fn remove_coupon(
    dashboard: web::Data<Dashboard>,
    actor: Allowed<needs::Configure>,
    path: web::Path<String>,
    form: PostedForm,
) -> PageResult {
    let mut conn = actor.network(&dashboard.db).await?;
    let campaign = find(&mut conn, &actor, &path).await?;
    let code = form.get("code");
    match coupons::remove(&mut conn, &actor.author(), campaign.id, code, clock::now()).await? {
        true => {
            conn.commit().await?;
            saved(&urls::campaign_settings(campaign.id))
        }
        false => Err(PageError::NotFound),
    }
}

/// `POST /campaigns/{id}/promoters`: lets an affiliate promote the campaign, or not.
pub(super) async fn set_promoter(
    dashboard: web::Data<Dashboard>,
    actor: Allowed<needs::Configure>,
    path: web::Path<String>,
    form: PostedForm,
) -> PageResult {
    let mut conn = actor.network(&dashboard.db).await?;
    let campaign = find(&mut conn, &actor, &path).await?;
    let affiliate_id: AffiliateId = id(form.get("affiliate"))?;
    let known = affiliates::find(&mut conn, affiliate_id).await?;
    let affiliate = known.ok_or(PageError::NotFound)?;
    let asked = promoters::find(&mut conn, campaign.id, affiliate.id).await?;
    let promoter = Promoter {
        campaign_id: campaign.id,
        affiliate_id: affiliate.id,
        status: match form.get("status") {
            "declined" => PromoterStatus::Declined,
            _ => PromoterStatus::Approved,
        },
        note: asked.map_or_else(String::new, |asked| asked.note),
        changed_at: clock::now(),
    };
    promoters::set(&mut conn, &actor.author(), &promoter).await?;
    conn.commit().await?;
    saved(&urls::campaign_settings(campaign.id))
}

/// Keeps what was added, and shows the settings with it.
async fn added(conn: NetworkConn, campaign: &Campaign) -> PageResult {
    conn.commit().await?;
    saved(&urls::campaign_settings(campaign.id))
}

/// The settings with a form that could not be accepted.
async fn show_again(
    request: &HttpRequest,
    dashboard: &Dashboard,
    actor: &Allowed<needs::Configure>,
    mut conn: NetworkConn,
    campaign: Campaign,
    forms: Forms,
) -> PageResult {
    let network = networks::current(&mut conn).await?;
    let forms = Forms {
        settings: campaign.settings().draft(network.time_zone()),
        ..forms
    };
    render(request, dashboard, actor, conn, campaign, network, forms).await
}
