//! Changes of conversions there are: approvals, rejections, other amounts, refunds, and holds that are over.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use schema::{ConversionId, NetworkId};
use tokio_postgres::{Client, Row, Statement};
use uuid::Uuid;

use super::{ApplyError, Asking, Ending, Origin, Round, Tx, UniqueKey, book, column, park, row};
use crate::changes::{self, Change, Source};
use crate::conversions::{Conversion, ConversionStatus, ReviewBecause};
use crate::decide::Wants;
use crate::judge::Judge;
use crate::ledger::{self, LedgerEntry};
use crate::rollups::ConversionSums;
use crate::verdict::{Reason, Verdict};

const CHANGES: &str = "SELECT h.conversion_id, h.id, h.changed_at, h.said_at, h.source, h.status, h.amount_micros, h.refund_micros
     FROM unnest($1::int[], $2::uuid[]) AS k (network_id, id)
     JOIN conversion_changes h ON h.network_id = k.network_id AND h.conversion_id = k.id";
const NOTE: &str = "INSERT INTO conversion_changes (network_id, conversion_id, id, changed_at, said_at, source, status,
         amount_micros, refund_micros)
     SELECT * FROM unnest($1::int[], $2::uuid[], $3::uuid[], $4::timestamptz[], $5::timestamptz[], $6::text[], $7::text[],
         $8::bigint[], $9::bigint[])
     ON CONFLICT DO NOTHING";
const CHANGE: &str = "UPDATE conversions c SET status = k.status, amount_micros = k.amount_micros,
         commission_micros = k.commission_micros, revenue_micros = k.revenue_micros, terms = k.terms,
         hold_until = k.hold_until, review_because = k.review_because
     FROM unnest($1::int[], $2::uuid[], $3::text[], $4::bigint[], $5::bigint[], $6::bigint[], $7::jsonb[], $8::timestamptz[],
         $9::text[])
         AS k (network_id, id, status, amount_micros, commission_micros, revenue_micros, terms, hold_until, review_because)
     WHERE c.network_id = k.network_id AND c.id = k.id";

pub(super) struct Statements {
    lock: Statement,
    lock_held: Statement,
    changes: Statement,
    note: Statement,
    change: Statement,
}

impl Statements {
    pub(super) async fn prepare(client: &Client) -> Result<Self, ApplyError> {
        let columns = row::COLUMNS;
        // Locked in the order of their ids, so that two nodes wait for each other in the same order.
        let lock = format!(
            "SELECT {columns} FROM unnest($1::int[], $2::int[], $3::text[]) AS k (network_id, goal_id, unique_key)
             JOIN conversions c ON c.network_id = k.network_id AND c.goal_id = k.goal_id AND c.unique_key = k.unique_key
             ORDER BY c.network_id, c.id FOR UPDATE OF c"
        );
        let lock_held = format!(
            "SELECT {columns} FROM conversions c
             WHERE c.hold_until <= $1 AND c.status = 'pending' AND c.review_because IS NULL
             ORDER BY c.hold_until LIMIT 500 FOR UPDATE SKIP LOCKED"
        );
        Ok(Self {
            lock: client.prepare(&lock).await?,
            lock_held: client.prepare(&lock_held).await?,
            changes: client.prepare(CHANGES).await?,
            note: client.prepare(NOTE).await?,
            change: client.prepare(CHANGE).await?,
        })
    }
}

impl<'a, 'c> Round<'a, 'c> {
    /// Changes the conversions that claims are about, in the order the claims came. What has no conversion yet waits for
    /// it, or has waited long enough.
    pub(super) async fn amend(&mut self, asking: Vec<Asking<'a, 'c>>) -> Result<(), ApplyError> {
        if asking.is_empty() {
            return Ok(());
        }
        let mut keys: Vec<_> = asking.iter().map(Asking::key).collect();
        keys.sort();
        keys.dedup();
        let mut standing = Standing::lock(self.tx, &keys).await?;
        for it in asking {
            let Some(amended) = standing.of(&it.key()) else {
                let ending = match it.origin {
                    Origin::Overdue => Ending::Verdict(Verdict::of(Reason::ConversionNotFound)),
                    Origin::Journal | Origin::Parked | Origin::Replay => {
                        Ending::Park(park::Wait::for_conversion(&it))
                    }
                };
                self.endings.insert(it.at, ending);
                continue;
            };
            amended.zone = it
                .judged
                .network
                .as_ref()
                .map_or(Tz::UTC, |network| network.time_zone());
            let verdict = amended.ask(&it);
            let trace = self.traces.entry(it.at).or_default();
            trace.good("change", verdict.message.clone());
            if let Some(amended) = standing.of(&it.key()) {
                trace.good("money", format!("the commission is {}", amended.is.commission()));
            }
            self.end(it.at, verdict);
        }
        standing.store(self.tx, self.now).await
    }
}

/// Approves what has been on hold long enough, of all networks. Returns how many that were.
pub(in crate::ingest) async fn approve_held(
    tx: Tx<'_>,
    judge: &Judge,
    now: DateTime<Utc>,
) -> Result<usize, ApplyError> {
    let rows = tx
        .transaction
        .query(&tx.statements.amend.lock_held, &[&now])
        .await?;
    let mut standing = Standing::read(tx, &rows).await?;
    for amended in standing.0.values_mut() {
        let network = judge.routing.network_of_id(NetworkId(amended.network)).await?;
        amended.zone = network.map_or(Tz::UTC, |network| network.time_zone());
        let approval = Change {
            id: Uuid::nil(),
            changed_at: now,
            said_at: None,
            source: Source::Hold,
            status: Some(ConversionStatus::Approved),
            amount_micros: None,
            refund_micros: None,
        };
        amended.add(approval.numbered(amended.was.id, "hold"));
    }
    standing.store(tx, now).await?;
    Ok(rows.len())
}

/// Conversions, locked, with all that was said of them.
struct Standing(HashMap<UniqueKey, Amended>);

/// A conversion with what it was before this batch.
struct Amended {
    network: i32,
    zone: Tz,
    was: Conversion,
    is: Conversion,
    said: Vec<Change>,
    /// How many of them are stored.
    stored: usize,
}

impl Standing {
    async fn lock(tx: Tx<'_>, keys: &[UniqueKey]) -> Result<Self, ApplyError> {
        let rows = tx
            .transaction
            .query(
                &tx.statements.amend.lock,
                &[
                    &column(keys, |key| key.0),
                    &column(keys, |key| key.1),
                    &column(keys, |key| key.2.as_str()),
                ],
            )
            .await?;
        Self::read(tx, &rows).await
    }

    async fn read(tx: Tx<'_>, rows: &[Row]) -> Result<Self, ApplyError> {
        let found: Vec<(i32, Conversion)> = rows.iter().map(row::read).collect::<Result<_, _>>()?;
        let said = said_of(tx, &found).await?;
        let standing = found.into_iter().map(|(network, conversion)| {
            let key = (network, conversion.goal_id.0, conversion.unique_key.clone());
            let mut all = said.get(&conversion.id).cloned().unwrap_or_default();
            let stored = all.len();
            if all.is_empty() {
                all.push(Change::report(&conversion, conversion.status));
            }
            let amended = Amended {
                network,
                zone: Tz::UTC,
                is: conversion.clone(),
                was: conversion,
                said: all,
                stored,
            };
            (key, amended)
        });
        Ok(Self(standing.collect()))
    }

    fn of(&mut self, key: &UniqueKey) -> Option<&mut Amended> {
        self.0.get_mut(key)
    }

    /// Stores what was said, what the conversions are now, and what that moves.
    async fn store(self, tx: Tx<'_>, now: DateTime<Utc>) -> Result<(), ApplyError> {
        let mut amended: Vec<Amended> = self.0.into_values().collect();
        amended.sort_by_key(|it| (it.network, it.was.id));
        note(tx, &amended).await?;
        let changed: Vec<&Amended> = amended.iter().filter(|it| it.is != it.was).collect();
        if changed.is_empty() {
            return Ok(());
        }
        tx.transaction
            .execute(
                &tx.statements.amend.change,
                &[
                    &column(&changed, |it| it.network),
                    &column(&changed, |it| it.is.id.0),
                    &column(&changed, |it| it.is.status.as_str()),
                    &column(&changed, |it| it.is.amount_micros),
                    &column(&changed, |it| it.is.commission_micros),
                    &column(&changed, |it| it.is.revenue_micros),
                    &column(&changed, |it| &it.is.terms),
                    &column(&changed, |it| it.is.hold_until),
                    &column(&changed, |it| it.is.review_because.map(ReviewBecause::as_str)),
                ],
            )
            .await?;
        let mut sums = ConversionSums::default();
        let mut entries: Vec<(i32, LedgerEntry)> = Vec::new();
        for it in &changed {
            sums.add(it.network, it.zone, &it.was, -1);
            sums.add(it.network, it.zone, &it.is, 1);
            let moved = ledger::entries(Some(&it.was), &it.is, now);
            entries.extend(moved.map(|entry| (it.network, entry)));
        }
        book::book(tx, &entries).await?;
        book::add_sums(tx, &sums).await
    }
}

async fn said_of(
    tx: Tx<'_>,
    found: &[(i32, Conversion)],
) -> Result<HashMap<ConversionId, Vec<Change>>, ApplyError> {
    let rows = tx
        .transaction
        .query(
            &tx.statements.amend.changes,
            &[&column(found, |it| it.0), &column(found, |it| it.1.id.0)],
        )
        .await?;
    let mut said: HashMap<ConversionId, Vec<Change>> = HashMap::new();
    for row in &rows {
        let broken = |error: String| ApplyError::Poison(format!("a stored change: {error}"));
        let status: Option<&str> = row.get(5);
        let change = Change {
            id: row.get(1),
            changed_at: row.get(2),
            said_at: row.get(3),
            source: row.get::<_, &str>(4).parse().map_err(broken)?,
            status: status.map(str::parse).transpose().map_err(broken)?,
            amount_micros: row.get(6),
            refund_micros: row.get(7),
        };
        said.entry(ConversionId(row.get(0))).or_default().push(change);
    }
    Ok(said)
}

/// Stores what was said and is not stored yet.
async fn note(tx: Tx<'_>, amended: &[Amended]) -> Result<(), ApplyError> {
    let fresh: Vec<(i32, ConversionId, &Change)> = amended
        .iter()
        .filter(|it| it.said.len() > it.stored.max(1))
        .flat_map(|it| {
            let fresh = it.said.iter().skip(it.stored);
            fresh.map(move |change| (it.network, it.was.id, change))
        })
        .collect();
    store_changes(tx, &fresh).await
}

async fn store_changes(tx: Tx<'_>, rows: &[(i32, ConversionId, &Change)]) -> Result<(), ApplyError> {
    if rows.is_empty() {
        return Ok(());
    }
    tx.transaction
        .execute(
            &tx.statements.amend.note,
            &[
                &column(rows, |(network, ..)| *network),
                &column(rows, |(_, id, _)| id.0),
                &column(rows, |(.., change)| change.id),
                &column(rows, |(.., change)| change.changed_at),
                &column(rows, |(.., change)| change.said_at),
                &column(rows, |(.., change)| change.source.as_str()),
                &column(rows, |(.., change)| change.status.map(ConversionStatus::as_str)),
                &column(rows, |(.., change)| change.amount_micros),
                &column(rows, |(.., change)| change.refund_micros),
            ],
        )
        .await?;
    Ok(())
}

impl Amended {
    /// Takes in what a postback says of it.
    fn ask(&mut self, it: &Asking<'_, '_>) -> Verdict {
        let sent = it.judged.record.said.currency.as_deref();
        if sent.is_some_and(|sent| sent != self.was.currency.code()) {
            let message = format!(
                "The order was recorded in {}, and this call is in {}.",
                self.was.currency, it.claim.currency
            );
            return Verdict::saying(Reason::CurrencyMismatch, message).about(self.was.id);
        }
        // Whoever has a click of their own must not be able to change the orders of others.
        if !it.judged.is_proven && it.judged.attribution.and_then(|it| it.click) != self.was.click_id {
            let message = "The order was recorded for another click, and nothing proves that this call is the advertiser's.";
            return Verdict::saying(Reason::DuplicateConflict, message).about(self.was.id);
        }
        let first = self.said.iter().find(|it| it.source == Source::Report);
        let change = change(it, self.was.id, first.map(|first| first.amount_micros));
        let before = self.is.clone();
        match self.add(change) {
            true if self.is != before => {
                Verdict::saying(Reason::Updated, differences(&before, &self.is)).about(self.was.id)
            }
            true => {
                let because = match self.is.review_because {
                    Some(_) => "somebody of the network looks at it first",
                    None => "what was said of it weighs more",
                };
                let message = format!("The conversion stays {}: {because}.", described(&self.is));
                Verdict::saying(Reason::Unchanged, message).about(self.was.id)
            }
            false => Verdict::saying(Reason::Unchanged, "The same was said before.").about(self.was.id),
        }
    }

    /// Adds what was said, unless it was said before; returns whether it was new.
    fn add(&mut self, change: Change) -> bool {
        if self.said.iter().any(|known| known.id == change.id) {
            return false;
        }
        self.said.push(change);
        let pricing = self.was.pricing();
        let outcome = changes::outcome(&self.said, pricing.review);
        self.is.status = outcome.status;
        self.is.review_because = outcome.review_because;
        // Whoever says where it stands, ends the wait for it to approve itself.
        if self
            .said
            .iter()
            .any(|it| it.source != Source::Report && it.status.is_some())
        {
            self.is.hold_until = None;
        }
        if outcome.amount_micros != self.is.amount_micros {
            let pricing = pricing.with_amount(outcome.amount_micros.unwrap_or(0));
            let (commission, revenue) = pricing.pay(self.is.currency);
            self.is.amount_micros = outcome.amount_micros;
            self.is.commission_micros = commission;
            self.is.revenue_micros = revenue;
            // Numbers only: serialising those cannot fail.
            self.is.terms = serde_json::to_value(&pricing).unwrap_or_default();
        }
        true
    }
}

/// Stores what conversions were made with that are something else than that: they came with a status of their own, or
/// somebody must look at them.
pub(super) async fn note_made_with(
    tx: Tx<'_>,
    made: &[(Asking<'_, '_>, ConversionId, Vec<Change>)],
) -> Result<(), ApplyError> {
    let rows: Vec<(i32, ConversionId, &Change)> = made
        .iter()
        .flat_map(|(it, id, changes)| changes.iter().map(|change| (it.network(), *id, change)))
        .collect();
    store_changes(tx, &rows).await
}

/// What a postback says of a conversion, with the number it would have if it came again. An amount that the conversion
/// was made with (`first`) says nothing new, unless a time is said with it: it is the first call, repeated.
pub(super) fn change(it: &Asking<'_, '_>, conversion_id: ConversionId, first: Option<Option<i64>>) -> Change {
    let record = &it.judged.record;
    let said_at = record.said.event_time;
    let mut change = Change {
        id: Uuid::nil(),
        changed_at: record.received_at,
        said_at,
        source: Source::Postback,
        status: None,
        amount_micros: None,
        refund_micros: None,
    };
    let mut key = String::new();
    match (it.claim.wants, it.claim.sent_micros) {
        (Wants::Refunded, Some(amount)) if amount > 0 => {
            change.refund_micros = Some(amount);
            key = refund_id(record).map_or_else(String::new, |id| format!("refund {id}"));
        }
        (Wants::Refunded, _) => change.status = Some(ConversionStatus::Rejected),
        (Wants::Changed(status), amount) => {
            change.status = status;
            change.amount_micros = amount;
        }
        (Wants::New(_), _) => {}
        (Wants::NewOrChanged { said, .. }, amount) => {
            change.status = said;
            change.amount_micros =
                amount.filter(|_| said_at.is_some() || first.is_none_or(|first| first != amount));
        }
    }
    // By what was said; what follows from it, never by a time that has not come.
    let numbered = change.numbered(conversion_id, &key);
    Change {
        said_at: said_at.map(|at| at.min(record.received_at)),
        ..numbered
    }
}

/// What tells two refunds of the same amount apart, as senders call it.
fn refund_id(record: &crate::postback_record::PostbackRecord) -> Option<&str> {
    let named = |wanted: &str| {
        let extra = record.said.extra.iter();
        extra
            .filter(|(name, _)| name == wanted)
            .map(|(_, value)| value.as_str())
            .next()
    };
    named("refund_id").or_else(|| named("event_id"))
}

fn described(conversion: &Conversion) -> String {
    match conversion.amount() {
        Some(amount) => format!("{} with {amount}", conversion.status),
        None => conversion.status.to_string(),
    }
}

fn differences(before: &Conversion, after: &Conversion) -> String {
    // Without the money of others: the advertiser is told this.
    format!(
        "The conversion was {} and is {}.",
        described(before),
        described(after)
    )
}
