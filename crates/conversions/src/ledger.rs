//! The ledger: append-only money movements that sum to zero per conversion.

use std::sync::LazyLock;

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use schema::batch::Row;
use schema::{
    AdvertiserId, AffiliateId, ClickKey, ConversionId, Currency, LedgerEntryId, Money, NetworkConn,
    NetworkId, conversions, ledger_entries, text_enum,
};
use tenancy::Scope;

use crate::conversion::Conversion;

text_enum! {
    /// Reason for an entry.
    pub enum EntryKind {
        /// The conversion was made.
        Earned = "earned",
        /// The conversion does not count any more: takes the earned entries back.
        Rejected = "rejected",
        /// The worth of the conversion changed by this amount.
        Adjusted = "adjusted",
    }
}

text_enum! {
    /// Account that an entry moves.
    pub enum Account {
        /// The advertiser, who owes the revenue.
        Advertiser = "advertiser",
        /// The affiliate, who earns the commission.
        Affiliate = "affiliate",
        /// The network, which earns the margin.
        Network = "network",
    }
}

schema::row! {
    /// Ledger entry as stored.
    #[derive(Debug, Clone, HasQuery)]
    #[diesel(table_name = ledger_entries)]
    pub struct LedgerEntry(bind) {
        /// Tenant.
        pub network_id: NetworkId,
        /// Identifier.
        pub id: LedgerEntryId,
        /// Time of the entry.
        pub booked_at: DateTime<Utc>,
        /// Conversion that it belongs to.
        pub conversion_id: ConversionId,
        /// Reason.
        pub kind: EntryKind,
        /// Account.
        pub account: Account,
        /// Advertiser of the account; `None` for other accounts.
        pub advertiser_id: Option<AdvertiserId>,
        /// Affiliate of the account; `None` for other accounts.
        pub affiliate_id: Option<AffiliateId>,
        /// Currency of the amount.
        pub currency: Currency,
        /// Amount in micro-units. Positive: the account earns. Negative: it owes.
        pub amount_micros: i64,
    }
}

impl LedgerEntry {
    /// Amount as money.
    #[must_use]
    pub fn amount(&self) -> Money {
        Money {
            micros: self.amount_micros,
            currency: self.currency,
        }
    }
}

/// Inserts entries; nothing else ever writes the table.
pub(crate) static INSERT: LazyLock<String> = LazyLock::new(|| LedgerEntry::insert_into("ledger_entries"));

/// Entries of a step from one state of a conversion (`None` if it is new) to another: the advertiser's debt, the
/// affiliate's commission, the network's margin. An account that does not move has no entry.
pub(crate) fn entries(
    before: Option<&Conversion>,
    conversion: &Conversion,
    now: DateTime<Utc>,
) -> impl Iterator<Item = LedgerEntry> {
    let was = before.map_or((0, 0), Conversion::worth);
    let is = conversion.worth();
    let (commission, revenue) = (is.0 - was.0, is.1 - was.1);
    let kind = match before {
        None => EntryKind::Earned,
        Some(before) if before.status.counts() && !conversion.status.counts() => EntryKind::Rejected,
        Some(_) => EntryKind::Adjusted,
    };
    let entry = |account: Account, amount_micros: i64| LedgerEntry {
        network_id: conversion.network_id,
        id: LedgerEntryId::fresh(now),
        booked_at: now,
        conversion_id: conversion.id,
        kind,
        account,
        advertiser_id: (account == Account::Advertiser).then_some(conversion.advertiser_id),
        affiliate_id: (account == Account::Affiliate).then_some(conversion.affiliate_id),
        currency: conversion.currency,
        amount_micros,
    };
    [
        entry(Account::Advertiser, -revenue),
        entry(Account::Affiliate, commission),
        entry(Account::Network, revenue - commission),
    ]
    .into_iter()
    .filter(|entry| entry.amount_micros != 0)
}

/// Entries of a click's conversions, oldest first; an advertiser or affiliate sees only its entries.
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
        .filter(ledger_entries::conversion_id.eq_any(of_click))
        .order(ledger_entries::id)
        .into_boxed();
    if let Some(id) = scope.advertiser {
        query = query.filter(ledger_entries::advertiser_id.eq(id));
    }
    if let Some(id) = scope.affiliate {
        query = query.filter(ledger_entries::affiliate_id.eq(id));
    }
    query.load(&mut **conn).await
}
