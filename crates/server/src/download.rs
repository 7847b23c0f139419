//! Download of a text from another server: bounded in size and time, over http or https, without redirects.

use std::error::Error;
use std::time::Duration;

use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::header::{ACCEPT_ENCODING, CONNECTION, HOST, USER_AGENT};
use hyper::rt::{Read, Write};
use hyper::{Request, StatusCode};
use tokio::time::timeout;
use tokio_rustls::rustls::RootCertStore;
use url::Url;

use crate::outgoing::{ConnectError, connect, public_authorities, target};

/// Longest time of a download.
const DOWNLOAD_TIMEOUT: Duration = Duration::from_secs(60);

/// Reason why a download failed, as text for operators. It does not contain the URL.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DownloadError {
    /// No connection, or one that broke.
    #[error("{0}")]
    Connection(#[source] Box<dyn Error + Send + Sync>),
    /// A response other than 200.
    #[error("the server answered {0}")]
    Status(StatusCode),
    /// A response that is too large.
    #[error("the response is larger than {0} bytes")]
    TooLarge(usize),
    /// A response that is not UTF-8.
    #[error("the response is not UTF-8")]
    NotText,
    /// A server that is too slow.
    #[error("no complete response within {} s", DOWNLOAD_TIMEOUT.as_secs())]
    Timeout,
    /// A URL without a host.
    #[error("the URL has no host")]
    NoHost,
}

fn failed(error: impl Into<Box<dyn Error + Send + Sync>>) -> DownloadError {
    DownloadError::Connection(error.into())
}

/// Parses the URL of a download: http or https.
///
/// # Errors
/// Returns a text for the user of the command line.
pub(crate) fn parse_url(text: &str) -> Result<Url, String> {
    Url::parse(text)
        .ok()
        .filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
        .ok_or_else(|| "write a URL, such as https://example.com/rates.xml".to_owned())
}

/// Downloads a text of at most `limit` bytes.
pub(crate) async fn download(url: &Url, limit: usize) -> Result<String, DownloadError> {
    timeout(
        DOWNLOAD_TIMEOUT,
        connect_and_get(url, limit, public_authorities()),
    )
    .await
    .unwrap_or(Err(DownloadError::Timeout))
}

async fn connect_and_get(
    url: &Url,
    limit: usize,
    authorities: RootCertStore,
) -> Result<String, DownloadError> {
    let stream = connect(url, authorities).await.map_err(|error| match error {
        ConnectError::NoHost => DownloadError::NoHost,
        ConnectError::Timeout => DownloadError::Timeout,
        other => failed(other),
    })?;
    get(stream, url, limit).await
}

async fn get<S>(stream: S, url: &Url, limit: usize) -> Result<String, DownloadError>
where
    S: Read + Write + Unpin + Send + 'static,
{
    let (mut sender, connection) = http1::handshake(stream).await.map_err(failed)?;
    let driver = tokio::spawn(connection);
    let exchange = async {
        let request = Request::get(target(url))
            .header(HOST, url.authority())
            .header(USER_AGENT, concat!("clickledger/", env!("CARGO_PKG_VERSION")))
            .header(ACCEPT_ENCODING, "identity")
            .header(CONNECTION, "close")
            .body(Empty::<Bytes>::new())
            .map_err(failed)?;
        let response = sender.send_request(request).await.map_err(failed)?;
        if response.status() != StatusCode::OK {
            return Err(DownloadError::Status(response.status()));
        }
        let body = Limited::new(response.into_body(), limit).collect().await;
        let body = body.map_err(|error| {
            if error.is::<http_body_util::LengthLimitError>() {
                DownloadError::TooLarge(limit)
            } else {
                DownloadError::Connection(error)
            }
        })?;
        String::from_utf8(body.to_bytes().into()).map_err(|_| DownloadError::NotText)
    };
    let text = exchange.await;
    driver.abort();
    text
}

#[cfg(test)]
mod tests {
    use std::process::{Child, Command, Stdio};

    use tokio_rustls::rustls::pki_types::CertificateDer;
    use tokio_rustls::rustls::pki_types::pem::PemObject;

    use super::*;

    #[test]
    fn only_web_addresses_are_accepted() {
        assert!(parse_url("https://mirror.example:8443/eurofxref.xml?a=b").is_ok());
        for wrong in [
            "",
            "rates.xml",
            "file:///etc/passwd",
            "ftp://example.com/x",
            "https://",
        ] {
            assert!(parse_url(wrong).is_err(), "{wrong}");
        }
    }

    /// Server of openssl on a free port, killed when dropped.
    struct SecureServer(Child);

    impl Drop for SecureServer {
        fn drop(&mut self) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }

    #[tokio::test]
    async fn a_download_over_https_needs_a_trusted_certificate() {
        let folder = tempfile::tempdir().unwrap();
        let made = Command::new("openssl")
            .current_dir(folder.path())
            .args([
                "req",
                "-x509",
                "-newkey",
                "rsa:2048",
                "-nodes",
                "-days",
                "2",
                "-subj",
                "/CN=localhost",
            ])
            .args([
                "-addext",
                "subjectAltName=DNS:localhost",
                "-addext",
                "basicConstraints=critical,CA:FALSE",
            ])
            .args(["-keyout", "key.pem", "-out", "certificate.pem"])
            .output()
            .unwrap();
        assert!(made.status.success(), "{made:?}");
        let port = std::net::TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let server = Command::new("openssl")
            .current_dir(folder.path())
            .args([
                "s_server",
                "-www",
                "-quiet",
                "-key",
                "key.pem",
                "-cert",
                "certificate.pem",
            ])
            .args(["-accept", &format!("127.0.0.1:{port}")])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn();
        let _server = SecureServer(server.unwrap());
        let url = parse_url(&format!("https://localhost:{port}/")).unwrap();
        let mut trusting = RootCertStore::empty();
        let certificate = CertificateDer::from_pem_file(folder.path().join("certificate.pem")).unwrap();
        trusting.add(certificate).unwrap();
        let mut text = connect_and_get(&url, 1_000_000, trusting.clone()).await;
        for _ in 0..100 {
            if text.is_ok() {
                break;
            }
            // openssl is about to listen.
            tokio::time::sleep(Duration::from_millis(50)).await;
            text = connect_and_get(&url, 1_000_000, trusting.clone()).await;
        }
        assert!(text.unwrap().contains("s_server"));
        let refused = download(&url, 1_000_000).await.unwrap_err().to_string();
        assert!(refused.contains("certificate"), "{refused}");
    }
}
