//! `/url-templates`: URLs with macros, for other systems to call at and of trackers that are called.

use actix_web::HttpResponse;
use actix_web::web::{Data, Json};
use campaigns::url_templates::{self, UrlTemplate as Stored, UrlTemplateSettings};
use schema::{AdvertiserId, AffiliateId, UrlTemplateId, clock};
use serde::Deserialize;
use tenancy::{Draft, needs};
use utoipa::IntoParams;

use super::{Answer, done};
use crate::door::Allowed;
use crate::error::ApiError;
use crate::extract::{Body, Id, Params, given};
use crate::fields::resource;
use crate::once::Once;
use crate::openapi::IdempotencyKey;
use crate::page::{Page, Window, items, unknown_after};
use crate::{Api, schemas};

resource! {
    /// A URL with macros that somebody has saved.
    UrlTemplate;
    /// A URL template to save.
    #[schema(example = json!({ "name": "Nova's own tracker", "direction": "outbound", "url": "https://nova.example/p?cid={aff_click_id}&sum={payout}" }))]
    NewUrlTemplate;
    change
    /// What is to change. Absent fields stay as they are.
    UrlTemplatePatch;
    head {
        id: UrlTemplateId as schemas::UrlTemplateId,
        /// The advertiser whose people saved it; null where others did.
        advertiser: Option<AdvertiserId> as Option<schemas::AdvertiserId>,
        /// The affiliate whose people saved it; null where others did.
        affiliate: Option<AffiliateId> as Option<schemas::AffiliateId>,
        /// The URL with samples in place of its macros.
        preview: String as schemas::Text,
        /// Parameters that carry secrets: none is kept, so they are put in where the URL is used.
        secrets: Vec<String> as Vec<schemas::Text>,
    }
    new {}
    must {
        /// As people see it.
        name: String as schemas::Name,
        /// inbound: another system calls us. outbound: we call a tracker.
        direction: String as schemas::Direction,
        /// With the other system's macros where it calls us, and with ours where we call it. What stands in a parameter
        /// that is named like a secret is replaced by `YOUR_TOKEN`.
        url: String as schemas::TemplateUrl,
    }
    may {}
}

items!(UrlTemplate);

impl From<Stored> for UrlTemplate {
    fn from(it: Stored) -> Self {
        let settings = it.settings();
        let (preview, secrets) = (settings.preview(), settings.secrets());
        let draft = settings.draft();
        Self::of(it.id, it.advertiser_id, it.affiliate_id, preview, secrets, &draft)
    }
}

/// Which part of the list.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct UrlTemplateParams {
    /// Items of the page: 50 unless said otherwise.
    #[param(value_type = i64, minimum = 1, maximum = 200, required = false)]
    limit: Option<i64>,
    /// What the page before said as `next`.
    #[param(value_type = schemas::UrlTemplateId, inline, required = false)]
    after: Option<String>,
}

/// List URL templates
///
/// An advertiser or affiliate sees its own.
#[utoipa::path(get, path = "/url-templates", tag = "Postbacks", params(UrlTemplateParams), responses((status = 200, body = Page<UrlTemplate>)))]
pub(crate) async fn list(
    access: Allowed<needs::SeeTemplates>,
    api: Data<Api>,
    Params(params): Params<UrlTemplateParams>,
) -> Answer<Page<UrlTemplate>> {
    let window = Window::<UrlTemplateId>::of(params.limit, params.after.as_deref())?;
    let scope = access.role.scope();
    let mut conn = access.network(&api.db).await?;
    if let Some(id) = window.after {
        let last = url_templates::find(&mut conn, scope, id).await?;
        last.ok_or_else(unknown_after)?;
    }
    let rows = url_templates::list(&mut conn, scope, window.after, window.ask()).await?;
    conn.commit().await?;
    Ok(Json(window.page(rows)))
}

/// Save a URL template
///
/// Nothing is called by it: people copy it to where it is used.
#[utoipa::path(post, path = "/url-templates", tag = "Postbacks", params(IdempotencyKey), request_body = NewUrlTemplate, responses((status = 201, body = UrlTemplate)))]
pub(crate) async fn create(
    access: Allowed<needs::SaveTemplates>,
    api: Data<Api>,
    once: Once,
    body: Body<NewUrlTemplate>,
) -> Result<HttpResponse, ApiError> {
    let made = once.run(&api, &access, &body.bytes, async |conn| {
        let mut draft = body.value.over(Draft::default());
        let settings = UrlTemplateSettings::check(&mut draft);
        let settings = draft.accepted(settings)?;
        let scope = access.role.scope();
        let made = url_templates::create(conn, &access.author(), scope, &settings, clock::now()).await?;
        Ok(UrlTemplate::from(made))
    });
    Ok(made.await?.answer())
}

/// A URL template
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
    let found = url_templates::find(&mut conn, access.role.scope(), id).await?;
    conn.commit().await?;
    Ok(Json(found.ok_or(ApiError::NotFound)?.into()))
}

/// Change a URL template
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
    let scope = access.role.scope();
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

/// Remove a URL template
///
/// What was copied from it goes on working.
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
    match url_templates::remove(&mut conn, &access.author(), access.role.scope(), id, clock::now()).await? {
        true => conn.commit().await?,
        false => return Err(ApiError::NotFound),
    }
    done()
}
