//! What a campaign has besides its settings: landing pages, caps, coupons, and who may promote it.

use actix_web::{HttpRequest, web};
use campaigns::Destination;
use campaigns::caps::{self, CapPeriod, Metric, NewCap};
use campaigns::coupons::{self, Coupon};
use campaigns::landing_pages::{self, LandingPageSettings};
use campaigns::promoters::{self, Promoter, PromoterStatus};
use dialects::Amount;
use schema::{AffiliateId, LandingPageId, NetworkConn, clock};
use tenancy::{ChangeError, affiliates, check_name, needs, networks};

use super::campaign_settings::{Forms, check_weight, fields, render, typed};
use super::campaigns::find;
use super::id;
use crate::auth::Allowed;
use crate::error::PageError;
use crate::forms::{PostedForm, Typed};
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
    let network = networks::current(&mut conn).await?;
    let mut page = Typed::of_form(&form, &["page_name", "page_url", "page_weight"]);
    let name = check_name(page.of("page_name"));
    let url = Destination::completed(page.of("page_url"), &campaign.sending)
        .map(|_| page.of("page_url").to_owned());
    let weight = check_weight(page.of("page_weight"));
    let (name, url, weight) = (
        page.errors.take("page_name", name),
        page.errors.take("page_url", url),
        page.errors.take("page_weight", weight),
    );
    if let (Some(name), Some(url), Some(weight)) = (name, url, weight) {
        let new = LandingPageSettings { name, url, weight };
        match landing_pages::create(&mut conn, &actor.author(), campaign.id, &new, clock::now()).await {
            Ok(_) => {
                conn.commit().await?;
                return saved(&urls::campaign_settings(campaign.id));
            }
            Err(ChangeError::Limit(message)) => page.errors.add("page_name", message),
            Err(error) => return Err(error.into()),
        }
    }
    let forms = Forms {
        settings: typed(&campaign, network.time_zone()),
        page,
        ..Forms::default()
    };
    render(&request, &dashboard, &actor, conn, campaign, network, forms).await
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
    let network = networks::current(&mut conn).await?;
    let mut cap = Typed::of_form(&form, &["cap_affiliate", "metric", "period", "most"]);
    let affiliate = affiliate_of(&mut conn, cap.of("cap_affiliate")).await?;
    let metric = cap.of("metric").parse::<Metric>();
    let period = cap.of("period").parse::<CapPeriod>();
    let most = check_most(cap.of("most"), metric.as_ref().ok().copied());
    let (affiliate, metric, period, most) = (
        cap.errors.take("cap_affiliate", affiliate),
        cap.errors.take("metric", metric),
        cap.errors.take("period", period),
        cap.errors.take("most", most),
    );
    if let (Some(affiliate_id), Some(metric), Some(period), Some(most)) = (affiliate, metric, period, most) {
        let new = NewCap {
            campaign_id: campaign.id,
            affiliate_id,
            metric,
            period,
            most,
        };
        match caps::create(&mut conn, &actor.author(), &new, clock::now()).await {
            Ok(_) => {
                conn.commit().await?;
                return saved(&urls::campaign_settings(campaign.id));
            }
            Err(error) => {
                cap.errors = fields(error)?;
                drop(conn);
                conn = actor.network(&dashboard.db).await?;
            }
        }
    }
    let forms = Forms {
        settings: typed(&campaign, network.time_zone()),
        cap,
        ..Forms::default()
    };
    render(&request, &dashboard, &actor, conn, campaign, network, forms).await
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
    let network = networks::current(&mut conn).await?;
    let mut coupon = Typed::of_form(&form, &["code", "coupon_affiliate"]);
    let code = coupons::check_code(coupon.of("code"));
    let affiliate = affiliate_of(&mut conn, coupon.of("coupon_affiliate"))
        .await?
        .and_then(|affiliate| affiliate.ok_or("Choose one of your affiliates."));
    let (code, affiliate) = (
        coupon.errors.take("code", code),
        coupon.errors.take("coupon_affiliate", affiliate),
    );
    if let (Some(code), Some(affiliate_id)) = (code, affiliate) {
        let new = Coupon {
            campaign_id: campaign.id,
            code,
            affiliate_id,
        };
        match coupons::create(&mut conn, &actor.author(), &new, clock::now()).await {
            Ok(()) => {
                conn.commit().await?;
                return saved(&urls::campaign_settings(campaign.id));
            }
            Err(error) => {
                coupon.errors = fields(error)?;
                drop(conn);
                conn = actor.network(&dashboard.db).await?;
            }
        }
    }
    let forms = Forms {
        settings: typed(&campaign, network.time_zone()),
        coupon,
        ..Forms::default()
    };
    render(&request, &dashboard, &actor, conn, campaign, network, forms).await
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

/// The affiliate that was chosen; none where none was.
async fn affiliate_of(
    conn: &mut NetworkConn,
    text: &str,
) -> Result<Result<Option<AffiliateId>, &'static str>, PageError> {
    if text.is_empty() {
        return Ok(Ok(None));
    }
    let known = affiliates::active(conn).await?;
    let chosen = known.iter().find(|affiliate| affiliate.id.to_string() == text);
    Ok(chosen
        .map(|affiliate| Some(affiliate.id))
        .ok_or("Choose one of your affiliates."))
}

/// How much a cap lets through, as typed: a number, or an amount of the campaign's currency.
fn check_most(text: &str, metric: Option<Metric>) -> Result<i64, String> {
    let is_money = matches!(metric, Some(Metric::Commission | Metric::Revenue));
    let most = match is_money {
        true => Amount::parse(text)
            .map(|amount| amount.micros)
            .map_err(|problem| format!("“{text}” {problem}."))?,
        false => text
            .parse()
            .map_err(|_| "Enter a whole number above 0.".to_owned())?,
    };
    match most > 0 {
        true => Ok(most),
        false => Err("Enter a number above 0.".to_owned()),
    }
}
