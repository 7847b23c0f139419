//! Encoders: take the values of a column row by row, and write its bytes.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};

use hashbrown::HashTable;

use crate::bytes::put_varint;
use crate::codes;

/// Version of the format.
pub(crate) const VERSION: u8 = 1;
/// Kinds of dictionaries.
pub(crate) const NUMBERS: u8 = 0;
pub(crate) const TEXTS: u8 = 1;

/// Encoder of a column of numbers.
#[derive(Debug, Default)]
pub struct NumberEncoder {
    /// Code of each value, in the order of their first rows.
    code_of: HashMap<i32, u32>,
    codes: Vec<u32>,
}

impl NumberEncoder {
    /// Adds a row.
    pub fn push(&mut self, value: Option<i32>) {
        let next = self.code_of.len() as u32 + 1;
        let code = value.map_or(0, |value| *self.code_of.entry(value).or_insert(next));
        self.codes.push(code);
    }

    /// Bytes of the column, with the rows in this order.
    #[must_use]
    pub fn encode(self, order: &[u32]) -> Vec<u8> {
        let mut entries: Vec<_> = self.code_of.into_iter().collect();
        entries.sort_unstable();
        let mut bytes = begin(NUMBERS, order.len(), entries.len());
        let mut before = i64::from(i32::MIN);
        for (number, _) in &entries {
            // Ascending numbers have differences that are not negative.
            put_varint(&mut bytes, (i64::from(*number) - before).unsigned_abs());
            before = i64::from(*number);
        }
        let new_codes = renumbered(entries.iter().map(|(_, code)| *code));
        codes::encode(
            &ordered(&self.codes, &new_codes, order),
            entries.len(),
            &mut bytes,
        );
        bytes
    }
}

/// Encoder of a column of texts.
#[derive(Debug, Default)]
pub struct TextEncoder {
    texts: Texts,
    codes: Vec<u32>,
}

/// Different texts in the order of their first rows. One allocation has all of them: hundreds of thousands of small ones would
/// leave memory that is free and cannot be given back.
#[derive(Debug, Default)]
struct Texts {
    bytes: String,
    /// End of each text in `bytes`.
    ends: Vec<usize>,
    /// Positions of the texts, by their hashes.
    positions: HashTable<u32>,
    hasher: RandomState,
}

impl Texts {
    /// Text at this position.
    fn at(&self, position: u32) -> &str {
        text_at(&self.bytes, &self.ends, position)
    }

    /// Position of a text, which is added if it is new.
    fn position_of(&mut self, text: &str) -> u32 {
        let hash = self.hasher.hash_one(text);
        let (bytes, ends) = (&self.bytes, &self.ends);
        let is_it = |position: &u32| text_at(bytes, ends, *position) == text;
        if let Some(position) = self.positions.find(hash, is_it) {
            return *position;
        }
        let position = self.ends.len() as u32;
        self.bytes.push_str(text);
        self.ends.push(self.bytes.len());
        let (bytes, ends, hasher) = (&self.bytes, &self.ends, &self.hasher);
        let hash_of = |position: &u32| hasher.hash_one(text_at(bytes, ends, *position));
        self.positions.insert_unique(hash, position, hash_of);
        position
    }
}

fn text_at<'a>(bytes: &'a str, ends: &[usize], position: u32) -> &'a str {
    let position = position as usize;
    let start = position.checked_sub(1).and_then(|before| ends.get(before));
    let (start, end) = (start.copied().unwrap_or_default(), ends.get(position).copied());
    end.and_then(|end| bytes.get(start..end)).unwrap_or_default()
}

impl TextEncoder {
    /// Adds a row.
    pub fn push(&mut self, value: Option<&str>) {
        let code = value.map_or(0, |value| self.texts.position_of(value) + 1);
        self.codes.push(code);
    }

    /// Bytes of the column, with the rows in this order.
    #[must_use]
    pub fn encode(self, order: &[u32]) -> Vec<u8> {
        let texts = self.texts;
        let mut positions: Vec<u32> = (0..texts.ends.len() as u32).collect();
        positions.sort_unstable_by_key(|position| texts.at(*position));
        let mut bytes = begin(TEXTS, order.len(), positions.len());
        let mut before = "";
        for position in &positions {
            let text = texts.at(*position);
            let pairs = before.bytes().zip(text.bytes());
            let shared = pairs.take_while(|(one, other)| one == other).count();
            put_varint(&mut bytes, shared as u64);
            put_varint(&mut bytes, (text.len() - shared) as u64);
            bytes.extend(text.bytes().skip(shared));
            before = text;
        }
        let new_codes = renumbered(positions.iter().map(|position| position + 1));
        codes::encode(
            &ordered(&self.codes, &new_codes, order),
            positions.len(),
            &mut bytes,
        );
        bytes
    }
}

/// New code of each former one: the place of its value among the sorted values, whose former codes these are; 0 for none.
fn renumbered(sorted: impl ExactSizeIterator<Item = u32>) -> Vec<u32> {
    let mut new_codes = vec![0; sorted.len() + 1];
    for (old, new) in sorted.zip(1..) {
        if let Some(code) = new_codes.get_mut(old as usize) {
            *code = new;
        }
    }
    new_codes
}

fn begin(kind: u8, rows: usize, entries: usize) -> Vec<u8> {
    let mut bytes = vec![VERSION, kind];
    put_varint(&mut bytes, rows as u64);
    put_varint(&mut bytes, entries as u64);
    bytes
}

/// New codes of the rows, in this order.
fn ordered(codes: &[u32], new_codes: &[u32], order: &[u32]) -> Vec<u32> {
    let of_row = |row: &u32| {
        let old = codes.get(*row as usize).copied().unwrap_or_default();
        new_codes.get(old as usize).copied().unwrap_or_default()
    };
    order.iter().map(of_row).collect()
}
