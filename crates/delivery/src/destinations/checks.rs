//! Checks of the objects that the settings of a destination name.

use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use schema::{NetworkConn, affiliates, campaigns, goals};
use tenancy::{ChangeError, FieldErrors};

use super::{DestinationSettings, Owner};

/// Refuses campaigns, goals and affiliates that the network does not have. A goal must belong to the campaign, if both are
/// named.
pub(super) async fn check_references(
    conn: &mut NetworkConn,
    owner: Owner,
    settings: &DestinationSettings,
) -> Result<(), ChangeError> {
    let network_id = conn.network_id();
    let mut errors = FieldErrors::default();
    if let Owner::Affiliate(id) = owner {
        let found: i64 = affiliates::table
            .filter(affiliates::network_id.eq(network_id))
            .filter(affiliates::id.eq(id))
            .count()
            .get_result(&mut **conn)
            .await?;
        if found == 0 {
            errors.add("affiliate", "No affiliate has this ID.");
        }
    }
    if let Some(id) = settings.campaign_id {
        let found: i64 = campaigns::table
            .filter(campaigns::network_id.eq(network_id))
            .filter(campaigns::id.eq(id))
            .count()
            .get_result(&mut **conn)
            .await?;
        if found == 0 {
            errors.add("campaign", "No campaign has this ID.");
        }
    }
    if let Some(id) = settings.goal_id {
        let mut query = goals::table
            .filter(goals::network_id.eq(network_id))
            .filter(goals::id.eq(id))
            .select(goals::id)
            .into_boxed();
        if let Some(campaign_id) = settings.campaign_id {
            query = query.filter(goals::campaign_id.eq(campaign_id));
        }
        let found: Option<schema::GoalId> = query.first(&mut **conn).await.optional()?;
        if found.is_none() {
            errors.add("goal", "The campaign has no goal with this ID.");
        }
    }
    errors.or(Some(()))
}
