//! Going live: the campaign's goals have been tested with the advertiser's own postbacks.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use schema::{CampaignId, LinkId, NetworkConn, campaigns as campaign_rows, tracking_links};
use serde_json::json;
use tenancy::affiliates::{self, AffiliateSettings};
use tenancy::audit::{self, Change};
use tenancy::{Author, ChangeError};

use crate::campaigns::{self, CampaignSettings, CampaignStatus};
use crate::goals;
use crate::links::{self, Link, NewLink};
use crate::test_orders::unproven;
pub use crate::test_orders::{
    ListedOrder, ORDERS, Proof, SIMULATED, TestOrder, latest, live_hosts, orders, proof, simulated_orders,
};

/// Name of the affiliate that owns test links, so that no real affiliate earns commission by tests.
const TEST_AFFILIATE: &str = "Test affiliate";

/// Creates a test link of a campaign. A draft becomes a campaign in testing, because a draft accepts no postbacks, not
/// even of tests.
///
/// # Errors
/// [`ChangeError::NotFound`] if the campaign does not exist, [`ChangeError::Limit`] when the network has its maximum
/// number of links; when the database fails.
pub async fn create_test_link(
    conn: &mut NetworkConn,
    author: &Author,
    id: CampaignId,
    now: DateTime<Utc>,
) -> Result<Link, ChangeError> {
    let campaign = campaigns::lock(conn, id).await?.ok_or(ChangeError::NotFound)?;
    if campaign.status == CampaignStatus::Draft {
        let settings = CampaignSettings {
            status: CampaignStatus::Testing,
            ..campaign.settings()
        };
        campaigns::update(conn, author, id, &settings, now).await?;
    }
    let wanted = AffiliateSettings::named(TEST_AFFILIATE);
    let affiliate = match affiliates::matching(conn, &wanted).await? {
        Some(known) => known,
        None => affiliates::create(conn, author, &wanted, now).await?,
    };
    let alias = links::random_alias();
    let link = NewLink {
        is_test: true,
        ..NewLink::plain(affiliate.id, id, &alias)
    };
    links::create(conn, author, &link, now).await
}

/// Latest test link of a campaign.
///
/// # Errors
/// Database errors.
pub async fn test_link(conn: &mut NetworkConn, campaign_id: CampaignId) -> QueryResult<Option<LinkId>> {
    let network_id = conn.network_id();
    tracking_links::table
        .filter(tracking_links::network_id.eq(network_id))
        .filter(tracking_links::campaign_id.eq(campaign_id))
        .filter(tracking_links::is_test)
        .order(tracking_links::id.desc())
        .select(tracking_links::id)
        .first(&mut **conn)
        .await
        .optional()
}

/// Sets a campaign live. Locks the campaign, so that concurrent changes of other fields are kept.
///
/// # Errors
/// [`ChangeError::Fields`] if the network requires tests and they are incomplete, [`ChangeError::NotFound`] if the
/// campaign does not exist; when the database fails.
pub async fn go_live(
    conn: &mut NetworkConn,
    author: &Author,
    id: CampaignId,
    now: DateTime<Utc>,
) -> Result<(), ChangeError> {
    let campaign = campaigns::lock(conn, id).await?.ok_or(ChangeError::NotFound)?;
    let settings = CampaignSettings {
        status: CampaignStatus::Live,
        ..campaign.settings()
    };
    campaigns::update(conn, author, id, &settings, now).await?;
    Ok(())
}

/// Lets a campaign go live before its tests are complete. The reason is recorded in the audit log.
///
/// # Errors
/// [`ChangeError::Fields`] without a reason, [`ChangeError::Conflict`] if the campaign is already live or paused,
/// [`ChangeError::NotFound`] if it does not exist; when the database fails.
pub async fn override_tests(
    conn: &mut NetworkConn,
    author: &Author,
    id: CampaignId,
    reason: &str,
    now: DateTime<Utc>,
) -> Result<(), ChangeError> {
    let campaign = campaigns::lock(conn, id).await?.ok_or(ChangeError::NotFound)?;
    if campaign.status.pays() {
        let message = format!("The campaign is already {}.", campaign.status);
        return Err(ChangeError::Conflict(message));
    }
    let reason: String = reason.trim().chars().take(500).collect();
    if reason.is_empty() {
        return Err(ChangeError::field(
            "reason",
            "Enter a reason: it is recorded in the audit log.",
        ));
    }
    let goals = goals::of_campaign(conn, campaign.id).await?;
    let missing = unproven(conn, &campaign, goals).await?;
    let missing: Vec<String> = missing.into_iter().map(|(goal, _)| goal.settings.code).collect();
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
