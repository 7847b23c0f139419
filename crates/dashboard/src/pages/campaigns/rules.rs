//! Commission rules of a goal: adding one, ending one, and how they are told.

use actix_web::{HttpRequest, web};
use campaigns::rules::{self, Rule, RuleSettings};
use schema::{Currency, GoalId, RuleId, clock};
use tenancy::needs;

use super::goals::{find, render};
use super::settings::fields;
use crate::auth::Allowed;
use crate::error::PageError;
use crate::forms::PostedForm;
use crate::pages::id;
use crate::shell::{PageResult, saved};
use crate::{Dashboard, urls};

/// `POST /goals/{id}/rules`: adds a rule.
pub(super) async fn add_rule(
    request: HttpRequest,
    dashboard: web::Data<Dashboard>,
    actor: Allowed<needs::Configure>,
    path: web::Path<String>,
    form: PostedForm,
) -> PageResult {
    let mut conn = actor.network(&dashboard.db).await?;
    let of = find(&mut conn, &actor, id(&path)?).await?;
    let mut rule = form.draft("rule_", &RuleSettings::FIELDS);
    let goal_id = of.goal.as_ref().map(|goal| goal.id).ok_or(PageError::NotFound)?;
    if let Some(settings) = RuleSettings::check(&mut conn, &mut rule, of.campaign.currency).await? {
        match rules::create(&mut conn, &actor.author(), goal_id, &settings, clock::now()).await {
            Ok(_) => {
                conn.commit().await?;
                return saved(&urls::goal(goal_id));
            }
            Err(error) => rule.errors = fields(error)?,
        }
    }
    let goal = of.draft();
    render(&request, &dashboard, &actor, conn, of, goal, rule).await
}

/// `POST /goals/{id}/rules/remove`: ends a rule.
pub(super) async fn remove_rule(
    dashboard: web::Data<Dashboard>,
    actor: Allowed<needs::Configure>,
    path: web::Path<String>,
    form: PostedForm,
) -> PageResult {
    let mut conn = actor.network(&dashboard.db).await?;
    let goal_id: GoalId = id(&path)?;
    find(&mut conn, &actor, goal_id).await?;
    let rule_id: RuleId = id(form.get("rule"))?;
    let of_goal = rules::of_goal(&mut conn, goal_id).await?;
    if !of_goal.iter().any(|rule| rule.id == rule_id) {
        return Err(PageError::NotFound);
    }
    rules::remove(&mut conn, &actor.author(), rule_id, clock::now()).await?;
    conn.commit().await?;
    saved(&urls::goal(goal_id))
}

/// Ids with names.
pub(super) struct Names<'a> {
    pub(super) affiliates: &'a [(String, String)],
    pub(super) groups: &'a [(String, String)],
}

/// A rule as the page tells it.
pub(super) struct RuleRow {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) position: i32,
    pub(super) version: i32,
    pub(super) applies: String,
    pub(super) commission: String,
    pub(super) revenue: String,
}

impl RuleRow {
    pub(super) fn new(rule: &Rule, names: &Names<'_>, currency: Currency) -> Self {
        let name = |all: &[(String, String)], id: String| {
            let found = all.iter().find(|(known, _)| *known == id);
            found.map_or(id, |(_, name)| name.clone())
        };
        let conditions = &rule.settings.conditions;
        let parts = [
            conditions
                .affiliate_id
                .map(|id| name(names.affiliates, id.to_string())),
            conditions
                .group_id
                .map(|id| format!("group {}", name(names.groups, id.to_string()))),
            conditions
                .sub_number
                .zip(conditions.sub_value.as_deref())
                .map(|(number, value)| format!("sub{number} is {value}")),
            conditions
                .country
                .as_deref()
                .map(|country| format!("from {country}")),
            conditions
                .coupon
                .as_deref()
                .map(|coupon| format!("coupon {coupon}")),
            conditions
                .category
                .as_deref()
                .map(|category| format!("items of {category}")),
            conditions
                .month_from
                .map(|from| format!("from conversion {from} of the month on")),
        ];
        let applies: Vec<String> = parts.into_iter().flatten().collect();
        let terms = rule.terms();
        Self {
            id: rule.id.to_string(),
            name: rule.settings.name.clone(),
            position: rule.settings.position,
            version: rule.version,
            applies: match applies.is_empty() {
                true => "everything".to_owned(),
                false => applies.join(", "),
            },
            commission: terms.commission.in_words(currency),
            revenue: terms.revenue.in_words(currency),
        }
    }
}
