//! Commission rules: what a goal pays to some. The first that fits wins; where none does, the goal's own terms hold.
//!
//! A row is never changed: a change closes it and adds the next version, so that every conversion can say by which one
//! it was paid.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use schema::{AffiliateId, CampaignId, GoalId, GroupId, NetworkConn, RuleId, commission_rules, goals};
use serde_json::{Value, json};
use tenancy::audit::{self, Change};
use tenancy::{Author, ChangeError};

use crate::terms::{Pay, Terms};

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
        Terms {
            commission: Pay {
                fixed_micros: self.settings.commission_fixed_micros,
                rate_ppm: self.settings.commission_rate_ppm,
            },
            revenue: Pay {
                fixed_micros: self.settings.revenue_fixed_micros,
                rate_ppm: self.settings.revenue_rate_ppm,
            },
        }
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
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    fn rule(conditions: Conditions) -> Rule {
        Rule {
            id: RuleId(1),
            version: 1,
            goal_id: GoalId(1),
            settings: RuleSettings {
                name: "Rule".into(),
                position: 1,
                conditions,
                commission_fixed_micros: 0,
                commission_rate_ppm: 120_000,
                revenue_fixed_micros: 0,
                revenue_rate_ppm: 150_000,
            },
            valid_from: at("2026-11-01T00:00:00Z"),
            valid_to: None,
        }
    }

    fn occasion<'a>() -> Occasion<'a> {
        Occasion {
            at: at("2026-11-21T00:00:00Z"),
            affiliate_id: AffiliateId(1),
            group_id: Some(GroupId(7)),
            subs: [Some("news"), None, None, None, None],
            country: Some("DE"),
            coupon: Some("Spring20"),
            number_in_month: 101,
        }
    }

    #[test]
    fn all_that_a_rule_names_must_fit() {
        let fits = |change: fn(&mut Conditions)| {
            let mut conditions = Conditions::default();
            change(&mut conditions);
            rule(conditions).fits(&occasion(), Some("Shoes"))
        };
        assert!(fits(|_| {}));
        assert!(fits(|it| it.affiliate_id = Some(AffiliateId(1))));
        assert!(!fits(|it| it.affiliate_id = Some(AffiliateId(2))));
        assert!(fits(|it| it.group_id = Some(GroupId(7))));
        assert!(!fits(|it| it.group_id = Some(GroupId(8))));
        assert!(fits(|it| it.country = Some("de".into())));
        assert!(!fits(|it| it.country = Some("AT".into())));
        assert!(fits(|it| it.coupon = Some("SPRING20".into())));
        assert!(!fits(|it| it.coupon = Some("SPRING".into())));
        assert!(fits(|it| it.category = Some("shoes".into())));
        assert!(!fits(|it| it.category = Some("hats".into())));
        assert!(fits(|it| it.month_from = Some(101)));
        assert!(!fits(|it| it.month_from = Some(102)));
        let sub = |number, value: &str| {
            let conditions = Conditions {
                sub_number: Some(number),
                sub_value: Some(value.to_owned()),
                ..Conditions::default()
            };
            rule(conditions).fits(&occasion(), None)
        };
        assert!(sub(1, "news"));
        assert!(!sub(1, "News"), "sub ids are compared exactly");
        assert!(!sub(2, "news"));
        assert!(
            !fits(|it| {
                it.affiliate_id = Some(AffiliateId(1));
                it.country = Some("AT".into());
            }),
            "one that fits does not make up for one that does not"
        );
    }

    #[test]
    fn a_rule_is_in_force_from_one_moment_to_another() {
        let mut rule = rule(Conditions::default());
        let fits = |rule: &Rule, when: &str| {
            let occasion = Occasion {
                at: at(when),
                ..occasion()
            };
            rule.fits(&occasion, None)
        };
        assert!(!fits(&rule, "2026-10-31T23:59:59Z"));
        assert!(fits(&rule, "2026-11-01T00:00:00Z"));
        rule.valid_to = Some(at("2026-11-10T00:00:00Z"));
        assert!(fits(&rule, "2026-11-09T23:59:59Z"));
        assert!(!fits(&rule, "2026-11-10T00:00:00Z"));
    }
}
