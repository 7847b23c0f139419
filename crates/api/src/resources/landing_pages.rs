//! `/landing-pages`: further destinations of a campaign, chosen by weight or by a link.

use actix_web::HttpResponse;
use actix_web::web::{Data, Json};
use campaigns::campaigns as campaign_table;
use campaigns::landing_pages::{self, LandingPage as Stored, LandingPageSettings};
use schema::{CampaignId, LandingPageId, clock};
use tenancy::needs;

use super::{Answer, OfCampaign, done};
use crate::door::Allowed;
use crate::error::ApiError;
use crate::extract::{Body, Id, Params, Whole, given};
use crate::fields::resource;
use crate::once::Once;
use crate::openapi::IdempotencyKey;
use crate::page::{Page, Window, items, word};
use crate::{Api, schemas};

resource! {
    /// A landing page.
    LandingPage;
    /// A landing page to add to a campaign.
    #[schema(example = json!({ "campaign": "Nova shop", "name": "Boots", "url": "https://shop.example/boots?id={click_id}" }))]
    NewLandingPage;
    change
    /// What is to change. Absent fields stay as they are.
    LandingPagePatch;
    head {
        id: LandingPageId as schemas::LandingPageId,
    }
    new {
        campaign: String as schemas::Reference,
    }
    must {
        /// As affiliates see it.
        name: String as schemas::Name,
        url: String as schemas::Url,
    }
    may {
        /// Its share of the clicks of links that name no landing page: 0 to 1000, 1 unless said otherwise.
        weight: Whole as i64,
    }
}

items!(LandingPage);

impl From<Stored> for LandingPage {
    fn from(it: Stored) -> Self {
        Self::of(it.id, it.campaign_id.to_string(), &it.settings().draft())
    }
}

/// List landing pages
#[utoipa::path(get, path = "/landing-pages", tag = "Campaigns", params(OfCampaign), responses((status = 200, body = Page<LandingPage>)))]
pub(crate) async fn list(
    access: Allowed<needs::SeeSetup>,
    api: Data<Api>,
    Params(params): Params<OfCampaign>,
) -> Answer<Page<LandingPage>> {
    let window = Window::<LandingPageId>::of(params.limit, params.after.as_deref())?;
    let campaign: Option<CampaignId> = word("campaign", params.campaign.as_deref())?;
    let mut conn = access.network(&api.db).await?;
    let rows = landing_pages::list(&mut conn, campaign, window.after, window.ask()).await?;
    conn.commit().await?;
    Ok(Json(window.page(rows)))
}

/// Add a landing page
#[utoipa::path(post, path = "/landing-pages", tag = "Campaigns", params(IdempotencyKey), request_body = NewLandingPage, responses((status = 201, body = LandingPage)))]
pub(crate) async fn create(
    access: Allowed<needs::Configure>,
    api: Data<Api>,
    once: Once,
    body: Body<NewLandingPage>,
) -> Result<HttpResponse, ApiError> {
    let made = once.run(&api, &access, &body.bytes, async |conn| {
        let campaign = super::campaign(conn, access.role.scope(), &body.value.campaign).await?;
        let mut draft = body.value.over(LandingPageSettings::blank());
        let settings = LandingPageSettings::check(&mut draft, &campaign.sending);
        let settings = draft.accepted(settings)?;
        let made =
            landing_pages::create(conn, &access.author(), campaign.id, &settings, clock::now()).await?;
        Ok(LandingPage::from(made))
    });
    Ok(made.await?.answer())
}

/// Change a landing page
#[utoipa::path(
    patch, path = "/landing-pages/{id}", tag = "Campaigns",
    params(("id" = inline(schemas::LandingPageId), Path)),
    request_body = LandingPagePatch,
    responses((status = 200, body = LandingPage))
)]
pub(crate) async fn update(
    access: Allowed<needs::Configure>,
    Id(id): Id<LandingPageId>,
    api: Data<Api>,
    body: Body<LandingPagePatch>,
) -> Answer<LandingPage> {
    let mut conn = access.network(&api.db).await?;
    let old = landing_pages::find(&mut conn, id)
        .await?
        .ok_or(ApiError::NotFound)?;
    let campaign = campaign_table::lock(&mut conn, old.campaign_id).await?;
    let campaign = campaign.ok_or(ApiError::NotFound)?;
    // Once more, now that nobody else changes what belongs to the campaign.
    let old = landing_pages::find(&mut conn, id)
        .await?
        .ok_or(ApiError::NotFound)?;
    let mut draft = body.value.over(old.settings().draft());
    let settings = LandingPageSettings::check(&mut draft, &campaign.sending);
    let settings = draft.accepted(settings)?;
    landing_pages::update(&mut conn, &access.author(), id, &settings, clock::now()).await?;
    let new = landing_pages::find(&mut conn, id)
        .await?
        .ok_or(ApiError::NotFound)?;
    conn.commit().await?;
    Ok(Json(new.into()))
}

/// Remove a landing page
///
/// Links that lead to it go to the campaign's destinations from now on.
#[utoipa::path(
    delete, path = "/landing-pages/{id}", tag = "Campaigns",
    params(("id" = inline(schemas::LandingPageId), Path)),
    responses((status = 204))
)]
pub(crate) async fn remove(
    access: Allowed<needs::Configure>,
    Id(id): Id<LandingPageId>,
    api: Data<Api>,
) -> Result<HttpResponse, ApiError> {
    let mut conn = access.network(&api.db).await?;
    match landing_pages::remove(&mut conn, &access.author(), id, clock::now()).await? {
        true => conn.commit().await?,
        false => return Err(ApiError::NotFound),
    }
    done()
}
