//! One HTTP call: no redirects, no decompression, a deadline, and only the beginning of the answer.

use std::error::Error;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER, USER_AGENT};
use hyper::{Method, Request, Response};
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use schema::{clock, text_enum};
use tenancy::host_checks::Dns;
use tokio::time::timeout_at;
use url::Url;

use crate::connector::Connector;
use crate::grant::{AccessTokens, Grant};
use crate::guard::Guard;

/// Longest time of a call, from resolving the host to the end of the answer.
pub(crate) const CALL_TIMEOUT: Duration = Duration::from_secs(15);
/// Most bytes of an answer that are read; the connection is closed then.
const MAX_READ_BYTES: usize = 64 * 1024;
/// Most bytes of an answer that are kept.
const MAX_EXCERPT_BYTES: usize = 2048;
/// Most bytes of the answer that says why a refresh token was not exchanged.
const MAX_REASON_BYTES: usize = 300;
/// Time for which an idle connection is kept.
const IDLE_TIMEOUT: Duration = Duration::from_secs(20);
/// Idle connections kept to one host.
const MAX_IDLE: usize = 8;
/// Longest pause that a receiver can ask for.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(24 * 3600);

text_enum! {
    /// HTTP method of a destination.
    pub enum CallMethod {
        /// Parameters in the URL.
        Get = "GET",
        /// Parameters in the body.
        Post = "POST",
    }
}

/// A call to make.
#[derive(Debug, Clone)]
pub struct Call {
    /// Method.
    pub method: CallMethod,
    /// Final URL.
    pub url: Url,
    /// Final URL with a placeholder for each secret.
    pub shown_url: String,
    /// Headers besides User-Agent.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// Grant whose access token is sent as `Authorization`, if any.
    pub grant: Option<Grant>,
    /// Type and content of the body, if any.
    pub body: Option<(&'static str, Vec<u8>)>,
    /// Reason in an answer of 2xx why it is a failure, for receivers that report errors so.
    pub problem_in: Option<fn(&str) -> Option<String>>,
}

/// Result of a call.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// Status of the answer; `None` without an answer.
    pub code: Option<u16>,
    /// Reason why it failed; `None` if it did not.
    pub problem: Option<String>,
    /// Time that it took.
    pub duration: Duration,
    /// First 2 KiB of the answer as text.
    pub answer: String,
    /// Pause that the receiver asks for.
    pub retry_after: Option<Duration>,
}

impl Outcome {
    /// True if the receiver has the event.
    #[must_use]
    pub fn is_delivered(&self) -> bool {
        self.problem.is_none()
    }

    /// True if the receiver wants no more events.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        self.code == Some(410)
    }

    /// Failure without an answer.
    #[must_use]
    pub fn failed(problem: String, duration: Duration) -> Self {
        Self {
            code: None,
            problem: Some(problem),
            duration,
            answer: String::new(),
            retry_after: None,
        }
    }
}

/// Client that makes calls to addresses which its guard lets through. Cheap to clone.
#[derive(Clone)]
pub struct Caller {
    client: Client<Connector, Full<Bytes>>,
    guard: Guard,
    tokens: AccessTokens,
}

impl Caller {
    /// Creates a client that resolves hosts by this DNS.
    ///
    /// # Errors
    /// Returns an error if TLS cannot be configured.
    pub fn new(guard: Guard, dns: Dns) -> Result<Self, tokio_rustls::rustls::Error> {
        let client = Client::builder(TokioExecutor::new())
            .pool_idle_timeout(IDLE_TIMEOUT)
            .pool_max_idle_per_host(MAX_IDLE)
            .pool_timer(TokioTimer::new())
            .build(Connector::new(guard.clone(), dns)?);
        Ok(Self {
            client,
            guard,
            tokens: AccessTokens::default(),
        })
    }

    /// Guard of the client.
    #[must_use]
    pub fn guard(&self) -> &Guard {
        &self.guard
    }

    /// Makes a call; it ends within 15 s.
    pub async fn call(&self, call: &Call) -> Outcome {
        let began = Instant::now();
        let deadline = tokio::time::Instant::now() + CALL_TIMEOUT;
        let token = match &call.grant {
            None => None,
            Some(grant) => match self.token(grant, deadline).await {
                Ok(token) => Some(token),
                Err(problem) => return Outcome::failed(problem, began.elapsed()),
            },
        };
        match self.answer(call, token, deadline).await {
            Err(problem) => Outcome::failed(problem, began.elapsed()),
            Ok(response) => {
                let (code, retry_after) = (response.status().as_u16(), retry_after(&response));
                if let (401, Some(grant)) = (code, &call.grant) {
                    self.tokens.forget(grant);
                }
                // The status decides; an answer that does not end in time is cut off.
                let mut read = Vec::new();
                let body = response.into_body();
                let _ = timeout_at(deadline, read_start(body, MAX_EXCERPT_BYTES, &mut read)).await;
                let answer = excerpt(&read);
                let problem = problem_of_status(code);
                Outcome {
                    code: Some(code),
                    problem: problem.or_else(|| call.problem_in.and_then(|find| find(&answer))),
                    duration: began.elapsed(),
                    answer,
                    retry_after,
                }
            }
        }
    }

    /// Value of `Authorization` for a grant: from memory, or by an exchange of its refresh token.
    async fn token(&self, grant: &Grant, deadline: tokio::time::Instant) -> Result<HeaderValue, String> {
        if let Some(token) = self.tokens.of(grant) {
            return Ok(token);
        }
        let response = self.answer(&grant.exchange(), None, deadline).await?;
        let code = response.status().as_u16();
        let mut read = Vec::new();
        let reading = read_start(response.into_body(), MAX_READ_BYTES, &mut read);
        let _ = timeout_at(deadline, reading).await;
        if let Some(problem) = problem_of_status(code) {
            // Its answer says why, such as invalid_grant, and has no secret.
            let start = read.get(..MAX_REASON_BYTES.min(read.len())).unwrap_or_default();
            return Err(format!(
                "The refresh token was not exchanged. {problem} {}",
                excerpt(start)
            ));
        }
        self.tokens.keep(grant, &read)
    }

    /// Head of the answer to a call, if it comes in time.
    async fn answer(
        &self,
        call: &Call,
        token: Option<HeaderValue>,
        deadline: tokio::time::Instant,
    ) -> Result<Response<Incoming>, String> {
        self.guard
            .check_url(&call.url)
            .map_err(|refused| refused.to_string())?;
        let mut request = request_of(call)?;
        if let Some(token) = token {
            request.headers_mut().insert(AUTHORIZATION, token);
        }
        match timeout_at(deadline, self.client.request(request)).await {
            Err(_) => Err(format!("No answer within {} s.", CALL_TIMEOUT.as_secs())),
            Ok(Err(error)) => Err(problem_of(&error)),
            Ok(Ok(response)) => Ok(response),
        }
    }
}

fn request_of(call: &Call) -> Result<Request<Full<Bytes>>, String> {
    let method = match call.method {
        CallMethod::Get => Method::GET,
        CallMethod::Post => Method::POST,
    };
    let mut url = call.url.clone();
    url.set_fragment(None);
    let agent = concat!("Clickledger/", env!("CARGO_PKG_VERSION"));
    let mut request = Request::builder()
        .method(method)
        .uri(url.as_str())
        .header(USER_AGENT, agent);
    for (name, value) in &call.headers {
        request = request.header(name, value);
    }
    let body = match &call.body {
        Some((content_type, content)) => {
            request = request.header(CONTENT_TYPE, *content_type);
            content.clone()
        }
        None => Vec::new(),
    };
    let request = request.body(Full::new(Bytes::from(body)));
    request.map_err(|error| format!("The URL cannot be called: {error}."))
}

/// Reads a body up to its limit, and keeps the first bytes of it.
async fn read_start(mut body: Incoming, kept: usize, read: &mut Vec<u8>) {
    let mut total = 0;
    while let Some(Ok(frame)) = body.frame().await {
        let Some(data) = frame.data_ref() else { continue };
        total += data.len();
        let room = kept.saturating_sub(read.len());
        read.extend_from_slice(data.get(..room.min(data.len())).unwrap_or_default());
        if total >= MAX_READ_BYTES {
            break;
        }
    }
}

/// Text of the bytes, which may end within a character; Postgres stores no NUL.
fn excerpt(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).replace('\0', "\u{fffd}")
}

fn problem_of_status(code: u16) -> Option<String> {
    match code {
        200..=299 => None,
        300..=399 => Some(format!(
            "The answer is a redirect ({code}), which is not followed."
        )),
        410 => Some("The receiver wants no more events (410).".to_owned()),
        _ => Some(format!("The answer is {code}.")),
    }
}

/// The innermost cause is the one that helps.
fn problem_of(error: &dyn Error) -> String {
    let mut cause = error;
    let mut problem = None;
    while let Some(inner) = cause.source() {
        if let Some(refused) = inner.downcast_ref::<crate::connector::ConnectError>() {
            problem = Some(refused.to_string());
        }
        cause = inner;
    }
    problem.unwrap_or_else(|| format!("The call failed: {cause}."))
}

fn retry_after(response: &Response<Incoming>) -> Option<Duration> {
    let text = response.headers().get(RETRY_AFTER)?.to_str().ok()?;
    let pause = match text.trim().parse() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => httpdate::parse_http_date(text)
            .ok()?
            .duration_since(clock::now().into())
            .ok()?,
    };
    Some(pause.min(MAX_RETRY_AFTER))
}
