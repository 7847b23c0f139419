//! Endpoint of postbacks: reads the request, passes it to [`Intake::receive`], and responds.

use std::time::{Duration, Instant};

use std::net::{IpAddr, Ipv6Addr};

use ::postbacks::{InboundRequest, Reason, Reply, Verdict};
use actix_http::body::BoxBody;
use actix_http::header::{ACCEPT, AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, HeaderName, RETRY_AFTER};
use actix_http::{HttpMessage, Payload, Request, RequestHead, Response, StatusCode};
use campaigns::integrations::Token;
use dialects::{Dialect, ParsedCall, Wish};
use futures_util::StreamExt;
use futures_util::future::join_all;
use ipnet::IpNet;
use schema::{PostbackId, clock};
use tenancy::networks::Network;

use super::request::{Simulated, TARGET_LIMIT, client_ip, header, network_of_postback, over_https};
use crate::tracker::{Intake, Sender, Tracker};

/// Maximum size of a body, in bytes.
const BODY_LIMIT: usize = 64 * 1024;
/// Timeout of a body. Shorter than that of the connection, so that a late postback is stored and answered.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// Content type of the one-pixel image.
const IMAGE: &str = "image/gif";
const API_KEY: HeaderName = HeaderName::from_static("x-api-key");
const OLD_API_KEY: HeaderName = HeaderName::from_static("api-key");
const SIGNATURE: HeaderName = HeaderName::from_static("x-clickledger-signature");

/// Timeout of the look-up of a host's network.
const HOST_TIMEOUT: Duration = Duration::from_secs(5);

/// `GET|POST /postback`: responds once the postback is on disk, with its verdict unless the database does not answer in
/// time. A call that reports several orders is as many postbacks, and its response has the verdict of each.
pub(super) async fn receive(
    request: &Request,
    slug: Option<&str>,
    payload: Payload,
    intake: &Intake,
) -> Response<BoxBody> {
    let began = Instant::now();
    let simulated = request.extensions().get::<Simulated>().copied();
    let (request, tracker) = (request.head(), &intake.tracker);
    let mut inbound = read(request, slug, payload, tracker).await;
    inbound.is_simulated = simulated.is_some();
    inbound.entered_for = simulated.map(|Simulated(advertiser)| advertiser);
    let singles = inbound.single_orders();
    if !singles.is_empty() {
        let decided = singles
            .into_iter()
            .map(|inbound| decide(request, slug, intake, inbound));
        let decided = join_all(decided).await;
        for one in &decided {
            tracker.counts.postback(one.reply.verdict.reason, began.elapsed());
        }
        return respond_to_each(tracker, &decided);
    }
    let decided = decide(request, slug, intake, inbound).await;
    let mut response = respond(request, tracker, &decided);
    tracker
        .counts
        .postback(decided.reply.verdict.reason, began.elapsed());
    if simulated.is_some() {
        // The answers of most formats do not name the verdict.
        response
            .extensions_mut()
            .insert((decided.id, decided.reply.verdict));
    }
    response
}

/// A postback with the reply to it.
struct Decided {
    id: PostbackId,
    dialect: &'static Dialect,
    wish: Wish,
    reply: Reply,
}

/// Stores a postback and waits for its verdict.
async fn decide(
    request: &RequestHead,
    slug: Option<&str>,
    intake: &Intake,
    inbound: InboundRequest,
) -> Decided {
    let tracker = &intake.tracker;
    let parsed = inbound.parse();
    let (id, dialect, wish) = (inbound.id, parsed.dialect, parsed.postback.wish.clone());
    let network = tokio::time::timeout(HOST_TIMEOUT, network_of_postback(request, slug, tracker)).await;
    let native = |reason: Reason| Reply::native(Verdict::of(reason));
    let reply = match network {
        Ok(Ok(Some(network))) if is_within_rate(tracker, &network, &inbound, &parsed) => {
            intake.receive(&network, inbound, parsed).await
        }
        Ok(Ok(Some(_))) => native(Reason::RateLimited),
        Ok(Ok(None)) => native(Reason::UnknownHost),
        Ok(Err(error)) => {
            tracing::error!(%error, "postback refused");
            native(Reason::Unavailable)
        }
        Err(_) => native(Reason::Unavailable),
    };
    Decided {
        id,
        dialect,
        wish,
        reply,
    }
}

/// Counts a postback. Senders with a known token have the whole rate of the network, so that others cannot use it up; of
/// the others, one address has at most half of theirs.
fn is_within_rate(
    tracker: &Tracker,
    network: &Network,
    inbound: &InboundRequest,
    parsed: &ParsedCall,
) -> bool {
    let most = u32::try_from(network.limits.max_postbacks_per_second).unwrap_or(u32::MAX);
    let at = clock::since_epoch(inbound.received_at);
    let count = |sender, most| {
        tracker
            .postback_rate
            .count((network.id, sender), most, at)
            .allowed
    };
    let token = parsed.postback.token.as_deref().map(Token::from_call);
    if token.is_some_and(|token| tracker.routing.remembers_token(network.id, token.hash())) {
        return count(Sender::Known, most);
    }
    let address = inbound.remote_ip.map(|ip| match ip {
        IpNet::V4(ip) => IpAddr::V4(ip.addr()),
        // A customer of a provider has a /64 of addresses.
        IpNet::V6(ip) => IpAddr::V6(Ipv6Addr::from(u128::from(ip.addr()) >> 64 << 64)),
    });
    address.is_none_or(|address| count(Sender::Address(address), most.div_ceil(2)))
        && count(Sender::Unknown, most)
}

/// True if the headers are those that browsers add, and programs do not.
fn is_from_browser(request: &RequestHead) -> bool {
    ["sec-fetch-site", "sec-fetch-mode", "sec-ch-ua"]
        .iter()
        .any(|name| request.headers.contains_key(*name))
}

async fn read(
    request: &RequestHead,
    slug: Option<&str>,
    payload: Payload,
    tracker: &Tracker,
) -> InboundRequest {
    let received_at = clock::now();
    let mut target = request
        .uri
        .path_and_query()
        .map_or("/", |target| target.as_str())
        .to_owned();
    let mut problem = None;
    if target.len() > TARGET_LIMIT {
        problem = Some(Reason::UrlTooLong);
        target = target.chars().take(TARGET_LIMIT).collect();
    }
    let mut body = Vec::new();
    match tokio::time::timeout(BODY_TIMEOUT, read_body(payload, &mut body)).await {
        Ok(Ok(())) => {}
        Ok(Err(reason)) => problem = problem.or(Some(reason)),
        Err(_) => problem = problem.or(Some(Reason::BodyIncomplete)),
    }
    InboundRequest {
        id: PostbackId::fresh(received_at),
        received_at,
        method: request.method.to_string(),
        offset: slug.map_or(0, |slug| slug.len() + 1),
        target,
        content_type: header(request, CONTENT_TYPE, 256),
        authorization: header(request, AUTHORIZATION, 1024),
        api_key: header(request, API_KEY, 256).or_else(|| header(request, OLD_API_KEY, 256)),
        signature: header(request, SIGNATURE, 512),
        body,
        remote_ip: client_ip(request, &tracker.trusted_proxies).map(IpNet::from),
        over_https: over_https(request, &tracker.trusted_proxies),
        has_browser_headers: is_from_browser(request),
        entered_for: None,
        is_simulated: false,
        problem,
    }
}

/// Reads the body into `body`; of a body that is too large or incomplete, `body` gets the beginning.
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

/// Response to a call with several orders: our answer to each, in their order. The status is theirs if they share one,
/// and otherwise 207 (Multi-Status), so that a sender that looks at nothing else learns of the mixture.
fn respond_to_each(tracker: &Tracker, decided: &[Decided]) -> Response<BoxBody> {
    let status = |one: &Decided| one.reply.verdict.reason.http_status();
    let first = decided.first().map_or(200, status);
    let shared = if decided.iter().all(|one| status(one) == first) {
        first
    } else {
        207
    };
    let answer = |one: &Decided| tracker.answer(one.id, &one.reply);
    let results: Vec<_> = decided.iter().map(answer).collect();
    Response::build(StatusCode::from_u16(shared).unwrap_or(StatusCode::MULTI_STATUS))
        .content_type("application/json")
        .insert_header((CACHE_CONTROL, "no-store"))
        .body(serde_json::json!({ "results": results }).to_string())
        .map_into_boxed_body()
}

fn respond(request: &RequestHead, tracker: &Tracker, decided: &Decided) -> Response<BoxBody> {
    let reply = &decided.reply;
    let reason = reply.verdict.reason;
    let plain_text =
        header(request, ACCEPT, 256).is_some_and(|accept| accept.trim().starts_with("text/plain"));
    let answer = tracker.answer(decided.id, reply);
    let (dialect, wish) = (decided.dialect, &decided.wish);
    let rendered = dialect.render(&answer, reason.http_status(), reply.format, wish, plain_text);
    let status = StatusCode::from_u16(rendered.http_status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = Response::build(status);
    response
        .content_type(rendered.content_type)
        .insert_header((CACHE_CONTROL, "no-store"))
        .insert_header(("X-Request-Id", answer.request_id.as_str()))
        .insert_header(("X-Postback-Status", answer.status.to_string()))
        .insert_header(("X-Postback-Reason", answer.reason.as_str()));
    if rendered.content_type == IMAGE {
        // Without this header, cross-origin isolated pages do not load the image.
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
