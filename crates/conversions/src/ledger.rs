//! The ledger: what the parties earn and owe, in movements that are only ever added.

use std::sync::LazyLock;

use chrono::{DateTime, TimeDelta, Utc};
use diesel::prelude::*;
use diesel::sql_types::{Integer, Nullable, Text, Timestamptz};
use diesel_async::RunQueryDsl;
use schema::batch::Row;
use schema::{
    AdvertiserId, AffiliateId, ClickKey, ConversionId, Currency, LedgerEntryId, Money, NetworkConn,
    NetworkId, conversions, ledger_entries, text_enum,
};
use tenancy::Scope;
use tenancy::affiliates::managed_by;
use uuid::Uuid;

use crate::changes::{Change, ReasonCode, Source};
use crate::conversion::{Conversion, ConversionStatus};

text_enum! {
    /// Kind of an entry.
    pub enum EntryKind {
        /// The conversion was made.
        Earned = "earned",
        /// It was approved: its money moves from pending to payable.
        Approved = "approved",
        /// It is pending again: its money moves from payable to pending.
        Reopened = "reopened",
        /// A part or all of the order was refunded.
        Refunded = "refunded",
        /// The advertiser stated another amount or commission.
        Amended = "amended",
        /// It was rejected before it was approved.
        Rejected = "rejected",
        /// It was taken back after it was approved.
        Reversed = "reversed",
        /// It counts again after it was rejected or reversed.
        Reinstated = "reinstated",
        /// A user of the network changed the amount, the commission or the revenue.
        Adjusted = "adjusted",
        /// A user of the network moved it to another affiliate.
        Moved = "moved",
    }
}

schema::row! {
    /// Ledger entry as stored: one movement of what an advertiser owes and an affiliate earns. The network's margin is
    /// their difference.
    #[derive(Debug, Clone, PartialEq, Eq, HasQuery)]
    #[diesel(table_name = ledger_entries)]
    pub struct LedgerEntry(bind) {
        /// Tenant.
        pub network_id: NetworkId,
        /// Identifier; sorts by the time of booking.
        pub id: LedgerEntryId,
        /// Time of booking: now, whenever the event was.
        pub booked_at: DateTime<Utc>,
        /// Time of the event.
        pub effective_at: DateTime<Utc>,
        /// Conversion that it belongs to; `None` for an entry that a user made by hand.
        pub conversion_id: Option<ConversionId>,
        /// Change that caused it; that of the report has the conversion's own id.
        pub change_id: Option<Uuid>,
        /// Kind.
        pub kind: EntryKind,
        /// A user's reason.
        pub reason_code: Option<ReasonCode>,
        /// Advertiser, who owes the revenue.
        pub advertiser_id: AdvertiserId,
        /// Affiliate, who earns the commission.
        pub affiliate_id: AffiliateId,
        /// Currency of the amounts.
        pub currency: Currency,
        /// Commission in micro-units that waits for approval: added if positive, taken away if negative.
        pub commission_pending_micros: i64,
        /// Commission in micro-units that is approved.
        pub commission_payable_micros: i64,
        /// Revenue in micro-units that waits for approval.
        pub revenue_pending_micros: i64,
        /// Revenue in micro-units that is approved.
        pub revenue_payable_micros: i64,
    }
}

impl LedgerEntry {
    /// Commission that it moves, pending and payable together.
    #[must_use]
    pub fn commission(&self) -> Money {
        self.money(self.commission_pending_micros + self.commission_payable_micros)
    }

    /// Revenue that it moves, pending and payable together.
    #[must_use]
    pub fn revenue(&self) -> Money {
        self.money(self.revenue_pending_micros + self.revenue_payable_micros)
    }

    fn money(&self, micros: i64) -> Money {
        Money {
            micros,
            currency: self.currency,
        }
    }
}

/// Inserts entries; nothing else ever writes the table.
pub(crate) static INSERT: LazyLock<String> = LazyLock::new(|| LedgerEntry::insert_into("ledger_entries"));

/// Commission and revenue of a conversion in its status, each pending and payable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Standing([i64; 4]);

impl Standing {
    fn of(conversion: &Conversion) -> Self {
        let (commission, revenue) = conversion.worth();
        Self(match conversion.status {
            ConversionStatus::Approved => [0, commission, 0, revenue],
            _ => [commission, 0, revenue, 0],
        })
    }
}

/// Entries of a change that leads from one state of a conversion (`None` if it is new) to another; two if it moves to
/// another affiliate.
pub(crate) fn entries(
    before: Option<&Conversion>,
    after: &Conversion,
    change: &Change,
    now: DateTime<Utc>,
) -> Vec<LedgerEntry> {
    let kind = kind(before, after, change);
    let entry = |conversion: &Conversion, moved: [i64; 4]| {
        let [
            commission_pending,
            commission_payable,
            revenue_pending,
            revenue_payable,
        ] = moved;
        LedgerEntry {
            network_id: conversion.network_id,
            id: LedgerEntryId::fresh(now),
            booked_at: now,
            effective_at: change.time(),
            conversion_id: Some(conversion.id),
            change_id: Some(change.id),
            kind,
            reason_code: change.reason_code,
            advertiser_id: conversion.advertiser_id,
            affiliate_id: conversion.affiliate_id,
            currency: conversion.currency,
            commission_pending_micros: commission_pending,
            commission_payable_micros: commission_payable,
            revenue_pending_micros: revenue_pending,
            revenue_payable_micros: revenue_payable,
        }
    };
    let is = Standing::of(after).0;
    let was = before.map_or([0; 4], |before| Standing::of(before).0);
    let entries = match before {
        Some(before) if before.affiliate_id != after.affiliate_id => {
            vec![entry(before, was.map(|micros| -micros)), entry(after, is)]
        }
        _ => {
            let mut moved = is;
            for (moved, was) in moved.iter_mut().zip(was) {
                *moved -= was;
            }
            vec![entry(after, moved)]
        }
    };
    let moves = |entry: &LedgerEntry| {
        [
            entry.commission_pending_micros,
            entry.commission_payable_micros,
            entry.revenue_pending_micros,
            entry.revenue_payable_micros,
        ] != [0; 4]
    };
    entries.into_iter().filter(moves).collect()
}

fn kind(before: Option<&Conversion>, after: &Conversion, change: &Change) -> EntryKind {
    let Some(before) = before else {
        return EntryKind::Earned;
    };
    if before.affiliate_id != after.affiliate_id {
        return EntryKind::Moved;
    }
    let is_refund = change.refund_micros.is_some() || change.remaining_micros.is_some();
    match (before.status, after.status) {
        (was, is) if was.counts() && !is.counts() => match is {
            _ if is_refund && change.is_of_sender() => EntryKind::Refunded,
            ConversionStatus::Reversed => EntryKind::Reversed,
            _ => EntryKind::Rejected,
        },
        (was, is) if !was.counts() && is.counts() => EntryKind::Reinstated,
        (ConversionStatus::Pending, ConversionStatus::Approved) => EntryKind::Approved,
        (ConversionStatus::Approved, ConversionStatus::Pending) => EntryKind::Reopened,
        _ if change.source == Source::Person => EntryKind::Adjusted,
        _ if is_refund => EntryKind::Refunded,
        _ => EntryKind::Amended,
    }
}

/// Entries of a click's conversions, oldest first; only those in scope.
///
/// # Errors
/// Returns an error if the database fails.
pub async fn of_click(
    conn: &mut NetworkConn,
    scope: Scope,
    click: ClickKey,
) -> QueryResult<Vec<LedgerEntry>> {
    let network_id = conn.network_id();
    let of_click = conversions::table
        .filter(
            conversions::network_id
                .eq(network_id)
                .and(conversions::click_id.eq(click)),
        )
        .select(conversions::id);
    let mut query = LedgerEntry::query()
        .filter(ledger_entries::network_id.eq(network_id))
        .filter(ledger_entries::conversion_id.eq_any(of_click.nullable()))
        .order(ledger_entries::id)
        .into_boxed();
    if let Some(id) = scope.advertiser {
        query = query.filter(ledger_entries::advertiser_id.eq(id));
    }
    if let Some(id) = scope.affiliate {
        query = query.filter(ledger_entries::affiliate_id.eq(id));
    }
    if let Some(id) = scope.manager {
        query = query.filter(ledger_entries::affiliate_id.eq_any(managed_by(network_id, id)));
    }
    query.load(&mut **conn).await
}

/// Entries of a conversion, oldest first; only those in scope.
///
/// # Errors
/// Returns an error if the database fails.
pub async fn of_conversion(
    conn: &mut NetworkConn,
    scope: Scope,
    conversion: ConversionId,
) -> QueryResult<Vec<LedgerEntry>> {
    let network_id = conn.network_id();
    let mut query = LedgerEntry::query()
        .filter(ledger_entries::network_id.eq(network_id))
        .filter(ledger_entries::conversion_id.eq(conversion))
        .order(ledger_entries::id)
        .into_boxed();
    if let Some(id) = scope.advertiser {
        query = query.filter(ledger_entries::advertiser_id.eq(id));
    }
    if let Some(id) = scope.affiliate {
        query = query.filter(ledger_entries::affiliate_id.eq(id));
    }
    if let Some(id) = scope.manager {
        query = query.filter(ledger_entries::affiliate_id.eq_any(managed_by(network_id, id)));
    }
    query.load(&mut **conn).await
}

/// Time after which no entry is booked with an earlier moment: longer than any transaction that books entries.
pub const BOOKING_TIME: TimeDelta = TimeDelta::minutes(5);

/// Party of a balance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Party {
    /// Affiliate, who earns commission.
    Affiliate(AffiliateId),
    /// Advertiser, who owes revenue.
    Advertiser(AdvertiserId),
}

/// Balance of a party in one currency. Sums of many orders may exceed 64 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Balance {
    /// Currency.
    pub currency: Currency,
    /// Sum that waits for approval, in micro-units.
    pub pending_micros: i128,
    /// Sum that is approved, in micro-units.
    pub payable_micros: i128,
}

/// Reads a sum of micro-units, which Postgres returns as text because it may exceed 64 bits.
pub(crate) fn whole_micros(sum: &str) -> QueryResult<i128> {
    let parsed = sum.parse();
    parsed.map_err(|error: std::num::ParseIntError| diesel::result::Error::DeserializationError(error.into()))
}

/// Balances of a party as of a moment, one per currency, in the order of the codes: the sum of the entries that were booked
/// until then.
///
/// # Errors
/// Returns an error if the database fails.
pub async fn balances(conn: &mut NetworkConn, party: Party, at: DateTime<Utc>) -> QueryResult<Vec<Balance>> {
    #[derive(QueryableByName)]
    struct Sum {
        #[diesel(sql_type = Text)]
        currency: Currency,
        #[diesel(sql_type = Text)]
        pending: String,
        #[diesel(sql_type = Text)]
        payable: String,
    }
    const BALANCES: &str = "
        SELECT currency, sum(commission_pending_micros)::text AS pending, sum(commission_payable_micros)::text AS payable
        FROM ledger_entries WHERE network_id = $1 AND affiliate_id = $2 AND booked_at <= $4 GROUP BY currency
        UNION ALL
        SELECT currency, sum(revenue_pending_micros)::text, sum(revenue_payable_micros)::text
        FROM ledger_entries WHERE network_id = $1 AND advertiser_id = $3 AND booked_at <= $4 GROUP BY currency
        ORDER BY currency";
    let (affiliate, advertiser) = match party {
        Party::Affiliate(id) => (Some(id), None),
        Party::Advertiser(id) => (None, Some(id)),
    };
    let sums: Vec<Sum> = diesel::sql_query(BALANCES)
        .bind::<Integer, _>(conn.network_id())
        .bind::<Nullable<Integer>, _>(affiliate)
        .bind::<Nullable<Integer>, _>(advertiser)
        .bind::<Timestamptz, _>(at)
        .load(&mut **conn)
        .await?;
    sums.into_iter()
        .map(|sum| {
            Ok(Balance {
                currency: sum.currency,
                pending_micros: whole_micros(&sum.pending)?,
                payable_micros: whole_micros(&sum.payable)?,
            })
        })
        .collect()
}
