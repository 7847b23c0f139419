//! `/goals`: kinds of conversions of a campaign, with their default commission and revenue.

use actix_web::HttpResponse;
use actix_web::web::{Data, Json};
use campaigns::campaigns as campaign_table;
use campaigns::goals::{self, Goal as Stored, GoalSettings};
use schema::{CampaignId, GoalId, clock};
use tenancy::needs;

use super::{Answer, OfCampaign};
use crate::auth::Allowed;
use crate::error::ApiError;
use crate::extract::{Body, Id, Integer, Params};
use crate::fields::resource;
use crate::idempotency::IdempotencyKey;
use crate::page::{Page, Window, items, word};
use crate::schemas;
use crate::state::Api;

resource! {
    /// A kind of conversion of a campaign.
    Goal;
    /// A goal to create.
    #[schema(example = json!({
        "campaign": "Nova shop", "code": "sale", "name": "Sale", "kind": "sale", "commission": "10 %", "revenue": "15 %"
    }))]
    NewGoal;
    change
    /// Fields to update. Absent fields keep their values. Earlier conversions keep their commission and revenue.
    #[schema(example = json!({ "commission": "12 %" }))]
    GoalPatch;
    head {
        id: GoalId as schemas::GoalId,
        /// Version of commission and revenue.
        version: i32 as i32,
    }
    new {
        /// Campaign of the goal.
        campaign: String as schemas::Reference,
    }
    must {
        /// Code of the goal in postbacks: lower-case letters, digits, `_` and `-`.
        code: String as schemas::Text,
        /// Name that affiliates see.
        name: String as schemas::Name,
        /// Kind of the goal.
        kind: String as schemas::GoalKind,
        /// Commission of the affiliate, where no commission rule matches.
        commission: String as schemas::Pay,
        /// Revenue from the advertiser, where no commission rule matches.
        revenue: String as schemas::Pay,
    }
    may {
        /// ID in another system; unique within the campaign. Null for none.
        external_id: Option<String> as Option<schemas::Name>,
        /// Order amount of postbacks without one.
        default_amount: Option<String> as Option<schemas::Amount>,
        /// Key by which conversions are deduplicated.
        unique_by: String as schemas::UniqueBy,
        /// Goal of the campaign that must be converted first.
        parent_goal: Option<String> as Option<schemas::GoalId>,
        /// Maximum conversions per conversion of the parent goal; null for no limit.
        times_per_parent: Option<Integer> as Option<i64>,
        /// Hours for which a postback is held until its parent conversion, or the order it updates, arrives: 0 to 2160.
        wait_hours: Integer as i64,
        /// Names of parameters that a postback must have.
        required_parameters: Vec<String> as Vec<schemas::Text>,
        /// Names of parameters that a postback must not have.
        forbidden_parameters: Vec<String> as Vec<schemas::Text>,
        /// True if conversions are approved automatically, after the hold period if one is set.
        auto_approve: bool as bool,
        /// Hold period in days: 0 to 365.
        hold_days: Integer as i64,
        /// Order amount above which a conversion needs a manual review; null for never.
        review_above: Option<String> as Option<schemas::Amount>,
    }
}

items!(Goal);

impl From<Stored> for Goal {
    fn from(goal: Stored) -> Self {
        let campaign = goal.campaign_id.to_string();
        Self::from_draft(goal.id, goal.version, campaign, &goal.settings.draft())
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
    let rows = goals::list(&mut conn, campaign, window.after, window.rows()).await?;
    conn.commit().await?;
    Ok(Json(window.page(rows)))
}

/// Create a goal
#[utoipa::path(post, path = "/goals", tag = "Campaigns", params(IdempotencyKey), request_body = NewGoal, responses((status = 201, body = Goal)))]
pub(crate) async fn create(
    access: Allowed<needs::Configure>,
    api: Data<Api>,
    key: IdempotencyKey,
    body: Body<NewGoal>,
) -> Result<HttpResponse, ApiError> {
    let outcome = key.execute(&api, &access, &body.bytes, async |conn| {
        let campaign = super::campaign(conn, access.scope(), &body.value.campaign).await?;
        let mut draft = body.value.over(GoalSettings::blank());
        let settings = GoalSettings::check(&mut draft, campaign.currency);
        let settings = draft.accepted(settings)?;
        let created = goals::create(conn, &access.author(), campaign.id, &settings, clock::now()).await?;
        Ok(Goal::from(created))
    });
    Ok(outcome.await?.response())
}

/// Get a goal
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

/// Update a goal
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
