//! Held postbacks: stored with what they wait for, released by it or when they are overdue.

use std::sync::LazyLock;

use chrono::{DateTime, TimeDelta, Utc};
use conversions::Conversion;
use schema::batch::{self, BatchError, Row, Tx};
use schema::{AdvertiserId, CampaignId, ClickKey, GoalId, NetworkId, PostbackId, clock};
use tokio_postgres::types::ToSql;

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

/// Columns that [`received`] reads, in its order.
const RETURNING: &str = "RETURNING d.record, d.advertiser_id, d.is_authenticated, d.integration_campaign_id,
     d.network_id, d.postback_id";

static INSERT: LazyLock<String> = LazyLock::new(|| {
    format!(
        "{} ON CONFLICT (network_id, postback_id) DO NOTHING",
        HeldPostback::insert_into("held_postbacks")
    )
});
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
            AND (p.integration_campaign_id IS NULL OR p.integration_campaign_id = k.campaign_id)),
     locked AS MATERIALIZED (
         SELECT p.network_id, p.postback_id FROM released r JOIN held_postbacks p
             ON p.network_id = r.network_id AND p.postback_id = r.postback_id
         ORDER BY p.network_id, p.postback_id FOR UPDATE OF p SKIP LOCKED)
     DELETE FROM held_postbacks d USING locked l WHERE d.network_id = l.network_id AND d.postback_id = l.postback_id
     {RETURNING}",
        Created::unnest()
    )
});
/// Postbacks whose dependency exists although nothing released them: it was stored by another node at the same time, or is
/// a click. Skips postbacks that another node has locked.
static TAKE_READY: LazyLock<String> = LazyLock::new(|| {
    format!(
        "WITH ready AS MATERIALIZED (
         SELECT p.network_id, p.postback_id FROM held_postbacks p
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
                   AND c.advertiser_id = p.advertiser_id
                   AND (p.integration_campaign_id IS NULL OR p.integration_campaign_id = c.campaign_id)))
         LIMIT {SWEEP_BATCH} FOR UPDATE OF p SKIP LOCKED)
     DELETE FROM held_postbacks d USING ready r WHERE d.network_id = r.network_id AND d.postback_id = r.postback_id
     {RETURNING}"
    )
});
static TAKE_OVERDUE: LazyLock<String> = LazyLock::new(|| {
    format!(
        "WITH late AS MATERIALIZED (
         SELECT p.network_id, p.postback_id FROM held_postbacks p WHERE p.until <= $1
         ORDER BY p.until LIMIT {SWEEP_BATCH} FOR UPDATE SKIP LOCKED)
     DELETE FROM held_postbacks d USING late l WHERE d.network_id = l.network_id AND d.postback_id = l.postback_id
     {RETURNING}"
    )
});
static TAKE: LazyLock<String> = LazyLock::new(|| {
    format!("DELETE FROM held_postbacks d WHERE d.network_id = $1 AND d.postback_id = $2 {RETURNING}")
});
const POSTPONE: &str = "UPDATE held_postbacks SET until = greatest(until, $3), held_at = $3
     WHERE network_id = $1 AND postback_id = $2";

const QUARANTINE: &str = "INSERT INTO quarantine (journal, seq, network_id, put_aside_at, reason, record)
     VALUES ($1, 0, $2, $3, $4, $5) ON CONFLICT DO NOTHING";

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
    received(tx, &tx.query_batch(&RELEASE, &keys).await?, Origin::Held).await
}

/// Takes postbacks whose dependency exists although nothing released them.
pub(super) async fn take_ready(tx: Tx<'_>, now: DateTime<Utc>) -> Result<Vec<Received>, BatchError> {
    received(
        tx,
        &tx.query(&TAKE_READY, &[&(now - SWEEP_AGE)]).await?,
        Origin::Held,
    )
    .await
}

/// Takes postbacks that were held as long as they may be.
pub(super) async fn take_overdue(tx: Tx<'_>, now: DateTime<Utc>) -> Result<Vec<Received>, BatchError> {
    received(tx, &tx.query(&TAKE_OVERDUE, &[&now]).await?, Origin::Overdue).await
}

/// Takes one postback.
pub(super) async fn take(
    tx: Tx<'_>,
    (network_id, id): (NetworkId, PostbackId),
    origin: Origin,
) -> Result<Vec<Received>, BatchError> {
    received(tx, &tx.query(&TAKE, &[&network_id, &id]).await?, origin).await
}

/// Holds a postback that could not be decided for longer.
pub(super) async fn postpone(
    tx: Tx<'_>,
    (network_id, id): (NetworkId, PostbackId),
    until: DateTime<Utc>,
) -> Result<(), BatchError> {
    tx.query(POSTPONE, &[&network_id, &id, &until]).await?;
    Ok(())
}

/// Postbacks in the order of their arrival. A record that is unreadable goes to quarantine.
async fn received(
    tx: Tx<'_>,
    rows: &[tokio_postgres::Row],
    origin: Origin,
) -> Result<Vec<Received>, BatchError> {
    let mut received = Vec::with_capacity(rows.len());
    for row in rows {
        let bytes: Vec<u8> = batch::read(row, 0)?;
        let record = match PostbackRecord::read(&bytes) {
            Ok(record) => record,
            Err(reason) => {
                let (network, id): (NetworkId, PostbackId) = (batch::read(row, 4)?, batch::read(row, 5)?);
                tracing::error!(%network, postback = %id, reason, "held postback is unreadable; quarantined");
                let parameters: [&(dyn ToSql + Sync); 5] = [&id, &network, &clock::now(), &reason, &bytes];
                tx.query(QUARANTINE, &parameters).await?;
                continue;
            }
        };
        let advertiser_id: Option<AdvertiserId> = batch::read(row, 1)?;
        let (is_authenticated, campaign_id) = (batch::read(row, 2)?, batch::read(row, 3)?);
        received.push(Received {
            record,
            origin,
            sender: advertiser_id.map(|advertiser_id| KnownSender {
                advertiser_id,
                campaign_id,
                is_authenticated,
            }),
        });
    }
    received.sort_by_key(|postback| postback.record.id);
    Ok(received)
}
