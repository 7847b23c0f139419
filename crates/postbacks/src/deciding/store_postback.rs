//! Every call as it came, with its verdict; those that waited get their new one.

use chrono::{DateTime, Utc};
use schema::clock;
use serde_json::Value;
use tokio_postgres::{Client, Statement};

use super::{ApplyError, Decided, Origin, Tx, column, stored_status};
use crate::judge::Judged;
use crate::verdict::Verdict;

/// How much of the body of a call is kept when nothing proves whose it is: anyone can send such calls.
pub(in crate::ingest) const ANONYMOUS_BODY: usize = 2 * 1024;

const KEEP: &str = "INSERT INTO postbacks (network_id, id, received_at, method, target, content_type, body, remote_ip, status,
         reason, http_status, message, hint, took_us, advertiser_id, campaign_id, goal_id, click_id, conversion_id,
         order_id, amount_micros, currency, extra, dialect, token_hash, trace, is_test, over_https, integration_campaign_id)
     SELECT network_id, id, received_at, method, target, content_type, body, remote_ip::inet, status, reason, http_status,
         message, hint, took_us, advertiser_id, campaign_id, goal_id, click_id, conversion_id, order_id, amount_micros,
         currency, extra, dialect, token_hash, trace, is_test, over_https,
         integration_campaign_id
     FROM unnest($1::int[], $2::uuid[], $3::timestamptz[], $4::text[], $5::text[], $6::text[], $7::bytea[], $8::text[],
         $9::text[], $10::text[], $11::int[], $12::text[], $13::text[], $14::int[], $15::int[], $16::int[], $17::int[],
         $18::uuid[], $19::uuid[], $20::text[], $21::bigint[], $22::text[], $23::jsonb[], $24::text[], $25::bytea[],
         $26::text[], $27::bool[], $28::bool[], $29::int[])
       AS p (network_id, id, received_at, method, target, content_type, body, remote_ip, status, reason, http_status,
         message, hint, took_us, advertiser_id, campaign_id, goal_id, click_id, conversion_id, order_id, amount_micros,
         currency, extra, dialect, token_hash, trace, is_test, over_https, integration_campaign_id)";
const DECIDE_ANEW: &str = "UPDATE postbacks p SET status = k.status, reason = k.reason, http_status = k.http_status,
         message = k.message, hint = k.hint, advertiser_id = k.advertiser_id, campaign_id = k.campaign_id, goal_id = k.goal_id,
         click_id = k.click_id, conversion_id = k.conversion_id, trace = k.trace, is_test = k.is_test,
         integration_campaign_id = k.integration_campaign_id, decided_at = $16
     FROM unnest($1::int[], $2::uuid[], $3::text[], $4::text[], $5::int[], $6::text[], $7::text[], $8::int[], $9::int[],
         $10::int[], $11::uuid[], $12::uuid[], $13::text[], $14::bool[], $15::int[])
       AS k (network_id, id, status, reason, http_status, message, hint, advertiser_id, campaign_id, goal_id, click_id,
         conversion_id, trace, is_test, integration_campaign_id)
     WHERE p.network_id = k.network_id AND p.id = k.id";

pub(super) struct Statements {
    keep: Statement,
    decide_anew: Statement,
}

impl Statements {
    pub(super) async fn prepare(client: &Client) -> Result<Self, ApplyError> {
        Ok(Self {
            keep: client.prepare(KEEP).await?,
            decide_anew: client.prepare(DECIDE_ANEW).await?,
        })
    }
}

/// Keeps what was decided.
pub(super) async fn keep(tx: Tx<'_>, decided: &[Decided]) -> Result<(), ApplyError> {
    let rows: Vec<(&Decided, Verdict)> = decided.iter().map(|it| (it, it.verdict())).collect();
    let (new, anew): (Vec<_>, Vec<_>) = rows.into_iter().partition(|(it, _)| it.origin == Origin::Journal);
    keep_new(tx, &new).await?;
    decide_anew(tx, &anew).await
}

async fn keep_new(tx: Tx<'_>, rows: &[(&Decided, Verdict)]) -> Result<(), ApplyError> {
    if rows.is_empty() {
        return Ok(());
    }
    let now = clock::now();
    let tokens: Vec<Option<Vec<u8>>> = column(rows, |(it, _)| {
        it.judged.record.token().map(|token| token.0.to_vec())
    });
    tx.transaction
        .execute(
            &tx.statements.keep.keep,
            &[
                &column(rows, |(it, _)| it.judged.record.network.0),
                &column(rows, |(it, _)| it.judged.record.id.0),
                &column(rows, |(it, _)| it.judged.record.received_at),
                &column(rows, |(it, _)| it.judged.record.method.as_str()),
                &column(rows, |(it, _)| it.judged.record.target.as_str()),
                &column(rows, |(it, _)| it.judged.record.content_type.as_deref()),
                &column(rows, |(it, _)| body(&it.judged)),
                &column(rows, |(it, _)| it.judged.record.remote_ip.as_deref()),
                &column(rows, |(_, verdict)| stored_status(verdict).as_str()),
                &column(rows, |(_, verdict)| verdict.reason.code()),
                &column(rows, |(_, verdict)| i32::from(verdict.reason.http_status())),
                &column(rows, |(_, verdict)| verdict.message.as_str()),
                &column(rows, |(_, verdict)| verdict.hint.as_deref()),
                &column(rows, |(it, _)| microseconds(it.judged.record.received_at, now)),
                &column(rows, |(it, _)| it.judged.advertiser_id.map(|id| id.0)),
                &column(rows, |(it, _)| campaign(&it.judged)),
                &column(rows, |(it, _)| it.goal_id.map(|id| id.0)),
                &column(rows, |(it, _)| click(&it.judged)),
                &column(rows, |(_, verdict)| verdict.conversion_id.map(|id| id.0)),
                &column(rows, |(it, _)| it.judged.record.said.order_id.as_deref()),
                &column(rows, |(it, _)| amount(it)),
                &column(rows, |(it, _)| it.judged.record.said.currency.as_deref()),
                &column(rows, |(it, _)| extra(&it.judged)),
                &column(rows, |(it, _)| it.judged.record.dialect.as_str()),
                &tokens,
                &column(rows, |(it, _)| it.judged.trace.to_text()),
                &column(rows, |(it, _)| it.judged.is_test()),
                &column(rows, |(it, _)| it.judged.record.over_https),
                &column(rows, |(it, _)| integration_campaign(&it.judged)),
            ],
        )
        .await?;
    Ok(())
}

async fn decide_anew(tx: Tx<'_>, rows: &[(&Decided, Verdict)]) -> Result<(), ApplyError> {
    if rows.is_empty() {
        return Ok(());
    }
    tx.transaction
        .execute(
            &tx.statements.keep.decide_anew,
            &[
                &column(rows, |(it, _)| it.judged.record.network.0),
                &column(rows, |(it, _)| it.judged.record.id.0),
                &column(rows, |(_, verdict)| stored_status(verdict).as_str()),
                &column(rows, |(_, verdict)| verdict.reason.code()),
                &column(rows, |(_, verdict)| i32::from(verdict.reason.http_status())),
                &column(rows, |(_, verdict)| verdict.message.as_str()),
                &column(rows, |(_, verdict)| verdict.hint.as_deref()),
                &column(rows, |(it, _)| it.judged.advertiser_id.map(|id| id.0)),
                &column(rows, |(it, _)| campaign(&it.judged)),
                &column(rows, |(it, _)| it.goal_id.map(|id| id.0)),
                &column(rows, |(it, _)| click(&it.judged)),
                &column(rows, |(_, verdict)| verdict.conversion_id.map(|id| id.0)),
                &column(rows, |(it, _)| it.judged.trace.to_text()),
                &column(rows, |(it, _)| it.judged.is_test()),
                &column(rows, |(it, _)| integration_campaign(&it.judged)),
                &clock::now(),
            ],
        )
        .await?;
    Ok(())
}

fn campaign(judged: &Judged) -> Option<i32> {
    judged.route.as_ref().map(|route| route.campaign().id.0)
}

fn integration_campaign(judged: &Judged) -> Option<i32> {
    judged.integration_campaign().map(|id| id.0)
}

fn click(judged: &Judged) -> Option<uuid::Uuid> {
    judged.attribution.and_then(|it| it.click).map(|key| key.0)
}

/// As sent; where only items were, what they add up to.
fn amount(it: &Decided) -> Option<i64> {
    let sent = it.judged.record.said.amount.map(|amount| amount.micros);
    sent.or(it.amount_micros)
}

fn body(judged: &Judged) -> Vec<u8> {
    let mut body = judged.record.body();
    if !judged.is_proven {
        body.truncate(ANONYMOUS_BODY);
    }
    body
}

fn extra(judged: &Judged) -> Value {
    let kept = judged
        .record
        .said
        .extra
        .iter()
        .filter(|_| judged.advertiser_id.is_some());
    Value::Object(
        kept.map(|(name, value)| (name.clone(), value.clone().into()))
            .collect(),
    )
}

fn microseconds(from: DateTime<Utc>, to: DateTime<Utc>) -> i32 {
    let micros = (to - from).num_microseconds().unwrap_or(i64::MAX).max(0);
    i32::try_from(micros).unwrap_or(i32::MAX)
}
