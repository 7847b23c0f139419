//! Test orders: the advertiser's own postbacks that prove a campaign's goals before it goes live.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use schema::{CampaignId, Currency, GoalId, NetworkConn, PostbackId, networks, test_conversions};
use tenancy::{ChangeError, Scope};

use crate::campaigns::{self, Campaign};
use crate::destination::Destination;
use crate::goals::{self, Goal};
use crate::landing_pages;

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
    /// Host of the landing page that the click led to; `None` if the order came without a click.
    pub host: Option<String>,
}

/// Test orders of a goal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proof {
    /// Too few.
    Few,
    /// Enough, but none came through a page that live visitors are sent to.
    NotLive,
    /// Enough.
    Full,
}

impl TestOrder {
    /// True if the click led to one of the hosts that live visitors are sent to, or the order came without a click.
    fn is_live(&self, live: &[String]) -> bool {
        self.host.as_ref().is_none_or(|host| live.contains(host))
    }
}

/// Proof that test orders of one goal are.
pub fn proof<'a>(orders: impl Iterator<Item = &'a TestOrder> + Clone, live: &[String]) -> Proof {
    match orders.clone().count() {
        few if few < ORDERS => Proof::Few,
        _ if !orders.clone().any(|order| order.is_live(live)) => Proof::NotLive,
        _ => Proof::Full,
    }
}

/// Hosts that live visitors of a campaign are sent to.
///
/// # Errors
/// Database errors.
pub async fn live_hosts(conn: &mut NetworkConn, campaign: &Campaign) -> QueryResult<Vec<String>> {
    let pages = landing_pages::of_campaign(conn, campaign.id).await?;
    let pages = pages.iter().filter(|page| page.weight > 0);
    let urls = pages.map(|page| page.url.as_str());
    let own = Some(campaign.destination.as_str()).filter(|_| campaign.sending.destination_weight > 0);
    let hosts = urls
        .chain(own)
        .filter_map(|url| Destination::completed(url, &campaign.sending).ok()?.host());
    Ok(hosts.collect())
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
            test_conversions::host,
        ))
        .load(&mut **conn)
        .await
}

/// Test order in the list of all campaigns.
#[derive(Debug, Clone, Queryable)]
pub struct ListedOrder {
    /// Postback that reported the order.
    pub postback_id: PostbackId,
    /// Time the postback was received.
    pub at: DateTime<Utc>,
    /// Campaign.
    pub campaign_id: CampaignId,
    /// Name of the campaign.
    pub campaign: String,
    /// Name of the goal.
    pub goal: String,
    /// Order ID of the advertiser; `None` if the postback had none.
    pub order_id: Option<String>,
    /// Order amount in micro-units; `None` if the postback had none.
    pub amount_micros: Option<i64>,
    /// Currency of the amount and of the commission.
    pub currency: Currency,
    /// Commission that a live order would have earned, in micro-units.
    pub commission_micros: i64,
    /// True for an order of our simulation.
    pub is_simulated: bool,
}

/// Latest test orders and simulated orders in `scope`, newest first; those received before `before`, if it is given.
///
/// # Errors
/// Database errors.
pub async fn latest(
    conn: &mut NetworkConn,
    scope: Scope,
    before: Option<PostbackId>,
    limit: i64,
) -> QueryResult<Vec<ListedOrder>> {
    let network_id = conn.network_id();
    let of_campaign = schema::campaigns::network_id
        .eq(test_conversions::network_id)
        .and(schema::campaigns::id.eq(test_conversions::campaign_id));
    let of_goal = schema::goals::network_id
        .eq(test_conversions::network_id)
        .and(schema::goals::id.eq(test_conversions::goal_id));
    let mut query = test_conversions::table
        .inner_join(schema::campaigns::table.on(of_campaign))
        .inner_join(schema::goals::table.on(of_goal))
        .filter(test_conversions::network_id.eq(network_id))
        .order(test_conversions::id.desc())
        .limit(limit)
        .select((
            test_conversions::id,
            test_conversions::converted_at,
            test_conversions::campaign_id,
            schema::campaigns::name,
            schema::goals::name,
            test_conversions::order_id,
            test_conversions::amount_micros,
            test_conversions::currency,
            test_conversions::commission_micros,
            test_conversions::is_simulated,
        ))
        .into_boxed();
    if let Some(advertiser_id) = scope.advertiser {
        query = query.filter(schema::campaigns::advertiser_id.eq(advertiser_id));
    }
    if let Some(before) = before {
        query = query.filter(test_conversions::id.lt(before));
    }
    query.load(&mut **conn).await
}

/// Number of simulated orders of each goal of a campaign that has any.
///
/// # Errors
/// Database errors.
pub async fn simulated_orders(
    conn: &mut NetworkConn,
    campaign_id: CampaignId,
) -> QueryResult<HashMap<GoalId, i64>> {
    let network_id = conn.network_id();
    let counts: Vec<(GoalId, i64)> = test_conversions::table
        .filter(test_conversions::network_id.eq(network_id))
        .filter(test_conversions::campaign_id.eq(campaign_id))
        .filter(test_conversions::is_simulated)
        .group_by(test_conversions::goal_id)
        .select((test_conversions::goal_id, diesel::dsl::count_star()))
        .load(&mut **conn)
        .await?;
    Ok(counts.into_iter().collect())
}

/// Goals of a campaign that its test orders do not prove, each with what is missing.
pub(crate) async fn unproven(
    conn: &mut NetworkConn,
    campaign: &Campaign,
    goals: Vec<Goal>,
) -> QueryResult<Vec<(Goal, Proof)>> {
    let orders = orders(conn, campaign.id).await?;
    let live = live_hosts(conn, campaign).await?;
    let proven = |goal: &Goal| proof(orders.iter().filter(|order| order.goal_id == goal.id), &live);
    let goals = goals.into_iter().map(|goal| {
        let proven = proven(&goal);
        (goal, proven)
    });
    Ok(goals.filter(|(_, proven)| *proven != Proof::Full).collect())
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
    let campaign = campaigns::find(conn, campaign_id)
        .await?
        .ok_or(ChangeError::NotFound)?;
    let unproven = unproven(conn, &campaign, goals).await?;
    let names = |wanted: Proof| {
        let named = unproven.iter().filter(|(_, proof)| *proof == wanted);
        let names: Vec<&str> = named.map(|(goal, _)| goal.settings.name.as_str()).collect();
        (!names.is_empty()).then(|| names.join(", "))
    };
    let few =
        names(Proof::Few).map(|names| format!("{ORDERS} test orders have to arrive first for: {names}."));
    let not_live = names(Proof::NotLive).map(|names| {
        format!("One test order has to come through a page that live visitors are sent to, for: {names}.")
    });
    let problems: Vec<String> = few.into_iter().chain(not_live).collect();
    if problems.is_empty() {
        return Ok(());
    }
    let message = format!(
        "{} See the campaign's test page; an owner or admin may let it go live without them.",
        problems.join(" ")
    );
    Err(ChangeError::field("status", message))
}
