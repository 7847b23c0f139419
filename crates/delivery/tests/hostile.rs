//! Hostile URLs: no call reaches a listener on this machine, in whatever spelling its address is given.
#![expect(clippy::unwrap_used, reason = "a test stops at the first unexpected result")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use delivery::{Allowed, Call, CallMethod, Caller, Guard};
use tenancy::host_checks::Dns;
use tokio::net::TcpListener;
use url::Url;

/// Spellings of addresses that are not on the internet, most of them of this machine.
const HOSTS: [&str; 62] = [
    "127.0.0.1",
    "127.1",
    "127.0.1",
    "127.0.0.2",
    "127.255.255.254",
    "2130706433",
    "0x7f000001",
    "0x7f.0.0.1",
    "0x7f.1",
    "0177.0.0.1",
    "0177.1",
    "017700000001",
    "127.0.0.1.",
    "127.1.",
    "0",
    "0.0.0.0",
    "0x0",
    "00",
    "localhost",
    "LOCALHOST",
    "localhost.",
    "a.localhost",
    "a.localhost.",
    "ip6-localhost",
    "１２７.0.0.1",
    "①②⑦.0.0.1",
    "127。0。0。1",
    "loc%61lhost",
    "%31%32%37.0.0.1",
    "[::]",
    "[::1]",
    "[0:0:0:0:0:0:0:1]",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[::ffff:0:127.0.0.1]",
    "[::127.0.0.1]",
    "[64:ff9b::127.0.0.1]",
    "[64:ff9b:1::7f00:1]",
    "[2002:7f00:1::]",
    "[2001:0:4136:e378:8000:63bf:3fff:fdd2]",
    "[2001:db8::1]",
    "[fc00::1]",
    "[fd00:ec2::254]",
    "[fe80::1]",
    "[fec0::1]",
    "[ff02::1]",
    "[100::1]",
    "169.254.169.254",
    "2852039166",
    "0xa9fea9fe",
    "0251.0376.0251.0376",
    "10.0.0.1",
    "172.16.0.1",
    "192.168.1.1",
    "100.64.0.1",
    "192.0.0.192",
    "198.18.0.1",
    "192.0.2.1",
    "203.0.113.1",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
];

async fn canary(address: &str, connections: &Arc<AtomicUsize>) -> Option<u16> {
    let listener = TcpListener::bind(address).await.ok()?;
    let port = listener.local_addr().unwrap().port();
    let connections = connections.clone();
    tokio::spawn(async move {
        while listener.accept().await.is_ok() {
            connections.fetch_add(1, Ordering::SeqCst);
        }
    });
    Some(port)
}

fn caller(allowed: &[String]) -> Caller {
    let allowed = allowed.iter().map(|text| text.parse::<Allowed>().unwrap());
    Caller::new(Guard::new(allowed.collect()), Dns::default()).unwrap()
}

fn call(url: Url) -> Call {
    Call {
        grant: None,
        method: CallMethod::Get,
        shown_url: url.to_string(),
        url,
        headers: Vec::new(),
        body: None,
        problem_in: None,
    }
}

#[tokio::test]
async fn no_hostile_url_opens_a_connection() {
    let connections = Arc::new(AtomicUsize::new(0));
    let port = canary("127.0.0.1:0", &connections).await.unwrap();
    // Without IPv6 on this machine, nothing can connect to it.
    let _ = canary(&format!("[::1]:{port}"), &connections).await;
    // The port is open, so that only the addresses are refused.
    let strict = caller(&[format!(":{port}")]);
    let mut tried = 0;
    let mut urls = Vec::new();
    for host in HOSTS {
        for scheme in ["http", "https"] {
            urls.push(format!("{scheme}://{host}:{port}/"));
        }
    }
    for odd in [
        format!("http://user@127.0.0.1:{port}/"),
        format!("http://:pass@127.0.0.1:{port}/"),
        format!("http://tracker.example@127.0.0.1:{port}/"),
        format!("http://127.0.0.1:{port}#@tracker.example/"),
        format!("http:\\\\127.0.0.1:{port}/"),
        format!("http:127.0.0.1:{port}/"),
        format!("ftp://127.0.0.1:{port}/"),
        format!("gopher://127.0.0.1:{port}/_GET"),
        format!("file://127.0.0.1:{port}/etc/passwd"),
        format!("dict://127.0.0.1:{port}/"),
        "http://127.0.0.1:22/".to_owned(),
        "http://93.184.216.34:22/".to_owned(),
    ] {
        urls.push(odd);
    }
    for url in &urls {
        tried += 1;
        let Ok(url) = Url::parse(url) else { continue };
        let outcome = strict.call(&call(url.clone())).await;
        assert!(
            !outcome.is_delivered() && outcome.code.is_none(),
            "{url}: {outcome:?}"
        );
    }
    assert!(tried >= 120, "{tried}");
    assert_eq!(connections.load(Ordering::SeqCst), 0);
    // The canary sings when it may.
    let open = caller(&["127.0.0.0/8".to_owned()]);
    let url = Url::parse(&format!("http://127.0.0.1:{port}/")).unwrap();
    let canary_call = call(url);
    let _ = tokio::time::timeout(std::time::Duration::from_millis(500), open.call(&canary_call)).await;
    assert_eq!(connections.load(Ordering::SeqCst), 1);
}
