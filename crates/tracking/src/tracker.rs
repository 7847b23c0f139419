//! What the tracking paths share: the configuration in memory, the journals, and those who wait for verdicts.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use campaigns::Routing;
use chrono::{DateTime, Utc};
use dialects::{Answer, RawCall};
use ipnet::IpNet;
use journal::{Appender, OpenError, Refused};
use schema::{Changes, NetworkId, PostbackId, clock};
use tenancy::RateLimit;
use tenancy::networks::Network;
use tokio::task::JoinHandle;

use crate::click_id::ClickIds;
use crate::click_record;
use crate::clicks::NewClick;
use crate::condition::{Condition, Watch};
use crate::counts::Counts;
use crate::ingest::{ClickLoad, PostbackLoad, Progress, drop_old_clicks, sweep};
use crate::journals::{self, Journals};
use crate::judge::Judge;
use crate::postback_record::PostbackRecord;
use crate::settings::{TrackerSettings, WhenDiskFails};
use crate::verdict::{Reason, Told, Verdict};
use crate::visits::{Visits, VisitsError};
use crate::waiting::Waiting;

/// How long an advertiser's server is made to wait for a verdict before it is told that one will follow.
const PATIENCE: Duration = Duration::from_secs(2);

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

/// A postback as it arrived.
#[derive(Debug, Clone)]
pub struct InboundCall {
    /// Its receipt.
    pub id: PostbackId,
    /// When it reached us.
    pub received_at: DateTime<Utc>,
    /// GET or POST.
    pub method: String,
    /// Request target as received.
    pub target: String,
    /// Where in the target the call itself begins: behind the network's slug on the host that all share.
    pub spoken_from: usize,
    /// `Content-Type` header.
    pub content_type: Option<String>,
    /// `Authorization` header.
    pub authorization: Option<String>,
    /// `X-Api-Key` or `Api-Key` header.
    pub api_key: Option<String>,
    /// [`crate::signature::HEADER`]
    pub signature: Option<String>,
    /// Body as received.
    pub body: Vec<u8>,
    /// Address of the caller.
    pub remote_ip: Option<IpNet>,
    /// Whether it came over https; none where nothing is known.
    pub over_https: Option<bool>,
    /// Why it could not even be received whole, if so.
    pub flaw: Option<Reason>,
}

impl InboundCall {
    /// A plain GET of a target, come in at this time.
    #[must_use]
    pub fn get(target: &str, received_at: DateTime<Utc>, remote_ip: Option<IpNet>) -> Self {
        Self {
            id: PostbackId::fresh(received_at),
            received_at,
            method: "GET".to_owned(),
            target: target.to_owned(),
            spoken_from: 0,
            content_type: None,
            authorization: None,
            api_key: None,
            signature: None,
            body: Vec::new(),
            remote_ip,
            over_https: None,
            flaw: None,
        }
    }

    /// The call as a dialect reads it: without the network in front.
    pub(crate) fn raw(&self) -> RawCall<'_> {
        RawCall {
            method: &self.method,
            target: self.target.get(self.spoken_from..).unwrap_or_default(),
            content_type: self.content_type.as_deref(),
            authorization: self.authorization.as_deref(),
            api_key: self.api_key.as_deref(),
            body: &self.body,
        }
    }
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
        let judge = Judge {
            routing: routing.clone(),
            click_ids: click_ids.clone(),
            secret: settings.secret,
        };
        let waiting = Waiting::default();
        let load = {
            let (judge, waiting) = (judge.clone(), waiting.clone());
            move || PostbackLoad {
                judge: judge.clone(),
                waiting: waiting.clone(),
            }
        };
        let folder = storage.journal.folder.clone();
        let node = journals::node(&folder, journals.slot);
        let clicks = journals::applier(&journals.clicks, &url, &node, ClickLoad::new(routing.clone()));
        let postbacks = journals::applier(&journals.postbacks, &url, &node, load());
        let click_progress = clicks.progress.clone();
        let postback_progress = postbacks.progress.clone();
        let appliers = [tokio::spawn(clicks.run()), tokio::spawn(postbacks.run())];
        if let Some(months) = storage.keep_clicks_months {
            tokio::spawn(drop_old_clicks(url.clone(), months));
        }
        tokio::spawn(sweep(
            url.clone(),
            judge,
            postback_progress.clone(),
            journals.postbacks.clone(),
        ));
        tokio::spawn(journals::apply_abandoned(
            storage.journal,
            journals.slot,
            url,
            load,
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

    /// How this node fares.
    #[must_use]
    pub fn condition(&self) -> Condition {
        self.watch.condition(&self.journals)
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

    /// The answer that tells a verdict.
    #[must_use]
    pub fn answer(&self, id: PostbackId, told: &Told) -> Answer {
        let (verdict, dashboard) = (&told.verdict, &self.dashboard_url);
        let reason = verdict.reason;
        Answer {
            status: reason.status(),
            reason: reason.code().to_owned(),
            message: verdict.message.clone(),
            hint: verdict.hint.clone(),
            request_id: id.to_string(),
            conversion_id: verdict.conversion_id.map(|id| id.to_string()),
            mode: if told.is_test { "test" } else { "live" },
            docs: format!("{dashboard}/docs/reasons/{}", reason.code()),
            inspect: reason.is_kept().then(|| format!("{dashboard}/postbacks/{id}")),
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

    /// Takes a postback in: understands it, journals it, waits for its verdict, and says what to tell.
    ///
    /// What is answered with anything but `unavailable` is on disk.
    pub async fn receive(&self, network: &Network, call: InboundCall) -> Told {
        let record = PostbackRecord::of(network.id, call);
        let mut turn = self.tracker.waiting.wait_for(record.id);
        if let Err(refused) = self.postbacks.append(|buffer| record.write(buffer)).await {
            tracing::error!(postback = %record.id, %refused, "postback refused");
            return Told::plainly(Verdict::of(Reason::Unavailable));
        }
        let patience = match self.tracker.postback_progress.is_failing() {
            true => Duration::ZERO,
            false => PATIENCE,
        };
        match tokio::time::timeout(patience, &mut turn.verdict).await {
            Ok(Ok(told)) => told,
            // Nobody tells those whose postback was put aside.
            Ok(Err(_)) | Err(_) => Told::plainly(Verdict::of(Reason::Queued)),
        }
    }
}
