//! Going live: the campaign's goals have been tested with the advertiser's own postbacks.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use schema::{CampaignId, NetworkConn, campaigns as campaign_rows};
use serde_json::json;
use tenancy::audit::{self, Change};
use tenancy::{Author, ChangeError};

use crate::campaigns::{self, CampaignStatus};
use crate::goals;
use crate::test_orders::unproven;
pub use crate::test_orders::{ORDERS, SIMULATED, TestOrder, orders};

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
