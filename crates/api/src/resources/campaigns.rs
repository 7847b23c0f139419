//! `/campaigns`: what advertisers want promoted.

use actix_web::HttpResponse;
use actix_web::web::{Data, Json};
use campaigns::campaigns::{self as campaign_table, Campaign as Stored, CampaignSettings};
use chrono_tz::Tz;
use schema::{AdvertiserId, CampaignId, Currency, clock};
use serde::Deserialize;
use tenancy::{advertisers, needs, networks};
use utoipa::IntoParams;

use super::Answer;
use crate::door::Allowed;
use crate::error::ApiError;
use crate::extract::{Body, Id, Params, Whole, given};
use crate::fields::resource;
use crate::once::Once;
use crate::openapi::IdempotencyKey;
use crate::page::{Page, Window, items, word};
use crate::{Api, schemas};

resource! {
    /// A campaign. Days are of the network's clock.
    Campaign;
    /// A campaign to create.
    #[schema(example = json!({
        "advertiser": "Nova Shoes", "currency": "EUR", "name": "Nova shop",
        "destination": "https://shop.example/?id={click_id}", "status": "live"
    }))]
    NewCampaign;
    change
    /// What is to change. Absent fields stay as they are.
    #[schema(example = json!({ "status": "paused" }))]
    CampaignPatch;
    head {
        id: CampaignId as schemas::CampaignId,
    }
    new {
        /// Whose it is.
        advertiser: String as schemas::Reference,
        /// Of fixed commissions, and of postbacks that name none.
        currency: String as schemas::Currency,
    }
    must {
        /// As affiliates see it.
        name: String as schemas::Name,
        /// Where clicks are sent.
        destination: String as schemas::Url,
    }
    may {
        /// `draft` unless said otherwise.
        status: String as schemas::CampaignStatus,
        /// What the advertiser or a former system calls it; unique.
        external_id: Option<String> as Option<schemas::Name>,
        /// Its share of the clicks, beside the weights of landing pages: 0 to 1000.
        destination_weight: Whole as i64,
        /// What the destination calls the click id; added to addresses without `{click_id}`.
        click_parameter: Option<String> as Option<schemas::Text>,
        /// Added to every destination: `utm_source=clickledger&pub={affiliate_id}`.
        extra_parameters: String as schemas::Text,
        /// Hosts that links may lead to directly by `?url=…`.
        deep_link_hosts: Vec<String> as Vec<schemas::Host>,
        /// Where visitors go whom the campaign does not want, or who come beyond a cap.
        fallback_url: Option<String> as Option<schemas::Url>,
        /// The first day.
        starts_on: Option<String> as Option<schemas::Day>,
        /// The last day.
        ends_on: Option<String> as Option<schemas::Day>,
        /// How many days after a click a conversion still counts: 1 to 3650.
        attribution_days: Whole as i64,
        /// How many seconds old a click must be for a conversion to count.
        attribution_min_seconds: Whole as i64,
        /// ISO 3166-1 codes of where visitors should come from; none means anywhere.
        countries: Vec<String> as Vec<schemas::Text>,
        /// What they should use; none means anything.
        devices: Vec<String> as Vec<schemas::Device>,
        access: String as schemas::Access,
        /// Words that affiliates find it by.
        categories: Vec<String> as Vec<schemas::Text>,
        /// What affiliates agree to.
        terms: String as schemas::Text,
        /// What they should know.
        notes: String as schemas::Text,
    }
}

items!(Campaign);

impl Campaign {
    fn new(it: &Stored, zone: Tz) -> Self {
        let draft = it.settings().draft(zone);
        let (advertiser, currency) = (it.advertiser_id.to_string(), it.currency.to_string());
        Self::of(it.id, advertiser, currency, &draft)
    }
}

/// Which campaigns.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct CampaignParams {
    /// Only of this advertiser.
    #[param(value_type = schemas::AdvertiserId, inline, required = false)]
    advertiser: Option<String>,
    /// Items of the page: 50 unless said otherwise.
    #[param(value_type = i64, minimum = 1, maximum = 200, required = false)]
    limit: Option<i64>,
    /// What the page before said as `next`.
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
    let rows = campaign_table::list(&mut conn, advertiser, window.after, window.ask()).await?;
    conn.commit().await?;
    Ok(Json(window.page_by(rows, |row| Campaign::new(&row, zone))))
}

/// Create a campaign
#[utoipa::path(post, path = "/campaigns", tag = "Campaigns", params(IdempotencyKey), request_body = NewCampaign, responses((status = 201, body = Campaign)))]
pub(crate) async fn create(
    access: Allowed<needs::Configure>,
    api: Data<Api>,
    once: Once,
    body: Body<NewCampaign>,
) -> Result<HttpResponse, ApiError> {
    let made = once.run(&api, &access, &body.bytes, async |conn| {
        let zone = networks::current(conn).await?.time_zone();
        let mut draft = body.value.over(CampaignSettings::blank(zone));
        let advertiser = advertisers::known_as(conn, &body.value.advertiser).await?;
        let advertiser = advertiser.ok_or("Name one of your advertisers.");
        let advertiser = draft.errors.take("advertiser", advertiser);
        let currency = draft
            .errors
            .take("currency", body.value.currency.parse::<Currency>());
        let settings = CampaignSettings::check(&mut draft, zone);
        let wanted = settings.zip(advertiser).zip(currency);
        let ((settings, advertiser), currency) = draft.accepted(wanted)?;
        let (author, now) = (access.author(), clock::now());
        let made = campaign_table::create(conn, &author, advertiser.id, currency, &settings, now).await?;
        Ok(Campaign::new(&made, zone))
    });
    Ok(made.await?.answer())
}

/// A campaign
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

/// Change a campaign
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
