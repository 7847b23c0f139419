//! Client of the JSON API of a server, for the commands of people and scripts.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::time::Duration;

use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::header::{
    ACCEPT_ENCODING, AUTHORIZATION, CONNECTION, CONTENT_TYPE, HOST, HeaderValue, RETRY_AFTER, USER_AGENT,
};
use hyper::{Method, Request, Response, StatusCode};
use serde_json::Value;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tokio_rustls::rustls::RootCertStore;
use url::Url;

use crate::outgoing::{connect, target};

mod credentials;
mod failure;

pub use credentials::{Credentials, CredentialsError, Profile, check_profile};
pub use failure::Failure;

/// Path of the API below the dashboard's URL.
const API: &str = "api/v1";
/// Longest wait for the beginning of a response: reports may take long.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(120);
/// Longest pause within a response.
const READ_TIMEOUT: Duration = Duration::from_secs(60);
/// Largest JSON response, in bytes.
const MAX_JSON_BYTES: usize = 64 * 1024 * 1024;
/// Number of times that a call is repeated while the server is overloaded or limits the rate.
const RETRIES: u32 = 4;
/// Longest wait before a call is repeated, in seconds.
const MAX_RETRY_AFTER: u64 = 60;
/// `User-Agent` of all requests.
const AGENT: &str = concat!("clickledger/", env!("CARGO_PKG_VERSION"));

/// Body of a request with its media type.
pub(crate) type Content = (&'static str, Vec<u8>);

/// Client of the API at a URL, with a key.
#[derive(Clone)]
pub struct Client {
    base: Url,
    key: String,
    authorities: RootCertStore,
}

impl Client {
    /// Client of the API of this dashboard.
    #[must_use]
    pub fn new(base: Url, key: String, authorities: RootCertStore) -> Self {
        Self {
            base,
            key,
            authorities,
        }
    }

    /// URL of a page of the dashboard; `path` has no slash in front.
    pub(crate) fn page(&self, path: &str) -> String {
        below(&self.base, path).to_string()
    }

    /// Sends GET and returns the JSON of the response.
    pub(crate) async fn get(&self, path: &str, query: &[(&str, &str)]) -> Result<Value, Failure> {
        self.call(Method::GET, path, query, None).await?.json().await
    }

    /// Sends JSON by POST and returns the JSON of the response.
    pub(crate) async fn post(&self, path: &str, body: &Value) -> Result<Value, Failure> {
        let content = ("application/json", body.to_string().into_bytes());
        let answer = self.call(Method::POST, path, &[], Some(content)).await?;
        answer.json().await
    }

    /// Calls the API. While the rate limit is reached, the call waits and is repeated; so is one that only reads while the
    /// server is overloaded.
    ///
    /// # Errors
    /// [`Failure`] without a connection, and for a response that is an error.
    pub(crate) async fn call(
        &self,
        method: Method,
        path: &str,
        query: &[(&str, &str)],
        content: Option<Content>,
    ) -> Result<Answer, Failure> {
        let mut url = below(&self.base, &format!("{API}/{path}"));
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        self.call_url(method, &url, content).await
    }

    /// Calls a URL of the API, as [`Self::call`].
    async fn call_url(&self, method: Method, url: &Url, content: Option<Content>) -> Result<Answer, Failure> {
        let mut repeated = 0;
        loop {
            let (media_type, body) = content.clone().unzip();
            let mut request = request(method.clone(), url, body.unwrap_or_default())?;
            if let Some(media_type) = media_type {
                request
                    .headers_mut()
                    .insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
            }
            let credential = HeaderValue::from_str(&format!("Bearer {}", self.key));
            let credential = credential.map_err(|_| {
                Failure::local("unauthenticated", "The API key has characters that no key has.")
            })?;
            request.headers_mut().insert(AUTHORIZATION, credential);
            let answer = exchange(url, request, self.authorities.clone()).await?;
            if answer.response.status().is_success() {
                return Ok(answer);
            }
            let wait = answer.retry_after(&method).filter(|_| repeated < RETRIES);
            let failure = answer.failure(url).await;
            let Some(wait) = wait else { return Err(failure) };
            repeated += 1;
            tracing::debug!(%failure, ?wait, "the call is repeated");
            sleep(wait).await;
        }
    }

    /// Sends GET for a report, whose query string is taken as it is.
    pub(crate) async fn get_report(&self, path: &str, query: &str) -> Result<Answer, Failure> {
        let mut url = below(&self.base, &format!("{API}/{path}"));
        url.set_query(Some(query));
        self.call_url(Method::GET, &url, None).await
    }
}

/// URL below a base, which may have a path.
fn below(base: &Url, path: &str) -> Url {
    let mut url = base.clone();
    let prefix = base.path().trim_end_matches('/');
    url.set_path(&format!("{prefix}/{path}"));
    url.set_query(None);
    url.set_fragment(None);
    url
}

/// Request to a URL, with the headers of every request.
pub(crate) fn request(method: Method, url: &Url, body: Vec<u8>) -> Result<Request<Full<Bytes>>, Failure> {
    Request::builder()
        .method(method)
        .uri(target(url))
        .header(HOST, url.authority().rsplit('@').next().unwrap_or_default())
        .header(USER_AGENT, AGENT)
        .header(ACCEPT_ENCODING, "identity")
        .header(CONNECTION, "close")
        .body(Full::new(body.into()))
        .map_err(|error| Failure::local("invalid_request", &error.to_string()))
}

/// Sends a request and waits for the head of the response.
///
/// # Errors
/// [`Failure`] if no response arrives; any response is a success.
pub(crate) async fn exchange(
    url: &Url,
    request: Request<Full<Bytes>>,
    authorities: RootCertStore,
) -> Result<Answer, Failure> {
    let broken = |error: &dyn std::fmt::Display| Failure::unreachable(url, error);
    let stream = connect(url, authorities).await.map_err(|error| broken(&error))?;
    let (mut sender, connection) = http1::handshake(stream).await.map_err(|error| broken(&error))?;
    let driver = Driver(tokio::spawn(connection));
    let response = timeout(RESPONSE_TIMEOUT, sender.send_request(request)).await;
    let response = response.map_err(|_| Failure::timeout(url))?;
    Ok(Answer {
        response: response.map_err(|error| broken(&error))?,
        _driver: driver,
    })
}

/// Task of a connection, which ends with its response.
struct Driver(JoinHandle<Result<(), hyper::Error>>);

impl Drop for Driver {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Response whose body is still to be read.
pub(crate) struct Answer {
    response: Response<Incoming>,
    _driver: Driver,
}

impl Answer {
    /// Status.
    pub(crate) fn status(&self) -> StatusCode {
        self.response.status()
    }

    /// Wait after which the same request may succeed.
    fn retry_after(&self, method: &Method) -> Option<Duration> {
        let is_temporary = match self.status() {
            StatusCode::TOO_MANY_REQUESTS => true,
            StatusCode::SERVICE_UNAVAILABLE => method == Method::GET,
            _ => false,
        };
        let seconds = self
            .response
            .headers()
            .get(RETRY_AFTER)?
            .to_str()
            .ok()?
            .parse()
            .ok()?;
        (is_temporary && seconds <= MAX_RETRY_AFTER).then(|| Duration::from_secs(seconds))
    }

    /// Body of at most [`MAX_JSON_BYTES`].
    async fn bytes(self) -> Result<Bytes, String> {
        let body = Limited::new(self.response.into_body(), MAX_JSON_BYTES).collect();
        match timeout(RESPONSE_TIMEOUT, body).await {
            Ok(Ok(body)) => Ok(body.to_bytes()),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err("the response did not arrive in time".to_owned()),
        }
    }

    /// Body as JSON.
    pub(crate) async fn json(self) -> Result<Value, Failure> {
        let body = self.bytes().await;
        let body = body.map_err(|error| Failure::local("broken_response", &error))?;
        serde_json::from_slice(&body).map_err(|_| Failure::not_the_api("the response is no JSON"))
    }

    /// Error of a response that is none of success.
    async fn failure(self, url: &Url) -> Failure {
        let status = self.status();
        let body = self.bytes().await.unwrap_or_default();
        match serde_json::from_slice(&body) {
            Ok(body) => Failure::of_api(&body),
            Err(_) => None,
        }
        .unwrap_or_else(|| Failure::not_the_api(&format!("{url} answered {status}")))
    }

    /// Writes the body, part by part. Returns the number of bytes.
    pub(crate) async fn copy_to(mut self, out: &mut impl Write) -> Result<u64, CopyError> {
        let mut written = 0;
        loop {
            let frame = timeout(READ_TIMEOUT, self.response.body_mut().frame()).await;
            let frame =
                frame.map_err(|_| Failure::local("timeout", "The response stopped before its end."))?;
            let Some(frame) = frame else { break };
            let frame = frame.map_err(|error| Failure::local("broken_response", &error.to_string()))?;
            if let Some(data) = frame.data_ref() {
                out.write_all(data)?;
                written += data.len() as u64;
            }
        }
        out.flush()?;
        Ok(written)
    }
}

/// Reason why a body was not copied.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CopyError {
    /// The connection broke.
    #[error(transparent)]
    Read(#[from] Failure),
    /// The file or the pipe cannot be written.
    #[error(transparent)]
    Write(#[from] io::Error),
}

/// Messages by field.
pub(crate) type Fields = BTreeMap<String, String>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_and_calls_are_below_the_path_of_the_dashboard() {
        let base = |text: &str| Url::parse(text).unwrap();
        for (url, expected) in [
            ("https://app.example", "https://app.example/postbacks"),
            ("https://app.example/", "https://app.example/postbacks"),
            (
                "https://example.com/tracking/?x=1#y",
                "https://example.com/tracking/postbacks",
            ),
        ] {
            assert_eq!(below(&base(url), "postbacks").to_string(), expected);
        }
    }

    #[test]
    fn a_request_names_the_host_without_credentials() {
        let url = Url::parse("http://user:secret@127.0.0.1:4000/a?b=c").unwrap();
        let request = request(Method::GET, &url, Vec::new()).unwrap();
        assert_eq!(request.headers()[HOST], "127.0.0.1:4000");
        assert_eq!(request.uri(), "/a?b=c");
    }
}
