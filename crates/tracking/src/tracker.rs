//! Shared state of the tracking paths: the configuration in memory, the journals, and the callers who wait for
//! verdicts.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use campaigns::{ClickIds, Keeper, Kept, Routing, RoutingError};
use chrono::{DateTime, Utc};
use dialects::{Answer, ParsedCall};
use ipnet::IpNet;
use journal::{Appender, OpenError, Refused};
use postbacks::{Authenticator, InboundRequest, PostbackRecord, Reason, Reply, Verdict};
use schema::{Changes, NetworkId, PostbackId, clock};
use tenancy::RateLimit;
use tenancy::networks::Network;
use tenancy::work::Works;
use tokio::task::JoinHandle;
use uuid::Uuid;

use crate::blocks;
use crate::click_record;
use crate::clicks::NewClick;
use crate::counts::Counts;
use crate::health::{Health, Watch};
use crate::ingest::{Answers, ClickStream, Keep, PostbackStream, Progress, remove_old, sweep};
use crate::journals::{self, Journals};
use crate::nodes::{self, Identity, OtherNodes};
use crate::settings::{TrackerSettings, WhenDiskFails};
use crate::visits::{Visits, VisitsError};
use crate::waiting::Waiting;

/// Timeout of a verdict; the response then is that it will follow.
const VERDICT_TIMEOUT: Duration = Duration::from_secs(2);
/// Shortest time between two writes of the file with the configuration of clicks.
const KEEP_INTERVAL: Duration = Duration::from_secs(1);
/// Longest wait for Postgres when a node stops, to remove it from the list.
const REMOVAL_TIMEOUT: Duration = Duration::from_secs(2);

/// Reason why tracking cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The journals cannot be opened.
    #[error("journal: {0}")]
    Journal(#[from] OpenError),
    /// Visitors cannot be classified.
    #[error(transparent)]
    Visits(#[from] VisitsError),
}

/// Senders of postbacks that a rate limit counts together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Sender {
    /// All with a token that is known on this node.
    Known,
    /// All others.
    Unknown,
    /// Others from one address, or one network of IPv6.
    Address(IpAddr),
}

/// Shared state of the tracking paths. Cheap to clone.
#[derive(Clone)]
pub struct Tracker {
    pub(crate) routing: Routing,
    pub(crate) click_ids: ClickIds,
    pub(crate) visits: Arc<Visits>,
    pub(crate) trusted_proxies: Arc<[IpNet]>,
    pub(crate) country_header: Option<Arc<str>>,
    /// Host shared by all networks.
    pub(crate) shared_host: Arc<str>,
    /// Rate limits of postbacks, over one second.
    pub(crate) postback_rate: RateLimit<(NetworkId, Sender)>,
    pub(crate) when_disk_fails: WhenDiskFails,
    pub(crate) journals: Journals,
    pub(crate) counts: Arc<Counts>,
    pub(crate) watch: Arc<Watch>,
    waiting: Waiting,
    click_progress: Arc<Progress>,
    postback_progress: Arc<Progress>,
    appliers: Arc<[JoinHandle<()>]>,
    dashboard_url: Arc<str>,
    pub(crate) others: Arc<OtherNodes>,
    works: Works,
    changes: Changes,
    /// Longest time that a postback waits for a database that does not answer.
    patience: Duration,
    database_url: Arc<str>,
    /// Task that publishes the state of this node.
    publisher: Arc<Mutex<Option<JoinHandle<()>>>>,
}

impl Tracker {
    /// Opens the journals, and starts the appliers and the other background tasks on the current runtime.
    ///
    /// # Errors
    /// Returns an error if the journals, the keys of visitors or the `GeoIP` databases cannot be opened.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn start(settings: TrackerSettings) -> Result<Self, StartError> {
        let url: Arc<str> = settings.database_url.into();
        let storage = settings.storage;
        let journals = Journals::open(&storage.journal)?;
        let keys = storage.journal.folder.join("visitor.keys");
        let visits = Arc::new(Visits::open(&settings.places, keys, settings.db.clone())?);
        let opening = settings.opening;
        let changes = Changes::listen(&opening, &url);
        let kept = storage.journal.folder.join("routing.json");
        let served = settings.urls.served_hosts;
        let routing = Routing::with_kept(settings.db, changes.clone(), read_kept(&kept), served);
        tokio::spawn(opening.clone().then(keep_routing(routing.keeper(), kept)));
        let click_ids = ClickIds::new(settings.secret.clone());
        let authenticator = Authenticator::new(routing.clone(), click_ids.clone(), settings.secret);
        let waiting = Waiting::default();
        let stream = {
            let (authenticator, waiting) = (authenticator.clone(), waiting.clone());
            move |answers| PostbackStream {
                authenticator: authenticator.clone(),
                waiting: waiting.clone(),
                answers,
            }
        };
        let folder = storage.journal.folder.clone();
        let node = journals::node(&folder, journals.slot);
        let clicks = journals::applier(&journals.clicks, &url, &node, ClickStream::new(routing.clone()));
        let answers = Answers::new(&journals.verdicts);
        let postbacks = journals::applier(&journals.postbacks, &url, &node, stream(answers));
        let click_progress = clicks.progress.clone();
        let postback_progress = postbacks.progress.clone();
        let appliers = [
            tokio::spawn(opening.clone().then(clicks.run())),
            tokio::spawn(opening.clone().then(postbacks.run())),
        ];
        let keep = Keep {
            clicks_months: storage.keep_clicks_months,
            accepted_calls_days: storage.keep_accepted_calls_days,
            rejected_calls_days: storage.keep_rejected_calls_days,
            unattributed_days: storage.keep_unattributed_days,
        };
        tokio::spawn(opening.clone().then(remove_old(url.clone(), keep)));
        let works = Works::default();
        tokio::spawn(opening.clone().then(blocks::keep(url.clone(), works.clone())));
        tokio::spawn(opening.clone().then(sweep(
            url.clone(),
            authenticator,
            postback_progress.clone(),
            journals.postbacks.clone(),
        )));
        tokio::spawn(opening.clone().then(journals::apply_abandoned(
            storage.journal,
            journals.slot,
            url.clone(),
            stream,
        )));
        start_visits(&visits, &folder);
        let watch = Arc::new(Watch::default());
        tokio::spawn(watch.clone().watch_clock());
        let identity = Identity {
            id: node_id(&journals),
            name: node,
            started_at: clock::now(),
        };
        let tracker = Self {
            routing,
            click_ids,
            visits,
            trusted_proxies: settings.proxies.trusted,
            country_header: settings.proxies.country_header,
            shared_host: settings.urls.shared_host().into(),
            postback_rate: RateLimit::new(Duration::from_secs(1)),
            when_disk_fails: storage.when_disk_fails,
            journals,
            counts: Arc::new(Counts::new()),
            watch,
            waiting,
            click_progress,
            postback_progress,
            appliers: Arc::new(appliers),
            dashboard_url: settings.urls.dashboard.into(),
            others: Arc::default(),
            works,
            changes,
            patience: settings.patience,
            database_url: url.clone(),
            publisher: Arc::default(),
        };
        let publisher = nodes::keep_publishing(tracker.clone(), url, identity);
        let publisher = tokio::spawn(opening.then(publisher));
        *tracker.publisher.lock().unwrap_or_else(PoisonError::into_inner) = Some(publisher);
        Ok(tracker)
    }

    /// Identity of this node among [`crate::nodes`].
    #[must_use]
    pub fn node_id(&self) -> Uuid {
        node_id(&self.journals)
    }

    /// Changes of the configuration, whose connection shows if the database answers.
    #[must_use]
    pub fn changes(&self) -> &Changes {
        &self.changes
    }

    /// Background work of this process.
    #[must_use]
    pub fn works(&self) -> &Works {
        &self.works
    }

    /// Click IDs of this installation.
    #[must_use]
    pub fn click_ids(&self) -> &ClickIds {
        &self.click_ids
    }

    /// Intake for one worker thread; the tasks that wake its waiting requests run on the current runtime.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    #[must_use]
    pub fn intake(&self) -> Intake {
        let (clicks, wake_clicks) = self.journals.clicks.appender();
        let (postbacks, wake_postbacks) = self.journals.postbacks.appender();
        tokio::spawn(wake_clicks);
        tokio::spawn(wake_postbacks);
        Intake {
            tracker: self.clone(),
            clicks,
            postbacks,
        }
    }

    /// Returns once everything acknowledged before the call is in Postgres.
    pub async fn settled(&self) {
        let (clicks, postbacks) = (self.journals.clicks.next(), self.journals.postbacks.next());
        while self.click_progress.applied() < clicks || self.postback_progress.applied() < postbacks {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Time up to which all events that were acknowledged are in Postgres, and so in reports: of this node exactly, of the
    /// others as of two seconds ago.
    #[must_use]
    pub fn complete_until(&self) -> DateTime<Utc> {
        let own = self.own_complete_until();
        self.others.complete_until().map_or(own, |others| own.min(others))
    }

    /// Time up to which all events that this node acknowledged are in Postgres.
    pub(crate) fn own_complete_until(&self) -> DateTime<Utc> {
        let clicks = self.click_progress.complete_until(&self.journals.clicks);
        let postbacks = self.postback_progress.complete_until(&self.journals.postbacks);
        clicks.min(postbacks)
    }

    /// True if the host is a tracking host of a network, and served.
    ///
    /// # Errors
    /// [`RoutingError`] if the database does not answer, and this node did not know the host before.
    pub async fn is_of_network(&self, host: &str) -> Result<bool, RoutingError> {
        Ok(self.routing.network(host).await?.is_some())
    }

    /// Health of this node.
    #[must_use]
    pub fn health(&self) -> Health {
        let mut health = self.watch.health(&self.journals, self.when_disk_fails);
        health.work = self.works.states();
        health
    }

    /// Raises one of [`crate::health::ALARMS`] with this sentence, or ends it.
    pub fn set_alarm(&self, name: &'static str, message: Option<String>) {
        self.watch.set_alarm(name, message);
    }

    /// Starts draining, before the node stops: responses close their connections, and the health check fails, so that
    /// load balancers use other nodes.
    pub fn drain(&self) {
        self.watch.draining.store(true, Ordering::Relaxed);
    }

    /// True while the node drains.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.watch.draining.load(Ordering::Relaxed)
    }

    /// Closes the journals and applies their records, for `timeout` at most; the rest stays in the journals.
    pub async fn close(&self, timeout: Duration) {
        let journals = self.journals.clone();
        // Waits for the disk.
        if let Err(error) = tokio::task::spawn_blocking(move || journals.close()).await {
            tracing::error!(%error, "the journals were not closed");
        }
        let applied = async {
            while !self.appliers.iter().all(JoinHandle::is_finished) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let is_applied = tokio::time::timeout(timeout, applied).await.is_ok();
        let publisher = {
            let mut publisher = self.publisher.lock().unwrap_or_else(PoisonError::into_inner);
            publisher.take()
        };
        let verdicts = self.journals.verdicts.clone();
        if let Err(error) = tokio::task::spawn_blocking(move || verdicts.close()).await {
            tracing::error!(%error, "the journal of verdicts was not closed");
        }
        if let Some(publisher) = publisher {
            publisher.abort();
            // Ends within the statement that it waits for.
            let _ = publisher.await;
        }
        if is_applied {
            let removed = nodes::remove(&self.database_url, node_id(&self.journals));
            let _ = tokio::time::timeout(REMOVAL_TIMEOUT, removed).await;
        } else {
            tracing::warn!("the journals are not fully applied; the next start applies the rest");
        }
    }

    /// Response to a postback.
    #[must_use]
    pub fn answer(&self, id: PostbackId, reply: &Reply) -> Answer {
        let (verdict, dashboard) = (&reply.verdict, &self.dashboard_url);
        let reason = verdict.reason;
        Answer {
            status: reason.status(),
            reason: reason.code().to_owned(),
            message: verdict.message.clone(),
            hint: verdict.hint.clone(),
            notes: reply.notes.clone(),
            request_id: id.to_string(),
            conversion_id: verdict.conversion_id.map(|id| id.to_string()),
            mode: if reply.is_test { "test" } else { "live" },
            docs: format!("{dashboard}/docs/reasons/{}", reason.code()),
            inspect: reason.is_stored().then(|| format!("{dashboard}/postbacks/{id}")),
        }
    }
}

/// Identity of a node: that of its journal of clicks.
pub(crate) fn node_id(journals: &Journals) -> Uuid {
    Uuid::from_bytes(journals.clicks.identity())
}

/// Restores today's visitors from all journals in the folder, and keeps keys and `GeoIP` databases up to date.
fn start_visits(visits: &Arc<Visits>, folder: &Path) {
    let clicks = journals::all_clicks(folder);
    let restored = visits.clone();
    tokio::task::spawn_blocking(move || {
        for journal in clicks {
            restored.restore(journal, clock::now());
        }
    });
    let refreshed = visits.clone();
    tokio::spawn(async move { refreshed.refresh().await });
}

/// Intake of one worker thread: appends to the journals.
pub struct Intake {
    pub(crate) tracker: Tracker,
    clicks: Appender,
    postbacks: Appender,
}

impl Intake {
    /// Tracker to which it belongs.
    #[must_use]
    pub fn tracker(&self) -> &Tracker {
        &self.tracker
    }

    /// Journals a click. When this returns `Ok`, the click is on disk.
    ///
    /// # Errors
    /// Returns an error if the disk is full or fails. A click may be journaled although its caller stopped waiting; such
    /// an unacknowledged click does no harm.
    #[tracing::instrument(level = "trace", skip_all, fields(network = %network.id, link = %click.link_id))]
    pub async fn record(&self, network: &Network, click: &NewClick) -> Result<(), Refused> {
        let time_zone = network.time_zone();
        self.clicks
            .append(|buffer| click_record::write(buffer, network.id, time_zone, click))
            .await
    }

    /// Journals a parsed postback and waits for its verdict. Unless the reply is `unavailable`, the postback is on
    /// disk.
    #[tracing::instrument(level = "debug", skip_all, fields(network = %network.id, postback = %request.id))]
    pub async fn receive(&self, network: &Network, request: InboundRequest, parsed: ParsedCall) -> Reply {
        let record = PostbackRecord::new(network.id, request, parsed);
        let mut turn = self.tracker.waiting.wait_for(record.id);
        if let Err(refused) = self.postbacks.append(|buffer| record.write(buffer)).await {
            tracing::error!(postback = %record.id, %refused, "postback refused");
            return Reply::native(Verdict::of(Reason::Unavailable));
        }
        match self.verdict(&mut turn.verdict).await {
            Some(Ok(reply)) => reply,
            // A quarantined postback gets no verdict.
            Some(Err(_)) | None => Reply::native(Verdict::of(Reason::Queued)),
        }
    }

    /// Waits for a verdict, as long as the database answers, for [`VERDICT_TIMEOUT`] at most.
    async fn verdict<F: Future + Unpin>(&self, verdict: &mut F) -> Option<F::Output> {
        let tracker = &self.tracker;
        if tracker.postback_progress.is_failing() || !tracker.changes.are_heard() {
            return tokio::time::timeout(Duration::ZERO, verdict).await.ok();
        }
        let step = tracker.patience / 2;
        let began = Instant::now();
        while began.elapsed() < VERDICT_TIMEOUT {
            if let Ok(verdict) = tokio::time::timeout(step, &mut *verdict).await {
                return Some(verdict);
            }
            let answers = tokio::select! {
                verdict = &mut *verdict => return Some(verdict),
                answers = tracker.changes.answers_within(step) => answers,
            };
            if !answers {
                break;
            }
        }
        None
    }
}

/// Configuration of clicks that this node kept; nothing if the file cannot be read.
fn read_kept(path: &Path) -> Kept {
    Kept::read(path).unwrap_or_else(|error| {
        tracing::warn!(file = %path.display(), %error, "kept links not read: links redirect once the database answers");
        Kept::default()
    })
}

/// Keeps the configuration of clicks in a file, for as long as the process runs.
async fn keep_routing(mut keeper: Keeper, path: PathBuf) {
    let mut pause = KEEP_INTERVAL;
    loop {
        tokio::time::sleep(pause).await;
        let (began, file) = (Instant::now(), path.clone());
        let written = tokio::task::spawn_blocking(move || {
            let written = keeper.write(&file);
            (keeper, written)
        });
        let Ok((returned, written)) = written.await else {
            return;
        };
        keeper = returned;
        if let Err(error) = written {
            tracing::warn!(file = %path.display(), %error, "links not kept");
        }
        // Takes at most a hundredth of a core, whatever the number of links.
        pause = KEEP_INTERVAL.max(began.elapsed() * 100);
    }
}
