//! Events of conversions, for those who are to be notified of them. Those of networks with destinations are stored by the
//! transaction that changes the conversion, so that none is lost and none is announced that did not happen.

use std::sync::LazyLock;

use chrono::{DateTime, Utc};
use schema::batch::{BatchError, ReadRow, Row, Tx};
use schema::{
    AffiliateId, CampaignId, ClickKey, ConversionId, Currency, GoalId, LinkId, NetworkId, text_enum,
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

/// Stores nothing for networks without destinations.
pub(crate) static INSERT: LazyLock<String> = LazyLock::new(|| {
    format!(
        "{} WHERE EXISTS (SELECT FROM destinations d WHERE d.network_id = k.network_id) ON CONFLICT DO NOTHING",
        StoredEvent::insert_into("conversion_events")
    )
});
/// Skips events that another node is taking.
static TAKE_NEW: LazyLock<String> = LazyLock::new(|| {
    format!(
        "WITH taken AS (
             SELECT network_id, conversion_id, version FROM conversion_events WHERE NOT is_queued
             ORDER BY at, version LIMIT $1 FOR UPDATE SKIP LOCKED
         )
         UPDATE conversion_events e SET is_queued = true FROM taken t
         WHERE e.network_id = t.network_id AND e.conversion_id = t.conversion_id AND e.version = t.version
         RETURNING {}",
        StoredEvent::columns_of("e")
    )
});

/// Takes stored events of all networks that were not taken before, at most `limit`. They count as taken when the
/// transaction commits.
///
/// # Errors
/// Returns an error if the database fails.
pub async fn take_new(tx: Tx<'_>, limit: i64) -> Result<Vec<StoredEvent>, BatchError> {
    let rows = tx.query(&TAKE_NEW, &[&limit]).await?;
    Ok(rows.iter().map(StoredEvent::read).collect::<Result<_, _>>()?)
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
