//! Keys of groups: a code per dimension, packed into one number.

use std::hash::BuildHasher as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hashbrown::{DefaultHashBuilder, HashMap};

use crate::query::MAX_DEPTH;

/// Bits of a code in a key. A report has fewer groups than codes of so many bits.
const BITS: usize = 25;
const MASK: u128 = (1 << BITS) - 1;

/// Bits of a key with codes of all dimensions.
pub(crate) const KEY_BITS: usize = BITS * MAX_DEPTH;

/// Key of a group: the codes of its values, the first dimension lowest.
pub(crate) type GroupKey = u128;

/// Number of shards of the values of a dimension, so that threads seldom wait for each other.
const SHARDS: usize = 64;

/// Some of the values of a dimension. The code of a value is its position times [`SHARDS`] plus the number of its shard.
#[derive(Debug, Default)]
struct Shard {
    /// Positions, by value.
    positions: HashMap<Arc<str>, u32>,
    texts: Vec<Arc<str>>,
}

/// Values of one dimension, with a code each. The empty value has code 0.
#[derive(Debug)]
struct Values {
    shards: Vec<Mutex<Shard>>,
    hasher: DefaultHashBuilder,
}

impl Default for Values {
    fn default() -> Self {
        let values = Self {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            hasher: DefaultHashBuilder::default(),
        };
        if let Some(mut shard) = values.shard(0) {
            shard.add("");
        }
        values
    }
}

impl Shard {
    /// Adds a value, and returns its position.
    fn add(&mut self, value: &str) -> Option<u32> {
        let position = u32::try_from(self.texts.len()).ok()?;
        let text: Arc<str> = value.into();
        self.texts.push(text.clone());
        self.positions.insert(text, position);
        Some(position)
    }
}

impl Values {
    fn shard(&self, number: usize) -> Option<MutexGuard<'_, Shard>> {
        let shard = self.shards.get(number)?;
        Some(shard.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Code of a value; `None` if the dimension has too many.
    fn code(&self, value: &str) -> Option<usize> {
        let number = match value {
            "" => 0,
            value => self.hasher.hash_one(value) as usize % SHARDS,
        };
        let mut shard = self.shard(number)?;
        let position = match shard.positions.get(value) {
            Some(position) => *position,
            None => shard.add(value)?,
        };
        let code = position as usize * SHARDS + number;
        ((code as u128) < MASK).then_some(code)
    }

    fn text(&self, code: usize) -> Option<Arc<str>> {
        self.shard(code % SHARDS)?.texts.get(code / SHARDS).cloned()
    }
}

/// Values of the dimensions of a report, shared by all threads that compute it.
#[derive(Debug)]
pub(crate) struct Keys(Vec<Values>);

/// Values of a dimension, by code.
#[derive(Debug, Default)]
pub(crate) struct Texts(Vec<Vec<Arc<str>>>);

impl Texts {
    /// Value with this code.
    pub(crate) fn get(&self, code: usize) -> Option<&Arc<str>> {
        self.0.get(code % SHARDS)?.get(code / SHARDS)
    }

    /// Codes and values.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (usize, &Arc<str>)> {
        let shards = self.0.iter().enumerate();
        shards.flat_map(|(number, texts)| {
            let texts = texts.iter().enumerate();
            texts.map(move |(position, text)| (position * SHARDS + number, text))
        })
    }
}

impl Keys {
    pub(crate) fn new(depth: usize) -> Self {
        Self((0..depth).map(|_| Values::default()).collect())
    }

    /// Part of a key for the value of a dimension; `None` if the dimension has too many values.
    pub(crate) fn part(&self, dimension: usize, value: &str) -> Option<GroupKey> {
        let code = self.0.get(dimension)?.code(value)?;
        Some((code as GroupKey) << (BITS * dimension))
    }

    /// Key of a group with these values; `None` if a dimension has too many.
    pub(crate) fn key(&self, values: &[Arc<str>]) -> Option<GroupKey> {
        let parts = values.iter().enumerate();
        parts
            .map(|(dimension, value)| self.part(dimension, value))
            .try_fold(0, |key, part| Some(key | part?))
    }

    /// The key without the values of the dimensions that are marked.
    pub(crate) fn without(key: GroupKey, marked: impl Iterator<Item = bool>) -> GroupKey {
        let mut kept = key;
        for (dimension, is_marked) in marked.enumerate() {
            if is_marked {
                kept &= !(MASK << (BITS * dimension));
            }
        }
        kept
    }

    /// The key with another part for a dimension.
    pub(crate) fn replaced(key: GroupKey, dimension: usize, part: GroupKey) -> GroupKey {
        key & !(MASK << (BITS * dimension)) | part
    }

    /// Values of each dimension, by code.
    pub(crate) fn texts(&self) -> Vec<Texts> {
        let of = |values: &Values| {
            let shards = (0..SHARDS).filter_map(|number| values.shard(number));
            Texts(shards.map(|shard| shard.texts.clone()).collect())
        };
        self.0.iter().map(of).collect()
    }

    /// Values of a key.
    pub(crate) fn texts_of(&self, key: GroupKey) -> Vec<Arc<str>> {
        let dimensions = self.0.iter().enumerate();
        let texts = dimensions.filter_map(|(dimension, values)| values.text(code(key, dimension)));
        texts.collect()
    }
}

/// Code of a dimension in a key.
pub(crate) fn code(key: GroupKey, dimension: usize) -> usize {
    ((key >> (BITS * dimension)) & MASK) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_has_the_values_it_was_made_of() {
        let keys = Keys::new(3);
        let key = keys.part(0, "b").unwrap() | keys.part(1, "").unwrap() | keys.part(2, "x").unwrap();
        assert_eq!(keys.part(0, "b"), keys.part(0, "b"));
        assert_ne!(keys.part(0, "b"), keys.part(0, "c"));
        let texts = |key| {
            keys.texts_of(key)
                .iter()
                .map(|text| text.to_string())
                .collect::<Vec<_>>()
        };
        assert_eq!(texts(key), ["b", "", "x"]);
        assert_eq!(keys.key(&keys.texts_of(key)), Some(key));
        assert_eq!(
            texts(Keys::without(key, [false, false, true].into_iter())),
            ["b", "", ""]
        );
        assert_eq!(code(key, 1), 0);
        let texts = keys.texts();
        assert_eq!(texts[0].get(code(key, 0)).unwrap().as_ref(), "b");
        assert_eq!(texts[0].iter().count(), 3, "the empty value, b and c");
    }
}
