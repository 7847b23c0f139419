//! `/goals`: what counts as a conversion of a campaign, and what it pays where no rule says otherwise.

use actix_web::HttpResponse;
use actix_web::web::{Data, Json};
use campaigns::campaigns as campaign_table;
use campaigns::goals::{self, Goal as Stored, GoalSettings};
use schema::{CampaignId, GoalId, clock};
use tenancy::needs;

use super::{Answer, OfCampaign};
use crate::door::Allowed;
use crate::error::ApiError;
use crate::extract::{Body, Id, Params, Whole, given};
use crate::fields::resource;
use crate::once::Once;
use crate::openapi::IdempotencyKey;
use crate::page::{Page, Window, items, word};
use crate::{Api, schemas};

resource! {
    /// A goal of a campaign.
    Goal;
    /// A goal to create.
    #[schema(example = json!({
        "campaign": "Nova shop", "code": "sale", "name": "Sale", "kind": "sale", "commission": "10 %", "revenue": "15 %"
    }))]
    NewGoal;
    change
    /// What is to change. Absent fields stay as they are; what was paid before stays as it was.
    #[schema(example = json!({ "commission": "12 %" }))]
    GoalPatch;
    head {
        id: GoalId as schemas::GoalId,
        /// Counts changes of what it pays.
        version: i32 as i32,
    }
    new {
        /// The campaign it belongs to.
        campaign: String as schemas::Reference,
    }
    must {
        /// What a postback names it by: lower-case letters, digits, `_` and `-`.
        code: String as schemas::Text,
        /// As affiliates see it.
        name: String as schemas::Name,
        kind: String as schemas::GoalKind,
        /// What the affiliate earns.
        commission: String as schemas::Pay,
        /// What the advertiser pays.
        revenue: String as schemas::Pay,
    }
    may {
        /// What the advertiser or a former system calls it; unique within the campaign.
        external_id: Option<String> as Option<schemas::Name>,
        /// The amount of a postback that carries none.
        default_amount: Option<String> as Option<schemas::Amount>,
        unique_by: String as schemas::UniqueBy,
        /// The goal of the campaign that must have been reached before.
        parent_goal: Option<String> as Option<schemas::GoalId>,
        /// How often it counts after one conversion of its parent; null for always.
        times_per_parent: Option<Whole> as Option<i64>,
        /// How many hours a postback waits for its parent, or for the order it changes: 0 to 2160.
        wait_hours: Whole as i64,
        /// Names of parameters that a postback must carry.
        required_parameters: Vec<String> as Vec<schemas::Text>,
        /// Names of parameters that it must not carry.
        forbidden_parameters: Vec<String> as Vec<schemas::Text>,
        /// Whether conversions approve themselves, at once or after the days on hold.
        auto_approve: bool as bool,
        /// 0 to 365.
        hold_days: Whole as i64,
        /// Above which amount somebody of the network must look at a conversion before it is approved; null for never.
        review_above: Option<String> as Option<schemas::Amount>,
    }
}

items!(Goal);

impl From<Stored> for Goal {
    fn from(it: Stored) -> Self {
        Self::of(
            it.id,
            it.version,
            it.campaign_id.to_string(),
            &it.settings.draft(),
        )
    }
}

/// List goals
#[utoipa::path(get, path = "/goals", tag = "Campaigns", params(OfCampaign), responses((status = 200, body = Page<Goal>)))]
pub(crate) async fn list(
    access: Allowed<needs::SeeSetup>,
    api: Data<Api>,
    Params(params): Params<OfCampaign>,
) -> Answer<Page<Goal>> {
    let window = Window::<GoalId>::of(params.limit, params.after.as_deref())?;
    let campaign: Option<CampaignId> = word("campaign", params.campaign.as_deref())?;
    let mut conn = access.network(&api.db).await?;
    let rows = goals::list(&mut conn, campaign, window.after, window.ask()).await?;
    conn.commit().await?;
    Ok(Json(window.page(rows)))
}

/// Create a goal
#[utoipa::path(post, path = "/goals", tag = "Campaigns", params(IdempotencyKey), request_body = NewGoal, responses((status = 201, body = Goal)))]
pub(crate) async fn create(
    access: Allowed<needs::Configure>,
    api: Data<Api>,
    once: Once,
    body: Body<NewGoal>,
) -> Result<HttpResponse, ApiError> {
    let made = once.run(&api, &access, &body.bytes, async |conn| {
        let campaign = super::campaign(conn, access.role.scope(), &body.value.campaign).await?;
        let mut draft = body.value.over(GoalSettings::blank());
        let settings = GoalSettings::check(&mut draft, campaign.currency);
        let settings = draft.accepted(settings)?;
        let made = goals::create(conn, &access.author(), campaign.id, &settings, clock::now()).await?;
        Ok(Goal::from(made))
    });
    Ok(made.await?.answer())
}

/// A goal
#[utoipa::path(
    get, path = "/goals/{id}", tag = "Campaigns",
    params(("id" = inline(schemas::GoalId), Path)),
    responses((status = 200, body = Goal))
)]
pub(crate) async fn show(
    access: Allowed<needs::SeeSetup>,
    Id(id): Id<GoalId>,
    api: Data<Api>,
) -> Answer<Goal> {
    let mut conn = access.network(&api.db).await?;
    let found = goals::find(&mut conn, id).await?;
    conn.commit().await?;
    Ok(Json(found.ok_or(ApiError::NotFound)?.into()))
}

/// Change a goal
#[utoipa::path(
    patch, path = "/goals/{id}", tag = "Campaigns",
    params(("id" = inline(schemas::GoalId), Path)),
    request_body = GoalPatch,
    responses((status = 200, body = Goal))
)]
pub(crate) async fn update(
    access: Allowed<needs::Configure>,
    Id(id): Id<GoalId>,
    api: Data<Api>,
    body: Body<GoalPatch>,
) -> Answer<Goal> {
    let mut conn = access.network(&api.db).await?;
    let old = goals::lock(&mut conn, id).await?.ok_or(ApiError::NotFound)?;
    let campaign = campaign_table::find(&mut conn, old.campaign_id).await?;
    let campaign = campaign.ok_or(ApiError::NotFound)?;
    let mut draft = body.value.over(old.settings.draft());
    let settings = GoalSettings::check(&mut draft, campaign.currency);
    let settings = draft.accepted(settings)?;
    goals::update(&mut conn, &access.author(), id, &settings, clock::now()).await?;
    let new = goals::find(&mut conn, id).await?.ok_or(ApiError::NotFound)?;
    conn.commit().await?;
    Ok(Json(new.into()))
}
