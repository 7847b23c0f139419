//! Changes of the scene's configuration in the middle of a test, made by the functions that pages call.

use std::time::Duration;

use campaigns::campaigns::{self as campaign_table, CampaignSettings};
use campaigns::goals::{self, Goal, GoalSettings};
use campaigns::integrations::{self, IntegrationSettings};
use campaigns::terms::{Pay, Terms};
use schema::clock;
use tenancy::Author;

use crate::app::TestApp;

/// One unit to the affiliate, two from the advertiser.
pub const PAY: Terms = Terms {
    commission: Pay {
        fixed_micros: 1_000_000,
        rate_ppm: 0,
    },
    revenue: Pay {
        fixed_micros: 2_000_000,
        rate_ppm: 0,
    },
};

impl TestApp {
    /// Adds a goal to the scene's campaign.
    pub async fn add_goal(&self, settings: &GoalSettings) -> Goal {
        let mut conn = self.network().await;
        let (author, id) = (Author::system(), self.scene.campaign.id);
        let goal = goals::create(&mut conn, &author, id, settings, clock::now())
            .await
            .unwrap();
        conn.commit().await.unwrap();
        goal
    }

    /// Changes the scene's goal `sale`.
    pub async fn change_sale(&self, change: impl FnOnce(&mut GoalSettings)) {
        let mut conn = self.network().await;
        let (author, id) = (Author::system(), self.scene.sale_id);
        let mut settings = goals::find(&mut conn, id).await.unwrap().unwrap().settings;
        change(&mut settings);
        goals::update(&mut conn, &author, id, &settings, clock::now())
            .await
            .unwrap();
        conn.commit().await.unwrap();
    }

    /// Changes the scene's campaign, from what it was at first.
    pub async fn change_campaign(&self, change: impl FnOnce(&mut CampaignSettings)) {
        let mut conn = self.network().await;
        let (author, id) = (Author::system(), self.scene.campaign.id);
        let mut settings = self.scene.campaign.settings();
        change(&mut settings);
        campaign_table::update(&mut conn, &author, id, &settings, clock::now())
            .await
            .unwrap();
        conn.commit().await.unwrap();
    }

    /// Changes how the scene's advertiser talks to us.
    pub async fn change_integration(&self, change: impl FnOnce(&mut IntegrationSettings)) {
        let mut conn = self.network().await;
        let (author, id) = (Author::system(), self.scene.advertiser_id);
        let known = integrations::find(&mut conn, id).await.unwrap();
        let mut settings = known.unwrap().settings;
        change(&mut settings);
        integrations::update(&mut conn, &author, id, &settings, clock::now())
            .await
            .unwrap();
        conn.commit().await.unwrap();
    }

    /// Waits until a query says this, at most ten seconds.
    pub async fn eventually(&self, sql: &str, expected: &str) {
        for _ in 0..100 {
            if self.text(sql).await == expected {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        assert_eq!(self.text(sql).await, expected);
    }
}
