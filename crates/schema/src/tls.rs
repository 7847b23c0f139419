//! TLS of connections to Postgres: rustls for tokio-postgres, with the modes of libpq.

use std::error::Error;
use std::io;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use sha2::{Digest, Sha256, Sha384, Sha512};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_postgres::Socket;
use tokio_postgres::tls::{ChannelBinding, MakeTlsConnect, TlsConnect};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::client::WebPkiServerVerifier;
use tokio_rustls::rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use tokio_rustls::rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, ring};
use tokio_rustls::rustls::crypto::{verify_tls12_signature, verify_tls13_signature};
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use tokio_rustls::rustls::{
    AlertDescription, CertificateError, ClientConfig, DigitallySignedStruct, Error as RustlsError,
    RootCertStore, SignatureScheme,
};

use crate::address::{Authorities, Identity, TlsSettings, Verification};

/// Name of Postgres in the negotiation of the protocol above TLS, as libpq sends it.
const ALPN: &[u8] = b"postgresql";

/// TLS that failed, with the remedy.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// File of the address that cannot be used.
    #[error("{option}={}: {reason}", path.display())]
    File {
        /// Option of the address.
        option: &'static str,
        /// Path of the file.
        path: PathBuf,
        /// Reason, with the remedy.
        reason: String,
    },
    /// Failed handshake.
    #[error("TLS with {host}: {reason}")]
    Handshake {
        /// Host of the address.
        host: String,
        /// Reason, with the remedy.
        reason: String,
    },
}

/// Encrypted connection to a server.
pub struct Stream(Box<tokio_rustls::client::TlsStream<Socket>>);

impl tokio_postgres::tls::TlsStream for Stream {
    fn channel_binding(&self) -> ChannelBinding {
        let (_, session) = self.0.get_ref();
        let certificate = session.peer_certificates().and_then(<[_]>::first);
        certificate
            .and_then(|certificate| end_point_hash(certificate))
            .map_or_else(ChannelBinding::none, ChannelBinding::tls_server_end_point)
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

/// Client side of handshakes under the settings of an address.
#[derive(Clone)]
pub(crate) struct Connector(Arc<ClientConfig>);

impl Connector {
    /// Reads the files of the settings.
    pub(crate) fn new(settings: &TlsSettings) -> Result<Self, TlsError> {
        let provider = Arc::new(ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .map_err(|error| refused("(any)", error.to_string()))?;
        let config = match settings.verification {
            Verification::Full => config.with_webpki_verifier(verifier(&settings.authorities, provider)?),
            Verification::Authority => {
                let verifier = Lenient {
                    algorithms: provider.signature_verification_algorithms,
                    authorities: Some(verifier(&settings.authorities, provider)?),
                };
                config
                    .dangerous()
                    .with_custom_certificate_verifier(Arc::new(verifier))
            }
            Verification::Nothing => {
                let verifier = Lenient {
                    algorithms: provider.signature_verification_algorithms,
                    authorities: None,
                };
                config
                    .dangerous()
                    .with_custom_certificate_verifier(Arc::new(verifier))
            }
        };
        let mut config = match &settings.identity {
            None => config.with_no_client_auth(),
            Some(identity) => {
                let (certificates, key) = read_identity(identity)?;
                config
                    .with_client_auth_cert(certificates, key)
                    .map_err(|error| file("sslkey", &identity.key, error.to_string()))?
            }
        };
        config.alpn_protocols = vec![ALPN.to_vec()];
        Ok(Self(Arc::new(config)))
    }
}

impl MakeTlsConnect<Socket> for Connector {
    type Stream = Stream;
    type TlsConnect = Handshake;
    type Error = TlsError;

    fn make_tls_connect(&mut self, host: &str) -> Result<Handshake, TlsError> {
        Ok(Handshake {
            config: self.0.clone(),
            host: host.to_owned(),
        })
    }
}

/// Handshake with one server.
pub(crate) struct Handshake {
    config: Arc<ClientConfig>,
    host: String,
}

impl TlsConnect<Socket> for Handshake {
    type Stream = Stream;
    type Error = TlsError;
    type Future = Pin<Box<dyn Future<Output = Result<Stream, TlsError>> + Send>>;

    fn connect(self, socket: Socket) -> Self::Future {
        Box::pin(async move {
            let host = self.host;
            let name =
                ServerName::try_from(host.clone()).map_err(|error| refused(&host, error.to_string()))?;
            match TlsConnector::from(self.config).connect(name, socket).await {
                Ok(stream) => Ok(Stream(Box::new(stream))),
                Err(error) => {
                    let reason =
                        of_rustls(&error).map_or_else(|| error.to_string(), |error| explain(error, &host));
                    Err(refused(&host, reason))
                }
            }
        })
    }
}

fn refused(host: &str, reason: impl Into<String>) -> TlsError {
    TlsError::Handshake {
        host: host.to_owned(),
        reason: reason.into(),
    }
}

fn file(option: &'static str, path: &Path, reason: impl Into<String>) -> TlsError {
    TlsError::File {
        option,
        path: path.to_owned(),
        reason: reason.into(),
    }
}

/// Error of rustls inside of an error of the connection.
fn of_rustls(error: &io::Error) -> Option<&RustlsError> {
    error.get_ref()?.downcast_ref()
}

/// Remedy of a connection that the server closed because of the client's certificate, which TLS 1.3 reports after the
/// handshake.
pub(crate) fn remedy_of_alert(error: &(dyn Error + 'static)) -> Option<String> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(RustlsError::AlertReceived(alert)) = error.downcast_ref::<io::Error>().and_then(of_rustls)
        {
            return Some(explain_alert(*alert));
        }
        next = error.source();
    }
    None
}

fn explain_alert(alert: AlertDescription) -> String {
    match alert {
        AlertDescription::CertificateRequired => {
            "the server asks for a client certificate: name it with sslcert and sslkey".to_owned()
        }
        AlertDescription::UnknownCA
        | AlertDescription::BadCertificate
        | AlertDescription::CertificateExpired
        | AlertDescription::CertificateRevoked
        | AlertDescription::CertificateUnknown
        | AlertDescription::DecryptError => format!(
            "the server refuses the client certificate ({alert:?}): check that sslcert is signed by an authority of the \
             server's ssl_ca_file and has not expired"
        ),
        other => format!("the server refuses the handshake ({other:?})"),
    }
}

/// Reason of a failed handshake, with the remedy.
fn explain(error: &RustlsError, host: &str) -> String {
    let certificate = match error {
        RustlsError::InvalidCertificate(certificate) => certificate,
        RustlsError::AlertReceived(alert) => return explain_alert(*alert),
        other => return other.to_string(),
    };
    match certificate {
        CertificateError::NotValidForNameContext { presented, .. } if presented.is_empty() => format!(
            "the server's certificate names no host as subjectAltName (its common name does not count), so it is not for \
             {host}. Issue one with -addext subjectAltName=DNS:{host}, or check only the authority with \
             sslmode=verify-ca"
        ),
        CertificateError::NotValidForNameContext { presented, .. } => format!(
            "the server's certificate is for {}, not for {host}. Write one of these names in the address, issue a \
             certificate for {host}, or check only the authority with sslmode=verify-ca",
            presented
                .iter()
                .map(|name| bare(name))
                .collect::<Vec<_>>()
                .join(", ")
        ),
        CertificateError::UnknownIssuer => {
            "the server's certificate is signed by an authority that is not trusted. Name \
             the certificate of its authority with sslrootcert=/path/to/ca.pem"
                .to_owned()
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            format!("the server's certificate has expired ({certificate}): renew it")
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            format!(
                "the server's certificate is not valid yet ({certificate}): check the clocks of both machines"
            )
        }
        CertificateError::Other(other) if other.to_string().contains("CaUsedAsEndEntity") => {
            format!(
                "the server's certificate is one of an authority (CA:TRUE). Issue one for the server, with -addext \
                 basicConstraints=critical,CA:FALSE -addext subjectAltName=DNS:{host}"
            )
        }
        other => format!("the server's certificate is refused: {other}"),
    }
}

/// Name in the debug format of rustls, such as `DnsName("db.example")`.
fn bare(name: &str) -> &str {
    name.split_once('(')
        .and_then(|(_, rest)| rest.strip_suffix(')'))
        .map_or(name, |name| name.trim_matches('"'))
}

fn read_certificates(option: &'static str, path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    match read {
        Ok(certificates) if certificates.is_empty() => {
            Err(file(option, path, "the file contains no certificate (PEM)"))
        }
        Ok(certificates) => Ok(certificates),
        Err(error) => Err(file(option, path, error.to_string())),
    }
}

fn read_identity(
    identity: &Identity,
) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), TlsError> {
    let certificates = read_certificates("sslcert", &identity.certificate)?;
    let key = PrivateKeyDer::from_pem_file(&identity.key).map_err(|error| {
        file(
            "sslkey",
            &identity.key,
            format!("{error} (a PEM file without a passphrase is needed)"),
        )
    })?;
    Ok((certificates, key))
}

/// Check of chain and host against the authorities.
fn verifier(
    authorities: &Authorities,
    provider: Arc<CryptoProvider>,
) -> Result<Arc<WebPkiServerVerifier>, TlsError> {
    let mut roots = RootCertStore::empty();
    let path = match authorities {
        Authorities::Public => {
            roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
            Path::new("system")
        }
        Authorities::File(path) => {
            let (usable, _) = roots.add_parsable_certificates(read_certificates("sslrootcert", path)?);
            if usable == 0 {
                return Err(file(
                    "sslrootcert",
                    path,
                    "no certificate of the file can be used",
                ));
            }
            path
        }
    };
    WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider)
        .build()
        .map_err(|error| file("sslrootcert", path, error.to_string()))
}

/// Check of less than chain and host. The server proves that it has the key of its certificate in any case.
#[derive(Debug)]
struct Lenient {
    algorithms: WebPkiSupportedAlgorithms,
    /// Check of the chain; None to accept every certificate.
    authorities: Option<Arc<WebPkiServerVerifier>>,
}

impl ServerCertVerifier for Lenient {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, RustlsError> {
        let Some(authorities) = &self.authorities else {
            return Ok(ServerCertVerified::assertion());
        };
        match authorities.verify_server_cert(certificate, intermediates, name, ocsp_response, now) {
            // The chain is checked before the name.
            Err(RustlsError::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) => Ok(ServerCertVerified::assertion()),
            checked => checked,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, RustlsError> {
        verify_tls12_signature(message, certificate, signature, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, RustlsError> {
        verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// Hash of a certificate for channel binding (`tls-server-end-point`, RFC 5929): with the hash function of its signature,
/// but SHA-256 for MD5 and SHA-1. None for signatures without one, such as Ed25519.
fn end_point_hash(certificate: &[u8]) -> Option<Vec<u8>> {
    /// Object identifiers that differ in their last byte: PKCS #1 and ECDSA with SHA-2.
    const RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01];
    const ECDSA: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03];
    let (last, family) = signature_algorithm(certificate)?.split_last()?;
    match (family, last) {
        (RSA, 4 | 5 | 11) | (ECDSA, 2) => Some(Sha256::digest(certificate).to_vec()),
        (RSA, 12) | (ECDSA, 3) => Some(Sha384::digest(certificate).to_vec()),
        (RSA, 13) | (ECDSA, 4) => Some(Sha512::digest(certificate).to_vec()),
        _ => None,
    }
}

/// Object identifier of the signature: `Certificate ::= SEQUENCE { tbsCertificate, SEQUENCE { OID, … }, … }`.
fn signature_algorithm(certificate: &[u8]) -> Option<&[u8]> {
    let (inside, _) = der_element(certificate)?;
    let (_, behind_body) = der_element(inside)?;
    let (algorithm, _) = der_element(behind_body)?;
    Some(der_element(algorithm)?.0)
}

/// Content of the first DER element, and the bytes behind it.
fn der_element(input: &[u8]) -> Option<(&[u8], &[u8])> {
    let (_tag, rest) = input.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = if first < 0x80 {
        (usize::from(first), rest)
    } else {
        let (bytes, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
        if bytes.len() > 4 {
            return None;
        }
        let length = bytes
            .iter()
            .fold(0, |length, byte| length << 8 | usize::from(*byte));
        (length, rest)
    };
    rest.split_at_checked(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn certificates_are_hashed_with_the_function_of_their_signature() {
        // SEQUENCE { SEQUENCE {}, SEQUENCE { OID … } }
        let certificate = |oid: &[u8]| {
            let algorithm = [
                &[
                    0x30,
                    u8::try_from(oid.len() + 2).unwrap(),
                    0x06,
                    u8::try_from(oid.len()).unwrap(),
                ],
                oid,
            ]
            .concat();
            let inside = [&[0x30, 0x00][..], &algorithm].concat();
            [&[0x30, 0x81, u8::try_from(inside.len()).unwrap()][..], &inside].concat()
        };
        let sha256_rsa = [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 11];
        let ecdsa_sha384 = [0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 3];
        let ed25519 = [0x2b, 0x65, 0x70];
        assert_eq!(end_point_hash(&certificate(&sha256_rsa)).unwrap().len(), 32);
        assert_eq!(end_point_hash(&certificate(&ecdsa_sha384)).unwrap().len(), 48);
        assert_eq!(end_point_hash(&certificate(&ed25519)), None);
        for broken in [
            &b""[..],
            &[0x30],
            &[0x30, 0x85, 1, 1, 1, 1, 1],
            &[0x30, 0x02, 0x30],
        ] {
            assert_eq!(end_point_hash(broken), None);
        }
    }

    #[test]
    fn missing_files_are_named_with_their_option() {
        let settings = TlsSettings {
            verification: Verification::Full,
            authorities: Authorities::File("/nowhere/ca.pem".into()),
            identity: None,
        };
        let error = Connector::new(&settings).err().unwrap().to_string();
        assert!(error.starts_with("sslrootcert=/nowhere/ca.pem: "), "{error}");
    }

    #[test]
    fn names_are_shown_without_their_kind() {
        assert_eq!(bare("DnsName(\"db.example\")"), "db.example");
        assert_eq!(bare("IpAddress(10.0.0.1)"), "10.0.0.1");
        assert_eq!(bare("other"), "other");
    }
}
