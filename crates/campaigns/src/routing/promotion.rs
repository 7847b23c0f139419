//! Configuration of a campaign that its clicks and postbacks need.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use schema::{CampaignId, ClickKey, GoalId, LandingPageId, NetworkConn, advertisers, clock};
use serde::{Deserialize, Serialize};

use super::error::RoutingError;
use crate::Destination;
use crate::campaigns::{self, Campaign};
use crate::caps::{self, Cap};
use crate::goals::{self, Goal, GoalVersion};
use crate::landing_pages;
use crate::rules::{self, Rule};
use crate::terms::Terms;

/// Configuration of a campaign that its clicks and postbacks need.
#[derive(Debug, Clone)]
pub struct Promotion {
    /// The campaign.
    pub campaign: Campaign,
    /// Time the advertiser was paused; `None` if active.
    pub paused_at: Option<DateTime<Utc>>,
    /// Destinations of clicks by weight, the campaign's own first, without a landing page id.
    pub destinations: Vec<Weighted>,
    /// Goals of the campaign.
    pub goals: Vec<Arc<Goal>>,
    /// Former terms of the goals, oldest first.
    pub former_terms: Vec<GoalVersion>,
    /// Commission rules of all goals, by position: those that were in force at or after `rules_since`.
    pub rules: Vec<Rule>,
    /// Time from which on `rules` is complete.
    pub rules_since: DateTime<Utc>,
    /// Caps of the campaign.
    pub caps: Vec<Cap>,
}

/// A destination with its share of the clicks.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Weighted {
    /// Landing page; `None` for the campaign's own destination.
    pub landing_page_id: Option<LandingPageId>,
    /// Share of the clicks, relative to the other weights.
    pub weight: u32,
    /// URL with macros.
    pub destination: Destination,
}

impl Promotion {
    /// Commission and revenue of a goal that were in force at a moment, with their version.
    #[must_use]
    pub fn terms_at(&self, goal: &Goal, at: DateTime<Utc>) -> (Terms, i32) {
        let former = self
            .former_terms
            .iter()
            .find(|former| former.goal_id == goal.id && at < former.valid_to);
        former.map_or_else(
            || (goal.terms(), goal.version),
            |former| (former.terms(), former.version),
        )
    }

    /// Commission rules of a goal, by position.
    pub fn rules_of(&self, goal_id: GoalId) -> impl Iterator<Item = &Rule> {
        self.rules.iter().filter(move |rule| rule.goal_id == goal_id)
    }

    /// Landing page with this ID; with `None` the campaign's own destination.
    #[must_use]
    pub fn landing_page(&self, id: Option<LandingPageId>) -> Option<&Weighted> {
        self.destinations
            .iter()
            .find(|weighted| weighted.landing_page_id == id)
    }

    /// Destination of a click with this key: the landing page of its link, or one by weight, selected by the key.
    #[must_use]
    pub fn destination_of(
        &self,
        landing_page_id: Option<LandingPageId>,
        click: ClickKey,
    ) -> Option<&Weighted> {
        let [.., a, b, c, d] = click.0.into_bytes();
        choose(
            &self.destinations,
            landing_page_id,
            u32::from_be_bytes([a, b, c, d]),
        )
    }
}

fn choose(
    destinations: &[Weighted],
    landing_page_id: Option<LandingPageId>,
    number: u32,
) -> Option<&Weighted> {
    let named = destinations
        .iter()
        .find(|weighted| landing_page_id.is_some() && weighted.landing_page_id == landing_page_id);
    let all: u32 = destinations.iter().map(|weighted| weighted.weight).sum();
    let mut left = number.checked_rem(all).unwrap_or(0);
    let by_weight = || {
        destinations.iter().find(|weighted| {
            let is_here = left < weighted.weight;
            left = left.saturating_sub(weighted.weight);
            is_here
        })
    };
    named.or_else(by_weight).or(destinations.first())
}

pub(super) async fn load_promotion(
    conn: &mut NetworkConn,
    campaign_id: CampaignId,
) -> Result<Option<Promotion>, RoutingError> {
    let Some(campaign) = campaigns::find(conn, campaign_id).await? else {
        return Ok(None);
    };
    let network_id = conn.network_id();
    let paused_at = advertisers::table
        .find((network_id, campaign.advertiser_id))
        .select(advertisers::paused_at)
        .first(&mut **conn)
        .await?;
    let goals = goals::of_campaign(conn, campaign_id).await?;
    // Maximum time a postback is held.
    let since = clock::now() - TimeDelta::days(91);
    let rules = rules::of_campaign(conn, campaign_id, since).await?;
    let former_terms = goals::versions_of_campaign(conn, campaign_id).await?;
    let caps = caps::of_campaign(conn, campaign_id).await?;
    let pages = landing_pages::of_campaign(conn, campaign_id).await?;
    let own = Destination::completed(&campaign.destination, &campaign.sending)?;
    let mut destinations = vec![Weighted {
        landing_page_id: None,
        weight: campaign.sending.destination_weight.try_into().unwrap_or(0),
        destination: own,
    }];
    for page in pages {
        match Destination::completed(&page.url, &campaign.sending) {
            Ok(destination) => destinations.push(Weighted {
                landing_page_id: Some(page.id),
                weight: page.weight.try_into().unwrap_or(0),
                destination,
            }),
            // One broken page must not stop the campaign.
            Err(error) => {
                tracing::error!(page = %page.id, %error, "landing page skipped: its URL is invalid")
            }
        }
    }
    Ok(Some(Promotion {
        destinations,
        campaign,
        paused_at,
        goals: goals.into_iter().map(Arc::new).collect(),
        former_terms,
        rules,
        rules_since: since,
        caps,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn weighted(id: Option<i32>, weight: u32) -> Weighted {
        Weighted {
            landing_page_id: id.map(LandingPageId),
            weight,
            destination: Destination::parse(&format!("https://s.example/{}?c={{click_id}}", id.unwrap_or(0)))
                .unwrap(),
        }
    }

    #[test]
    fn clicks_are_shared_out_by_weight_unless_a_link_names_its_page() {
        let destinations = vec![weighted(None, 1), weighted(Some(1), 3), weighted(Some(2), 0)];
        let of = |landing: Option<i32>, number| {
            choose(&destinations, landing.map(LandingPageId), number).map(|chosen| chosen.landing_page_id)
        };
        let shares = (0..400).filter(|n| of(None, *n) == of(Some(1), 0)).count();
        assert_eq!(shares, 300);
        assert_eq!((0..400).filter(|n| of(None, *n) == of(Some(2), 0)).count(), 0);
        assert_eq!(of(Some(2), 7), Some(Some(LandingPageId(2))));
        assert_eq!(of(Some(9), 0), Some(None), "a page that was removed");
        let nowhere = vec![weighted(None, 0)];
        assert!(
            choose(&nowhere, None, 5).is_some(),
            "without any weight the campaign's own is used"
        );
    }
}
