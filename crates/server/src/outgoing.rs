//! Connections to other servers over http and https, for downloads and for the client of the API.

use std::error::Error;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};
use url::{Host, Url};

/// Longest time to connect.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Open connection.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

/// Reason why no connection could be opened.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectError {
    /// A URL without a host.
    #[error("the URL has no host")]
    NoHost,
    /// A server that does not answer.
    #[error("no connection within {} s", CONNECT_TIMEOUT.as_secs())]
    Timeout,
    /// An unknown host, or a port that nothing listens on.
    #[error("{0}")]
    Unreachable(#[source] io::Error),
    /// A server without TLS, or with a certificate that is not trusted.
    #[error("{0}")]
    Tls(#[source] Box<dyn Error + Send + Sync>),
}

/// Authorities that browsers trust.
pub(crate) fn public_authorities() -> RootCertStore {
    webpki_roots::TLS_SERVER_ROOTS.iter().cloned().collect()
}

/// Connects to the server of a URL: http or https, with a certificate that one of these authorities has signed.
pub(crate) async fn connect(
    url: &Url,
    authorities: RootCertStore,
) -> Result<TokioIo<Box<dyn Stream>>, ConnectError> {
    let host = match url.host() {
        Some(Host::Domain(domain)) => domain.to_owned(),
        Some(Host::Ipv4(address)) => address.to_string(),
        Some(Host::Ipv6(address)) => address.to_string(),
        None => return Err(ConnectError::NoHost),
    };
    let port = url.port_or_known_default().ok_or(ConnectError::NoHost)?;
    let opening = async {
        let stream = TcpStream::connect((host.as_str(), port)).await;
        let stream = stream.map_err(ConnectError::Unreachable)?;
        if url.scheme() != "https" {
            return Ok(Box::new(stream) as Box<dyn Stream>);
        }
        let failed = |error: Box<dyn Error + Send + Sync>| ConnectError::Tls(error);
        let name = ServerName::try_from(host.clone()).map_err(|error| failed(error.into()))?;
        let connector = tls(authorities).map_err(|error| failed(error.into()))?;
        let secured = connector.connect(name, stream).await;
        Ok(Box::new(secured.map_err(|error| failed(error.into()))?) as Box<dyn Stream>)
    };
    let stream = timeout(CONNECT_TIMEOUT, opening).await;
    Ok(TokioIo::new(stream.map_err(|_| ConnectError::Timeout)??))
}

fn tls(authorities: RootCertStore) -> Result<TlsConnector, tokio_rustls::rustls::Error> {
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(authorities)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

/// Request target of a URL: path and query.
pub(crate) fn target(url: &Url) -> String {
    match url.query() {
        Some(query) => format!("{}?{query}", url.path()),
        None => url.path().to_owned(),
    }
}
