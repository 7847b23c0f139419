//! `/url-templates`: saved URLs with macros, for incoming and outgoing requests.

use actix_web::HttpResponse;
use actix_web::web::{Data, Json};
use campaigns::url_templates::{self, UrlTemplate as Stored, UrlTemplateSettings};
use schema::{AdvertiserId, AffiliateId, UrlTemplateId, clock};
use serde::Deserialize;
use tenancy::{Draft, needs};
use utoipa::IntoParams;

use super::{Answer, no_content};
use crate::auth::Allowed;
use crate::error::ApiError;
use crate::extract::{Body, Id, Params};
use crate::fields::resource;
use crate::idempotency::IdempotencyKey;
use crate::page::{Page, Window, items, unknown_after};
use crate::schemas;
use crate::state::Api;

resource! {
    /// A saved URL with macros.
    UrlTemplate;
    /// A URL template to create.
    #[schema(example = json!({ "name": "Nova's own tracker", "direction": "outbound", "url": "https://nova.example/p?cid={aff_click_id}&sum={payout}" }))]
    NewUrlTemplate;
    change
    /// Fields to update. Absent fields keep their values.
    UrlTemplatePatch;
    head {
        id: UrlTemplateId as schemas::UrlTemplateId,
        /// Advertiser of the member who saved the template; null for other members.
        advertiser: Option<AdvertiserId> as Option<schemas::AdvertiserId>,
        /// Affiliate of the member who saved the template; null for other members.
        affiliate: Option<AffiliateId> as Option<schemas::AffiliateId>,
        /// URL with sample values for its macros.
        preview: String as schemas::Text,
        /// Names of the parameters that carry secrets. Their values are not stored; enter them where the URL is used.
        secrets: Vec<String> as Vec<schemas::Text>,
    }
    new {}
    must {
        /// Name of the template.
        name: String as schemas::Name,
        /// `inbound`: another system sends requests to this server. `outbound`: this server sends requests to a
        /// tracker.
        direction: String as schemas::Direction,
        /// URL with macros: of the other system if inbound, of Clickledger if outbound. The value of a parameter with
        /// the name of a secret is replaced by `YOUR_TOKEN`.
        url: String as schemas::TemplateUrl,
    }
    may {}
}

items!(UrlTemplate);

impl From<Stored> for UrlTemplate {
    fn from(template: Stored) -> Self {
        let settings = template.settings();
        let (preview, secrets) = (settings.preview(), settings.secrets());
        let draft = settings.draft();
        let (advertiser, affiliate) = (template.advertiser_id, template.affiliate_id);
        Self::from_draft(template.id, advertiser, affiliate, preview, secrets, &draft)
    }
}

/// Parameters of the list.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct UrlTemplateParams {
    /// Maximum number of items of the page; 50 by default.
    #[param(value_type = i64, minimum = 1, maximum = 200, required = false)]
    limit: Option<i64>,
    /// Cursor: `next` of the previous page.
    #[param(value_type = schemas::UrlTemplateId, inline, required = false)]
    after: Option<String>,
}

/// List URL templates
///
/// Advertisers and affiliates see only their templates.
#[utoipa::path(get, path = "/url-templates", tag = "Postbacks", params(UrlTemplateParams), responses((status = 200, body = Page<UrlTemplate>)))]
pub(crate) async fn list(
    access: Allowed<needs::SeeTemplates>,
    api: Data<Api>,
    Params(params): Params<UrlTemplateParams>,
) -> Answer<Page<UrlTemplate>> {
    let window = Window::<UrlTemplateId>::of(params.limit, params.after.as_deref())?;
    let scope = access.scope();
    let mut conn = access.network(&api.db).await?;
    if let Some(id) = window.after {
        let last = url_templates::find(&mut conn, scope, id).await?;
        last.ok_or_else(unknown_after)?;
    }
    let rows = url_templates::list(&mut conn, scope, window.after, window.rows()).await?;
    conn.commit().await?;
    Ok(Json(window.page(rows)))
}

/// Create a URL template
///
/// Saves the URL for copying; the server sends no requests to it.
#[utoipa::path(post, path = "/url-templates", tag = "Postbacks", params(IdempotencyKey), request_body = NewUrlTemplate, responses((status = 201, body = UrlTemplate)))]
pub(crate) async fn create(
    access: Allowed<needs::SaveTemplates>,
    api: Data<Api>,
    key: IdempotencyKey,
    body: Body<NewUrlTemplate>,
) -> Result<HttpResponse, ApiError> {
    let outcome = key.execute(&api, &access, &body.bytes, async |conn| {
        let mut draft = body.value.over(Draft::default());
        let settings = UrlTemplateSettings::check(&mut draft);
        let settings = draft.accepted(settings)?;
        let scope = access.scope();
        let created = url_templates::create(conn, &access.author(), scope, &settings, clock::now()).await?;
        Ok(UrlTemplate::from(created))
    });
    Ok(outcome.await?.response())
}

/// Get a URL template
#[utoipa::path(
    get, path = "/url-templates/{id}", tag = "Postbacks",
    params(("id" = inline(schemas::UrlTemplateId), Path)),
    responses((status = 200, body = UrlTemplate))
)]
pub(crate) async fn show(
    access: Allowed<needs::SeeTemplates>,
    Id(id): Id<UrlTemplateId>,
    api: Data<Api>,
) -> Answer<UrlTemplate> {
    let mut conn = access.network(&api.db).await?;
    let found = url_templates::find(&mut conn, access.scope(), id).await?;
    conn.commit().await?;
    Ok(Json(found.ok_or(ApiError::NotFound)?.into()))
}

/// Update a URL template
#[utoipa::path(
    patch, path = "/url-templates/{id}", tag = "Postbacks",
    params(("id" = inline(schemas::UrlTemplateId), Path)),
    request_body = UrlTemplatePatch,
    responses((status = 200, body = UrlTemplate))
)]
pub(crate) async fn update(
    access: Allowed<needs::SaveTemplates>,
    Id(id): Id<UrlTemplateId>,
    api: Data<Api>,
    body: Body<UrlTemplatePatch>,
) -> Answer<UrlTemplate> {
    let scope = access.scope();
    let mut conn = access.network(&api.db).await?;
    let old = url_templates::find(&mut conn, scope, id).await?;
    let old = old.ok_or(ApiError::NotFound)?;
    let mut draft = body.value.over(old.settings().draft());
    let settings = UrlTemplateSettings::check(&mut draft);
    let settings = draft.accepted(settings)?;
    url_templates::update(&mut conn, &access.author(), scope, id, &settings, clock::now()).await?;
    let new = url_templates::find(&mut conn, scope, id).await?;
    conn.commit().await?;
    Ok(Json(new.ok_or(ApiError::NotFound)?.into()))
}

/// Delete a URL template
///
/// Copies of the URL in other systems keep working.
#[utoipa::path(
    delete, path = "/url-templates/{id}", tag = "Postbacks",
    params(("id" = inline(schemas::UrlTemplateId), Path)),
    responses((status = 204))
)]
pub(crate) async fn remove(
    access: Allowed<needs::SaveTemplates>,
    Id(id): Id<UrlTemplateId>,
    api: Data<Api>,
) -> Result<HttpResponse, ApiError> {
    let mut conn = access.network(&api.db).await?;
    let scope = access.scope();
    if !url_templates::remove(&mut conn, &access.author(), scope, id, clock::now()).await? {
        return Err(ApiError::NotFound);
    }
    conn.commit().await?;
    no_content()
}
