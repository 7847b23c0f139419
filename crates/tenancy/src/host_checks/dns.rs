//! DNS lookups: about tracking hosts, each within a few seconds, and of hosts that deliveries go to.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{
    ConnectionConfig, LookupIpStrategy, NameServerConfig, ResolveHosts, ResolverConfig,
};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::{RData, RecordType};

use crate::networks::{Answer, Answers, Challenge, name_of};

/// Timeout of all lookups of a check, which run at the same time.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(3);
/// Timeout of one request to a DNS server, after which it is sent once more.
const REQUEST_TIMEOUT: Duration = Duration::from_millis(1400);
/// Maximum number of values of an answer.
const MAX_VALUES: usize = 8;
/// Maximum length of a value, in characters.
const MAX_VALUE_LENGTH: usize = 255;

/// DNS as this installation sees it. Nothing is cached here: a record that was just created is found as soon as the server
/// has it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Dns {
    server: Option<SocketAddr>,
}

impl Dns {
    /// DNS through this server; `None` for the servers of the system (`/etc/resolv.conf`), read at each check.
    #[must_use]
    pub fn new(server: Option<SocketAddr>) -> Self {
        Self { server }
    }

    /// Looks up all records that a check compares.
    pub(super) async fn answers(self, challenge: &Challenge, own_host: &str) -> Answers {
        let resolver = match self.resolver() {
            Ok(resolver) => resolver,
            Err(error) => {
                let failed = Answer::Failed(format!("no DNS server is configured ({error})"));
                return Answers {
                    txt: failed.clone(),
                    cname: failed.clone(),
                    addresses: failed.clone(),
                    own_addresses: failed,
                };
            }
        };
        let (txt, cname, addresses, own_addresses) = tokio::join!(
            look_up(&resolver, &challenge.txt_name, RecordType::TXT),
            look_up(&resolver, &challenge.name, RecordType::CNAME),
            look_up_addresses(&resolver, &challenge.name),
            look_up_addresses(&resolver, name_of(own_host)),
        );
        Answers {
            txt,
            cname,
            addresses,
            own_addresses,
        }
    }

    /// Addresses of a host that a connection is opened to.
    ///
    /// # Errors
    /// An error if the name has no address.
    pub async fn addresses(self, host: &str) -> io::Result<Vec<IpAddr>> {
        if self.server.is_none() {
            // The resolver of the system also knows its file of hosts.
            let found = tokio::net::lookup_host((host, 0)).await?;
            return Ok(found.map(|address| address.ip()).collect());
        }
        let resolver = self.resolver().map_err(io::Error::other)?;
        let found = resolver
            .lookup_ip(format!("{}.", host.trim_end_matches('.')))
            .await;
        Ok(found.map_err(io::Error::other)?.iter().collect())
    }

    fn resolver(self) -> Result<TokioResolver, NetError> {
        let provider = TokioRuntimeProvider::default();
        let mut builder = match self.server {
            Some(server) => TokioResolver::builder_with_config(of_server(server), provider),
            None => TokioResolver::builder(provider)?,
        };
        let options = builder.options_mut();
        options.timeout = REQUEST_TIMEOUT;
        options.attempts = 1;
        options.cache_size = 0;
        options.use_hosts_file = ResolveHosts::Never;
        options.ip_strategy = LookupIpStrategy::Ipv4AndIpv6;
        builder.build()
    }
}

fn of_server(server: SocketAddr) -> ResolverConfig {
    let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()].map(|mut connection| {
        connection.port = server.port();
        connection
    });
    let server = NameServerConfig::new(server.ip(), true, connections.into());
    ResolverConfig::from_parts(None, Vec::new(), vec![server])
}

/// Looks up records of a name, without the search domains of the system.
async fn look_up(resolver: &TokioResolver, name: &str, kind: RecordType) -> Answer {
    let looked_up = resolver.lookup(format!("{name}."), kind);
    match tokio::time::timeout(LOOKUP_TIMEOUT, looked_up).await {
        Ok(Ok(found)) => {
            let records = found
                .answers()
                .iter()
                .filter(|record| record.record_type() == kind);
            // A CNAME record can lead to others, which belong to other names.
            let own = records.take(if kind == RecordType::CNAME { 1 } else { MAX_VALUES });
            of_values(own.filter_map(|record| text(&record.data)))
        }
        Ok(Err(error)) => of_error(&error),
        Err(_) => Answer::Silent,
    }
}

async fn look_up_addresses(resolver: &TokioResolver, name: &str) -> Answer {
    if let Ok(address) = name.parse::<IpAddr>() {
        return Answer::Records(vec![address.to_string()]);
    }
    // A name such as localhost is of one machine, and not of DNS.
    if !name.contains('.') {
        return Answer::Missing;
    }
    match tokio::time::timeout(LOOKUP_TIMEOUT, resolver.lookup_ip(format!("{name}."))).await {
        Ok(Ok(found)) => of_values(found.iter().map(|address| address.to_string())),
        Ok(Err(error)) => of_error(&error),
        Err(_) => Answer::Silent,
    }
}

/// Value of a TXT or CNAME record.
fn text(data: &RData) -> Option<String> {
    match data {
        RData::TXT(txt) => Some(String::from_utf8_lossy(&txt.txt_data.concat()).into_owned()),
        RData::CNAME(name) => Some(name.0.to_lowercase().to_ascii().trim_end_matches('.').to_owned()),
        _ => None,
    }
}

/// Answer with these values, which strangers choose: their number and length are limited, and control characters left out.
fn of_values(values: impl Iterator<Item = String>) -> Answer {
    let plain = |value: String| -> String {
        let visible = value.chars().filter(|c| !c.is_control());
        visible.take(MAX_VALUE_LENGTH).collect()
    };
    let values: Vec<_> = values.map(plain).take(MAX_VALUES).collect();
    if values.is_empty() {
        Answer::Missing
    } else {
        Answer::Records(values)
    }
}

fn of_error(error: &NetError) -> Answer {
    match error {
        NetError::Timeout => Answer::Silent,
        NetError::Dns(DnsError::NoRecordsFound(found)) => match found.response_code {
            ResponseCode::NoError | ResponseCode::NXDomain => Answer::Missing,
            code => Answer::Failed(code.to_str().to_owned()),
        },
        NetError::Dns(DnsError::ResponseCode(code)) => Answer::Failed(code.to_str().to_owned()),
        NetError::Io(error) => Answer::Failed(error.to_string()),
        other => Answer::Failed(other.to_string()),
    }
}
