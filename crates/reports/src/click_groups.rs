//! Clicks of each group, in parts by their keys: a thread works on one part at a time, which fits into its cache, and
//! threads work on different parts.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicUsize, Ordering};

use hashbrown::HashMap as FastMap;

use crate::groups::Clicks;
use crate::keys::{GroupKey, KEY_BITS};

/// Number of parts.
const PARTS: usize = 1 << PART_BITS;
const PART_BITS: u32 = 7;

/// Rows that a thread keeps before it adds them to its groups, 16 bytes each.
const MAX_ROWS: usize = 4 << 20;

/// Bits above the key of a row: one if the click is unique, two if it is flagged.
const MARK_SHIFT: usize = KEY_BITS;
const _: () = assert!(KEY_BITS + 2 <= GroupKey::BITS as usize, "a key and its marks fit");

/// Part that a key belongs to.
fn part_of(key: GroupKey) -> usize {
    let folded = (key as u64) ^ ((key >> 64) as u64);
    (folded.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (u64::BITS - PART_BITS)) as usize
}

type Part = FastMap<GroupKey, Clicks>;

/// Clicks of each group.
#[derive(Debug)]
pub(crate) struct ClickGroups(Vec<Part>);

impl Default for ClickGroups {
    fn default() -> Self {
        Self(vec![Part::default(); PARTS])
    }
}

impl ClickGroups {
    /// Adds clicks of a group.
    pub(crate) fn add(&mut self, key: GroupKey, clicks: Clicks) {
        if let Some(part) = self.0.get_mut(part_of(key)) {
            *part.entry(key).or_default() += clicks;
        }
    }

    /// Clicks of a group.
    pub(crate) fn get(&self, key: GroupKey) -> Option<Clicks> {
        self.0.get(part_of(key))?.get(&key).copied()
    }

    /// Number of groups.
    pub(crate) fn len(&self) -> usize {
        self.0.iter().map(Part::len).sum()
    }

    /// Groups, in no order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (GroupKey, Clicks)> + '_ {
        let pairs = self.0.iter().flatten();
        pairs.map(|(key, clicks)| (*key, *clicks))
    }

    /// Adds other groups.
    pub(crate) fn merge(&mut self, other: Self) {
        for (part, added) in self.0.iter_mut().zip(other.0) {
            merge(part, added);
        }
    }
}

fn merge(part: &mut Part, mut added: Part) {
    if added.len() > part.len() {
        std::mem::swap(part, &mut added);
    }
    for (key, clicks) in added {
        *part.entry(key).or_default() += clicks;
    }
}

/// Clicks that a thread has found: groups, and rows that are not added to their groups yet.
#[derive(Debug)]
pub(crate) struct FoundClicks {
    pub(crate) groups: ClickGroups,
    rows: Vec<Vec<GroupKey>>,
    count: usize,
}

impl Default for FoundClicks {
    fn default() -> Self {
        Self {
            groups: ClickGroups::default(),
            rows: vec![Vec::new(); PARTS],
            count: 0,
        }
    }
}

impl FoundClicks {
    /// Adds a click; bit 0 of its marks is set if it is unique, bit 1 if it is flagged.
    pub(crate) fn add_row(&mut self, key: GroupKey, marks: u8) {
        if let Some(rows) = self.rows.get_mut(part_of(key)) {
            rows.push(key | GroupKey::from(marks) << MARK_SHIFT);
        }
        self.count += 1;
        if self.count >= MAX_ROWS {
            self.add_rows();
        }
    }

    fn add_rows(&mut self) {
        for (part, rows) in self.groups.0.iter_mut().zip(&mut self.rows) {
            add_rows(part, rows);
            rows.clear();
        }
        self.count = 0;
    }

    /// Groups with all rows.
    pub(crate) fn into_groups(mut self) -> ClickGroups {
        self.add_rows();
        self.groups
    }

    /// Groups of what several threads have found, brought together on as many threads, each of which runs `prepare` first.
    pub(crate) fn together(found: Vec<Self>, threads: usize, prepare: fn()) -> ClickGroups {
        let mut parts: Vec<Vec<(Part, Vec<GroupKey>)>> = (0..PARTS).map(|_| Vec::new()).collect();
        for one in found {
            let of_thread = one.groups.0.into_iter().zip(one.rows);
            for (part, pair) in parts.iter_mut().zip(of_thread) {
                part.push(pair);
            }
        }
        let parts: Vec<_> = parts
            .into_iter()
            .map(|found| Mutex::new((found, Part::default())))
            .collect();
        let next = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..threads.max(1) {
                scope.spawn(|| {
                    prepare();
                    while let Some(part) = parts.get(next.fetch_add(1, Ordering::Relaxed)) {
                        let mut part = part.lock().unwrap_or_else(PoisonError::into_inner);
                        let (found, groups) = &mut *part;
                        let found = std::mem::take(found);
                        let (maps, rows): (Vec<Part>, Vec<_>) = found.into_iter().unzip();
                        for map in maps {
                            merge(groups, map);
                        }
                        for rows in rows {
                            add_rows(groups, &rows);
                        }
                    }
                });
            }
        });
        let groups = parts
            .into_iter()
            .map(|part| part.into_inner().unwrap_or_else(PoisonError::into_inner).1);
        ClickGroups(groups.collect())
    }
}

fn add_rows(part: &mut Part, rows: &[GroupKey]) {
    for row in rows {
        let marks = row >> MARK_SHIFT;
        let clicks = part.entry(row & !(GroupKey::MAX << MARK_SHIFT)).or_default();
        clicks.clicks += 1;
        clicks.unique += i64::from(marks & 1 != 0);
        clicks.invalid += i64::from(marks & 2 != 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_find_the_same_groups_as_one_after_the_other() {
        let mut expected = ClickGroups::default();
        let mut found = vec![FoundClicks::default(), FoundClicks::default()];
        for number in 0..5_000_u32 {
            let key = GroupKey::from(number % 777) << 50 | GroupKey::from(number % 3);
            let marks = (number % 4) as u8;
            let clicks = Clicks {
                clicks: 1,
                unique: i64::from(marks & 1),
                invalid: i64::from(marks >> 1),
            };
            expected.add(key, clicks);
            let thread = &mut found[number as usize % 2];
            if number % 5 == 0 {
                thread.groups.add(key, clicks);
            } else {
                thread.add_row(key, marks);
            }
        }
        let together = FoundClicks::together(found, 2, || {});
        assert_eq!(together.len(), expected.len());
        for (key, clicks) in expected.iter() {
            assert_eq!(together.get(key), Some(clicks));
        }
    }
}
