//! Commission rules: what a goal pays to some. The first that fits wins; where none does, the goal's own terms hold.
//!
//! A row is never changed: a change closes it and adds the next version, so that every conversion can say by which one
//! it was paid.

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

/// Most rules of a goal.
const MOST: usize = 200;

/// Whom and what a rule is for: all that is set must fit.
#[derive(Debug, Clone, Default, PartialEq, Eq, HasQuery, Insertable)]
#[diesel(table_name = commission_rules)]
pub struct Conditions {
    /// This affiliate.
    pub affiliate_id: Option<AffiliateId>,
    /// Affiliates of this group.
    pub group_id: Option<GroupId>,
    /// Which sub id of the click must have the value: 1 to 5.
    pub sub_number: Option<i16>,
    /// The value it must have.
    pub sub_value: Option<String>,
    /// Orders from this country (ISO 3166-1).
    pub country: Option<String>,
    /// Orders with this coupon code; letter case does not count.
    pub coupon: Option<String>,
    /// Items of this category.
    pub category: Option<String>,
    /// From the affiliate's so-many-th conversion of the goal in a month on.
    pub month_from: Option<i32>,
}

/// What a person may set on a rule, checked.
#[derive(Debug, Clone, PartialEq, Eq, HasQuery, Insertable)]
#[diesel(table_name = commission_rules)]
pub struct RuleSettings {
    /// As people see it.
    pub name: String,
    /// Its place: lower ones are looked at first.
    pub position: i32,
    /// Whom and what it is for.
    #[diesel(embed)]
    pub conditions: Conditions,
    /// Micro-units of the campaign's currency.
    pub commission_fixed_micros: i64,
    /// Parts per million of the amount.
    pub commission_rate_ppm: i32,
    /// Micro-units of the campaign's currency.
    pub revenue_fixed_micros: i64,
    /// Parts per million of the amount.
    pub revenue_rate_ppm: i32,
}

/// A version of a rule as stored.
#[derive(Debug, Clone, PartialEq, Eq, HasQuery)]
#[diesel(table_name = commission_rules)]
pub struct Rule {
    /// The rule, the same in all its versions.
    pub id: RuleId,
    /// Counts its changes.
    pub version: i32,
    /// The goal.
    pub goal_id: GoalId,
    /// What may be set on it.
    #[diesel(embed)]
    pub settings: RuleSettings,
    /// From when on it is in force.
    pub valid_from: DateTime<Utc>,
    /// Until when; none for the current version.
    pub valid_to: Option<DateTime<Utc>>,
}

/// What rules look at.
#[derive(Debug, Clone, Copy)]
pub struct Occasion<'a> {
    /// When the postback came.
    pub at: DateTime<Utc>,
    /// Who earns.
    pub affiliate_id: AffiliateId,
    /// The affiliate's group.
    pub group_id: Option<GroupId>,
    /// The sub ids of the click.
    pub subs: [Option<&'a str>; 5],
    /// Where the order came from.
    pub country: Option<&'a str>,
    /// The coupon it came with.
    pub coupon: Option<&'a str>,
    /// Which conversion of this goal it is for the affiliate this month, from 1 on.
    pub number_in_month: i64,
}

impl Rule {
    /// What it pays.
    #[must_use]
    pub fn terms(&self) -> Terms {
        self.settings.terms()
    }

    /// Whether it fits an order, or an item of this category.
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
            // Sub ids are the affiliate's own words: exactly.
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

    fn is_valid(&self, at: DateTime<Utc>) -> bool {
        self.valid_from <= at && self.valid_to.is_none_or(|end| at < end)
    }
}

impl RuleSettings {
    /// What may be said of a rule in a [`Draft`].
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

    /// What a rule is that nothing is said of.
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

    /// The settings that a draft says, if all can be accepted; fixed sums are of this currency.
    ///
    /// # Errors
    /// When the database fails.
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
            (_, false) => Err("Say which value the sub id must have."),
            (Ok(number @ 1..=5), true) => Ok(Some(number)),
            (_, true) => Err("Choose which sub id must have the value: 1 to 5."),
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

/// A text that must be there for a rule to fit, as typed; none for anything.
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
/// [`ChangeError::Limit`] when it has as many as it may; when the database fails, or goal, affiliate or group are not of
/// this network (a foreign-key violation).
pub async fn create(
    conn: &mut NetworkConn,
    author: &Author,
    goal_id: GoalId,
    settings: &RuleSettings,
    now: DateTime<Utc>,
) -> Result<Rule, ChangeError> {
    let network_id = conn.network_id();
    if of_goal(conn, goal_id).await?.len() >= MOST {
        return Err(ChangeError::Limit(format!(
            "The goal has {MOST} rules, as many as it may. Remove one first."
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

/// Changes a rule from now on: its next version. Returns whether there is one with this id.
///
/// # Errors
/// When the database fails, or affiliate or group are not of this network (a foreign-key violation).
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

/// Ends a rule. Returns whether there was one in force.
///
/// # Errors
/// When the database fails.
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

/// Ends the version in force.
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

/// The version of a rule that is in force; nobody else changes it until the transaction ends.
///
/// # Errors
/// When the database fails.
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

/// Rules that are in force, of one goal if one is given, by id: at most `limit`, after this one.
///
/// # Errors
/// When the database fails.
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

/// The rules of a goal that are in force, first ones first.
///
/// # Errors
/// When the database fails.
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

/// The rules of all goals of a campaign that were in force since then, first ones first: a postback that waited is paid
/// by what was in force when it came.
///
/// # Errors
/// When the database fails.
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
