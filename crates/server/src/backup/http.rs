//! Requests to S3-compatible storage, over the same connections as downloads.

use std::time::Duration;

use async_trait::async_trait;
use http_body_util::BodyExt as _;
use hyper::client::conn::http1;
use hyper::header::{HOST, HeaderValue};
use object_store::ClientOptions;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpResponseBody,
    HttpService,
};
use tokio::time::timeout;
use url::Url;

use crate::outgoing::{connect, public_authorities};

/// Longest time until the head of a response.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(120);

/// Connector of the client of the storage.
#[derive(Debug)]
pub(super) struct Connector;

impl HttpConnector for Connector {
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(Service))
    }
}

/// Sends each request on a connection for itself: they are few and large.
#[derive(Debug)]
struct Service;

#[derive(Debug, thiserror::Error)]
#[error("no response within {} s", RESPONSE_TIMEOUT.as_secs())]
struct NoResponse;

#[async_trait]
impl HttpService for Service {
    async fn call(&self, mut request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let url = Url::parse(&request.uri().to_string())
            .map_err(|error| HttpError::new(HttpErrorKind::Unknown, error))?;
        let stream = connect(&url, public_authorities())
            .await
            .map_err(|error| HttpError::new(HttpErrorKind::Connect, error))?;
        if let Some(authority) = request.uri().authority()
            && let Ok(host) = HeaderValue::from_str(authority.as_str())
        {
            request.headers_mut().entry(HOST).or_insert(host);
        }
        // As it was signed.
        if let Some(target) = request.uri().path_and_query().cloned() {
            *request.uri_mut() = target.into();
        }
        let (mut sender, connection) = http1::handshake(stream)
            .await
            .map_err(|error| HttpError::new(HttpErrorKind::Connect, error))?;
        // Ends with the response.
        tokio::spawn(connection);
        let response = timeout(RESPONSE_TIMEOUT, sender.send_request(request))
            .await
            .map_err(|_| HttpError::new(HttpErrorKind::Timeout, NoResponse))?
            .map_err(|error| HttpError::new(HttpErrorKind::Interrupted, error))?;
        Ok(response.map(|body| {
            HttpResponseBody::new(body.map_err(|error| HttpError::new(HttpErrorKind::Interrupted, error)))
        }))
    }
}
