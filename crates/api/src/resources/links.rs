//! `/links`: an affiliate's ways into campaigns.

use actix_web::HttpResponse;
use actix_web::web::{Data, Json};
use campaigns::links::{self, Link as Stored, LinkFilter, LinkSettings, NewLink, Presets};
use schema::{AffiliateId, CampaignId, LinkId, NetworkConn, clock};
use serde::Deserialize;
use tenancy::{Actor, ChangeError, Draft, Permission, Scope, needs};
use utoipa::IntoParams;

use super::Answer;
use crate::condition::{Condition, tagged};
use crate::door::Allowed;
use crate::error::ApiError;
use crate::extract::{Body, Id, Params, given};
use crate::fields::{resource, say};
use crate::once::Once;
use crate::openapi::{IdempotencyKey, IfMatch};
use crate::page::{Page, Window, items, word};
use crate::{Api, schemas};

resource! {
    /// A tracking link.
    Link;
    /// A tracking link to create.
    #[schema(example = json!({ "campaign": "Nova shop", "affiliate": "Orbit Blog", "sub1": "newsletter" }))]
    LinkToMake;
    change
    /// What is to change. Absent fields stay as they are; whose it is, its campaign, its alias and whether it is a test
    /// always do.
    LinkPatch;
    head {
        id: LinkId as schemas::LinkId,
        /// What visitors follow.
        url: String as schemas::Url,
        /// Counts changes; the `ETag` too.
        version: i32 as i32,
    }
    new {
        campaign: String as schemas::Reference,
        /// Who earns.
        affiliate: String as schemas::Reference,
    }
    stays {
        /// Its path on the tracking host; made up where none is said.
        alias: String as schemas::Text,
        /// Whether its conversions are tests, which are never paid.
        is_test: bool as bool,
    }
    must {}
    may {
        /// Where it leads; the campaign's destinations by weight if null.
        landing_page: Option<String> as Option<schemas::Reference>,
        /// What the sub id is where a visit brings none.
        sub1: Option<String> as Option<schemas::Text>,
        sub2: Option<String> as Option<schemas::Text>,
        sub3: Option<String> as Option<schemas::Text>,
        sub4: Option<String> as Option<schemas::Text>,
        sub5: Option<String> as Option<schemas::Text>,
    }
}

items!(Link);

impl Link {
    fn new(mut it: Stored, base: &str, actor: &Actor) -> Self {
        let url = format!("{base}/{}", it.alias);
        // Sub ids are the affiliate's.
        if !actor.may(Permission::SeeClicks) {
            it.presets = Presets::default();
        }
        let (campaign, affiliate) = (it.campaign_id.to_string(), it.affiliate_id.to_string());
        Self::of(it.id, url, it.version, campaign, affiliate, &it.draft())
    }
}

/// Which links.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct LinkParams {
    /// Only of this campaign.
    #[param(value_type = schemas::CampaignId, inline, required = false)]
    campaign: Option<String>,
    /// Only of this affiliate.
    #[param(value_type = schemas::AffiliateId, inline, required = false)]
    affiliate: Option<String>,
    /// Items of the page: 50 unless said otherwise.
    #[param(value_type = i64, minimum = 1, maximum = 200, required = false)]
    limit: Option<i64>,
    /// What the page before said as `next`.
    #[param(value_type = schemas::LinkId, inline, required = false)]
    after: Option<String>,
}

/// List links
///
/// An affiliate sees its own; an advertiser those to its campaigns, without sub ids.
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
        scope: access.role.scope(),
        id: None,
        campaign_id,
        affiliate_id,
        after: window.after,
    };
    let mut conn = access.network(&api.db).await?;
    let base = api.tracking_url(&mut conn).await?;
    let rows = links::list(&mut conn, &filter, window.ask()).await?;
    conn.commit().await?;
    Ok(Json(window.page_by(rows, |row| Link::new(row, &base, &access))))
}

/// Create a link
///
/// Of an affiliate who may promote the campaign. An affiliate makes its own, and no test links.
#[utoipa::path(post, path = "/links", tag = "Links", params(IdempotencyKey), request_body = LinkToMake, responses((status = 201, body = Link)))]
pub(crate) async fn create(
    access: Allowed<needs::MakeLinks>,
    api: Data<Api>,
    once: Once,
    body: Body<LinkToMake>,
) -> Result<HttpResponse, ApiError> {
    let made = once.run(&api, &access, &body.bytes, async |conn| {
        let base = api.tracking_url(conn).await?;
        let mut draft = body.value.over(Draft::default());
        say(&mut draft, "affiliate", &body.value.affiliate);
        // Other affiliates are told apart by nothing.
        if let Some(own) = access.role.scope().affiliate {
            if draft.of("affiliate") != own.to_string() {
                return Err(ChangeError::field("affiliate", "Send your own id.").into());
            }
            if draft.is_set("is_test") {
                return Err(ChangeError::field("is_test", "Test links are made by the network.").into());
            }
        }
        let campaign = super::campaign(conn, access.role.scope(), &body.value.campaign).await?;
        let link = NewLink::check(conn, &mut draft, &campaign).await?;
        let link = draft.accepted(link)?;
        let made = links::create(conn, &access.author(), &link, clock::now()).await?;
        Ok(Link::new(made, &base, &access))
    });
    Ok(made.await?.answer())
}

/// A link
///
/// An affiliate sees its own; an advertiser those to its campaigns, without sub ids.
#[utoipa::path(
    get, path = "/links/{id}", tag = "Links",
    params(("id" = inline(schemas::LinkId), Path)),
    responses((status = 200, body = Link, headers(("ETag" = String, description = "Its version, for `If-Match`."))))
)]
pub(crate) async fn show(
    access: Allowed<needs::SeeCampaigns>,
    Id(id): Id<LinkId>,
    api: Data<Api>,
) -> Result<HttpResponse, ApiError> {
    let mut conn = access.network(&api.db).await?;
    let base = api.tracking_url(&mut conn).await?;
    let found = find(&mut conn, access.role.scope(), id).await?;
    conn.commit().await?;
    Ok(tagged(found.version, Link::new(found, &base, &access)))
}

/// Change a link
///
/// Where it leads and what its sub ids are, from the next click on. An affiliate changes its own. With `If-Match`, only if
/// nobody else has changed it since.
#[utoipa::path(
    patch, path = "/links/{id}", tag = "Links",
    params(("id" = inline(schemas::LinkId), Path), IfMatch),
    request_body = LinkPatch,
    responses((status = 200, body = Link, headers(("ETag" = String, description = "Its version, for `If-Match`."))))
)]
pub(crate) async fn update(
    access: Allowed<needs::MakeLinks>,
    Id(id): Id<LinkId>,
    api: Data<Api>,
    condition: Condition,
    body: Body<LinkPatch>,
) -> Result<HttpResponse, ApiError> {
    let mut conn = access.network(&api.db).await?;
    let base = api.tracking_url(&mut conn).await?;
    let old = find(&mut conn, access.role.scope(), id).await?;
    condition.check(old.version)?;
    let mut draft = body.value.over(old.draft());
    let settings = LinkSettings::check(&mut conn, &mut draft, old.campaign_id).await?;
    let settings = draft.accepted(settings)?;
    // Fields that were not sent must not undo what somebody changes at this moment.
    let version = Some(old.version);
    let new = links::update(&mut conn, &access.author(), id, version, &settings, clock::now()).await?;
    conn.commit().await?;
    Ok(tagged(new.version, Link::new(new, &base, &access)))
}

/// The link with this id, if it is in scope.
async fn find(conn: &mut NetworkConn, scope: Scope, id: LinkId) -> Result<Stored, ApiError> {
    let filter = LinkFilter {
        scope,
        id: Some(id),
        ..LinkFilter::default()
    };
    links::list(conn, &filter, 1)
        .await?
        .pop()
        .ok_or(ApiError::NotFound)
}
