//! Test orders: the advertiser's own postbacks that prove a campaign's goals before it goes live.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use schema::{CampaignId, GoalId, NetworkConn, PostbackId, networks, test_conversions};
use tenancy::ChangeError;

use crate::goals::{self, Goal};

/// Number of different test orders that prove a goal: the first could be sent by hand, the second shows that the order
/// ID changes.
pub const ORDERS: usize = 2;

/// Prefix of the order IDs of our simulation. Simulated orders verify the campaign's setup, not the advertiser's
/// server.
pub const SIMULATED: &str = "SIMULATED-";

/// A test order of the advertiser.
#[derive(Debug, Clone, Queryable)]
pub struct TestOrder {
    /// Postback that reported the order.
    pub postback_id: PostbackId,
    /// Time the postback was received.
    pub at: DateTime<Utc>,
    /// Goal that was reached.
    pub goal_id: GoalId,
    /// Order ID of the advertiser; `None` if the postback had none.
    pub order_id: Option<String>,
}

/// The advertiser's test orders of a campaign, oldest first.
///
/// # Errors
/// Database errors.
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

/// Goals of a campaign with fewer than [`ORDERS`] test orders.
pub(crate) async fn unproven(
    conn: &mut NetworkConn,
    campaign_id: CampaignId,
    goals: Vec<Goal>,
) -> QueryResult<Vec<Goal>> {
    let orders = orders(conn, campaign_id).await?;
    let arrived = |goal: &Goal| orders.iter().filter(|order| order.goal_id == goal.id).count();
    Ok(goals.into_iter().filter(|goal| arrived(goal) < ORDERS).collect())
}

/// Refuses to let a campaign go live if the network requires tests and some goals are not proven.
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
        let message = "This network requires test orders first: create the campaign as draft or testing.";
        return Err(ChangeError::field("status", message));
    };
    let goals = goals::of_campaign(conn, campaign_id).await?;
    if goals.is_empty() {
        let message = "The campaign has no goal yet, so it has not been tested.";
        return Err(ChangeError::field("status", message));
    }
    let missing: Vec<String> = unproven(conn, campaign_id, goals)
        .await?
        .into_iter()
        .map(|goal| goal.settings.name)
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    let message = format!(
        "{ORDERS} test orders have to arrive first for: {}. See the campaign's test page; an owner or admin may let it \
         go live without them.",
        missing.join(", ")
    );
    Err(ChangeError::field("status", message))
}
