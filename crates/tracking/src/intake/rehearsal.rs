//! A rehearsal: a request of our own that takes the way of all requests.

use actix_http::body::to_bytes;
use actix_http::header::{HOST, HeaderValue, LOCATION};
use actix_http::{Request, StatusCode, Uri};

use super::answer;
use crate::tracker::Intake;

/// What came of a rehearsed request.
#[derive(Debug, Clone)]
pub struct Rehearsed {
    /// As on the wire.
    pub status: u16,
    /// Where a visitor would be sent.
    pub location: Option<String>,
    /// The body, as text.
    pub body: String,
}

/// Asks a tracking host for a target as a visitor or a server would, and takes all of the way that is behind the socket:
/// journal, verdict and all. What it does is done.
pub async fn rehearse(intake: &Intake, host: &str, target: &str) -> Rehearsed {
    let (Ok(uri), Ok(host)) = (target.parse::<Uri>(), HeaderValue::from_str(host)) else {
        return Rehearsed {
            status: StatusCode::BAD_REQUEST.as_u16(),
            location: None,
            body: format!("“{target}” at “{host}” is no address."),
        };
    };
    let mut request = Request::new();
    *request.uri_mut() = uri;
    request.headers_mut().insert(HOST, host);
    let answered = answer(intake, request).await;
    let location = answered
        .headers()
        .get(LOCATION)
        .and_then(|value| value.to_str().ok());
    let (status, location) = (answered.status().as_u16(), location.map(str::to_owned));
    let body = to_bytes(answered.into_body()).await.unwrap_or_default();
    Rehearsed {
        status,
        location,
        body: String::from_utf8_lossy(&body).into_owned(),
    }
}
