//! Goals: what counts as a conversion of a campaign, and what it pays.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use schema::{CampaignId, Currency, GoalId, Money, NetworkConn, goals, text_enum};
use serde_json::json;
use tenancy::Author;
use tenancy::audit::{self, Change};

text_enum! {
    /// What makes a conversion the same one again.
    pub enum UniqueBy {
        /// The advertiser's order id: many per click, each order once.
        Order = "order",
        /// The click: one per visit, with or without an order id.
        Click = "click",
    }
}

/// A goal as stored.
#[derive(Debug, Clone, PartialEq, Eq, HasQuery)]
#[diesel(table_name = goals)]
pub struct Goal {
    /// The goal.
    pub id: GoalId,
    /// The campaign it belongs to.
    pub campaign_id: CampaignId,
    /// What a postback names it by.
    pub code: String,
    /// As people see it.
    pub name: String,
    /// What makes a conversion the same one again.
    pub unique_by: UniqueBy,
    /// Whether conversions start approved instead of pending.
    pub auto_approve: bool,
    /// What the affiliate earns.
    #[diesel(embed)]
    pub commission: Commission,
    /// What the advertiser owes.
    #[diesel(embed)]
    pub revenue: Revenue,
}

/// What the affiliate earns per conversion: a fixed sum plus a share of the order amount; either may be zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Queryable, Selectable, Insertable)]
#[diesel(table_name = goals)]
pub struct Commission {
    /// Micro-units of the campaign's currency.
    #[diesel(column_name = commission_fixed_micros)]
    pub fixed_micros: i64,
    /// Parts per million of the order amount.
    #[diesel(column_name = commission_rate_ppm)]
    pub rate_ppm: i32,
}

/// What the advertiser owes per conversion: a fixed sum plus a share of the order amount; either may be zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Queryable, Selectable, Insertable)]
#[diesel(table_name = goals)]
pub struct Revenue {
    /// Micro-units of the campaign's currency.
    #[diesel(column_name = revenue_fixed_micros)]
    pub fixed_micros: i64,
    /// Parts per million of the order amount.
    #[diesel(column_name = revenue_rate_ppm)]
    pub rate_ppm: i32,
}

impl Goal {
    /// Whether what it pays depends on the order amount, so that a postback must carry one.
    #[must_use]
    pub fn needs_amount(&self) -> bool {
        self.commission.rate_ppm > 0 || self.revenue.rate_ppm > 0
    }

    /// Whether it pays a fixed sum, which is of the campaign's currency and cannot be added to another one.
    #[must_use]
    pub fn has_fixed_sum(&self) -> bool {
        self.commission.fixed_micros > 0 || self.revenue.fixed_micros > 0
    }

    /// Commission and revenue of one conversion of this amount, in the amount's currency.
    #[must_use]
    pub fn pay(&self, amount: Money) -> (Money, Money) {
        let pay = |fixed_micros: i64, rate_ppm: i32| Money {
            micros: fixed_micros.saturating_add(amount.share(rate_ppm).micros),
            currency: amount.currency,
        };
        (
            pay(self.commission.fixed_micros, self.commission.rate_ppm),
            pay(self.revenue.fixed_micros, self.revenue.rate_ppm),
        )
    }

    /// The commission in words: `10 %`, `12.00 EUR`, `1.00 EUR + 5 %`.
    #[must_use]
    pub fn commission_terms(&self, currency: Currency) -> String {
        terms(self.commission.fixed_micros, self.commission.rate_ppm, currency)
    }

    /// The revenue in words.
    #[must_use]
    pub fn revenue_terms(&self, currency: Currency) -> String {
        terms(self.revenue.fixed_micros, self.revenue.rate_ppm, currency)
    }
}

fn terms(fixed_micros: i64, rate_ppm: i32, currency: Currency) -> String {
    let fixed = Money {
        micros: fixed_micros,
        currency,
    };
    let percent = format!("{}.{:04}", rate_ppm / 10_000, rate_ppm % 10_000);
    let percent = percent.trim_end_matches('0').trim_end_matches('.');
    match (fixed_micros, rate_ppm) {
        (_, 0) => fixed.to_string(),
        (0, _) => format!("{percent} %"),
        _ => format!("{fixed} + {percent} %"),
    }
}

/// A goal to create.
#[derive(Debug, Clone, Insertable)]
#[diesel(table_name = goals)]
pub struct NewGoal<'a> {
    /// The campaign it belongs to.
    pub campaign_id: CampaignId,
    /// Lower-case letters, digits, `_` and `-`; at most 40.
    pub code: &'a str,
    /// As people see it.
    pub name: &'a str,
    /// What makes a conversion the same one again.
    pub unique_by: UniqueBy,
    /// Whether conversions start approved.
    pub auto_approve: bool,
    /// What the affiliate earns.
    #[diesel(embed)]
    pub commission: Commission,
    /// What the advertiser owes.
    #[diesel(embed)]
    pub revenue: Revenue,
}

/// Creates a goal.
///
/// # Errors
/// When the database fails, the campaign is not of this network (a foreign-key violation), or it has a goal of this
/// code (a unique violation).
pub async fn create(
    conn: &mut NetworkConn,
    author: &Author,
    goal: &NewGoal<'_>,
    now: DateTime<Utc>,
) -> QueryResult<Goal> {
    let network_id = conn.network_id();
    let made: Goal = diesel::insert_into(goals::table)
        .values((goals::network_id.eq(network_id), goals::created_at.eq(now), goal))
        .returning(Goal::as_select())
        .get_result(&mut **conn)
        .await?;
    let after = json!({
        "campaign": goal.campaign_id.to_string(),
        "code": goal.code,
        "unique_by": goal.unique_by.as_str(),
        "auto_approve": goal.auto_approve,
        "commission_fixed_micros": goal.commission.fixed_micros,
        "commission_rate_ppm": goal.commission.rate_ppm,
        "revenue_fixed_micros": goal.revenue.fixed_micros,
        "revenue_rate_ppm": goal.revenue.rate_ppm,
    });
    audit::record(
        conn,
        author,
        Change::created("goal.create", made.id, goal.name, after),
        now,
    )
    .await?;
    Ok(made)
}

/// The goals of a campaign, oldest first.
///
/// # Errors
/// When the database fails.
pub async fn of_campaign(conn: &mut NetworkConn, campaign_id: CampaignId) -> QueryResult<Vec<Goal>> {
    let network_id = conn.network_id();
    Goal::query()
        .filter(
            goals::network_id
                .eq(network_id)
                .and(goals::campaign_id.eq(campaign_id)),
        )
        .order((goals::created_at, goals::code))
        .load(&mut **conn)
        .await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn goal(fixed: i64, rate: i32) -> Goal {
        Goal {
            id: GoalId(1),
            campaign_id: CampaignId(1),
            code: "sale".into(),
            name: "Sale".into(),
            unique_by: UniqueBy::Order,
            auto_approve: false,
            commission: Commission {
                fixed_micros: fixed,
                rate_ppm: rate,
            },
            revenue: Revenue {
                fixed_micros: fixed * 2,
                rate_ppm: rate * 2,
            },
        }
    }

    #[test]
    fn a_goal_pays_its_fixed_sum_and_its_share() {
        let amount = Money {
            micros: 49_990_000,
            currency: "EUR".parse().unwrap(),
        };
        let (commission, revenue) = goal(1_000_000, 100_000).pay(amount);
        assert_eq!(commission.to_string(), "6.00 EUR");
        assert_eq!(revenue.to_string(), "12.00 EUR");
    }

    #[test]
    fn terms_are_told_in_words() {
        let eur = "EUR".parse().unwrap();
        assert_eq!(goal(0, 100_000).commission_terms(eur), "10 %");
        assert_eq!(goal(0, 1_234).commission_terms(eur), "0.1234 %");
        assert_eq!(goal(12_000_000, 0).commission_terms(eur), "12.00 EUR");
        assert_eq!(goal(1_000_000, 50_000).commission_terms(eur), "1.00 EUR + 5 %");
        assert_eq!(goal(0, 0).commission_terms(eur), "0.00 EUR");
    }
}
