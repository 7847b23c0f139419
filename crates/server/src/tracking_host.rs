//! Listener of the tracking hosts: from the socket straight to [`tracking::intake::answer`].
//!
//! Each worker thread accepts connections itself. A thread that accepts for all workers and passes the connections on, as in
//! `actix_server`, costs a new connection a tenth of its time.

use std::cell::Cell;
use std::future::ready;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::rc::Rc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use actix_http::body::BoxBody;
use actix_http::error::DispatchError;
use actix_http::{Error, HttpService, KeepAlive, Request, Response};
use actix_service::{Service as _, ServiceFactory as _, ServiceFactoryExt as _, fn_factory, fn_service};
use tokio::net::TcpStream;
use tokio::runtime;
use tokio::sync::{Notify, watch};
use tokio::task::{LocalSet, spawn_local};
use tokio::time::{sleep, timeout};
use tracing::Instrument as _;
use tracking::{Intake, Tracker};

use crate::idle_timeout::{IDLE_TIMEOUT, IdleTimeout};
use crate::request_target::RequestTargets;
use crate::serve::DRAIN_SECONDS;
use crate::{health, request_span};

/// Longest time for a client to close its connection after a response that asks it to.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);
/// Most open connections of a worker; others wait in the backlog of the listener.
const MAX_CONNECTIONS: usize = 25_600;
/// Pause after a connection could not be accepted, for example because the process has too many open files.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Phase of the listener, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Accepting,
    /// Open connections are served; another process accepts new ones.
    Paused,
    /// Connections end behind the request that they serve.
    Stopping,
}

/// Listener of the tracking hosts, with its worker threads.
pub(crate) struct TrackingHosts {
    phase: watch::Sender<Phase>,
    workers: Vec<JoinHandle<()>>,
}

impl TrackingHosts {
    /// Serves clicks, postbacks and `/health/…`, with one worker for each core.
    ///
    /// # Errors
    /// Returns an error if the listener cannot be used.
    pub(crate) fn listen(listener: &TcpListener, tracker: &Tracker) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        let (phase, observed) = watch::channel(Phase::Accepting);
        let count = thread::available_parallelism().map_or(1, usize::from);
        let worker = |number: usize| {
            let (listener, tracker, phase) = (listener.try_clone()?, tracker.clone(), observed.clone());
            let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
            let serve = move || {
                let served = LocalSet::new().block_on(&runtime, serve(listener, tracker, phase));
                if let Err(error) = served {
                    tracing::error!(%error, "a worker of the tracking hosts ended");
                }
            };
            thread::Builder::new()
                .name(format!("tracking-{number}"))
                .spawn(serve)
        };
        let workers = (0..count).map(worker).collect::<io::Result<_>>()?;
        Ok(Self { phase, workers })
    }

    /// Accepts no more connections; the open ones are served.
    pub(crate) fn pause(&self) {
        self.phase.send_replace(Phase::Paused);
    }

    /// Lets requests in flight end, closes the connections, and ends the workers.
    pub(crate) async fn stop(self) {
        self.phase.send_replace(Phase::Stopping);
        let ended = tokio::task::spawn_blocking(move || {
            let ended = self.workers.into_iter().map(JoinHandle::join);
            ended.filter(Result::is_err).count()
        });
        if !matches!(ended.await, Ok(0)) {
            tracing::error!("a worker of the tracking hosts panicked");
        }
    }
}

/// Work of one worker: accepts and serves connections until the listener stops.
async fn serve(listener: TcpListener, tracker: Tracker, mut phase: watch::Receiver<Phase>) -> io::Result<()> {
    let observed = phase.clone();
    let answering = fn_factory(move || {
        // Created on the worker's thread: each worker appends to separate buffers.
        let intake = Rc::new(tracker.intake());
        let answer = move |request: Request| {
            let intake = intake.clone();
            async move { Ok::<_, Error>(answer(&intake, request).await) }
        };
        ready(Ok::<_, ()>(fn_service(answer)))
    });
    let http = HttpService::build()
        .graceful_shutdown_signal(move || {
            let mut phase = observed.clone();
            // Ends too when the listener is dropped.
            async move { drop(phase.wait_for(|phase| *phase == Phase::Stopping).await) }
        })
        // `IdleTimeout` closes idle connections, with one timer for each instead of one for each response.
        .keep_alive(KeepAlive::Os)
        .client_request_timeout(IDLE_TIMEOUT)
        .client_disconnect_timeout(CLOSE_TIMEOUT)
        .h1(answering);
    let connected = |(stream, peer): (TcpStream, SocketAddr)| {
        let stream = RequestTargets::new(IdleTimeout::new(stream, IDLE_TIMEOUT));
        ready(Ok::<_, DispatchError>((stream, Some(peer))))
    };
    let service = fn_service(connected).and_then(http).new_service(());
    let service = service
        .await
        .map_err(|()| io::Error::other("the service cannot be created"))?;

    let listener = tokio::net::TcpListener::from_std(listener)?;
    let connections = Rc::new(Connections::default());
    loop {
        let is_full = connections.open.get() >= MAX_CONNECTIONS;
        tokio::select! {
            biased;
            _ = phase.wait_for(|phase| *phase != Phase::Accepting) => break,
            accepted = listener.accept(), if !is_full => match accepted {
                Ok(accepted) => {
                    let open = Connections::open(&connections);
                    let served = service.call(accepted);
                    spawn_local(async move {
                        // A connection that breaks is the client's.
                        let _ = served.await;
                        drop(open);
                    });
                }
                // The client has gone.
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(error) => {
                    tracing::error!(%error, "connection not accepted");
                    sleep(ACCEPT_PAUSE).await;
                }
            },
            () = connections.closed.notified(), if is_full => {}
        }
    }
    drop(listener);
    // An error means that the listener was dropped.
    let _ = phase.wait_for(|phase| *phase == Phase::Stopping).await;
    let all_closed = async {
        while connections.open.get() > 0 {
            connections.closed.notified().await;
        }
    };
    if timeout(Duration::from_secs(DRAIN_SECONDS), all_closed)
        .await
        .is_err()
    {
        tracing::warn!(
            connections = connections.open.get(),
            "connections closed before they ended"
        );
    }
    Ok(())
}

/// Number of open connections of a worker.
#[derive(Default)]
struct Connections {
    open: Cell<usize>,
    closed: Notify,
}

/// An open connection, counted until it is dropped.
struct OpenConnection(Rc<Connections>);

impl Connections {
    fn open(this: &Rc<Self>) -> OpenConnection {
        this.open.set(this.open.get() + 1);
        OpenConnection(Rc::clone(this))
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.open.set(self.0.open.get() - 1);
        self.0.closed.notify_one();
    }
}

async fn answer(intake: &Intake, request: Request) -> Response<BoxBody> {
    match request.path() {
        "/health/live" => health::live(),
        "/health/ready" => health::ready(intake.tracker()),
        _ => {
            let span = request_span::of_tracking(&request);
            if span.is_disabled() {
                tracking::intake::answer(intake, request).await
            } else {
                // Boxed, so that requests without a span do not grow.
                let response = Box::pin(tracking::intake::answer(intake, request))
                    .instrument(span.clone())
                    .await;
                span.record("status", response.status().as_u16());
                response
            }
        }
    }
}
