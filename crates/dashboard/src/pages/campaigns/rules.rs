//! Commission rules of a goal: adding and ending a rule, and the rows of the list.

use actix_web::web;
use campaigns::rules::{self, Rule, RuleSettings};
use schema::{Currency, GoalId, RuleId};
use tenancy::needs;

use super::goals::{find, render};
use crate::error::PageError;
use crate::forms::field_errors;
use crate::page::Submitted;
use crate::pages::id;
use crate::shell::{PageResult, saved};
use crate::urls;

/// `POST /goals/{id}/rules`: adds a rule.
pub(super) async fn add_rule(
    Submitted(mut page, form): Submitted<needs::Configure>,
    path: web::Path<String>,
) -> PageResult {
    let edited = find(&mut page.conn, &page.actor, id(&path)?).await?;
    let mut rule = form.draft("rule_", &RuleSettings::FIELDS);
    let goal_id = edited
        .goal
        .as_ref()
        .map(|goal| goal.id)
        .ok_or(PageError::NotFound)?;
    if let Some(settings) = RuleSettings::check(&mut page.conn, &mut rule, edited.campaign.currency).await? {
        match rules::create(&mut page.conn, &page.actor.author(), goal_id, &settings, page.now).await {
            Ok(_) => {
                page.commit().await?;
                return saved(&urls::goal(goal_id));
            }
            Err(error) => rule.errors = field_errors(error)?,
        }
    }
    let goal = edited.draft();
    render(page, edited, goal, rule).await
}

/// `POST /goals/{id}/rules/remove`: ends a rule.
pub(super) async fn remove_rule(
    Submitted(mut page, form): Submitted<needs::Configure>,
    path: web::Path<String>,
) -> PageResult {
    let goal_id: GoalId = id(&path)?;
    find(&mut page.conn, &page.actor, goal_id).await?;
    let rule_id: RuleId = id(form.get("rule"))?;
    let of_goal = rules::of_goal(&mut page.conn, goal_id).await?;
    if !of_goal.iter().any(|rule| rule.id == rule_id) {
        return Err(PageError::NotFound);
    }
    rules::remove(&mut page.conn, &page.actor.author(), rule_id, page.now).await?;
    page.commit().await?;
    saved(&urls::goal(goal_id))
}

/// Names of affiliates and groups, by id as text.
pub(super) struct Names<'a> {
    pub(super) affiliates: &'a [(String, String)],
    pub(super) groups: &'a [(String, String)],
}

/// Row of the list of rules.
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
                .map(|from| format!("from monthly conversion no. {from}")),
        ];
        let applies: Vec<String> = parts.into_iter().flatten().collect();
        let terms = rule.terms();
        Self {
            id: rule.id.to_string(),
            name: rule.settings.name.clone(),
            position: rule.settings.position,
            version: rule.version,
            applies: if applies.is_empty() {
                "everything".to_owned()
            } else {
                applies.join(", ")
            },
            commission: terms.commission.in_words(currency),
            revenue: terms.revenue.in_words(currency),
        }
    }
}
