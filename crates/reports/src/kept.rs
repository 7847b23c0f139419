//! Reports that are kept for a while, so that their pages belong to one report whatever arrives meanwhile.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use quick_cache::sync::Cache;
use quick_cache::{DefaultHashBuilder, Lifecycle, Weighter};
use schema::NetworkId;
use tenancy::Scope;
use tokio::runtime::Handle;
use uuid::Uuid;

use crate::{Report, ReportQuery};

/// Time for which a report is kept after it was computed.
const KEPT_FOR: Duration = Duration::from_secs(300);
/// Memory of all kept reports, in groups.
const KEPT_GROUPS: u64 = 4_000_000;

/// Error for a cursor that names no report on this node: it is too old, or was issued by another node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("The pages of a report are kept for five minutes. Request its first page again.")]
pub struct Expired;

/// Report whose pages are requested one by one.
#[derive(Clone)]
pub struct KeptReport {
    /// Query of the report.
    pub query: Arc<ReportQuery>,
    /// Time up to which the report has all events.
    pub complete_until: DateTime<Utc>,
    report: Arc<Mutex<Report>>,
    /// Groups in memory, counted without the lock.
    size: usize,
    network_id: NetworkId,
    scope: Scope,
    since: Instant,
}

impl KeptReport {
    /// Uses the report with its first `rows` rows in order. Takes long for very many: not for an async thread.
    pub fn with_rows<R>(&self, rows: usize, use_report: impl FnOnce(&Report) -> R) -> R {
        let mut report = self.report.lock().unwrap_or_else(PoisonError::into_inner);
        report.sort(rows);
        use_report(&report)
    }
}

#[derive(Clone)]
struct Groups;

impl Weighter<Uuid, KeptReport> for Groups {
    fn weight(&self, _: &Uuid, kept: &KeptReport) -> u64 {
        kept.size as u64 + 1
    }
}

/// Frees evicted reports on another thread: a large one takes a tenth of a second.
#[derive(Clone)]
struct FreedElsewhere;

impl Lifecycle<Uuid, KeptReport> for FreedElsewhere {
    type RequestState = ();

    fn on_evict(&self, (): &mut (), _: Uuid, kept: KeptReport) {
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn_blocking(move || drop(kept));
        }
    }
}

/// Kept reports, in bounded space.
pub(crate) struct KeptReports(Cache<Uuid, KeptReport, Groups, DefaultHashBuilder, FreedElsewhere>);

impl KeptReports {
    pub(crate) fn new() -> Self {
        Self(Cache::with(
            1_000,
            KEPT_GROUPS,
            Groups,
            DefaultHashBuilder::default(),
            FreedElsewhere,
        ))
    }

    /// Keeps a report of a network, as an actor with this scope saw it. Returns its name.
    pub(crate) fn keep(
        &self,
        network_id: NetworkId,
        scope: Scope,
        query: ReportQuery,
        report: Report,
        complete_until: DateTime<Utc>,
    ) -> (Uuid, KeptReport) {
        let name = Uuid::from_bytes(rand::random());
        let kept = KeptReport {
            query: Arc::new(query),
            complete_until,
            size: report.row_count(),
            report: Arc::new(Mutex::new(report)),
            network_id,
            scope,
            since: Instant::now(),
        };
        self.0.insert(name, kept.clone());
        (name, kept)
    }

    /// Report of this name, if it is kept for this network and scope.
    pub(crate) fn find(
        &self,
        name: Uuid,
        network_id: NetworkId,
        scope: Scope,
    ) -> Result<KeptReport, Expired> {
        let kept = self.0.get(&name).ok_or(Expired)?;
        let is_theirs = kept.network_id == network_id && kept.scope == scope;
        if is_theirs && kept.since.elapsed() < KEPT_FOR {
            Ok(kept)
        } else {
            Err(Expired)
        }
    }
}
