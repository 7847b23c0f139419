//! Test conversions: decided and priced like all others, and stored apart from everything that counts.

use std::collections::HashMap;
use std::sync::LazyLock;

use chrono::{DateTime, Utc};
use conversions::Conversion;
use schema::batch::{self, BatchError, Row, Tx};
use schema::{CampaignId, ClickKey, ConversionId, Currency, GoalId, LinkId, NetworkId};

use super::claimed::{Claimed, Decided};
use super::hold::Hold;
use super::lookups::Lookups;
use super::price::{self, NotPriced};
use crate::verdict::{Reason, Verdict};

schema::row! {
    struct TestConversion<'a>() {
        network_id: NetworkId,
        id: ConversionId,
        converted_at: DateTime<Utc>,
        campaign_id: CampaignId,
        goal_id: GoalId,
        link_id: LinkId,
        click_id: Option<ClickKey>,
        unique_key: &'a str,
        order_id: Option<&'a str>,
        amount_micros: Option<i64>,
        currency: Currency,
        commission_micros: i64,
        revenue_micros: i64,
        is_simulated: bool,
        host: Option<String>,
    }
}

/// Returns each id with true if it is new.
static INSERT: LazyLock<String> = LazyLock::new(|| {
    format!(
        "WITH asked AS (SELECT * FROM {}),
     made AS (INSERT INTO test_conversions ({}) SELECT * FROM asked
              ON CONFLICT (network_id, goal_id, unique_key) DO NOTHING RETURNING network_id, id)
     SELECT a.id, m.id IS NOT NULL FROM asked a LEFT JOIN made m ON m.network_id = a.network_id AND m.id = a.id",
        TestConversion::unnest(),
        TestConversion::columns()
    )
});

/// Decides test postbacks, and stores the conversions that they would make.
pub(super) async fn decide(
    tx: Tx<'_>,
    claims: Vec<Claimed>,
    now: DateTime<Utc>,
) -> Result<Vec<Decided>, BatchError> {
    let mut lookups = Lookups::of_clicks(tx, &claims).await?;
    let mut decided = Vec::with_capacity(claims.len());
    let mut priced: Vec<(Claimed, Conversion)> = Vec::new();
    for mut claimed in claims {
        if let Some(verdict) = claimed.claim.blocks_creation.take() {
            decided.push(claimed.end(verdict));
            continue;
        }
        if !claimed.claim.action.creates() {
            let message = "The update is valid. Tests create no conversions, so nothing was changed.";
            decided.push(claimed.end(Verdict::with_message(Reason::TestAccepted, message)));
            continue;
        }
        let mut trace = std::mem::take(&mut claimed.trace);
        let result = price::conversion(&claimed, &mut lookups, None, now, &mut trace);
        claimed.trace = trace;
        match result {
            Ok(made) => priced.push((claimed, made.conversion)),
            Err(NotPriced::Verdict(verdict)) => decided.push(claimed.end(verdict)),
            Err(NotPriced::WaitForClick) => {
                let hold = Hold::for_click(&claimed.postback, now);
                decided.push(claimed.hold(hold));
            }
        }
    }
    let rows: Vec<TestConversion<'_>> = priced.iter().map(row).collect();
    let mut is_new: HashMap<ConversionId, bool> = HashMap::new();
    for row in &tx.query_batch(&INSERT, &rows).await? {
        is_new.insert(batch::read(row, 0)?, batch::read(row, 1)?);
    }
    for (claimed, conversion) in priced {
        let verdict = if is_new.get(&conversion.id) == Some(&true) {
            Verdict::of(Reason::TestAccepted)
        } else {
            Verdict::with_message(Reason::DuplicateOrder, "This test was recorded before.")
        };
        decided.push(claimed.end(verdict));
    }
    Ok(decided)
}

/// Host that the click led to.
fn host(claimed: &Claimed, conversion: &Conversion) -> Option<String> {
    let route = &claimed.postback.route;
    let destination = route
        .promotion
        .destination_of(route.landing_page_id, conversion.click_id?)?;
    destination.destination.host()
}

fn row((claimed, conversion): &(Claimed, Conversion)) -> TestConversion<'_> {
    TestConversion {
        network_id: conversion.network_id,
        id: conversion.id,
        converted_at: conversion.converted_at,
        campaign_id: conversion.campaign_id,
        goal_id: conversion.goal_id,
        link_id: conversion.link_id,
        click_id: conversion.click_id,
        unique_key: &conversion.unique_key,
        order_id: conversion.order_id.as_deref(),
        amount_micros: conversion.amount_micros,
        currency: conversion.currency,
        commission_micros: conversion.commission_micros,
        revenue_micros: conversion.revenue_micros,
        is_simulated: claimed.postback.record.is_simulated,
        host: host(claimed, conversion),
    }
}
