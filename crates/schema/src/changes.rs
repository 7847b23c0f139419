//! Changes of the configuration, announced by the transaction that makes them and received by every node.
//!
//! A change is announced by `NOTIFY` in its own transaction, so nodes receive it when that commits and never otherwise.
//! Caches of the configuration check here if an entry is still valid.
//!
//! The same connection receives the signals of events: a network whose events were stored or queued.

use std::collections::HashMap;
use std::fmt::Display;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use diesel::QueryResult;
use diesel::sql_types::Text;
use diesel_async::RunQueryDsl;
use futures_util::{StreamExt, stream};
use tokio::sync::broadcast::error::{RecvError, TryRecvError};
use tokio::sync::{Notify, broadcast};
use tokio_postgres::{AsyncMessage, Client};

use crate::session::{ConnectError, Driver};
use crate::{NetworkConn, NetworkId, Opening, session};

const CHANNEL: &str = "clickledger_changes";
/// Channel on which a transaction that stores or queues events, or changes which deliveries are due, names their network.
pub const EVENTS_CHANNEL: &str = "clickledger_events";
/// Interval between health checks of the listening connection.
const HEALTH_CHECK_INTERVAL: Duration = Duration::from_millis(500);
/// Age of the last successful health check up to which received changes count as complete; also the timeout of a check.
const HEALTH_CHECK_TIMEOUT: Duration = Duration::from_millis(1500);

/// Time that a request waits for a database that does not answer.
const SILENCE_TIMEOUT: Duration = Duration::from_secs(2);

/// Error of a request that waits for a database which does not answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the database does not answer")]
pub struct Silent;

/// Announces that the current transaction changes the configuration of its network: an object of this kind, looked up by
/// this name.
///
/// # Errors
/// Returns an error if the database fails.
pub async fn announce(conn: &mut NetworkConn, kind: &str, name: impl Display) -> QueryResult<()> {
    let payload = format!("{} {kind} {name}", conn.network_id().0);
    diesel::sql_query("SELECT pg_notify($1, left($2, 1000))")
        .bind::<Text, _>(CHANNEL)
        .bind::<Text, _>(payload)
        .execute(&mut **conn)
        .await?;
    Ok(())
}

/// Signals that the current transaction changes which deliveries of its network are due.
///
/// # Errors
/// Returns an error if the database fails.
pub async fn signal_events(conn: &mut NetworkConn) -> QueryResult<()> {
    let network_id = conn.network_id().0.to_string();
    diesel::sql_query("SELECT pg_notify($1, $2)")
        .bind::<Text, _>(EVENTS_CHANNEL)
        .bind::<Text, _>(network_id)
        .execute(&mut **conn)
        .await?;
    Ok(())
}

/// Receiver of the signals of events. Signals are lost while the connection is broken, so that a slow poll beside them is
/// needed.
pub struct EventSignals(broadcast::Receiver<NetworkId>);

impl EventSignals {
    /// Waits for a signal, and discards those that came with it.
    pub async fn any(&mut self) {
        self.next().await;
        while !matches!(self.0.try_recv(), Err(TryRecvError::Empty | TryRecvError::Closed)) {}
    }

    /// Waits for a signal of this network.
    pub async fn of(&mut self, network_id: NetworkId) {
        // After a gap, any network may have signalled.
        while self.next().await.is_some_and(|signalled| signalled != network_id) {}
    }

    /// The next signal; `None` after a gap.
    async fn next(&mut self) -> Option<NetworkId> {
        match self.0.recv().await {
            Ok(network_id) => Some(network_id),
            Err(RecvError::Lagged(_)) => None,
            // The process ends.
            Err(RecvError::Closed) => std::future::pending().await,
        }
    }
}

/// Received change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changed {
    /// Network of the object.
    pub network_id: NetworkId,
    /// Kind of the object, such as `link`.
    pub kind: String,
    /// Look-up name of the object.
    pub name: String,
}

/// Receiver of changes. Cheap to clone.
#[derive(Clone)]
pub struct Changes {
    received: Arc<RwLock<Received>>,
    each: broadcast::Sender<Changed>,
    events: broadcast::Sender<NetworkId>,
    /// Request for a health check before its time.
    ask: Arc<Notify>,
    /// Announcement of each successful health check.
    checked: Arc<Notify>,
}

struct Received {
    /// Time of the last successful health check; None before the first.
    checked_at: Option<Instant>,
    /// Start of the period without a missed change.
    complete_since: Instant,
    /// Time of the latest change of each network.
    networks: HashMap<NetworkId, Instant>,
}

impl Changes {
    /// Listens on a separate connection, once the database is open, and reconnects after every failure, until the process ends.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    #[must_use]
    pub fn listen(opening: &Opening, url: &str) -> Self {
        let received = Received {
            checked_at: None,
            complete_since: Instant::now(),
            networks: HashMap::new(),
        };
        let (each, _) = broadcast::channel(1024);
        let (events, _) = broadcast::channel(1024);
        let changes = Self {
            received: Arc::new(RwLock::new(received)),
            each,
            events,
            ask: Arc::default(),
            checked: Arc::default(),
        };
        tokio::spawn(
            opening
                .clone()
                .then(changes.clone().listen_forever(url.to_owned())),
        );
        changes
    }

    /// Returns a stream of received changes. A receiver that falls behind gets an error.
    #[must_use]
    pub fn each(&self) -> broadcast::Receiver<Changed> {
        self.each.subscribe()
    }

    /// Returns a receiver of the signals of events from now on.
    #[must_use]
    pub fn events(&self) -> EventSignals {
        EventSignals(self.events.subscribe())
    }

    /// True if any change committed before now has been received.
    #[must_use]
    pub fn are_heard(&self) -> bool {
        let received = self.received.read().unwrap_or_else(PoisonError::into_inner);
        received
            .checked_at
            .is_some_and(|at| at.elapsed() < HEALTH_CHECK_TIMEOUT)
    }

    /// True if the connection listened since `then` and received no change of this network. Conclusive only together with
    /// [`Changes::are_heard`].
    #[must_use]
    pub fn none_since(&self, network_id: NetworkId, then: Instant) -> bool {
        let received = self.received.read().unwrap_or_else(PoisonError::into_inner);
        received.complete_since <= then && received.networks.get(&network_id).is_none_or(|at| *at < then)
    }

    /// True if the database answers within this time: asks it now, over the listening connection.
    pub async fn answers_within(&self, time: Duration) -> bool {
        let asked = Instant::now();
        let answered = async {
            loop {
                let mut checked = std::pin::pin!(self.checked.notified());
                checked.as_mut().enable();
                if self.checked_since(asked) {
                    return;
                }
                checked.await;
            }
        };
        self.ask.notify_one();
        tokio::time::timeout(time, answered).await.is_ok()
    }

    fn checked_since(&self, then: Instant) -> bool {
        let received = self.received.read().unwrap_or_else(PoisonError::into_inner);
        received.checked_at.is_some_and(|at| at >= then)
    }

    /// Runs a request to its end, unless the database does not answer meanwhile: then it is given up after two seconds, and
    /// at most half a second later.
    ///
    /// # Errors
    /// [`Silent`].
    pub async fn unless_silent<T>(&self, request: impl Future<Output = T>) -> Result<T, Silent> {
        let mut request = std::pin::pin!(request);
        let began = Instant::now();
        loop {
            match tokio::time::timeout(HEALTH_CHECK_INTERVAL, &mut request).await {
                Ok(answer) => return Ok(answer),
                Err(_) if began.elapsed() >= SILENCE_TIMEOUT && !self.are_heard() => return Err(Silent),
                Err(_) => {}
            }
        }
    }

    async fn listen_forever(self, url: String) {
        loop {
            if let Err(error) = self.listen_once(&url).await {
                tracing::debug!(%error, "not listening for changes");
            }
            tokio::time::sleep(HEALTH_CHECK_INTERVAL).await;
        }
    }

    /// Listens until the connection breaks.
    async fn listen_once(&self, url: &str) -> Result<(), ConnectError> {
        let connecting = session::connect_client(url);
        let (client, connection) = match tokio::time::timeout(HEALTH_CHECK_TIMEOUT, connecting).await {
            Ok(connected) => connected?,
            Err(_) => return Ok(()),
        };
        let receiving = tokio::spawn(self.clone().receive(connection));
        let ended = self.check_health(&client).await;
        receiving.abort();
        Ok(ended?)
    }

    async fn check_health(&self, client: &Client) -> Result<(), tokio_postgres::Error> {
        client
            .batch_execute(&format!("LISTEN {CHANNEL}; LISTEN {EVENTS_CHANNEL}"))
            .await?;
        self.update(|received, now| received.complete_since = now);
        loop {
            self.update(|received, now| received.checked_at = Some(now));
            self.checked.notify_waiters();
            // Ends at once if a check is asked for.
            let _ = tokio::time::timeout(HEALTH_CHECK_INTERVAL, self.ask.notified()).await;
            // A frozen server neither responds nor closes the connection.
            match tokio::time::timeout(HEALTH_CHECK_TIMEOUT, client.batch_execute("")).await {
                Ok(checked) => checked?,
                Err(_) => return Ok(()),
            }
        }
    }

    async fn receive(self, mut connection: Driver) {
        let mut messages = std::pin::pin!(stream::poll_fn(move |context| connection.poll_message(context)));
        while let Some(Ok(message)) = messages.next().await {
            let AsyncMessage::Notification(notification) = message else {
                continue;
            };
            if notification.channel() == EVENTS_CHANNEL {
                if let Ok(network_id) = notification.payload().parse() {
                    // Fails only without subscribers.
                    drop(self.events.send(NetworkId(network_id)));
                }
            } else if let Some(changed) = parse(notification.payload()) {
                self.update(|received, now| _ = received.networks.insert(changed.network_id, now));
                // Fails only without subscribers.
                drop(self.each.send(changed));
            }
        }
    }

    fn update(&self, change: impl FnOnce(&mut Received, Instant)) {
        let mut received = self.received.write().unwrap_or_else(PoisonError::into_inner);
        change(&mut received, Instant::now());
    }
}

fn parse(payload: &str) -> Option<Changed> {
    let mut words = payload.splitn(3, ' ');
    Some(Changed {
        network_id: NetworkId(words.next()?.parse().ok()?),
        kind: words.next()?.to_owned(),
        name: words.next()?.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_announcement_is_parsed_back() {
        let link = Changed {
            network_id: NetworkId(7),
            kind: "link".to_owned(),
            name: "a b".to_owned(),
        };
        assert_eq!(parse("7 link a b"), Some(link));
        assert_eq!(parse("nonsense"), None);
    }
}
