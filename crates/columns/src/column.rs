//! A column in memory.

use crate::bytes::Reader;
use crate::{Codes, encoder};

/// Maximum number of rows, so that malformed bytes do not take all memory.
const MAX_ROWS: usize = 1 << 24;

/// Error for bytes that are no column of this version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the bytes are no column of a known version")]
pub struct Malformed;

/// Distinct values of a column, in ascending order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Dictionary {
    /// Numbers.
    Numbers(Vec<i32>),
    /// Texts.
    Texts(Texts),
}

/// Texts, one behind the other in memory.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Texts {
    joined: String,
    /// End of each text.
    ends: Vec<u32>,
}

impl Texts {
    /// Number of texts.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// True without texts.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Text at a position.
    #[must_use]
    pub fn get(&self, at: usize) -> Option<&str> {
        let end = *self.ends.get(at)? as usize;
        let start = match at.checked_sub(1) {
            Some(before) => *self.ends.get(before)? as usize,
            None => 0,
        };
        self.joined.get(start..end)
    }

    /// All texts in order.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        (0..self.len()).filter_map(|at| self.get(at))
    }

    fn push(&mut self, text: &str) -> Result<(), Malformed> {
        self.joined.push_str(text);
        let end = u32::try_from(self.joined.len()).map_err(|_| Malformed)?;
        self.ends.push(end);
        Ok(())
    }
}

impl Dictionary {
    /// Number of values.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Numbers(numbers) => numbers.len(),
            Self::Texts(texts) => texts.len(),
        }
    }

    /// True without values.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn size(&self) -> usize {
        match self {
            Self::Numbers(numbers) => numbers.len() * size_of::<i32>(),
            Self::Texts(texts) => texts.joined.len() + texts.len() * size_of::<u32>(),
        }
    }
}

/// Column of a table: distinct values, and per row the code of its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// Distinct values; the value of code 1 is the first.
    pub dictionary: Dictionary,
    /// A code per row.
    pub codes: Codes,
}

impl Column {
    /// Bytes of memory, approximately.
    #[must_use]
    pub fn size(&self) -> usize {
        self.dictionary.size() + self.codes.size()
    }

    /// Reads a column from its bytes.
    ///
    /// # Errors
    /// [`Malformed`].
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(bytes);
        if reader.byte()? != encoder::VERSION {
            return Err(Malformed);
        }
        let kind = reader.byte()?;
        let rows = reader.count()?;
        if rows > MAX_ROWS {
            return Err(Malformed);
        }
        let entries = reader.count()?;
        let dictionary = match kind {
            encoder::NUMBERS => Dictionary::Numbers(numbers(&mut reader, entries)?),
            encoder::TEXTS => Dictionary::Texts(texts(&mut reader, entries)?),
            _ => return Err(Malformed),
        };
        let codes = Codes::decode(&mut reader, rows, entries)?;
        Ok(Self { dictionary, codes })
    }
}

fn numbers(reader: &mut Reader<'_>, entries: usize) -> Result<Vec<i32>, Malformed> {
    let mut numbers = Vec::new();
    // Differences from the smallest number of the type on, so that none is negative.
    let mut number = i64::from(i32::MIN);
    for _ in 0..entries {
        let difference = i64::try_from(reader.varint()?).map_err(|_| Malformed)?;
        number = number.checked_add(difference).ok_or(Malformed)?;
        numbers.push(i32::try_from(number).map_err(|_| Malformed)?);
    }
    Ok(numbers)
}

fn texts(reader: &mut Reader<'_>, entries: usize) -> Result<Texts, Malformed> {
    let mut texts = Texts::default();
    let mut text = Vec::new();
    for _ in 0..entries {
        let shared = reader.count()?;
        if shared > text.len() {
            return Err(Malformed);
        }
        text.truncate(shared);
        let length = reader.count()?;
        text.extend_from_slice(reader.slice(length)?);
        texts.push(std::str::from_utf8(&text).map_err(|_| Malformed)?)?;
    }
    Ok(texts)
}
