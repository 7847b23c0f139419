//! Replays that were requested, decided: a dry run in a transaction that is rolled back.

use std::collections::HashSet;
use std::sync::LazyLock;

use chrono::{DateTime, Utc};
use conversions::Event;
use schema::batch::{self, BatchError, IngestClient, Row, Tx};
use schema::{AdvertiserId, CampaignId, ConversionId, Currency, NetworkId, PostbackId, clock};
use uuid::Uuid;

use super::batch::{Outcome, decide_all};
use super::error::DecideError;
use crate::authenticate::Authenticator;
use crate::received::{KnownSender, Origin, Received};
use crate::record::{PostbackRecord, StoredRequest};
use crate::verdict::Reason;

/// Requested replays with their postbacks, except those that another node has locked; a postback that is accepted meanwhile
/// stays as it is. A postback whose sender was refused is authenticated again.
const PENDING: &str =
    "SELECT r.network_id, r.id, p.id, p.received_at, p.method, p.target, p.content_type, p.body, host(p.remote_ip), p.token_hash,
         CASE WHEN p.reason = ANY ($3) THEN NULL ELSE p.advertiser_id END, p.order_id, p.over_https, p.integration_campaign_id,
         p.is_simulated, p.status = 'rejected' AND p.incomplete IS NULL
     FROM replays r JOIN postbacks p ON p.network_id = r.network_id AND p.id = r.postback_id
     WHERE r.done_at IS NULL AND r.is_dry = $1 ORDER BY r.network_id, r.id LIMIT $2 FOR UPDATE OF r, p SKIP LOCKED";

schema::row! {
    struct Done() {
        network_id: NetworkId,
        id: Uuid,
        done_at: DateTime<Utc>,
        reason: Option<&'static str>,
        message: String,
        conversion_id: Option<ConversionId>,
        commission_micros: Option<i64>,
        revenue_micros: Option<i64>,
        currency: Option<Currency>,
    }
}

static FINISH: LazyLock<String> = LazyLock::new(|| {
    format!(
        "UPDATE replays r SET {} FROM {} WHERE r.network_id = k.network_id AND r.id = k.id",
        Done::assignments(2),
        Done::unnest()
    )
});

/// Number of postbacks replayed in one transaction.
const REPLAY_BATCH: i64 = 200;
/// Message of postbacks that were not replayed.
const NOT_REPLAYABLE: &str = "Not replayed: the postback is no longer rejected, was stored truncated, or a field it needs was redacted.";

/// A requested replay.
struct Pending {
    network_id: NetworkId,
    id: Uuid,
    postback_id: PostbackId,
    /// Postback to decide; `None` if it cannot be replayed.
    received: Option<Received>,
}

impl Pending {
    fn read(row: &tokio_postgres::Row) -> Result<Self, BatchError> {
        let (network_id, id, postback_id) =
            (batch::read(row, 0)?, batch::read(row, 1)?, batch::read(row, 2)?);
        let is_replayable: bool = batch::read(row, 15)?;
        let received = if is_replayable {
            Some(received(row, network_id, postback_id)?)
        } else {
            None
        };
        Ok(Self {
            network_id,
            id,
            postback_id,
            received,
        })
    }
}

fn received(row: &tokio_postgres::Row, network: NetworkId, id: PostbackId) -> Result<Received, BatchError> {
    let token_hash: Option<Vec<u8>> = batch::read(row, 9)?;
    let advertiser_id: Option<AdvertiserId> = batch::read(row, 10)?;
    let campaign_id: Option<CampaignId> = batch::read(row, 13)?;
    let sender = advertiser_id.map(|advertiser_id| KnownSender {
        advertiser_id,
        campaign_id,
        // Its token was that of the advertiser when it arrived.
        is_authenticated: token_hash.is_some(),
    });
    let record = PostbackRecord::of_stored(StoredRequest {
        network,
        id,
        received_at: batch::read(row, 3)?,
        method: batch::read(row, 4)?,
        target: batch::read(row, 5)?,
        content_type: batch::read(row, 6)?,
        body: batch::read(row, 7)?,
        remote_ip: batch::read(row, 8)?,
        over_https: batch::read(row, 12)?,
        is_simulated: batch::read(row, 14)?,
        token_hash,
        order_id: batch::read(row, 11)?,
    });
    Ok(Received {
        record,
        origin: Origin::Replay,
        sender,
        answered: None,
    })
}

/// Decides requested replays.
pub(crate) struct Replayer {
    client: IngestClient,
    authenticator: Authenticator,
}

impl Replayer {
    /// Connects to the database.
    ///
    /// # Errors
    /// Returns an error if Postgres cannot be reached.
    pub(crate) async fn connect(url: &str, authenticator: Authenticator) -> Result<Self, DecideError> {
        Ok(Self {
            client: IngestClient::connect(url).await?,
            authenticator,
        })
    }

    /// Decides all requested replays that no other node has taken. Returns the events of those that were no dry run.
    ///
    /// # Errors
    /// [`DecideError`].
    pub(crate) async fn decide(&mut self) -> Result<Vec<Event>, DecideError> {
        replay_all(&mut self.client, &self.authenticator).await
    }
}

/// Decides all requested replays, the real ones first. Returns their events.
pub(super) async fn replay_all(
    client: &mut IngestClient,
    authenticator: &Authenticator,
) -> Result<Vec<Event>, DecideError> {
    let mut events = Vec::new();
    loop {
        let (decided, more) = replay_kind(client, authenticator, false).await?;
        let (dry, _) = replay_kind(client, authenticator, true).await?;
        events.extend(more);
        if decided + dry == 0 {
            return Ok(events);
        }
    }
}

async fn replay_kind(
    client: &mut IngestClient,
    authenticator: &Authenticator,
    is_dry: bool,
) -> Result<(usize, Vec<Event>), DecideError> {
    match replay_batch(client, authenticator, is_dry, REPLAY_BATCH).await {
        Err(error) if error.is_invalid_data() => {
            tracing::error!(%error, is_dry, "a batch of replays cannot be decided; each is decided alone");
            match replay_batch(client, authenticator, is_dry, 1).await {
                Err(error) if error.is_invalid_data() => Ok((give_up(client, is_dry).await?, Vec::new())),
                other => other,
            }
        }
        other => other,
    }
}

#[tracing::instrument(level = "debug", skip(client, authenticator))]
async fn replay_batch(
    client: &mut IngestClient,
    authenticator: &Authenticator,
    is_dry: bool,
    limit: i64,
) -> Result<(usize, Vec<Event>), DecideError> {
    let transaction = client.begin().await?;
    let tx = transaction.tx();
    let mut pending = pending(tx, is_dry, limit).await?;
    if pending.is_empty() {
        return Ok((0, Vec::new()));
    }
    // A postback that is requested twice is decided once.
    let mut seen = HashSet::new();
    let received = pending
        .iter_mut()
        .filter(|replay| seen.insert((replay.network_id, replay.postback_id)))
        .filter_map(|replay| replay.received.take())
        .collect();
    if is_dry {
        tx.run("SAVEPOINT dry").await?;
    }
    let (outcomes, mut events) = decide_all(tx, authenticator, received).await?;
    if is_dry {
        tx.run("ROLLBACK TO SAVEPOINT dry").await?;
        events.clear();
    }
    finish(tx, &pending, &outcomes).await?;
    transaction.commit().await?;
    Ok((pending.len(), events))
}

/// Finishes the first replay undecided: its postback stays as it was, and the user sees that.
async fn give_up(client: &mut IngestClient, is_dry: bool) -> Result<usize, DecideError> {
    let transaction = client.begin().await?;
    let pending = pending(transaction.tx(), is_dry, 1).await?;
    finish(transaction.tx(), &pending, &[]).await?;
    transaction.commit().await?;
    Ok(pending.len())
}

async fn pending(tx: Tx<'_>, is_dry: bool, limit: i64) -> Result<Vec<Pending>, BatchError> {
    let refusals = Reason::ALL.into_iter().filter(|reason| reason.refuses_sender());
    let refusals: Vec<&str> = refusals.map(Reason::code).collect();
    let rows = tx.query(PENDING, &[&is_dry, &limit, &refusals]).await?;
    rows.iter().map(Pending::read).collect()
}

async fn finish(tx: Tx<'_>, pending: &[Pending], outcomes: &[Outcome]) -> Result<(), BatchError> {
    let done_at = clock::now();
    let done = |replay: &Pending| {
        let outcome = outcomes.iter().find(|outcome| outcome.id == replay.postback_id);
        let verdict = outcome.map(|outcome| &outcome.reply.verdict);
        let made = outcome.and_then(|outcome| outcome.made);
        Done {
            network_id: replay.network_id,
            id: replay.id,
            done_at,
            reason: verdict.map(|verdict| verdict.reason.code()),
            message: verdict.map_or_else(|| NOT_REPLAYABLE.to_owned(), |verdict| verdict.message.clone()),
            conversion_id: verdict.and_then(|verdict| verdict.conversion_id),
            commission_micros: made.map(|(commission, ..)| commission),
            revenue_micros: made.map(|(_, revenue, _)| revenue),
            currency: made.map(|(.., currency)| currency),
        }
    };
    let rows: Vec<Done> = pending.iter().map(done).collect();
    tx.execute_batch(&FINISH, &rows).await?;
    Ok(())
}
