//! `clickledger serve`.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use listenfd::ListenFd;
use schema::clock;
use sd_notify::NotifyState;
use tenancy::{Mailer, operators};
use tracing::{Instrument as _, info_span};
use tracking::Tracker;

use super::{CommandError, backup, stop_signal};
use crate::config::ServeOptions;
use crate::database::Database;
use crate::metrics;
use crate::postgres::PostgresWatch;
use crate::serve::{self, Listeners, ServeSettings, bind};

/// Time for which responses ask clients to close their connections before the server stops.
const DRAIN_TIME: Duration = Duration::from_secs(1);

/// Serves until a signal to stop, then drains.
///
/// # Errors
/// Returns an error if the server cannot start.
pub async fn serve(options: ServeOptions) -> Result<(), CommandError> {
    let mailer = Mailer::new(&options.mail.settings()?)?;
    let mut inherited = InheritedListeners::of_process();
    let listeners = Listeners {
        dashboard: inherited.next_or_bind(options.listen.dashboard_listen)?,
        tracking: inherited.next_or_bind(options.listen.tracking_listen)?,
        metrics: options.listen.metrics_listen.map(bind).transpose()?,
        are_shared: inherited.exist,
    };
    if listeners.metrics.is_some() {
        metrics::record()?;
    }
    let opening = Database::open(&options.store).instrument(info_span!("open_database"));
    let database = opening.await?;
    let running = serve::start(ServeSettings {
        database_url: database.url.clone(),
        secret: database.secret.clone(),
        listeners,
        storage: options.storage.settings(&options.store),
        places: options.storage.places,
        ecb_rates: options.rates.ecb_rates,
        urls: options.urls,
        proxies: options.proxies.settings(),
        mailer,
        allow_sign_up: options.limits.allow_signup,
        limits: options.limits.api(),
        drain: DRAIN_TIME,
    })?;
    if let Some(postgres) = &database.postgres {
        tokio::spawn(watch_postgres(postgres.watch(), running.tracker.clone()));
    }
    let backups = backup::keep(&options.backup, &options.store, &database, &running.tracker).await?;
    let mut conn = running.db.unscoped().await?;
    if let Some(token) = operators::setup_token(&mut conn).await? {
        // Printed, not only logged: without the link no one can sign in.
        println!(
            "This installation has no operator yet. Become its operator: {}/setup/{}",
            running.dashboard_url,
            token.as_str()
        );
    }
    drop(conn);
    tracing::info!(
        dashboard = running.dashboard_url,
        tracking = running.tracking_url,
        "serving"
    );
    notify_systemd(NotifyState::Ready);
    stop_signal().await?;
    notify_systemd(NotifyState::Stopping);
    tracing::info!("stopping: requests in flight end first");
    running.stop().await;
    if let Some(backups) = backups {
        backups.finish().await;
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
