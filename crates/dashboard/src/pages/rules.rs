//! Commission rules of a goal: adding one, ending one, and how they are told.

use actix_web::{HttpRequest, web};
use campaigns::rules::{self, Conditions, Rule, RuleSettings};
use schema::{AffiliateId, Currency, GoalId, GroupId, NetworkConn, RuleId, clock};
use tenancy::{ChangeError, affiliates, check_name, groups, needs};

use super::goals::{check_number, check_times, find, render};
use super::id;
use crate::auth::Allowed;
use crate::error::PageError;
use crate::forms::{PostedForm, Typed};
use crate::shell::{PageResult, saved};
use crate::{Dashboard, pay, urls};

/// The rule form's fields.
const RULE_FIELDS: [&str; 12] = [
    "rule_name",
    "position",
    "rule_commission",
    "rule_revenue",
    "affiliate",
    "group",
    "sub_number",
    "sub_value",
    "country",
    "coupon",
    "category",
    "month_from",
];

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
    let mut typed = Typed::of_form(&form, &RULE_FIELDS);
    let goal_id = of.goal.as_ref().map(|goal| goal.id).ok_or(PageError::NotFound)?;
    if let Some(settings) = check_rule(&mut conn, &mut typed, of.campaign.currency).await? {
        match rules::create(&mut conn, &actor.author(), goal_id, &settings, clock::now()).await {
            Ok(_) => {
                conn.commit().await?;
                return saved(&urls::goal(goal_id));
            }
            Err(ChangeError::Limit(message)) => typed.errors.add("rule_name", message),
            Err(error) => return Err(error.into()),
        }
    }
    let form = of.typed();
    render(&request, &dashboard, &actor, conn, of, form, typed).await
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

/// The rule that was typed, if all can be accepted.
async fn check_rule(
    conn: &mut NetworkConn,
    typed: &mut Typed,
    currency: Currency,
) -> Result<Option<RuleSettings>, PageError> {
    let known = affiliates::all(conn).await?;
    let known_groups = groups::all(conn).await?;
    let affiliate_id = typed.take("affiliate", |text| {
        one_of(
            text,
            known.iter().map(|it| it.id),
            "Choose one of your affiliates.",
        )
    });
    let group_id = typed.take("group", |text| {
        one_of(
            text,
            known_groups.iter().map(|it| it.id),
            "Choose one of your groups.",
        )
    });
    Ok(rule(typed, currency, affiliate_id, group_id))
}

fn one_of<T: Copy + ToString>(
    text: &str,
    mut known: impl Iterator<Item = T>,
    error: &'static str,
) -> Result<Option<T>, &'static str> {
    match text {
        "" => Ok(None),
        _ => known.find(|id| id.to_string() == text).map(Some).ok_or(error),
    }
}

fn rule(
    typed: &mut Typed,
    currency: Currency,
    affiliate_id: Option<Option<AffiliateId>>,
    group_id: Option<Option<GroupId>>,
) -> Option<RuleSettings> {
    let name = typed.take("rule_name", check_name);
    let position = typed.take("position", |text| check_number(text, 100, 0..=10_000));
    let commission = typed.take("rule_commission", |text| pay::parse(text, Some(currency)));
    let revenue = typed.take("rule_revenue", |text| pay::parse(text, Some(currency)));
    let month_from = typed.take("month_from", check_times);
    let country = typed.take("country", |text| match text.len() {
        0 => Ok(None),
        2 if text.bytes().all(|byte| byte.is_ascii_alphabetic()) => Ok(Some(text.to_ascii_uppercase())),
        _ => Err("Enter a country code of two letters such as DE."),
    });
    let some = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
    let (sub_value, coupon, category) = (
        some(typed.of("sub_value")),
        some(typed.of("coupon")),
        some(typed.of("category")),
    );
    let sub_number = typed.take("sub_number", |text| match (text.parse::<i16>(), &sub_value) {
        (_, None) => Ok(None),
        (Ok(number @ 1..=5), Some(_)) => Ok(Some(number)),
        (_, Some(_)) => Err("Choose which sub id must have the value."),
    });
    let (commission, revenue) = (commission?, revenue?);
    Some(RuleSettings {
        name: name?,
        position: position?,
        conditions: Conditions {
            affiliate_id: affiliate_id?,
            group_id: group_id?,
            sub_number: sub_number?,
            sub_value,
            country: country?,
            coupon,
            category,
            month_from: month_from?,
        },
        commission_fixed_micros: commission.fixed_micros,
        commission_rate_ppm: commission.rate_ppm,
        revenue_fixed_micros: revenue.fixed_micros,
        revenue_rate_ppm: revenue.rate_ppm,
    })
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
