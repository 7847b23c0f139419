//! New conversions, their ledger entries, and the sums of both.

use futures_util::try_join;
use serde_json::Value;
use tokio_postgres::{Client, Statement};

use super::{ApplyError, Asking, Made, MadeIds, Tx, column};
use crate::conversions::{Conversion, ReviewBecause};
use crate::ledger::{self, LedgerEntry};
use crate::rollups::{ADD_CONVERSIONS, ConversionSums};
use schema::ConversionId;

/// The unique key decides, also between nodes; a twin in an open transaction is waited for.
const ADD: &str = "INSERT INTO conversions (network_id, id, converted_at, advertiser_id, campaign_id, goal_id,
         affiliate_id, link_id, click_id, attributed_by, parent_id, postback_id, unique_key, order_id, amount_micros, currency,
         commission_micros, revenue_micros, status, customer_id, coupon, country, unpaid_because, hold_until, terms,
         review_because)
     SELECT * FROM unnest($1::int[], $2::uuid[], $3::timestamptz[], $4::int[], $5::int[], $6::int[], $7::int[], $8::int[],
         $9::uuid[], $10::text[], $11::uuid[], $12::uuid[], $13::text[], $14::text[], $15::bigint[], $16::text[],
         $17::bigint[], $18::bigint[], $19::text[], $20::text[], $21::text[], $22::text[], $23::text[], $24::timestamptz[],
         $25::jsonb[], $26::text[])
     ON CONFLICT (network_id, goal_id, unique_key) DO NOTHING RETURNING id";
const BOOK: &str = "INSERT INTO ledger_entries (network_id, id, booked_at, conversion_id, kind, account, advertiser_id,
         affiliate_id, currency, amount_micros)
     SELECT * FROM unnest($1::int[], $2::uuid[], $3::timestamptz[], $4::uuid[], $5::text[], $6::text[], $7::int[], $8::int[],
         $9::text[], $10::bigint[])";

pub(super) struct Statements {
    add: Statement,
    book: Statement,
    add_sums: Statement,
}

impl Statements {
    pub(super) async fn prepare(client: &Client) -> Result<Self, ApplyError> {
        Ok(Self {
            add: client.prepare(ADD).await?,
            book: client.prepare(BOOK).await?,
            add_sums: client.prepare(ADD_CONVERSIONS).await?,
        })
    }
}

/// Adds those that are not there yet; returns which they are.
pub(super) async fn add(tx: Tx<'_>, wanted: &[(Asking<'_, '_>, Conversion)]) -> Result<MadeIds, ApplyError> {
    if wanted.is_empty() {
        return Ok(MadeIds::new());
    }
    let terms: Vec<&Value> = column(wanted, |(_, it)| &it.terms);
    let rows = tx
        .transaction
        .query(
            &tx.statements.book.add,
            &[
                &column(wanted, |(asking, _)| asking.network()),
                &column(wanted, |(_, it)| it.id.0),
                &column(wanted, |(_, it)| it.converted_at),
                &column(wanted, |(_, it)| it.advertiser_id.0),
                &column(wanted, |(_, it)| it.campaign_id.0),
                &column(wanted, |(_, it)| it.goal_id.0),
                &column(wanted, |(_, it)| it.affiliate_id.0),
                &column(wanted, |(_, it)| it.link_id.0),
                &column(wanted, |(_, it)| it.click_id.map(|key| key.0)),
                &column(wanted, |(_, it)| it.attributed_by.as_str()),
                &column(wanted, |(_, it)| it.parent_id.map(|id| id.0)),
                &column(wanted, |(_, it)| it.postback_id.0),
                &column(wanted, |(_, it)| it.unique_key.as_str()),
                &column(wanted, |(_, it)| it.order_id.as_deref()),
                &column(wanted, |(_, it)| it.amount_micros),
                &column(wanted, |(_, it)| it.currency.code()),
                &column(wanted, |(_, it)| it.commission_micros),
                &column(wanted, |(_, it)| it.revenue_micros),
                &column(wanted, |(_, it)| it.status.as_str()),
                &column(wanted, |(_, it)| it.customer_id.as_deref()),
                &column(wanted, |(_, it)| it.coupon.as_deref()),
                &column(wanted, |(_, it)| it.country.as_deref()),
                &column(wanted, |(_, it)| it.unpaid_because.as_deref()),
                &column(wanted, |(_, it)| it.hold_until),
                &terms,
                &column(wanted, |(_, it)| it.review_because.map(ReviewBecause::as_str)),
            ],
        )
        .await?;
    Ok(rows.iter().map(|row| ConversionId(row.get(0))).collect())
}

/// Books what new conversions earn, and adds them to the sums.
pub(super) async fn book_new(tx: Tx<'_>, made: &[Made]) -> Result<(), ApplyError> {
    let mut sums = ConversionSums::default();
    let mut entries = Vec::with_capacity(made.len() * 3);
    for it in made {
        let conversion = &it.conversion;
        sums.add(it.network, it.zone, conversion, 1);
        let booked = ledger::entries(None, conversion, conversion.converted_at);
        entries.extend(booked.map(|entry| (it.network, entry)));
    }
    try_join!(book(tx, &entries), add_sums(tx, &sums))?;
    Ok(())
}

pub(super) async fn book(tx: Tx<'_>, entries: &[(i32, LedgerEntry)]) -> Result<(), ApplyError> {
    if entries.is_empty() {
        return Ok(());
    }
    tx.transaction
        .execute(
            &tx.statements.book.book,
            &[
                &column(entries, |(network, _)| *network),
                &column(entries, |(_, it)| it.id.0),
                &column(entries, |(_, it)| it.booked_at),
                &column(entries, |(_, it)| it.conversion_id.0),
                &column(entries, |(_, it)| it.kind.as_str()),
                &column(entries, |(_, it)| it.account.as_str()),
                &column(entries, |(_, it)| it.advertiser_id.map(|id| id.0)),
                &column(entries, |(_, it)| it.affiliate_id.map(|id| id.0)),
                &column(entries, |(_, it)| it.currency.code()),
                &column(entries, |(_, it)| it.amount_micros),
            ],
        )
        .await?;
    Ok(())
}

pub(super) async fn add_sums(tx: Tx<'_>, sums: &ConversionSums) -> Result<(), ApplyError> {
    if sums.is_empty() {
        return Ok(());
    }
    let columns = sums.columns();
    tx.transaction
        .execute(
            &tx.statements.book.add_sums,
            &[
                &columns.networks,
                &columns.hours,
                &columns.campaigns,
                &columns.affiliates,
                &columns.links,
                &columns.goals,
                &columns.currencies,
                &columns.statuses,
                &columns.conversions,
                &columns.amounts,
                &columns.commissions,
                &columns.revenues,
            ],
        )
        .await?;
    Ok(())
}
