//! The ledger: append-only money movements that sum to zero per conversion.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use schema::{
    AdvertiserId, AffiliateId, ClickKey, ConversionId, Currency, LedgerEntryId, Money, NetworkConn,
    conversions, ledger_entries, text_enum,
};
use tenancy::Scope;

use crate::conversions::Conversion;

text_enum! {
    /// Why an entry was booked.
    pub enum EntryKind {
        /// The conversion was made.
        Earned = "earned",
        /// The conversion does not count any more: takes the earned entries back.
        Rejected = "rejected",
        /// What it is worth changed by so much.
        Adjusted = "adjusted",
    }
}

text_enum! {
    /// Whose account an entry moves.
    pub enum Account {
        /// Owes the revenue.
        Advertiser = "advertiser",
        /// Earns the commission.
        Affiliate = "affiliate",
        /// Keeps the margin.
        Network = "network",
    }
}

/// A ledger entry as stored.
#[derive(Debug, Clone, HasQuery, Insertable)]
#[diesel(table_name = ledger_entries)]
pub struct LedgerEntry {
    /// The entry.
    pub id: LedgerEntryId,
    /// When it was booked.
    pub booked_at: DateTime<Utc>,
    /// What it was booked for.
    pub conversion_id: ConversionId,
    /// Why.
    pub kind: EntryKind,
    /// Whose account.
    pub account: Account,
    /// Set for an advertiser's account.
    pub advertiser_id: Option<AdvertiserId>,
    /// Set for an affiliate's account.
    pub affiliate_id: Option<AffiliateId>,
    /// Currency of the amount.
    pub currency: Currency,
    /// Positive: the account gains. Negative: it owes.
    pub amount_micros: i64,
}

impl LedgerEntry {
    /// The movement as money.
    #[must_use]
    pub fn amount(&self) -> Money {
        Money {
            micros: self.amount_micros,
            currency: self.currency,
        }
    }
}

/// What the accounts move by when a conversion becomes what it is (from nothing, if it is new): the advertiser's debt,
/// the affiliate's commission and the network's margin. Movements of zero are none.
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

/// Books what a change of a conversion moves.
pub(crate) async fn book(
    conn: &mut NetworkConn,
    before: &Conversion,
    conversion: &Conversion,
    now: DateTime<Utc>,
) -> QueryResult<()> {
    let network_id = conn.network_id();
    let entries: Vec<_> = entries(Some(before), conversion, now)
        .map(|entry| (ledger_entries::network_id.eq(network_id), entry))
        .collect();
    if entries.is_empty() {
        return Ok(());
    }
    diesel::insert_into(ledger_entries::table)
        .values(entries)
        .execute(&mut **conn)
        .await?;
    Ok(())
}

/// The entries of a click's conversions, oldest first; a party sees those of its own account.
///
/// # Errors
/// When the database fails.
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
