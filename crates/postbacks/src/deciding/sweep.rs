//! Sweep over stored work that no new postback triggers: held postbacks that are ready or overdue, requested replays, and
//! conversions whose hold period is over. Any number of nodes may sweep at once.

use conversions::Event;
use schema::batch::{BatchError, IngestClient, Tx};
use schema::{NetworkId, PostbackId, clock};

use super::batch::{approve_due, decide_all};
use super::error::DecideError;
use super::{held, replay};
use crate::authenticate::Authenticator;
use crate::received::{Origin, Received};

/// Maximum number of batches of held postbacks per sweep, so that nothing else waits for them.
const MAX_BATCHES: usize = 20;

/// Sweeps on a connection of its kind.
pub struct Sweeper {
    client: IngestClient,
    authenticator: Authenticator,
}

/// Held postbacks that a sweep takes.
#[derive(Debug, Clone, Copy)]
enum Due {
    Ready,
    Overdue,
}

impl Due {
    async fn take(self, tx: Tx<'_>) -> Result<Vec<Received>, BatchError> {
        match self {
            Self::Ready => held::take_ready(tx, clock::now()).await,
            Self::Overdue => held::take_overdue(tx, clock::now()).await,
        }
    }

    fn origin(self) -> Origin {
        match self {
            Self::Ready => Origin::Held,
            Self::Overdue => Origin::Overdue,
        }
    }
}

impl Sweeper {
    /// Connects to the database.
    ///
    /// # Errors
    /// Returns an error if Postgres cannot be reached.
    pub async fn connect(url: &str, authenticator: Authenticator) -> Result<Self, DecideError> {
        Ok(Self {
            client: IngestClient::connect(url).await?,
            authenticator,
        })
    }

    /// Sweeps once. `may_give_up` says if overdue postbacks are rejected: not while a postback that they wait for may be
    /// in a journal. Returns the events.
    ///
    /// # Errors
    /// [`DecideError`]; the connection should be given up.
    pub async fn sweep(&mut self, may_give_up: bool) -> Result<Vec<Event>, DecideError> {
        let mut events = self.decide_held(Due::Ready).await?;
        if may_give_up {
            events.extend(self.decide_held(Due::Overdue).await?);
        }
        events.extend(replay::replay_all(&mut self.client, &self.authenticator).await?);
        let transaction = self.client.begin().await?;
        events.extend(approve_due(transaction.tx(), clock::now()).await?);
        transaction.commit().await?;
        Ok(events)
    }

    async fn decide_held(&mut self, due: Due) -> Result<Vec<Event>, DecideError> {
        let mut events = Vec::new();
        for _ in 0..MAX_BATCHES {
            let (found, more) = self.decide_held_batch(due).await?;
            events.extend(more);
            if found < held::SWEEP_BATCH {
                break;
            }
        }
        Ok(events)
    }

    /// Decides due postbacks in one transaction; if one of them has invalid data, each in a transaction for itself.
    #[tracing::instrument(level = "debug", skip(self))]
    async fn decide_held_batch(&mut self, due: Due) -> Result<(usize, Vec<Event>), DecideError> {
        let transaction = self.client.begin().await?;
        let received = due.take(transaction.tx()).await?;
        let found = received.len();
        if found == 0 {
            transaction.commit().await?;
            return Ok((0, Vec::new()));
        }
        let keys: Vec<_> = received
            .iter()
            .map(|postback| (postback.record.network, postback.record.id))
            .collect();
        match decide_all(transaction.tx(), &self.authenticator, received).await {
            Ok((_, events)) => {
                transaction.commit().await?;
                tracing::info!(found, ?due, "held postbacks decided");
                Ok((found, events))
            }
            Err(error) if error.is_invalid_data() => {
                tracing::error!(%error, "a held postback cannot be decided; each is decided alone");
                transaction.rollback().await?;
                let mut events = Vec::new();
                for key in keys {
                    events.extend(self.decide_alone(due, key).await?);
                }
                Ok((0, events))
            }
            Err(error) => Err(error),
        }
    }

    /// Decides one held postback; postpones it if it has invalid data.
    #[tracing::instrument(level = "debug", skip(self))]
    async fn decide_alone(
        &mut self,
        due: Due,
        key: (NetworkId, PostbackId),
    ) -> Result<Vec<Event>, DecideError> {
        let transaction = self.client.begin().await?;
        let received = held::take(transaction.tx(), key, due.origin()).await?;
        match decide_all(transaction.tx(), &self.authenticator, received).await {
            Ok((_, events)) => {
                transaction.commit().await?;
                Ok(events)
            }
            Err(error) if error.is_invalid_data() => {
                tracing::error!(%error, "a held postback cannot be decided; it is postponed");
                transaction.rollback().await?;
                let transaction = self.client.begin().await?;
                held::postpone(transaction.tx(), key).await?;
                transaction.commit().await?;
                Ok(Vec::new())
            }
            Err(error) => Err(error),
        }
    }
}
