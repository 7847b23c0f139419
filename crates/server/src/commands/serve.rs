//! `clickledger serve`.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::pin::pin;
use std::time::Duration;

use listenfd::ListenFd;
use schema::{Opening, clock};
use sd_notify::NotifyState;
use tenancy::{Mailer, operators};
use tokio::sync::watch;
use tracing::{Instrument as _, info_span};
use tracking::Tracker;

use super::{CommandError, backup, stop_signal};
use crate::config::ServeOptions;
use crate::database::NamedDatabase;
use crate::postgres::PostgresWatch;
use crate::serve::{self, Listeners, Running, SILENCE_TIMEOUT, ServeSettings, bind};
use crate::traces::Exporter;

/// Time for which responses ask clients to close their connections before the server stops.
const DRAIN_TIME: Duration = Duration::from_secs(1);

/// Longest wait for the database before the server begins to serve without it.
const GRACE: Duration = Duration::from_secs(1);
/// The same where another process serves meanwhile.
const HANDOVER_GRACE: Duration = Duration::from_secs(10);
/// Alarm while the database is not open.
const AWAY: &str = "database_away";
/// Effect of a database that is away, for operators.
const WAITING: &str =
    "Meanwhile, links that this node has redirected before go on redirecting, and postbacks are queued.";

/// Serves until a signal to stop, then drains, and sends the last traces. Listens at once, also while the database is away.
///
/// # Errors
/// Returns an error if the server cannot start.
pub async fn serve(options: ServeOptions, exporter: Option<Exporter>) -> Result<(), CommandError> {
    let exporting = exporter.map(Exporter::spawn);
    let mailer = Mailer::new(&options.mail.settings()?)?;
    let mut inherited = InheritedListeners::of_process();
    let listeners = Listeners {
        dashboard: inherited.next_or_bind(options.listen.dashboard_listen)?,
        tracking: inherited.next_or_bind(options.listen.tracking_listen)?,
        metrics: options.listen.metrics_listen.map(bind).transpose()?,
        are_shared: inherited.exist,
    };
    let database = NamedDatabase::of(&options.store)?;
    let (database_url, secret) = (database.url.clone(), database.secret.clone());
    let (report, mut reported) = watch::channel(None);
    let mut opened = tokio::spawn(
        database
            .open_in_time(report)
            .instrument(info_span!("open_database")),
    );
    // Usually the database is opened first, so that no link is unknown.
    let database = tokio::select! {
        opened = &mut opened => Some(opened??),
        () = end_of_grace(&inherited, &mut reported) => None,
    };
    let opening = match &database {
        Some(_) => Opening::default(),
        None => Opening::pending(),
    };
    let mut stopped = pin!(stop_signal()?);
    let running = serve::start(ServeSettings {
        database_url,
        opening: opening.clone(),
        patience: SILENCE_TIMEOUT,
        secret,
        listeners,
        storage: options.storage.settings(&options.store),
        places: options.storage.places,
        ecb_rates: options.rates.ecb_rates,
        guard: options.delivery.guard(),
        urls: options.urls,
        served_hosts: options.hosts.served(),
        dns: options.hosts.dns.dns(),
        proxies: options.proxies.settings(),
        mailer,
        allow_sign_up: options.limits.allow_signup,
        limits: options.limits.api(),
        drain: DRAIN_TIME,
    })?;
    notify_systemd(NotifyState::Ready);
    let database = match database {
        Some(database) => Some(database),
        None => tokio::select! {
            opened = &mut opened => match opened? {
                Ok(database) => Some(database),
                Err(error) => {
                    running.stop().await;
                    return Err(error.into());
                }
            },
            () = raise_alarm(reported, &running.tracker) => None,
            () = &mut stopped => None,
        },
    };
    running.tracker.set_alarm(AWAY, None);
    let mut backups = None;
    // Kept to the end: it stops the private Postgres when it is dropped.
    if let Some(database) = &database {
        opening.open();
        backups = backup::keep(&options.backup, &options.store, database, &running.tracker).await?;
        if let Some(postgres) = &database.postgres {
            tokio::spawn(watch_postgres(postgres.watch(), running.tracker.clone()));
        }
        // A database that fails now is no reason to stop: links redirect, and the next start prints it.
        if let Err(error) = print_setup_link(&running).await {
            tracing::warn!(%error, "the link for the first operator, if it is still needed, was not printed");
        }
        tracing::info!(
            dashboard = running.dashboard_url,
            tracking = running.tracking_url,
            "serving"
        );
        stopped.await;
    }
    notify_systemd(NotifyState::Stopping);
    tracing::info!("stopping: requests in flight end first");
    running.stop().await;
    if let Some(backups) = backups {
        backups.finish().await;
    }
    if let Some(exporting) = exporting {
        exporting.flush().await;
    }
    Ok(())
}

/// Waits for the time to serve without a database: its first failure, unless another process serves meanwhile. A failed attempt
/// is repeated then, because this process would refuse the links that it does not know.
async fn end_of_grace(inherited: &InheritedListeners, reported: &mut watch::Receiver<Option<String>>) {
    if inherited.exist {
        return tokio::time::sleep(HANDOVER_GRACE).await;
    }
    // Both the failure and the end of the time are the end.
    drop(tokio::time::timeout(GRACE, reported.changed()).await);
}

/// Raises the alarm about a database that has not been opened, with the reason of each attempt.
async fn raise_alarm(mut reported: watch::Receiver<Option<String>>, tracker: &Tracker) {
    loop {
        let reason = reported.borrow_and_update().clone();
        let reason = reason.unwrap_or_else(|| "it does not answer yet".to_owned());
        tracker.set_alarm(
            AWAY,
            Some(format!(
                "The database has not been opened since the start: {reason}. {WAITING}"
            )),
        );
        if reported.changed().await.is_err() {
            // The attempts have ended, with a result that the caller awaits.
            std::future::pending::<()>().await;
        }
    }
}

/// Prints the link that makes the first operator, as long as the installation has none.
async fn print_setup_link(running: &Running) -> Result<(), CommandError> {
    let mut conn = running.db.unscoped().await?;
    if let Some(token) = operators::setup_token(&mut conn).await? {
        // Printed, not only logged: without the link no one can sign in.
        println!(
            "This installation has no operator yet. Become its operator: {}/setup/{}",
            running.dashboard_url,
            token.as_str()
        );
    }
    Ok(())
}

/// Raises alarms about the private Postgres, and ends them.
async fn watch_postgres(watch: PostgresWatch, tracker: Tracker) {
    let mut interval = tokio::time::interval(Duration::from_secs(1));
    loop {
        interval.tick().await;
        tracker.set_alarm("postgres_down", watch.down());
        tracker.set_alarm("postgres_restarted", watch.restarted(clock::now()));
    }
}

/// Notifies the service manager (`Type=notify`); does nothing without one.
fn notify_systemd(state: NotifyState) {
    if let Err(error) = sd_notify::notify(&[state]) {
        tracing::warn!(%error, "service manager not notified");
    }
}

/// Listeners inherited from the process that started this one (systemd's socket activation): the dashboard's first, then
/// that of tracking. They are never closed, so no connection is refused while one process takes over from another.
struct InheritedListeners {
    listeners: ListenFd,
    next: usize,
    exist: bool,
}

impl InheritedListeners {
    fn of_process() -> Self {
        let listeners = ListenFd::from_env();
        Self {
            exist: listeners.len() > 0,
            listeners,
            next: 0,
        }
    }

    /// Returns the next inherited listener, or a new one if none are inherited.
    fn next_or_bind(&mut self, address: SocketAddr) -> io::Result<TcpListener> {
        let inherited = self.listeners.take_tcp_listener(self.next)?;
        self.next += 1;
        match inherited {
            Some(listener) => Ok(listener),
            None if self.exist => Err(io::Error::other(
                "two listeners must be handed over: the dashboard's, then that of tracking",
            )),
            None => bind(address),
        }
    }
}
