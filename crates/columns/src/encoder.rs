//! Encoders: take the values of a column row by row, and write its bytes.

use std::collections::HashMap;
use std::hash::Hash;

use crate::bytes::put_varint;
use crate::codes;

/// Version of the format.
pub(crate) const VERSION: u8 = 1;
/// Kinds of dictionaries.
pub(crate) const NUMBERS: u8 = 0;
pub(crate) const TEXTS: u8 = 1;

/// Values in the order of their first row, and the code of each row.
#[derive(Debug)]
struct Collected<V> {
    code_of: HashMap<V, u32>,
    codes: Vec<u32>,
}

impl<V> Default for Collected<V> {
    fn default() -> Self {
        Self {
            code_of: HashMap::new(),
            codes: Vec::new(),
        }
    }
}

impl<V: Hash + Eq + Ord> Collected<V> {
    /// Sorts the values, and gives every row the code of its value in that order. Returns values and codes.
    fn sorted(self) -> (Vec<V>, Vec<u32>) {
        let mut entries: Vec<_> = self.code_of.into_iter().collect();
        entries.sort_unstable();
        let mut new_codes = vec![0; entries.len() + 1];
        for ((_, old), new) in entries.iter().zip(1..) {
            if let Some(code) = new_codes.get_mut(*old as usize) {
                *code = new;
            }
        }
        let renumbered = |code: u32| new_codes.get(code as usize).copied().unwrap_or_default();
        let codes = self.codes.into_iter().map(renumbered).collect();
        (entries.into_iter().map(|(value, _)| value).collect(), codes)
    }
}

/// Encoder of a column of numbers.
#[derive(Debug, Default)]
pub struct NumberEncoder(Collected<i32>);

impl NumberEncoder {
    /// Adds a row.
    pub fn push(&mut self, value: Option<i32>) {
        let next = self.0.code_of.len() as u32 + 1;
        let code = value.map_or(0, |value| *self.0.code_of.entry(value).or_insert(next));
        self.0.codes.push(code);
    }

    /// Bytes of the column, with the rows in this order.
    #[must_use]
    pub fn encode(self, order: &[u32]) -> Vec<u8> {
        let (numbers, codes) = self.0.sorted();
        let mut bytes = begin(NUMBERS, order.len(), numbers.len());
        let mut before = i64::from(i32::MIN);
        for number in &numbers {
            // Ascending numbers have differences that are not negative.
            put_varint(&mut bytes, (i64::from(*number) - before).unsigned_abs());
            before = i64::from(*number);
        }
        codes::encode(&ordered(&codes, order), numbers.len(), &mut bytes);
        bytes
    }
}

/// Encoder of a column of texts.
#[derive(Debug, Default)]
pub struct TextEncoder(Collected<Box<str>>);

impl TextEncoder {
    /// Adds a row.
    pub fn push(&mut self, value: Option<&str>) {
        let code = match value {
            None => 0,
            Some(value) => match self.0.code_of.get(value) {
                Some(code) => *code,
                None => {
                    let next = self.0.code_of.len() as u32 + 1;
                    self.0.code_of.insert(value.into(), next);
                    next
                }
            },
        };
        self.0.codes.push(code);
    }

    /// Bytes of the column, with the rows in this order.
    #[must_use]
    pub fn encode(self, order: &[u32]) -> Vec<u8> {
        let (texts, codes) = self.0.sorted();
        let mut bytes = begin(TEXTS, order.len(), texts.len());
        let mut before = "";
        for text in &texts {
            let pairs = before.bytes().zip(text.bytes());
            let shared = pairs.take_while(|(one, other)| one == other).count();
            put_varint(&mut bytes, shared as u64);
            put_varint(&mut bytes, (text.len() - shared) as u64);
            bytes.extend(text.bytes().skip(shared));
            before = text;
        }
        codes::encode(&ordered(&codes, order), texts.len(), &mut bytes);
        bytes
    }
}

fn begin(kind: u8, rows: usize, entries: usize) -> Vec<u8> {
    let mut bytes = vec![VERSION, kind];
    put_varint(&mut bytes, rows as u64);
    put_varint(&mut bytes, entries as u64);
    bytes
}

fn ordered(codes: &[u32], order: &[u32]) -> Vec<u32> {
    let of_row = |row: &u32| codes.get(*row as usize).copied().unwrap_or_default();
    order.iter().map(of_row).collect()
}
