//! Listener of the tracking hosts: from the socket straight to [`tracking::intake::answer`].

use std::future::ready;
use std::io;
use std::net::TcpListener;
use std::rc::Rc;
use std::time::Duration;

use actix_http::body::BoxBody;
use actix_http::error::DispatchError;
use actix_http::{Error, HttpService, Request, Response};
use actix_server::Server;
use actix_service::{ServiceFactoryExt, fn_factory, fn_service};
use tokio::net::TcpStream;
use tracing::Instrument as _;
use tracking::{Intake, Tracker};

use crate::idle_timeout::{IDLE_TIMEOUT, IdleTimeout};
use crate::request_target::RequestTargets;
use crate::serve::DRAIN_SECONDS;
use crate::{health, request_span};

/// Longest time for a client to close its connection after a response that asks it to.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// Serves clicks, postbacks and `/health/…`.
///
/// # Errors
/// Returns an error if the listener cannot be used.
pub(crate) fn listen(listener: TcpListener, tracker: Tracker) -> io::Result<Server> {
    let server = Server::build().disable_signals().shutdown_timeout(DRAIN_SECONDS);
    let stopping = server.graceful_shutdown_signal();
    let server = server.listen("tracking", listener, move || {
        let (stopping, tracker) = (stopping.clone(), tracker.clone());
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
                let stopping = stopping.clone();
                async move { stopping.notified().await }
            })
            .client_request_timeout(IDLE_TIMEOUT)
            .client_disconnect_timeout(CLOSE_TIMEOUT)
            .h1(answering);
        let connected = |stream: TcpStream| {
            let peer = stream.peer_addr().ok();
            let stream = RequestTargets::new(IdleTimeout::new(stream, IDLE_TIMEOUT));
            ready(Ok::<_, DispatchError>((stream, peer)))
        };
        fn_service(connected).and_then(http)
    })?;
    Ok(server.run())
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
