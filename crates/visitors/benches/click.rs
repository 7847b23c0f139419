//! Cost of one click in this crate. The budget for all parts together is 1 µs with warm caches.
#![expect(clippy::unwrap_used, reason = "a benchmark fails on any error")]

#[path = "../tests/mmdb/mod.rs"]
mod mmdb;

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};

use criterion::{Criterion, criterion_group, criterion_main};
use visitors::{Agents, Places, Recent, VisitorHash, VisitorKeys};

const NOW: i64 = 1_795_219_200_000;
const TODAY: i32 = 20_778;

/// The User-Agents of the tests' table.
fn user_agents() -> Vec<&'static str> {
    let table = include_str!("../tests/user_agents.txt")
        .lines()
        .filter(|line| !line.starts_with('#'));
    table.filter_map(|line| line.splitn(5, '|').nth(4)).collect()
}

fn agents(c: &mut Criterion) {
    let agents = Agents::new();
    let known = user_agents();
    for user_agent in &known {
        agents.read(Some(user_agent));
    }
    let mut next = known.iter().cycle();
    c.bench_function("parse a known User-Agent", |b| {
        b.iter(|| agents.read(next.next().copied()))
    });
    let mut number = 0;
    c.bench_function("parse a new User-Agent", |b| {
        b.iter_batched(
            || {
                number += 1;
                format!("{} {number}", known.get(number % known.len()).unwrap())
            },
            |user_agent| agents.read(Some(&user_agent)),
            criterion::BatchSize::SmallInput,
        )
    });
}

fn places(c: &mut Criterion) {
    let directory = tempfile::tempdir().unwrap();
    let networks: Vec<_> = (0..=255_u8)
        .flat_map(|a| (0..64_u8).map(move |b| format!("{a}.{}.0.0/14", b * 4)))
        .collect();
    let with = |value: &dyn Fn(usize) -> mmdb::Value| -> Vec<_> {
        networks
            .iter()
            .enumerate()
            .map(|(n, network)| (network.as_str(), value(n)))
            .collect()
    };
    let codes = ["DE", "FR", "US", "BR", "IN", "NL"];
    let countries = with(&|n| mmdb::country(codes.get(n % codes.len()).unwrap()));
    let systems = with(&|n| mmdb::asn(n as u32));
    let files = [("country.mmdb", countries), ("asn.mmdb", systems)].map(|(name, networks)| {
        let path = directory.path().join(name);
        std::fs::write(&path, mmdb::file("bench", &networks)).unwrap();
        path
    });
    let places = Places::open(&files).unwrap();
    let mut number = 0_u32;
    c.bench_function("find a place", |b| {
        b.iter(|| {
            number = number.wrapping_add(0x9e37_79b9);
            places.find(IpAddr::V4(Ipv4Addr::from_bits(number)))
        })
    });
}

fn keys(c: &mut Criterion) {
    let directory = tempfile::tempdir().unwrap();
    let keys = VisitorKeys::open(&directory.path().join("keys")).unwrap();
    let known = user_agents();
    let mut number = 0_u32;
    c.bench_function("hash a visitor", |b| {
        b.iter(|| {
            number = number.wrapping_add(1);
            let user_agent = known.get(number as usize % known.len()).copied();
            keys.hash(IpAddr::V4(Ipv4Addr::from_bits(number)), user_agent, TODAY)
                .unwrap()
        })
    });
}

fn recent(c: &mut Criterion) {
    let recent = Recent::new();
    let mut number = 0_u64;
    let mut visitor = || {
        number = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
        VisitorHash(number)
    };
    c.bench_function("query uniqueness", |b| {
        b.iter(|| black_box(recent.is_unique(1, visitor(), 20_778)))
    });
    c.bench_function("query a repeat", |b| {
        b.iter(|| black_box(recent.is_repeat(1, visitor(), NOW)))
    });
    c.bench_function("query the rate", |b| {
        b.iter(|| black_box(recent.rate(visitor(), NOW)))
    });
}

criterion_group!(benches, agents, places, keys, recent);
criterion_main!(benches);
