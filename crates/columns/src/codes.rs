//! Codes of the rows: as numbers of the narrowest type in memory, as runs or packed bits in bytes.

use crate::Malformed;
use crate::bytes::{Reader, put_varint};

/// Markers of the two ways to store codes.
const RUNS: u8 = 0;
const PACKED: u8 = 1;

/// Code of a row: 0 for no value, otherwise the position of its value in the dictionary, from 1.
pub trait Code: Copy {
    /// Code as an index.
    fn index(self) -> usize;
}

impl Code for u8 {
    fn index(self) -> usize {
        usize::from(self)
    }
}

impl Code for u16 {
    fn index(self) -> usize {
        usize::from(self)
    }
}

impl Code for u32 {
    fn index(self) -> usize {
        self as usize
    }
}

/// A code per row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Codes {
    /// Codes of at most 255 values.
    Narrow(Vec<u8>),
    /// Codes of at most 65,535 values.
    Medium(Vec<u16>),
    /// Codes of more values.
    Wide(Vec<u32>),
}

impl Codes {
    /// Number of rows.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Narrow(codes) => codes.len(),
            Self::Medium(codes) => codes.len(),
            Self::Wide(codes) => codes.len(),
        }
    }

    /// True without rows.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes of memory.
    #[must_use]
    pub fn size(&self) -> usize {
        match self {
            Self::Narrow(codes) => codes.len(),
            Self::Medium(codes) => codes.len() * 2,
            Self::Wide(codes) => codes.len() * 4,
        }
    }

    pub(crate) fn decode(reader: &mut Reader<'_>, rows: usize, entries: usize) -> Result<Self, Malformed> {
        let wide = match reader.byte()? {
            RUNS => unrolled(reader, rows)?,
            PACKED => unpacked(reader, rows)?,
            _ => return Err(Malformed),
        };
        if wide.iter().any(|code| *code as usize > entries) {
            return Err(Malformed);
        }
        Ok(match entries {
            0..=0xff => Self::Narrow(wide.into_iter().map(|code| code as u8).collect()),
            0x100..=0xffff => Self::Medium(wide.into_iter().map(|code| code as u16).collect()),
            _ => Self::Wide(wide),
        })
    }
}

/// Appends codes the shorter way.
pub(crate) fn encode(codes: &[u32], entries: usize, bytes: &mut Vec<u8>) {
    let width = (usize::BITS - entries.leading_zeros()).max(1);
    let packed_size = (codes.len() * width as usize).div_ceil(8);
    let runs = runs(codes, packed_size);
    match runs {
        Some(runs) => {
            bytes.push(RUNS);
            bytes.extend(runs);
        }
        None => {
            bytes.push(PACKED);
            bytes.push(width as u8);
            pack(codes, width, bytes);
        }
    }
}

/// Runs of equal codes; `None` if they take more than `limit` bytes.
fn runs(codes: &[u32], limit: usize) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    for run in codes.chunk_by(|one, other| one == other) {
        put_varint(&mut bytes, u64::from(*run.first()?));
        put_varint(&mut bytes, run.len() as u64);
        if bytes.len() > limit {
            return None;
        }
    }
    Some(bytes)
}

fn pack(codes: &[u32], width: u32, bytes: &mut Vec<u8>) {
    let (mut pending, mut bits) = (0_u64, 0);
    for code in codes {
        pending |= u64::from(*code) << bits;
        bits += width;
        while bits >= 8 {
            bytes.push(pending as u8);
            pending >>= 8;
            bits -= 8;
        }
    }
    if bits > 0 {
        bytes.push(pending as u8);
    }
}

fn unrolled(reader: &mut Reader<'_>, rows: usize) -> Result<Vec<u32>, Malformed> {
    let mut codes = Vec::new();
    while codes.len() < rows {
        let code = u32::try_from(reader.varint()?).map_err(|_| Malformed)?;
        let length = reader.count()?;
        if length == 0 || length > rows - codes.len() {
            return Err(Malformed);
        }
        codes.resize(codes.len() + length, code);
    }
    Ok(codes)
}

fn unpacked(reader: &mut Reader<'_>, rows: usize) -> Result<Vec<u32>, Malformed> {
    let width = u32::from(reader.byte()?);
    if !(1..=32).contains(&width) || reader.rest().len() < (rows * width as usize).div_ceil(8) {
        return Err(Malformed);
    }
    let mask = (1_u64 << width) - 1;
    let (mut pending, mut bits) = (0_u64, 0);
    let mut bytes = reader.rest().iter();
    let mut codes = Vec::with_capacity(rows);
    for _ in 0..rows {
        while bits < width {
            pending |= u64::from(*bytes.next().ok_or(Malformed)?) << bits;
            bits += 8;
        }
        codes.push((pending & mask) as u32);
        pending >>= width;
        bits -= width;
    }
    Ok(codes)
}
