//! Changes of the configuration, announced by whoever makes them and heard by every node.
//!
//! A change is announced in its own transaction (`NOTIFY`), so it is heard when it is committed, and never when it is
//! not. What is kept in memory of the configuration asks here whether it is still good.

use std::collections::HashMap;
use std::fmt::Display;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use diesel::QueryResult;
use diesel::sql_types::Text;
use diesel_async::RunQueryDsl;
use futures_util::{StreamExt, stream};
use tokio::sync::broadcast;
use tokio_postgres::tls::NoTlsStream;
use tokio_postgres::{AsyncMessage, Client, Connection, NoTls, Socket};

use crate::{NetworkConn, NetworkId};

const CHANNEL: &str = "clickledger_changes";
/// How often the connection is asked whether it still lives, and how long it may take to say so.
const PULSE: Duration = Duration::from_millis(500);
/// How long we go without hearing Postgres before we stop trusting what we hear.
const DEAF_AFTER: Duration = Duration::from_millis(1500);

/// Says that something of the network's configuration changes with this transaction: `kind` is its kind of thing, and
/// `name` what it is looked up by.
///
/// # Errors
/// When the database fails.
pub async fn announce(conn: &mut NetworkConn, kind: &str, name: impl Display) -> QueryResult<()> {
    let payload = format!("{} {kind} {name}", conn.network_id().0);
    diesel::sql_query("SELECT pg_notify($1, left($2, 1000))")
        .bind::<Text, _>(CHANNEL)
        .bind::<Text, _>(payload)
        .execute(&mut **conn)
        .await?;
    Ok(())
}

/// A change that was heard of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changed {
    /// Whose.
    pub network_id: NetworkId,
    /// The kind of thing that changed, such as `link`.
    pub kind: String,
    /// What it is looked up by.
    pub name: String,
}

/// What has been heard of changes. Cheap to clone.
#[derive(Clone)]
pub struct Changes {
    heard: Arc<RwLock<Heard>>,
    each: broadcast::Sender<Changed>,
}

struct Heard {
    /// When Postgres last gave a sign of life on the connection that listens.
    alive_at: Option<Instant>,
    /// Since when nothing was missed.
    since: Instant,
    /// When each network last changed.
    networks: HashMap<NetworkId, Instant>,
}

impl Changes {
    /// Listens on a connection of its own, and connects again whenever it breaks, for as long as the process lives.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    #[must_use]
    pub fn listen(url: &str) -> Self {
        let heard = Heard {
            alive_at: None,
            since: Instant::now(),
            networks: HashMap::new(),
        };
        let (each, _) = broadcast::channel(1024);
        let changes = Self {
            heard: Arc::new(RwLock::new(heard)),
            each,
        };
        tokio::spawn(changes.clone().keep_listening(url.to_owned()));
        changes
    }

    /// Each change as it is heard. A receiver that falls behind is told that it did.
    #[must_use]
    pub fn each(&self) -> broadcast::Receiver<Changed> {
        self.each.subscribe()
    }

    /// Whether a change that was committed would have been heard by now.
    #[must_use]
    pub fn are_heard(&self) -> bool {
        let heard = self.heard.read().unwrap_or_else(PoisonError::into_inner);
        heard.alive_at.is_some_and(|at| at.elapsed() < DEAF_AFTER)
    }

    /// Whether nothing of this network has changed since `then`, as far as was heard.
    #[must_use]
    pub fn none_since(&self, network_id: NetworkId, then: Instant) -> bool {
        let heard = self.heard.read().unwrap_or_else(PoisonError::into_inner);
        heard.since <= then && heard.networks.get(&network_id).is_none_or(|at| *at < then)
    }

    async fn keep_listening(self, url: String) {
        loop {
            if let Err(error) = self.listen_once(&url).await {
                tracing::debug!(%error, "not listening for changes");
            }
            tokio::time::sleep(PULSE).await;
        }
    }

    /// Listens until the connection breaks.
    async fn listen_once(&self, url: &str) -> Result<(), tokio_postgres::Error> {
        let (client, connection) =
            match tokio::time::timeout(DEAF_AFTER, tokio_postgres::connect(url, NoTls)).await {
                Ok(connected) => connected?,
                Err(_) => return Ok(()),
            };
        let hearing = tokio::spawn(self.clone().hear(connection));
        let lived = self.feel_the_pulse(&client).await;
        hearing.abort();
        lived
    }

    async fn feel_the_pulse(&self, client: &Client) -> Result<(), tokio_postgres::Error> {
        client.batch_execute(&format!("LISTEN {CHANNEL}")).await?;
        self.note(|heard, now| heard.since = now);
        loop {
            self.note(|heard, now| heard.alive_at = Some(now));
            tokio::time::sleep(PULSE).await;
            // A server that is frozen answers nothing and closes nothing.
            match tokio::time::timeout(DEAF_AFTER, client.batch_execute("")).await {
                Ok(answered) => answered?,
                Err(_) => return Ok(()),
            }
        }
    }

    /// Takes in what the connection brings.
    async fn hear(self, mut connection: Connection<Socket, NoTlsStream>) {
        let mut messages = std::pin::pin!(stream::poll_fn(move |context| connection.poll_message(context)));
        while let Some(Ok(message)) = messages.next().await {
            let AsyncMessage::Notification(notification) = message else {
                continue;
            };
            if let Some(changed) = read(notification.payload()) {
                self.note(|heard, now| _ = heard.networks.insert(changed.network_id, now));
                // Nobody may be interested in each.
                drop(self.each.send(changed));
            }
        }
    }

    fn note(&self, change: impl FnOnce(&mut Heard, Instant)) {
        let mut heard = self.heard.write().unwrap_or_else(PoisonError::into_inner);
        change(&mut heard, Instant::now());
    }
}

fn read(payload: &str) -> Option<Changed> {
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
    fn an_announcement_reads_back() {
        let link = Changed {
            network_id: NetworkId(7),
            kind: "link".to_owned(),
            name: "a b".to_owned(),
        };
        assert_eq!(read("7 link a b"), Some(link));
        assert_eq!(read("nonsense"), None);
    }
}
