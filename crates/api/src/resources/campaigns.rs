//! `/campaigns`: campaigns of advertisers.

use actix_web::HttpResponse;
use actix_web::web::{Data, Json};
use campaigns::campaigns::{self as campaign_table, Campaign as Stored, CampaignSettings};
use chrono_tz::Tz;
use schema::{AdvertiserId, CampaignId, Currency, clock};
use serde::Deserialize;
use tenancy::{advertisers, needs, networks};
use utoipa::IntoParams;

use super::Answer;
use crate::auth::Allowed;
use crate::error::ApiError;
use crate::extract::{Body, Id, Integer, Params};
use crate::fields::resource;
use crate::idempotency::IdempotencyKey;
use crate::page::{Page, Window, items, word};
use crate::schemas;
use crate::state::Api;

resource! {
    /// A campaign of an advertiser. Days are in the network's time zone.
    Campaign;
    /// A campaign to create.
    #[schema(example = json!({
        "advertiser": "Nova Shoes", "currency": "EUR", "name": "Nova shop",
        "destination": "https://shop.example/?id={click_id}", "status": "live"
    }))]
    NewCampaign;
    change
    /// Fields to update. Absent fields keep their values.
    #[schema(example = json!({ "status": "paused" }))]
    CampaignPatch;
    head {
        id: CampaignId as schemas::CampaignId,
    }
    new {
        /// Advertiser of the campaign.
        advertiser: String as schemas::Reference,
        /// Currency of fixed amounts, and of postbacks without a currency.
        currency: String as schemas::Currency,
    }
    must {
        /// Name that affiliates see.
        name: String as schemas::Name,
        /// URL to which clicks are redirected.
        destination: String as schemas::Url,
    }
    may {
        /// Status; `draft` by default.
        status: String as schemas::CampaignStatus,
        /// ID in another system; unique. Null for none.
        external_id: Option<String> as Option<schemas::Name>,
        /// Weight of the destination in the rotation with the landing pages: 0 to 1000.
        destination_weight: Integer as i64,
        /// Parameter that carries the click ID; appended to destinations without `{click_id}`.
        click_parameter: Option<String> as Option<schemas::Text>,
        /// Parameters appended to every destination, such as `utm_source=clickledger&pub={affiliate_id}`.
        extra_parameters: String as schemas::Text,
        /// Parameters of the visitor's URL that are added to the destination; `utm_*` for all that begin with `utm_`.
        passed_parameters: Vec<String> as Vec<schemas::Text>,
        /// Hosts that deep links (`?url=…`) may lead to.
        deep_link_hosts: Vec<String> as Vec<schemas::Host>,
        /// URL for visitors outside the targeting, or beyond a cap.
        fallback_url: Option<String> as Option<schemas::Url>,
        /// First day of the campaign.
        starts_on: Option<String> as Option<schemas::Day>,
        /// Last day of the campaign.
        ends_on: Option<String> as Option<schemas::Day>,
        /// Attribution window: days from click to conversion, 1 to 3650.
        attribution_days: Integer as i64,
        /// Customer window: days from the customer's latest conversion to an order without a click, 1 to 3650.
        customer_days: Integer as i64,
        /// Minimum time from click to conversion, in seconds.
        attribution_min_seconds: Integer as i64,
        /// Proofs that attribute a postback, the first that holds: `click`, `customer`, `coupon`, `affiliate`. One that is not
        /// listed never does.
        attribution_order: Vec<String> as Vec<schemas::AttributedBy>,
        /// Targeted countries (ISO 3166-1 codes); empty for all.
        countries: Vec<String> as Vec<schemas::Text>,
        /// Targeted devices; empty for all.
        devices: Vec<String> as Vec<schemas::Device>,
        /// Affiliates that may promote the campaign.
        access: String as schemas::Access,
        /// Categories in the campaign directory of affiliates.
        categories: Vec<String> as Vec<schemas::Text>,
        /// Terms that affiliates accept.
        terms: String as schemas::Text,
        /// Notes for affiliates.
        notes: String as schemas::Text,
    }
}

items!(Campaign);

impl Campaign {
    pub(super) fn new(campaign: &Stored, zone: Tz) -> Self {
        let draft = campaign.settings().draft(zone);
        let (advertiser, currency) = (campaign.advertiser_id.to_string(), campaign.currency.to_string());
        Self::from_draft(campaign.id, advertiser, currency, &draft)
    }
}

/// Filters of the list.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct CampaignParams {
    /// Only campaigns of this advertiser.
    #[param(value_type = schemas::AdvertiserId, inline, required = false)]
    advertiser: Option<String>,
    /// Maximum number of items of the page; 50 by default.
    #[param(value_type = i64, minimum = 1, maximum = 200, required = false)]
    limit: Option<i64>,
    /// Cursor: `next` of the previous page.
    #[param(value_type = schemas::CampaignId, inline, required = false)]
    after: Option<String>,
}

/// List campaigns
#[utoipa::path(get, path = "/campaigns", tag = "Campaigns", params(CampaignParams), responses((status = 200, body = Page<Campaign>)))]
pub(crate) async fn list(
    access: Allowed<needs::SeeSetup>,
    api: Data<Api>,
    Params(params): Params<CampaignParams>,
) -> Answer<Page<Campaign>> {
    let window = Window::<CampaignId>::of(params.limit, params.after.as_deref())?;
    let advertiser: Option<AdvertiserId> = word("advertiser", params.advertiser.as_deref())?;
    let mut conn = access.network(&api.db).await?;
    let zone = networks::current(&mut conn).await?.time_zone();
    let rows = campaign_table::list(&mut conn, advertiser, window.after, window.rows()).await?;
    conn.commit().await?;
    Ok(Json(window.page_by(rows, |row| Campaign::new(&row, zone))))
}

/// Create a campaign
#[utoipa::path(post, path = "/campaigns", tag = "Campaigns", params(IdempotencyKey), request_body = NewCampaign, responses((status = 201, body = Campaign)))]
pub(crate) async fn create(
    access: Allowed<needs::Configure>,
    api: Data<Api>,
    key: IdempotencyKey,
    body: Body<NewCampaign>,
) -> Result<HttpResponse, ApiError> {
    let outcome = key.execute(&api, &access, &body.bytes, async |conn| {
        let zone = networks::current(conn).await?.time_zone();
        let mut draft = body.value.over(CampaignSettings::blank(zone));
        let advertiser = advertisers::known_as(conn, &body.value.advertiser).await?;
        let advertiser = advertiser.ok_or("Unknown advertiser.");
        let advertiser = draft.errors.take("advertiser", advertiser);
        let currency = draft
            .errors
            .take("currency", body.value.currency.parse::<Currency>());
        let settings = CampaignSettings::check(&mut draft, zone);
        let checked = settings.zip(advertiser).zip(currency);
        let ((settings, advertiser), currency) = draft.accepted(checked)?;
        let (author, now) = (access.author(), clock::now());
        let created = campaign_table::create(conn, &author, advertiser.id, currency, &settings, now).await?;
        Ok(Campaign::new(&created, zone))
    });
    Ok(outcome.await?.response())
}

/// Get a campaign
#[utoipa::path(
    get, path = "/campaigns/{id}", tag = "Campaigns",
    params(("id" = inline(schemas::CampaignId), Path)),
    responses((status = 200, body = Campaign))
)]
pub(crate) async fn show(
    access: Allowed<needs::SeeSetup>,
    Id(id): Id<CampaignId>,
    api: Data<Api>,
) -> Answer<Campaign> {
    let mut conn = access.network(&api.db).await?;
    let zone = networks::current(&mut conn).await?.time_zone();
    let found = campaign_table::find(&mut conn, id).await?;
    conn.commit().await?;
    Ok(Json(Campaign::new(&found.ok_or(ApiError::NotFound)?, zone)))
}

/// Update a campaign
#[utoipa::path(
    patch, path = "/campaigns/{id}", tag = "Campaigns",
    params(("id" = inline(schemas::CampaignId), Path)),
    request_body = CampaignPatch,
    responses((status = 200, body = Campaign))
)]
pub(crate) async fn update(
    access: Allowed<needs::Configure>,
    Id(id): Id<CampaignId>,
    api: Data<Api>,
    body: Body<CampaignPatch>,
) -> Answer<Campaign> {
    let mut conn = access.network(&api.db).await?;
    let zone = networks::current(&mut conn).await?.time_zone();
    let old = campaign_table::lock(&mut conn, id)
        .await?
        .ok_or(ApiError::NotFound)?;
    let old = old.settings();
    let mut draft = body.value.over(old.draft(zone));
    let settings = old.changed(&mut draft, zone);
    let settings = draft.accepted(settings)?;
    campaign_table::update(&mut conn, &access.author(), id, &settings, clock::now()).await?;
    let new = campaign_table::find(&mut conn, id)
        .await?
        .ok_or(ApiError::NotFound)?;
    conn.commit().await?;
    Ok(Json(Campaign::new(&new, zone)))
}
