//! Checklist of a network without conversions: the steps to the first one.

use campaigns::campaigns::{self as campaign_table, CampaignStatus};
use campaigns::links::{self, LinkFilter};
use tenancy::{Permission, affiliates};

use crate::error::PageError;
use crate::page::Page;
use crate::urls;

/// Step to the first conversion.
pub(super) struct Step {
    pub(super) label: &'static str,
    pub(super) hint: &'static str,
    pub(super) url: String,
    pub(super) is_done: bool,
}

/// Steps to the first conversion. Empty if the actor may not take them.
pub(super) async fn steps<P>(page: &mut Page<P>) -> Result<Vec<Step>, PageError> {
    if !page.actor.may(Permission::Configure) {
        return Ok(Vec::new());
    }
    let scope = page.actor.scope();
    let campaigns = campaign_table::visible(&mut page.conn, scope, None).await?;
    let has_affiliates = !affiliates::active(&mut page.conn, scope).await?.is_empty();
    let has_links = !links::list(&mut page.conn, &LinkFilter::default(), 1)
        .await?
        .is_empty();
    let first = campaigns.first().map(|(campaign, _)| campaign.id);
    let is_live = campaigns
        .iter()
        .any(|(campaign, _)| campaign.status == CampaignStatus::Live);
    let or_start = |url: fn(schema::CampaignId) -> String| first.map_or_else(|| "/start".to_owned(), url);
    Ok(vec![
        Step {
            label: "Create a campaign",
            hint: "Destination, goal and payout of an advertiser.",
            url: "/start".to_owned(),
            is_done: first.is_some(),
        },
        Step {
            label: "Test the integration and go live",
            hint: "A test order shows that postbacks arrive and are attributed.",
            url: or_start(urls::test),
            is_done: is_live,
        },
        Step {
            label: "Add an affiliate",
            hint: "Enter one, import a list, or share your application form.",
            url: "/affiliates/new".to_owned(),
            is_done: has_affiliates,
        },
        Step {
            label: "Create a tracking link",
            hint: "Each affiliate promotes a campaign through links.",
            url: or_start(urls::campaign),
            is_done: has_links,
        },
    ])
}
