//! Changes of the scene's configuration during a test, through the functions that pages call.

use std::time::Duration;

use campaigns::campaigns::{self as campaign_table, CampaignSettings};
use campaigns::goals::{self, Goal, GoalSettings};
use campaigns::integrations::{self, IntegrationSettings};
use campaigns::terms::{Pay, Terms};
use schema::clock;
use tenancy::Author;

use crate::app::TestApp;

/// Terms with a commission of one unit and a revenue of two.
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

    /// Changes the scene's campaign, starting from its first settings.
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

    /// Changes the integration of the scene's advertiser.
    pub async fn change_integration(&self, change: impl FnOnce(&mut IntegrationSettings)) {
        let mut conn = self.network().await;
        let (author, id) = (Author::system(), self.scene.advertiser_id);
        let integration = integrations::find(&mut conn, id).await.unwrap();
        let mut settings = integration.unwrap().settings;
        change(&mut settings);
        integrations::update(&mut conn, &author, id, &settings, clock::now())
            .await
            .unwrap();
        conn.commit().await.unwrap();
    }

    /// Moves the end of the hold period of these conversions (an SQL condition) into the past.
    pub async fn end_hold_period(&self, condition: &str) {
        self.execute(&format!(
            "UPDATE conversions SET hold_until = past.at, terms = terms || jsonb_build_object('hold_until', past.text)
             FROM (SELECT at, to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"') AS text
                   FROM (SELECT date_trunc('second', now()) - interval '2 seconds' AS at) moment) past
             WHERE {condition}"
        ))
        .await;
    }

    /// Waits until a query returns this text, at most thirty seconds.
    pub async fn eventually(&self, sql: &str, expected: &str) {
        for _ in 0..600 {
            if self.text(sql).await == expected {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        assert_eq!(self.text(sql).await, expected);
    }
}
