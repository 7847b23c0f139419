//! Postbacks of a journal: decided in order, many in one transaction, each with its conversion, its money and its verdict.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use campaigns::Routing;
use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use dialects::Status;
use futures_util::try_join;
use schema::{ClickKey, ConversionId, Currency, Money, NetworkId, PostbackId, clock};
use serde_json::Value;
use tokio_postgres::{Client, Statement, Transaction};

use super::{ApplyError, Load, Record};
use crate::click_id::ClickIds;
use crate::conversions::Conversion;
use crate::judge::{First, Judged, judge, repeated};
use crate::ledger::{self, EntryKind, LedgerEntry};
use crate::postback_record::PostbackRecord;
use crate::postbacks::PostbackStatus;
use crate::rollups::{ADD_CONVERSIONS, ConversionSums};
use crate::verdict::{Reason, Verdict};
use crate::waiting::Waiting;

/// How much of the body of a call is kept when nobody's token came with it: anyone can send such calls.
const ANONYMOUS_BODY: usize = 2 * 1024;

/// The unique key decides, also between nodes; a twin in an open transaction is waited for.
const ADD_CONVERSIONS_ONCE: &str = "INSERT INTO conversions (network_id, id, converted_at, advertiser_id, campaign_id, goal_id,
         affiliate_id, link_id, click_id, postback_id, unique_key, order_id, amount_micros, currency, commission_micros,
         revenue_micros, status)
     SELECT * FROM unnest($1::int[], $2::uuid[], $3::timestamptz[], $4::int[], $5::int[], $6::int[], $7::int[], $8::int[],
         $9::uuid[], $10::uuid[], $11::text[], $12::text[], $13::bigint[], $14::text[], $15::bigint[], $16::bigint[], $17::text[])
     ON CONFLICT (network_id, goal_id, unique_key) DO NOTHING RETURNING id";
const FIND_FIRST: &str = "SELECT c.network_id, c.goal_id, c.unique_key, c.id, c.amount_micros, c.currency, c.click_id
     FROM unnest($1::int[], $2::int[], $3::text[]) AS k (network_id, goal_id, unique_key)
     JOIN conversions c ON c.network_id = k.network_id AND c.goal_id = k.goal_id AND c.unique_key = k.unique_key";
const BOOK: &str = "INSERT INTO ledger_entries (network_id, id, booked_at, conversion_id, kind, account, advertiser_id,
         affiliate_id, currency, amount_micros)
     SELECT * FROM unnest($1::int[], $2::uuid[], $3::timestamptz[], $4::uuid[], $5::text[], $6::text[], $7::int[], $8::int[],
         $9::text[], $10::bigint[])";
const KEEP: &str = "INSERT INTO postbacks (network_id, id, received_at, method, target, content_type, body, remote_ip, status,
         reason, http_status, message, hint, took_us, advertiser_id, campaign_id, goal_id, click_id, conversion_id,
         order_id, amount_micros, currency, extra)
     SELECT network_id, id, received_at, method, target, content_type, body, remote_ip::inet, status, reason, http_status,
         message, hint, took_us, advertiser_id, campaign_id, goal_id, click_id, conversion_id, order_id, amount_micros,
         currency, extra
     FROM unnest($1::int[], $2::uuid[], $3::timestamptz[], $4::text[], $5::text[], $6::text[], $7::bytea[], $8::text[],
         $9::text[], $10::text[], $11::int[], $12::text[], $13::text[], $14::int[], $15::int[], $16::int[], $17::int[],
         $18::uuid[], $19::uuid[], $20::text[], $21::bigint[], $22::text[], $23::jsonb[])
       AS p (network_id, id, received_at, method, target, content_type, body, remote_ip, status, reason, http_status,
         message, hint, took_us, advertiser_id, campaign_id, goal_id, click_id, conversion_id, order_id, amount_micros,
         currency, extra)";

/// Decides postbacks and stores them.
pub(crate) struct PostbackLoad {
    pub(crate) routing: Routing,
    pub(crate) click_ids: ClickIds,
    /// Who waits for a verdict.
    pub(crate) waiting: Waiting,
}

/// The statements of a batch.
pub(crate) struct Statements {
    add_conversions: Statement,
    find_first: Statement,
    book: Statement,
    add_sums: Statement,
    keep: Statement,
}

impl Load for PostbackLoad {
    const STREAM: &'static str = "postbacks";
    // What was told to be decided stays decided as it was told.
    const SYNCHRONOUS: bool = true;
    const BATCH: usize = 500;
    // Somebody waits for each; those who come meanwhile share the next transaction.
    const COLLECT: Duration = Duration::ZERO;
    type Prepared = Statements;
    type Done = Vec<(PostbackId, Verdict)>;

    fn network(record: &[u8]) -> Option<NetworkId> {
        PostbackRecord::read(record).ok().map(|record| record.network)
    }

    async fn prepare(&self, client: &Client) -> Result<Statements, ApplyError> {
        Ok(Statements {
            add_conversions: client.prepare(ADD_CONVERSIONS_ONCE).await?,
            find_first: client.prepare(FIND_FIRST).await?,
            book: client.prepare(BOOK).await?,
            add_sums: client.prepare(ADD_CONVERSIONS).await?,
            keep: client.prepare(KEEP).await?,
        })
    }

    async fn make_room(&self, _: &Client, _: &[Record<'_>]) -> Result<(), ApplyError> {
        Ok(())
    }

    async fn store(
        &self,
        transaction: &Transaction<'_>,
        statements: &Statements,
        records: &[Record<'_>],
    ) -> Result<Self::Done, ApplyError> {
        let mut judged = Vec::with_capacity(records.len());
        for record in records {
            let record = PostbackRecord::read(record.bytes).map_err(ApplyError::Poison)?;
            judged.push(judge(&self.routing, &self.click_ids, record).await?);
        }
        // What a network does not have any more, nobody can look at.
        judged.retain(|judged| judged.network.is_some());
        let verdicts = make_conversions(transaction, statements, &judged).await?;
        let ids = judged.iter().map(|judged| judged.record.id);
        Ok(ids.zip(verdicts).collect())
    }

    fn committed(&self, done: Self::Done) {
        self.waiting.tell(done);
    }
}

/// Makes the conversions that postbacks are entitled to, each once, and keeps every postback with what became of it.
async fn make_conversions(
    transaction: &Transaction<'_>,
    statements: &Statements,
    judged: &[Judged],
) -> Result<Vec<Verdict>, ApplyError> {
    let mut wanted: Vec<&Conversion> = judged
        .iter()
        .filter_map(|judged| judged.outcome.as_deref().ok())
        .collect();
    // Sorted, so that two nodes wait for each other in the same order; the earlier of twins stays the first of them.
    let network_of: HashMap<_, _> = judged
        .iter()
        .map(|judged| (judged.record.id, judged.record.network))
        .collect();
    let network = |conversion: &Conversion| network_of.get(&conversion.postback_id).map_or(0, |id| id.0);
    wanted.sort_by_key(|conversion| key(network(conversion), conversion));
    let made = add_conversions(transaction, statements, &wanted, network).await?;
    let is_new = |conversion: &&Conversion| made.contains(&conversion.id);
    let (new, repeats): (Vec<_>, Vec<_>) = wanted.iter().copied().partition(is_new);
    let firsts = find_firsts(transaction, statements, &repeats, network).await?;
    let zones: HashMap<_, _> = judged
        .iter()
        .filter_map(|judged| Some((judged.record.network.0, judged.network.as_ref()?.time_zone())))
        .collect();
    let mut sums = ConversionSums::default();
    for conversion in &new {
        let network = network(conversion);
        let zone = zones.get(&network).copied().unwrap_or(Tz::UTC);
        sums.add(network, zone, conversion, conversion.status, 1);
    }
    let verdict = |judged: &Judged| match &judged.outcome {
        Err(verdict) => Ok(verdict.clone()),
        Ok(conversion) if made.contains(&conversion.id) => {
            Ok(Verdict::of(Reason::Accepted).about(conversion.id))
        }
        Ok(conversion) => firsts
            .get(&key(judged.record.network.0, conversion))
            .map(|first| repeated(first, conversion))
            .ok_or_else(|| ApplyError::Poison("the conversion that was there first is gone".to_owned())),
    };
    let verdicts: Vec<_> = judged.iter().map(verdict).collect::<Result<_, ApplyError>>()?;
    // All are sent before any is answered.
    try_join!(
        book(transaction, &statements.book, &new, network),
        add_sums(transaction, &statements.add_sums, &sums),
        keep(transaction, &statements.keep, judged, &verdicts),
    )?;
    Ok(verdicts)
}

/// What a conversion is unique by.
type UniqueKey = (i32, i32, String);

fn key(network: i32, conversion: &Conversion) -> UniqueKey {
    (network, conversion.goal_id.0, conversion.unique_key.clone())
}

fn column<'a, R, T>(rows: &'a [R], value: impl Fn(&'a R) -> T) -> Vec<T> {
    rows.iter().map(value).collect()
}

/// Adds those that are not there yet; returns which they are.
async fn add_conversions(
    transaction: &Transaction<'_>,
    statements: &Statements,
    wanted: &[&Conversion],
    network: impl Fn(&Conversion) -> i32,
) -> Result<HashSet<ConversionId>, ApplyError> {
    if wanted.is_empty() {
        return Ok(HashSet::new());
    }
    let rows = transaction
        .query(
            &statements.add_conversions,
            &[
                &column(wanted, |it| network(it)),
                &column(wanted, |it| it.id.0),
                &column(wanted, |it| it.converted_at),
                &column(wanted, |it| it.advertiser_id.0),
                &column(wanted, |it| it.campaign_id.0),
                &column(wanted, |it| it.goal_id.0),
                &column(wanted, |it| it.affiliate_id.0),
                &column(wanted, |it| it.link_id.0),
                &column(wanted, |it| it.click_id.0),
                &column(wanted, |it| it.postback_id.0),
                &column(wanted, |it| it.unique_key.as_str()),
                &column(wanted, |it| it.order_id.as_deref()),
                &column(wanted, |it| it.amount_micros),
                &column(wanted, |it| it.currency.code()),
                &column(wanted, |it| it.commission_micros),
                &column(wanted, |it| it.revenue_micros),
                &column(wanted, |it| it.status.as_str()),
            ],
        )
        .await?;
    Ok(rows.iter().map(|row| ConversionId(row.get(0))).collect())
}

/// The conversions that were there before these.
async fn find_firsts(
    transaction: &Transaction<'_>,
    statements: &Statements,
    repeats: &[&Conversion],
    network: impl Fn(&Conversion) -> i32,
) -> Result<HashMap<UniqueKey, First>, ApplyError> {
    if repeats.is_empty() {
        return Ok(HashMap::new());
    }
    let rows = transaction
        .query(
            &statements.find_first,
            &[
                &column(repeats, |it| network(it)),
                &column(repeats, |it| it.goal_id.0),
                &column(repeats, |it| it.unique_key.as_str()),
            ],
        )
        .await?;
    let first = |row: &tokio_postgres::Row| {
        let currency: Currency = row.get::<_, &str>(5).parse().ok()?;
        let first = First {
            id: ConversionId(row.get(3)),
            amount: row
                .get::<_, Option<i64>>(4)
                .map(|micros| Money { micros, currency }),
            currency,
            click_id: ClickKey(row.get(6)),
        };
        Some(((row.get(0), row.get(1), row.get(2)), first))
    };
    Ok(rows.iter().filter_map(first).collect())
}

async fn book(
    transaction: &Transaction<'_>,
    statement: &Statement,
    new: &[&Conversion],
    network: impl Fn(&Conversion) -> i32,
) -> Result<(), ApplyError> {
    let entries: Vec<(i32, LedgerEntry)> = new
        .iter()
        .flat_map(|conversion| {
            let network = network(conversion);
            ledger::entries(conversion, EntryKind::Earned, conversion.converted_at)
                .map(move |entry| (network, entry))
        })
        .collect();
    if entries.is_empty() {
        return Ok(());
    }
    transaction
        .execute(
            statement,
            &[
                &column(&entries, |(network, _)| *network),
                &column(&entries, |(_, it)| it.id.0),
                &column(&entries, |(_, it)| it.booked_at),
                &column(&entries, |(_, it)| it.conversion_id.0),
                &column(&entries, |(_, it)| it.kind.as_str()),
                &column(&entries, |(_, it)| it.account.as_str()),
                &column(&entries, |(_, it)| it.advertiser_id.map(|id| id.0)),
                &column(&entries, |(_, it)| it.affiliate_id.map(|id| id.0)),
                &column(&entries, |(_, it)| it.currency.code()),
                &column(&entries, |(_, it)| it.amount_micros),
            ],
        )
        .await?;
    Ok(())
}

async fn add_sums(
    transaction: &Transaction<'_>,
    statement: &Statement,
    sums: &ConversionSums,
) -> Result<(), ApplyError> {
    if sums.is_empty() {
        return Ok(());
    }
    let columns = sums.columns();
    transaction
        .execute(
            statement,
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

/// Keeps every call as it came, with its verdict.
async fn keep(
    transaction: &Transaction<'_>,
    statement: &Statement,
    judged: &[Judged],
    verdicts: &[Verdict],
) -> Result<(), ApplyError> {
    let now = clock::now();
    let rows: Vec<(&Judged, &Verdict)> = judged.iter().zip(verdicts).collect();
    let rows = rows.as_slice();
    let goal = |judged: &Judged| {
        judged
            .outcome
            .as_ref()
            .ok()
            .map(|conversion| conversion.goal_id.0)
    };
    transaction
        .execute(
            statement,
            &[
                &column(rows, |(it, _)| it.record.network.0),
                &column(rows, |(it, _)| it.record.id.0),
                &column(rows, |(it, _)| it.record.received_at),
                &column(rows, |(it, _)| it.record.method.as_str()),
                &column(rows, |(it, _)| it.record.target.as_str()),
                &column(rows, |(it, _)| it.record.content_type.as_deref()),
                &column(rows, |(it, _)| body(it)),
                &column(rows, |(it, _)| it.record.remote_ip.as_deref()),
                &column(rows, |(_, verdict)| status(verdict).as_str()),
                &column(rows, |(_, verdict)| verdict.reason.code()),
                &column(rows, |(_, verdict)| i32::from(verdict.reason.http_status())),
                &column(rows, |(_, verdict)| verdict.message.as_str()),
                &column(rows, |(_, verdict)| verdict.hint.as_deref()),
                &column(rows, |(it, _)| microseconds(it.record.received_at, now)),
                &column(rows, |(it, _)| it.advertiser_id.map(|id| id.0)),
                &column(rows, |(it, _)| {
                    it.route.as_ref().map(|route| route.campaign().id.0)
                }),
                &column(rows, |(it, _)| goal(it)),
                &column(rows, |(it, _)| it.click.map(|click| click.key.0)),
                &column(rows, |(_, verdict)| verdict.conversion_id.map(|id| id.0)),
                &column(rows, |(it, _)| it.record.order_id.as_deref()),
                &column(rows, |(it, _)| it.record.amount_micros),
                &column(rows, |(it, _)| it.record.currency.as_deref()),
                &column(rows, |(it, _)| extra(it)),
            ],
        )
        .await?;
    Ok(())
}

fn body(judged: &Judged) -> Vec<u8> {
    let mut body = judged.record.body();
    if judged.advertiser_id.is_none() {
        body.truncate(ANONYMOUS_BODY);
    }
    body
}

fn extra(judged: &Judged) -> Value {
    let kept = judged
        .record
        .extra
        .iter()
        .filter(|_| judged.advertiser_id.is_some());
    Value::Object(
        kept.map(|(name, value)| (name.clone(), value.clone().into()))
            .collect(),
    )
}

fn status(verdict: &Verdict) -> PostbackStatus {
    match verdict.reason.status() {
        Status::Accepted => PostbackStatus::Accepted,
        Status::Duplicate => PostbackStatus::Duplicate,
        Status::Rejected | Status::Queued | Status::Unavailable => PostbackStatus::Rejected,
    }
}

fn microseconds(from: DateTime<Utc>, to: DateTime<Utc>) -> i32 {
    let micros = (to - from).num_microseconds().unwrap_or(i64::MAX).max(0);
    i32::try_from(micros).unwrap_or(i32::MAX)
}
