//! The engine of a node: queues the deliveries of new events, claims those that are due, sends them, and records the
//! attempts. Any number of nodes may run it.
//!
//! A claim is a lease: a node that ends between sending and recording leaves deliveries that another node repeats, with the
//! same ids, when the lease is over.

mod claim;
mod lateness;
mod mark;
mod queue;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use schema::batch::{BatchError, IngestClient};
use schema::changes::EventSignals;
use schema::{Db, DestinationId, NetworkId, clock};
use telemetry::catalog;
use tenancy::work::{Work, Works};
use tenancy::{Mailer, Secret};
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinHandle;

pub use lateness::{Lateness, SetAlarm};

use crate::message::Writer;
use crate::notices;
use crate::retention;
use crate::send::Caller;
use claim::{Job, Turn};
use mark::{Attempt, mark};

/// Longest time between looks at the queue without a signal: signals are lost while their connection is broken.
const POLL_INTERVAL: Duration = Duration::from_secs(5);
/// Pause after a failure of the database.
const FAILURE_PAUSE: Duration = Duration::from_secs(1);
/// Most calls of a node at once.
const MAX_IN_FLIGHT: usize = 512;
/// Most results recorded in one transaction.
const MAX_MARKED: usize = 500;
/// Interval of mails about failing destinations, and of the removal of old rows.
const CHORES_INTERVAL: Duration = Duration::from_secs(60);
/// Outcomes of attempts in the metrics.
const DELIVERED: &str = "delivered";
const FAILED: &str = "failed";
/// Longest wait for calls in flight when the node stops.
const STOP_TIMEOUT: Duration = Duration::from_secs(5);

/// Settings of the engine.
pub struct EngineSettings {
    /// Address of the database.
    pub database_url: String,
    /// Pool for the mails about failing destinations.
    pub db: Db,
    /// Secret of the installation.
    pub secret: Secret,
    /// Client that makes the calls.
    pub caller: Caller,
    /// Sender of mails.
    pub mailer: Mailer,
    /// Public URL of the dashboard.
    pub dashboard_url: String,
    /// Signals of stored events.
    pub signals: EventSignals,
    /// Alarm of the node about late deliveries.
    pub set_alarm: SetAlarm,
    /// Background work of the node.
    pub works: Works,
}

/// Running engine.
pub struct Engine {
    stop: Arc<Notify>,
    running: JoinHandle<()>,
    chores: JoinHandle<()>,
    watch: JoinHandle<()>,
    lateness: Lateness,
}

impl Engine {
    /// Starts the engine, once the database is open.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    #[must_use]
    pub fn start(settings: EngineSettings, opening: &schema::Opening) -> Self {
        // The series exist from the start: an increase from no value is not seen as one.
        for outcome in [DELIVERED, FAILED] {
            catalog::DELIVERY_DURATION.with(&[outcome]);
        }
        let stop = Arc::new(Notify::new());
        let (sent, results) = mpsc::channel(MAX_IN_FLIGHT);
        let sender = Sender {
            caller: settings.caller,
            writer: Writer::new(settings.secret),
            sent,
        };
        let works = settings.works.clone();
        let lateness = Lateness::default();
        let watching = lateness::keep_watch(
            settings.database_url.clone(),
            lateness.clone(),
            settings.set_alarm,
        );
        let watch = tokio::spawn(opening.clone().then(watching));
        let dispatcher = Dispatcher {
            url: settings.database_url,
            sender,
            results,
            unmarked: Vec::new(),
            in_flight: HashMap::new(),
            is_stopping: false,
            signals: settings.signals,
            works,
        };
        let running = tokio::spawn(opening.clone().then(dispatcher.run(stop.clone())));
        let chores = tokio::spawn(opening.clone().then(keep_chores(
            settings.db,
            settings.mailer,
            settings.dashboard_url,
            settings.works,
        )));
        Self {
            stop,
            running,
            chores,
            watch,
            lateness,
        }
    }

    /// Lateness of the queue, as of the last look of this node.
    #[must_use]
    pub fn lateness(&self) -> Lateness {
        self.lateness.clone()
    }

    /// Claims nothing more, and waits a few seconds until the calls in flight are recorded.
    pub async fn stop(self) {
        self.chores.abort();
        self.watch.abort();
        self.stop.notify_one();
        let abort = self.running.abort_handle();
        if tokio::time::timeout(STOP_TIMEOUT, self.running).await.is_err() {
            abort.abort();
        }
    }
}

/// Mails about failing destinations and removes old rows, for as long as the process runs.
async fn keep_chores(db: Db, mailer: Mailer, dashboard_url: String, works: Works) {
    let mut interval = tokio::time::interval(CHORES_INTERVAL);
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        interval.tick().await;
        let chore = |network_id| {
            let (db, mailer, dashboard_url) = (db.clone(), mailer.clone(), dashboard_url.clone());
            async move {
                retention::remove_old(&db, network_id, clock::now()).await?;
                let mailed = notices::notify(&db, network_id, &mailer, &dashboard_url).await?;
                Ok(mailed)
            }
        };
        works.run_everywhere(Work::Deliveries, &db, chore).await;
    }
}

/// Parts that the tasks of calls share.
#[derive(Clone)]
struct Sender {
    caller: Caller,
    writer: Writer,
    sent: mpsc::Sender<Attempt>,
}

impl Sender {
    fn spawn(&self, job: Job) {
        let sender = self.clone();
        tokio::spawn(async move {
            let attempt = sender.attempt(job).await;
            // Fails only when the engine has stopped; the lease ends then, and the delivery is repeated.
            let _ = sender.sent.send(attempt).await;
        });
    }

    async fn attempt(&self, job: Job) -> Attempt {
        let now = clock::now();
        match self.writer.call(&job.target, &job.content, now) {
            Ok(call) => {
                let outcome = self.caller.call(&call).await;
                let label = if outcome.is_delivered() { DELIVERED } else { FAILED };
                catalog::DELIVERY_DURATION.record(&[label], outcome.duration);
                Attempt::of(&job, call.method, call.shown_url, outcome)
            }
            Err(problem) => Attempt::unsendable(&job, problem),
        }
    }
}

/// Loop of the engine on its connection.
struct Dispatcher {
    url: String,
    sender: Sender,
    results: mpsc::Receiver<Attempt>,
    /// Attempts that are not recorded yet.
    unmarked: Vec<Attempt>,
    /// Calls in flight by destination.
    in_flight: HashMap<(NetworkId, DestinationId), usize>,
    is_stopping: bool,
    signals: EventSignals,
    works: Works,
}

impl Dispatcher {
    async fn run(mut self, stop: Arc<Notify>) {
        while !self.is_done() {
            if let Err(error) = self.run_until_failure(&stop).await {
                tracing::warn!(%error, "deliveries wait for the database; retrying");
                self.works.failed(Work::Deliveries, &error);
                tokio::select! {
                    () = tokio::time::sleep(FAILURE_PAUSE) => {}
                    () = stop.notified() => self.is_stopping = true,
                }
            }
        }
    }

    fn is_done(&self) -> bool {
        self.is_stopping && self.in_flight.is_empty() && self.unmarked.is_empty()
    }

    async fn run_until_failure(&mut self, stop: &Notify) -> Result<(), BatchError> {
        let mut client = IngestClient::connect(&self.url).await?;
        while !self.is_done() {
            self.take_results();
            let marked = self.mark(&mut client).await?;
            let mut claimed = 0;
            let mut queued = 0;
            if !self.is_stopping {
                queued = queue::queue_new(&mut client).await?;
                claimed = self.claim(&mut client).await?;
            }
            if marked + claimed + queued == 0 {
                let pause = claim::until_due(&mut client).await?.min(POLL_INTERVAL);
                tokio::select! {
                    Some(attempt) = self.results.recv() => self.receive(attempt),
                    () = self.signals.any() => {}
                    () = tokio::time::sleep(pause) => {}
                    () = stop.notified() => self.is_stopping = true,
                }
            }
        }
        Ok(())
    }

    fn receive(&mut self, attempt: Attempt) {
        let key = attempt.destination();
        if let Some(count) = self.in_flight.get_mut(&key) {
            *count -= 1;
            if *count == 0 {
                self.in_flight.remove(&key);
            }
        }
        self.unmarked.push(attempt);
    }

    fn take_results(&mut self) {
        while self.unmarked.len() < MAX_MARKED {
            match self.results.try_recv() {
                Ok(attempt) => self.receive(attempt),
                Err(_) => break,
            }
        }
    }

    /// Records attempts; those of a failed transaction are recorded later.
    async fn mark(&mut self, client: &mut IngestClient) -> Result<usize, BatchError> {
        if self.unmarked.is_empty() {
            return Ok(0);
        }
        let transaction = client.begin().await?;
        mark(transaction.tx(), &self.unmarked).await?;
        transaction.commit().await?;
        let marked = self.unmarked.len();
        self.unmarked.clear();
        Ok(marked)
    }

    /// First attempts before retries.
    async fn claim(&mut self, client: &mut IngestClient) -> Result<usize, BatchError> {
        let mut claimed = 0;
        for turn in [Turn::Network, Turn::First, Turn::Retries] {
            let busy: usize = self.in_flight.values().sum();
            let free = MAX_IN_FLIGHT.saturating_sub(busy);
            if free == 0 {
                break;
            }
            let transaction = client.begin().await?;
            let jobs = claim::claim(transaction.tx(), turn, free, &self.in_flight).await?;
            transaction.commit().await?;
            claimed += jobs.len();
            for job in jobs {
                if job.content.lacks_click() {
                    continue;
                }
                *self.in_flight.entry(job.destination()).or_default() += 1;
                self.sender.spawn(job);
            }
        }
        Ok(claimed)
    }
}
