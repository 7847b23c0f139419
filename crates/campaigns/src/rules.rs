//! Commission rules of a goal. The first rule that matches wins; without a match the goal's own terms apply.
//!
//! A row is never changed: an update closes it and adds the next version, so that every conversion names the version
//! that paid it.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use schema::{
    AffiliateId, CampaignId, Currency, GoalId, GroupId, NetworkConn, RuleId, commission_rules, goals,
};
use serde_json::{Value, json};
use tenancy::audit::{self, Change};
use tenancy::{Author, ChangeError, Draft, affiliates, check_name, check_number, groups};

use crate::goals::check_times;
use crate::terms::{LOSES_MONEY, Pay, Terms};

/// Maximum number of rules of a goal.
const MAX_RULES: usize = 200;

/// Conditions of a rule; all that are set must match.
#[derive(Debug, Clone, Default, PartialEq, Eq, HasQuery, Insertable)]
#[diesel(table_name = commission_rules)]
pub struct Conditions {
    /// Affiliate of the conversion.
    pub affiliate_id: Option<AffiliateId>,
    /// Group of the affiliate.
    pub group_id: Option<GroupId>,
    /// Number of the click's sub ID that must have the value, 1 to 5.
    pub sub_number: Option<i16>,
    /// Value of that sub ID.
    pub sub_value: Option<String>,
    /// Country of the order (ISO 3166-1).
    pub country: Option<String>,
    /// Coupon code of the order; not case-sensitive.
    pub coupon: Option<String>,
    /// Category of the item.
    pub category: Option<String>,
    /// First conversion of the affiliate's goal in a month to which the rule applies, counted from 1.
    pub month_from: Option<i32>,
}

/// Settings of a rule, checked.
#[derive(Debug, Clone, PartialEq, Eq, HasQuery, Insertable)]
#[diesel(table_name = commission_rules)]
pub struct RuleSettings {
    /// Name shown to users.
    pub name: String,
    /// Position; lower positions are tried first.
    pub position: i32,
    /// Conditions.
    #[diesel(embed)]
    pub conditions: Conditions,
    /// Fixed commission in micro-units of the campaign's currency.
    pub commission_fixed_micros: i64,
    /// Commission rate in parts per million of the amount.
    pub commission_rate_ppm: i32,
    /// Fixed revenue in micro-units of the campaign's currency.
    pub revenue_fixed_micros: i64,
    /// Revenue rate in parts per million of the amount.
    pub revenue_rate_ppm: i32,
}

/// A version of a rule as stored.
#[derive(Debug, Clone, PartialEq, Eq, HasQuery)]
#[diesel(table_name = commission_rules)]
pub struct Rule {
    /// Identifier of the rule, the same in all its versions.
    pub id: RuleId,
    /// Version, counted up by each change.
    pub version: i32,
    /// The goal.
    pub goal_id: GoalId,
    /// Settings of the rule.
    #[diesel(embed)]
    pub settings: RuleSettings,
    /// Start of the version.
    pub valid_from: DateTime<Utc>,
    /// End of the version; `None` for the current one.
    pub valid_to: Option<DateTime<Utc>>,
}

/// Facts of an order that rules are matched against.
#[derive(Debug, Clone, Copy)]
pub struct Occasion<'a> {
    /// Time the postback was received.
    pub at: DateTime<Utc>,
    /// Affiliate that earns the commission.
    pub affiliate_id: AffiliateId,
    /// Group of the affiliate; `None` for none.
    pub group_id: Option<GroupId>,
    /// Sub IDs of the click.
    pub subs: [Option<&'a str>; 5],
    /// Country of the order; `None` if unknown.
    pub country: Option<&'a str>,
    /// Coupon code of the order; `None` for none.
    pub coupon: Option<&'a str>,
    /// Number of this conversion among the affiliate's conversions of the goal this month, from 1.
    pub number_in_month: i64,
}

impl Rule {
    /// Commission and revenue.
    #[must_use]
    pub fn terms(&self) -> Terms {
        self.settings.terms()
    }

    /// True if the rule matches an order, or an item of this category.
    #[must_use]
    pub fn fits(&self, occasion: &Occasion<'_>, category: Option<&str>) -> bool {
        let conditions = &self.settings.conditions;
        let sub = conditions
            .sub_number
            .and_then(|number| usize::try_from(number - 1).ok());
        let same = |wanted: &Option<String>, found: Option<&str>| {
            wanted
                .as_deref()
                .is_none_or(|wanted| found.is_some_and(|found| found.eq_ignore_ascii_case(wanted)))
        };
        self.is_valid(occasion.at)
            && conditions
                .affiliate_id
                .is_none_or(|id| id == occasion.affiliate_id)
            && conditions
                .group_id
                .is_none_or(|id| Some(id) == occasion.group_id)
            // Sub IDs are the affiliate's values and are compared exactly.
            && sub.is_none_or(|at| {
                occasion.subs.get(at).copied().flatten() == conditions.sub_value.as_deref()
            })
            && same(&conditions.country, occasion.country)
            && same(&conditions.coupon, occasion.coupon)
            && same(&conditions.category, category)
            && conditions
                .month_from
                .is_none_or(|from| occasion.number_in_month >= i64::from(from))
    }

    /// True if the version was in force at a moment.
    #[must_use]
    pub fn is_valid(&self, at: DateTime<Utc>) -> bool {
        self.valid_from <= at && self.valid_to.is_none_or(|end| at < end)
    }
}

impl RuleSettings {
    /// Fields of a rule's [`Draft`].
    pub const FIELDS: [&'static str; 12] = [
        "name",
        "position",
        "commission",
        "revenue",
        "affiliate",
        "group",
        "sub_number",
        "sub_value",
        "country",
        "coupon",
        "category",
        "month_from",
    ];

    /// Draft of a new rule, with its defaults.
    #[must_use]
    pub fn blank() -> Draft {
        Draft::with([("position", "100".to_owned())])
    }

    /// The settings as [`RuleSettings::check`] reads them.
    #[must_use]
    pub fn draft(&self) -> Draft {
        let conditions = &self.conditions;
        let terms = self.terms();
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        Draft::with([
            ("name", self.name.clone()),
            ("position", self.position.to_string()),
            ("commission", terms.commission.as_typed()),
            ("revenue", terms.revenue.as_typed()),
            (
                "affiliate",
                conditions
                    .affiliate_id
                    .map(|id| id.to_string())
                    .unwrap_or_default(),
            ),
            (
                "group",
                conditions.group_id.map(|id| id.to_string()).unwrap_or_default(),
            ),
            (
                "sub_number",
                conditions
                    .sub_number
                    .map(|number| number.to_string())
                    .unwrap_or_default(),
            ),
            ("sub_value", text(&conditions.sub_value)),
            ("country", text(&conditions.country)),
            ("coupon", text(&conditions.coupon)),
            ("category", text(&conditions.category)),
            (
                "month_from",
                conditions
                    .month_from
                    .map(|from| from.to_string())
                    .unwrap_or_default(),
            ),
        ])
    }

    /// Checks a draft and returns the settings, or `None` with the errors in the draft; fixed sums are in this
    /// currency.
    ///
    /// # Errors
    /// Database errors.
    pub async fn check(
        conn: &mut NetworkConn,
        draft: &mut Draft,
        currency: Currency,
    ) -> QueryResult<Option<Self>> {
        let group = match draft.of("group") {
            "" => Ok(None),
            text => groups::known_as(conn, text)
                .await?
                .map(|found| Some(found.id))
                .ok_or("Choose one of your groups."),
        };
        let affiliate_id = affiliates::named(conn, draft, "affiliate").await?;
        let group_id = draft.errors.take("group", group);
        Ok(Self::check_rest(draft, currency, affiliate_id, group_id))
    }

    fn check_rest(
        draft: &mut Draft,
        currency: Currency,
        affiliate_id: Option<Option<AffiliateId>>,
        group_id: Option<Option<GroupId>>,
    ) -> Option<Self> {
        let name = draft.take("name", check_name);
        let position = draft.take("position", |text| check_number(text, Some(100), 0..=10_000));
        let commission = draft.take("commission", |text| Pay::typed(text, Some(currency)));
        let revenue = draft.take("revenue", |text| Pay::typed(text, Some(currency)));
        let month_from = draft.take("month_from", check_times);
        let country = draft.take("country", |text| match text.len() {
            0 => Ok(None),
            2 if text.bytes().all(|byte| byte.is_ascii_alphabetic()) => Ok(Some(text.to_ascii_uppercase())),
            _ => Err("Enter a country code of two letters such as DE."),
        });
        let sub_value = draft.take("sub_value", check_condition);
        let coupon = draft.take("coupon", check_condition);
        let category = draft.take("category", check_condition);
        let has_value = draft.is_set("sub_value");
        let sub_number = draft.take("sub_number", |text| match (text.parse::<i16>(), has_value) {
            (_, false) if text.is_empty() => Ok(None),
            (_, false) => Err("Enter the value of the sub ID."),
            (Ok(number @ 1..=5), true) => Ok(Some(number)),
            (_, true) => Err("Choose the sub ID that must have the value: 1 to 5."),
        });
        let (commission, revenue) = (commission?, revenue?);
        if (Terms { commission, revenue }).lose_money() {
            draft.errors.add("revenue", LOSES_MONEY);
            return None;
        }
        Some(Self {
            name: name?,
            position: position?,
            conditions: Conditions {
                affiliate_id: affiliate_id?,
                group_id: group_id?,
                sub_number: sub_number?,
                sub_value: sub_value?,
                country: country?,
                coupon: coupon?,
                category: category?,
                month_from: month_from?,
            },
            commission_fixed_micros: commission.fixed_micros,
            commission_rate_ppm: commission.rate_ppm,
            revenue_fixed_micros: revenue.fixed_micros,
            revenue_rate_ppm: revenue.rate_ppm,
        })
    }

    fn terms(&self) -> Terms {
        Terms {
            commission: Pay {
                fixed_micros: self.commission_fixed_micros,
                rate_ppm: self.commission_rate_ppm,
            },
            revenue: Pay {
                fixed_micros: self.revenue_fixed_micros,
                rate_ppm: self.revenue_rate_ppm,
            },
        }
    }

    fn to_json(&self) -> Value {
        let conditions = &self.conditions;
        json!({
            "name": self.name,
            "position": self.position,
            "affiliate": conditions.affiliate_id.map(|id| id.to_string()),
            "group": conditions.group_id.map(|id| id.to_string()),
            "sub": conditions.sub_number.zip(conditions.sub_value.clone()),
            "country": conditions.country,
            "coupon": conditions.coupon,
            "category": conditions.category,
            "month_from": conditions.month_from,
            "commission_fixed_micros": self.commission_fixed_micros,
            "commission_rate_ppm": self.commission_rate_ppm,
            "revenue_fixed_micros": self.revenue_fixed_micros,
            "revenue_rate_ppm": self.revenue_rate_ppm,
        })
    }
}

/// Checks the text of a condition; `None` for an empty text.
fn check_condition(text: &str) -> Result<Option<String>, &'static str> {
    match text.chars().count() {
        0 => Ok(None),
        ..=200 if !text.contains(char::is_control) => Ok(Some(text.to_owned())),
        _ => Err("Use at most 200 characters, and no control characters."),
    }
}

/// Adds a rule to a goal.
///
/// # Errors
/// [`ChangeError::Limit`] when the goal has the maximum number; when the database fails, or goal, affiliate or group
/// are not of this network (a foreign-key violation).
pub async fn create(
    conn: &mut NetworkConn,
    author: &Author,
    goal_id: GoalId,
    settings: &RuleSettings,
    now: DateTime<Utc>,
) -> Result<Rule, ChangeError> {
    let network_id = conn.network_id();
    if of_goal(conn, goal_id).await?.len() >= MAX_RULES {
        return Err(ChangeError::Limit(format!(
            "The goal has {MAX_RULES} rules, the maximum. Remove one first."
        )));
    }
    let rule: Rule = diesel::insert_into(commission_rules::table)
        .values((
            commission_rules::network_id.eq(network_id),
            commission_rules::goal_id.eq(goal_id),
            commission_rules::valid_from.eq(now),
            settings,
        ))
        .returning(Rule::as_select())
        .get_result(&mut **conn)
        .await?;
    let change = Change::created("rule.create", rule.id, &settings.name, settings.to_json());
    audit::record(conn, author, change, now).await?;
    Ok(rule)
}

/// Changes a rule from now on by adding its next version. Returns false if no rule with this id is in force.
///
/// # Errors
/// Database errors, or an affiliate or group of another network (a foreign-key violation).
pub async fn update(
    conn: &mut NetworkConn,
    author: &Author,
    id: RuleId,
    settings: &RuleSettings,
    now: DateTime<Utc>,
) -> QueryResult<bool> {
    let Some(old) = close(conn, id, now).await? else {
        return Ok(false);
    };
    let network_id = conn.network_id();
    diesel::insert_into(commission_rules::table)
        .values((
            commission_rules::network_id.eq(network_id),
            commission_rules::id.eq(id),
            commission_rules::version.eq(old.version + 1),
            commission_rules::goal_id.eq(old.goal_id),
            commission_rules::valid_from.eq(now),
            settings,
        ))
        .execute(&mut **conn)
        .await?;
    let (before, after) = (old.settings.to_json(), settings.to_json());
    audit::record(
        conn,
        author,
        Change::between("rule.update", id, &settings.name, before, after),
        now,
    )
    .await?;
    Ok(true)
}

/// Ends a rule. Returns false if no rule with this id is in force.
///
/// # Errors
/// Database errors.
pub async fn remove(
    conn: &mut NetworkConn,
    author: &Author,
    id: RuleId,
    now: DateTime<Utc>,
) -> QueryResult<bool> {
    let Some(old) = close(conn, id, now).await? else {
        return Ok(false);
    };
    let before = old.settings.to_json();
    let change = Change::between("rule.remove", id, &old.settings.name, before, json!({}));
    audit::record(conn, author, change, now).await?;
    Ok(true)
}

/// Ends the version in force and returns it.
async fn close(conn: &mut NetworkConn, id: RuleId, now: DateTime<Utc>) -> QueryResult<Option<Rule>> {
    let network_id = conn.network_id();
    diesel::update(
        commission_rules::table
            .filter(commission_rules::network_id.eq(network_id))
            .filter(commission_rules::id.eq(id))
            .filter(commission_rules::valid_to.is_null()),
    )
    .set(commission_rules::valid_to.eq(now))
    .returning(Rule::as_select())
    .get_result(&mut **conn)
    .await
    .optional()
}

/// Finds the version of a rule in force and locks its row until the transaction ends.
///
/// # Errors
/// Database errors.
pub async fn lock(conn: &mut NetworkConn, id: RuleId) -> QueryResult<Option<Rule>> {
    let network_id = conn.network_id();
    commission_rules::table
        .filter(commission_rules::network_id.eq(network_id))
        .filter(commission_rules::id.eq(id))
        .filter(commission_rules::valid_to.is_null())
        .select(Rule::as_select())
        .for_update()
        .first(&mut **conn)
        .await
        .optional()
}

/// Rules in force by id, of one goal if given: at most `limit`, after this id.
///
/// # Errors
/// Database errors.
pub async fn list(
    conn: &mut NetworkConn,
    goal_id: Option<GoalId>,
    after: Option<RuleId>,
    limit: i64,
) -> QueryResult<Vec<Rule>> {
    let network_id = conn.network_id();
    let mut query = Rule::query()
        .filter(commission_rules::network_id.eq(network_id))
        .filter(commission_rules::valid_to.is_null())
        .order(commission_rules::id)
        .limit(limit)
        .into_boxed();
    if let Some(id) = goal_id {
        query = query.filter(commission_rules::goal_id.eq(id));
    }
    if let Some(id) = after {
        query = query.filter(commission_rules::id.gt(id));
    }
    query.load(&mut **conn).await
}

/// Rules of a goal in force, by position.
///
/// # Errors
/// Database errors.
pub async fn of_goal(conn: &mut NetworkConn, goal_id: GoalId) -> QueryResult<Vec<Rule>> {
    let network_id = conn.network_id();
    Rule::query()
        .filter(
            commission_rules::network_id
                .eq(network_id)
                .and(commission_rules::goal_id.eq(goal_id)),
        )
        .filter(commission_rules::valid_to.is_null())
        .order((commission_rules::position, commission_rules::id))
        .load(&mut **conn)
        .await
}

/// Rules of a goal that were in force at a moment, by position.
///
/// # Errors
/// Database errors.
pub(crate) async fn of_goal_at(
    conn: &mut NetworkConn,
    goal_id: GoalId,
    at: DateTime<Utc>,
) -> QueryResult<Vec<Rule>> {
    let network_id = conn.network_id();
    Rule::query()
        .filter(
            commission_rules::network_id
                .eq(network_id)
                .and(commission_rules::goal_id.eq(goal_id)),
        )
        .filter(commission_rules::valid_from.le(at))
        .filter(
            commission_rules::valid_to
                .is_null()
                .or(commission_rules::valid_to.gt(at)),
        )
        .order((commission_rules::position, commission_rules::id))
        .load(&mut **conn)
        .await
}

/// Rules of all goals of a campaign that were in force at or after `since`, by position: a held postback is paid by the
/// rules in force when it was received.
///
/// # Errors
/// Database errors.
pub(crate) async fn of_campaign(
    conn: &mut NetworkConn,
    campaign_id: CampaignId,
    since: DateTime<Utc>,
) -> QueryResult<Vec<Rule>> {
    let network_id = conn.network_id();
    let of_campaign = goals::table
        .filter(goals::network_id.eq(network_id))
        .filter(goals::campaign_id.eq(campaign_id))
        .select(goals::id);
    Rule::query()
        .filter(commission_rules::network_id.eq(network_id))
        .filter(commission_rules::goal_id.eq_any(of_campaign))
        .filter(
            commission_rules::valid_to
                .is_null()
                .or(commission_rules::valid_to.gt(since)),
        )
        .order((commission_rules::position, commission_rules::id))
        .load(&mut **conn)
        .await
}

#[cfg(test)]
mod tests;
