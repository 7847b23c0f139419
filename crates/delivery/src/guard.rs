//! Guard of outgoing calls: which addresses a destination may have. A name is checked again when it is resolved, for
//! each call, and the connection goes to exactly the address that was checked, so that a name cannot be rebound.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;
use std::sync::Arc;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use url::{Host, Url};

/// Networks of IPv4 that are not on the internet, or not one machine of it.
const CLOSED_V4: [Ipv4Net; 15] = [
    v4([0, 0, 0, 0], 8),
    v4([10, 0, 0, 0], 8),
    v4([100, 64, 0, 0], 10),
    v4([127, 0, 0, 0], 8),
    v4([169, 254, 0, 0], 16),
    v4([172, 16, 0, 0], 12),
    v4([192, 0, 0, 0], 24),
    v4([192, 0, 2, 0], 24),
    v4([192, 88, 99, 0], 24),
    v4([192, 168, 0, 0], 16),
    v4([198, 18, 0, 0], 15),
    v4([198, 51, 100, 0], 24),
    v4([203, 0, 113, 0], 24),
    v4([224, 0, 0, 0], 4),
    v4([240, 0, 0, 0], 4),
];
/// The addresses of IPv6 that are on the internet. Outside are loopback, unique-local, link-local and multicast ones, and
/// those that contain one of IPv4 (mapped, compatible, NAT64).
const OPEN_V6: Ipv6Net = v6([0x2000, 0, 0, 0, 0, 0, 0, 0], 3);
/// Networks within [`OPEN_V6`] that lead elsewhere: special uses with Teredo, documentation, 6to4.
const CLOSED_V6: [Ipv6Net; 4] = [
    v6([0x2001, 0, 0, 0, 0, 0, 0, 0], 23),
    v6([0x2001, 0xdb8, 0, 0, 0, 0, 0, 0], 32),
    v6([0x2002, 0, 0, 0, 0, 0, 0, 0], 16),
    v6([0x3fff, 0, 0, 0, 0, 0, 0, 0], 20),
];

const fn v4([a, b, c, d]: [u8; 4], bits: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), bits)
}

const fn v6([a, b, c, d, e, f, g, h]: [u16; 8], bits: u8) -> Ipv6Net {
    Ipv6Net::new_assert(Ipv6Addr::new(a, b, c, d, e, f, g, h), bits)
}

/// Address that the operator opens to deliveries although it is not on the internet, or has another port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Allowed {
    /// A network, with all ports.
    Net(IpNet),
    /// A host and a port, whatever address the host has.
    Host(String, u16),
    /// A port of all addresses on the internet.
    Port(u16),
}

impl FromStr for Allowed {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let alone = text.parse::<IpAddr>().map(IpNet::from);
        if let Ok(net) = text.parse().or(alone) {
            return Ok(Self::Net(net));
        }
        if let Some(port) = text.strip_prefix(':').and_then(|port| port.parse().ok()) {
            return Ok(Self::Port(port));
        }
        let host_and_port = text.rsplit_once(':').and_then(|(host, port)| {
            let host = Host::parse(host).ok()?.to_string();
            Some(Self::Host(host, port.parse().ok()?))
        });
        host_and_port.ok_or_else(|| {
            "write a network such as 10.0.0.0/8, a host and a port such as tracker.internal:8080, or a port such as :8443"
                .to_owned()
        })
    }
}

/// Reason why a call is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// A scheme other than http and https.
    Scheme,
    /// A user name or password in the URL.
    Userinfo,
    /// A URL without a host.
    NoHost,
    /// A port other than 80 and 443.
    Port(u16),
    /// An address that is not on the internet.
    Address(IpAddr),
    /// The name of this machine.
    Localhost,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Scheme => f.write_str("The URL must begin with https:// or http://."),
            Self::Userinfo => f.write_str("The URL must not contain a user name or password."),
            Self::NoHost => f.write_str("The URL has no host."),
            Self::Port(port) => write!(
                f,
                "Port {port} is not open to deliveries: use 443 or 80, or ask the operator to allow it."
            ),
            Self::Address(address) => write!(
                f,
                "{address} is not an address on the internet. The operator can allow private addresses."
            ),
            Self::Localhost => f.write_str(
                "The host is the machine of this server. The operator can allow private addresses.",
            ),
        }
    }
}

impl std::error::Error for Refused {}

/// Guard with the addresses that the operator allows. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Guard {
    allowed: Arc<[Allowed]>,
}

impl Guard {
    /// Creates a guard.
    #[must_use]
    pub fn new(allowed: Vec<Allowed>) -> Self {
        Self {
            allowed: allowed.into(),
        }
    }

    /// Checks a URL as far as possible without resolving its host.
    ///
    /// # Errors
    /// [`Refused`].
    pub fn check_url(&self, url: &Url) -> Result<(), Refused> {
        if !matches!(url.scheme(), "http" | "https") {
            return Err(Refused::Scheme);
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(Refused::Userinfo);
        }
        let port = url.port_or_known_default().ok_or(Refused::NoHost)?;
        match url.host().ok_or(Refused::NoHost)? {
            Host::Ipv4(address) => self.check(&address.to_string(), address.into(), port),
            Host::Ipv6(address) => self.check(&format!("[{address}]"), address.into(), port),
            Host::Domain(name) => {
                let has_nets = self
                    .allowed
                    .iter()
                    .any(|allowed| matches!(allowed, Allowed::Net(_)));
                // An allowed network is known by its addresses only, so that its names pass here.
                if self.allows_host(name, port) || has_nets {
                    return Ok(());
                }
                if is_localhost(name) {
                    return Err(Refused::Localhost);
                }
                self.check_port(port)
            }
        }
    }

    /// Checks an address that a host was resolved to.
    ///
    /// # Errors
    /// [`Refused`].
    pub fn check(&self, host: &str, address: IpAddr, port: u16) -> Result<(), Refused> {
        let is_in = |allowed: &Allowed| match allowed {
            Allowed::Net(net) => net.contains(&address),
            Allowed::Host(..) | Allowed::Port(_) => false,
        };
        if self.allows_host(host, port) || self.allowed.iter().any(is_in) {
            return Ok(());
        }
        self.check_port(port)?;
        if is_on_the_internet(address) {
            Ok(())
        } else {
            Err(Refused::Address(address))
        }
    }

    fn allows_host(&self, host: &str, port: u16) -> bool {
        self.allowed.iter().any(|allowed| match allowed {
            Allowed::Host(name, open) => name == host && *open == port,
            Allowed::Net(_) | Allowed::Port(_) => false,
        })
    }

    fn check_port(&self, port: u16) -> Result<(), Refused> {
        if matches!(port, 80 | 443) || self.allowed.contains(&Allowed::Port(port)) {
            Ok(())
        } else {
            Err(Refused::Port(port))
        }
    }
}

fn is_localhost(name: &str) -> bool {
    let name = name.trim_end_matches('.');
    name == "localhost" || name.ends_with(".localhost")
}

fn is_on_the_internet(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => !CLOSED_V4.iter().any(|net| net.contains(&address)),
        IpAddr::V6(address) => {
            OPEN_V6.contains(&address) && !CLOSED_V6.iter().any(|net| net.contains(&address))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str) -> Result<(), Refused> {
        Guard::default().check_url(&Url::parse(text).unwrap())
    }

    #[test]
    fn addresses_of_the_internet_pass() {
        for url in [
            "https://tracker.example/postback",
            "http://tracker.example:80/",
            "https://93.184.216.34/",
            "https://[2606:4700::1111]/",
        ] {
            assert_eq!(check(url), Ok(()), "{url}");
        }
    }

    #[test]
    fn every_other_address_is_refused_in_every_spelling() {
        for host in [
            "127.0.0.1",
            "127.1",
            "2130706433",
            "0x7f000001",
            "0177.0.0.1",
            "0x7f.1",
            "127.0.0.1.",
            "0",
            "0.0.0.0",
            "10.1.2.3",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.0.1",
            "100.64.0.1",
            "100.127.255.255",
            "169.254.169.254",
            "2852039166",
            "192.0.0.1",
            "192.0.2.1",
            "198.18.0.1",
            "198.51.100.7",
            "203.0.113.7",
            "224.0.0.1",
            "239.255.255.255",
            "240.0.0.1",
            "255.255.255.255",
            "192.88.99.1",
            "[::]",
            "[::1]",
            "[::ffff:127.0.0.1]",
            "[::ffff:7f00:1]",
            "[::127.0.0.1]",
            "[64:ff9b::127.0.0.1]",
            "[64:ff9b:1::1]",
            "[2002:7f00:1::]",
            "[2001:0:4136:e378::1]",
            "[2001:db8::1]",
            "[fc00::1]",
            "[fd12::1]",
            "[fe80::1]",
            "[fec0::1]",
            "[ff02::1]",
            "[100::1]",
            "[5f00::1]",
            "[3fff::1]",
            "localhost",
            "LOCALHOST",
            "localhost.",
            "a.localhost",
            "１２７.0.0.1",
            "①②⑦.0.0.1",
        ] {
            for scheme in ["http", "https"] {
                let url = format!("{scheme}://{host}/");
                assert!(check(&url).is_err(), "{url}");
            }
        }
    }

    #[test]
    fn ports_schemes_and_userinfo_are_refused_by_name() {
        assert_eq!(check("https://t.example:22/"), Err(Refused::Port(22)));
        assert_eq!(check("ftp://t.example/"), Err(Refused::Scheme));
        assert_eq!(check("gopher://t.example/"), Err(Refused::Scheme));
        assert_eq!(check("https://a@t.example/"), Err(Refused::Userinfo));
        assert_eq!(check("https://:b@t.example/"), Err(Refused::Userinfo));
    }

    #[test]
    fn the_operator_opens_networks_and_hosts() {
        let allowed = ["10.0.0.0/8", "tracker.internal:8080", ":8443"].map(|text| text.parse().unwrap());
        let guard = Guard::new(allowed.into());
        let check = |text: &str| guard.check_url(&Url::parse(text).unwrap());
        assert_eq!(check("http://10.9.8.7:9000/"), Ok(()));
        assert_eq!(check("http://tracker.internal:8080/"), Ok(()));
        assert!(check("http://192.168.0.1/").is_err() && check("https://192.168.0.1:8443/").is_err());
        assert_eq!(
            Guard::new(vec![":8443".parse().unwrap()]).check(
                "t.example",
                "93.184.216.34".parse().unwrap(),
                8443
            ),
            Ok(())
        );
        let address = "192.168.0.1".parse().unwrap();
        assert_eq!(guard.check("tracker.internal", address, 8080), Ok(()));
        assert!(guard.check("tracker.internal", address, 8081).is_err());
        assert!(guard.check("other.example", address, 80).is_err());
        for wrong in ["", "10.0.0.0/64", "tracker.internal", "a b:80", "host:99999"] {
            assert!(wrong.parse::<Allowed>().is_err(), "{wrong}");
        }
    }
}
