//! DNS server with records that a test sets.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use hickory_resolver::proto::op::{Message, ResponseCode};
use hickory_resolver::proto::rr::rdata::{A, CNAME, TXT};
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};
use tokio::net::UdpSocket;

/// Answer to the requests about a name.
#[derive(Clone)]
enum Zone {
    /// Records of the name.
    Records(Vec<RData>),
    /// One address in each answer, in turn.
    Turns(Arc<AtomicUsize>, Vec<Ipv4Addr>),
    /// No answer at all.
    Silent,
    /// Error.
    Failing,
}

/// DNS server on a free UDP port. Names without records do not exist.
pub struct DnsServer {
    /// Address of the server.
    pub address: SocketAddr,
    zones: Arc<Mutex<HashMap<String, Zone>>>,
}

impl DnsServer {
    /// Starts the server.
    pub async fn start() -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").await.expect("a free port");
        let address = socket.local_addr().expect("bound");
        let zones = Arc::<Mutex<HashMap<String, Zone>>>::default();
        let served = Arc::clone(&zones);
        tokio::spawn(async move {
            let mut buffer = [0; 4096];
            while let Ok((length, client)) = socket.recv_from(&mut buffer).await {
                let request = Message::from_vec(&buffer[..length]).expect("a DNS message");
                let answered = answer(&request, &served.lock().expect("the test goes on"));
                if let Some(response) = answered {
                    let bytes = response.to_vec().expect("a short message");
                    // The client may have given up.
                    let _ = socket.send_to(&bytes, client).await;
                }
            }
        });
        Self { address, zones }
    }

    /// Sets the TXT records of a name.
    pub fn txt(&self, name: &str, values: &[&str]) {
        let record = |value: &&str| RData::TXT(TXT::new(vec![(*value).to_owned()]));
        self.set(name, Zone::Records(values.iter().map(record).collect()));
    }

    /// Sets the CNAME record of a name.
    pub fn cname(&self, name: &str, target: &str) {
        let target = Name::from_ascii(format!("{target}.")).expect("a name");
        self.set(name, Zone::Records(vec![RData::CNAME(CNAME(target))]));
    }

    /// Sets the address of a name.
    pub fn address(&self, name: &str, address: Ipv4Addr) {
        self.set(name, Zone::Records(vec![RData::A(A(address))]));
    }

    /// Sets several addresses of a name.
    pub fn addresses(&self, name: &str, addresses: &[Ipv4Addr]) {
        let records = addresses.iter().map(|address| RData::A(A(*address)));
        self.set(name, Zone::Records(records.collect()));
    }

    /// Answers about a name with these addresses in turn, one in each answer.
    pub fn alternate(&self, name: &str, addresses: &[Ipv4Addr]) {
        let turns = Arc::new(AtomicUsize::new(0));
        self.set(name, Zone::Turns(turns, addresses.to_vec()));
    }

    /// Does not answer about a name from now on.
    pub fn silence(&self, name: &str) {
        self.set(name, Zone::Silent);
    }

    /// Answers with an error about a name from now on.
    pub fn fail(&self, name: &str) {
        self.set(name, Zone::Failing);
    }

    /// Removes the records of a name, so that it does not exist.
    pub fn remove(&self, name: &str) {
        self.zones.lock().expect("the server goes on").remove(name);
    }

    fn set(&self, name: &str, zone: Zone) {
        let mut zones = self.zones.lock().expect("the server goes on");
        zones.insert(name.to_owned(), zone);
    }
}

/// Response to a request, as a recursive server gives it; none if the server is silent about the name.
fn answer(request: &Message, zones: &HashMap<String, Zone>) -> Option<Message> {
    let query = request.queries.first().expect("a question");
    let mut response = Message::response(request.metadata.id, request.metadata.op_code);
    response.metadata.recursion_available = true;
    response.add_query(query.clone());
    let mut name = query.name().to_lowercase();
    loop {
        match zones.get(name.to_ascii().trim_end_matches('.')) {
            Some(Zone::Silent) => return None,
            Some(Zone::Turns(turns, addresses)) if query.query_type() == RecordType::A => {
                let turn = turns.fetch_add(1, Ordering::SeqCst) % addresses.len();
                let data = RData::A(A(addresses[turn]));
                response.add_answer(Record::from_rdata(name.clone(), 0, data));
            }
            Some(Zone::Turns(..)) => {}
            Some(Zone::Failing) => response.metadata.response_code = ResponseCode::ServFail,
            None if response.answers.is_empty() => response.metadata.response_code = ResponseCode::NXDomain,
            None => {}
            Some(Zone::Records(records)) => {
                let wanted = records.iter().filter(|data| {
                    let kind = data.record_type();
                    kind == query.query_type() || kind == RecordType::CNAME
                });
                let mut next = None;
                for data in wanted {
                    response.add_answer(Record::from_rdata(name.clone(), 60, data.clone()));
                    if let (RData::CNAME(target), false) = (data, query.query_type() == RecordType::CNAME) {
                        next = Some(target.0.to_lowercase());
                    }
                }
                if let Some(target) = next {
                    name = target;
                    continue;
                }
            }
        }
        return Some(response);
    }
}
