//! Held postbacks: stored with what they wait for, released by it or when they are overdue.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use chrono::{DateTime, TimeDelta, Utc};
use conversions::Conversion;
use schema::batch::{self, BatchError, Row, Tx};
use schema::{AdvertiserId, CampaignId, ClickKey, GoalId, NetworkId, PostbackId, clock};

use super::claimed::{Decided, Ending};
use super::hold::WaitsFor;
use crate::received::{KnownSender, Origin, Received};
use crate::record::PostbackRecord;

/// Number of postbacks that a sweep takes at once.
pub(super) const SWEEP_BATCH: usize = 500;
/// Age from which a sweep looks at a held postback: younger ones are released by what they wait for.
const SWEEP_AGE: TimeDelta = TimeDelta::seconds(2);

schema::row! {
    struct HeldPostback<'a>() {
        network_id: NetworkId,
        postback_id: PostbackId,
        held_at: DateTime<Utc>,
        until: DateTime<Utc>,
        waits_for: WaitsFor,
        goal_id: Option<GoalId>,
        click_id: Option<ClickKey>,
        customer_id: Option<&'a str>,
        unique_key: Option<&'a str>,
        advertiser_id: Option<AdvertiserId>,
        is_authenticated: bool,
        record: Vec<u8>,
        integration_campaign_id: Option<CampaignId>,
    }
}

schema::row! {
    struct Created<'a>() {
        network_id: NetworkId,
        goal_id: GoalId,
        click_id: Option<ClickKey>,
        customer_id: Option<&'a str>,
        unique_key: &'a str,
        advertiser_id: AdvertiserId,
        campaign_id: CampaignId,
    }
}

schema::row! {
    struct HeldKey() { network_id: NetworkId, postback_id: PostbackId }
}

/// Columns that [`take_rows`] reads, in its order.
const TAKEN: &str =
    "p.network_id, p.postback_id, p.record, p.advertiser_id, p.is_authenticated, p.integration_campaign_id";

static INSERT: LazyLock<String> = LazyLock::new(|| {
    format!(
        "{} ON CONFLICT (network_id, postback_id) DO NOTHING",
        HeldPostback::insert_into("held_postbacks")
    )
});
/// A cheap look before [`RELEASE`]: most networks have no postback that waits.
const ARE_WAITING: &str = "SELECT FROM held_postbacks WHERE network_id = ANY ($1) LIMIT 1";
/// Postbacks that wait for one of these conversions: each dependency by its own index. One that was sent with a campaign's
/// own token waits for a conversion of that campaign.
static RELEASE: LazyLock<String> = LazyLock::new(|| {
    format!(
        "WITH made AS MATERIALIZED (SELECT * FROM {}),
     released AS MATERIALIZED (
         SELECT p.network_id, p.postback_id FROM made k JOIN held_postbacks p ON p.waits_for = 'parent'
            AND p.network_id = k.network_id AND p.goal_id = k.goal_id AND p.click_id = k.click_id
         UNION SELECT p.network_id, p.postback_id FROM made k JOIN held_postbacks p ON p.waits_for = 'parent'
            AND p.network_id = k.network_id AND p.goal_id = k.goal_id AND p.customer_id = k.customer_id
         UNION SELECT p.network_id, p.postback_id FROM made k JOIN held_postbacks p ON p.waits_for = 'conversion'
            AND p.network_id = k.network_id AND p.goal_id = k.goal_id AND p.unique_key = k.unique_key
         UNION SELECT p.network_id, p.postback_id FROM made k JOIN held_postbacks p ON p.waits_for = 'customer'
            AND p.network_id = k.network_id AND p.customer_id = k.customer_id AND p.advertiser_id = k.advertiser_id
            AND (p.integration_campaign_id IS NULL OR p.integration_campaign_id = k.campaign_id))
     SELECT {TAKEN} FROM released r JOIN held_postbacks p ON p.network_id = r.network_id AND p.postback_id = r.postback_id
     ORDER BY p.network_id, p.postback_id FOR UPDATE OF p SKIP LOCKED",
        Created::unnest()
    )
});
/// Postbacks whose dependency exists although nothing released them: it was stored by another node at the same time, or is
/// a click. Skips postbacks that another node has locked.
static TAKE_READY: LazyLock<String> = LazyLock::new(|| {
    format!(
        "SELECT {TAKEN} FROM held_postbacks p
         WHERE p.held_at < $1 AND (
            p.waits_for = 'click' AND EXISTS (
                SELECT FROM clicks c WHERE c.network_id = p.network_id AND c.id = p.click_id)
            OR p.waits_for = 'parent' AND p.click_id IS NOT NULL AND EXISTS (
                SELECT FROM conversions c WHERE c.network_id = p.network_id AND c.click_id = p.click_id
                   AND c.goal_id = p.goal_id AND c.status IN ('pending', 'approved'))
            OR p.waits_for = 'parent' AND p.customer_id IS NOT NULL AND EXISTS (
                SELECT FROM conversions c WHERE c.network_id = p.network_id AND c.customer_id = p.customer_id
                   AND c.goal_id = p.goal_id AND c.status IN ('pending', 'approved'))
            OR p.waits_for = 'conversion' AND EXISTS (
                SELECT FROM conversions c WHERE c.network_id = p.network_id AND c.goal_id = p.goal_id AND c.unique_key = p.unique_key)
            OR p.waits_for = 'customer' AND EXISTS (
                SELECT FROM conversions c WHERE c.network_id = p.network_id AND c.customer_id = p.customer_id
                   AND c.advertiser_id = p.advertiser_id AND c.status IN ('pending', 'approved')
                   AND (p.integration_campaign_id IS NULL OR p.integration_campaign_id = c.campaign_id)))
         LIMIT {SWEEP_BATCH} FOR UPDATE OF p SKIP LOCKED"
    )
});
static TAKE_OVERDUE: LazyLock<String> = LazyLock::new(|| {
    format!(
        "SELECT {TAKEN} FROM held_postbacks p WHERE p.until <= $1
         ORDER BY p.until LIMIT {SWEEP_BATCH} FOR UPDATE SKIP LOCKED"
    )
});
static TAKE: LazyLock<String> = LazyLock::new(|| {
    format!("SELECT {TAKEN} FROM held_postbacks p WHERE p.network_id = $1 AND p.postback_id = $2 FOR UPDATE")
});
const POSTPONE: &str = "UPDATE held_postbacks SET until = greatest(until, $3), held_at = $3
     WHERE network_id = $1 AND postback_id = $2";

static DELETE: LazyLock<String> = LazyLock::new(|| {
    format!(
        "DELETE FROM held_postbacks d USING {} WHERE d.network_id = k.network_id AND d.postback_id = k.postback_id",
        HeldKey::unnest()
    )
});
/// Time by which a held postback is postponed that cannot be decided.
const POSTPONEMENT: TimeDelta = TimeDelta::minutes(10);

/// Statement that finds out whether postbacks wait.
pub(super) fn waiting_statement() -> &'static str {
    ARE_WAITING
}

/// Statement that takes the postbacks that wait for new conversions.
pub(super) fn release_statement() -> &'static str {
    &RELEASE
}

/// Statement that takes the postbacks whose dependency exists.
pub(super) fn ready_statement() -> &'static str {
    &TAKE_READY
}

/// Stores the held ones of these postbacks.
pub(super) async fn insert(tx: Tx<'_>, decided: &[Decided]) -> Result<(), BatchError> {
    let rows: Vec<HeldPostback<'_>> = decided.iter().filter_map(row).collect();
    tx.execute_batch(&INSERT, &rows).await?;
    Ok(())
}

fn row(decided: &Decided) -> Option<HeldPostback<'_>> {
    let Ending::Hold(hold) = &decided.ending else {
        return None;
    };
    let findings = &decided.findings;
    Some(HeldPostback {
        network_id: findings.network.id,
        postback_id: findings.record.id,
        held_at: findings.record.received_at,
        until: hold.until,
        waits_for: hold.waits_for,
        goal_id: hold.goal_id,
        click_id: hold.click_id,
        customer_id: hold.customer_id.as_deref(),
        unique_key: hold.unique_key.as_deref(),
        advertiser_id: findings.advertiser_id,
        is_authenticated: findings.is_authenticated,
        record: findings.record.to_bytes(),
        integration_campaign_id: findings.integration_campaign(),
    })
}

/// True if postbacks wait for anything in the networks of these conversions.
pub(super) async fn are_waiting(tx: Tx<'_>, created: &[Conversion]) -> Result<bool, BatchError> {
    let networks: BTreeSet<NetworkId> = created.iter().map(|conversion| conversion.network_id).collect();
    if networks.is_empty() {
        return Ok(false);
    }
    let networks: Vec<_> = networks.into_iter().collect();
    Ok(!tx.query(ARE_WAITING, &[&networks]).await?.is_empty())
}

/// Takes the postbacks that wait for one of these new conversions.
pub(super) async fn release(tx: Tx<'_>, created: &[Conversion]) -> Result<Vec<Received>, BatchError> {
    let keys: Vec<Created<'_>> = created
        .iter()
        .map(|conversion| Created {
            network_id: conversion.network_id,
            goal_id: conversion.goal_id,
            click_id: conversion.click_id,
            customer_id: conversion.customer_id.as_deref(),
            unique_key: &conversion.unique_key,
            advertiser_id: conversion.advertiser_id,
            campaign_id: conversion.campaign_id,
        })
        .collect();
    take_rows(tx, &tx.query_batch(&RELEASE, &keys).await?, Origin::Held).await
}

/// Takes postbacks whose dependency exists although nothing released them.
pub(super) async fn take_ready(tx: Tx<'_>, now: DateTime<Utc>) -> Result<Vec<Received>, BatchError> {
    take_rows(
        tx,
        &tx.query(&TAKE_READY, &[&(now - SWEEP_AGE)]).await?,
        Origin::Held,
    )
    .await
}

/// Takes postbacks that were held as long as they may be.
pub(super) async fn take_overdue(tx: Tx<'_>, now: DateTime<Utc>) -> Result<Vec<Received>, BatchError> {
    take_rows(tx, &tx.query(&TAKE_OVERDUE, &[&now]).await?, Origin::Overdue).await
}

/// Takes one postback.
pub(super) async fn take(
    tx: Tx<'_>,
    (network_id, id): (NetworkId, PostbackId),
    origin: Origin,
) -> Result<Vec<Received>, BatchError> {
    take_rows(tx, &tx.query(&TAKE, &[&network_id, &id]).await?, origin).await
}

/// Postpones a postback that cannot be decided.
pub(super) async fn postpone(
    tx: Tx<'_>,
    (network_id, id): (NetworkId, PostbackId),
) -> Result<(), BatchError> {
    let until = clock::now() + POSTPONEMENT;
    tx.query(POSTPONE, &[&network_id, &id, &until]).await?;
    Ok(())
}

/// Takes these rows; returns their postbacks in the order of their arrival. An unreadable one stays, and is postponed.
async fn take_rows(
    tx: Tx<'_>,
    rows: &[tokio_postgres::Row],
    origin: Origin,
) -> Result<Vec<Received>, BatchError> {
    let (mut received, mut keys) = (Vec::with_capacity(rows.len()), Vec::with_capacity(rows.len()));
    for row in rows {
        let (network_id, postback_id) = (batch::read(row, 0)?, batch::read(row, 1)?);
        let record: Vec<u8> = batch::read(row, 2)?;
        let record = match PostbackRecord::read(&record) {
            Ok(record) => record,
            Err(reason) => {
                tracing::error!(network = %network_id, postback = %postback_id, reason, "held postback is unreadable");
                postpone(tx, (network_id, postback_id)).await?;
                continue;
            }
        };
        let advertiser_id: Option<AdvertiserId> = batch::read(row, 3)?;
        let (is_authenticated, campaign_id) = (batch::read(row, 4)?, batch::read(row, 5)?);
        keys.push(HeldKey {
            network_id,
            postback_id,
        });
        received.push(Received {
            record,
            origin,
            sender: advertiser_id.map(|advertiser_id| KnownSender {
                advertiser_id,
                campaign_id,
                is_authenticated,
            }),
            answered: None,
        });
    }
    tx.execute_batch(&DELETE, &keys).await?;
    received.sort_by_key(|postback| postback.record.id);
    Ok(received)
}
