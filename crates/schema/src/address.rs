//! Addresses of databases: the options of libpq for TLS, beside those that tokio-postgres parses itself.

use std::path::PathBuf;
use std::str::FromStr;

use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode};

/// Address that cannot be used, with the remedy. The text contains no password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct AddressError(String);

impl AddressError {
    fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

/// Check of the server's certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verification {
    /// None: encryption without protection against a server in between.
    Nothing,
    /// An authority of `sslrootcert` has signed it.
    Authority,
    /// An authority has signed it, and it is for the host of the address.
    Full,
}

/// Authorities that may have signed the server's certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Authorities {
    /// Public ones, built into the binary.
    Public,
    /// Those of a PEM file.
    File(PathBuf),
}

/// Certificate that the client shows, with its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Identity {
    /// PEM file of the certificate, followed by intermediate ones.
    pub(crate) certificate: PathBuf,
    /// PEM file of the key.
    pub(crate) key: PathBuf,
}

/// Settings of TLS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TlsSettings {
    /// Check of the server's certificate.
    pub(crate) verification: Verification,
    /// Authorities; used unless nothing is verified.
    pub(crate) authorities: Authorities,
    /// Certificate of the client.
    pub(crate) identity: Option<Identity>,
}

/// Address of a database and the login there.
///
/// A URL (`postgres://user@host:5432/database?sslmode=verify-full`) or a list of keywords and values (`host=… user=…`), as
/// in libpq. Of the options for TLS, a list knows `sslmode` only.
///
/// | `sslmode` | |
/// |---|---|
/// | `disable` | no TLS |
/// | `prefer` | TLS if the server offers it, without a check of its certificate; the default |
/// | `require` | TLS; with `sslrootcert`, the same as `verify-ca` |
/// | `verify-ca` | TLS, and an authority of `sslrootcert` has signed the server's certificate |
/// | `verify-full` | also, the certificate is for the host of the address; the default with `sslrootcert` |
///
/// `sslrootcert` is a PEM file, or `system` for public authorities, which are also the default of `verify-full`.
/// `sslcert` and `sslkey` are PEM files of a client certificate. Connections through a Unix socket never use TLS.
#[derive(Debug, Clone)]
pub struct Address {
    /// Settings without those for TLS.
    pub(crate) config: Config,
    /// Settings of TLS; used unless `config` disables it.
    pub(crate) tls: TlsSettings,
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let (text, options) = TlsOptions::split(text)?;
        let mut config: Config = text.parse().map_err(|error| malformed(&error))?;
        if config.get_hosts().is_empty() {
            // Certificates are checked against the host; tokio-postgres refuses TLS without one.
            let numeric: Vec<_> = config.get_hostaddrs().to_vec();
            for address in numeric {
                config.host(address.to_string());
            }
        }
        let tls = options.apply(&mut config)?;
        let is_local = |host: &Host| matches!(host, Host::Unix(_));
        if config.get_hosts().iter().all(is_local) {
            config.ssl_mode(SslMode::Disable);
        }
        Ok(Self { config, tls })
    }
}

impl Address {
    /// Name of the login.
    #[must_use]
    pub fn user(&self) -> Option<&str> {
        self.config.get_user()
    }

    /// True if the address contains a password.
    #[must_use]
    pub fn has_password(&self) -> bool {
        self.config.get_password().is_some()
    }

    /// Check of the server's certificate; None if the connection may be unencrypted.
    #[must_use]
    pub fn verification(&self) -> Option<Verification> {
        (self.config.get_ssl_mode() == SslMode::Require).then_some(self.tls.verification)
    }

    /// True if the server is on this machine.
    #[must_use]
    pub fn is_local(&self) -> bool {
        self.config.get_hosts().iter().all(|host| match host {
            Host::Unix(_) => true,
            Host::Tcp(name) => {
                name == "localhost"
                    || name
                        .parse::<std::net::IpAddr>()
                        .is_ok_and(|address| address.is_loopback())
            }
        })
    }

    /// Host, port and database, without login and password.
    #[must_use]
    pub fn place(&self) -> String {
        let hosts = self.config.get_hosts();
        let ports = self.config.get_ports();
        let places: Vec<_> = hosts
            .iter()
            .enumerate()
            .map(|(index, host)| match host {
                Host::Unix(path) => path.display().to_string(),
                Host::Tcp(name) => {
                    let port = ports.get(index).or(ports.first()).copied().unwrap_or(5432);
                    format!("{name}:{port}")
                }
            })
            .collect();
        let database = self.config.get_dbname().or(self.user()).unwrap_or_default();
        format!("{database} at {}", places.join(", "))
    }
}

/// Returns the address with a password in it.
///
/// # Errors
/// Returns an error for an address that is malformed, or has a password already.
pub fn with_password(address: &str, password: &str) -> Result<String, AddressError> {
    if address.parse::<Address>()?.has_password() {
        return Err(AddressError::new(
            "the address contains a password, and a file with the password is given as well: remove one of them",
        ));
    }
    if is_url(address) {
        let separator = if address.contains('?') { '&' } else { '?' };
        let encoded = utf8_percent_encode(password, NON_ALPHANUMERIC);
        Ok(format!("{address}{separator}password={encoded}"))
    } else {
        let escaped = password.replace('\\', "\\\\").replace('\'', "\\'");
        Ok(format!("{address} password='{escaped}'"))
    }
}

fn is_url(text: &str) -> bool {
    text.starts_with("postgres://") || text.starts_with("postgresql://")
}

fn malformed(error: &tokio_postgres::Error) -> AddressError {
    let source = std::error::Error::source(error).map(|source| format!(" ({source})"));
    AddressError::new(format!(
        "the address of the database is malformed{}: write postgres://user@host:5432/database?sslmode=verify-full",
        source.unwrap_or_default()
    ))
}

/// Options for TLS of a URL, as texts.
#[derive(Debug, Default)]
struct TlsOptions {
    mode: Option<String>,
    authorities: Option<String>,
    certificate: Option<String>,
    key: Option<String>,
}

impl TlsOptions {
    /// Takes the options out of a URL. A list of keywords and values stays as it is.
    fn split(text: &str) -> Result<(String, Self), AddressError> {
        let mut found = Self::default();
        let after_login = text.find('@').unwrap_or(0);
        let query = text
            .get(after_login..)
            .and_then(|rest| rest.find('?'))
            .map(|at| after_login + at);
        let Some((rest, query)) = query
            .filter(|_| is_url(text))
            .and_then(|at| text.split_at_checked(at))
        else {
            return Ok((text.to_owned(), found));
        };
        let mut others = Vec::new();
        for pair in query.trim_start_matches('?').split('&') {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let option = match name {
                "sslmode" => &mut found.mode,
                "sslrootcert" => &mut found.authorities,
                "sslcert" => &mut found.certificate,
                "sslkey" => &mut found.key,
                _ => {
                    others.push(pair);
                    continue;
                }
            };
            let value = percent_decode_str(value)
                .decode_utf8()
                .map_err(|_| AddressError::new(format!("{name} is not UTF-8")))?;
            *option = Some(value.into_owned()).filter(|value| !value.is_empty());
        }
        let separator = if others.is_empty() { "" } else { "?" };
        Ok((format!("{rest}{separator}{}", others.join("&")), found))
    }

    /// Sets the mode, and returns the other settings.
    fn apply(self, config: &mut Config) -> Result<TlsSettings, AddressError> {
        let default = match (&self.authorities, config.get_ssl_mode()) {
            (Some(_), _) => "verify-full",
            (None, SslMode::Disable) => "disable",
            (None, SslMode::Require) => "require",
            (None, _) => "prefer",
        };
        let mode = self.mode.as_deref().unwrap_or(default);
        let verification = match mode {
            "require" if self.authorities.is_some() => Verification::Authority,
            "disable" | "prefer" | "require" => Verification::Nothing,
            "verify-ca" => Verification::Authority,
            "verify-full" => Verification::Full,
            "allow" => {
                return Err(AddressError::new(
                    "sslmode=allow is not supported: use prefer, or verify-full to authenticate the server",
                ));
            }
            other => {
                return Err(AddressError::new(format!(
                    "sslmode={other} does not exist: use disable, prefer, require, verify-ca or verify-full"
                )));
            }
        };
        let authorities = match self.authorities.as_deref() {
            Some("system") if verification != Verification::Full => {
                return Err(AddressError::new(format!(
                    "sslrootcert=system needs sslmode=verify-full, not {mode}: every owner of a host has a certificate of a \
                     public authority"
                )));
            }
            Some(_) if verification == Verification::Nothing => {
                return Err(AddressError::new(format!(
                    "sslmode={mode} does not check certificates, so sslrootcert has no effect: use verify-full"
                )));
            }
            None if verification == Verification::Authority => {
                return Err(AddressError::new(
                    "sslmode=verify-ca needs the certificate of the authority: sslrootcert=/path/to/ca.pem",
                ));
            }
            Some("system") | None => Authorities::Public,
            Some(file) => Authorities::File(file.into()),
        };
        let identity = match (self.certificate, self.key) {
            (Some(certificate), Some(key)) => Some(Identity {
                certificate: certificate.into(),
                key: key.into(),
            }),
            (None, None) => None,
            _ => {
                return Err(AddressError::new(
                    "a client certificate needs both sslcert and sslkey",
                ));
            }
        };
        config.ssl_mode(match mode {
            "disable" => SslMode::Disable,
            "prefer" => SslMode::Prefer,
            _ => SslMode::Require,
        });
        Ok(TlsSettings {
            verification,
            authorities,
            identity,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Address {
        text.parse().unwrap()
    }

    fn error(text: &str) -> String {
        text.parse::<Address>().unwrap_err().to_string()
    }

    #[test]
    fn each_mode_decides_how_certificates_are_checked() {
        for (options, mode, verification) in [
            ("", SslMode::Prefer, Verification::Nothing),
            ("?sslmode=disable", SslMode::Disable, Verification::Nothing),
            ("?sslmode=prefer", SslMode::Prefer, Verification::Nothing),
            ("?sslmode=require", SslMode::Require, Verification::Nothing),
            (
                "?sslmode=require&sslrootcert=/ca.pem",
                SslMode::Require,
                Verification::Authority,
            ),
            (
                "?sslrootcert=/ca.pem&sslmode=verify-ca",
                SslMode::Require,
                Verification::Authority,
            ),
            ("?sslmode=verify-full", SslMode::Require, Verification::Full),
            ("?sslrootcert=/ca.pem", SslMode::Require, Verification::Full),
            ("?sslrootcert=system", SslMode::Require, Verification::Full),
        ] {
            let address = parse(&format!("postgres://app:p%3Fss@db.example:6432/click{options}"));
            assert_eq!(address.config.get_ssl_mode(), mode, "{options}");
            assert_eq!(address.tls.verification, verification, "{options}");
            assert_eq!(address.config.get_password(), Some(&b"p?ss"[..]));
            assert_eq!(address.place(), "click at db.example:6432");
        }
    }

    #[test]
    fn files_are_percent_decoded_and_other_options_stay() {
        let address = parse(
            "postgres://app@db/click?connect_timeout=3&sslrootcert=%2Fetc%2Fca%20two.pem&sslcert=/a.pem&sslkey=/a.key\
             &application_name=x",
        );
        assert_eq!(
            address.tls.authorities,
            Authorities::File("/etc/ca two.pem".into())
        );
        assert_eq!(address.tls.identity.unwrap().key, std::path::Path::new("/a.key"));
        assert_eq!(address.config.get_application_name(), Some("x"));
        assert_eq!(
            address.config.get_connect_timeout(),
            Some(&std::time::Duration::from_secs(3))
        );
    }

    #[test]
    fn options_that_would_not_protect_are_refused_with_the_remedy() {
        for (options, remedy) in [
            ("sslmode=allow", "use prefer"),
            ("sslmode=full", "sslmode=full does not exist"),
            ("sslmode=verify-ca", "sslrootcert=/path/to/ca.pem"),
            ("sslmode=require&sslrootcert=system", "needs sslmode=verify-full"),
            ("sslmode=prefer&sslrootcert=/ca.pem", "use verify-full"),
            ("sslcert=/a.pem", "both sslcert and sslkey"),
            ("sslcrl=/a.crl", "unknown option `sslcrl`"),
        ] {
            let text = error(&format!("postgres://app:hidden@db/click?{options}"));
            assert!(text.contains(remedy), "{text}");
            assert!(!text.contains("hidden"), "{text}");
        }
    }

    #[test]
    fn sockets_need_no_tls_and_lists_are_addresses_too() {
        let socket = parse("postgresql://app@/click?host=%2Frun%2Fpostgresql&sslmode=require");
        assert_eq!(socket.config.get_ssl_mode(), SslMode::Disable);
        assert!(socket.is_local());
        let list = parse("host=db user=app sslmode=require");
        assert_eq!(list.verification(), Some(Verification::Nothing));
        assert!(!list.is_local());
        assert!(parse("postgres://app@127.0.0.1/click").is_local());
    }

    #[test]
    fn a_password_is_added_once() {
        let password = "p&?@/%' \\ä";
        for address in [
            "postgres://app@db/click",
            "postgres://app@db/click?sslmode=require",
            "host=db user=app",
        ] {
            let with = with_password(address, password).unwrap();
            assert_eq!(
                parse(&with).config.get_password(),
                Some(password.as_bytes()),
                "{with}"
            );
            assert!(with_password(&with, "another").is_err());
        }
    }
}
