//! Keys of groups: a code per dimension, packed into one number.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::query::MAX_DEPTH;

/// Bits of a code in a key. A report has fewer groups than codes of so many bits.
const BITS: usize = 25;
const MASK: u128 = (1 << BITS) - 1;

/// Bits of a key with codes of all dimensions.
pub(crate) const KEY_BITS: usize = BITS * MAX_DEPTH;

/// Key of a group: the codes of its values, the first dimension lowest.
pub(crate) type GroupKey = u128;

/// Values of one dimension, with a code each. The empty value has code 0.
#[derive(Debug)]
struct Values {
    codes: HashMap<Arc<str>, u32>,
    texts: Vec<Arc<str>>,
}

impl Default for Values {
    fn default() -> Self {
        let empty: Arc<str> = "".into();
        Self {
            codes: HashMap::from([(empty.clone(), 0)]),
            texts: vec![empty],
        }
    }
}

/// Values of the dimensions of a report, shared by all threads that compute it.
#[derive(Debug)]
pub(crate) struct Keys(Vec<Mutex<Values>>);

impl Keys {
    pub(crate) fn new(depth: usize) -> Self {
        Self((0..depth).map(|_| Mutex::default()).collect())
    }

    fn values(&self, dimension: usize) -> Option<MutexGuard<'_, Values>> {
        let values = self.0.get(dimension)?;
        Some(values.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Part of a key for the value of a dimension; `None` if the dimension has too many values.
    pub(crate) fn part(&self, dimension: usize, value: &str) -> Option<GroupKey> {
        let mut values = self.values(dimension)?;
        let code = match values.codes.get(value) {
            Some(code) => *code,
            None => {
                let code = u32::try_from(values.texts.len()).ok()?;
                let text: Arc<str> = value.into();
                values.texts.push(text.clone());
                values.codes.insert(text, code);
                code
            }
        };
        (u128::from(code) < MASK).then(|| u128::from(code) << (BITS * dimension))
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
    pub(crate) fn texts(&self) -> Vec<Vec<Arc<str>>> {
        let of = |dimension| self.values(dimension).map(|values| values.texts.clone());
        (0..self.0.len()).filter_map(of).collect()
    }

    /// Values of a key.
    pub(crate) fn texts_of(&self, key: GroupKey) -> Vec<Arc<str>> {
        let of = |dimension: usize| {
            let values = self.values(dimension)?;
            values.texts.get(code(key, dimension)).cloned()
        };
        (0..self.0.len()).filter_map(of).collect()
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
        assert_eq!((code(key, 0), code(key, 1), code(key, 2)), (1, 0, 1));
    }
}
