//! Replays that were asked for, decided: a dry run in a transaction that is rolled back.

use chrono::{DateTime, Utc};
use schema::{AdvertiserId, NetworkId, PostbackId};
use tokio_postgres::{Client, Row};
use uuid::Uuid;

use super::deciding::{Candidate, Origin, Outcome, Statements, Tx, decide_all};
use super::{ApplyError, session};
use crate::judge::{Judge, Sender};
use crate::postback_record::{PostbackRecord, Stored};

/// Skipping what another node looks at. A postback that was accepted meanwhile is left alone.
const TO_DO: &str = "SELECT r.network_id, r.id, r.is_dry, p.id, p.received_at, p.method, p.target, p.content_type, p.body,
         host(p.remote_ip), p.token_hash, p.advertiser_id, p.status = 'rejected'
     FROM replays r JOIN postbacks p ON p.network_id = r.network_id AND p.id = r.postback_id
     WHERE r.done_at IS NULL AND r.is_dry = $1 ORDER BY r.network_id, r.id LIMIT 200 FOR UPDATE OF r SKIP LOCKED";
const DONE: &str = "UPDATE replays r SET done_at = $9, reason = k.reason, message = k.message, conversion_id = k.conversion_id,
         commission_micros = k.commission, revenue_micros = k.revenue, currency = k.currency
     FROM unnest($1::int[], $2::uuid[], $3::text[], $4::text[], $5::uuid[], $6::bigint[], $7::bigint[], $8::text[])
       AS k (network_id, id, reason, message, conversion_id, commission, revenue, currency)
     WHERE r.network_id = k.network_id AND r.id = k.id";

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
        let candidate = is_rejected.then(|| Candidate {
            record: PostbackRecord::of_stored(Stored {
                network: NetworkId(network),
                id: postback_id,
                received_at: row.get(4),
                method: row.get(5),
                target: row.get(6),
                content_type: row.get(7),
                body: row.get(8),
                remote_ip: row.get(9),
                token_hash: row.get(10),
            }),
            origin: Origin::Parked,
            // Somebody of the network asks for it: nobody need prove anything once more.
            sender: advertiser.map(|id| Sender {
                advertiser_id: AdvertiserId(id),
                is_proven: true,
            }),
        });
        Self {
            network,
            id: row.get(1),
            postback_id,
            candidate,
        }
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
    let transaction = client.transaction().await?;
    let rows = transaction.query(TO_DO, &[&is_dry]).await?;
    let mut to_do: Vec<ToDo> = rows.iter().map(ToDo::read).collect();
    if to_do.is_empty() {
        return Ok(0);
    }
    let candidates = to_do.iter_mut().filter_map(|it| it.candidate.take()).collect();
    let tx = Tx {
        transaction: &transaction,
        statements,
    };
    if is_dry {
        transaction.batch_execute("SAVEPOINT dry").await?;
    }
    let outcomes = match decide_all(tx, judge, candidates).await {
        Ok(outcomes) => outcomes,
        Err(error) if session::is_poison(&error) => {
            tracing::error!(%error, "a replay failed");
            transaction.rollback().await?;
            return give_up(client, statements, &to_do, now).await;
        }
        Err(error) => return Err(error),
    };
    if is_dry {
        transaction.batch_execute("ROLLBACK TO SAVEPOINT dry").await?;
    }
    note_done(tx, &to_do, &outcomes, now).await?;
    transaction.commit().await?;
    Ok(to_do.len())
}

/// Notes that these could not be decided: they stay as they were, and whoever asked sees it.
async fn give_up(
    client: &mut Client,
    statements: &Statements,
    to_do: &[ToDo],
    now: DateTime<Utc>,
) -> Result<usize, ApplyError> {
    let transaction = client.transaction().await?;
    let tx = Tx {
        transaction: &transaction,
        statements,
    };
    note_done(tx, to_do, &[], now).await?;
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
        .map(|(_, it)| {
            verdict(it).map_or_else(
                || "It was left as it is: it is not rejected any more, or could not be decided.".to_owned(),
                |verdict| verdict.message,
            )
        })
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
