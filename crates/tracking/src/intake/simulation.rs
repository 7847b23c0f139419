//! Simulation: a request of this program that takes the same path as requests from outside.

use actix_http::body::to_bytes;
use actix_http::header::{HOST, HeaderValue, LOCATION};
use actix_http::{HttpMessage, Request, RequestHead, StatusCode, Uri};

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
    /// Body as text.
    pub body: String,
}

/// Sends a request to a tracking host through everything behind the socket, as a visitor or a server would. Journal
/// records, verdicts and all other effects are real.
pub async fn simulate(intake: &Intake, host: &str, target: &str) -> SimulatedResponse {
    let (Ok(uri), Ok(host)) = (target.parse::<Uri>(), HeaderValue::from_str(host)) else {
        return SimulatedResponse {
            status: StatusCode::BAD_REQUEST.as_u16(),
            location: None,
            body: format!("“{target}” at “{host}” is not a valid URL."),
        };
    };
    let mut request = Request::new();
    // Heads are recycled with the method and the address of an earlier request of this thread.
    *request.head_mut() = RequestHead::default();
    *request.uri_mut() = uri;
    request.headers_mut().insert(HOST, host);
    request.extensions_mut().insert(Simulated);
    let response = answer(intake, request).await;
    let location = response
        .headers()
        .get(LOCATION)
        .and_then(|value| value.to_str().ok());
    let (status, location) = (response.status().as_u16(), location.map(str::to_owned));
    #[expect(clippy::expect_used, reason = "bodies of responses are in memory")]
    let body = to_bytes(response.into_body())
        .await
        .expect("a body in memory can be read");
    SimulatedResponse {
        status,
        location,
        body: String::from_utf8_lossy(&body).into_owned(),
    }
}
