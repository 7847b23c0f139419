//! Events of conversions, for those who are to be notified of them. Those of networks with destinations or event consumers
//! are stored by the transaction that changes the conversion, so that none is lost and none is announced that did not happen.

use std::sync::LazyLock;

use chrono::{DateTime, Utc};
use diesel::QueryResult;
use diesel::sql_types::{Integer, Timestamptz};
use diesel_async::RunQueryDsl;
use schema::batch::{BatchError, ReadRow, Row, Tx};
use schema::{
    AffiliateId, CampaignId, ClickKey, ConversionId, Currency, GoalId, LinkId, NetworkConn, NetworkId,
    changes, text_enum,
};

use crate::conversion::{Conversion, ConversionStatus};

text_enum! {
    /// Kind of an event.
    pub enum EventKind {
        /// The conversion was made.
        Created = "created",
        /// It was approved.
        Approved = "approved",
        /// It was rejected before it was approved.
        Rejected = "rejected",
        /// It was taken back after it was approved.
        Reversed = "reversed",
        /// It is pending again: it needs a review.
        Reopened = "reopened",
        /// Its amount, commission, revenue or affiliate changed, and its status did not.
        Adjusted = "adjusted",
    }
}

/// Event of a conversion, yielded by the transaction that stores it; true only once that is committed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Kind.
    pub kind: EventKind,
    /// Time of the event.
    pub at: DateTime<Utc>,
    /// Conversion after the event.
    pub conversion: Conversion,
}

impl Event {
    /// Event of a step from one state of a conversion (`None` if it is new) to another; `None` if nothing changed that
    /// others see.
    pub(crate) fn between(
        before: Option<&Conversion>,
        after: &Conversion,
        at: DateTime<Utc>,
    ) -> Option<Self> {
        let kind = match before {
            None => EventKind::Created,
            Some(before) if before.status != after.status => match after.status {
                ConversionStatus::Pending => EventKind::Reopened,
                ConversionStatus::Approved => EventKind::Approved,
                ConversionStatus::Rejected => EventKind::Rejected,
                ConversionStatus::Reversed => EventKind::Reversed,
            },
            Some(before) if money(before) != money(after) => EventKind::Adjusted,
            Some(_) => return None,
        };
        Some(Self {
            kind,
            at,
            conversion: after.clone(),
        })
    }
}

schema::row! {
    /// Event as stored.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct StoredEvent(read, bind) {
        /// Tenant.
        pub network_id: NetworkId,
        /// Conversion.
        pub conversion_id: ConversionId,
        /// Version of the conversion after the event; with the conversion, the key of the event.
        pub version: i32,
        /// Kind.
        pub kind: EventKind,
        /// Time of the event.
        pub at: DateTime<Utc>,
        /// Affiliate after the event.
        pub affiliate_id: AffiliateId,
        /// Campaign.
        pub campaign_id: CampaignId,
        /// Goal.
        pub goal_id: GoalId,
        /// Tracking link after the event.
        pub link_id: LinkId,
        /// Click after the event; `None` if attributed without one.
        pub click_id: Option<ClickKey>,
        /// Status after the event.
        pub status: ConversionStatus,
        /// Order amount after refunds, in micro-units; `None` if none was sent.
        pub amount_micros: Option<i64>,
        /// Commission after the event, in micro-units.
        pub commission_micros: i64,
        /// Revenue after the event, in micro-units.
        pub revenue_micros: i64,
        /// Currency of the amounts.
        pub currency: Currency,
    }
}

/// Stores nothing for networks without destinations and event consumers. Announces the networks whose events it stores.
pub(crate) static INSERT: LazyLock<String> = LazyLock::new(|| {
    format!(
        "WITH stored AS (
             {} WHERE EXISTS (SELECT FROM destinations d WHERE d.network_id = k.network_id)
                 OR EXISTS (SELECT FROM event_consumers r WHERE r.network_id = k.network_id)
             ON CONFLICT DO NOTHING RETURNING network_id)
         SELECT pg_notify('{}', network_id::text) FROM (SELECT DISTINCT network_id FROM stored) s",
        StoredEvent::insert_into("conversion_events"),
        changes::EVENTS_CHANNEL
    )
});
/// Gives each event its position in the stream of its network. An event waits for the next batch if an earlier one of its
/// conversion comes behind it, because clocks of nodes differ.
static TAKE_NEW: LazyLock<String> = LazyLock::new(|| {
    format!(
        "WITH taken AS (
             SELECT network_id, conversion_id, version, at FROM conversion_events e
             WHERE NOT is_queued AND NOT EXISTS (SELECT FROM conversion_events b
                 WHERE b.network_id = e.network_id AND b.conversion_id = e.conversion_id AND b.version < e.version
                   AND NOT b.is_queued AND b.at > e.at)
             ORDER BY at, version LIMIT $1 FOR UPDATE SKIP LOCKED
         ), streams AS (
             INSERT INTO event_streams AS s (network_id, position)
             SELECT network_id, count(*) FROM taken GROUP BY network_id
             ON CONFLICT (network_id) DO UPDATE SET position = s.position + excluded.position
             RETURNING s.network_id, s.position
         ), placed AS (
             SELECT t.network_id, t.conversion_id, t.version,
                    s.position - count(*) OVER (PARTITION BY t.network_id)
                        + row_number() OVER (PARTITION BY t.network_id ORDER BY t.at, t.version, t.conversion_id)
                        AS position
             FROM taken t JOIN streams s ON s.network_id = t.network_id
         )
         UPDATE conversion_events e SET is_queued = true, position = p.position, queued_at = now() FROM placed p
         WHERE e.network_id = p.network_id AND e.conversion_id = p.conversion_id AND e.version = p.version
         RETURNING {}",
        StoredEvent::columns_of("e")
    )
});
/// An event stays as long as a delivery needs it. It is old if it happened and was queued before the time.
const REMOVE_OLD: &str = "
    WITH old AS (
        SELECT e.conversion_id, e.version FROM conversion_events e
        WHERE e.network_id = $1 AND e.at < $2 AND e.is_queued AND coalesce(e.queued_at, e.at) < $2
            AND NOT EXISTS (SELECT FROM destinations s JOIN deliveries d
                ON d.network_id = s.network_id AND d.destination_id = s.id
                WHERE s.network_id = $1 AND d.conversion_id = e.conversion_id AND d.version = e.version)
        ORDER BY e.at LIMIT 5000
    ), removed AS (
        DELETE FROM conversion_events e USING old
        WHERE e.network_id = $1 AND e.conversion_id = old.conversion_id AND e.version = old.version
        RETURNING e.position
    )
    UPDATE event_streams s SET removed = r.position FROM (SELECT max(position) AS position FROM removed) r
    WHERE s.network_id = $1 AND s.removed < r.position";

/// Takes stored events of all networks that were not taken before, at most `limit`, and gives them their positions in the
/// streams. They count as taken when the transaction commits. One transaction at a time may take events: only then no
/// event gets a position before one that is visible already.
///
/// # Errors
/// Returns an error if the database fails.
pub async fn take_new(tx: Tx<'_>, limit: i64) -> Result<Vec<StoredEvent>, BatchError> {
    let rows = tx.query(&TAKE_NEW, &[&limit]).await?;
    Ok(rows.iter().map(StoredEvent::read).collect::<Result<_, _>>()?)
}

/// Removes events of the network that happened before a time, a few thousand at once.
///
/// # Errors
/// Database errors.
pub async fn remove_old_events(conn: &mut NetworkConn, before: DateTime<Utc>) -> QueryResult<()> {
    let network_id = conn.network_id();
    diesel::sql_query(REMOVE_OLD)
        .bind::<Integer, _>(network_id)
        .bind::<Timestamptz, _>(before)
        .execute(&mut **conn)
        .await?;
    Ok(())
}

impl From<&Event> for StoredEvent {
    fn from(event: &Event) -> Self {
        let conversion = &event.conversion;
        Self {
            network_id: conversion.network_id,
            conversion_id: conversion.id,
            version: conversion.version,
            kind: event.kind,
            at: event.at,
            affiliate_id: conversion.affiliate_id,
            campaign_id: conversion.campaign_id,
            goal_id: conversion.goal_id,
            link_id: conversion.link_id,
            click_id: conversion.click_id,
            status: conversion.status,
            amount_micros: conversion.amount_micros,
            commission_micros: conversion.commission_micros,
            revenue_micros: conversion.revenue_micros,
            currency: conversion.currency,
        }
    }
}

fn money(conversion: &Conversion) -> (AffiliateId, Option<i64>, i64, i64) {
    (
        conversion.affiliate_id,
        conversion.amount_micros,
        conversion.commission_micros,
        conversion.revenue_micros,
    )
}
