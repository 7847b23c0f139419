//! `/landing-pages`: additional destinations of a campaign, selected by weight or by a link.

use actix_web::HttpResponse;
use actix_web::web::{Data, Json};
use campaigns::campaigns as campaign_table;
use campaigns::landing_pages::{self, LandingPage as Stored, LandingPageSettings};
use schema::{CampaignId, LandingPageId, clock};
use tenancy::needs;

use super::{Answer, OfCampaign, no_content};
use crate::auth::Allowed;
use crate::error::ApiError;
use crate::extract::{Body, Id, Integer, Params};
use crate::fields::resource;
use crate::idempotency::IdempotencyKey;
use crate::page::{Page, Window, items, word};
use crate::schemas;
use crate::state::Api;

resource! {
    /// An additional destination of a campaign.
    LandingPage;
    /// A landing page to create.
    #[schema(example = json!({ "campaign": "Nova shop", "name": "Boots", "url": "https://shop.example/boots?id={click_id}" }))]
    NewLandingPage;
    change
    /// Fields to update. Absent fields keep their values.
    LandingPagePatch;
    head {
        id: LandingPageId as schemas::LandingPageId,
    }
    new {
        /// Campaign of the landing page.
        campaign: String as schemas::Reference,
    }
    must {
        /// Name that affiliates see.
        name: String as schemas::Name,
        /// Destination of the visitors.
        url: String as schemas::Url,
    }
    may {
        /// Weight in the rotation of links without a landing page: 0 to 1000; 1 by default.
        weight: Integer as i64,
    }
}

items!(LandingPage);

impl From<Stored> for LandingPage {
    fn from(page: Stored) -> Self {
        Self::from_draft(page.id, page.campaign_id.to_string(), &page.settings().draft())
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
    let rows = landing_pages::list(&mut conn, campaign, window.after, window.rows()).await?;
    conn.commit().await?;
    Ok(Json(window.page(rows)))
}

/// Create a landing page
#[utoipa::path(post, path = "/landing-pages", tag = "Campaigns", params(IdempotencyKey), request_body = NewLandingPage, responses((status = 201, body = LandingPage)))]
pub(crate) async fn create(
    access: Allowed<needs::Configure>,
    api: Data<Api>,
    key: IdempotencyKey,
    body: Body<NewLandingPage>,
) -> Result<HttpResponse, ApiError> {
    let outcome = key.execute(&api, &access, &body.bytes, async |conn| {
        let campaign = super::campaign(conn, access.scope(), &body.value.campaign).await?;
        let mut draft = body.value.over(LandingPageSettings::blank());
        let settings = LandingPageSettings::check(&mut draft, &campaign.sending);
        let settings = draft.accepted(settings)?;
        let created =
            landing_pages::create(conn, &access.author(), campaign.id, &settings, clock::now()).await?;
        Ok(LandingPage::from(created))
    });
    Ok(outcome.await?.response())
}

/// Update a landing page
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
    // Read again under the lock of the campaign, which serialises updates of its landing pages.
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

/// Delete a landing page
///
/// Links to it lead to the destinations of the campaign from then on.
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
    if !landing_pages::remove(&mut conn, &access.author(), id, clock::now()).await? {
        return Err(ApiError::NotFound);
    }
    conn.commit().await?;
    no_content()
}
