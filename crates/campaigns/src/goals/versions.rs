//! Former versions of a goal's commission and revenue.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use schema::{CampaignId, GoalId, NetworkConn, goal_versions, goals};

use super::{Goal, GoalTerms};
use crate::terms::Terms;

/// Former commission and revenue of a goal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, HasQuery)]
#[diesel(table_name = goal_versions)]
pub struct GoalVersion {
    /// The goal.
    pub goal_id: GoalId,
    /// Version.
    pub version: i32,
    /// End of the version, when the next one began.
    pub valid_to: DateTime<Utc>,
    /// Commission and revenue.
    #[diesel(embed)]
    pub terms: FormerTerms,
}

/// Commission and revenue of a [`GoalVersion`] as columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, HasQuery)]
#[diesel(table_name = goal_versions)]
pub struct FormerTerms {
    commission_fixed_micros: i64,
    commission_rate_ppm: i32,
    revenue_fixed_micros: i64,
    revenue_rate_ppm: i32,
}

impl GoalVersion {
    /// Commission and revenue.
    #[must_use]
    pub fn terms(&self) -> Terms {
        let FormerTerms {
            commission_fixed_micros,
            commission_rate_ppm,
            revenue_fixed_micros,
            revenue_rate_ppm,
        } = self.terms;
        GoalTerms {
            commission_fixed_micros,
            commission_rate_ppm,
            revenue_fixed_micros,
            revenue_rate_ppm,
        }
        .into()
    }
}

/// Keeps the version of a goal's terms that ends now.
pub(super) async fn keep_version(conn: &mut NetworkConn, goal: &Goal, now: DateTime<Utc>) -> QueryResult<()> {
    let terms = goal.settings.terms;
    diesel::insert_into(goal_versions::table)
        .values((
            goal_versions::network_id.eq(conn.network_id()),
            goal_versions::goal_id.eq(goal.id),
            goal_versions::version.eq(goal.version),
            goal_versions::valid_to.eq(now),
            goal_versions::commission_fixed_micros.eq(terms.commission_fixed_micros),
            goal_versions::commission_rate_ppm.eq(terms.commission_rate_ppm),
            goal_versions::revenue_fixed_micros.eq(terms.revenue_fixed_micros),
            goal_versions::revenue_rate_ppm.eq(terms.revenue_rate_ppm),
        ))
        .execute(&mut **conn)
        .await
        .map(drop)
}

/// Former versions of the goals of a campaign, oldest first.
///
/// # Errors
/// Database errors.
pub async fn versions_of_campaign(
    conn: &mut NetworkConn,
    campaign_id: CampaignId,
) -> QueryResult<Vec<GoalVersion>> {
    let network_id = conn.network_id();
    let of_campaign = goals::table
        .filter(goals::network_id.eq(network_id))
        .filter(goals::campaign_id.eq(campaign_id))
        .select(goals::id);
    GoalVersion::query()
        .filter(goal_versions::network_id.eq(network_id))
        .filter(goal_versions::goal_id.eq_any(of_campaign))
        .order((goal_versions::goal_id, goal_versions::version))
        .load(&mut **conn)
        .await
}
