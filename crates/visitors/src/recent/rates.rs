//! Click rates of visitors: a count-min sketch whose cells restart with each minute.

use std::sync::atomic::{AtomicU32, Ordering};

use crate::hashing::{mix, place};

const ROWS: u64 = 4;
/// Cells per row; four rows take 2 MiB.
const CELLS: usize = 131_072;
const MINUTE_MS: i64 = 60_000;
/// Bits of the count in a cell; the minute (its low 16 bits, repeating after 45 days) is above.
const COUNT_BITS: u32 = 16;
const COUNT: u32 = (1 << COUNT_BITS) - 1;

pub(super) struct Rates(Box<[AtomicU32]>);

impl Rates {
    pub(super) fn new() -> Self {
        Self((0..CELLS * ROWS as usize).map(|_| AtomicU32::new(0)).collect())
    }

    /// Counts a click and returns the number in this minute.
    pub(super) fn count(&self, key: u64, now_ms: i64) -> u32 {
        let minute = now_ms.div_euclid(MINUTE_MS) as u16;
        let rows = self.0.chunks_exact(CELLS).zip(1..);
        let counts = rows.filter_map(|(row, number)| {
            let cell = row.get(place(mix(key.wrapping_add(number)), CELLS))?;
            let before = cell.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |cell| {
                Some(counted(cell, minute))
            });
            before.ok().map(|before| counted(before, minute) & COUNT)
        });
        counts.min().unwrap_or_default()
    }
}

/// Increments a cell. A cell that is a minute or two ahead stays there: a thread that is slightly behind must not reset
/// the counts of others. Every other minute is over, however long ago.
fn counted(cell: u32, minute: u16) -> u32 {
    let present = (cell >> COUNT_BITS) as u16;
    if present.wrapping_sub(minute) <= 2 {
        cell & !COUNT | (cell & COUNT).saturating_add(1).min(COUNT)
    } else {
        u32::from(minute) << COUNT_BITS | 1
    }
}
