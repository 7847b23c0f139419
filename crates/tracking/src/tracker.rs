//! Shared state of the tracking paths: the configuration in memory, the journals, and the callers who wait for verdicts.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use campaigns::{ClickIds, Routing};
use dialects::{Answer, ParsedCall};
use ipnet::IpNet;
use journal::{Appender, OpenError, Refused};
use postbacks::{Authenticator, InboundRequest, PostbackRecord, Reason, Reply, Verdict};
use schema::{Changes, NetworkId, PostbackId, clock};
use tenancy::RateLimit;
use tenancy::networks::Network;
use tokio::task::JoinHandle;

use crate::click_record;
use crate::clicks::NewClick;
use crate::counts::Counts;
use crate::health::{Health, Watch};
use crate::ingest::{ClickStream, PostbackStream, Progress, drop_old_clicks, sweep};
use crate::journals::{self, Journals};
use crate::settings::{TrackerSettings, WhenDiskFails};
use crate::visits::{Visits, VisitsError};
use crate::waiting::Waiting;

/// Timeout of a verdict; the response then is that it will follow.
const VERDICT_TIMEOUT: Duration = Duration::from_secs(2);

/// Why tracking cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The journals cannot be opened.
    #[error("journal: {0}")]
    Journal(#[from] OpenError),
    /// Visitors cannot be told apart.
    #[error(transparent)]
    Visits(#[from] VisitsError),
}

/// The tracking paths' shared parts. Cheap to clone.
#[derive(Clone)]
pub struct Tracker {
    pub(crate) routing: Routing,
    pub(crate) click_ids: ClickIds,
    pub(crate) visits: Arc<Visits>,
    pub(crate) trusted_proxies: Arc<[IpNet]>,
    pub(crate) country_header: Option<Arc<str>>,
    /// The host that all networks share.
    pub(crate) shared_host: Arc<str>,
    /// Postbacks per second and network.
    pub(crate) postback_rate: RateLimit<NetworkId>,
    pub(crate) when_disk_fails: WhenDiskFails,
    pub(crate) journals: Journals,
    pub(crate) counts: Arc<Counts>,
    watch: Arc<Watch>,
    waiting: Waiting,
    click_progress: Arc<Progress>,
    postback_progress: Arc<Progress>,
    appliers: Arc<[JoinHandle<()>]>,
    dashboard_url: Arc<str>,
}

impl Tracker {
    /// Opens the journals and starts what works in the background on the current runtime: what is in the journals is
    /// applied from now on.
    ///
    /// # Errors
    /// When the journals or the files of places cannot be opened.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn start(settings: TrackerSettings) -> Result<Self, StartError> {
        let url: Arc<str> = settings.database_url.into();
        let storage = settings.storage;
        let journals = Journals::open(&storage.journal)?;
        let keys = storage.journal.folder.join("visitor.keys");
        let visits = Arc::new(Visits::open(&settings.places, keys, settings.db.clone())?);
        let changes = Changes::listen(&url);
        let routing = Routing::new(settings.db, changes);
        let click_ids = ClickIds::new(settings.secret.clone());
        let authenticator = Authenticator::new(routing.clone(), click_ids.clone(), settings.secret);
        let waiting = Waiting::default();
        let stream = {
            let (authenticator, waiting) = (authenticator.clone(), waiting.clone());
            move || PostbackStream {
                authenticator: authenticator.clone(),
                waiting: waiting.clone(),
            }
        };
        let folder = storage.journal.folder.clone();
        let node = journals::node(&folder, journals.slot);
        let clicks = journals::applier(&journals.clicks, &url, &node, ClickStream::new(routing.clone()));
        let postbacks = journals::applier(&journals.postbacks, &url, &node, stream());
        let click_progress = clicks.progress.clone();
        let postback_progress = postbacks.progress.clone();
        let appliers = [tokio::spawn(clicks.run()), tokio::spawn(postbacks.run())];
        if let Some(months) = storage.keep_clicks_months {
            tokio::spawn(drop_old_clicks(url.clone(), months));
        }
        tokio::spawn(sweep(
            url.clone(),
            authenticator,
            postback_progress.clone(),
            journals.postbacks.clone(),
        ));
        tokio::spawn(journals::apply_abandoned(
            storage.journal,
            journals.slot,
            url,
            stream,
        ));
        learn_and_watch(&visits, &folder);
        let watch = Arc::new(Watch::default());
        tokio::spawn(watch.clone().watch_clock());
        Ok(Self {
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
        })
    }

    /// The click ids of this installation.
    #[must_use]
    pub fn click_ids(&self) -> &ClickIds {
        &self.click_ids
    }

    /// A way in for one worker thread; what wakes those who wait there runs on the current runtime.
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

    /// Returns when everything that was acknowledged before the call is in Postgres.
    pub async fn settled(&self) {
        let (clicks, postbacks) = (self.journals.clicks.next(), self.journals.postbacks.next());
        while self.click_progress.applied() < clicks || self.postback_progress.applied() < postbacks {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Health of this node.
    #[must_use]
    pub fn health(&self) -> Health {
        self.watch.health(&self.journals)
    }

    /// Says that the node is about to stop: redirects and answers to postbacks ask their connection to be closed, and
    /// load balancers are told to go elsewhere.
    pub fn drain(&self) {
        self.watch.draining.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.watch.draining.load(Ordering::Relaxed)
    }

    /// Takes nothing more in, and applies what was taken, for `patience` at most: what is left is in the journal.
    pub async fn close(&self, patience: Duration) {
        let journals = self.journals.clone();
        // Waits for the disk.
        drop(tokio::task::spawn_blocking(move || journals.close()).await);
        let applied = async {
            while !self.appliers.iter().all(JoinHandle::is_finished) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        if tokio::time::timeout(patience, applied).await.is_err() {
            tracing::warn!("not everything is applied yet; the journal keeps it for the next start");
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
            request_id: id.to_string(),
            conversion_id: verdict.conversion_id.map(|id| id.to_string()),
            mode: if reply.is_test { "test" } else { "live" },
            docs: format!("{dashboard}/docs/reasons/{}", reason.code()),
            inspect: reason.is_stored().then(|| format!("{dashboard}/postbacks/{id}")),
        }
    }
}

/// Reads who has been here today from the journals, those of other processes too, and looks after keys and places.
fn learn_and_watch(visits: &Arc<Visits>, folder: &Path) {
    let clicks = journals::all_clicks(folder);
    let learning = visits.clone();
    tokio::task::spawn_blocking(move || {
        for journal in clicks {
            learning.learn(journal, clock::now());
        }
    });
    let watching = visits.clone();
    tokio::spawn(async move { watching.keep_fresh().await });
}

/// The way into the journals for one worker thread.
pub struct Intake {
    pub(crate) tracker: Tracker,
    clicks: Appender,
    postbacks: Appender,
}

impl Intake {
    /// The tracker whose way in it is.
    #[must_use]
    pub fn tracker(&self) -> &Tracker {
        &self.tracker
    }

    /// Journals a click. When this returns `Ok`, the click is on disk.
    ///
    /// # Errors
    /// When the disk is full or fails. A caller who stops waiting may have it journaled all the same: an
    /// unacknowledged extra click harms nobody.
    pub async fn record(&self, network: &Network, click: &NewClick) -> Result<(), Refused> {
        let time_zone = network.time_zone();
        self.clicks
            .append(|buffer| click_record::write(buffer, network.id, time_zone, click))
            .await
    }

    /// Journals a parsed postback and waits for its verdict. A postback with any reply but `unavailable` is on disk.
    #[tracing::instrument(level = "debug", skip_all, fields(network = %network.id, postback = %request.id))]
    pub async fn receive(&self, network: &Network, request: InboundRequest, parsed: ParsedCall) -> Reply {
        let record = PostbackRecord::new(network.id, request, parsed);
        let mut turn = self.tracker.waiting.wait_for(record.id);
        if let Err(refused) = self.postbacks.append(|buffer| record.write(buffer)).await {
            tracing::error!(postback = %record.id, %refused, "postback refused");
            return Reply::native(Verdict::of(Reason::Unavailable));
        }
        let timeout = if self.tracker.postback_progress.is_failing() {
            Duration::ZERO
        } else {
            VERDICT_TIMEOUT
        };
        match tokio::time::timeout(timeout, &mut turn.verdict).await {
            Ok(Ok(reply)) => reply,
            // A quarantined postback gets no verdict.
            Ok(Err(_)) | Err(_) => Reply::native(Verdict::of(Reason::Queued)),
        }
    }
}
