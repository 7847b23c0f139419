//! Replays that were asked for, decided: a dry run in a transaction that is rolled back.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use schema::{AdvertiserId, CampaignId, NetworkId, PostbackId, clock};
use tokio_postgres::{Client, Row};
use uuid::Uuid;

use super::deciding::{ANONYMOUS_BODY, Candidate, Origin, Outcome, Statements, Tx, decide_all};
use super::{ApplyError, session};
use crate::judge::{Judge, Sender};
use crate::postback_record::{PostbackRecord, Stored};

/// Skipping what another node looks at: the postback too, so that one accepted meanwhile is left alone. What was refused
/// for who sent it is authenticated again.
const TO_DO: &str = "SELECT r.network_id, r.id, r.is_dry, p.id, p.received_at, p.method, p.target, p.content_type, p.body,
         host(p.remote_ip), p.token_hash,
         CASE WHEN p.reason ~ '^(https|token|signature|timestamp|ip)_' THEN NULL ELSE p.advertiser_id END,
         p.status = 'rejected', p.order_id, p.over_https, p.integration_campaign_id
     FROM replays r JOIN postbacks p ON p.network_id = r.network_id AND p.id = r.postback_id
     WHERE r.done_at IS NULL AND r.is_dry = $1 ORDER BY r.network_id, r.id LIMIT $2 FOR UPDATE OF r, p SKIP LOCKED";
const DONE: &str = "UPDATE replays r SET done_at = $9, reason = k.reason, message = k.message, conversion_id = k.conversion_id,
         commission_micros = k.commission, revenue_micros = k.revenue, currency = k.currency
     FROM unnest($1::int[], $2::uuid[], $3::text[], $4::text[], $5::uuid[], $6::bigint[], $7::bigint[], $8::text[])
       AS k (network_id, id, reason, message, conversion_id, commission, revenue, currency)
     WHERE r.network_id = k.network_id AND r.id = k.id";

/// How many are decided at once.
const AT_ONCE: i64 = 200;
/// What is told of those that were not decided.
const LEFT_ALONE: &str =
    "It was left as it is: it is not rejected any more, was not kept whole, or holds what was blanked.";

/// A replay that is to be done.
struct ToDo {
    network: i32,
    id: Uuid,
    postback_id: PostbackId,
    /// None when the postback needs no replay any more.
    candidate: Option<Candidate>,
}

impl ToDo {
    fn read(row: &Row) -> Self {
        let network: i32 = row.get(0);
        let postback_id = PostbackId(row.get(3));
        let is_rejected: bool = row.get(12);
        let advertiser: Option<i32> = row.get(11);
        let token_hash: Option<Vec<u8>> = row.get(10);
        let body: Vec<u8> = row.get(8);
        // Of a stranger's call only the beginning was kept.
        let is_whole = body.len() != ANONYMOUS_BODY;
        // Its token was this advertiser's when it came.
        let is_proven = token_hash.is_some();
        let candidate = (is_rejected && is_whole)
            .then(|| Candidate {
                record: PostbackRecord::of_stored(Stored {
                    network: NetworkId(network),
                    id: postback_id,
                    received_at: row.get(4),
                    method: row.get(5),
                    target: row.get(6),
                    content_type: row.get(7),
                    body,
                    remote_ip: row.get(9),
                    token_hash,
                    order_id: row.get(13),
                    over_https: row.get(14),
                }),
                origin: Origin::Replay,
                sender: advertiser.map(|id| Sender {
                    advertiser_id: AdvertiserId(id),
                    campaign_id: row.get::<_, Option<i32>>(15).map(CampaignId),
                    is_proven,
                }),
            })
            .filter(|candidate| !candidate.record.is_blanked());
        Self {
            network,
            id: row.get(1),
            postback_id,
            candidate,
        }
    }
}

/// What decides replays without being a node that serves.
pub(crate) struct Replaying {
    client: Client,
    statements: Statements,
    judge: Judge,
}

impl Replaying {
    pub(crate) async fn connect(url: &str, judge: Judge) -> Result<Self, ApplyError> {
        let client = session::connect(url).await?;
        Ok(Self {
            statements: Statements::prepare(&client).await?,
            client,
            judge,
        })
    }

    /// Does all that was asked for and that nobody else has taken up.
    pub(crate) async fn decide(&mut self) -> Result<(), ApplyError> {
        while replay(&mut self.client, &self.statements, &self.judge, clock::now()).await? > 0 {}
        Ok(())
    }
}

/// Does what was asked for, and says how many that were.
pub(super) async fn replay(
    client: &mut Client,
    statements: &Statements,
    judge: &Judge,
    now: DateTime<Utc>,
) -> Result<usize, ApplyError> {
    Ok(replay_kind(client, statements, judge, false, now).await?
        + replay_kind(client, statements, judge, true, now).await?)
}

async fn replay_kind(
    client: &mut Client,
    statements: &Statements,
    judge: &Judge,
    is_dry: bool,
    now: DateTime<Utc>,
) -> Result<usize, ApplyError> {
    match replay_some(client, statements, judge, is_dry, AT_ONCE, now).await {
        Err(error) if session::is_poison(&error) => {
            tracing::error!(%error, "a replay cannot be decided; each is tried alone");
            // Only the one that cannot be decided is given up.
            match replay_some(client, statements, judge, is_dry, 1, now).await {
                Err(error) if session::is_poison(&error) => give_up(client, statements, is_dry, now).await,
                other => other,
            }
        }
        other => other,
    }
}

async fn replay_some(
    client: &mut Client,
    statements: &Statements,
    judge: &Judge,
    is_dry: bool,
    most: i64,
    now: DateTime<Utc>,
) -> Result<usize, ApplyError> {
    let transaction = client.transaction().await?;
    let rows = transaction.query(TO_DO, &[&is_dry, &most]).await?;
    let mut to_do: Vec<ToDo> = rows.iter().map(ToDo::read).collect();
    if to_do.is_empty() {
        return Ok(0);
    }
    // Asked for twice, it is decided once.
    let mut seen = HashSet::new();
    let candidates = to_do
        .iter_mut()
        .filter(|it| seen.insert((it.network, it.postback_id)))
        .filter_map(|it| it.candidate.take())
        .collect();
    let tx = Tx {
        transaction: &transaction,
        statements,
    };
    if is_dry {
        transaction.batch_execute("SAVEPOINT dry").await?;
    }
    let outcomes = decide_all(tx, judge, candidates).await?;
    if is_dry {
        transaction.batch_execute("ROLLBACK TO SAVEPOINT dry").await?;
    }
    note_done(tx, &to_do, &outcomes, now).await?;
    transaction.commit().await?;
    Ok(to_do.len())
}

/// Notes that the first that is to be done cannot be: it stays as it was, and whoever asked sees it.
async fn give_up(
    client: &mut Client,
    statements: &Statements,
    is_dry: bool,
    now: DateTime<Utc>,
) -> Result<usize, ApplyError> {
    let transaction = client.transaction().await?;
    let rows = transaction.query(TO_DO, &[&is_dry, &1_i64]).await?;
    let to_do: Vec<ToDo> = rows.iter().map(ToDo::read).collect();
    let tx = Tx {
        transaction: &transaction,
        statements,
    };
    note_done(tx, &to_do, &[], now).await?;
    transaction.commit().await?;
    Ok(to_do.len())
}

async fn note_done(
    tx: Tx<'_>,
    to_do: &[ToDo],
    outcomes: &[Outcome],
    now: DateTime<Utc>,
) -> Result<(), ApplyError> {
    let of = |it: &ToDo| outcomes.iter().find(|outcome| outcome.id == it.postback_id);
    let rows: Vec<_> = to_do.iter().map(|it| (it, of(it))).collect();
    let networks: Vec<i32> = rows.iter().map(|(it, _)| it.network).collect();
    let ids: Vec<Uuid> = rows.iter().map(|(it, _)| it.id).collect();
    let verdict = |outcome: &Option<&Outcome>| outcome.map(|it| it.told.verdict.clone());
    let reasons: Vec<Option<&str>> = rows
        .iter()
        .map(|(_, it)| verdict(it).map(|verdict| verdict.reason.code()))
        .collect();
    let messages: Vec<String> = rows
        .iter()
        .map(|(_, it)| verdict(it).map_or_else(|| LEFT_ALONE.to_owned(), |verdict| verdict.message))
        .collect();
    let conversions: Vec<Option<Uuid>> = rows
        .iter()
        .map(|(_, it)| verdict(it)?.conversion_id.map(|id| id.0))
        .collect();
    let made = |it: &Option<&Outcome>| it.and_then(|it| it.made);
    let commissions: Vec<Option<i64>> = rows.iter().map(|(_, it)| Some(made(it)?.0)).collect();
    let revenues: Vec<Option<i64>> = rows.iter().map(|(_, it)| Some(made(it)?.1)).collect();
    let currencies: Vec<Option<&str>> = rows.iter().map(|(_, it)| Some(made(it)?.2.code())).collect();
    tx.transaction
        .execute(
            DONE,
            &[
                &networks,
                &ids,
                &reasons,
                &messages,
                &conversions,
                &commissions,
                &revenues,
                &currencies,
                &now,
            ],
        )
        .await?;
    Ok(())
}
