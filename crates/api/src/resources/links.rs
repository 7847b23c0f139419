//! `/links`: tracking links of affiliates.

use actix_web::HttpResponse;
use actix_web::web::{Data, Json};
use campaigns::links::{self, Link as Stored, LinkFilter, LinkSettings, NewLink as Settings, Presets};
use schema::{AffiliateId, CampaignId, LinkId, clock};
use serde::Deserialize;
use tenancy::{Actor, ChangeError, Draft, Permission, needs};
use utoipa::IntoParams;

use super::Answer;
use crate::auth::Allowed;
use crate::error::ApiError;
use crate::extract::{Body, Id, Params};
use crate::fields::{resource, set};
use crate::idempotency::IdempotencyKey;
use crate::if_match::{IfMatch, tagged};
use crate::page::{Page, Window, items, word};
use crate::schemas;
use crate::state::Api;

resource! {
    /// A tracking link of an affiliate to a campaign.
    Link;
    /// A tracking link to create.
    #[schema(example = json!({ "campaign": "Nova shop", "affiliate": "Orbit Blog", "sub1": "newsletter" }))]
    NewLink;
    change
    /// Fields to update. Absent fields keep their values. Affiliate, campaign, alias and `is_test` cannot be changed.
    LinkPatch;
    head {
        id: LinkId as schemas::LinkId,
        /// URL for visitors.
        url: String as schemas::Url,
        /// Version, as in `ETag`; every update increments it.
        version: i32 as i32,
    }
    new {
        /// Campaign that the link promotes.
        campaign: String as schemas::Reference,
        /// Affiliate that earns the commission.
        affiliate: String as schemas::Reference,
    }
    stays {
        /// Path on the tracking host; random if absent.
        alias: String as schemas::Text,
        /// True for a test link, whose conversions are never paid.
        is_test: bool as bool,
    }
    must {}
    may {
        /// Landing page; null for the destinations of the campaign in rotation.
        landing_page: Option<String> as Option<schemas::Reference>,
        /// Default of the sub ID, for visits without one.
        sub1: Option<String> as Option<schemas::Text>,
        /// Default of the sub ID, for visits without one.
        sub2: Option<String> as Option<schemas::Text>,
        /// Default of the sub ID, for visits without one.
        sub3: Option<String> as Option<schemas::Text>,
        /// Default of the sub ID, for visits without one.
        sub4: Option<String> as Option<schemas::Text>,
        /// Default of the sub ID, for visits without one.
        sub5: Option<String> as Option<schemas::Text>,
    }
}

items!(Link);

impl Link {
    pub(super) fn new(mut link: Stored, base: &str, actor: &Actor) -> Self {
        let url = format!("{base}/{}", link.alias);
        // Sub IDs are confidential to the affiliate and the network.
        if !actor.may(Permission::SeeClicks) {
            link.presets = Presets::default();
        }
        let (campaign, affiliate) = (link.campaign_id.to_string(), link.affiliate_id.to_string());
        Self::from_draft(link.id, url, link.version, campaign, affiliate, &link.draft())
    }
}

/// Filters of the list.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct LinkParams {
    /// Only links to this campaign.
    #[param(value_type = schemas::CampaignId, inline, required = false)]
    campaign: Option<String>,
    /// Only links of this affiliate.
    #[param(value_type = schemas::AffiliateId, inline, required = false)]
    affiliate: Option<String>,
    /// Maximum number of items of the page; 50 by default.
    #[param(value_type = i64, minimum = 1, maximum = 200, required = false)]
    limit: Option<i64>,
    /// Cursor: `next` of the previous page.
    #[param(value_type = schemas::LinkId, inline, required = false)]
    after: Option<String>,
}

/// List tracking links
///
/// Affiliates see their links; advertisers see the links to their campaigns, without sub IDs.
#[utoipa::path(get, path = "/links", tag = "Links", params(LinkParams), responses((status = 200, body = Page<Link>)))]
pub(crate) async fn list(
    access: Allowed<needs::SeeCampaigns>,
    api: Data<Api>,
    Params(params): Params<LinkParams>,
) -> Answer<Page<Link>> {
    let window = Window::<LinkId>::of(params.limit, params.after.as_deref())?;
    let campaign_id: Option<CampaignId> = word("campaign", params.campaign.as_deref())?;
    let affiliate_id: Option<AffiliateId> = word("affiliate", params.affiliate.as_deref())?;
    let filter = LinkFilter {
        scope: access.scope(),
        id: None,
        campaign_id,
        affiliate_id,
        after: window.after,
    };
    let mut conn = access.network(&api.db).await?;
    let base = api.tracking_url(&mut conn).await?;
    let rows = links::list(&mut conn, &filter, window.rows()).await?;
    conn.commit().await?;
    Ok(Json(window.page_by(rows, |row| Link::new(row, &base, &access))))
}

/// Create a tracking link
///
/// The affiliate must be approved to promote the campaign. Affiliates create links for themselves only, and no test
/// links.
#[utoipa::path(post, path = "/links", tag = "Links", params(IdempotencyKey), request_body = NewLink, responses((status = 201, body = Link)))]
pub(crate) async fn create(
    access: Allowed<needs::MakeLinks>,
    api: Data<Api>,
    key: IdempotencyKey,
    body: Body<NewLink>,
) -> Result<HttpResponse, ApiError> {
    let outcome = key.execute(&api, &access, &body.bytes, async |conn| {
        let base = api.tracking_url(conn).await?;
        let mut draft = body.value.over(Draft::default());
        set(&mut draft, "affiliate", &body.value.affiliate);
        // The same error for every other affiliate: it does not reveal which IDs exist.
        if let Some(own) = access.scope().affiliate {
            if draft.of("affiliate") != own.to_string() {
                return Err(ChangeError::field("affiliate", "Send the ID of your affiliate.").into());
            }
            if draft.is_set("is_test") {
                return Err(ChangeError::field("is_test", "Only the network creates test links.").into());
            }
        }
        let campaign = super::campaign(conn, access.scope(), &body.value.campaign).await?;
        let link = Settings::check(conn, &mut draft, &campaign).await?;
        let link = draft.accepted(link)?;
        let created = links::create(conn, &access.author(), &link, clock::now()).await?;
        Ok(Link::new(created, &base, &access))
    });
    Ok(outcome.await?.response())
}

/// Get a tracking link
///
/// Affiliates see their links; advertisers see the links to their campaigns, without sub IDs.
#[utoipa::path(
    get, path = "/links/{id}", tag = "Links",
    params(("id" = inline(schemas::LinkId), Path)),
    responses((status = 200, body = Link, headers(("ETag" = String, description = "Version for `If-Match`."))))
)]
pub(crate) async fn show(
    access: Allowed<needs::SeeCampaigns>,
    Id(id): Id<LinkId>,
    api: Data<Api>,
) -> Result<HttpResponse, ApiError> {
    let mut conn = access.network(&api.db).await?;
    let base = api.tracking_url(&mut conn).await?;
    let found = links::find_visible(&mut conn, access.scope(), id).await?;
    conn.commit().await?;
    Ok(tagged(found.version, Link::new(found, &base, &access)))
}

/// Update a tracking link
///
/// Changes the landing page and the default sub IDs from the next click on. Affiliates can update only their links.
/// With `If-Match`, fails if the link has changed since that version.
#[utoipa::path(
    patch, path = "/links/{id}", tag = "Links",
    params(("id" = inline(schemas::LinkId), Path), IfMatch),
    request_body = LinkPatch,
    responses((status = 200, body = Link, headers(("ETag" = String, description = "Version for `If-Match`."))))
)]
pub(crate) async fn update(
    access: Allowed<needs::MakeLinks>,
    Id(id): Id<LinkId>,
    api: Data<Api>,
    if_match: IfMatch,
    body: Body<LinkPatch>,
) -> Result<HttpResponse, ApiError> {
    let mut conn = access.network(&api.db).await?;
    let base = api.tracking_url(&mut conn).await?;
    let old = links::find_visible(&mut conn, access.scope(), id).await?;
    if_match.check(old.version)?;
    let mut draft = body.value.over(old.draft());
    let settings = LinkSettings::check(&mut conn, &mut draft, old.campaign_id).await?;
    let settings = draft.accepted(settings)?;
    // The fields that the body leaves out were read above: a concurrent update must not be undone.
    let version = Some(old.version);
    let new = links::update(&mut conn, &access.author(), id, version, &settings, clock::now()).await?;
    conn.commit().await?;
    Ok(tagged(new.version, Link::new(new, &base, &access)))
}
