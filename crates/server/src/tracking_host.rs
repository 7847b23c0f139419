//! The listener of the tracking hosts: from the socket straight to [`tracking::intake::answer`].

use std::future::ready;
use std::io;
use std::net::TcpListener;
use std::rc::Rc;
use std::time::Duration;

use actix_http::error::DispatchError;
use actix_http::{Error, HttpService, Request};
use actix_server::Server;
use actix_service::{ServiceFactoryExt, fn_factory, fn_service};
use tokio::net::TcpStream;
use tracking::Tracker;

use crate::health;
use crate::punctual::{PATIENCE, Punctual};
use crate::serve::DRAIN_SECONDS;

/// How long a client that is told that its connection ends may take to end it.
const FAREWELL: Duration = Duration::from_secs(1);

/// Clicks, postbacks and `/health/…`.
///
/// # Errors
/// When the listener cannot be used.
pub(crate) fn listen(listener: TcpListener, tracker: Tracker) -> io::Result<Server> {
    let server = Server::build().disable_signals().shutdown_timeout(DRAIN_SECONDS);
    let stopping = server.graceful_shutdown_signal();
    let server = server.listen("tracking", listener, move || {
        let (stopping, tracker) = (stopping.clone(), tracker.clone());
        let answering = fn_factory(move || {
            // Made on the worker's own thread: each has its own way into the journals.
            let intake = Rc::new(tracker.intake());
            let answer = move |request: Request| {
                let intake = intake.clone();
                async move {
                    Ok::<_, Error>(match request.path() {
                        "/health/live" => health::live(),
                        "/health/ready" => health::ready(intake.tracker()),
                        _ => tracking::intake::answer(&intake, request).await,
                    })
                }
            };
            ready(Ok::<_, ()>(fn_service(answer)))
        });
        let http = HttpService::build()
            .graceful_shutdown_signal(move || {
                let stopping = stopping.clone();
                async move { stopping.notified().await }
            })
            .client_request_timeout(PATIENCE)
            .client_disconnect_timeout(FAREWELL)
            .h1(answering);
        let connected = |stream: TcpStream| {
            let peer = stream.peer_addr().ok();
            ready(Ok::<_, DispatchError>((Punctual::new(stream), peer)))
        };
        fn_service(connected).and_then(http)
    })?;
    Ok(server.run())
}
