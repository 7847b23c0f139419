//! Requests: clicks of many visitors through many links, as browsers send them, and postbacks for stored clicks.

use std::io::Write as _;
use std::sync::Arc;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::pump::Requests;
use crate::ids::BASE32;
use crate::scene::Link;

/// Secret of the installation, with which click ids are signed here too.
pub(super) const SECRET: [u8; 32] = *b"of a benchmark known to everyone";

/// Different clicks that wrk repeats.
const ASSORTMENT: u64 = 1 << 16;

const BROWSERS: [&str; 4] = [
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.6 Mobile/15E148 Safari/604.1",
    "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Mobile Safari/537.36",
    "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
];

/// Use of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Connections {
    /// Kept for the next request.
    Kept,
    /// New for each request.
    New,
}

/// Writes click `n` on this host and alias: a visitor of one of 131,072 addresses, with two sub ids of eight
/// characters.
fn write_click(request: &mut Vec<u8>, host: &str, alias: &str, n: u64, connections: Connections) {
    // Multiplied by odd numbers, so that neighbours differ.
    let [.., b, c, d] = n.wrapping_mul(0x9E37_79B1).to_be_bytes();
    let (first, second) = (n.wrapping_mul(2_654_435_761), n.wrapping_mul(2_246_822_519));
    let browser = BROWSERS.get(usize::from(d & 3)).copied().unwrap_or_default();
    let close = match connections {
        Connections::Kept => "",
        Connections::New => "Connection: close\r\n",
    };
    // Writing to memory does not fail.
    let _ = write!(
        request,
        "GET /{alias}?sub1={:08x}&sub2={:08x} HTTP/1.1\r\nHost: {host}\r\nX-Forwarded-For: 198.{}.{c}.{d}\r\n\
         User-Agent: {browser}\r\nReferer: https://reviews.example/best-running-shoes\r\nAccept: */*\r\n{close}\r\n",
        first & 0xffff_ffff,
        second & 0xffff_ffff,
        18 + (b & 1),
    );
}

/// Returns the clicks from which wrk chooses.
pub(super) fn assortment(links: &[Link], connections: Connections) -> Vec<String> {
    let links = links.iter().cycle();
    (0..ASSORTMENT)
        .zip(links)
        .map(|(n, link)| {
            let mut request = Vec::new();
            write_click(&mut request, &link.host, &link.alias, n, connections);
            String::from_utf8_lossy(&request).into_owned()
        })
        .collect()
}

/// Returns clicks through all links in turn.
pub(super) fn clicks(links: Vec<Link>) -> Requests {
    Arc::new(move |n, request| {
        if let Some(link) = in_turn(&links, n) {
            write_click(request, &link.host, &link.alias, n, Connections::Kept);
        }
    })
}

/// Returns clicks through the links `many-0`, `many-1` … of one host, in turn.
pub(super) fn clicks_through_many(host: String, links: u64) -> Requests {
    Arc::new(move |n, request| {
        let alias = format!("many-{}", n % links);
        write_click(request, &host, &alias, n, Connections::Kept);
    })
}

fn in_turn(links: &[Link], n: u64) -> Option<&Link> {
    let count = u64::try_from(links.len()).ok()?;
    links.get(usize::try_from(n.checked_rem(count)?).ok()?)
}

/// Clicks from before the measurements: click `n` was at `from_ms + n · span_ms / count` on link `n mod links`, and its
/// random part is `n`.
#[derive(Debug, Clone)]
pub(super) struct Preloaded {
    /// Number of clicks.
    pub(super) count: u64,
    /// Time of the first click, in milliseconds since 1970.
    pub(super) from_ms: u64,
    /// Time over which the clicks are spread, in milliseconds.
    pub(super) span_ms: u64,
    /// Links of the clicks.
    pub(super) links: Vec<Link>,
}

impl Preloaded {
    /// Returns postbacks for the clicks in scattered order, each for a new order.
    pub(super) fn postbacks(self) -> Requests {
        Arc::new(move |order, request| {
            // A prime larger than any count, so that every click comes once before any comes again.
            let n = order.wrapping_mul(2_147_483_647) % self.count;
            let Some(link) = in_turn(&self.links, n) else {
                return;
            };
            let id = self.click_id(n, link);
            let (host, token) = (&link.host, &link.token);
            // Writing to memory does not fail.
            let _ = write!(
                request,
                "GET /postback?click_id={id}&goal=sale&amount=49.90&currency=EUR&order_id=order-{order}&token={token} \
                 HTTP/1.1\r\nHost: {host}\r\nUser-Agent: Shop/1.0\r\n\r\n"
            );
        })
    }

    /// Returns the click id as the server would have created it.
    pub(super) fn click_id(&self, n: u64, link: &Link) -> String {
        let ms = self.from_ms + n * self.span_ms / self.count;
        let mut bytes = vec![1];
        bytes.extend(ms.to_be_bytes().iter().skip(2));
        bytes.extend(link.network.to_be_bytes());
        bytes.extend(link.id.to_be_bytes());
        bytes.extend(n.to_be_bytes().iter().skip(2));
        let purpose = [b"click id ".as_slice(), &link.network.to_be_bytes()].concat();
        let mac = hmac(&hmac(&SECRET, &purpose), &bytes);
        bytes.extend(mac.iter().take(6));
        BASE32.encode(&bytes)
    }
}

fn hmac(key: &[u8], message: &[u8]) -> [u8; 32] {
    #[expect(clippy::expect_used, reason = "HMAC takes keys of any length")]
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes any key");
    mac.update(message);
    mac.finalize().into_bytes().into()
}

/// Returns the secret as the server reads it.
pub(super) fn secret_text() -> String {
    BASE32.encode(&SECRET)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn link(number: i32) -> Link {
        Link {
            host: "bench.test".into(),
            alias: format!("link-{number}"),
            token: "t".into(),
            network: 7,
            id: number,
            affiliate: 1,
            advertiser: 1,
        }
    }

    fn text(requests: &Requests, n: u64) -> String {
        let mut request = Vec::new();
        requests(n, &mut request);
        String::from_utf8(request).unwrap()
    }

    #[test]
    fn clicks_differ_and_are_whole_requests() {
        let requests = clicks(vec![link(0), link(1)]);
        let first = text(&requests, 0);
        assert!(
            first.starts_with("GET /link-0?sub1=00000000&sub2=00000000 HTTP/1.1\r\nHost: bench.test\r\n")
        );
        assert!(first.ends_with("\r\n\r\n"));
        let all: HashSet<_> = (0..1000).map(|n| text(&requests, n)).collect();
        assert_eq!(all.len(), 1000);
        let closing = assortment(&[link(0)], Connections::New);
        assert!(closing[5].contains("\r\nConnection: close\r\n"));
    }

    #[test]
    fn every_click_has_a_postback_before_any_has_a_second() {
        let preloaded = Preloaded {
            count: 1000,
            from_ms: 1_700_000_000_000,
            span_ms: 1000,
            links: vec![link(0), link(1), link(2)],
        };
        let requests = preloaded.postbacks();
        let id = |n| {
            let request = text(&requests, n);
            let id = request.split(['=', '&']).nth(1).unwrap();
            let id = crate::ids::click_id(id).unwrap();
            assert_eq!(id.network, 7);
            id.key
        };
        let ids: HashSet<_> = (0..1000).map(id).collect();
        assert_eq!(ids.len(), 1000);
        assert_eq!(id(1000), id(0));
    }
}
