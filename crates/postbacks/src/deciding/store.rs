//! Every postback as received, with its verdict; held and replayed ones get their new verdict.

use std::sync::LazyLock;

use chrono::{DateTime, Utc};
use futures_util::try_join;
use schema::batch::{BatchError, Row, Tx};
use schema::{AdvertiserId, CampaignId, ClickKey, ConversionId, GoalId, NetworkId, PostbackId};
use serde_json::Value;

use super::claimed::Decided;
use crate::attributed::Findings;
use crate::received::Origin;
use crate::stored::{Incomplete, PostbackStatus};
use crate::verdict::Verdict;

/// Bytes stored of the body of a postback whose sender is not authenticated: anyone can send such requests.
const ANONYMOUS_BODY: usize = 2 * 1024;

schema::row! {
    struct NewPostback<'a>() {
        network_id: NetworkId,
        id: PostbackId,
        received_at: DateTime<Utc>,
        method: &'a str,
        target: &'a str,
        content_type: Option<&'a str>,
        body: Vec<u8>,
        remote_ip: Option<&'a str>,
        status: PostbackStatus,
        reason: &'static str,
        http_status: i32,
        message: String,
        hint: Option<String>,
        took_us: i32,
        advertiser_id: Option<AdvertiserId>,
        campaign_id: Option<CampaignId>,
        goal_id: Option<GoalId>,
        click_id: Option<ClickKey>,
        conversion_id: Option<ConversionId>,
        order_id: Option<&'a str>,
        amount_micros: Option<i64>,
        currency: Option<&'a str>,
        extra: Value,
        dialect: &'a str,
        token_hash: Option<Vec<u8>>,
        trace: String,
        is_test: bool,
        over_https: Option<bool>,
        integration_campaign_id: Option<CampaignId>,
        incomplete: Option<Incomplete>,
        is_simulated: bool,
    }
}

schema::row! {
    struct NewVerdict() {
        network_id: NetworkId,
        id: PostbackId,
        status: PostbackStatus,
        reason: &'static str,
        http_status: i32,
        message: String,
        hint: Option<String>,
        advertiser_id: Option<AdvertiserId>,
        campaign_id: Option<CampaignId>,
        goal_id: Option<GoalId>,
        click_id: Option<ClickKey>,
        conversion_id: Option<ConversionId>,
        trace: String,
        is_test: bool,
        integration_campaign_id: Option<CampaignId>,
        decided_at: DateTime<Utc>,
    }
}

/// The address arrives as text.
static INSERT: LazyLock<String> = LazyLock::new(|| {
    let values = NewPostback::columns_of("k").replacen("k.remote_ip", "k.remote_ip::inet", 1);
    format!(
        "INSERT INTO postbacks ({}) SELECT {values} FROM {}",
        NewPostback::columns(),
        NewPostback::unnest()
    )
});
static UPDATE: LazyLock<String> = LazyLock::new(|| {
    format!(
        "UPDATE postbacks p SET {}, decided_in = DEFAULT FROM {} WHERE p.network_id = k.network_id AND p.id = k.id",
        NewVerdict::assignments(2),
        NewVerdict::unnest()
    )
});

/// Stores new postbacks, and the new verdicts of the others.
pub(super) async fn store(tx: Tx<'_>, decided: &[Decided], now: DateTime<Utc>) -> Result<(), BatchError> {
    let (mut new, mut again) = (Vec::new(), Vec::new());
    for decided in decided {
        let verdict = decided.verdict();
        if decided.findings.origin == Origin::Journal {
            new.push(new_postback(decided, verdict, now)?);
        } else {
            again.push(new_verdict(decided, verdict, now));
        }
    }
    try_join!(tx.execute_batch(&INSERT, &new), tx.execute_batch(&UPDATE, &again))?;
    Ok(())
}

fn new_postback(
    decided: &Decided,
    verdict: Verdict,
    now: DateTime<Utc>,
) -> Result<NewPostback<'_>, BatchError> {
    let (findings, record) = (&decided.findings, &decided.findings.record);
    let body = record.body();
    let mut body =
        body.map_err(|error| BatchError::Invalid(format!("the body of {}: {error}", record.id)))?;
    let mut incomplete = record.is_redacted.then_some(Incomplete::Redacted);
    if !findings.is_authenticated && body.len() > ANONYMOUS_BODY {
        body.truncate(ANONYMOUS_BODY);
        incomplete = Some(Incomplete::Truncated);
    }
    let sent = record.postback.amount.map(|amount| amount.micros);
    Ok(NewPostback {
        network_id: findings.network.id,
        id: record.id,
        received_at: record.received_at,
        method: &record.method,
        target: &record.target,
        content_type: record.content_type.as_deref(),
        body,
        remote_ip: record.remote_ip.as_deref(),
        status: PostbackStatus::of(verdict.reason.status()),
        reason: verdict.reason.code(),
        http_status: verdict.reason.http_status().into(),
        message: verdict.message,
        hint: verdict.hint,
        took_us: microseconds(record.received_at, now),
        advertiser_id: findings.advertiser_id,
        campaign_id: findings.campaign_id(),
        goal_id: decided.goal_id,
        click_id: findings.click_id(),
        conversion_id: verdict.conversion_id,
        order_id: record.postback.order_id.as_deref(),
        amount_micros: sent.or(decided.sent_micros),
        currency: record.postback.currency.as_deref(),
        extra: extra(findings),
        dialect: &record.dialect,
        token_hash: record.token().map(|token| token.0.to_vec()),
        trace: findings.trace.to_text(),
        is_test: findings.is_test(),
        over_https: record.over_https,
        integration_campaign_id: findings.integration_campaign(),
        incomplete,
        is_simulated: record.is_simulated,
    })
}

fn new_verdict(decided: &Decided, verdict: Verdict, now: DateTime<Utc>) -> NewVerdict {
    let findings = &decided.findings;
    NewVerdict {
        network_id: findings.network.id,
        id: findings.record.id,
        status: PostbackStatus::of(verdict.reason.status()),
        reason: verdict.reason.code(),
        http_status: verdict.reason.http_status().into(),
        message: verdict.message,
        hint: verdict.hint,
        advertiser_id: findings.advertiser_id,
        campaign_id: findings.campaign_id(),
        goal_id: decided.goal_id,
        click_id: findings.click_id(),
        conversion_id: verdict.conversion_id,
        trace: findings.trace.to_text(),
        is_test: findings.is_test(),
        integration_campaign_id: findings.integration_campaign(),
        decided_at: now,
    }
}

/// Further parameters; none of a postback without a known advertiser.
fn extra(findings: &Findings) -> Value {
    let extra = findings.record.postback.extra.iter();
    let extra = extra.filter(|_| findings.advertiser_id.is_some());
    Value::Object(
        extra
            .map(|(name, value)| (name.clone(), value.clone().into()))
            .collect(),
    )
}

fn microseconds(from: DateTime<Utc>, to: DateTime<Utc>) -> i32 {
    let micros = (to - from).num_microseconds().unwrap_or(i64::MAX).max(0);
    i32::try_from(micros).unwrap_or(i32::MAX)
}
