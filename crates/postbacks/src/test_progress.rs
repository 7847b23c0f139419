//! Test progress of a campaign before it goes live. Its status says if it is live, which an override may set without any
//! test.

use campaigns::campaigns::Campaign;
use campaigns::goals::{self, Goal};
use campaigns::going_live::{self, Proof, TestOrder};
use chrono::{DateTime, TimeDelta, Utc};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use schema::{LinkId, NetworkConn, click_rollups, postbacks, text_enum, tracking_links};

use crate::stored::PostbackSummary;

/// Days back in which test clicks count.
const CLICK_DAYS: i64 = 30;
/// Number of test postbacks shown.
const LATEST: i64 = 20;

text_enum! {
    /// Stage of the tests of a goal, lowest first.
    pub enum TestStage {
        /// No visitor has followed a test link yet.
        WaitingForClick = "waiting_for_click",
        /// A test click arrived.
        ClickSeen = "click_seen",
        /// A postback arrived for one, with any verdict.
        PostbackReceived = "postback_received",
        /// A test order was accepted for the goal.
        Matched = "matched",
        /// Enough different test orders were accepted, and one of them came through a page that live visitors are sent to.
        Verified = "verified",
    }
}

impl TestStage {
    /// Stages to reach, with their labels.
    pub const STAGES: [(Self, &'static str); 4] = [
        (Self::ClickSeen, "Click seen"),
        (Self::PostbackReceived, "Postback received"),
        (Self::Matched, "Matched"),
        (Self::Verified, "Two test orders verified"),
    ];

    /// Label.
    #[must_use]
    pub fn label(self) -> &'static str {
        let found = Self::STAGES.iter().find(|(stage, _)| *stage == self);
        found.map_or("Waiting for a click", |(_, label)| label)
    }
}

/// Test progress of one goal.
#[derive(Debug, Clone)]
pub struct GoalProgress {
    /// Goal.
    pub goal: Goal,
    /// Stage.
    pub stage: TestStage,
    /// Accepted test orders, oldest first.
    pub orders: Vec<TestOrder>,
    /// Number of accepted orders of the simulation.
    pub simulated_orders: i64,
    /// True if enough test orders were accepted, but none came through a page that live visitors are sent to.
    pub misses_live_page: bool,
}

impl GoalProgress {
    /// True if the goal is verified.
    #[must_use]
    pub fn is_verified(&self) -> bool {
        self.stage == TestStage::Verified
    }
}

/// Test progress of a campaign.
#[derive(Debug, Clone)]
pub struct TestProgress {
    /// Test links.
    pub links: Vec<(LinkId, String)>,
    /// Clicks through the test links in the last 30 days.
    pub clicks: i64,
    /// Latest test postbacks, newest first.
    pub postbacks: Vec<PostbackSummary>,
    /// Progress by goal.
    pub goals: Vec<GoalProgress>,
}

impl TestProgress {
    /// Reads the test progress of a campaign.
    ///
    /// # Errors
    /// Returns an error if the database fails.
    pub async fn of(conn: &mut NetworkConn, campaign: &Campaign, now: DateTime<Utc>) -> QueryResult<Self> {
        let network_id = conn.network_id();
        let links: Vec<(LinkId, String)> = tracking_links::table
            .filter(tracking_links::network_id.eq(network_id))
            .filter(tracking_links::campaign_id.eq(campaign.id))
            .filter(tracking_links::is_test)
            .order(tracking_links::id)
            .select((tracking_links::id, tracking_links::alias))
            .load(&mut **conn)
            .await?;
        let ids: Vec<LinkId> = links.iter().map(|(id, _)| *id).collect();
        let clicks: Vec<i64> = click_rollups::table
            .filter(click_rollups::network_id.eq(network_id))
            .filter(click_rollups::quarter_hour.ge(now - TimeDelta::days(CLICK_DAYS)))
            .filter(click_rollups::link_id.eq_any(ids))
            .select(click_rollups::clicks)
            .load(&mut **conn)
            .await?;
        let postbacks: Vec<PostbackSummary> = PostbackSummary::query()
            .filter(postbacks::network_id.eq(network_id))
            .filter(postbacks::campaign_id.eq(campaign.id))
            .filter(postbacks::is_test)
            .order(postbacks::id.desc())
            .limit(LATEST)
            .load(&mut **conn)
            .await?;
        let orders = going_live::orders(conn, campaign.id).await?;
        let simulated = going_live::simulated_orders(conn, campaign.id).await?;
        let live = going_live::live_hosts(conn, campaign).await?;
        let received = postbacks.iter().any(|postback| !postback.is_simulated);
        let clicks = clicks.iter().sum();
        let goals = goals::of_campaign(conn, campaign.id)
            .await?
            .into_iter()
            .map(|goal| {
                let of_goal = orders.iter().filter(|order| order.goal_id == goal.id);
                let orders: Vec<TestOrder> = of_goal.cloned().collect();
                let proof = going_live::proof(orders.iter(), &live);
                GoalProgress {
                    stage: stage(clicks > 0, received, orders.len(), proof),
                    simulated_orders: simulated.get(&goal.id).copied().unwrap_or(0),
                    misses_live_page: proof == Proof::NotLive,
                    goal,
                    orders,
                }
            })
            .collect();
        Ok(Self {
            links,
            clicks,
            postbacks,
            goals,
        })
    }

    /// True if every goal is verified.
    #[must_use]
    pub fn is_verified(&self) -> bool {
        !self.goals.is_empty() && self.goals.iter().all(GoalProgress::is_verified)
    }
}

/// Highest stage that a goal has reached. An order proves the click before it, also one that is older than the clicks
/// counted.
fn stage(clicked: bool, received: bool, orders: usize, proof: Proof) -> TestStage {
    match orders {
        0 if received => TestStage::PostbackReceived,
        0 if clicked => TestStage::ClickSeen,
        0 => TestStage::WaitingForClick,
        _ if proof == Proof::Full => TestStage::Verified,
        _ => TestStage::Matched,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_goal_advances_stage_by_stage() {
        assert_eq!(stage(false, false, 0, Proof::Few), TestStage::WaitingForClick);
        assert_eq!(stage(true, false, 0, Proof::Few), TestStage::ClickSeen);
        assert_eq!(stage(true, true, 0, Proof::Few), TestStage::PostbackReceived);
        assert_eq!(stage(true, true, 1, Proof::Few), TestStage::Matched);
        assert_eq!(stage(true, true, 2, Proof::NotLive), TestStage::Matched);
        assert_eq!(stage(false, true, 2, Proof::Full), TestStage::Verified);
        assert!(TestStage::STAGES.windows(2).all(|pair| pair[0].0 < pair[1].0));
        assert_eq!(TestStage::WaitingForClick.label(), "Waiting for a click");
    }
}
