//! Small MMDB files, by https://maxmind.github.io/MaxMind-DB/: IPv6 trees with IPv4 at `::/96`, 24-bit records.
#![expect(clippy::indexing_slicing, reason = "nodes are indexed by numbers made here")]

use std::collections::HashMap;
use std::net::IpAddr;

/// A value in a record.
#[derive(Clone)]
pub(crate) enum Value {
    Text(&'static str),
    Number(u32),
    Map(Vec<(&'static str, Value)>),
}

/// `country.iso_code` beside a name, as both vendors write it.
pub(crate) fn country(code: &'static str) -> Value {
    let names = Value::Map(vec![("en", Value::Text("somewhere"))]);
    Value::Map(vec![(
        "country",
        Value::Map(vec![("names", names), ("iso_code", Value::Text(code))]),
    )])
}

/// `autonomous_system_number`, beside the organisation.
pub(crate) fn asn(number: u32) -> Value {
    Value::Map(vec![
        ("autonomous_system_number", Value::Number(number)),
        ("autonomous_system_organization", Value::Text("someone")),
    ])
}

/// Encodes a whole file: `networks` are `address/prefix`, none within another.
pub(crate) fn file(kind: &'static str, networks: &[(&str, Value)]) -> Vec<u8> {
    let mut tree = Tree(vec![[Record::Nothing; 2]]);
    let mut data = Vec::new();
    let mut offsets = HashMap::new();
    for (network, value) in networks {
        let mut encoded = Vec::new();
        encode(value, &mut encoded);
        let offset = *offsets.entry(encoded.clone()).or_insert_with(|| {
            data.extend_from_slice(&encoded);
            data.len() - encoded.len()
        });
        tree.insert(network, offset);
    }
    let nodes = tree.0.len();
    let mut out = tree.encode();
    out.extend_from_slice(&[0; 16]);
    out.append(&mut data);
    out.extend_from_slice(b"\xab\xcd\xefMaxMind.com");
    metadata(kind, nodes, &mut out);
    out
}

#[derive(Clone, Copy)]
enum Record {
    Nothing,
    Node(usize),
    Data(usize),
}

struct Tree(Vec<[Record; 2]>);

impl Tree {
    fn insert(&mut self, network: &str, offset: usize) {
        let (address, prefix) = network.split_once('/').unwrap();
        let prefix: u32 = prefix.parse().unwrap();
        let (bits, prefix) = match address.parse().unwrap() {
            IpAddr::V4(ip) => (u128::from(ip.to_bits()), prefix + 96),
            IpAddr::V6(ip) => (ip.to_bits(), prefix),
        };
        let mut node = 0;
        for depth in 0..prefix {
            let side = (bits >> (127 - depth) & 1) as usize;
            if depth == prefix - 1 {
                self.0[node][side] = Record::Data(offset);
            } else if let Record::Node(next) = self.0[node][side] {
                node = next;
            } else {
                self.0.push([Record::Nothing; 2]);
                self.0[node][side] = Record::Node(self.0.len() - 1);
                node = self.0.len() - 1;
            }
        }
    }

    fn encode(&self) -> Vec<u8> {
        let nodes = self.0.len();
        let number = |record: &Record| match *record {
            Record::Nothing => nodes,
            Record::Node(node) => node,
            Record::Data(offset) => nodes + 16 + offset,
        };
        self.0
            .iter()
            .flatten()
            .flat_map(|record| (number(record) as u32).to_be_bytes()[1..].to_vec())
            .collect()
    }
}

fn encode(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Text(text) => out.extend(text_of(text)),
        Value::Number(number) => {
            out.push(6 << 5 | 4);
            out.extend_from_slice(&number.to_be_bytes());
        }
        Value::Map(entries) => {
            out.push(7 << 5 | entries.len() as u8);
            for (key, value) in entries {
                out.extend(text_of(key));
                encode(value, out);
            }
        }
    }
}

fn metadata(kind: &'static str, nodes: usize, out: &mut Vec<u8>) {
    let small = |number: u16| [vec![5 << 5 | 2], number.to_be_bytes().to_vec()].concat();
    let entries: [(&str, Vec<u8>); 9] = [
        (
            "node_count",
            [vec![6 << 5 | 4], (nodes as u32).to_be_bytes().to_vec()].concat(),
        ),
        ("record_size", small(24)),
        ("ip_version", small(6)),
        ("database_type", text_of(kind)),
        ("languages", vec![1, 11 - 7, 2 << 5 | 2, b'e', b'n']),
        ("binary_format_major_version", small(2)),
        ("binary_format_minor_version", small(0)),
        (
            "build_epoch",
            [vec![8, 9 - 7], 1_700_000_000_u64.to_be_bytes().to_vec()].concat(),
        ),
        (
            "description",
            [vec![7 << 5 | 1], text_of("en"), text_of("a test")].concat(),
        ),
    ];
    out.push(7 << 5 | entries.len() as u8);
    for (key, value) in entries {
        out.extend_from_slice(&text_of(key));
        out.extend_from_slice(&value);
    }
}

fn text_of(text: &str) -> Vec<u8> {
    let length = text.len() as u8;
    let head = if length < 29 {
        vec![2 << 5 | length]
    } else {
        vec![2 << 5 | 29, length - 29]
    };
    [head, text.as_bytes().to_vec()].concat()
}
