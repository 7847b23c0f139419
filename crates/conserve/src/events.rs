//! Events to send: every payload is a pure function of the run's seed and the event's number, so that the comparison
//! can compute it again.

use rand::rngs::StdRng;
use rand::{Rng, RngExt, SeedableRng};

/// First number of probes: clicks through a link that carries nothing else.
pub(crate) const FIRST_PROBE: u64 = 1 << 40;

/// Texts that careless text handling loses, cuts or doubles.
const AWKWARD: [&str; 14] = [
    "zażółć gęślą",
    "日本語",
    "🦀🏳️‍🌈",
    "e\u{301}",
    "a b",
    "&sub1=x",
    "=+%20",
    "%00",
    "\"'<>",
    "\\N\\t",
    "\t",
    "line\nbreak\r\n",
    "{click_id}",
    "\u{202e}\u{feff}\u{10ffff}",
];
/// Currencies of orders, with the smallest coin in micro-units.
const CURRENCIES: [(&str, i64); 3] = [("EUR", 10_000), ("USD", 10_000), ("JPY", 1_000_000)];

/// Seed of a run, and the number of links of its ordinary clicks.
#[derive(Debug, Clone)]
pub(crate) struct Run {
    /// Seed of every payload and of the schedule of faults.
    pub(crate) seed: u64,
    /// Number of ordinary links; the probes' link comes after them.
    pub(crate) links: usize,
}

/// Kind of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Visit.
    Click,
    /// Order of a shop.
    Order,
    /// Call that reports an order.
    Call,
}

/// Visit.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Click {
    /// Index of the link in the scene.
    pub(crate) link: usize,
    /// `sub1` … `sub5`. The first names the event.
    pub(crate) subs: [Option<String>; 5],
}

/// Order of an advertiser's shop, which any number of postbacks may report.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Order {
    /// Order id.
    pub(crate) id: String,
    /// ISO 4217 code.
    pub(crate) currency: &'static str,
    /// Smallest coin of the currency, in micro-units.
    pub(crate) coin: i64,
    /// Amount, in micro-units.
    pub(crate) amount: i64,
    /// Amount in a conflicting postback, in micro-units.
    pub(crate) other_amount: i64,
}

impl Run {
    /// Returns the random source of event `n` of a kind.
    pub(crate) fn dice(&self, kind: u64, n: u64) -> StdRng {
        // Two odd constants keep (kind, n) pairs of one run and neighbouring seeds apart.
        let mixed = self
            .seed
            .wrapping_mul(0x9E37_79B9_7F4A_7C15)
            .wrapping_add(n.wrapping_mul(0xBF58_476D_1CE4_E5B9));
        StdRng::seed_from_u64(mixed ^ kind.rotate_left(56))
    }

    /// Returns click number `n`.
    pub(crate) fn click(&self, n: u64) -> Click {
        let mut dice = self.dice(1, n);
        let link = if n >= FIRST_PROBE {
            self.links
        } else {
            dice.random_range(0..self.links)
        };
        let large = dice.random_ratio(1, 50).then(|| large(&mut dice));
        let sub = |dice: &mut StdRng| dice.random_bool(0.5).then(|| short(dice));
        let subs = [
            Some(self.name(Kind::Click, n)),
            Some(short(&mut dice)),
            large.or_else(|| sub(&mut dice)),
            sub(&mut dice),
            sub(&mut dice),
        ];
        Click { link, subs }
    }

    /// Returns order number `n`.
    pub(crate) fn order(&self, n: u64) -> Order {
        let mut dice = self.dice(2, n);
        let index = if dice.random_bool(0.8) {
            0
        } else {
            dice.random_range(0..CURRENCIES.len())
        };
        let (currency, coin) = CURRENCIES.get(index).copied().unwrap_or(("EUR", 10_000));
        let coins = dice.random_range(1..1_000_000);
        let suffix = if dice.random_ratio(1, 4) {
            short(&mut dice)
        } else {
            String::new()
        };
        Order {
            // The text after the first space is there to be mangled.
            id: format!("{} {suffix}.", self.name(Kind::Order, n)),
            currency,
            coin,
            amount: coins * coin,
            other_amount: (coins + dice.random_range(1..1_000)) * coin,
        }
    }

    /// Returns the name of event `n` of a kind in payloads.
    pub(crate) fn name(&self, kind: Kind, n: u64) -> String {
        format!("{}{n}", self.prefix(kind))
    }

    /// Returns the prefix of the names of this kind.
    pub(crate) fn prefix(&self, kind: Kind) -> String {
        let initial = match kind {
            Kind::Click => 'k',
            Kind::Order => 'o',
            Kind::Call => 'c',
        };
        format!("{initial}{:x}-", self.seed)
    }

    /// Returns the number of the event with this name, which ends at the first space.
    pub(crate) fn number(&self, kind: Kind, name: &str) -> Option<u64> {
        let first = name.split(' ').next()?;
        let number = first.strip_prefix(&self.prefix(kind))?.parse().ok()?;
        (self.name(kind, number) == first).then_some(number)
    }
}

impl Order {
    /// Writes an amount of this order as a shop does: `12.50`, or `1250` without cents.
    pub(crate) fn write(&self, micros: i64) -> String {
        match self.coin {
            1_000_000 => format!("{}", micros / 1_000_000),
            _ => format!("{}.{:02}", micros / 1_000_000, micros % 1_000_000 / 10_000),
        }
    }

    /// Returns a percentage of an amount, rounded half to even at the smallest coin.
    pub(crate) fn share(&self, micros: i64, percent: i64) -> i64 {
        let (exact, whole) = (micros * percent, 100 * self.coin);
        let (coins, rest) = (exact / whole, exact % whole);
        let up = rest * 2 > whole || (rest * 2 == whole && coins % 2 == 1);
        (coins + i64::from(up)) * self.coin
    }
}

fn short(dice: &mut impl Rng) -> String {
    let mut text = format!("{:x}", dice.random_range(0..1_u32 << 24));
    for _ in 0..dice.random_range(0..3) {
        text.push_str(AWKWARD.get(dice.random_range(0..AWKWARD.len())).unwrap_or(&""));
    }
    text
}

/// Returns a text of 1 to 4 KiB.
fn large(dice: &mut impl Rng) -> String {
    let length = dice.random_range(1024..4000);
    let mut text = String::with_capacity(length);
    while text.len() + 96 < length {
        text.extend((0..64).map(|_| char::from(dice.random_range(b'a'..=b'z'))));
        if dice.random_ratio(1, 4) {
            text.push_str(AWKWARD.get(dice.random_range(0..4)).unwrap_or(&""));
        }
    }
    text
}

/// Percent-encodes all but ASCII letters, digits and hyphens.
pub(crate) fn percent(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len() * 2);
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || byte == b'-' {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    const RUN: Run = Run { seed: 7, links: 4 };

    #[test]
    fn an_event_is_always_the_same_and_no_two_are_alike() {
        assert_eq!(RUN.click(5), RUN.click(5));
        assert_eq!(RUN.order(5), RUN.order(5));
        assert_ne!(RUN.click(5).subs[1], RUN.click(6).subs[1]);
        assert_ne!(RUN.click(5).subs[1], Run { seed: 8, links: 4 }.click(5).subs[1]);
    }

    #[test]
    fn an_event_is_found_by_its_name_and_by_no_other() {
        assert_eq!(RUN.number(Kind::Order, &RUN.order(12).id), Some(12));
        for name in ["o7-012", "o8-12", "k7-12", "o7-", "12", "o7-12x"] {
            assert_eq!(RUN.number(Kind::Order, name), None, "{name}");
        }
    }

    #[test]
    fn payloads_hold_unicode_and_kilobytes_and_fit_the_longest_url() {
        let clicks: Vec<_> = (0..2_000).map(|n| RUN.click(n)).collect();
        let length = |click: &Click| {
            click
                .subs
                .iter()
                .flatten()
                .map(|sub| percent(sub).len())
                .sum::<usize>()
        };
        assert!(clicks.iter().map(length).max().unwrap() < 7_800);
        assert!(
            clicks
                .iter()
                .any(|click| click.subs.iter().flatten().any(|sub| sub.len() > 2_048))
        );
        assert!(
            clicks
                .iter()
                .any(|click| click.subs.iter().flatten().any(|sub| !sub.is_ascii()))
        );
        assert!((0..4).all(|link| clicks.iter().any(|click| click.link == link)));
        assert_eq!(RUN.click(FIRST_PROBE).link, 4);
    }

    #[test]
    fn a_share_is_rounded_half_to_even_at_the_smallest_coin() {
        let order = |coin| Order { coin, ..RUN.order(0) };
        assert_eq!(order(10_000).share(12_250_000, 10), 1_220_000);
        assert_eq!(order(10_000).share(12_350_000, 10), 1_240_000);
        assert_eq!(order(10_000).share(12_360_000, 10), 1_240_000);
        assert_eq!(order(1_000_000).share(12_345_000_000, 10), 1_234_000_000);
        assert_eq!(order(10_000).write(12_050_000), "12.05");
        assert_eq!(order(1_000_000).write(1_250_000_000), "1250");
    }
}
