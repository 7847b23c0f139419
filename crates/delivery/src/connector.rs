//! Connector of the HTTP client: resolves a host, checks each of its addresses, and connects to one that was checked.

use std::error::Error;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::{fmt, io};

use hyper::Uri;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::TokioIo;
use tenancy::host_checks::Dns;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};
use tower_service::Service;

use crate::guard::{Guard, Refused};

/// Reason why no connection was opened.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectError {
    /// The guard refuses the address.
    #[error("{0}")]
    Refused(#[from] Refused),
    /// The name is unknown.
    #[error("The host name was not found: {0}.")]
    Unresolved(#[source] io::Error),
    /// Nothing listens, or the network does not reach it.
    #[error("No connection: {0}.")]
    Unreachable(#[source] io::Error),
    /// A server without TLS, or with a certificate that is not trusted.
    #[error("TLS failed: {0}.")]
    Tls(#[source] Box<dyn Error + Send + Sync>),
}

/// Connector with its guard. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Connector {
    guard: Guard,
    dns: Dns,
    tls: TlsConnector,
}

impl Connector {
    /// Creates a connector that trusts the public authorities.
    pub(crate) fn new(guard: Guard, dns: Dns) -> Result<Self, tokio_rustls::rustls::Error> {
        let authorities: RootCertStore = webpki_roots::TLS_SERVER_ROOTS.iter().cloned().collect();
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(authorities)
            .with_no_client_auth();
        Ok(Self {
            guard,
            dns,
            tls: TlsConnector::from(Arc::new(config)),
        })
    }

    async fn connect(self, uri: Uri) -> Result<Stream, ConnectError> {
        let is_https = uri.scheme_str() == Some("https");
        let host = uri.host().ok_or(Refused::NoHost)?;
        let port = uri.port_u16().unwrap_or(if is_https { 443 } else { 80 });
        let stream = self.open(host, port).await?;
        // Small requests; failing to set it costs only time.
        let _ = stream.set_nodelay(true);
        if !is_https {
            return Ok(Stream::new(stream));
        }
        let failed = |error: Box<dyn Error + Send + Sync>| ConnectError::Tls(error);
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let name = ServerName::try_from(bare.to_owned()).map_err(|error| failed(error.into()))?;
        let secured = self.tls.connect(name, stream).await;
        Ok(Stream::new(secured.map_err(|error| failed(error.into()))?))
    }

    /// Opens a connection to the first address that answers. A host with any refused address is refused as a whole.
    async fn open(&self, host: &str, port: u16) -> Result<TcpStream, ConnectError> {
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let addresses: Vec<IpAddr> = match bare.parse() {
            Ok(literal) => vec![literal],
            Err(_) => self.dns.addresses(bare).await.map_err(ConnectError::Unresolved)?,
        };
        for address in &addresses {
            self.guard.check(host, *address, port)?;
        }
        let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
        for address in addresses {
            match TcpStream::connect((address, port)).await {
                Ok(stream) => return Ok(stream),
                Err(error) => last = error,
            }
        }
        Err(ConnectError::Unreachable(last))
    }
}

impl Service<Uri> for Connector {
    type Response = Stream;
    type Error = ConnectError;
    type Future = Pin<Box<dyn Future<Output = Result<Stream, ConnectError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ConnectError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        Box::pin(self.clone().connect(uri))
    }
}

trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Duplex for S {}

/// Open connection, with or without TLS.
pub(crate) struct Stream(TokioIo<Box<dyn Duplex>>);

impl Stream {
    fn new(stream: impl Duplex + 'static) -> Self {
        Self(TokioIo::new(Box::new(stream)))
    }
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Stream")
    }
}

impl Connection for Stream {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

impl Read for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, buffer)
    }
}

impl Write for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}
