//! Going live: a campaign has shown, goal by goal, that the advertiser's orders arrive.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use schema::{
    CampaignId, GoalId, NetworkConn, PostbackId, campaigns as campaign_rows, networks, test_conversions,
};
use serde_json::json;
use tenancy::audit::{self, Change};
use tenancy::{Author, ChangeError};

use crate::campaigns::{self, CampaignStatus};
use crate::goals::{self, Goal};

/// How many different test orders prove a goal: one could be a call made by hand, and a second one shows that each order
/// has a number of its own.
pub const ORDERS: usize = 2;

/// What the order ids of our own simulation begin with: it shows that the campaign is set up well, and proves nothing of
/// the advertiser's server.
pub const SIMULATED: &str = "SIMULATED-";

/// A test order that arrived.
#[derive(Debug, Clone, Queryable)]
pub struct TestOrder {
    /// Its postback.
    pub postback_id: PostbackId,
    /// When it came.
    pub at: DateTime<Utc>,
    /// The goal reached.
    pub goal_id: GoalId,
    /// The advertiser's order id.
    pub order_id: Option<String>,
}

/// The advertiser's test orders of a campaign, oldest first.
///
/// # Errors
/// When the database fails.
pub async fn orders(conn: &mut NetworkConn, campaign_id: CampaignId) -> QueryResult<Vec<TestOrder>> {
    let network_id = conn.network_id();
    test_conversions::table
        .filter(test_conversions::network_id.eq(network_id))
        .filter(test_conversions::campaign_id.eq(campaign_id))
        .filter(test_conversions::is_simulated.eq(false))
        .order(test_conversions::id)
        .select((
            test_conversions::id,
            test_conversions::converted_at,
            test_conversions::goal_id,
            test_conversions::order_id,
        ))
        .load(&mut **conn)
        .await
}

/// Those goals of a campaign that nobody has shown to work yet.
async fn unproven(
    conn: &mut NetworkConn,
    campaign_id: CampaignId,
    goals: Vec<Goal>,
) -> QueryResult<Vec<Goal>> {
    let orders = orders(conn, campaign_id).await?;
    let arrived = |goal: &Goal| orders.iter().filter(|order| order.goal_id == goal.id).count();
    Ok(goals.into_iter().filter(|goal| arrived(goal) < ORDERS).collect())
}

/// Refuses to let a campaign go live that the network wants to see tested first.
pub(crate) async fn check(
    conn: &mut NetworkConn,
    campaign_id: Option<CampaignId>,
) -> Result<(), ChangeError> {
    let network_id = conn.network_id();
    let wanted: bool = networks::table
        .find(network_id)
        .select(networks::require_tests)
        .first(&mut **conn)
        .await?;
    if !wanted {
        return Ok(());
    }
    let Some(campaign_id) = campaign_id else {
        let message = "This network wants to see test orders first: create it as draft or testing.";
        return Err(ChangeError::field("status", message));
    };
    let goals = goals::of_campaign(conn, campaign_id).await?;
    if goals.is_empty() {
        let message = "The campaign has no goal yet, so nothing of it could have been tested.";
        return Err(ChangeError::field("status", message));
    }
    let missing: Vec<String> = unproven(conn, campaign_id, goals)
        .await?
        .into_iter()
        .map(|goal| goal.settings.name)
        .collect();
    match missing.is_empty() {
        true => Ok(()),
        false => Err(ChangeError::field(
            "status",
            format!(
                "{ORDERS} test orders have to arrive first for: {}. See the campaign's test page; an owner or admin may \
                 let it go live all the same.",
                missing.join(", ")
            ),
        )),
    }
}

/// Lets a campaign go live although its tests are not done, for a reason that is kept in the audit log.
///
/// # Errors
/// [`ChangeError::Fields`] without a reason, [`ChangeError::Conflict`] for a campaign that is live or paused,
/// [`ChangeError::NotFound`] where there is none; when the database fails.
pub async fn override_tests(
    conn: &mut NetworkConn,
    author: &Author,
    id: CampaignId,
    reason: &str,
    now: DateTime<Utc>,
) -> Result<(), ChangeError> {
    let campaign = campaigns::lock(conn, id).await?.ok_or(ChangeError::NotFound)?;
    if campaign.status.pays() {
        let message = format!("The campaign is {} already.", campaign.status);
        return Err(ChangeError::Conflict(message));
    }
    let reason: String = reason.trim().chars().take(500).collect();
    if reason.is_empty() {
        return Err(ChangeError::field(
            "reason",
            "Say why: it is kept in the audit log.",
        ));
    }
    let goals = goals::of_campaign(conn, campaign.id).await?;
    let missing = unproven(conn, campaign.id, goals).await?;
    let missing: Vec<String> = missing.into_iter().map(|goal| goal.settings.code).collect();
    let network_id = conn.network_id();
    diesel::update(campaign_rows::table.find((network_id, campaign.id)))
        .set(campaign_rows::status.eq(CampaignStatus::Live))
        .execute(&mut **conn)
        .await?;
    let change = Change::between(
        "campaign.override_tests",
        campaign.id,
        &campaign.name,
        json!({ "status": campaign.status.as_str() }),
        json!({ "status": "live", "reason": reason, "unproven": missing }),
    );
    Ok(audit::record(conn, author, change, now).await?)
}
