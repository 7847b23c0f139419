//! `/rules`: what a goal pays to some; the first that fits wins.

use actix_web::HttpResponse;
use actix_web::web::{Data, Json};
use campaigns::rules::{self, Rule as Stored, RuleSettings};
use campaigns::{campaigns as campaign_table, goals};
use chrono::{DateTime, Utc};
use schema::{Currency, GoalId, NetworkConn, RuleId, clock};
use serde::Deserialize;
use tenancy::{ChangeError, needs};
use utoipa::IntoParams;

use super::{Answer, done};
use crate::door::Allowed;
use crate::error::ApiError;
use crate::extract::{Body, Id, Params, Whole, given};
use crate::fields::resource;
use crate::once::Once;
use crate::openapi::IdempotencyKey;
use crate::page::{Page, Window, items, word};
use crate::{Api, schemas};

resource! {
    /// A commission rule, in the version that is in force. All that it names must fit.
    Rule;
    /// A rule to create.
    #[schema(example = json!({
        "goal": "goal_2y6c3r8", "name": "VIP partners", "commission": "12 %", "revenue": "17 %", "group": "VIP"
    }))]
    NewRule;
    change
    /// What is to change from now on. Absent fields stay as they are; what was paid before stays as it was.
    #[schema(example = json!({ "commission": "14 %" }))]
    RulePatch;
    head {
        id: RuleId as schemas::RuleId,
        /// Counts its changes.
        version: i32 as i32,
        /// Since when this version is in force.
        valid_from: DateTime<Utc> as DateTime<Utc>,
    }
    new {
        goal: String as schemas::GoalId,
    }
    must {
        /// For the network's own people.
        name: String as schemas::Name,
        /// What the affiliate earns.
        commission: String as schemas::Pay,
        /// What the advertiser pays.
        revenue: String as schemas::Pay,
    }
    may {
        /// Its place: lower ones are looked at first. 100 unless said otherwise.
        position: Whole as i64,
        affiliate: Option<String> as Option<schemas::Reference>,
        group: Option<String> as Option<schemas::Reference>,
        /// Which sub id must have the value: 1 to 5.
        sub_number: Option<Whole> as Option<i64>,
        sub_value: Option<String> as Option<schemas::Text>,
        /// Orders from this country (ISO 3166-1).
        country: Option<String> as Option<schemas::Text>,
        coupon: Option<String> as Option<schemas::Text>,
        /// Items of this category.
        category: Option<String> as Option<schemas::Text>,
        /// From the affiliate's so-many-th conversion of the goal in a month on.
        month_from: Option<Whole> as Option<i64>,
    }
}

items!(Rule);

impl From<Stored> for Rule {
    fn from(it: Stored) -> Self {
        let draft = it.settings.draft();
        Self::of(it.id, it.version, it.valid_from, it.goal_id.to_string(), &draft)
    }
}

/// Which rules.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct RuleParams {
    /// Only of this goal.
    #[param(value_type = schemas::GoalId, inline, required = false)]
    goal: Option<String>,
    /// Items of the page: 50 unless said otherwise.
    #[param(value_type = i64, minimum = 1, maximum = 200, required = false)]
    limit: Option<i64>,
    /// What the page before said as `next`.
    #[param(value_type = schemas::RuleId, inline, required = false)]
    after: Option<String>,
}

/// List rules
///
/// Those in force.
#[utoipa::path(get, path = "/rules", tag = "Campaigns", params(RuleParams), responses((status = 200, body = Page<Rule>)))]
pub(crate) async fn list(
    access: Allowed<needs::SeeSetup>,
    api: Data<Api>,
    Params(params): Params<RuleParams>,
) -> Answer<Page<Rule>> {
    let window = Window::<RuleId>::of(params.limit, params.after.as_deref())?;
    let goal: Option<GoalId> = word("goal", params.goal.as_deref())?;
    let mut conn = access.network(&api.db).await?;
    let rows = rules::list(&mut conn, goal, window.after, window.ask()).await?;
    conn.commit().await?;
    Ok(Json(window.page(rows)))
}

/// Create a rule
#[utoipa::path(post, path = "/rules", tag = "Campaigns", params(IdempotencyKey), request_body = NewRule, responses((status = 201, body = Rule)))]
pub(crate) async fn create(
    access: Allowed<needs::Configure>,
    api: Data<Api>,
    once: Once,
    body: Body<NewRule>,
) -> Result<HttpResponse, ApiError> {
    let made = once.run(&api, &access, &body.bytes, async |conn| {
        let goal_id = body.value.goal.parse().ok();
        let known = match goal_id {
            Some(id) => goals::find(conn, id).await?,
            None => None,
        };
        let goal = known.ok_or_else(|| ChangeError::field("goal", "Name one of your goals by its id."))?;
        let currency = currency_of(conn, &goal).await?;
        let mut draft = body.value.over(RuleSettings::blank());
        let settings = RuleSettings::check(conn, &mut draft, currency).await?;
        let settings = draft.accepted(settings)?;
        let made = rules::create(conn, &access.author(), goal.id, &settings, clock::now()).await?;
        Ok(Rule::from(made))
    });
    Ok(made.await?.answer())
}

/// Change a rule
///
/// From now on: its next version.
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

/// End a rule
///
/// What was paid by it stays as it was.
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
    match rules::remove(&mut conn, &access.author(), id, clock::now()).await? {
        true => conn.commit().await?,
        false => return Err(ApiError::NotFound),
    }
    done()
}

/// The currency of a goal's fixed sums.
async fn currency_of(conn: &mut NetworkConn, goal: &goals::Goal) -> Result<Currency, ApiError> {
    let campaign = campaign_table::find(conn, goal.campaign_id).await?;
    Ok(campaign.ok_or(ApiError::NotFound)?.currency)
}
