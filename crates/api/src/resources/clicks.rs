//! `/clicks`: visits through tracking links.

use actix_web::web::{Data, Json};
use campaigns::{ClickId, ClickIds};
use chrono::{DateTime, Utc};
use schema::{AffiliateId, CampaignId, ClickKey, LandingPageId, LinkId, NetworkConn};
use serde::{Deserialize, Serialize};
use tenancy::needs;
use tenancy::networks::{self, Network};
use tracking::clicks::{self, ClickDetail, ClickFilter};
use utoipa::{IntoParams, ToSchema};

use super::Answer;
use crate::auth::Allowed;
use crate::error::ApiError;
use crate::extract::Params;
use crate::page::{Page, Window, items, text, unknown_after, word};
use crate::schemas;
use crate::state::Api;

/// Click IDs of a network, as its links send them to landing pages.
pub(super) struct Signer {
    click_ids: ClickIds,
    network: Network,
}

impl Signer {
    /// Signer of the connection's network.
    pub(super) async fn of(conn: &mut NetworkConn, api: &Api) -> Result<Self, ApiError> {
        Ok(Self {
            click_ids: ClickIds::new(api.secret.clone()),
            network: networks::current(conn).await?,
        })
    }

    /// Text of the click ID.
    pub(super) fn write(&self, key: ClickKey) -> String {
        let id = ClickId {
            network_id: self.network.id,
            key,
        };
        self.click_ids.write(id, self.network.click_key)
    }

    /// Click ID in a text, if its signature is valid for this network.
    pub(super) fn read(&self, text: &str) -> Option<ClickKey> {
        let read = self.click_ids.read(text, self.network.id, self.network.click_key);
        read.ok().map(|id| id.key)
    }
}

/// Click that a filter names.
pub(super) async fn named(
    conn: &mut NetworkConn,
    api: &Api,
    click: Option<&str>,
) -> Result<Option<ClickKey>, ApiError> {
    let Some(text) = click else {
        return Ok(None);
    };
    let key = Signer::of(conn, api).await?.read(text);
    let unknown = || ApiError::field("click", "This is not a click ID of this network.");
    key.map(Some).ok_or_else(unknown)
}

/// A visit through a tracking link.
#[derive(Serialize, ToSchema)]
pub(crate) struct Click {
    /// Click ID, as sent to the landing page.
    #[schema(value_type = schemas::ClickId)]
    id: String,
    clicked_at: DateTime<Utc>,
    #[schema(value_type = schemas::CampaignId)]
    campaign: CampaignId,
    #[schema(value_type = schemas::AffiliateId)]
    affiliate: AffiliateId,
    #[schema(value_type = schemas::LinkId)]
    link: LinkId,
    /// Landing page that was chosen for the click, also where a deep link or a fallback led elsewhere; null for the
    /// campaign's own destination, and for clicks of releases that did not store it.
    #[schema(required, value_type = Option<schemas::LandingPageId>)]
    landing_page: Option<LandingPageId>,
    /// Sub IDs, `sub1` to `sub5`.
    #[schema(value_type = Vec<Option<schemas::Text>>)]
    subs: [Option<String>; 5],
    /// True if the click is valid; only valid clicks count in conversion rates.
    is_valid: bool,
    /// Reason why the click is invalid; null for a valid one.
    #[schema(required, value_type = Option<schemas::Text>)]
    invalid_because: Option<&'static str>,
    /// True for the visitor's first click of the day for this campaign and affiliate.
    is_unique: bool,
    /// ISO 3166-1 code of the country; null if unknown.
    #[schema(required, value_type = Option<schemas::Text>)]
    country: Option<String>,
    /// Number of the autonomous system; null if unknown.
    #[schema(required)]
    asn: Option<i64>,
    #[schema(value_type = schemas::Text)]
    device: String,
    /// Operating system; null if unknown.
    #[schema(required, value_type = Option<schemas::Text>)]
    os: Option<String>,
    /// Browser, or name of the robot; null if unknown.
    #[schema(required, value_type = Option<schemas::Text>)]
    browser: Option<String>,
    /// Network part of the visitor's address; null if the address is unknown. The full address is never stored.
    #[schema(required, value_type = Option<schemas::Text>)]
    ip_prefix: Option<String>,
    /// Page that the visitor came from; null if the browser sent none.
    #[schema(required, value_type = Option<schemas::Text>)]
    referrer: Option<String>,
}

items!(Click);

impl Click {
    fn new(click: ClickDetail, signer: &Signer) -> Self {
        let (sub1, sub2, sub3, sub4, sub5) = click.subs;
        Self {
            id: signer.write(click.key),
            clicked_at: click.clicked_at,
            campaign: click.campaign_id,
            affiliate: click.affiliate_id,
            link: click.link_id,
            landing_page: click.landing_page_id,
            subs: [sub1, sub2, sub3, sub4, sub5],
            is_valid: click.flag.is_none(),
            invalid_because: click.flag.map(|flag| flag.as_str()),
            is_unique: click.is_unique,
            country: click.country,
            asn: click.asn,
            device: click.device,
            os: click.os,
            browser: click.browser,
            ip_prefix: click.ip_prefix.map(|prefix| prefix.to_string()),
            referrer: click.referrer,
        }
    }
}

/// Filters of the list.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ClickParams {
    /// Only clicks for this campaign.
    #[param(value_type = schemas::CampaignId, inline, required = false)]
    campaign: Option<String>,
    /// Only clicks through links of this affiliate.
    #[param(value_type = schemas::AffiliateId, inline, required = false)]
    affiliate: Option<String>,
    /// Only clicks for campaigns of this advertiser.
    #[param(value_type = schemas::AdvertiserId, inline, required = false)]
    advertiser: Option<String>,
    /// Only clicks through this tracking link.
    #[param(value_type = schemas::LinkId, inline, required = false)]
    link: Option<String>,
    /// Only clicks with this first sub ID.
    #[param(value_type = schemas::Filter, inline, required = false)]
    sub1: Option<String>,
    /// True for valid clicks only, false for invalid ones only.
    #[param(value_type = bool, required = false)]
    valid: Option<bool>,
    /// Only clicks received at this moment or later.
    #[param(value_type = DateTime<Utc>, required = false)]
    from: Option<DateTime<Utc>>,
    /// Only clicks received before this moment.
    #[param(value_type = DateTime<Utc>, required = false)]
    until: Option<DateTime<Utc>>,
    /// Maximum number of items of the page; 50 by default.
    #[param(value_type = i64, minimum = 1, maximum = 200, required = false)]
    limit: Option<i64>,
    /// Cursor: `next` of the previous page.
    #[param(value_type = schemas::ClickId, inline, required = false)]
    after: Option<String>,
}

/// List clicks
///
/// Newest first. Affiliates see the clicks through their links. Clicks are kept for as long as the network keeps them;
/// reports count them for ever.
#[utoipa::path(get, path = "/clicks", tag = "Clicks", params(ClickParams), responses((status = 200, body = Page<Click>)))]
pub(crate) async fn list(
    access: Allowed<needs::SeeClicks>,
    api: Data<Api>,
    Params(params): Params<ClickParams>,
) -> Answer<Page<Click>> {
    let window = Window::<String>::of(params.limit, params.after.as_deref())?;
    let mut filter = ClickFilter {
        scope: access.scope(),
        campaign_id: word("campaign", params.campaign.as_deref())?,
        affiliate_id: word("affiliate", params.affiliate.as_deref())?,
        advertiser_id: word("advertiser", params.advertiser.as_deref())?,
        link_id: word("link", params.link.as_deref())?,
        sub1: text("sub1", params.sub1.as_deref())?,
        is_valid: params.valid,
        since: params.from,
        until: params.until,
        ..ClickFilter::default()
    };
    let mut conn = access.network(&api.db).await?;
    let signer = Signer::of(&mut conn, &api).await?;
    if let Some(after) = &window.after {
        filter.before = Some(signer.read(after).ok_or_else(unknown_after)?);
    }
    let rows = clicks::list(&mut conn, &filter, window.rows()).await?;
    conn.commit().await?;
    Ok(Json(window.page_by(rows, |row| Click::new(row, &signer))))
}

/// Get a click
#[utoipa::path(
    get, path = "/clicks/{id}", tag = "Clicks",
    params(("id" = inline(schemas::ClickId), Path)),
    responses((status = 200, body = Click))
)]
pub(crate) async fn show(
    access: Allowed<needs::SeeClicks>,
    path: actix_web::web::Path<String>,
    api: Data<Api>,
) -> Answer<Click> {
    let mut conn = access.network(&api.db).await?;
    let signer = Signer::of(&mut conn, &api).await?;
    let key = signer.read(&path).ok_or(ApiError::NotFound)?;
    let found = clicks::find(&mut conn, access.scope(), key).await?;
    conn.commit().await?;
    let found = found.ok_or(ApiError::NotFound)?;
    Ok(Json(Click::new(found, &signer)))
}
