//! The engine: brings blocks, young clicks and conversions together into the groups of a report.

use std::num::NonZero;
use std::sync::Arc;
use std::thread::available_parallelism;
use std::time::Instant;

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use schema::{NetworkConn, NetworkId, clock};
use telemetry::catalog;
use tenancy::Scope;
use tenancy::exchange_rates::Rates;
use tenancy::networks::Network;
use tokio::sync::{Notify, Semaphore};
use uuid::Uuid;

use crate::background::in_background;
use crate::blocks::{Block, BlockCache, Coverage, sum_blocks};
use crate::click_groups::ClickGroups;
use crate::events::{Events, SpanCache};
use crate::groups::Groups;
use crate::kept::{Expired, KeptReport, KeptReports};
use crate::keys::Keys;
use crate::lookups::Lookups;
use crate::plan::Plan;
use crate::report::{self, Labels, Report};
use crate::{Basis, Dimension, Metric, ReportError, ReportQuery};

/// Reports that are computed at once; others wait. A large one takes all threads and some hundred megabytes.
const CONCURRENT_REPORTS: usize = 2;
/// Threads of a report.
const MAX_THREADS: usize = 4;
/// Groups of a block up to which its sums are kept for the next time.
const MAX_KEPT_GROUPS: usize = 2_000;
/// Attempts to read the columns of blocks, which may be replaced meanwhile.
const ATTEMPTS: usize = 3;

/// Engine of reports, with its memory. Cheap to clone; one per process.
#[derive(Clone)]
pub struct Engine(Arc<Inner>);

struct Inner {
    cache: BlockCache,
    spans: SpanCache,
    kept: KeptReports,
    slots: Semaphore,
    threads: usize,
    /// Announcement of a file that waits to be prepared.
    file: Notify,
}

impl Default for Engine {
    fn default() -> Self {
        Self(Arc::new(Inner {
            cache: BlockCache::new(),
            spans: SpanCache::new(),
            kept: KeptReports::new(),
            slots: Semaphore::new(CONCURRENT_REPORTS),
            threads: available_parallelism().map_or(1, NonZero::get).min(MAX_THREADS),
            file: Notify::new(),
        }))
    }
}

impl Engine {
    /// Runs a report over the events in `scope`, and puts its first `rows` rows in order. A filter outside of the scope finds
    /// nothing.
    ///
    /// # Errors
    /// [`ReportError`].
    pub async fn run(
        &self,
        conn: &mut NetworkConn,
        network: &Network,
        scope: Scope,
        query: &ReportQuery,
        rows: usize,
    ) -> Result<Report, ReportError> {
        let began = Instant::now();
        let report = self.compute(conn, network, scope, query, rows).await;
        let outcome = if report.is_ok() { "answered" } else { "failed" };
        catalog::REPORT_DURATION.record(&[outcome], began.elapsed());
        report
    }

    async fn compute(
        &self,
        conn: &mut NetworkConn,
        network: &Network,
        scope: Scope,
        query: &ReportQuery,
        rows: usize,
    ) -> Result<Report, ReportError> {
        let zone = query.zone.unwrap_or(network.time_zone());
        let keys = Arc::new(Keys::new(query.group.len()));
        let lookups = Lookups::load(conn, query, scope).await?;
        let question = Question {
            zone,
            scope,
            keys: &keys,
            lookups: &Arc::new(lookups),
        };
        let groups = self.groups(conn, &question, query).await?;
        let before = match query.compared() {
            Some(compared) => Some(self.groups(conn, &question, &compared).await?),
            None => None,
        };
        let hides_affiliates = scope.hides_affiliates(conn).await?;
        let names = report::names(conn, query, &keys, hides_affiliates).await?;
        let labels = Labels::new(query, &keys, names, &question.lookups.later_goals);
        report::finish(query, groups, before, labels, rows).await
    }

    /// Keeps a report, which has all events up to a time, for five minutes, so that its pages can be requested one by one.
    /// Returns its name.
    #[must_use]
    pub fn keep(
        &self,
        network_id: NetworkId,
        scope: Scope,
        query: ReportQuery,
        report: Report,
        complete_until: DateTime<Utc>,
    ) -> (Uuid, KeptReport) {
        let kept = &self.0.kept;
        kept.keep(network_id, scope, query, report, complete_until)
    }

    /// Announces that a file waits to be prepared, so that this node begins at once.
    pub fn announce_file(&self) {
        self.0.file.notify_one();
    }

    /// Waits until a file is announced.
    pub(crate) async fn file_announced(&self) {
        self.0.file.notified().await;
    }

    /// Report that was kept under this name for an actor of this network and scope.
    ///
    /// # Errors
    /// [`Expired`].
    pub fn kept(&self, name: Uuid, network_id: NetworkId, scope: Scope) -> Result<KeptReport, Expired> {
        self.0.kept.find(name, network_id, scope)
    }

    /// Groups of a query.
    async fn groups(
        &self,
        conn: &mut NetworkConn,
        question: &Question<'_>,
        query: &ReportQuery,
    ) -> Result<Groups, ReportError> {
        let scope = question.scope;
        let lookups = question.lookups.clone();
        let plan = Arc::new(Plan::new(query, question.zone, lookups));
        let rates = match query.convert {
            Some(_) => Some(Rates::load(conn, query.from, query.to).await?),
            None => None,
        };
        let events = Events {
            kept: question.of_spans(query, &plan).map(|text| (&self.0.spans, text)),
            rates,
            query,
            plan: &plan,
            keys: question.keys,
            scope,
        };
        let mut groups = Groups::default();
        if plan.counts_clicks() {
            let uses_sums = events.uses_sums();
            let is_quarter = |at: DateTime<Utc>| !uses_sums || clock::quarter_hour(at) == at;
            let mut gaps = None;
            for _ in 0..ATTEMPTS {
                let coverage = Coverage::of(conn, (plan.from, plan.to), is_quarter).await?;
                if let Some(added) = self
                    .blocks(
                        conn,
                        question,
                        question.of_blocks(query, &plan),
                        &plan,
                        &coverage.blocks,
                    )
                    .await?
                {
                    groups.clicks.merge(added);
                    gaps = Some(coverage.gaps);
                    break;
                }
            }
            // The clicks of a sealed block are nowhere else, so that no other reading takes its place.
            for gap in gaps.ok_or_else(|| ReportError::failed(Replaced))? {
                events.add_clicks(conn, gap, &mut groups).await?;
            }
        }
        events.add_conversions(conn, &mut groups).await?;
        if query.used_metrics().any(Metric::is_of_postbacks) {
            events.add_postbacks(conn, &mut groups).await?;
        }
        Ok(groups)
    }

    /// Clicks of blocks; `None` if one was replaced while its columns were read.
    async fn blocks(
        &self,
        conn: &mut NetworkConn,
        question: &Question<'_>,
        text: Option<Arc<str>>,
        plan: &Arc<Plan>,
        blocks: &[Block],
    ) -> Result<Option<ClickGroups>, ReportError> {
        let mut groups = Groups::default();
        let mut unknown = Vec::new();
        for block in blocks {
            let known = text.as_ref().and_then(|text| {
                let is_inside = block.is_inside((plan.from, plan.to));
                is_inside
                    .then(|| self.0.cache.partial(block.build, text))
                    .flatten()
            });
            match known {
                Some(partial) => {
                    for (values, clicks) in &*partial {
                        let key = question.keys.key(values).ok_or(ReportError::TooLarge)?;
                        groups.add_clicks(key, *clicks);
                    }
                }
                None => unknown.push(block.clone()),
            }
        }
        if unknown.is_empty() {
            return Ok(Some(groups.clicks));
        }
        let _slot = self.0.slots.acquire().await.map_err(ReportError::failed)?;
        let names: Vec<_> = plan
            .click_fields()
            .map(|planned| planned.field.column())
            .collect();
        let period = (plan.from, plan.to);
        let Some(loaded) = self.0.cache.load(conn, &unknown, &names, period).await? else {
            return Ok(None);
        };
        let is_clipped: Vec<bool> = loaded.iter().map(|block| block.quarters.is_some()).collect();
        let keeps_apart = text.is_some();
        let (plan, keys, threads) = (plan.clone(), question.keys.clone(), self.0.threads);
        let summed = move || sum_blocks(&loaded, &plan, &keys, threads, keeps_apart);
        let summed = in_background(summed).await??;
        for (at, added) in summed {
            let kept = at.filter(|at| is_clipped.get(*at) == Some(&false) && added.len() <= MAX_KEPT_GROUPS);
            if let (Some(block), Some(text)) = (kept.and_then(|at| unknown.get(at)), &text) {
                let values = |key| question.keys.texts_of(key);
                let partial = added.iter().map(|(key, clicks)| (values(key), clicks)).collect();
                self.0.cache.keep(block.build, text, partial);
            }
            groups.clicks.merge(added);
            groups.check_size()?;
        }
        Ok(Some(groups.clicks))
    }
}

/// Error for blocks that were replaced each time that their columns were read.
#[derive(Debug, thiserror::Error)]
#[error("the blocks of clicks were replaced {ATTEMPTS} times while they were read")]
struct Replaced;

/// A question besides its query and period.
struct Question<'a> {
    zone: Tz,
    scope: Scope,
    keys: &'a Arc<Keys>,
    lookups: &'a Arc<Lookups>,
}

impl Question<'_> {
    /// Text by which the sums of a block are found again: everything that they depend on, but for the columns. `None` if they
    /// have too many groups to be kept, or depend on configuration that changes.
    fn of_blocks(&self, query: &ReportQuery, plan: &Plan) -> Option<Arc<str>> {
        let mut dimensions = query.dimensions();
        let is_kept = dimensions.all(|dimension| !is_derived(dimension) && !dimension.field().is_of_visit());
        is_kept.then(|| self.text(query, plan))
    }

    /// The same of the conversions of a span. `None` if they depend on configuration that changes, or on other conversions.
    fn of_spans(&self, query: &ReportQuery, plan: &Plan) -> Option<Arc<str>> {
        let mut dimensions = query.dimensions();
        let is_kept = query.by == Basis::Conversion
            && query.convert.is_none()
            && dimensions.all(|dimension| !is_derived(dimension) && !dimension.field().is_of_customer());
        is_kept.then(|| self.text(query, plan))
    }

    fn text(&self, query: &ReportQuery, plan: &Plan) -> Arc<str> {
        let (group, filters) = (&query.group, &query.filters);
        let fixed = plan.fixed();
        format!("{group:?} {filters:?} {} {:?} {fixed}", self.zone, self.scope).into()
    }
}

/// True if the value of a dimension follows from configuration as it is today.
fn is_derived(dimension: Dimension) -> bool {
    matches!(
        dimension,
        Dimension::Advertiser
            | Dimension::Categories
            | Dimension::Group
            | Dimension::Tags
            | Dimension::Manager
    )
}
