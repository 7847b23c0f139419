//! Checks of tracking hosts: on request, within a rate limit, and in the background until a host is proven.

mod background;
mod dns;

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use schema::{Db, DbError, NetworkConn, NetworkId};

pub use self::background::{CheckNotices, check_due, keep_checking};
pub use self::dns::Dns;
use crate::author::Author;
use crate::networks::{self, ClaimedHost, name_of};
use crate::rate::RateLimit;
use crate::urls::Urls;

/// Maximum number of checks that the members of a network request per minute, on each node.
const CHECKS_PER_MINUTE: u32 = 10;
/// Window of that limit.
const RATE_WINDOW: Duration = Duration::from_secs(60);
/// Time after which a caller repeats a check that was refused because another one runs.
const RETRY_SECONDS: u64 = 3;

/// Reason why a host was not checked.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// The network has not entered the host, or has lost it.
    #[error("This network has not entered this host.")]
    NotClaimed,
    /// A host without DNS records.
    #[error("{0} is no DNS name, so no record can prove it.")]
    NoDnsName(String),
    /// Too many checks, or another one that runs: the seconds until the next.
    #[error("Hosts of this network were checked too often. Try again in {0} seconds.")]
    TooOften(u64),
    /// The database failed.
    #[error(transparent)]
    Db(#[from] DbError),
}

impl From<diesel::result::Error> for CheckError {
    fn from(error: diesel::result::Error) -> Self {
        Self::Db(error.into())
    }
}

/// Checker of tracking hosts on this node. Cheap to clone; clones share the limits.
#[derive(Clone)]
pub struct HostChecker {
    dns: Dns,
    /// The installation's own tracking host.
    own_host: Arc<str>,
    requested: RateLimit<NetworkId>,
    /// Networks of which a check runs.
    running: Arc<Mutex<HashSet<NetworkId>>>,
}

/// Turn of a network, which ends when it is dropped.
struct Turn {
    network_id: NetworkId,
    running: Arc<Mutex<HashSet<NetworkId>>>,
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        running.remove(&self.network_id);
    }
}

impl HostChecker {
    /// Checker for an installation with these URLs.
    #[must_use]
    pub fn new(dns: Dns, urls: &Urls) -> Self {
        Self {
            dns,
            own_host: name_of(&urls.shared_host()).into(),
            requested: RateLimit::new(RATE_WINDOW),
            running: Arc::default(),
        }
    }

    /// The installation's own tracking host, without a port.
    #[must_use]
    pub fn own_host(&self) -> &str {
        &self.own_host
    }

    /// Counts a check that a member requests.
    ///
    /// # Errors
    /// [`CheckError::TooOften`] above the limit.
    pub fn count_request(&self, network_id: NetworkId, now: DateTime<Utc>) -> Result<(), CheckError> {
        let at = Duration::from_millis(u64::try_from(now.timestamp_millis()).unwrap_or_default());
        let quota = self.requested.count(network_id, CHECKS_PER_MINUTE, at);
        if quota.allowed {
            Ok(())
        } else {
            Err(CheckError::TooOften(quota.resets_in))
        }
    }

    /// Checks a host of a network, and applies the result. No transaction is open during the lookups. Returns the host as it is
    /// then.
    ///
    /// # Errors
    /// [`CheckError`]; the host is not checked while another check of the network runs.
    #[tracing::instrument(skip_all, fields(network = %network_id, host))]
    pub async fn check(
        &self,
        db: &Db,
        network_id: NetworkId,
        author: &Author,
        host: &str,
        now: DateTime<Utc>,
    ) -> Result<ClaimedHost, CheckError> {
        let _turn = self.begin(network_id)?;
        let mut conn = db.network(network_id).await?;
        let claimed = networks::claimed_host(&mut conn, host).await?;
        conn.commit().await?;
        let claimed = claimed.ok_or(CheckError::NotClaimed)?;
        let challenge = claimed.challenge(&self.own_host);
        if !challenge.is_possible() {
            return Err(CheckError::NoDnsName(claimed.host));
        }
        let answers = self.dns.answers(&challenge, &self.own_host).await;
        let mut conn: NetworkConn = db.network(network_id).await?;
        let own_host = &self.own_host;
        let applied = networks::apply_check(&mut conn, author, &claimed, own_host, &answers, now).await?;
        conn.commit().await?;
        applied.ok_or(CheckError::NotClaimed)
    }

    fn begin(&self, network_id: NetworkId) -> Result<Turn, CheckError> {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        if !running.insert(network_id) {
            return Err(CheckError::TooOften(RETRY_SECONDS));
        }
        Ok(Turn {
            network_id,
            running: self.running.clone(),
        })
    }
}
