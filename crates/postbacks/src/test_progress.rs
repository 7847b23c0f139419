//! The ladder to going live: how far the tests of a campaign have come. Whether it is live is its status, which an
//! override may set without any of them.

use campaigns::campaigns::Campaign;
use campaigns::goals::{self, Goal};
use campaigns::going_live::{self, ORDERS, SIMULATED, TestOrder};
use chrono::{DateTime, TimeDelta, Utc};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use schema::{LinkId, NetworkConn, click_rollups, postbacks, tracking_links};

use crate::postbacks::PostbackSummary;

/// How far back test clicks are looked for.
const DAYS: i64 = 30;
/// How many test postbacks are shown.
const LATEST: i64 = 20;

/// How far a goal has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rung {
    /// Nobody has followed a test link yet.
    WaitingForClick,
    /// A test click came.
    ClickSeen,
    /// A postback about one came, whatever became of it.
    PostbackReceived,
    /// A test order was accepted for the goal.
    Matched,
    /// Enough different ones were.
    Verified,
}

impl Rung {
    /// Every rung above the ground, with what it is called.
    pub const CLIMBED: [(Self, &'static str); 4] = [
        (Self::ClickSeen, "click seen"),
        (Self::PostbackReceived, "postback received"),
        (Self::Matched, "matched"),
        (Self::Verified, "two test orders verified"),
    ];

    /// What it is called.
    #[must_use]
    pub fn words(self) -> &'static str {
        let found = Self::CLIMBED.iter().find(|(rung, _)| *rung == self);
        found.map_or("waiting for a click", |(_, words)| words)
    }
}

/// How far one goal has come.
#[derive(Debug, Clone)]
pub struct GoalProof {
    /// The goal.
    pub goal: Goal,
    /// How far it is.
    pub rung: Rung,
    /// The test orders that arrived, oldest first.
    pub orders: Vec<TestOrder>,
}

impl GoalProof {
    /// Whether nothing is missing.
    #[must_use]
    pub fn is_proven(&self) -> bool {
        self.rung == Rung::Verified
    }
}

/// How far the tests of a campaign have come.
#[derive(Debug, Clone)]
pub struct Ladder {
    /// Its test links.
    pub links: Vec<(LinkId, String)>,
    /// Clicks through them in the last thirty days.
    pub clicks: i64,
    /// The latest test postbacks, newest first.
    pub postbacks: Vec<PostbackSummary>,
    /// Goal by goal.
    pub goals: Vec<GoalProof>,
}

impl Ladder {
    /// Looks how far the tests of a campaign have come.
    ///
    /// # Errors
    /// When the database fails.
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
            .filter(click_rollups::hour.ge(now - TimeDelta::days(DAYS)))
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
        // A rehearsal's calls are ours.
        let is_theirs = |it: &PostbackSummary| {
            let order = it.order_id.as_deref().unwrap_or_default();
            !order.starts_with(SIMULATED)
        };
        let received = postbacks.iter().any(is_theirs);
        let clicks = clicks.iter().sum();
        let goals = goals::of_campaign(conn, campaign.id)
            .await?
            .into_iter()
            .map(|goal| {
                let of_goal = orders.iter().filter(|order| order.goal_id == goal.id);
                let orders: Vec<TestOrder> = of_goal.cloned().collect();
                GoalProof {
                    rung: rung(clicks > 0, received, orders.len()),
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

    /// Whether every goal is proven.
    #[must_use]
    pub fn is_proven(&self) -> bool {
        !self.goals.is_empty() && self.goals.iter().all(GoalProof::is_proven)
    }
}

/// How far a goal is: the highest rung that something speaks for. An order proves the click before it, also when that is
/// older than what is looked at.
fn rung(clicked: bool, received: bool, orders: usize) -> Rung {
    match orders {
        0 if received => Rung::PostbackReceived,
        0 if clicked => Rung::ClickSeen,
        0 => Rung::WaitingForClick,
        few if few < ORDERS => Rung::Matched,
        _ => Rung::Verified,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_goal_climbs_rung_by_rung() {
        assert_eq!(rung(false, false, 0), Rung::WaitingForClick);
        assert_eq!(rung(true, false, 0), Rung::ClickSeen);
        assert_eq!(rung(true, true, 0), Rung::PostbackReceived);
        assert_eq!(rung(true, true, 1), Rung::Matched);
        assert_eq!(rung(false, true, 2), Rung::Verified);
        assert!(Rung::CLIMBED.windows(2).all(|pair| pair[0].0 < pair[1].0));
        assert_eq!(Rung::WaitingForClick.words(), "waiting for a click");
    }
}
