//! A postback, from the wire to its answer. What happens between is [`Tracker::receive`].

use std::time::Duration;

use actix_http::body::BoxBody;
use actix_http::header::{ACCEPT, AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, HeaderName, RETRY_AFTER};
use actix_http::{Payload, Request, RequestHead, Response, StatusCode};
use dialects::{Dialect, Wish};
use futures_util::StreamExt;
use ipnet::IpNet;
use schema::{PostbackId, clock};

use super::{TARGET_LIMIT, client_ip, header, network_of, over_https};
use crate::tracker::{InboundCall, Intake, Tracker};
use crate::verdict::{Reason, Told, Verdict};

/// Largest body taken, in bytes.
const BODY_LIMIT: usize = 64 * 1024;
/// How long a body may take to arrive. Shorter than the server has patience with the connection: whoever is late is
/// told so, and it is kept.
const BODY_TIME: Duration = Duration::from_secs(10);

/// What a picture of one pixel is answered as.
const PICTURE: &str = "image/gif";
const API_KEY: HeaderName = HeaderName::from_static("x-api-key");
const OLD_API_KEY: HeaderName = HeaderName::from_static("api-key");
const SIGNATURE: HeaderName = HeaderName::from_static("x-clickledger-signature");

/// How long the network of a host may take to be found.
const PATIENCE: Duration = Duration::from_secs(5);

/// `GET|POST /postback`: an honest answer, sent when the call is on disk, with its verdict unless the database does not
/// answer in time.
pub(super) async fn receive(
    request: &Request,
    slug: Option<&str>,
    payload: Payload,
    intake: &Intake,
) -> Response<BoxBody> {
    let (request, tracker) = (request.head(), &intake.tracker);
    let call = read(request, slug, payload, tracker).await;
    let (dialect, wish) = understand(&call);
    let id = call.id;
    let reply = |told: &Told| respond(request, tracker, dialect, &wish, id, told);
    let plainly = |reason: Reason| reply(&Told::plainly(Verdict::of(reason)));
    let network = match tokio::time::timeout(PATIENCE, network_of(request, slug, tracker)).await {
        Ok(Ok(Some(network))) => network,
        Ok(Ok(None)) => return plainly(Reason::UnknownHost),
        Ok(Err(error)) => {
            tracing::error!(%error, "postback refused");
            return plainly(Reason::Unavailable);
        }
        Err(_) => return plainly(Reason::Unavailable),
    };
    let most = u32::try_from(network.limits.max_postbacks_per_second).unwrap_or(u32::MAX);
    if !tracker
        .postback_rate
        .count(network.id, most, clock::since_epoch(call.received_at))
        .allowed
    {
        return plainly(Reason::RateLimited);
    }
    reply(&intake.receive(&network, call).await)
}

/// In whose spelling it is, and what body its sender wants: what the answer needs, whatever becomes of the call.
fn understand(call: &InboundCall) -> (&'static Dialect, Wish) {
    let raw = call.raw();
    let dialect = dialects::of_call(&raw).unwrap_or(dialects::native());
    (dialect, dialect.parse(&raw).0.wish)
}

async fn read(request: &RequestHead, slug: Option<&str>, payload: Payload, tracker: &Tracker) -> InboundCall {
    let received_at = clock::now();
    let mut target = request
        .uri
        .path_and_query()
        .map_or("/", |target| target.as_str())
        .to_owned();
    let mut flaw = None;
    if target.len() > TARGET_LIMIT {
        flaw = Some(Reason::UrlTooLong);
        target = target.chars().take(TARGET_LIMIT).collect();
    }
    let mut body = Vec::new();
    match tokio::time::timeout(BODY_TIME, read_body(payload, &mut body)).await {
        Ok(Ok(())) => {}
        Ok(Err(reason)) => flaw = flaw.or(Some(reason)),
        Err(_) => flaw = flaw.or(Some(Reason::BodyIncomplete)),
    }
    InboundCall {
        id: PostbackId::fresh(received_at),
        received_at,
        method: request.method.to_string(),
        spoken_from: slug.map_or(0, |slug| slug.len() + 1),
        target,
        content_type: header(request, CONTENT_TYPE, 256),
        authorization: header(request, AUTHORIZATION, 1024),
        api_key: header(request, API_KEY, 256).or_else(|| header(request, OLD_API_KEY, 256)),
        signature: header(request, SIGNATURE, 512),
        body,
        remote_ip: client_ip(request, &tracker.trusted_proxies).map(IpNet::from),
        over_https: over_https(request, &tracker.trusted_proxies),
        flaw,
    }
}

/// Reads the body into `body`, which keeps what arrived also when it is too large or breaks off.
async fn read_body(mut payload: Payload, body: &mut Vec<u8>) -> Result<(), Reason> {
    while let Some(chunk) = payload.next().await {
        let chunk = chunk.map_err(|_| Reason::BodyIncomplete)?;
        let room = BODY_LIMIT - body.len();
        body.extend(chunk.iter().take(room));
        if chunk.len() > room {
            return Err(Reason::BodyTooLarge);
        }
    }
    Ok(())
}

fn respond(
    request: &RequestHead,
    tracker: &Tracker,
    dialect: &Dialect,
    wish: &Wish,
    id: PostbackId,
    told: &Told,
) -> Response<BoxBody> {
    let reason = told.verdict.reason;
    tracker.counts.postback(reason);
    let plain_text =
        header(request, ACCEPT, 256).is_some_and(|accept| accept.trim().starts_with("text/plain"));
    let answer = tracker.answer(id, told);
    let rendered = dialect.render(&answer, reason.http_status(), told.format, wish, plain_text);
    let status = StatusCode::from_u16(rendered.http_status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = Response::build(status);
    response
        .content_type(rendered.content_type)
        .insert_header((CACHE_CONTROL, "no-store"))
        .insert_header(("X-Request-Id", answer.request_id.as_str()))
        .insert_header(("X-Postback-Status", answer.status.to_string()))
        .insert_header(("X-Postback-Reason", answer.reason.as_str()));
    if rendered.content_type == PICTURE {
        // Pages that isolate themselves load no picture of others without it.
        response.insert_header(("Cross-Origin-Resource-Policy", "cross-origin"));
    }
    if matches!(reason, Reason::Unavailable | Reason::RateLimited) {
        response.insert_header((RETRY_AFTER, "1"));
    }
    if tracker.is_draining() {
        response.force_close();
    }
    response.body(rendered.body).map_into_boxed_body()
}
