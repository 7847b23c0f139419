//! Simulation: a request of this program that takes the same path as requests from outside.

use actix_http::header::{CONTENT_TYPE, HOST, HeaderValue, LOCATION};
use actix_http::{HttpMessage, Method, Payload, Request, RequestHead, Uri};
use dialects::RawCall;
use postbacks::Verdict;
use schema::{AdvertiserId, PostbackId};

use super::dispatch::answer;
use super::request::Simulated;
use crate::tracker::Intake;

/// Response to a simulated request.
#[derive(Debug, Clone)]
pub struct SimulatedResponse {
    /// Status.
    pub status: u16,
    /// Redirect location.
    pub location: Option<String>,
    /// Receipt of a postback and verdict on it; `None` for a click.
    pub verdict: Option<(PostbackId, Verdict)>,
}

/// Sends a request to a tracking host through everything behind the socket, as a visitor or the server of this advertiser
/// would. Journal records, verdicts and all other effects are real. The network itself is the sender, so postbacks need no
/// token. `None` if host, target or method are not valid.
pub async fn simulate(
    intake: &Intake,
    advertiser_id: AdvertiserId,
    host: &str,
    call: &RawCall<'_>,
) -> Option<SimulatedResponse> {
    let mut request = Request::with_payload(Payload::from(call.body.to_vec()));
    // Heads are recycled with the method and the address of an earlier request of this thread.
    *request.head_mut() = RequestHead::default();
    request.head_mut().method = call.method.parse::<Method>().ok()?;
    *request.uri_mut() = call.target.parse::<Uri>().ok()?;
    let headers = request.headers_mut();
    headers.insert(HOST, HeaderValue::from_str(host).ok()?);
    if let Some(content_type) = call.content_type {
        headers.insert(CONTENT_TYPE, HeaderValue::from_str(content_type).ok()?);
    }
    request.extensions_mut().insert(Simulated(advertiser_id));
    let response = answer(intake, request).await;
    let location = response.headers().get(LOCATION);
    let location = location.and_then(|value| value.to_str().ok()).map(str::to_owned);
    Some(SimulatedResponse {
        status: response.status().as_u16(),
        location,
        verdict: response.extensions().get::<(PostbackId, Verdict)>().cloned(),
    })
}
