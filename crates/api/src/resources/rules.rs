//! `/rules`: commission rules of goals; the first rule that matches applies.

use actix_web::HttpResponse;
use actix_web::web::{Data, Json};
use campaigns::rules::{self, Rule as Stored, RuleSettings};
use campaigns::{campaigns as campaign_table, goals};
use chrono::{DateTime, Utc};
use schema::{Currency, GoalId, NetworkConn, RuleId, clock};
use serde::Deserialize;
use tenancy::{ChangeError, needs};
use utoipa::IntoParams;

use super::{Answer, no_content};
use crate::auth::Allowed;
use crate::error::ApiError;
use crate::extract::{Body, Id, Integer, Params};
use crate::fields::resource;
use crate::idempotency::IdempotencyKey;
use crate::page::{Page, Window, items, word};
use crate::schemas;
use crate::state::Api;

resource! {
    /// A commission rule in its current version. It applies where all its conditions match.
    Rule;
    /// A commission rule to create.
    #[schema(example = json!({
        "goal": "goal_2y6c3r8", "name": "VIP partners", "commission": "12 %", "revenue": "17 %", "group": "VIP"
    }))]
    NewRule;
    change
    /// Fields to update. Absent fields keep their values. Earlier conversions keep their commission and revenue.
    #[schema(example = json!({ "commission": "14 %" }))]
    RulePatch;
    head {
        id: RuleId as schemas::RuleId,
        /// Version; every update increments it.
        version: i32 as i32,
        /// Start of this version.
        valid_from: DateTime<Utc> as DateTime<Utc>,
    }
    new {
        /// Goal of the rule.
        goal: String as schemas::GoalId,
    }
    must {
        /// Name for the network's staff.
        name: String as schemas::Name,
        /// Commission of the affiliate.
        commission: String as schemas::Pay,
        /// Revenue from the advertiser.
        revenue: String as schemas::Pay,
    }
    may {
        /// Priority: lower positions are evaluated first. 100 by default.
        position: Integer as i64,
        /// Condition: affiliate.
        affiliate: Option<String> as Option<schemas::Reference>,
        /// Condition: affiliate group.
        group: Option<String> as Option<schemas::Reference>,
        /// Condition: number of the sub ID, 1 to 5, that must equal `sub_value`.
        sub_number: Option<Integer> as Option<i64>,
        /// Condition: value of that sub ID.
        sub_value: Option<String> as Option<schemas::Text>,
        /// Condition: country (ISO 3166-1 code).
        country: Option<String> as Option<schemas::Text>,
        /// Condition: coupon code.
        coupon: Option<String> as Option<schemas::Text>,
        /// Condition: category of an item of the order.
        category: Option<String> as Option<schemas::Text>,
        /// Condition: from this conversion of the month on, counted by affiliate and goal.
        month_from: Option<Integer> as Option<i64>,
    }
}

items!(Rule);

impl From<Stored> for Rule {
    fn from(rule: Stored) -> Self {
        let draft = rule.settings.draft();
        Self::from_draft(
            rule.id,
            rule.version,
            rule.valid_from,
            rule.goal_id.to_string(),
            &draft,
        )
    }
}

/// Filters of the list.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct RuleParams {
    /// Only rules of this goal.
    #[param(value_type = schemas::GoalId, inline, required = false)]
    goal: Option<String>,
    /// Maximum number of items of the page; 50 by default.
    #[param(value_type = i64, minimum = 1, maximum = 200, required = false)]
    limit: Option<i64>,
    /// Cursor: `next` of the previous page.
    #[param(value_type = schemas::RuleId, inline, required = false)]
    after: Option<String>,
}

/// List commission rules
///
/// Current rules only.
#[utoipa::path(get, path = "/rules", tag = "Campaigns", params(RuleParams), responses((status = 200, body = Page<Rule>)))]
pub(crate) async fn list(
    access: Allowed<needs::SeeSetup>,
    api: Data<Api>,
    Params(params): Params<RuleParams>,
) -> Answer<Page<Rule>> {
    let window = Window::<RuleId>::of(params.limit, params.after.as_deref())?;
    let goal: Option<GoalId> = word("goal", params.goal.as_deref())?;
    let mut conn = access.network(&api.db).await?;
    let rows = rules::list(&mut conn, goal, window.after, window.rows()).await?;
    conn.commit().await?;
    Ok(Json(window.page(rows)))
}

/// Create a commission rule
#[utoipa::path(post, path = "/rules", tag = "Campaigns", params(IdempotencyKey), request_body = NewRule, responses((status = 201, body = Rule)))]
pub(crate) async fn create(
    access: Allowed<needs::Configure>,
    api: Data<Api>,
    key: IdempotencyKey,
    body: Body<NewRule>,
) -> Result<HttpResponse, ApiError> {
    let outcome = key.execute(&api, &access, &body.bytes, async |conn| {
        let goal_id = body.value.goal.parse().ok();
        let goal = match goal_id {
            Some(id) => goals::find(conn, id).await?,
            None => None,
        };
        let goal = goal.ok_or_else(|| ChangeError::field("goal", "Unknown goal; send its ID."))?;
        let currency = currency_of(conn, &goal).await?;
        let mut draft = body.value.over(RuleSettings::blank());
        let settings = RuleSettings::check(conn, &mut draft, currency).await?;
        let settings = draft.accepted(settings)?;
        let created = rules::create(conn, &access.author(), goal.id, &settings, clock::now()).await?;
        Ok(Rule::from(created))
    });
    Ok(outcome.await?.response())
}

/// Update a commission rule
///
/// Starts its next version, for conversions from then on.
#[utoipa::path(
    patch, path = "/rules/{id}", tag = "Campaigns",
    params(("id" = inline(schemas::RuleId), Path)),
    request_body = RulePatch,
    responses((status = 200, body = Rule))
)]
pub(crate) async fn update(
    access: Allowed<needs::Configure>,
    Id(id): Id<RuleId>,
    api: Data<Api>,
    body: Body<RulePatch>,
) -> Answer<Rule> {
    let mut conn = access.network(&api.db).await?;
    let old = rules::lock(&mut conn, id).await?.ok_or(ApiError::NotFound)?;
    let goal = goals::find(&mut conn, old.goal_id)
        .await?
        .ok_or(ApiError::NotFound)?;
    let currency = currency_of(&mut conn, &goal).await?;
    let mut draft = body.value.over(old.settings.draft());
    let settings = RuleSettings::check(&mut conn, &mut draft, currency).await?;
    let settings = draft.accepted(settings)?;
    rules::update(&mut conn, &access.author(), id, &settings, clock::now()).await?;
    let new = rules::lock(&mut conn, id).await?.ok_or(ApiError::NotFound)?;
    conn.commit().await?;
    Ok(Json(new.into()))
}

/// Delete a commission rule
///
/// Earlier conversions keep their commission and revenue.
#[utoipa::path(
    delete, path = "/rules/{id}", tag = "Campaigns",
    params(("id" = inline(schemas::RuleId), Path)),
    responses((status = 204))
)]
pub(crate) async fn remove(
    access: Allowed<needs::Configure>,
    Id(id): Id<RuleId>,
    api: Data<Api>,
) -> Result<HttpResponse, ApiError> {
    let mut conn = access.network(&api.db).await?;
    if !rules::remove(&mut conn, &access.author(), id, clock::now()).await? {
        return Err(ApiError::NotFound);
    }
    conn.commit().await?;
    no_content()
}

/// Currency of the fixed amounts of a goal.
async fn currency_of(conn: &mut NetworkConn, goal: &goals::Goal) -> Result<Currency, ApiError> {
    let campaign = campaign_table::find(conn, goal.campaign_id).await?;
    Ok(campaign.ok_or(ApiError::NotFound)?.currency)
}
